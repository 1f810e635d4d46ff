package proxy_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"anyproxy/metrics"
)

// state is how the Snapshot shows a provider.
func (h *harness) state(name string) metrics.State {
	for _, p := range h.proxy.Snapshot(0).Providers {
		if p.Name == name {
			return p.State
		}
	}
	return ""
}

func TestAHeldProviderIsLeftOut(t *testing.T) {
	a, b := newUpstream(t, healthy), newUpstream(t, healthy)
	p := newHarness(t, two, map[string]*upstream{"a": a, "b": b})
	if err := p.proxy.Hold("a"); err != nil {
		t.Fatal(err)
	}
	if got := p.ask(t); got.header.Get("X-Anyproxy-Provider") != "b" {
		t.Errorf("%q answers, want b", got.header.Get("X-Anyproxy-Provider"))
	}
	skipped := ""
	for _, c := range p.snapshot(t).Requests[0].Decision.Candidates {
		if c.Provider == "a" {
			skipped = c.Skipped
		}
	}
	if skipped != "held" || p.state("a") != metrics.StateHeld || p.state("b") != metrics.StateReady {
		t.Errorf("left out as %q, states %s and %s", skipped, p.state("a"), p.state("b"))
	}
	if err := p.proxy.Hold("b"); err != nil {
		t.Fatal(err)
	}
	got := p.ask(t)
	if kind, message := got.errorType(); got.status != 529 || kind != "overloaded_error" || !strings.Contains(message, "held") || got.header.Get("Retry-After") == "" {
		t.Errorf("with all held: %d %s", got.status, got.body)
	}
	for _, name := range []string{"a", "b"} {
		if err := p.proxy.Return(name); err != nil {
			t.Fatal(err)
		}
	}
	if got := p.ask(t); got.header.Get("X-Anyproxy-Provider") != "a" || p.state("a") != metrics.StateReady {
		t.Errorf("after the return %q answers, a is %s", got.header.Get("X-Anyproxy-Provider"), p.state("a"))
	}
	if p.proxy.Hold("nobody") == nil || p.proxy.Return("nobody") == nil || p.proxy.Reset("nobody") == nil {
		t.Error("an unknown provider is no error")
	}
	told := 0
	for _, e := range p.snapshot(t).Events {
		if e.Kind == metrics.EventOperator {
			told++
		}
	}
	if told != 4 {
		t.Errorf("%d events tell of it, want 4", told)
	}
}

// sick is an upstream that is rate limited until it is healed.
func sick(healed *atomic.Bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !healed.Load() {
			status(429, "Retry-After", "600")(w, r)
			return
		}
		if strings.Contains(r.Header.Get("Accept"), "event-stream") || r.URL.RawQuery != "" {
			healthy(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(plainAnswer))
	}
}

func TestResetForgetsABreaker(t *testing.T) {
	var healed atomic.Bool
	a, b := newUpstream(t, sick(&healed)), newUpstream(t, healthy)
	p := newHarness(t, two, map[string]*upstream{"a": a, "b": b})
	p.ask(t)
	if p.state("a") != metrics.StateCooling {
		t.Fatalf("a is %s after a 429", p.state("a"))
	}
	healed.Store(true)
	if err := p.proxy.Reset("a"); err != nil {
		t.Fatal(err)
	}
	if got := p.ask(t); got.header.Get("X-Anyproxy-Provider") != "a" || p.state("a") != metrics.StateReady {
		t.Errorf("after the reset %q answers, a is %s", got.header.Get("X-Anyproxy-Provider"), p.state("a"))
	}
}

func TestProbe(t *testing.T) {
	var healed atomic.Bool
	a, b := newUpstream(t, sick(&healed)), newUpstream(t, healthy)
	p := newHarness(t, two, map[string]*upstream{"a": a, "b": b})
	if _, err := p.proxy.Probe(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), "model") {
		t.Errorf("without any name of a model: %v", err)
	}
	p.ask(t)
	if _, err := p.proxy.Probe(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), "429") {
		t.Errorf("a sick provider: %v", err)
	}
	if p.state("a") != metrics.StateCooling {
		t.Errorf("a is %s after a failed probe", p.state("a"))
	}
	healed.Store(true)
	took, err := p.proxy.Probe(t.Context(), "a")
	if err != nil || took <= 0 || took > time.Minute {
		t.Errorf("a healthy provider: %v, %v", took, err)
	}
	if p.state("a") != metrics.StateReady {
		t.Errorf("a is %s after an answered probe", p.state("a"))
	}
	all := a.requests()
	last := all[len(all)-1]
	if want := `{"model":"claude-x","max_tokens":1,"messages":[{"role":"user","content":"."}]}`; last.body != want ||
		last.Header.Get("X-Api-Key") != "upstream-secret" || last.Header.Get("Anthropic-Version") == "" {
		t.Errorf("sent %s with %v", last.body, last.Header)
	}
	if n := len(p.snapshot(t).Requests); n != 1 {
		t.Errorf("%d requests in the list, want the client's one", n)
	}
	if _, err := p.proxy.Probe(t.Context(), "nobody"); err == nil {
		t.Error("an unknown provider is no error")
	}
}

func TestAPassthroughProviderCannotBeProbed(t *testing.T) {
	a := newUpstream(t, healthy)
	p := newHarness(t, `
providers: {a: {endpoint: "a_URL", auth: passthrough}}
models: [{name: claude-x, provider: a}]
`, map[string]*upstream{"a": a})
	if _, err := p.proxy.Probe(t.Context(), "a"); err == nil || len(a.requests()) != 0 {
		t.Errorf("%v, asked %d times", err, len(a.requests()))
	}
}

func TestSpendIsInTheSnapshot(t *testing.T) {
	a := newUpstream(t, healthy) // 12 tokens in, 5 from the cache, 27 out
	p := newHarness(t, `
budget: {daily: 100, onExceeded: warn}
providers: {a: {endpoint: "a_URL", apiKey: upstream-secret, dailyBudget: 50}}
models: [{alias: "claude-*", provider: a, price: {input: 100000, output: 1000000, cacheRead: 10000}}]
`, map[string]*upstream{"a": a})
	p.ask(t)
	p.ask(t)
	const each = 1.2 + 0.05 + 27
	s := p.snapshot(t)
	if s.Spend == nil || s.Providers[0].DailyBudget != 50 {
		t.Fatalf("spend %+v, provider %+v", s.Spend, s.Providers[0])
	}
	for what, v := range map[string]struct{ got, want float64 }{
		"today": {s.Spend.Today, 2 * each}, "limit": {s.Spend.Limit, 100}, "provider": {s.Providers[0].Spent, 2 * each},
		"request": {s.Requests[0].Cost, each},
	} {
		if v.got < v.want*0.999 || v.got > v.want*1.001 {
			t.Errorf("%s: $%v, want $%v", what, v.got, v.want)
		}
	}
	if s.Spend.ResetsAt.Before(s.At) {
		t.Errorf("a day that ended: %+v", s.Spend)
	}
	if s.Spend.Unpriced != 0 || s.Providers[0].Unpriced != 0 || s.Providers[0].Included {
		t.Errorf("%+v, %+v", s.Spend, s.Providers[0])
	}
	if s.Spend.Month != s.Spend.Today || s.Spend.Input != 34 || s.Spend.Cached != 10 || s.Spend.Output != 54 {
		t.Errorf("%+v", s.Spend)
	}
}

func TestWhatCostsNothing(t *testing.T) {
	for name, tt := range map[string]struct {
		provider           string
		header             []string
		included, unpriced bool
		model              string
	}{
		"a subscription":        {"apiKey: upstream-secret, billing: subscription", nil, true, false, "claude-sonnet-4-5"},
		"Claude's own token":    {"apiKey: sk-ant-oat01-upstream-secret", nil, true, false, "claude-sonnet-4-5"},
		"the client's login":    {"auth: passthrough", []string{"Authorization", "Bearer sk-ant-oat01-mine"}, true, false, "claude-sonnet-4-5"},
		"the client's key":      {"auth: passthrough", []string{"X-Api-Key", "sk-ant-api03-mine"}, false, false, "claude-sonnet-4-5"},
		"a server of one's own": {"auth: none", nil, false, true, "claude-sonnet-4-5"},
		"an unknown model":      {"apiKey: upstream-secret", nil, false, true, "glm-4.6"},
		"a known one":           {"apiKey: upstream-secret", nil, false, false, "claude-sonnet-4-5"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newHarness(t, `
providers: {a: {endpoint: "a_URL", `+tt.provider+`}}
models: [{alias: "claude-*", name: `+tt.model+`, provider: a}]
`, map[string]*upstream{"a": newUpstream(t, healthy)})
			p.ask(t, tt.header...)
			s := p.snapshot(t)
			r := s.Requests[0]
			costs := !tt.included && !tt.unpriced
			if r.Included != tt.included || r.Unpriced != tt.unpriced || (r.Cost > 0) != costs || r.Decision.Attempts[0].Cost != r.Cost {
				t.Errorf("$%v, included %v, unpriced %v", r.Cost, r.Included, r.Unpriced)
			}
			if s.Spend != nil && ((s.Spend.Today > 0) != costs || (s.Spend.Unpriced == 1) != tt.unpriced || (s.Providers[0].Unpriced == 1) != tt.unpriced) {
				t.Errorf("%+v, %+v", s.Spend, s.Providers[0])
			}
		})
	}
}
