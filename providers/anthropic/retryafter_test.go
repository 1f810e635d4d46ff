package anthropic

import (
	"net/http"
	"testing"
	"time"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func TestRetryAfter(t *testing.T) {
	for _, tt := range []struct {
		name   string
		h      map[string]string
		status int
		want   time.Duration
	}{
		{"nothing", nil, 429, 0},
		{"seconds", map[string]string{"retry-after": "30"}, 429, 30 * time.Second},
		{"seconds of a 529", map[string]string{"retry-after": "7"}, 529, 7 * time.Second},
		{"fraction", map[string]string{"retry-after": "1.5"}, 429, 1500 * time.Millisecond},
		{"zero", map[string]string{"retry-after": "0"}, 429, 0},
		{"date", map[string]string{"retry-after": "Mon, 04 May 2026 12:01:30 GMT"}, 429, 90 * time.Second},
		{"past date", map[string]string{"retry-after": "Mon, 04 May 2026 11:00:00 GMT"}, 429, 0},
		{"milliseconds first", map[string]string{"retry-after-ms": "250", "retry-after": "1"}, 429, 250 * time.Millisecond},
		{"garbage", map[string]string{"retry-after": "soon"}, 429, 0},
		{"negative", map[string]string{"retry-after": "-5"}, 429, 0},
		{"not a number", map[string]string{"retry-after": "NaN"}, 429, 0},
		{"huge", map[string]string{"retry-after": "1e300"}, 429, maxRetryAfter},
		{"infinite", map[string]string{"retry-after": "Inf"}, 429, maxRetryAfter},
		{"far date", map[string]string{"retry-after": "Mon, 04 May 2099 12:00:00 GMT"}, 429, maxRetryAfter},
		{"used-up limits, the latest", map[string]string{
			"anthropic-ratelimit-requests-remaining": "0", "anthropic-ratelimit-requests-reset": "2026-05-04T12:00:20Z",
			"anthropic-ratelimit-input-tokens-remaining": "0", "anthropic-ratelimit-input-tokens-reset": "2026-05-04T12:00:40Z",
			"anthropic-ratelimit-tokens-remaining": "900", "anthropic-ratelimit-tokens-reset": "2026-05-04T12:05:00Z"}, 429, 40 * time.Second},
		{"used-up limit of a 529", map[string]string{
			"anthropic-ratelimit-tokens-remaining": "0", "anthropic-ratelimit-tokens-reset": "2026-05-04T12:00:20Z"}, 529, 20 * time.Second},
		{"no limit used up, 429", map[string]string{
			"anthropic-ratelimit-tokens-remaining": "10", "anthropic-ratelimit-tokens-reset": "2026-05-04T12:00:20+00:00"}, 429, 20 * time.Second},
		{"no limit used up, 500", map[string]string{
			"anthropic-ratelimit-tokens-remaining": "10", "anthropic-ratelimit-tokens-reset": "2026-05-04T12:00:20Z"}, 500, 0},
		{"stated time before limits", map[string]string{"retry-after": "3",
			"anthropic-ratelimit-tokens-remaining": "0", "anthropic-ratelimit-tokens-reset": "2026-05-04T12:00:20Z"}, 429, 3 * time.Second},
		{"subscription", map[string]string{"anthropic-ratelimit-unified-status": "rejected", "anthropic-ratelimit-unified-reset": "1777903200"}, 429, 2 * time.Hour},
		{"subscription without status", map[string]string{"anthropic-ratelimit-unified-reset": "1777903200"}, 429, 2 * time.Hour},
		{"subscription with room", map[string]string{"anthropic-ratelimit-unified-status": "allowed", "anthropic-ratelimit-unified-reset": "1777903200"}, 429, 0},
		{"subscription, reset past", map[string]string{"anthropic-ratelimit-unified-reset": "1"}, 429, 0},
		{"subscription, garbage", map[string]string{"anthropic-ratelimit-unified-reset": "9223372036854775807"}, 429, 0},
	} {
		h := http.Header{}
		for name, value := range tt.h {
			h.Set(name, value)
		}
		if got := retryAfter(h, tt.status, noon); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("30", "", "", "", "")
	f.Add("Mon, 04 May 2026 12:01:30 GMT", "1e9", "2026-05-04T12:00:20Z", "0", "1777903200")
	f.Add("-1", "-0", "0001-01-01T00:00:00Z", "x", "-1")
	f.Add("\x00", "0x1p-1074", "9999-12-31T23:59:59+14:00", "", "99999999999999999999")
	f.Fuzz(func(t *testing.T, after, ms, reset, remaining, unified string) {
		h := http.Header{"Retry-After": {after}, "Retry-After-Ms": {ms}, "Anthropic-Ratelimit-Tokens-Reset": {reset},
			"Anthropic-Ratelimit-Tokens-Remaining": {remaining}, "Anthropic-Ratelimit-Unified-Reset": {unified}}
		for _, status := range []int{200, 429, 529} {
			if d := retryAfter(h, status, noon); d < 0 || d > maxRetryAfter {
				t.Fatalf("%v: %v is out of bounds", h, d)
			}
		}
	})
}
