// Package proxy is the way of a request: it checks who asks, reads the body
// once, tries the candidates that routing has ordered until one answers, and
// relays that answer as it comes.
//
// Nothing of an upstream reaches the client before its first content, so every
// earlier failure is healed unseen by the next candidate. From then on the
// answer is committed: a failure is told as one error event.
//
// A request is served by its handler's goroutine alone. The configuration is
// one immutable Runtime behind an atomic pointer, taken once per request, so
// that a reload never changes a request in flight.
package proxy
