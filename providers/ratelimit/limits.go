package ratelimit

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"anyproxy/providers"
)

// shortTerm is how long a limit is believed that does not say when it is reset.
const shortTerm = time.Minute

// Read gives the limits that an answer states. Where several limit the same the
// one with the least left counts.
func Read(h http.Header, now time.Time) providers.Limits {
	var l providers.Limits
	if !speaks(h) {
		return l
	}
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
	for i := range windows {
		if used := first(h, windows[i].used); used != "" {
			if part, ok := number(used); ok {
				l.Used = max(l.Used, min(part, 1))
			}
		}
	}
	return l
}

// speaks reports whether an answer may say anything: most do not, and each of the
// many names would be looked up.
func speaks(h http.Header) bool {
	for name := range h {
		if strings.Contains(name, "-Ratelimit-") {
			return true
		}
	}
	return false
}

func allowance(h http.Header, n *limits, now time.Time) (providers.Allowance, bool) {
	stated := first(h, n.remaining)
	if stated == "" {
		return providers.Allowance{}, false
	}
	remaining, err := strconv.ParseInt(stated, 10, 64)
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
