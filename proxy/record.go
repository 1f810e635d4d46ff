package proxy

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"anyproxy/config"
	"anyproxy/metrics"
	"anyproxy/providers"
	"anyproxy/proxy/routing"
)

// begin opens the request's record.
func (x *exchange) begin(c *call, session, trace string) {
	first := metrics.RequestRecord{ID: c.id, Method: c.Method, Path: c.URL.Path, Model: x.s.redact.String(x.scan.model),
		Stream: x.req.Stream, Session: x.s.redact.String(session), Trace: trace}
	if c.key != nil {
		first.Key = c.key.name
	}
	x.rec = x.s.rec.Begin(first)
}

// meter opens an attempt's record, nil for what is not a model request.
func (x *exchange) meter(p *routing.Attempt) *metrics.Attempt {
	if x.rec == nil {
		return nil
	}
	a := x.rec.Attempt(p.Provider, p.Model)
	a.Price(x.rates(p.Provider, p.Model, p.Model))
	if x.rt.providers[p.Provider].config.Type == config.OpenAI { // usage comes last there, or never
		a.Expect(int64(x.query.Look().Need.Tokens))
	}
	return a
}

// recordAttempt closes it and writes its line of the request log.
func (x *exchange) recordAttempt(a *answer, out metrics.Result, failure *providers.Error) (metrics.AttemptRecord, metrics.Reading) {
	if a.gauge.meter == nil {
		return metrics.AttemptRecord{}, metrics.Reading{}
	}
	a.flush()
	attempt, reading := a.gauge.meter.End(out)
	var header http.Header
	var body []byte
	switch {
	case failure != nil && failure.Body != nil:
		header, body = failure.Header, failure.Body
	case a.stream != nil:
		header, body = a.stream.Header, x.reply.capture.Bytes()
	}
	if x.s.log != nil {
		rec := x.rec.Record()
		x.s.log.Attempt(&rec, x.attempts, &attempt, header, body)
	}
	return attempt, reading
}

// recordRenewed records an attempt that is made anew as another request. It is apart
// for its 400 bytes of stack: those of an attempt bear down on all that it calls.
func (x *exchange) recordRenewed(a *answer, failure *providers.Error) {
	x.recordAttempt(a, x.outcome(a, failure), failure)
}

// end closes the request's record and tells its outcome. status is what the
// client got where Commit has not said it.
func (x *exchange) end(phase metrics.Phase, status int, told string) {
	if x.rec == nil || x.ended {
		return
	}
	x.ended = true
	x.rec.Worked(time.Since(x.began) - x.blocked)
	rec := x.rec.End(phase, status, told)
	var body []byte
	if x.req.Body != nil {
		body = x.req.Body.Bytes()
	}
	x.s.log.Request(&rec, x.r.Header, body)
	level := slog.LevelDebug // what went well is on the screen and in the request log
	if phase == metrics.PhaseFailed {
		level = slog.LevelWarn
	}
	if !x.s.logger.Enabled(context.Background(), level) {
		return
	}
	attrs := make([]slog.Attr, 0, 12)
	attrs = append(attrs, slog.String("id", rec.ID), slog.String("model", rec.Model), slog.String("phase", string(rec.Phase)),
		slog.Int("status", rec.Status), slog.Duration("took", rec.Duration.Round(time.Millisecond)))
	if n := len(rec.Decision.Attempts); n > 0 {
		attrs = append(attrs, slog.String("provider", rec.Decision.Attempts[n-1].Provider), slog.Int("attempts", n))
	}
	if rec.TTFT > 0 {
		attrs = append(attrs, slog.Duration("ttft", rec.TTFT.Round(time.Millisecond)))
	}
	if rec.TPS > 0 {
		attrs = append(attrs, slog.Float64("tps", float64(int(rec.TPS*10))/10))
	}
	attrs = append(attrs, slog.Int64("in", rec.Tokens.Input), slog.Int64("out", rec.Tokens.Output))
	if rec.Trace != "" {
		attrs = append(attrs, slog.String("trace", rec.Trace))
	}
	if rec.Error != "" {
		attrs = append(attrs, slog.String("error", rec.Error))
	}
	x.s.logger.LogAttrs(context.Background(), level, "request", attrs...)
}
