// Package http1 is the client's side of HTTP/1.1 (RFC 9112) for a relay: one
// request in memory goes out, one answer is read as it comes.
//
// Unlike net/http's Transport it has no goroutines of its own: whoever makes a
// request writes it, and reads the answer where it stands. That spares two wake-ups
// for each request and two stacks for each open stream. A Body takes the chunks of
// an answer apart in the reader's own memory, so that a connection has no buffers
// but while it needs them.
//
// It knows what the relay needs and no more: no proxies, no HTTP/2, no redirects,
// no compression, no HEAD, no 100-continue, no trailers for the caller.
package http1
