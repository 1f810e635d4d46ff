package anthropic

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter bounds what is believed: the longest window of a subscription
// is a week.
const maxRetryAfter = 8 * 24 * time.Hour

// retryAfter is how long the upstream asked to be left alone, 0 when it did
// not say. What it states counts first: retry-after-ms, retry-after (RFC 9110,
// section 10.2.3: seconds or a date). Else it is the time until the used-up
// limits are reset, the latest of them as all must be met.
func retryAfter(h http.Header, status int, now time.Time) time.Duration {
	if ms, ok := number(h.Get("Retry-After-Ms")); ok {
		return clamp(ms, time.Millisecond)
	}
	if d, ok := statedDelay(h.Get("Retry-After"), now); ok {
		return d
	}
	used, all := resets(h, now)
	if unified := unifiedReset(h, status, now); unified > used {
		used = unified
	}
	if used == 0 && status == http.StatusTooManyRequests {
		used = all
	}
	return used
}

func statedDelay(value string, now time.Time) (time.Duration, bool) {
	if s, ok := number(value); ok {
		return clamp(s, time.Second), true
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	return until(at, now), true
}

// resets reads anthropic-ratelimit-{requests,tokens,…}-{remaining,reset}: how
// long until the limits with nothing remaining are reset, and until all are.
// Their times are RFC 3339 (docs.anthropic.com/en/api/rate-limits).
func resets(h http.Header, now time.Time) (used, all time.Duration) {
	for name, values := range h {
		limit, ok := strings.CutSuffix(name, "-Reset")
		if !ok || len(values) == 0 || !strings.HasPrefix(limit, "Anthropic-Ratelimit-") {
			continue
		}
		at, err := time.Parse(time.RFC3339, values[0])
		if err != nil {
			continue
		}
		d := until(at, now)
		all = max(all, d)
		if h.Get(limit+"-Remaining") == "0" {
			used = max(used, d)
		}
	}
	return used, all
}

// unifiedReset reads the limits of a subscription: the time, in Unix seconds,
// at which the window that refused the request opens again.
func unifiedReset(h http.Header, status int, now time.Time) time.Duration {
	refused := h.Get("Anthropic-Ratelimit-Unified-Status") == "rejected"
	if !refused && (status != http.StatusTooManyRequests || h.Get("Anthropic-Ratelimit-Unified-Status") != "") {
		return 0
	}
	at, err := strconv.ParseInt(h.Get("Anthropic-Ratelimit-Unified-Reset"), 10, 64)
	if err != nil || at <= 0 || at > math.MaxInt32*2 {
		return 0
	}
	return until(time.Unix(at, 0), now)
}

// number reads a decimal number that is not negative.
func number(s string) (float64, bool) {
	n, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	return n, err == nil && n >= 0
}

func clamp(n float64, unit time.Duration) time.Duration {
	if n >= float64(maxRetryAfter/unit) {
		return maxRetryAfter
	}
	return time.Duration(n * float64(unit))
}

func until(at, now time.Time) time.Duration {
	return min(max(0, at.Sub(now)), maxRetryAfter)
}
