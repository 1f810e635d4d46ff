package simulator

import (
	"context"
	"iter"
	"net/http"
	"slices"
	"strings"
	"time"
)

// rendering is an Answer in the bytes of one wire format: all that a front
// hands to the exchange.
type rendering struct {
	contentType string
	// timetable has one entry for each event, or a single one for a non-stream answer.
	timetable iter.Seq2[Step, []byte]
	// whole is the length of a non-stream answer, 0 for a stream.
	whole int
	// event makes an error event.
	event func(Reply) []byte
	// refuse sends a Reply in place of the answer.
	refuse func(http.ResponseWriter, Reply)
}

// exchange is one request being answered, faults included.
type exchange struct {
	w      http.ResponseWriter
	ctx    context.Context // ends when the client leaves or the Upstream is closed
	began  time.Time
	faults []Fault
	rendering
}

// begun asks the script for the answer to a request and begins to give it.
func (u *Upstream) begun(w http.ResponseWriter, r *http.Request, rec *Received) (*Answer, exchange) {
	a := u.script(int(u.asked.Add(1))-1, rec)
	return &a, exchange{w: w, ctx: r.Context(), began: rec.Time, faults: slices.Clone(a.Faults)}
}

func (x *exchange) serve() {
	if x.beforeHeaders() {
		return
	}
	out, err := x.open()
	if err != nil {
		return // the client has gone
	}
	p := player{out: out, faults: slices.Clone(x.faults), failure: x.event}
	switch p.play(x.ctx, x.began, x.timetable) {
	case ended:
		_ = out.finish()
	case wasReset:
		out.abort(true)
	case broken, left:
		out.abort(false)
	}
}

// beforeHeaders carries out the first fault that leaves no answer at all.
func (x *exchange) beforeHeaders() bool {
	for i := range x.faults {
		f := &x.faults[i]
		if x.whole > 0 {
			f.At = f.At.inWhole(x.whole)
		}
		early := f.At == BeforeHeaders
		switch {
		case f.Kind == Respond, f.Kind == ErrorEvent && (early || x.whole > 0):
			x.refuse(x.w, f.Reply)
		case early && f.Kind == Hang:
			<-x.ctx.Done()
			x.raw("", false)
		case early && f.Kind == Reset:
			x.raw("", true)
		case early && f.Kind == Garbage:
			x.raw("\x16\x03\x01 this is not HTTP\r\n\x00\xff\xfe\r\n\r\n", false)
		case early && (f.Kind == Break || f.Kind == Cut):
			x.raw("", false)
		default:
			continue
		}
		return true
	}
	return false
}

// inWhole is where a Point lies in a non-stream answer of n bytes.
func (p Point) inWhole(n int) Point {
	if p.by == byEvents || p.by == byDeltas {
		return Bytes(n / 2)
	}
	return p
}

// raw takes the connection over, sends s on it and closes it.
func (x *exchange) raw(s string, reset bool) {
	conn, _, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		return
	}
	if s != "" {
		_, _ = conn.Write([]byte(s))
	}
	closeConn(conn, reset)
}

// open sends the headers.
func (x *exchange) open() (sink, error) {
	x.headers(x.w.Header())
	out, err := x.bare()
	if err != nil {
		return nil, err
	}
	for _, f := range x.faults {
		if f.Kind == Drip {
			out = dripSink{sink: out, ctx: x.ctx, every: f.Every}
		}
	}
	if x.has(Gzip) {
		out = newGzipSink(out)
	}
	return out, nil
}

func (x *exchange) headers(h http.Header) {
	h.Set("Content-Type", x.contentType)
	if x.has(WrongType) {
		h.Set("Content-Type", "text/plain; charset=utf-8")
	}
	if x.has(Gzip) {
		h.Set("Content-Encoding", "gzip")
	}
	if x.has(BigHeader) {
		h.Set("X-Padding", strings.Repeat("x", 1_500_000))
	}
}

func (x *exchange) bare() (sink, error) {
	if x.has(HTTP10) {
		return x.hijack()
	}
	x.w.WriteHeader(http.StatusOK)
	s := httpSink{x.w, http.NewResponseController(x.w)}
	if x.whole == 0 {
		return s, s.flush()
	}
	return s, nil
}

// hijack takes the connection over and answers in HTTP/1.0. From here on
// net/http neither notices a client that leaves, so a failed write has to, nor
// closes the connection when the Upstream is closed.
func (x *exchange) hijack() (sink, error) {
	conn, _, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		return nil, err
	}
	var head strings.Builder
	head.WriteString("HTTP/1.0 200 OK\r\n")
	_ = x.w.Header().Write(&head)
	head.WriteString("\r\n")
	context.AfterFunc(x.ctx, func() { _ = conn.Close() })
	if _, err := conn.Write([]byte(head.String())); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return rawSink{conn}, nil
}

func (x *exchange) has(kind FaultKind) bool {
	return slices.ContainsFunc(x.faults, func(f Fault) bool { return f.Kind == kind })
}
