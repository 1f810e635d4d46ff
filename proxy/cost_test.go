package proxy_test

import (
	"math"
	"net/http"
	"strings"
	"testing"

	"anyproxy/metrics"
)

// An attempt that breaks off has used tokens all the same, whether its request
// was saved or not, and so has one whose client left.
func TestWhatBreaksOffIsPaidFor(t *testing.T) {
	const prices = `
providers:
  a: {endpoint: "a_URL", apiKey: upstream-secret}
  b: {endpoint: "b_URL", apiKey: upstream-secret}
models:
  - {alias: "claude-*", provider: a, price: {input: 1000, output: 100000}}
  - {alias: "claude-*", provider: b, tier: 2, price: {input: 2000, output: 200000}}
`
	// 12 × $1000 + 5 × $100 a million for the prompt, 1 × $100000 for the token that
	// message_start tells of; the whole answer has 27 of them.
	const prompt, first, rest = 0.012 + 0.0005, 0.1, 2.7
	for name, tt := range map[string]struct {
		a        http.HandlerFunc
		status   int
		attempts []float64
	}{
		"before content, saved": {cut(sseText[:3]...), 200, []float64{prompt + first, 2 * (prompt + rest)}},
		"refused, saved":        {status(529), 200, []float64{0, 2 * (prompt + rest)}},
		"complete":              {healthy, 200, []float64{prompt + rest}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newHarness(t, prices, map[string]*upstream{"a": newUpstream(t, tt.a), "b": newUpstream(t, healthy)})
			if got := p.ask(t); got.status != tt.status {
				t.Fatalf("%d %s", got.status, got.body)
			}
			s := p.snapshot(t)
			r := s.Requests[0]
			sum := 0.0
			for i, a := range r.Decision.Attempts {
				if sum += a.Cost; i >= len(tt.attempts) || math.Abs(a.Cost-tt.attempts[i]) > 1e-9 {
					t.Errorf("attempt %d at %s costs $%v, want %v", i+1, a.Provider, a.Cost, tt.attempts)
				}
			}
			if math.Abs(r.Cost-sum) > 1e-9 || math.Abs(s.Spend.Today-sum) > 1e-9 || len(r.Decision.Attempts) != len(tt.attempts) {
				t.Errorf("the request costs $%v, the day $%v, want the sum of %d attempts, $%v", r.Cost, s.Spend.Today, len(tt.attempts), sum)
			}
		})
	}
	t.Run("in the middle", func(t *testing.T) {
		p := newHarness(t, prices, map[string]*upstream{"a": newUpstream(t, cut(sseText[:5]...)), "b": newUpstream(t, healthy)})
		p.ask(t)
		s := p.snapshot(t)
		r := s.Requests[0]
		// The output is counted from the bytes of the text.
		if want := prompt + float64(r.Tokens.Output)/10; r.Phase != metrics.PhaseFailed || !r.Tokens.Estimated || r.Tokens.Output < 2 ||
			math.Abs(r.Cost-want) > 1e-9 || math.Abs(s.Spend.Today-want) > 1e-9 {
			t.Errorf("%s, %+v costs $%v, the day $%v", r.Phase, r.Tokens, r.Cost, s.Spend.Today)
		}
	})
}

// What is not priced in the file has its usual price in the choice too, also where
// the client names the model; a subscription costs nothing.
func TestCheaperIsPreferredByUsualPrices(t *testing.T) {
	up := newUpstream(t, healthy)
	p := newHarness(t, `
routing: {prefer: cost}
providers:
  a: {endpoint: "a_URL", apiKey: upstream-secret}
  b: {endpoint: "b_URL", apiKey: upstream-secret}
  c: {endpoint: "c_URL", apiKey: upstream-secret}
  d: {endpoint: "d_URL", apiKey: upstream-secret, billing: subscription}
models:
  - {alias: "claude-*", provider: a}
  - {alias: "claude-*", name: claude-opus-4-5, provider: b}
  - {alias: "claude-*", name: of-unknown-price, provider: c}
  - {alias: "claude-*", name: claude-opus-4-5, provider: d, tier: 2}
  - {alias: "claude-*", name: claude-haiku-4-5, provider: b, tier: 2}
`, map[string]*upstream{"a": up, "b": up, "c": up, "d": up})
	p.do(t, "POST", "/v1/messages", strings.Replace(streamRequest, "claude-x", "claude-haiku-4-5", 1))
	// Haiku costs $1 and $5, Opus $5 and $25: at three tokens of input to one of
	// output $2 and $10. A subscription counts as a twentieth of the dearest.
	want := map[string]float64{"a claude-haiku-4-5": 1, "b claude-opus-4-5": 0.04, "c of-unknown-price": 1,
		"d claude-opus-4-5": 1, "b claude-haiku-4-5": 0.0025}
	for _, c := range p.snapshot(t).Requests[0].Decision.Candidates {
		name := c.Provider + " " + c.Model
		if math.Abs(c.Factors.Price-want[name]) > 1e-9 {
			t.Errorf("the price of %s weighs %v, want %v", name, c.Factors.Price, want[name])
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("not among the candidates: %v", want)
	}
}
