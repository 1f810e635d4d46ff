package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"anyproxy/metrics"
	"anyproxy/providers"
	"anyproxy/providers/sse"
	"anyproxy/proxy/requestlog"
	"anyproxy/proxy/routing"
)

// maxHeld bounds what is held back of an answer without content: then it is
// passed on as it is.
const maxHeld = 64 << 10

// exchange is one request on its way: from the candidates to the answer. It
// belongs to the handler's goroutine.
type exchange struct {
	s   *Server
	rt  *Runtime
	w   http.ResponseWriter
	rc  *http.ResponseController
	r   *http.Request
	id  string
	req providers.Request
	rec *metrics.Request // nil for what is not a model request
	// capture keeps the answer for the request log; nil when there is none.
	capture *requestlog.Capture

	attempts  int
	failures  []*providers.Error
	held      []byte // events before the first content
	committed bool
	wrote     time.Time // when the write deadline was last moved
}

// serve tries the picks in turn until one has answered, or until its failure is
// the answer.
func (x *exchange) serve(route routing.Route) {
	for i, pick := range route.Picks {
		err := x.attempt(pick)
		if err == nil {
			return
		}
		if x.interrupted() {
			return
		}
		if !err.Class.Fallback() || x.passedThrough(pick, err) {
			x.relayError(err, 0)
			return
		}
		x.failures = append(x.failures, err)
		if i+1 < len(route.Picks) {
			x.s.fallback(x, err, route.Picks[i+1])
		}
	}
	x.exhausted(route)
}

// passedThrough reports whether the failure is about the client's own
// credential: the client must see it as it is.
func (x *exchange) passedThrough(p routing.Pick, err *providers.Error) bool {
	return err.Class == providers.ClassCredential && x.rt.passthrough(p.Provider)
}

// attempt makes one exchange with the pick. nil means that the client has an
// answer, whole or with its failure told; an error, that nothing has been sent.
func (x *exchange) attempt(p routing.Pick) *providers.Error {
	x.attempts++
	started := time.Now()
	meter := x.meter(p)
	ctx, cancel := context.WithCancelCause(x.r.Context())
	defer cancel(nil)
	t := x.rt.providers[p.Provider].config.Timeouts
	first := t.FirstByte
	if !x.req.Stream {
		first = t.Total
	}
	watch := newWatch(cancel, first)
	defer watch.stop()

	req := x.req
	req.Model = p.Model
	stream, err := x.rt.providers[p.Provider].Send(ctx, &req)
	if err == nil {
		defer stream.Close()
		if x.req.Stream {
			watch.setLimit(time.Now(), t.Idle)
		}
		err = x.relay(p, stream, meter, watch)
	}
	failure := asError(p, err)
	x.report(p, meter, started, stream, failure)
	switch {
	case failure == nil:
		x.end(metrics.PhaseOK, 0, "")
	case !x.committed:
		return failure
	case x.interrupted():
	case failure.Class == providers.ClassCanceled:
		x.end(metrics.PhaseCanceled, 0, "the client did not read on")
		panic(http.ErrAbortHandler) // its connection is of no more use
	default:
		x.s.event(metrics.Event{Kind: metrics.EventAborted, Provider: p.Provider, Model: p.Model, Request: x.id, Text: x.s.reason(failure)})
		x.abort(failure)
	}
	return nil
}

// ErrShutdown is the cause with which the server's base context is cancelled
// when running requests can wait no longer.
var ErrShutdown = errors.New("the proxy is shutting down")

// interrupted reports whether the request is over for a reason that is no
// upstream's, and ends it: its client has left, or the proxy shuts down.
func (x *exchange) interrupted() bool {
	ctx := x.r.Context()
	switch {
	case ctx.Err() == nil:
		return false
	case !errors.Is(context.Cause(ctx), ErrShutdown):
		x.end(metrics.PhaseCanceled, 0, "the client left")
	default:
		stop := &providers.Error{Status: statusOverloaded, Class: providers.ClassOverloaded, Err: ErrShutdown}
		if x.committed {
			x.abort(stop)
		} else {
			x.refuse(&refusal{statusOverloaded, ErrShutdown.Error()})
		}
	}
	return true
}

// asError gives every failure the type that says what it means.
func asError(p routing.Pick, err error) *providers.Error {
	if err == nil {
		return nil
	}
	var e *providers.Error
	if !errors.As(err, &e) {
		e = &providers.Error{Class: providers.ClassBroken, Err: err}
	}
	e.Provider, e.Model = p.Provider, p.Model
	return e
}

// errGone is a write that failed: the client has left or does not read.
var errGone = errors.New("write to the client")

// relay passes the frames of an answer on as they come. Until the first
// content they are held back.
func (x *exchange) relay(p routing.Pick, stream *providers.Stream, meter *metrics.Attempt, watch *watch) error {
	x.held = x.held[:0]
	for {
		frame, err := stream.Next()
		now := time.Now()
		if err != nil {
			if err == io.EOF {
				err = &providers.Error{Class: providers.ClassBroken, Err: errors.New("ended without being complete")}
			}
			return err
		}
		watch.heard(now)
		progress(meter, frame, now, x.req.Stream)
		if frame.Kind == providers.Failed {
			return frame.Err
		}
		if !x.committed {
			if frame.Kind == providers.Preamble && len(x.held)+len(frame.Bytes) <= maxHeld {
				x.held = append(x.held, frame.Bytes...)
				continue
			}
			x.commit(p, stream, frame)
		}
		if err := x.send(now, frame); err != nil {
			return err
		}
		watch.heard(time.Now()) // a client that reads slowly is not the upstream's silence
		if frame.Kind == providers.End {
			return nil
		}
	}
}

// send writes one frame, and what was held before it, in one write and flush.
func (x *exchange) send(now time.Time, frame providers.Frame) error {
	out := frame.Bytes
	if len(x.held) > 0 {
		out = append(x.held, frame.Bytes...)
		x.held = nil
	}
	if len(out) == 0 {
		return nil
	}
	x.extendDeadline(now)
	x.capture.Append(out)
	if _, err := x.w.Write(out); err != nil {
		return &providers.Error{Class: providers.ClassCanceled, Err: errors.Join(errGone, err)}
	}
	if !x.req.Stream {
		return nil // the server flushes at the end
	}
	if err := x.rc.Flush(); err != nil {
		return &providers.Error{Class: providers.ClassCanceled, Err: errors.Join(errGone, err)}
	}
	return nil
}

const (
	// writeTime is how long the client may leave one event unread.
	writeTime = 60 * time.Second
	// deadlineStep spares moving the deadline with every event.
	deadlineStep = 5 * time.Second
)

func (x *exchange) extendDeadline(now time.Time) {
	if now.Sub(x.wrote) >= deadlineStep {
		_ = x.rc.SetWriteDeadline(now.Add(writeTime)) // not all writers can
		x.wrote = now
	}
}

// commit sends the answer's headers: from here on there is no way back.
func (x *exchange) commit(p routing.Pick, stream *providers.Stream, frame providers.Frame) {
	x.committed = true
	h := x.w.Header()
	copyHeader(h, stream.Header)
	x.stamp(h, p)
	if !x.req.Stream {
		h.Set("Content-Length", strconv.Itoa(len(x.held)+len(frame.Bytes)))
	}
	x.extendDeadline(time.Now())
	x.w.WriteHeader(stream.Status)
	if x.rec != nil {
		x.rec.Commit(stream.Status)
	}
}

// stamp says, in headers, where the answer came from.
func (x *exchange) stamp(h http.Header, p routing.Pick) {
	h.Set("X-Anyproxy-Provider", p.Provider)
	h.Set("X-Anyproxy-Model", p.Model)
	h.Set("X-Anyproxy-Attempts", strconv.Itoa(x.attempts))
}

func copyHeader(dst, src http.Header) {
	for name, values := range src {
		dst[name] = values
	}
}

// abort ends a committed answer that cannot be completed: with the upstream's
// own error event, else with one of ours, never with a silent cut. A non-stream
// answer has no place for it; its connection is torn so that nobody takes it
// for whole.
func (x *exchange) abort(failure *providers.Error) {
	status, message := failureWords(failure)
	x.end(metrics.PhaseFailed, 0, message)
	if !x.req.Stream {
		panic(http.ErrAbortHandler)
	}
	body := failure.Body
	if body == nil {
		body = errorBody(x.id, status, x.s.redact.String(message))
	}
	event := sse.AppendEvent(nil, "error", body)
	x.capture.Append(event)
	_, _ = x.w.Write(event) // the client may be gone
	_ = x.rc.Flush()
}

// progress tells the meters what a frame brought.
func progress(meter *metrics.Attempt, f providers.Frame, now time.Time, stream bool) {
	if meter == nil {
		return
	}
	content := f.Kind == providers.Content || f.Kind == providers.End && f.Text > 0
	p := metrics.Progress{At: now, Text: f.Text, Content: stream && content,
		Generating: f.Generating, Hidden: f.Hidden, Final: f.Kind == providers.End}
	if u := f.Usage; u != nil {
		p.Usage = &metrics.Tokens{Input: u.Input, Output: u.Output, CacheRead: u.CacheRead, CacheWrite: u.CacheWrite}
	}
	meter.Progress(p)
}
