package ratelimit

import (
	"net/http"
	"strconv"
	"time"

	"anyproxy/providers"
)

// shortTerm is how long a limit is believed that does not say when it is reset.
const shortTerm = time.Minute

// Read gives the limits that an answer states. Where several limit the same the
// one with the least left counts.
func Read(h http.Header, now time.Time) providers.Limits {
	var l providers.Limits
	for i := range known {
		n := &known[i]
		at := &l.Requests
		switch n.counts {
		case inputTokens:
			at = &l.Tokens
		case outputTokens:
			continue // how long an answer becomes nobody knows before
		}
		a, ok := allowance(h, n, now)
		if !ok {
			continue
		}
		if at.Limit == 0 || a.Remaining < at.Remaining {
			*at = a
		}
	}
	for _, w := range windows {
		if used, ok := number(h.Get(unified + w + "-Utilization")); ok {
			l.Used = max(l.Used, min(used, 1))
		}
	}
	return l
}

func allowance(h http.Header, n *limits, now time.Time) (providers.Allowance, bool) {
	remaining, err := strconv.ParseInt(first(h, n.remaining), 10, 64)
	if err != nil || remaining < 0 {
		return providers.Allowance{}, false
	}
	limit, _ := strconv.ParseInt(first(h, n.limit), 10, 64)
	a := providers.Allowance{Limit: max(limit, remaining, 1), Remaining: remaining, Reset: now.Add(shortTerm)}
	if d, ok := resetIn(first(h, n.reset), now); ok {
		a.Reset = now.Add(d)
	}
	return a, true
}
