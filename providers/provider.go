// Package providers is the contract between the proxy and the upstreams it
// speaks to: one Request in, one Stream of client-ready frames or one Error out.
//
// A Provider knows a wire format, never a policy: it does not retry, choose or
// wait, and it never sees a ResponseWriter. Whoever calls it decides what a
// failure means, using Error.Class. The formats live in the sub-packages; this
// one holds only the contract.
//
// A Provider is safe for concurrent use. A Stream belongs to one goroutine,
// which must Close it.
package providers

import (
	"context"
	"net/http"
	"time"
)

// A Provider makes exchanges with one configured account and endpoint.
type Provider interface {
	// Send makes exactly one attempt and returns when the upstream's response
	// headers are there. An answer with an error status, and every failure to
	// get an answer, is an *Error. Cancelling ctx ends the attempt, also while
	// its Stream is being read; context.Cause(ctx) is then in the error's chain.
	Send(ctx context.Context, r *Request) (*Stream, error)
}

// Endpoint names what the client asked for.
type Endpoint uint8

const (
	Messages    Endpoint = iota // POST /v1/messages
	CountTokens                 // POST /v1/messages/count_tokens
)

// Path is the endpoint's path below the provider's base URL.
func (e Endpoint) Path() string {
	if e == CountTokens {
		return "/v1/messages/count_tokens"
	}
	return "/v1/messages"
}

// A Request is one attempt's input. It is read-only for the Provider.
type Request struct {
	Endpoint Endpoint
	RawQuery string      // the client's query string, kept for Anthropic upstreams
	Header   http.Header // the client's headers as they came, credentials included: a Provider picks what may pass, by allow-list
	Body     *Body       // the client's body; a Provider that keeps it past Send must Retain it
	Model    string      // the upstream's model name; equal to the asked one when the target renames nothing
	ModelAt  Span        // where the JSON string of "model" stands in Body, quotes included
	Asked    string      // the model that the client asked for
	Stream   bool        // the client asked for server-sent events
	Auth     ClientAuth  // for auth: passthrough only
}

// Span is a half-open byte range.
type Span struct{ Start, End int }

// ClientAuth holds the client's own upstream credential: the headers that it
// sent less those that are one of our client keys. Empty fields are absent ones.
type ClientAuth struct {
	APIKey        string // x-api-key
	Authorization string // Authorization, scheme included
}

// A Stream is an upstream's accepted answer, status 2xx.
type Stream struct {
	Status int
	Header http.Header // end-to-end headers for the client: no hop-by-hop, set-cookie, content-length or content-encoding
	// Degraded names what a conversion could not carry, e.g. "top_k"; empty on pass-through.
	Degraded []string
	Limits   Limits
	// Billed is the model's name where the upstream has one of its own, whose price
	// it has; "" = the name that was asked for.
	Billed string
	// Opaque is set when the model may think before its first content without
	// anything of the format showing when: then neither the time to that nor the
	// speed can be measured.
	Opaque bool
	Frames
}

// Frames is the body of an answer.
type Frames interface {
	// Next returns what one read from the upstream brought. Behind a Frame of
	// kind End or Failed comes io.EOF. An answer that breaks off, stalls or
	// cannot be understood ends in an *Error instead; the whole events before
	// the break have been returned by then.
	Next() (Frame, error)
	// Close ends the exchange and releases its resources. It may be called
	// at any time, more than once.
	Close() error
}

// A Settler is an answer that keeps what it needs as long as it may be taken
// back, and less once the client has content of it.
type Settler interface{ Settle() }

// Kind tells the strongest thing a Frame contains.
type Kind uint8

const (
	Preamble Kind = iota // nothing that commits: message_start, block starts, empty deltas, pings, comments, or no whole event yet
	Content              // at least one content delta that is not empty
	End                  // the answer is complete: message_stop, or a whole non-stream body
	Failed               // the upstream's own error event; Err is set
)

// A Frame is a run of whole server-sent events, ready for the client, or a
// whole non-stream body.
type Frame struct {
	// Bytes are valid until the next call of Next or Close. They may be empty:
	// bytes came in that do not complete an event yet.
	Bytes []byte
	Kind  Kind
	// Usage is the answer's running total, nil when this frame brought no news.
	Usage *Usage
	// Text counts the bytes of generated text, tool input and shown thinking in
	// this frame, measured between the quotes of their JSON strings.
	Text int
	// Generating is set from the frame on in which generation starts (the first
	// text delta, or the start of the first block when that is thinking or
	// tool_use) until the last block has stopped.
	Generating bool
	// Hidden is set while the open block generates without showing it (thinking
	// or tool input of which no delta has come since the last frame): silence
	// then says nothing about speed.
	Hidden bool
	// Quiet is set while the open block is no text: what is generated comes in
	// pieces of any size, and silence between them says nothing about speed.
	Quiet bool
	// Err is the failure that a Failed frame tells.
	Err *Error
}

// Usage counts tokens as the upstream reported them.
type Usage struct {
	Input, Output, CacheRead, CacheWrite int64
	// CacheWrite1h is the part of CacheWrite that is kept for an hour, Reasoning
	// that of Output that was thinking; 0 where the upstream does not say.
	CacheWrite1h, Reasoning int64
	// Searches are the web searches of the upstream's own tool, which cost apart.
	Searches int64
}

// Limits is what an upstream says of its rate limits. The zero value says nothing.
type Limits struct {
	Requests Allowance
	Tokens   Allowance // of input
	// Used is the used part of the fullest window of a subscription, 0–1; 0 = not said.
	Used float64
}

// Allowance is one rate limit.
type Allowance struct {
	Limit     int64 // 0 = not said
	Remaining int64
	Reset     time.Time // when it is whole again
}
