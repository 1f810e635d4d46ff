package routing

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"anyproxy/metrics"
)

// clock is a time that moves only when told, and takes what a Router tells.
type clock struct {
	t time.Time

	mu   sync.Mutex
	told []metrics.Event
}

func (c *clock) now() time.Time { return c.t }

func (c *clock) tell(e metrics.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = append(c.told, e)
}

// report ends an attempt and returns the event that this brought, if any.
func (c *clock) report(a *Attempt, res Result) (metrics.Event, bool) {
	c.told = nil
	a.Report(res)
	if len(c.told) == 0 {
		return metrics.Event{}, false
	}
	return c.told[0], true
}

func newRouter(targets ...Target) (*Router, *clock) {
	c := &clock{t: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	for i := range targets {
		targets[i].Weight = max(targets[i].Weight, 1)
		targets[i].Tier = max(targets[i].Tier, 1)
	}
	r := New(targets, NewState(), Options{Cooldown: 5 * time.Second, MaxRetryAfter: time.Hour, Affinity: time.Hour, Switchback: 5 * time.Minute, Now: c.now, Tell: c.tell,
		Draw: rand.New(rand.NewPCG(1, 2)).Float64})
	return r, c
}

func target(provider, model string, aliases ...string) Target {
	return Target{Provider: provider, Endpoint: "http://" + provider, Model: model, Aliases: aliases}
}

// order tries every candidate of the route and tells nothing of their outcomes.
func order(route *Route) string {
	var names []string
	for {
		a, ok := route.Next()
		if !ok {
			return strings.Join(names, " ")
		}
		a.Report(Result{Verdict: Neutral})
		names = append(names, a.Provider+"/"+a.Model)
	}
}

// first is the provider of the first attempt.
func first(r *Router, model string) string {
	a, ok := r.Route(Query{Model: model, Stream: true}).Next()
	if !ok {
		return ""
	}
	a.Report(Result{Verdict: Neutral})
	return a.Provider
}

// set is order without the order.
func set(route *Route) string {
	names := strings.Fields(order(route))
	slices.Sort(names)
	return strings.Join(names, " ")
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"claude-*", "claude-opus-4-1", true},
		{"claude-*", "claude-", true},
		{"claude-*", "Claude-opus", false},
		{"claude-*", "my-claude-opus", false},
		{"*", "", true},
		{"*", "anything", true},
		{"*-mini", "gpt-4o-mini", true},
		{"*-mini", "gpt-4o-mini-2024", false},
		{"gpt-*-mini", "gpt-mini", false},
		{"gpt-*-mini", "gpt--mini", true},
		{"a*b*c", "abc", true},
		{"a*b*c", "a-b-b-c", true},
		{"a*b*c", "acb", false},
		{"a**c", "abc", true},
		{"gpt-4o", "gpt-4o", true},
		{"gpt-4o", "gpt-4o-mini", false},
		{"o[13]*", "o1", false},
		{"a?c", "abc", false},
		{"*/*", "vendor/model", true},
		{"*/*", "model", false},
		{"aa*aa", "aaa", false},
	} {
		if got := Match(c.pattern, c.name); got != c.want {
			t.Errorf("Match(%q, %q) = %v, want %v", c.pattern, c.name, got, c.want)
		}
	}
}

func TestCandidates(t *testing.T) {
	targets := []Target{
		target("anthropic", "", "claude-*"),
		target("bedrock", "claude-sonnet-4-5-20250929", "claude-sonnet*"),
		target("zai", "glm-4.6", "claude-sonnet*", "glm*"),
		target("openai", "gpt-4o", "*", "gpt-4o*"),
		target("exact", "x", "claude-sonnet-4-5"),
	}
	r, _ := newRouter(targets...)
	for _, c := range []struct{ asked, alias, want string }{
		{"claude-opus-5", "claude-*", "anthropic/claude-opus-5"},
		{"claude-sonnet-4", "claude-sonnet*", "bedrock/claude-sonnet-4-5-20250929 zai/glm-4.6"},
		{"claude-sonnet-4-5-20250929", "claude-sonnet*", "bedrock/claude-sonnet-4-5-20250929 zai/glm-4.6"},
		{"claude-sonnet-4-5", "claude-sonnet-4-5", "exact/x"},
		{"glm-4.6", "glm*", "zai/glm-4.6"},
		{"gpt-4o", "gpt-4o*", "openai/gpt-4o"},
		{"x", "*", "exact/x openai/gpt-4o"},
		{"llama", "*", "openai/gpt-4o"},
	} {
		route := r.Route(Query{Model: c.asked})
		if got := set(route); got != c.want || route.Decision.Alias != c.alias {
			t.Errorf("%s: %s by %q, want %s by %q", c.asked, got, route.Decision.Alias, c.want, c.alias)
		}
	}
	narrow, _ := newRouter(targets[0])
	if route := narrow.Route(Query{Model: "gpt-4o"}); route.Len() != 0 {
		t.Errorf("a model that nobody has goes to %s", order(route))
	}
	forced := r.Route(Query{Model: "claude-sonnet-4", Provider: "zai"})
	if got := order(forced); got != "zai/glm-4.6" || forced.Decision.Forced != "zai" {
		t.Errorf("forced: %s", got)
	}
}

func TestOneUpstreamIsTriedOnce(t *testing.T) {
	byName := target("a", "m")
	byAlias := target("a", "m", "m*")
	byName.Tier, byAlias.Tier = 2, 1
	r, _ := newRouter(byName, byAlias, target("b", "", "m*"))
	route := r.Route(Query{Model: "m"})
	for _, c := range route.Decision.Candidates {
		if c.Tier != 1 {
			t.Errorf("%s is taken from tier %d", c.Provider, c.Tier)
		}
	}
	if got := set(route); got != "a/m b/m" {
		t.Errorf("candidates %s", got)
	}
}

func TestTiersComeInOrder(t *testing.T) {
	low, high := target("low", "", "m"), target("high", "", "m")
	low.Tier, high.Tier, high.Weight = 1, 2, 1000
	r, _ := newRouter(high, low)
	for range 100 {
		if got := order(r.Route(Query{Model: "m"})); got != "low/m high/m" {
			t.Fatalf("order %s", got)
		}
	}
}

func TestSharesFollowWeights(t *testing.T) {
	a, b, c := target("a", "", "m"), target("b", "", "m"), target("c", "", "m")
	a.Weight, b.Weight, c.Weight = 5, 3, 2
	r, _ := newRouter(a, b, c)
	counts := map[string]int{}
	const n = 20000
	for range n {
		counts[first(r, "m")]++
	}
	for provider, want := range map[string]float64{"a": 0.5, "b": 0.3, "c": 0.2} {
		if got := float64(counts[provider]) / n; math.Abs(got-want) > 0.015 {
			t.Errorf("share of %s = %.3f, want %.1f", provider, got, want)
		}
	}
}

func TestPriorityIsStrict(t *testing.T) {
	a, b := target("a", "", "m"), target("b", "", "m")
	a.Weight, b.Weight = 1, 2
	r, _ := newRouter(a, b)
	r.o.Policy = Priority
	for range 50 {
		if got := order(r.Route(Query{Model: "m"})); got != "b/m a/m" {
			t.Fatalf("order %s", got)
		}
	}
}

// admit takes the provider's next attempt for the model; the others' attempts
// on the way tell nothing.
func admit(t *testing.T, r *Router, provider, model string) *Attempt {
	t.Helper()
	route := r.Route(Query{Model: model, Stream: true})
	for {
		a, ok := route.Next()
		if !ok {
			t.Fatalf("%s is not asked for %s", provider, model)
		}
		if a.Provider == provider {
			return a
		}
		a.Report(Result{Verdict: Neutral})
	}
}

func phaseOf(r *Router, clk *clock, provider, model string) phase {
	return r.state.upstream(upstreamKey{accountKey{provider, "http://" + provider}, model}, clk.t).phase(clk.t)
}

func TestCooldowns(t *testing.T) {
	for _, c := range []struct {
		name     string
		results  []Result
		other    bool          // the provider's other model pauses too
		cooldown time.Duration // 0 = none
		exact    bool          // no jitter
	}{
		{"429 with its own word", []Result{{Verdict: Capacity, RetryAfter: 30 * time.Second}}, false, 30 * time.Second, true},
		{"429 without", []Result{{Verdict: Capacity}}, false, 5 * time.Second, false},
		{"a word beyond all reason", []Result{{Verdict: Capacity, RetryAfter: 48 * time.Hour}}, false, time.Hour, true},
		{"silence", []Result{{Verdict: Late}}, false, 5 * time.Second, false},
		{"connection", []Result{{Verdict: Unreached}}, true, 5 * time.Second, false},
		{"credential", []Result{{Verdict: Refused}}, true, time.Minute, false},
		{"two 500s", []Result{{Verdict: Faulty}, {Verdict: Faulty}}, false, 0, false},
		{"three 500s", []Result{{Verdict: Faulty}, {Verdict: Faulty}, {Verdict: Faulty}}, false, 5 * time.Second, false},
		{"a success between", []Result{{Verdict: Faulty}, {Verdict: Faulty}, {Verdict: Good}, {Verdict: Faulty}}, false, 0, false},
		{"the client's fault", []Result{{Verdict: Neutral}, {Verdict: Neutral}, {Verdict: Neutral}}, false, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, clk := newRouter(target("a", "", "m*"), target("b", "", "m*"))
			for _, res := range c.results {
				admit(t, r, "a", "m1").Report(res)
			}
			if cooling := phaseOf(r, clk, "a", "m1") == open; cooling != (c.cooldown > 0) {
				t.Fatalf("cooling = %v, want a pause of %v", cooling, c.cooldown)
			}
			if cooling := phaseOf(r, clk, "a", "m2") == open; cooling != c.other {
				t.Errorf("the provider's other model cooling = %v, want %v", cooling, c.other)
			}
			if c.cooldown == 0 {
				return
			}
			got := r.state.Provider("a", "http://a", clk.t).RetryAt.Sub(clk.t)
			if c.exact && got != c.cooldown || math.Abs(float64(got-c.cooldown)) > jitter*float64(c.cooldown) {
				t.Errorf("out for %v, want %v", got, c.cooldown)
			}
			if d := r.Route(Query{Model: "m1"}).Decision.Candidates[1]; d.Provider != "a" || d.Skipped != "cooling" {
				t.Errorf("decision: %+v", d)
			}
			clk.t = clk.t.Add(got)
			if p := phaseOf(r, clk, "a", "m1"); p != halfOpen {
				t.Errorf("after its pause it is in phase %d", p)
			}
		})
	}
}

func TestPausesDoubleUntilARecoveryLasts(t *testing.T) {
	r, clk := newRouter(target("a", "", "m"), target("b", "", "m"))
	r.o.Draw = func() float64 { return 0.5 } // no jitter
	fail := func() time.Duration {
		admit(t, r, "a", "m").Report(Result{Verdict: Capacity})
		wait := r.state.Provider("a", "http://a", clk.t).RetryAt.Sub(clk.t)
		clk.t = clk.t.Add(wait)
		return wait
	}
	var waits []time.Duration
	for range 9 {
		waits = append(waits, fail())
	}
	want := []time.Duration{5, 10, 20, 40, 80, 160, 300, 300, 300}
	for i := range want {
		if waits[i] != want[i]*time.Second {
			t.Errorf("pause %d is %v, want %v", i+1, waits[i], want[i]*time.Second)
		}
	}
	admit(t, r, "a", "m").Report(Result{Verdict: Good})
	clk.t = clk.t.Add(30 * time.Second)
	if d := fail(); d != 5*time.Minute {
		t.Errorf("a failure soon after the recovery: %v", d)
	}
	admit(t, r, "a", "m").Report(Result{Verdict: Good})
	clk.t = clk.t.Add(time.Minute)
	if d := fail(); d != 5*time.Second {
		t.Errorf("a failure long after the recovery: %v", d)
	}
}

func TestExactlyOneRequestProbes(t *testing.T) {
	r, clk := newRouter(target("a", "", "m"), Target{Provider: "b", Endpoint: "http://b", Aliases: []string{"m"}, Tier: 2})
	admit(t, r, "a", "m").Report(Result{Verdict: Capacity, RetryAfter: 10 * time.Second})
	clk.t = clk.t.Add(10 * time.Second)
	probe := admit(t, r, "a", "m")
	if got := first(r, "m"); got != "b" {
		t.Errorf("a second request goes to %s while one probes", got)
	}
	probe.Report(Result{Verdict: Neutral}) // its client left: nothing is known
	probe = admit(t, r, "a", "m")
	if e, ok := clk.report(probe, Result{Verdict: Capacity}); !ok || e.Kind != metrics.EventCooldown {
		t.Errorf("a failed probe: %v %v", e, ok)
	}
	if got := first(r, "m"); got != "b" {
		t.Errorf("after a failed probe the next goes to %s", got)
	}
	clk.t = clk.t.Add(time.Minute)
	if e, ok := clk.report(admit(t, r, "a", "m"), Result{Verdict: Good}); !ok || e.Kind != metrics.EventReturn {
		t.Errorf("a good probe: %v %v", e, ok)
	}
	if got := first(r, "m"); got != "a" {
		t.Errorf("after a good probe the next goes to %s", got)
	}
}

func TestOnlyOneProbesUnderLoad(t *testing.T) {
	r, clk := newRouter(target("a", "", "m"), Target{Provider: "b", Endpoint: "http://b", Aliases: []string{"m"}, Tier: 2})
	r.o.Draw = rand.Float64
	admit(t, r, "a", "m").Report(Result{Verdict: Capacity, RetryAfter: time.Second})
	clk.t = clk.t.Add(time.Second)
	var probes atomic.Int64
	var wg sync.WaitGroup
	for range 1000 {
		wg.Go(func() {
			if a, _ := r.Route(Query{Model: "m"}).Next(); a.Provider == "a" {
				probes.Add(1) // and has not come back yet
			}
		})
	}
	wg.Wait()
	if probes.Load() != 1 {
		t.Errorf("%d requests probe", probes.Load())
	}
}

func TestLastResort(t *testing.T) {
	r, clk := newRouter(target("a", "", "m"), target("b", "", "m"), target("c", "", "m"))
	for provider, after := range map[string]time.Duration{"a": 30, "b": 10, "c": 20} {
		admit(t, r, provider, "m").Report(Result{Verdict: Capacity, RetryAfter: after * time.Second})
	}
	if got := order(r.Route(Query{Model: "m"})); got != "b/m c/m a/m" {
		t.Errorf("order %s", got)
	}
	if got := r.Route(Query{Model: "m"}).ReadyIn(); got != 10*time.Second {
		t.Errorf("ready in %v, want 10s", got)
	}
	if e, ok := clk.report(admit(t, r, "c", "m"), Result{Verdict: Good}); !ok || e.Kind != metrics.EventReturn {
		t.Errorf("a success of the last resort: %v %v", e, ok)
	}
	if got := order(r.Route(Query{Model: "m"})); got != "c/m b/m a/m" {
		t.Errorf("the one that is well comes first: %s", got)
	}
	if got := r.Route(Query{Model: "m"}).ReadyIn(); got != 0 {
		t.Errorf("ready in %v although one is well", got)
	}
}

func TestLongStatedWaitsAreRespected(t *testing.T) {
	r, clk := newRouter(target("a", "", "m"), target("b", "", "m"))
	for _, provider := range []string{"a", "b"} {
		admit(t, r, provider, "m").Report(Result{Verdict: Capacity, RetryAfter: 10 * time.Minute})
	}
	if got := set(r.Route(Query{Model: "m"})); got != "" {
		t.Errorf("the next request: %q", got)
	}
	clk.t = clk.t.Add(59 * time.Second)
	if got := set(r.Route(Query{Model: "m"})); got != "" {
		t.Errorf("59 s later: %q", got)
	}
	clk.t = clk.t.Add(time.Second)
	if got := set(r.Route(Query{Model: "m"})); got != "a/m b/m" {
		t.Errorf("a minute later: %q", got)
	}
}

func TestPausesAreOnlyProlongedByTheUpstreamsWord(t *testing.T) {
	r, clk := newRouter(target("a", "", "m"), target("b", "", "m"))
	one, two, three := admit(t, r, "a", "m"), admit(t, r, "a", "m"), admit(t, r, "a", "m") // together
	if _, told := clk.report(one, Result{Verdict: Capacity, RetryAfter: time.Minute}); !told {
		t.Error("the first is not told")
	}
	if _, told := clk.report(two, Result{Verdict: Capacity}); told {
		t.Error("the second is told too")
	}
	three.Report(Result{Verdict: Capacity, RetryAfter: 2 * time.Minute})
	if got := r.state.Provider("a", "http://a", clk.t).RetryAt.Sub(clk.t); got != 2*time.Minute {
		t.Errorf("out for %v, want 2m", got)
	}
}

func TestLoneCandidateIsTransparent(t *testing.T) {
	r, clk := newRouter(target("a", "", "m"))
	for range 5 {
		a := admit(t, r, "a", "m")
		if !a.Last || a.FirstByte(time.Hour) != time.Hour {
			t.Error("it has a deadline of its own")
		}
		if e, ok := clk.report(a, Result{Verdict: Capacity, RetryAfter: time.Minute}); ok {
			t.Fatalf("event %v", e)
		}
	}
	if r.Route(Query{Model: "m"}).Decision.Candidates[0].Skipped != "" || r.Route(Query{Model: "m"}).ReadyIn() != 0 {
		t.Error("the only candidate is left out")
	}
}

func TestLateSuccessDoesNotEndAPause(t *testing.T) {
	r, clk := newRouter(target("a", "", "m"), target("b", "", "m"))
	long := admit(t, r, "a", "m") // a stream that began before the 429
	clk.t = clk.t.Add(time.Second)
	admit(t, r, "a", "m").Report(Result{Verdict: Capacity, RetryAfter: time.Minute})
	clk.t = clk.t.Add(time.Second)
	if e, ok := clk.report(long, Result{Verdict: Good}); ok {
		t.Errorf("an old stream's end brought %v", e)
	}
	if first(r, "m") != "b" {
		t.Error("the pause is over")
	}
}

func TestUsualTimeToFirstTokenSetsTheLimit(t *testing.T) {
	r, clk := newRouter(target("a", "", "m"), target("b", "", "m"))
	limit := func() time.Duration {
		for { // until it is not the last one in line
			a := admit(t, r, "a", "m")
			defer a.Report(Result{Verdict: Neutral})
			if !a.Last {
				return a.FirstByte(time.Minute)
			}
		}
	}
	for range ttftEvidence - 1 {
		admit(t, r, "a", "m").Report(Result{Verdict: Good, Reading: metrics.Reading{TTFT: 4 * time.Second}})
	}
	if got := limit(); got != time.Minute {
		t.Errorf("with little evidence %v", got)
	}
	admit(t, r, "a", "m").Report(Result{Verdict: Good, Reading: metrics.Reading{TTFT: 4 * time.Second}})
	if got := limit(); got < 23*time.Second || got > 25*time.Second {
		t.Errorf("limit %v, want 6 × 4 s", got)
	}
	for range 50 {
		admit(t, r, "a", "m").Report(Result{Verdict: Good, Reading: metrics.Reading{TTFT: 100 * time.Millisecond}})
	}
	if got := limit(); got != leastPatience {
		t.Errorf("limit %v, want the least", got)
	}
	clk.t = clk.t.Add(24 * time.Hour)
	if got := limit(); got != time.Minute {
		t.Errorf("a day later %v", got)
	}
}

func TestStateOutlivesTheRouter(t *testing.T) {
	r, _ := newRouter(target("a", "", "m"), target("b", "", "m"))
	admit(t, r, "a", "m").Report(Result{Verdict: Capacity, RetryAfter: time.Minute})
	next := func(endpoint string) *Router {
		return New([]Target{{Provider: "a", Endpoint: endpoint, Aliases: []string{"m"}, Weight: 100, Tier: 1},
			{Provider: "b", Endpoint: "http://b", Aliases: []string{"m"}, Weight: 1, Tier: 2}}, r.state, r.o)
	}
	if got := first(next("http://a"), "m"); got != "b" {
		t.Error("the cooling provider comes first after a reload")
	}
	if got := first(next("http://elsewhere"), "m"); got != "a" {
		t.Error("another endpoint inherits the pause")
	}
}

func TestASecondReportTellsNothing(t *testing.T) {
	r, clk := newRouter(target("a", "", "m"), target("b", "", "m"))
	a := admit(t, r, "a", "m")
	a.Report(Result{Verdict: Good, Reading: metrics.Reading{TTFT: time.Second, Tokens: 300, Time: 10 * time.Second}})
	of := func() metrics.Candidate {
		clk.t = clk.t.Add(time.Second)
		for _, c := range r.Route(Query{Model: "m"}).Decision.Candidates {
			if c.Provider == "a" {
				return c
			}
		}
		return metrics.Candidate{}
	}
	before := of()
	a.Report(Result{Verdict: Neutral})
	a.Observe(clk.t, metrics.Reading{})
	if after := of(); math.Abs(after.TPS-before.TPS) > 1 || after.TTFT != before.TTFT || before.TPS > 40 {
		t.Errorf("%.1f tok/s and %v before, %.1f and %v after", before.TPS, before.TTFT, after.TPS, after.TTFT)
	}
}
