package routing

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"anyproxy/metrics"
)

type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func newRouter(targets ...Target) (*Router, *clock) {
	c := &clock{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	for i := range targets {
		targets[i].Weight = max(targets[i].Weight, 1)
		targets[i].Tier = max(targets[i].Tier, 1)
	}
	r := New(targets, NewState(), Options{Cooldown: 5 * time.Second, MaxRetryAfter: time.Hour, Now: c.now,
		Draw: rand.New(rand.NewPCG(1, 2)).Float64})
	return r, c
}

func target(provider, model string, aliases ...string) Target {
	return Target{Provider: provider, Endpoint: "http://" + provider, Model: model, Aliases: aliases}
}

func order(route Route) string {
	var names []string
	for _, p := range route.Picks {
		names = append(names, p.Provider+"/"+p.Model)
	}
	return strings.Join(names, " ")
}

// set is order without the order.
func set(route Route) string {
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
	if route := narrow.Route(Query{Model: "gpt-4o"}); len(route.Picks) != 0 {
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
	if set(route) != "a/m b/m" || slices.ContainsFunc(route.Picks, func(p Pick) bool { return p.Tier != 1 }) {
		t.Errorf("picks %s, want both from tier 1", order(route))
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
	first := map[string]int{}
	const n = 20000
	for range n {
		first[r.Route(Query{Model: "m"}).Picks[0].Provider]++
	}
	for provider, want := range map[string]float64{"a": 0.5, "b": 0.3, "c": 0.2} {
		if got := float64(first[provider]) / n; math.Abs(got-want) > 0.015 {
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

func pickOf(t *testing.T, r *Router, provider, model string) Pick {
	t.Helper()
	for _, p := range r.Route(Query{Model: model}).Picks {
		if p.Provider == provider {
			return p
		}
	}
	t.Fatalf("%s is no candidate for %s", provider, model)
	return Pick{}
}

func TestCooldowns(t *testing.T) {
	for _, c := range []struct {
		name     string
		results  []Result
		other    bool          // the provider's other model pauses too
		cooldown time.Duration // 0 = none
	}{
		{"429 with its own word", []Result{{Verdict: Capacity, RetryAfter: 30 * time.Second}}, false, 30 * time.Second},
		{"429 without", []Result{{Verdict: Capacity}}, false, 5 * time.Second},
		{"a word beyond all reason", []Result{{Verdict: Capacity, RetryAfter: 48 * time.Hour}}, false, time.Hour},
		{"connection", []Result{{Verdict: Unreached}}, true, 5 * time.Second},
		{"credential", []Result{{Verdict: Refused}}, true, time.Minute},
		{"two 500s", []Result{{Verdict: Faulty}, {Verdict: Faulty}}, false, 0},
		{"three 500s", []Result{{Verdict: Faulty}, {Verdict: Faulty}, {Verdict: Faulty}}, false, 5 * time.Second},
		{"a success between", []Result{{Verdict: Faulty}, {Verdict: Faulty}, {Verdict: Good}, {Verdict: Faulty}}, false, 0},
		{"the client's fault", []Result{{Verdict: Neutral}, {Verdict: Neutral}, {Verdict: Neutral}}, false, 0},
		{"the longer pause stands", []Result{{Verdict: Capacity, RetryAfter: time.Minute}, {Verdict: Capacity, RetryAfter: time.Second}}, false, time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, clk := newRouter(target("a", "", "m*"), target("b", "", "m*"))
			for _, res := range c.results {
				res.Started = clk.t
				pickOf(t, r, "a", "m1").Report(res)
			}
			cooling := func(model string) bool {
				route := r.Route(Query{Model: model})
				return route.Decision.Candidates[1].Provider == "a" && route.Decision.Candidates[1].Skipped == "cooling"
			}
			if cooling("m1") != (c.cooldown > 0) {
				t.Fatalf("cooling = %v, want a pause of %v", cooling("m1"), c.cooldown)
			}
			if cooling("m2") != c.other {
				t.Errorf("the provider's other model cooling = %v, want %v", cooling("m2"), c.other)
			}
			st := r.state.Provider("a", "http://a", clk.t)
			if c.cooldown > 0 && st.RetryAt.Sub(clk.t) != c.cooldown {
				t.Errorf("retry in %v, want %v", st.RetryAt.Sub(clk.t), c.cooldown)
			}
			clk.t = clk.t.Add(c.cooldown + time.Millisecond)
			if cooling("m1") {
				t.Error("still cooling after its pause")
			}
		})
	}
}

func TestAllCoolingSoonestFirst(t *testing.T) {
	r, clk := newRouter(target("a", "", "m"), target("b", "", "m"), target("c", "", "m"))
	for provider, after := range map[string]time.Duration{"a": 30, "b": 10, "c": 20} {
		pickOf(t, r, provider, "m").Report(Result{Verdict: Capacity, RetryAfter: after * time.Second, Started: clk.t})
	}
	route := r.Route(Query{Model: "m"})
	if got := order(route); got != "b/m c/m a/m" {
		t.Errorf("order %s", got)
	}
	if got := route.ReadyIn(); got != 10*time.Second {
		t.Errorf("ready in %v, want 10s", got)
	}
}

func TestLoneCandidateIsTransparent(t *testing.T) {
	r, clk := newRouter(target("a", "", "m"))
	for range 5 {
		if events := pickOf(t, r, "a", "m").Report(Result{Verdict: Capacity, RetryAfter: time.Minute, Started: clk.t}); len(events) != 0 {
			t.Fatalf("events %v", events)
		}
	}
	if route := r.Route(Query{Model: "m"}); route.Decision.Candidates[0].Skipped != "" || route.ReadyIn() != 0 {
		t.Errorf("the only candidate is left out: %+v", route.Decision)
	}
}

func TestLateSuccessDoesNotEndAPause(t *testing.T) {
	r, clk := newRouter(target("a", "", "m"), target("b", "", "m"))
	long := clk.t // a stream that began before the 429
	clk.t = clk.t.Add(time.Second)
	pickOf(t, r, "a", "m").Report(Result{Verdict: Capacity, RetryAfter: time.Minute, Started: clk.t})
	clk.t = clk.t.Add(time.Second)
	if events := pickOf(t, r, "a", "m").Report(Result{Verdict: Good, Started: long}); len(events) != 0 {
		t.Errorf("an old stream's end brought %v", events)
	}
	if r.Route(Query{Model: "m"}).Picks[0].Provider != "b" {
		t.Error("the pause is over")
	}
	events := pickOf(t, r, "a", "m").Report(Result{Verdict: Good, Started: clk.t})
	if len(events) != 1 || events[0].Kind != metrics.EventReturn {
		t.Errorf("a success of the last resort brought %v", events)
	}
}

func TestStateOutlivesTheRouter(t *testing.T) {
	r, clk := newRouter(target("a", "", "m"), target("b", "", "m"))
	pickOf(t, r, "a", "m").Report(Result{Verdict: Capacity, RetryAfter: time.Minute, Started: clk.t})
	next := New([]Target{{Provider: "a", Endpoint: "http://a", Aliases: []string{"m"}, Weight: 100, Tier: 1},
		{Provider: "b", Endpoint: "http://b", Aliases: []string{"m"}, Weight: 1, Tier: 1}}, r.state, r.o)
	if got := next.Route(Query{Model: "m"}).Picks[0].Provider; got != "b" {
		t.Errorf("the cooling provider comes first after a reload")
	}
	moved := New([]Target{{Provider: "a", Endpoint: "http://elsewhere", Aliases: []string{"m"}, Weight: 100, Tier: 1},
		{Provider: "b", Endpoint: "http://b", Aliases: []string{"m"}, Weight: 1, Tier: 1}}, r.state, r.o)
	if moved.Route(Query{Model: "m"}).Decision.Candidates[0].Skipped != "" {
		t.Error("another endpoint inherits the pause")
	}
}

func TestStateIsBounded(t *testing.T) {
	r, _ := newRouter(target("a", "", "*"))
	for i := range 3 * upstreamsKept {
		r.Route(Query{Model: fmt.Sprint(i)})
	}
	if n := len(r.state.upstreams); n > upstreamsKept {
		t.Errorf("%d upstreams are kept, at most %d may be", n, upstreamsKept)
	}
}

func BenchmarkRoute8(b *testing.B) {
	var targets []Target
	for i := range 8 {
		t := target(fmt.Sprint("p", i), "", "claude-*")
		t.Weight, t.Tier = float64(i+1), 1
		targets = append(targets, t)
	}
	r := New(targets, NewState(), Options{Cooldown: time.Second, Now: time.Now, Draw: rand.Float64})
	b.ReportAllocs()
	for b.Loop() {
		r.Route(Query{Model: "claude-sonnet-4-5"})
	}
}
