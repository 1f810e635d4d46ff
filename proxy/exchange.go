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
	"anyproxy/proxy/routing"
)

// maxHeld bounds what is held back of an answer without content: then it is
// passed on as it is.
const maxHeld = 64 << 10

// exchange is one request on its way: from the candidates to the answer. It
// belongs to the handler's goroutine.
type exchange struct {
	s     *Server
	rt    *Runtime
	r     *http.Request
	key   *clientKey // nil without client keys
	id    string
	began time.Time
	req   providers.Request
	query routing.Query
	rec   *metrics.Request // nil for what is not a model request
	reply *reply

	attempts int
	failures []*providers.Error
	held     []byte // events before the first content
	// committed is set once the client has been sent something of an upstream:
	// there is no way back from there.
	committed bool
	ended     bool // its record is closed
}

// serve tries the route's candidates in turn until one has answered, or until
// its failure is the answer.
func (x *exchange) serve(route *routing.Route) {
	for {
		if x.timeLeft() <= 0 {
			x.late()
			return
		}
		a, ok := route.Next()
		if !ok {
			x.exhausted(route.Len())
			return
		}
		if n := len(x.failures); n > 0 {
			x.s.fallback(x, x.failures[n-1], a)
		}
		err := x.attempt(a)
		if err == nil || x.endIfInterrupted() {
			return
		}
		if !err.Class.Fallback() || x.passedThrough(a.Provider, err) {
			x.relayError(err, notExhausted)
			return
		}
		x.failures = append(x.failures, err)
	}
}

// timeLeft is how long the request may still wait for its first content.
func (x *exchange) timeLeft() time.Duration {
	return x.rt.Config.Routing.Deadline - time.Since(x.began)
}

// passedThrough reports whether the failure is about the client's own
// credential: the client must see it as it is.
func (x *exchange) passedThrough(provider string, err *providers.Error) bool {
	return err.Class == providers.ClassCredential && x.rt.passthrough(provider)
}

// attempt makes one exchange. nil means that the client has an answer, whole or
// with its failure told; an error, that nothing of this upstream has been sent.
func (x *exchange) attempt(p *routing.Attempt) *providers.Error {
	x.attempts++
	meter := x.meter(p)
	stream, err := x.ask(p, meter)
	failure := asError(p, err)
	if failure != nil && failure.Renewed {
		x.recordAttempt(meter, x.outcome(p, stream, failure), stream, failure)
		x.attempts++
		meter = x.meter(p)
		stream, err = x.ask(p, meter)
		failure = asError(p, err)
	}
	x.report(p, meter, stream, failure)
	switch {
	case failure == nil:
		x.end(metrics.PhaseOK, 0, "")
	case !x.committed:
		return failure
	case x.endIfInterrupted():
	case failure.Class == providers.ClassCanceled:
		x.end(metrics.PhaseCanceled, 0, "the client did not read on")
		panic(http.ErrAbortHandler) // its connection is of no more use
	default:
		x.s.event(metrics.Event{Kind: metrics.EventAborted, Provider: p.Provider, Model: p.Model, Request: x.id, Text: x.s.reason(failure)})
		x.abort(failure)
	}
	return nil
}

// ask sends the request to one upstream and relays its answer. stream is the
// answer, nil when there was none; it is closed.
func (x *exchange) ask(p *routing.Attempt, meter *metrics.Attempt) (stream *providers.Stream, err error) {
	defer x.contain(&err)
	ctx, cancel := context.WithCancelCause(x.r.Context())
	defer cancel(nil)
	limits := x.rt.providers[p.Provider].config.Timeouts
	silence := p.FirstByte(limits.FirstByte)
	if !x.req.Stream {
		silence = limits.Total
	}
	watch := newWatch(cancel, silence, x.timeLeft())
	defer watch.stop()

	req := x.req
	req.Model = p.Model
	stream, err = x.rt.providers[p.Provider].Send(ctx, &req)
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	if x.req.Stream {
		watch.setSilence(limits.Idle)
	}
	return stream, x.relay(p, stream, meter, watch)
}

// asError gives every failure the type that says what it means.
func asError(p *routing.Attempt, err error) *providers.Error {
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

// ErrShutdown is the cause with which the server's base context is cancelled
// when running requests can wait no longer.
var ErrShutdown = errors.New("the proxy is shutting down")

// endIfInterrupted ends the request if it is over for a reason that is no
// upstream's, and reports whether it is: its client has left, or the proxy shuts down.
func (x *exchange) endIfInterrupted() bool {
	ctx := x.r.Context()
	switch {
	case ctx.Err() == nil:
		return false
	case !errors.Is(context.Cause(ctx), ErrShutdown):
		x.end(metrics.PhaseCanceled, 0, "the client left")
		panic(http.ErrAbortHandler) // one that only stopped sending must not take silence for an answer
	case x.committed:
		x.abort(&providers.Error{Status: statusOverloaded, Class: providers.ClassOverloaded, Err: ErrShutdown})
	default:
		x.refuse(refuse(statusOverloaded, ErrShutdown.Error()))
	}
	return true
}

// relay passes the frames of an answer on as they come. Until the first
// content they are held back.
func (x *exchange) relay(p *routing.Attempt, stream *providers.Stream, meter *metrics.Attempt, watch *watch) error {
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
		out := frame.Bytes
		if !x.committed {
			if frame.Kind == providers.Preamble && len(x.held)+len(frame.Bytes) <= maxHeld {
				x.held = append(x.held, frame.Bytes...)
				continue
			}
			watch.committed()
			if len(x.held) > 0 {
				out = append(x.held, frame.Bytes...)
				x.held = nil
			}
			x.commit(p, stream, len(out))
		}
		watch.pause() // a client that reads slowly is not the upstream's silence
		if err := x.reply.write(out, now); err != nil {
			return err
		}
		watch.heard(time.Now())
		if frame.Kind == providers.End {
			return nil
		}
	}
}

// commit sends the answer's headers, where they are not sent: from here on
// there is no way back. size is the length of a non-stream body.
func (x *exchange) commit(p *routing.Attempt, stream *providers.Stream, size int) {
	x.committed = true
	x.reply.open(stream.Status, func(h http.Header) {
		copyHeader(h, stream.Header)
		x.stamp(h, p.Provider, p.Model)
		if !x.req.Stream {
			h.Set("Content-Length", strconv.Itoa(size))
		}
	})
	if x.rec != nil {
		x.rec.Commit(stream.Status)
	}
	if !x.s.log.KeepsBodies() {
		x.dropBody()
	}
}

// dropBody gives the request's body back: nobody will be sent it any more. A
// long stream then does not hold the memory of a long conversation.
func (x *exchange) dropBody() {
	if x.req.Body != nil {
		x.req.Body.Release()
		x.req.Body = nil
	}
}

// stamp says, in headers, where the answer came from.
func (x *exchange) stamp(h http.Header, provider, model string) {
	if provider != "" {
		h.Set("X-Anyproxy-Provider", provider)
		h.Set("X-Anyproxy-Model", model)
	}
	h.Set("X-Anyproxy-Attempts", strconv.Itoa(x.attempts))
}

func copyHeader(dst, src http.Header) {
	for name, values := range src {
		dst[name] = values
	}
}

// abort ends a committed answer that cannot be completed, with the upstream's
// own error event where it sent one.
func (x *exchange) abort(failure *providers.Error) {
	status, message := failureWords(failure)
	if failure.Provider != "" {
		status = http.StatusBadGateway // an answer that broke, by whatever cause, is an api_error
	}
	x.end(metrics.PhaseFailed, 0, message)
	body := failure.Body
	if body == nil {
		body = errorBody(x.id, status, x.s.redact.String(message))
	}
	x.reply.fail(status, body, func(http.Header) {})
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
