// Package ratelimit reads what upstreams say about their rate limits in the
// headers of an answer, in all forms that are met.
//
// The forms: retry-after in seconds or as a date (RFC 9110, 10.2.3) and
// retry-after-ms (Azure); anthropic-ratelimit-{requests,tokens,input-tokens,
// output-tokens}-{limit,remaining,reset}, whose times are RFC 3339
// (docs.anthropic.com/en/api/rate-limits); anthropic-ratelimit-unified-* of a
// subscription, whose times are Unix seconds, with a window each for 5 hours
// and 7 days (seen in github.com/router-for-me/CLIProxyAPI/pull/3148,
// github.com/lidge-jun/opencodex/pull/3809 and
// github.com/anthropics/claude-code/issues/12829); x-ratelimit-{limit,remaining,
// reset}-{requests,tokens} with durations like 12ms, 1s or 6m0s
// (platform.openai.com/docs/guides/rate-limits), and a bare x-ratelimit-reset
// as a number of seconds or a Unix time (OpenRouter: in milliseconds).
package ratelimit

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// longest bounds what is believed: the longest window of a subscription is a week.
const longest = 8 * 24 * time.Hour

// RetryAfter is how long the upstream asked to be left alone, 0 when it did
// not say. What it states counts first: retry-after-ms, retry-after. Else it is
// the time until the used-up limits are reset, the latest of them as all must
// be met.
func RetryAfter(h http.Header, status int, now time.Time) time.Duration {
	if ms, ok := number(first(h, "Retry-After-Ms")); ok {
		return clamp(ms, time.Millisecond)
	}
	if d, ok := statedDelay(first(h, "Retry-After"), now); ok {
		return d
	}
	if !speaks(h) {
		return 0
	}
	used, all := resets(h, now)
	used = max(used, unifiedReset(h, status, now))
	if used == 0 && status == http.StatusTooManyRequests {
		used = all
	}
	return used
}

func statedDelay(value string, now time.Time) (time.Duration, bool) {
	if s, ok := number(value); ok {
		return clamp(s, time.Second), true
	}
	if value == "" {
		return 0, false
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	return until(at, now), true
}

// limits are the names of one limit's headers.
type limits struct {
	limit, remaining, reset string
	counts                  unit
}

// unit is what a limit counts.
type unit uint8

const (
	requests unit = iota
	inputTokens
	outputTokens
)

var known = [...]limits{
	{"Anthropic-Ratelimit-Requests-Limit", "Anthropic-Ratelimit-Requests-Remaining", "Anthropic-Ratelimit-Requests-Reset", requests},
	{"Anthropic-Ratelimit-Tokens-Limit", "Anthropic-Ratelimit-Tokens-Remaining", "Anthropic-Ratelimit-Tokens-Reset", inputTokens},
	{"Anthropic-Ratelimit-Input-Tokens-Limit", "Anthropic-Ratelimit-Input-Tokens-Remaining", "Anthropic-Ratelimit-Input-Tokens-Reset", inputTokens},
	{"Anthropic-Ratelimit-Output-Tokens-Limit", "Anthropic-Ratelimit-Output-Tokens-Remaining", "Anthropic-Ratelimit-Output-Tokens-Reset", outputTokens},
	{"X-Ratelimit-Limit-Requests", "X-Ratelimit-Remaining-Requests", "X-Ratelimit-Reset-Requests", requests},
	{"X-Ratelimit-Limit-Tokens", "X-Ratelimit-Remaining-Tokens", "X-Ratelimit-Reset-Tokens", inputTokens},
	{"X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Ratelimit-Reset", requests},
}

// resets is how long until the limits with nothing remaining are reset, and
// until all are.
func resets(h http.Header, now time.Time) (used, all time.Duration) {
	for i := range known {
		n := &known[i]
		d, ok := resetIn(first(h, n.reset), now)
		if !ok {
			continue
		}
		all = max(all, d)
		if first(h, n.remaining) == "0" {
			used = max(used, d)
		}
	}
	return used, all
}

// first is the value of a header whose name is canonical.
func first(h http.Header, name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// resetIn reads the time of a reset, in whatever form: a date, a duration, a
// number of seconds, or a Unix time.
func resetIn(value string, now time.Time) (time.Duration, bool) {
	if value == "" {
		return 0, false
	}
	if at, err := time.Parse(time.RFC3339, value); err == nil {
		return until(at, now), true
	}
	if n, ok := number(value); ok {
		const unix, unixMilli = 1e9, 1e12 // 2001 in seconds; below are no milliseconds of this century
		switch {
		case n >= unixMilli:
			return until(time.UnixMilli(int64(min(n, math.MaxInt64/2))), now), true
		case n >= unix:
			return until(time.Unix(int64(n), 0), now), true
		default:
			return clamp(n, time.Second), true
		}
	}
	if d, err := time.ParseDuration(strings.ReplaceAll(value, " ", "")); err == nil {
		return min(max(d, 0), longest), true
	}
	return 0, false
}

// window is one of a subscription's, by the names of its headers.
type window struct{ status, reset, used string }

func named(name string) window {
	canonical := func(field string) string { return http.CanonicalHeaderKey(unified + name + "-" + field) }
	return window{canonical("Status"), canonical("Reset"), canonical("Utilization")}
}

// windows are those that are known by name.
var windows = [...]window{named("5h"), named("7d"), named("7d_opus"), named("7d_sonnet")}

const unified = "Anthropic-Ratelimit-Unified-"

// unifiedReset is when the windows of a subscription that refused the request
// open again, the latest of them; where none is named, when the one that stands
// for all does.
func unifiedReset(h http.Header, status int, now time.Time) time.Duration {
	overall := first(h, unified+"Status")
	if overall != "rejected" && (status != http.StatusTooManyRequests || overall != "") {
		return 0
	}
	var latest time.Duration
	for i := range windows {
		if w := &windows[i]; first(h, w.status) == "rejected" {
			latest = max(latest, unixReset(first(h, w.reset), now))
		}
	}
	if latest > 0 {
		return latest
	}
	return unixReset(first(h, unified+"Reset"), now)
}

func unixReset(value string, now time.Time) time.Duration {
	at, err := strconv.ParseInt(value, 10, 64)
	if err != nil || at <= 0 || at > math.MaxInt32*2 {
		return 0
	}
	return until(time.Unix(at, 0), now)
}

// number reads a decimal number that is not negative.
func number(s string) (float64, bool) {
	if s == "" { // as most often: an error would have to be made
		return 0, false
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	return n, err == nil && n >= 0
}

func clamp(n float64, unit time.Duration) time.Duration {
	if n >= float64(longest/unit) {
		return longest
	}
	return time.Duration(n * float64(unit))
}

func until(at, now time.Time) time.Duration {
	return min(max(0, at.Sub(now)), longest)
}
