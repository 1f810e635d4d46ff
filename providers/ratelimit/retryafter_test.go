package ratelimit

import (
	"net/http"
	"testing"
	"time"

	"anyproxy/providers"
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
		{"huge", map[string]string{"retry-after": "1e300"}, 429, longest},
		{"infinite", map[string]string{"retry-after": "Inf"}, 429, longest},
		{"far date", map[string]string{"retry-after": "Mon, 04 May 2099 12:00:00 GMT"}, 429, longest},
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
		{"subscription, the windows that refused", map[string]string{"anthropic-ratelimit-unified-status": "rejected", "anthropic-ratelimit-unified-reset": "1777896600",
			"anthropic-ratelimit-unified-5h-status": "rejected", "anthropic-ratelimit-unified-5h-reset": "1777896600",
			"anthropic-ratelimit-unified-7d-status": "rejected", "anthropic-ratelimit-unified-7d-reset": "1777903200"}, 429, 2 * time.Hour},
		{"subscription, one window refused", map[string]string{"anthropic-ratelimit-unified-status": "rejected",
			"anthropic-ratelimit-unified-5h-status": "rejected", "anthropic-ratelimit-unified-5h-reset": "1777896600",
			"anthropic-ratelimit-unified-7d-status": "allowed", "anthropic-ratelimit-unified-7d-reset": "1777903200"}, 429, 10 * time.Minute},
		{"OpenAI, what is used up", map[string]string{"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s",
			"x-ratelimit-remaining-tokens": "100", "x-ratelimit-reset-tokens": "7h"}, 429, 6 * time.Minute},
		{"OpenAI, milliseconds", map[string]string{"x-ratelimit-reset-requests": "12ms"}, 429, 12 * time.Millisecond},
		{"OpenAI, one second", map[string]string{"x-ratelimit-reset-tokens": "1s", "x-ratelimit-reset-requests": "0s"}, 429, time.Second},
		{"OpenAI, no 429", map[string]string{"x-ratelimit-reset-tokens": "1s", "x-ratelimit-remaining-tokens": "5"}, 500, 0},
		{"Groq, parts of a second", map[string]string{"x-ratelimit-reset-tokens": "2m59.56s"}, 429, 2*time.Minute + 59560*time.Millisecond},
		{"bare seconds", map[string]string{"x-ratelimit-reset": "30"}, 429, 30 * time.Second},
		{"bare Unix time", map[string]string{"x-ratelimit-reset": "1777896060"}, 429, time.Minute},
		{"OpenRouter, Unix milliseconds", map[string]string{"x-ratelimit-reset": "1777896060500"}, 429, time.Minute + 500*time.Millisecond},
		{"reset as garbage", map[string]string{"x-ratelimit-reset-tokens": "-3s", "x-ratelimit-reset-requests": "soon"}, 429, 0},
		{"subscription with room", map[string]string{"anthropic-ratelimit-unified-status": "allowed", "anthropic-ratelimit-unified-reset": "1777903200"}, 429, 0},
		{"subscription, reset past", map[string]string{"anthropic-ratelimit-unified-reset": "1"}, 429, 0},
		{"subscription, garbage", map[string]string{"anthropic-ratelimit-unified-reset": "9223372036854775807"}, 429, 0},
	} {
		h := http.Header{}
		for name, value := range tt.h {
			h.Set(name, value)
		}
		if got := RetryAfter(h, tt.status, noon); got != tt.want {
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
			"Anthropic-Ratelimit-Tokens-Remaining": {remaining}, "Anthropic-Ratelimit-Unified-Reset": {unified},
			"X-Ratelimit-Reset": {unified}, "X-Ratelimit-Remaining-Tokens": {remaining}, "X-Ratelimit-Reset-Tokens": {reset},
			"Anthropic-Ratelimit-Unified-5h-Utilization": {ms}}
		if l := Read(h, noon); l.Used < 0 || l.Used > 1 || l.Tokens.Remaining > l.Tokens.Limit || l.Tokens.Reset.After(noon.Add(longest)) {
			t.Fatalf("%v: %+v", h, l)
		}
		for _, status := range []int{200, 429, 529} {
			if d := RetryAfter(h, status, noon); d < 0 || d > longest {
				t.Fatalf("%v: %v is out of bounds", h, d)
			}
		}
	})
}

func TestRead(t *testing.T) {
	in := func(d time.Duration) time.Time { return noon.Add(d) }
	for _, tt := range []struct {
		name string
		h    map[string]string
		want providers.Limits
	}{
		{"nothing", nil, providers.Limits{}},
		{"Anthropic, the tightest of the tokens", map[string]string{
			"anthropic-ratelimit-requests-limit": "50", "anthropic-ratelimit-requests-remaining": "49", "anthropic-ratelimit-requests-reset": "2026-05-04T12:00:20Z",
			"anthropic-ratelimit-tokens-limit": "48000", "anthropic-ratelimit-tokens-remaining": "40000", "anthropic-ratelimit-tokens-reset": "2026-05-04T12:00:30Z",
			"anthropic-ratelimit-input-tokens-limit": "40000", "anthropic-ratelimit-input-tokens-remaining": "32000", "anthropic-ratelimit-input-tokens-reset": "2026-05-04T12:00:40Z",
			"anthropic-ratelimit-output-tokens-limit": "8000", "anthropic-ratelimit-output-tokens-remaining": "10", "anthropic-ratelimit-output-tokens-reset": "2026-05-04T12:00:50Z"},
			providers.Limits{Requests: providers.Allowance{Limit: 50, Remaining: 49, Reset: in(20 * time.Second)},
				Tokens: providers.Allowance{Limit: 40000, Remaining: 32000, Reset: in(40 * time.Second)}}},
		{"OpenAI", map[string]string{"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1s",
			"x-ratelimit-limit-tokens": "150000", "x-ratelimit-remaining-tokens": "149984", "x-ratelimit-reset-tokens": "6m0s"},
			providers.Limits{Requests: providers.Allowance{Limit: 60, Reset: in(time.Second)},
				Tokens: providers.Allowance{Limit: 150000, Remaining: 149984, Reset: in(6 * time.Minute)}}},
		{"only what remains", map[string]string{"x-ratelimit-remaining-requests": "7"},
			providers.Limits{Requests: providers.Allowance{Limit: 7, Remaining: 7, Reset: in(shortTerm)}}},
		{"garbage", map[string]string{"x-ratelimit-remaining-requests": "-1", "anthropic-ratelimit-tokens-remaining": "many"}, providers.Limits{}},
		{"a subscription's fullest window", map[string]string{"anthropic-ratelimit-unified-5h-utilization": "0.42", "anthropic-ratelimit-unified-7d-utilization": "0.74"},
			providers.Limits{Used: 0.74}},
		{"more than all of it", map[string]string{"anthropic-ratelimit-unified-5h-utilization": "1.08"}, providers.Limits{Used: 1}},
	} {
		h := http.Header{}
		for name, value := range tt.h {
			h.Set(name, value)
		}
		if got := Read(h, noon); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}
