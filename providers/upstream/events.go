package upstream

import (
	"fmt"
	"io"
	"sync"
	"time"

	"anyproxy/providers"
	"anyproxy/providers/sse"
)

// scanners keeps the buffers of streams that have ended.
var scanners = sync.Pool{New: func() any { return new(sse.Scanner) }}

// maxPiece bounds what is gathered of a burst before it is passed on.
const maxPiece = 32 << 10

// Events reads the server-sent events of an Answer.
type Events struct {
	Answer
	Scan *sse.Scanner // nil once closed
	// Ended is set by the reader when the last event has come: on Close the
	// connection is kept for the next request.
	Ended     bool
	exhausted bool // the end of the body has come
}

// Events begins to read them.
func (a Answer) Events() Events {
	return Events{Answer: a, Scan: scanners.Get().(*sse.Scanner)}
}

// Fill reads what is there: one read of the socket's. At the end of the body it
// gives io.EOF, and an *providers.Error where the body breaks off.
func (e *Events) Fill() error {
	_, err := e.Scan.Fill(e.body)
	for err == nil && e.waiting() && e.Scan.Pending() < maxPiece {
		_, err = e.Scan.Fill(e.body)
	}
	switch err {
	case nil:
		return nil
	case io.EOF:
		e.exhausted = true
		return io.EOF
	default:
		return e.Fail(providers.ClassBroken, fmt.Errorf("read stream: %w", err))
	}
}

// waiting reports whether more has come. Of what is packed that cannot be told.
func (e *Events) waiting() bool { return e.plain != nil && !e.packed && e.plain.Waiting() }

const (
	// drainTime is how long the end of a body may take to come behind the last
	// event. A client that spoke to the upstream itself would wait for it
	// without bound.
	drainTime  = 100 * time.Millisecond
	drainReads = 4 // over net/http
)

// Close ends the exchange. After a whole answer it reads on to the end of the
// body, which usually has come, so that the connection can be used again.
func (e *Events) Close() error {
	if e.Scan == nil {
		return nil
	}
	if e.Ended && !e.exhausted {
		e.drain()
	}
	e.Scan.Reset()
	scanners.Put(e.Scan)
	e.Scan = nil
	return e.Res.Body.Close()
}

func (e *Events) drain() {
	if e.plain != nil {
		e.plain.Drain(drainTime)
		return
	}
	late := time.AfterFunc(drainTime, func() { e.Res.Body.Close() })
	defer late.Stop()
	for range drainReads {
		e.Scan.Reset()
		if _, err := e.Scan.Fill(e.body); err != nil {
			return
		}
	}
}
