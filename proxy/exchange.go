package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
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
//
// Here and in answer what each event needs stands together and first: by the next
// one the processor's caches have forgotten it.
type exchange struct {
	s     *Server
	reply *reply
	// blocked is how long it has waited for the client and for upstreams.
	blocked time.Duration

	rt    *Runtime
	r     *http.Request
	key   *clientKey // nil without client keys
	id    string
	began time.Time
	req   providers.Request
	scan  scan
	query routing.Query
	rec   *metrics.Request // nil for what is not a model request

	route    *routing.Route
	attempts int
	failures []*providers.Error
	latest   struct { // of them, in words: recorded, and told when the next one is asked
		failure *providers.Error
		reason  string
	}
	asked  *routing.Attempt // last
	result routing.Result   // of that
	tried  []byte           // what the answer's header says of failed attempts
	// committed is set once the client has been sent something of an upstream:
	// there is no way back from there.
	committed bool
	ended     bool // its record is closed
}

// maxRenewals bounds how often one upstream is asked anew because it would be
// another request: servers name what they do not take one field at a time.
const maxRenewals = 4

// An answer is one attempt that is being made. At first it is held back; once it
// has brought content it is the one that the client gets.
type answer struct {
	frames providers.Frames // stream's
	held   []byte           // the frames before the first content; from stash, nil when there are none
	at     time.Time        // when the newest frame came; before the first one, the head
	frame  providers.Frame
	gauge  gauge
	watch  watch

	p      *routing.Attempt
	stream *providers.Stream // nil when none has come
	cancel context.CancelCauseFunc
	sent   time.Time
}

// stash keeps the buffers of what was held back.
var stash = sync.Pool{New: func() any { return new([]byte) }}

// maxStashed is the largest of them that is kept: the usual preamble is much shorter.
const maxStashed = 4 << 10

// hold keeps the newest frame back.
func (a *answer) hold() {
	if a.held == nil {
		a.held = (*stash.Get().(*[]byte))[:0]
	}
	a.held = append(a.held, a.frame.Bytes...)
}

// drop lets go what was held back.
func (a *answer) drop() {
	if held := a.held; held != nil && cap(held) <= maxStashed {
		stash.Put(&held)
	}
	a.held = nil
}

// close ends the attempt. What it has brought is not to be used any more.
func (a *answer) close() {
	defer a.cancel(nil)
	defer a.watch.stop()
	a.drop()
	if a.stream != nil {
		a.stream.Close()
	}
}

// find tries the route's candidates in turn until one brings content. nil means
// that the client has been told that none did, or has left.
//
// Nothing of it is left on the stack when the answer is passed on: that may
// take minutes, and thousands may do it at a time.
func (x *exchange) find() *answer {
	for {
		if x.timeLeft() <= 0 {
			x.late()
			return nil
		}
		p, ok := x.route.Next()
		if !ok {
			x.exhausted()
			return nil
		}
		x.asked = p
		if n := len(x.failures); n > 0 {
			x.s.fallback(x, x.failures[n-1], p)
		}
		a, err := x.attempt(p)
		switch {
		case err == nil:
			return a
		case x.endIfInterrupted():
			return nil
		case x.final(p, err):
			x.relayError(err, notExhausted)
			return nil
		}
		x.failures = append(x.failures, err)
		if wait, ok := x.route.Again(p, x.result); ok && !x.pause(wait) && x.endIfInterrupted() {
			return nil
		}
	}
}

// final reports whether a failure is the answer, whoever else could be asked.
func (x *exchange) final(p *routing.Attempt, err *providers.Error) bool {
	if err.Class == providers.ClassInvalid && x.rt.converts(p.Provider) && x.route.OnlyNative() {
		// What was refused may be our conversion's doing as well as the client's.
		x.s.event(metrics.Event{Kind: metrics.EventConversion, Provider: p.Provider, Model: p.Model, Request: x.id, Text: x.s.reason(err)})
		return false
	}
	return !err.Class.Fallback() || x.passedThrough(p.Provider, err)
}

// pause waits before the same upstream is asked again. It is false when the
// request ended meanwhile.
func (x *exchange) pause(d time.Duration) bool {
	wait := min(d, x.timeLeft())
	timer := time.NewTimer(wait)
	defer timer.Stop()
	x.blocked += max(wait, 0)
	select {
	case <-timer.C:
		return true
	case <-x.r.Context().Done():
		return false
	}
}

// release sees to it that nothing is in flight when the handler returns,
// whatever has happened: an attempt that was not reported has told nothing.
func (x *exchange) release() {
	if x.asked != nil {
		x.asked.Report(routing.Result{Verdict: routing.Neutral})
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

// attempt makes one exchange, as far as its first content. An error means that
// nothing of this upstream has been or will be sent.
func (x *exchange) attempt(p *routing.Attempt) (*answer, *providers.Error) {
	a, failure := x.ask(p)
	for n := 0; n < maxRenewals && failure != nil && failure.Renewed && x.timeLeft() > 0 && x.r.Context().Err() == nil; n++ {
		x.recordRenewed(a, failure)
		a, failure = x.ask(p)
	}
	if failure != nil {
		x.report(a, failure)
		return nil, failure
	}
	return a, nil
}

// ask sends the request to one upstream and holds back what comes of its answer
// until there is content. A failed attempt is closed.
func (x *exchange) ask(p *routing.Attempt) (*answer, *providers.Error) {
	x.attempts++
	limits := x.rt.providers[p.Provider].config.Timeouts
	silence := p.FirstByte(limits.FirstByte)
	if !x.req.Stream {
		silence = limits.Total
	}
	ctx, cancel := context.WithCancelCause(x.r.Context())
	a := &answer{p: p, gauge: gauge{meter: x.meter(p), stream: x.req.Stream}, cancel: cancel, sent: time.Now()}
	a.watch.begin(cancel, silence, x.timeLeft())
	return a, asError(p, x.try(ctx, a))
}

// try makes the attempt up to the first content. One that fails is closed.
func (x *exchange) try(ctx context.Context, a *answer) (err error) {
	defer x.contain(&err)
	held := false
	defer func() {
		if !held {
			a.close()
		}
	}()
	if err := x.open(ctx, a); err != nil {
		return err
	}
	if x.req.Stream {
		a.watch.setSilence(x.rt.providers[a.p.Provider].config.Timeouts.Idle)
		// Not further down: a head takes stack, 3 KB with net/http, and one that has
		// doubled for it stays so for all of a stream.
		x.reply.prepare(a.stream.Status, func(h http.Header) { x.head(a, h) })
	}
	if err := x.hold(a); err != nil {
		return err
	}
	held = true
	return nil
}

// open sends the request and takes up the answer.
func (x *exchange) open(ctx context.Context, a *answer) (err error) {
	req := x.req
	req.Model = a.p.Model
	a.at = x.s.o.Now()
	a.stream, err = x.rt.providers[a.p.Provider].Send(ctx, &req)
	asked := a.at
	a.at = x.s.o.Now()
	x.blocked += a.at.Sub(asked)
	if err != nil {
		return err
	}
	a.frames = a.stream.Frames
	if billed := a.stream.Billed; billed != "" && a.gauge.meter != nil {
		a.gauge.meter.Price(x.rates(a.p.Provider, a.p.Model, billed))
	}
	if x.req.Endpoint != providers.CountTokens { // which has limits of its own
		a.p.Limits(limitsOf(a.stream.Limits))
	}
	if a.stream.Opaque {
		a.p.Heard(a.at)
	}
	return nil
}

// hold keeps back what comes up to the first content.
func (x *exchange) hold(a *answer) error {
	for since := a.at; ; {
		if err := x.next(a, since); err != nil {
			return err
		}
		since = x.s.o.Now()
		if a.frame.Kind != providers.Preamble || len(a.held)+len(a.frame.Bytes) > maxHeld {
			a.watch.committed()
			return nil
		}
		a.measure()
		a.hold()
	}
}

// limitsOf is what an upstream says of its rate limits, for the choice.
func limitsOf(l providers.Limits) routing.Limits {
	return routing.Limits{Requests: routing.Allowance(l.Requests), Tokens: routing.Allowance(l.Tokens), Used: l.Used}
}

// next waits for a frame, from now on. Whoever calls it has the meters told what
// it brought, when the client need not wait for that.
func (x *exchange) next(a *answer, now time.Time) (err error) {
	a.frame, err = a.frames.Next()
	a.at = x.s.o.Now()
	x.blocked += a.at.Sub(now)
	if err != nil {
		if err == io.EOF {
			err = &providers.Error{Class: providers.ClassBroken, Err: errors.New("ended without being complete")}
		}
		return err
	}
	a.watch.heard(a.at)
	if a.frame.Kind == providers.Failed {
		a.measure()
		return a.frame.Err
	}
	return nil
}

// pass gives the client the answer, to its end or to where it breaks off, which
// is told.
func (x *exchange) pass(a *answer) {
	x.close(a, asError(a.p, x.relay(a)))
}

// close settles what an answer that the client has seen has come to.
func (x *exchange) close(a *answer, failure *providers.Error) {
	x.report(a, failure)
	switch {
	case failure == nil:
		x.end(metrics.PhaseOK, 0, "")
	case x.endIfInterrupted():
	case failure.Class == providers.ClassCanceled:
		x.end(metrics.PhaseCanceled, 0, "the client did not read on")
		panic(http.ErrAbortHandler) // its connection is of no more use
	default:
		x.s.event(metrics.Event{Kind: metrics.EventAborted, Provider: a.p.Provider, Model: a.p.Model, Request: x.id, Text: x.s.reason(failure)})
		x.abort(failure)
	}
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

// relay commits the answer and passes its frames on as they come.
func (x *exchange) relay(a *answer) (err error) {
	defer x.contain(&err)
	defer a.close()
	x.commit(a)
	since, err := x.send(a, x.s.o.Now())
	if err != nil {
		return err
	}
	x.settle(a)
	for a.frame.Kind != providers.End {
		if err := x.next(a, since); err != nil {
			return err
		}
		if since, err = x.send(a, a.at); err != nil {
			return err
		}
	}
	return nil
}

// send gives the client what is held back and the newest frame, from now on, and
// tells when it has.
func (x *exchange) send(a *answer, now time.Time) (time.Time, error) {
	a.watch.pause() // a client that reads slowly is not the upstream's silence
	err := x.reply.write(now, a.held, a.frame.Bytes)
	since := x.s.o.Now()
	x.blocked += since.Sub(now)
	a.watch.heard(since)
	a.measure()
	return since, err
}

// commit sends the answer's headers, where they are not sent: from here on
// there is no way back.
func (x *exchange) commit(a *answer) {
	x.committed = true
	if !x.req.Stream {
		x.reply.prepare(a.stream.Status, func(h http.Header) {
			x.head(a, h)
			h["Content-Length"] = []string{strconv.Itoa(len(a.held) + len(a.frame.Bytes))}
		})
	}
	x.reply.commit(a.stream.Status)
	if x.rec != nil {
		x.rec.Commit(a.stream.Status)
	}
}

// head sets the headers of an answer.
func (x *exchange) head(a *answer, h http.Header) {
	copyHeader(h, a.stream.Header)
	x.stamp(h, a.p.Provider, a.p.Model)
	if lost := a.stream.Degraded; len(lost) > 0 {
		h["X-Anyproxy-Degraded"] = []string{strings.Join(lost, ", ")}
	}
}

// settle lets go what nobody will ask for any more, once the client has the
// first content: a stream may take minutes.
func (x *exchange) settle(a *answer) {
	a.drop()
	if a.frame.Kind == providers.End {
		return
	}
	x.route.Settle()
	if s, ok := a.stream.Frames.(providers.Settler); ok {
		s.Settle()
	}
	if !x.s.log.KeepsBodies() {
		x.dropBody()
	}
	if x.s.log == nil {
		a.stream.Header, x.req.Header, x.r.Header = nil, nil, nil
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
		h["X-Anyproxy-Provider"] = []string{provider}
		h["X-Anyproxy-Model"] = []string{model}
	}
	h["X-Anyproxy-Attempts"] = []string{strconv.Itoa(x.attempts)}
	x.explain(h)
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
