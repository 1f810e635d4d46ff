package proxy_test

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"anyproxy/metrics"
	"anyproxy/providers"
)

// failing answers with the given statuses in turn, then well.
func failing(codes ...int) http.HandlerFunc {
	var n atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		if i := int(n.Add(1)) - 1; i < len(codes) {
			status(codes[i])(w, r)
			return
		}
		healthy(w, r)
	}
}

func kinds(s metrics.Snapshot) (out []metrics.EventKind) {
	for _, e := range s.Events {
		out = append(out, e.Kind)
	}
	return out
}

func TestTheSameProviderIsAskedAgain(t *testing.T) {
	const retry = "retry: {retrySameProvider: true, maxRetries: 2, initialDelay: 1ms, maxDelay: 5ms}\n"
	for name, c := range map[string]struct {
		yaml, by, attempts string
		codes              []int
		status             int
		repeats            int
	}{
		"alone":                      {one + retry, "a", "3", []int{500, 502}, 200, 2},
		"alone, too often":           {one + retry, "a", "3", []int{500, 500, 500}, 500, 2},
		"alone, a 429":               {one + retry, "a", "2", []int{429}, 200, 1},
		"alone, not told to":         {one, "a", "1", []int{500}, 500, 0},
		"before another":             {two + retry, "a", "2", []int{500}, 200, 1},
		"a 529 goes to the other":    {two + retry, "b", "2", []int{529}, 200, 0},
		"the request's own fault":    {one + retry, "a", "1", []int{400}, 400, 0},
		"another after all repeats":  {two + retry, "b", "4", []int{500, 500, 500}, 200, 2},
		"a key that is refused once": {two + retry, "b", "2", []int{401}, 200, 0},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newUpstream(t, failing(c.codes...)), newUpstream(t, healthy)
			p := newHarness(t, c.yaml, map[string]*upstream{"a": a, "b": b})
			got := p.ask(t)
			if got.status != c.status || got.header.Get("X-Anyproxy-Provider") != c.by || got.header.Get("X-Anyproxy-Attempts") != c.attempts {
				t.Errorf("%d by %s in %s attempts", got.status, got.header.Get("X-Anyproxy-Provider"), got.header.Get("X-Anyproxy-Attempts"))
			}
			repeats := 0
			for _, k := range kinds(p.snapshot(t)) {
				if k == metrics.EventRetry {
					repeats++
				}
			}
			if repeats != c.repeats {
				t.Errorf("%d repeats are told, want %d", repeats, c.repeats)
			}
		})
	}
}

// scripted is a provider that answers with what it is given.
type scripted func() (*providers.Stream, error)

func (s scripted) Send(context.Context, *providers.Request) (*providers.Stream, error) { return s() }

func refusing(code int) scripted {
	return func() (*providers.Stream, error) {
		return nil, &providers.Error{Status: code, Class: providers.ClassOf(code), Header: http.Header{"Content-Type": {"application/json"}},
			Body: fmt.Appendf(nil, `{"type":"error","error":{"type":"invalid_request_error","message":"refused %d"}}`, code)}
	}
}

// A request that a converting provider refuses may be good: the next one that
// needs no conversion is asked, and only that.
func TestRefusedConversionGoesToANativeProvider(t *testing.T) {
	const converting = `
providers:
  a: {type: openai, endpoint: "a_URL", auth: none}
  b: {type: openai, endpoint: "b_URL", auth: none}
`
	const models = `
models:
  - {alias: "claude-*", provider: a}
  - {alias: "claude-*", provider: b, tier: 2}
`
	const native = `  c: {endpoint: "http://127.0.0.1:3", apiKey: k}` + models + `  - {alias: "claude-*", provider: c, tier: 3}` + "\n"
	well := answering(0)
	for name, c := range map[string]struct {
		yaml     string
		third    providers.Provider
		status   int
		attempts string
		told     bool
	}{
		"somebody is native":    {converting + native, well, 200, "2", true},
		"nobody is":             {converting + models, nil, 400, "1", false},
		"the native one agrees": {converting + native, refusing(400), 400, "2", true},
	} {
		t.Run(name, func(t *testing.T) {
			ps := map[string]providers.Provider{"a": refusing(400), "b": well, "c": c.third}
			inVirtualTime(t, c.yaml, ps, func(h http.Handler, rec *metrics.Recorder) {
				w := post(h, streamRequest)
				if w.Code != c.status || w.Header().Get("X-Anyproxy-Attempts") != c.attempts {
					t.Errorf("%d in %s attempts by %s: %s", w.Code, w.Header().Get("X-Anyproxy-Attempts"), w.Header().Get("X-Anyproxy-Provider"), w.Body)
				}
				if told := slices.Contains(kinds(rec.Snapshot(0)), metrics.EventConversion); told != c.told {
					t.Errorf("told: %v", told)
				}
			})
		})
	}
}

func TestTargetsThatLackSomething(t *testing.T) {
	const image = `{"type":"image","source":{"type":"base64","media_type":"image/png","data":"` + "iVBORw0KGgo=" + `"}}`
	request := func(content, more string) string {
		return `{"model":"claude-x","stream":true,"messages":[{"role":"user","content":[` + content + `]}]` + more + `}`
	}
	text := `{"type":"text","text":"hi"}`
	long := `{"type":"text","text":"` + strings.Repeat("some words ", 1000) + `"}` // 2750 tokens
	picture := `{"type":"image","source":{"type":"base64","media_type":"image/png","data":"` + strings.Repeat("A", 100_000) + `"}}`
	for name, c := range map[string]struct {
		a, b    string // what their entries add
		body    string
		by      string
		skipped string // why a was not asked
	}{
		"nothing special":               {"capabilities: {images: false, pdf: false, tools: false}", "", request(text, ""), "a", ""},
		"an image":                      {"capabilities: {images: false}", "", request(text+","+image, ""), "b", "no images"},
		"an image in a tool's result":   {"capabilities: {images: false}", "", request(`{"type":"tool_result","tool_use_id":"t","content":[`+image+`]}`, ""), "b", "no images"},
		"the word image":                {"capabilities: {images: false}", "", request(`{"type":"text","text":"{\"type\":\"image\"}"}`, ""), "a", ""},
		"a PDF":                         {"capabilities: {pdf: false}", "", request(`{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBERi0="}}`, ""), "b", "no PDF"},
		"tools":                         {"capabilities: {tools: false}", "", request(text, `,"tools":[{"name":"Bash"}]`), "b", "no tools"},
		"no tools":                      {"capabilities: {tools: false}", "", request(text, `,"tools":[ ]`), "a", ""},
		"thinking":                      {"capabilities: {thinking: false}", "", request(text, `,"thinking":{"type":"adaptive"}`), "b", ""},
		"thinking switched off":         {"thinking: false", "", request(text, `,"thinking":{"type":"disabled"}`), "a", ""},
		"too long":                      {"context: 1000", "", request(long, ""), "b", "context too small"},
		"just long enough":              {"context: 3000", "", request(long, ""), "a", ""},
		"a picture is not its bytes":    {"context: 3000", "", request(picture, ""), "a", ""},
		"too long for all":              {"context: 1000", "context: 1000", request(long, ""), "a", ""},
		"an image that nobody can take": {"capabilities: {images: false}", "capabilities: {images: false}", request(image, ""), "a", ""},
	} {
		t.Run(name, func(t *testing.T) {
			ups := map[string]*upstream{"a": newUpstream(t, healthy), "b": newUpstream(t, healthy)}
			entry := func(provider, more string, tier int) string {
				if more != "" {
					more = ", " + more
				}
				return fmt.Sprintf("  - {alias: \"claude-*\", provider: %s, tier: %d%s}\n", provider, tier, more)
			}
			p := newHarness(t, "providers:\n  a: {endpoint: \"a_URL\", apiKey: k}\n  b: {endpoint: \"b_URL\", apiKey: k}\nmodels:\n"+
				entry("a", c.a, 1)+entry("b", c.b, 2), ups)
			got := p.do(t, "POST", "/v1/messages", c.body)
			if got.status != 200 || got.header.Get("X-Anyproxy-Provider") != c.by {
				t.Fatalf("%d by %s, want %s; route %s", got.status, got.header.Get("X-Anyproxy-Provider"), c.by, got.header.Get("X-Anyproxy-Route"))
			}
			for _, d := range p.snapshot(t).Requests[0].Decision.Candidates {
				if d.Provider == "a" && d.Skipped != c.skipped {
					t.Errorf("a was skipped for %q, want %q", d.Skipped, c.skipped)
				}
			}
		})
	}
}

// A target without thinking still serves a request that asks for it, when the
// others fail.
func TestWithoutThinkingIsBetterThanNothing(t *testing.T) {
	a, b := newUpstream(t, healthy), newUpstream(t, status(529))
	p := newHarness(t, "providers:\n  a: {endpoint: \"a_URL\", apiKey: k}\n  b: {endpoint: \"b_URL\", apiKey: k}\nmodels:\n"+
		"  - {alias: \"claude-*\", provider: a, thinking: false}\n  - {alias: \"claude-*\", provider: b, tier: 2}\n", map[string]*upstream{"a": a, "b": b})
	got := p.do(t, "POST", "/v1/messages", `{"model":"claude-x","stream":true,"thinking":{"type":"enabled","budget_tokens":1024},"messages":[]}`)
	if got.status != 200 || got.header.Get("X-Anyproxy-Provider") != "a" || got.header.Get("X-Anyproxy-Attempts") != "2" {
		t.Errorf("%d by %s in %s attempts", got.status, got.header.Get("X-Anyproxy-Provider"), got.header.Get("X-Anyproxy-Attempts"))
	}
}

func TestRateLimitHeadersSteer(t *testing.T) {
	a := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Anthropic-Ratelimit-Requests-Limit", "50")
		h.Set("Anthropic-Ratelimit-Requests-Remaining", "0")
		h.Set("Anthropic-Ratelimit-Requests-Reset", time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
		healthy(w, r)
	})
	p := newHarness(t, two, map[string]*upstream{"a": a, "b": newUpstream(t, healthy)})
	p.ask(t)
	s := p.snapshot(t)
	if got := s.Requests[0].Decision.Candidates[0].Factors.Limit; got != 1 {
		t.Errorf("before anything is known the limit weighs %v", got)
	}
	if s.Providers[0].Headroom != 0 || s.Providers[1].Headroom != 1 {
		t.Errorf("headroom %v and %v", s.Providers[0].Headroom, s.Providers[1].Headroom)
	}
	p.ask(t)
	if c := p.snapshot(t).Requests[0].Decision.Candidates[0]; c.Provider != "a" || c.Factors.Limit != 0.05 || c.W > 0.05 {
		t.Errorf("with nothing left: %+v", c)
	}
}

// One decision: what the headers say is what the record, and with it the screen
// and the request log, says.
func TestDecisionIsTold(t *testing.T) {
	a, b := newUpstream(t, status(529)), newUpstream(t, healthy)
	p := newHarness(t, two, map[string]*upstream{"a": a, "b": b})
	got := p.ask(t, "X-Claude-Code-Session-Id", "s")
	d := p.snapshot(t).Requests[0].Decision
	if d.Session.Kind != metrics.BindingNew || len(d.Candidates) != 2 || len(d.Attempts) != 2 {
		t.Fatalf("%+v", d)
	}
	for _, c := range d.Candidates {
		f := c.Factors
		if product := c.Weight * f.Speed * f.Price * f.Load * f.Return * f.Limit * f.Slow; math.Abs(product-c.W) > 0.001 || c.W == 0 {
			t.Errorf("%s: W is %v, its factors make %v", c.Provider, c.W, product)
		}
		if part := fmt.Sprintf("%s t%d w=%.2g", c.Provider, c.Tier, c.W); !strings.Contains(got.header.Get("X-Anyproxy-Route"), part) {
			t.Errorf("the header says %q, not %q", got.header.Get("X-Anyproxy-Route"), part)
		}
	}
	if got.header.Get("X-Anyproxy-Session") != "new" || !strings.HasPrefix(got.header.Get("X-Anyproxy-Tried"), "a overloaded 0.") {
		t.Errorf("session %q, tried %q", got.header.Get("X-Anyproxy-Session"), got.header.Get("X-Anyproxy-Tried"))
	}
	again := p.ask(t, "X-Claude-Code-Session-Id", "s")
	if d := p.snapshot(t).Requests[0].Decision; d.Session.Kind != metrics.BindingKept || d.Session.Provider != "b" ||
		again.header.Get("X-Anyproxy-Session") != "kept" || !strings.Contains(again.header.Get("X-Anyproxy-Route"), "a t1 w=0 cooling") {
		t.Errorf("%+v, %v", d.Session, again.header)
	}
	for _, kind := range []metrics.EventKind{metrics.EventFallback, metrics.EventCooldown} {
		if !slices.Contains(kinds(p.snapshot(t)), kind) {
			t.Errorf("no event %s", kind)
		}
	}
}

// text sends so many tokens of four bytes a second.
func text(perSecond, tokens int) (steps []step) {
	const each = 10
	for range tokens / each {
		f := frame(providers.Content, 3)
		f.Text, f.Generating = 4*each, true
		steps = append(steps, step{after: time.Second * each / time.Duration(perSecond), frame: f})
	}
	return steps
}

// counted ends an answer with the true count.
func counted(steps []step, output int64) []step {
	last := frame(providers.Preamble, 6)
	last.Usage = &providers.Usage{Input: 10, Output: output}
	return append(steps, step{frame: last}, step{frame: frame(providers.End, 7)})
}

// provider is how the Snapshot shows a provider after what the test has done.
func provider(t *testing.T, h http.Handler, name string) metrics.ProviderView {
	t.Helper()
	for _, p := range h.(interface {
		Snapshot(uint64) metrics.Snapshot
	}).Snapshot(0).Providers {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("no provider %s", name)
	return metrics.ProviderView{}
}

func TestSpeedIsTheSameEverywhere(t *testing.T) {
	steps := append([]step{{after: time.Second, frame: frame(providers.Preamble, 0)}}, counted(text(60, 600), 600)...)
	inVirtualTime(t, two, map[string]providers.Provider{"a": timed{steps: steps}, "b": answering(0)}, func(h http.Handler, rec *metrics.Recorder) {
		for range 6 {
			post(h, streamRequest)
		}
		record := rec.Snapshot(0).Requests[0]
		if v := provider(t, h, "a"); math.Abs(record.TPS-61) > 1 || math.Abs(v.DecodeTPS-record.TPS) > 2 || math.Abs(v.Targets[0].DecodeTPS-v.DecodeTPS) > 0.01 {
			t.Errorf("the record says %.1f tok/s, the choice %.1f, the target %.1f", record.TPS, v.DecodeTPS, v.Targets[0].DecodeTPS)
		}
	})
}

// An answer that comes in one piece has its speed from the time behind the usual wait.
func TestSpeedOfAnAnswerInOnePiece(t *testing.T) {
	stream := append([]step{{after: 2 * time.Second, frame: frame(providers.Preamble, 0)}}, counted(text(60, 60), 60)...)
	whole := frame(providers.End, 0)
	whole.Bytes, whole.Text, whole.Usage = []byte(plainAnswer), 2400, &providers.Usage{Input: 10, Output: 600}
	streamed := true
	a := providerFunc(func(ctx context.Context, r *providers.Request) (*providers.Stream, error) {
		steps := stream
		if !streamed {
			steps = []step{{after: 12 * time.Second, frame: whole}}
		}
		return timed{steps: steps}.Send(ctx, r)
	})
	inVirtualTime(t, two, map[string]providers.Provider{"a": a, "b": answering(0)}, func(h http.Handler, rec *metrics.Recorder) {
		for range 20 {
			post(h, streamRequest)
		}
		streamed = false
		post(h, plainRequest)
		if r := rec.Snapshot(0).Requests[0]; r.TTFT != 0 || math.Abs(r.TPS-60) > 4 { // 600 tokens in 12 − 2 s
			t.Errorf("%.1f tok/s, time to first token %v; want 60 and none", r.TPS, r.TTFT)
		}
	})
}

type providerFunc func(context.Context, *providers.Request) (*providers.Stream, error)

func (f providerFunc) Send(ctx context.Context, r *providers.Request) (*providers.Stream, error) {
	return f(ctx, r)
}

// Thinking of which a format shows nothing gives neither a wait nor a speed.
func TestOpaqueAnswersMeasureNothing(t *testing.T) {
	a := providerFunc(func(ctx context.Context, r *providers.Request) (*providers.Stream, error) {
		steps := append([]step{{after: 40 * time.Second, frame: frame(providers.Preamble, 0)}}, counted(text(60, 120), 3000)...)
		s, err := timed{headers: time.Second, steps: steps}.Send(ctx, r)
		if s != nil {
			s.Opaque = true
		}
		return s, err
	})
	inVirtualTime(t, two, map[string]providers.Provider{"a": a, "b": answering(0)}, func(h http.Handler, rec *metrics.Recorder) {
		for range 3 {
			post(h, streamRequest)
		}
		r, v := rec.Snapshot(0).Requests[0], provider(t, h, "a")
		if r.TPS != 0 || v.DecodeTPS != 0 || v.Targets[0].TTFT > 2*time.Second || v.Targets[0].InFlight != 0 {
			t.Errorf("record %.1f tok/s; target %+v", r.TPS, v.Targets[0])
		}
	})
}

// A client that leaves has done the provider no harm: what was measured stays,
// nothing has failed, nothing is in flight.
func TestAClientThatLeavesKeepsItsSample(t *testing.T) {
	steps := append([]step{{after: time.Second, frame: frame(providers.Preamble, 0)}}, text(60, 600)...)
	steps = append(steps, step{after: time.Hour, frame: frame(providers.End, 7)})
	inVirtualTime(t, two, map[string]providers.Provider{"a": timed{steps: steps}, "b": answering(0)}, func(h http.Handler, rec *metrics.Recorder) {
		ctx, leave := context.WithTimeout(context.Background(), 9*time.Second) // after 8 s of text
		defer leave()
		r, err := http.NewRequestWithContext(ctx, "POST", "/v1/messages", strings.NewReader(streamRequest))
		if err != nil {
			t.Fatal(err)
		}
		func() {
			defer func() {
				if v := recover(); v != http.ErrAbortHandler {
					t.Errorf("the handler ended with %v", v)
				}
			}()
			h.ServeHTTP(discard{}, r)
		}()
		v := provider(t, h, "a")
		if v.Failed != 0 || v.Breaker != metrics.BreakerClosed || v.InFlight != 0 || v.Targets[0].InFlight != 0 || math.Abs(v.DecodeTPS-60) > 5 {
			t.Errorf("%+v", v)
		}
	})
}

// discard is a client that nobody reads for.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return io.Discard.Write(b) }
func (discard) WriteHeader(int)             {}
func (discard) FlushError() error           { return nil }
