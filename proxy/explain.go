package proxy

import (
	"net/http"
	"strconv"
	"time"

	"anyproxy/metrics"
	"anyproxy/providers"
)

const (
	// maxExplained bounds how many candidates a header lists.
	maxExplained = 8
	// maxTried bounds the list of failed attempts: clients take 16 KB of headers.
	maxTried = 1024
)

// explain says, in headers, why the answer came from where it did: the request's
// Decision in short.
//
//	x-anyproxy-route: anthropic t1 w=3.2 71tps 0.8s; zai t1 w=0 cooling
//	x-anyproxy-session: moved speed from zai
//	x-anyproxy-tried: zai rate_limited 0.31s
func (x *exchange) explain(h http.Header) {
	if x.route == nil || x.rec == nil {
		return
	}
	d := &x.route.Decision
	b := make([]byte, 0, 256)
	for i := range d.Candidates[:min(len(d.Candidates), maxExplained)] {
		if i > 0 {
			b = append(b, "; "...)
		}
		b = appendCandidate(b, &d.Candidates[i])
	}
	h["X-Anyproxy-Route"] = []string{string(b)}
	if d.Session.Kind != "" {
		h["X-Anyproxy-Session"] = []string{string(appendBinding(b[:0], &d.Session))}
	}
	if len(x.tried) > 0 {
		h["X-Anyproxy-Tried"] = []string{string(x.tried)}
	}
}

func appendCandidate(b []byte, c *metrics.Candidate) []byte {
	b = append(b, c.Provider...)
	b = append(b, " t"...)
	b = strconv.AppendInt(b, int64(c.Tier), 10)
	b = append(b, " w="...)
	b = strconv.AppendFloat(b, c.W, 'g', 2, 64)
	if c.Skipped != "" {
		b = append(b, ' ')
		return append(b, c.Skipped...)
	}
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(c.TPS+0.5), 10)
	b = append(b, "tps "...)
	return appendSeconds(b, c.TTFT)
}

func appendSeconds(b []byte, d time.Duration) []byte {
	return append(strconv.AppendFloat(b, d.Seconds(), 'f', 2, 64), 's')
}

func appendBinding(b []byte, s *metrics.Binding) []byte {
	b = append(b, s.Kind...)
	if s.Reason != "" {
		b = append(b, ' ')
		b = append(b, s.Reason...)
	}
	if s.Kind == metrics.BindingMoved || s.Kind == metrics.BindingReturned {
		b = append(b, " from "...)
		b = append(b, s.Provider...)
	}
	return b
}

// note adds a failed attempt to what the answer's header says.
func (x *exchange) note(a *answer, failure *providers.Error) {
	if x.committed || len(x.tried) > maxTried {
		return
	}
	if len(x.tried) > 0 {
		x.tried = append(x.tried, "; "...)
	}
	x.tried = append(x.tried, failure.Provider...)
	x.tried = append(x.tried, ' ')
	x.tried = append(x.tried, failure.Class.String()...)
	x.tried = append(x.tried, ' ')
	x.tried = appendSeconds(x.tried, time.Since(a.sent))
}
