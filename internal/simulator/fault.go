package simulator

import (
	"net/http"
	"strconv"
	"time"
)

// Fault is one thing that goes wrong with an answer. Faults of an answer
// combine, e.g. {Gzip} with {Hang, At: Deltas(3)}.
type Fault struct {
	Kind FaultKind
	// At is where a fault strikes that has a place; the zero Point is before the headers.
	At Point
	// Reply is what Respond and ErrorEvent say.
	Reply Reply
	// Every is the time between two bytes of a Drip; 0 = none.
	Every time.Duration
}

// FaultKind is a closed set.
type FaultKind uint8

const (
	// Respond sends Reply in place of the answer.
	Respond FaultKind = iota

	// Those from here to ClosedDelta strike at a Point.

	Reset   // the connection is reset
	Break   // the connection is closed without the end that HTTP asks for
	Cut     // the body ends as HTTP asks for, but the message is not over
	Hang    // nothing more comes; ends when the client leaves or the Upstream is closed
	Garbage // before the headers: bytes that are no HTTP; later: an event that is no JSON
	// ErrorEvent ends the stream with an error event told by Reply. Before the
	// headers, and in a non-stream answer, it is the same as Respond.
	ErrorEvent
	DuplicateStart // the message's start is sent again; only behind the first
	// ClosedDelta repeats a delta behind the end of its block; it has no place of
	// its own but the end of the first block with deltas.
	ClosedDelta

	// Those from here on shape the whole answer.

	Gzip      // the body is compressed, asked for or not
	Drip      // each byte is sent alone
	WrongType // the content type is text/plain
	BigHeader // a response header of 1.5 MB
	HTTP10    // HTTP/1.0, the body ends with the connection
)

// unit is what a Point counts.
type unit uint8

const (
	beforeHeaders unit = iota
	byEvents
	byDeltas
	byBytes
)

// Point is a place in an answer. In a non-stream answer, which has neither
// events nor deltas, such a Point is the middle of the body.
type Point struct {
	by unit
	n  int
}

// BeforeHeaders is where nothing has been sent.
var BeforeHeaders = Point{}

// Events is behind the n-th event. 0 is behind the headers, 1 behind
// message_start, 2 behind the first ping, 3 behind the first block's start (one
// more with Answer.EarlyPing).
func Events(n int) Point { return Point{byEvents, n} }

// Deltas is behind the n-th delta that brings text, thinking or tool input.
func Deltas(n int) Point { return Point{byDeltas, n} }

// Bytes is behind the n-th byte of the body.
func Bytes(n int) Point { return Point{byBytes, n} }

// Reply is an answer that is no message.
type Reply struct {
	Status int
	Header http.Header // added to those of every answer
	// Message is told in the shape of the API's errors; the error's type follows
	// from Status. When it is empty, Body is sent as it is.
	Message string
	Body    string
}

// Status answers with an error of the API.
func Status(status int, message string) Fault {
	return Fault{Kind: Respond, Reply: Reply{Status: status, Message: message}}
}

// RateLimited answers 429; after goes into Retry-After in whole seconds, 0 = no such header.
func RateLimited(after time.Duration) Fault {
	f := Status(http.StatusTooManyRequests, "This request would exceed your organization's rate limit.")
	if after > 0 {
		f.Reply.Header = http.Header{"Retry-After": {strconv.Itoa(int(after / time.Second))}}
	}
	return f
}

// Overloaded answers 529.
func Overloaded() Fault { return Status(529, "Overloaded") }

// ServerError answers 500.
func ServerError() Fault { return Status(http.StatusInternalServerError, "Internal server error") }

// Unauthorized answers 401.
func Unauthorized() Fault { return Status(http.StatusUnauthorized, "invalid x-api-key") }

// TooLarge answers 413.
func TooLarge() Fault {
	return Status(http.StatusRequestEntityTooLarge, "Request exceeds the maximum size")
}

// HTML answers with a page, as a balancer (502) or a captive portal (200) does.
func HTML(status int) Fault {
	return Fault{Kind: Respond, Reply: Reply{
		Status: status,
		Header: http.Header{"Content-Type": {"text/html; charset=utf-8"}},
		Body:   "<html><head><title>" + http.StatusText(status) + "</title></head><body><center>nginx</center></body></html>\n",
	}}
}

// Empty answers 200 without a body.
func Empty() Fault {
	return Fault{Kind: Respond, Reply: Reply{Status: http.StatusOK, Header: http.Header{"Content-Type": {"text/event-stream"}}}}
}

// Redirect answers 307 to the given URL.
func Redirect(to string) Fault {
	return Fault{Kind: Respond, Reply: Reply{Status: http.StatusTemporaryRedirect, Header: http.Header{"Location": {to}}}}
}

// ErrorAt ends the stream with an error event, by the type of status.
func ErrorAt(at Point, status int, message string) Fault {
	return Fault{Kind: ErrorEvent, At: at, Reply: Reply{Status: status, Message: message}}
}
