package routing

import (
	"fmt"
	"testing"
	"time"

	"anyproxy/metrics"
)

// turn plays one answered turn of a session and returns who answered and what
// the Decision said of the session.
func turn(t *testing.T, r *Router, q Query, res Result) (by string, b metrics.Binding) {
	t.Helper()
	q.Model, q.Stream = "m", true
	route := r.Route(q)
	a, ok := route.Next()
	if !ok {
		t.Fatal("nobody can be asked")
	}
	a.Report(res)
	return a.Provider, route.Decision.Session
}

// answered is a turn of 300 tokens at a speed.
func answered(tps float64) Result {
	return Result{Verdict: Good, Output: 300, Reading: metrics.Reading{TTFT: 500 * time.Millisecond, Tokens: 300, Time: time.Duration(300 / tps * 1e9)}}
}

// tiered is a in tier 1 and b in tier 2.
func tiered() (*Router, *clock) {
	b := target("b", "", "m")
	b.Tier = 2
	return newRouter(target("a", "", "m"), b)
}

func TestSessionStaysWhereItIs(t *testing.T) {
	r, clk := newRouter(target("a", "", "m"), target("b", "", "m"), target("c", "", "m"))
	home, first := turn(t, r, Query{Session: "s"}, answered(60))
	if first.Kind != metrics.BindingNew {
		t.Errorf("the first turn: %+v", first)
	}
	for i := range 30 {
		clk.t = clk.t.Add(time.Minute)
		if by, b := turn(t, r, Query{Session: "s"}, answered(60)); by != home || b.Kind != metrics.BindingKept || b.Provider != home {
			t.Fatalf("turn %d: %s, %+v", i, by, b)
		}
	}
	if by, _ := turn(t, r, Query{Session: "s", Agent: "agent-1"}, answered(60)); by != home {
		t.Errorf("an agent begins at %s, its session is at %s", by, home)
	}
	clk.t = clk.t.Add(61 * time.Minute)
	if _, b := turn(t, r, Query{Session: "s"}, answered(60)); b.Kind != metrics.BindingNew {
		t.Errorf("after an hour without a turn: %+v", b)
	}
}

// Side calls to another model have a binding of their own.
func TestAliasesAreBoundApart(t *testing.T) {
	r, _ := newRouter(target("a", "", "m", "h"), target("b", "", "m", "h"))
	r.o.Draw = draws(3)
	apart := false
	for i := range 20 {
		session := fmt.Sprint(i)
		where := func(model string) string {
			a, _ := r.Route(Query{Model: model, Session: session}).Next()
			a.Report(answered(60))
			return a.Provider
		}
		big, small := where("m"), where("h")
		if where("m") != big || where("h") != small {
			t.Fatalf("session %d is moved by its other model", i)
		}
		apart = apart || big != small
	}
	if !apart {
		t.Error("twenty sessions have both models at the same provider: they are bound together")
	}
}

func TestSessionGoesHomeAfterAFault(t *testing.T) {
	for name, c := range map[string]struct {
		after time.Duration // since the fault
		fresh bool
		home  bool
	}{
		"too soon":                     {4 * time.Minute, true, false},
		"a fresh turn":                 {6 * time.Minute, true, true},
		"in the middle of a turn":      {6 * time.Minute, false, false},
		"in the middle of a long turn": {11 * time.Minute, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			r, clk := tiered()
			q := Query{Session: "s", Fresh: true}
			if by, _ := turn(t, r, q, answered(60)); by != "a" {
				t.Fatalf("it begins at %s", by)
			}
			route := r.Route(Query{Model: "m", Session: "s"})
			first, _ := route.Next()
			first.Report(Result{Verdict: Capacity})
			second, _ := route.Next()
			second.Report(answered(60))
			if second.Provider != "b" {
				t.Fatalf("the fault is healed by %s", second.Provider)
			}
			clk.t = clk.t.Add(c.after)
			want := metrics.Binding{Kind: metrics.BindingKept, Provider: "b", Model: "m"}
			to := "b"
			if c.home {
				want.Kind, to = metrics.BindingReturned, "a"
			}
			if by, b := turn(t, r, Query{Session: "s", Fresh: c.fresh}, answered(60)); by != to || b != want {
				t.Fatalf("answered by %s, %+v; want %s, %+v", by, b, to, want)
			}
			clk.t = clk.t.Add(time.Second)
			if by, b := turn(t, r, Query{Session: "s"}, answered(60)); by != to || b.Kind != metrics.BindingKept {
				t.Errorf("the next turn: %s, %+v", by, b)
			}
		})
	}
}

// A session that began while the first tier was out goes there too.
func TestSessionOfAHigherTierGoesDown(t *testing.T) {
	r, clk := tiered()
	admit(t, r, "a", "m").Report(Result{Verdict: Capacity, RetryAfter: 10 * time.Second})
	if by, b := turn(t, r, Query{Session: "s", Fresh: true}, answered(60)); by != "b" || b.Kind != metrics.BindingNew {
		t.Fatalf("it begins at %s, %+v", by, b)
	}
	clk.t = clk.t.Add(6 * time.Minute)
	if by, b := turn(t, r, Query{Session: "s", Fresh: true}, answered(60)); by != "a" || b.Kind != metrics.BindingReturned {
		t.Errorf("%s, %+v", by, b)
	}
}

// An answer that breaks off after content moves the session, although the
// breaker is closed.
func TestBrokenAnswerMovesTheSession(t *testing.T) {
	r, _ := newRouter(target("a", "", "m"), target("b", "", "m"))
	home, _ := turn(t, r, Query{Session: "s"}, answered(60))
	turn(t, r, Query{Session: "s"}, Result{Verdict: Faulty, Committed: true})
	by, b := turn(t, r, Query{Session: "s"}, answered(60))
	if by == home || b.Kind != metrics.BindingMoved || b.Reason != "fault" || b.Provider != home {
		t.Errorf("broke at %s, then by %s, %+v", home, by, b)
	}
}

func TestSessionLeavesForLoad(t *testing.T) {
	r, clk := newRouter(target("a", "", "m"), target("b", "", "m"))
	home, _ := turn(t, r, Query{Session: "s"}, answered(60))
	var busy []*Attempt
	for range 10 {
		busy = append(busy, admit(t, r, home, "m"))
	}
	clk.t = clk.t.Add(time.Second)
	by, b := turn(t, r, Query{Session: "s"}, answered(60))
	if by == home || b.Kind != metrics.BindingMoved || b.Reason != "load" {
		t.Fatalf("with 10 in flight at %s: %s, %+v", home, by, b)
	}
	for _, a := range busy {
		a.Report(Result{Verdict: Neutral})
	}
	for range 10 {
		admit(t, r, by, "m")
	}
	clk.t = clk.t.Add(59 * time.Second)
	if again, b := turn(t, r, Query{Session: "s"}, answered(60)); again != by || b.Kind != metrics.BindingKept {
		t.Errorf("a second move within a minute: %s, %+v", again, b)
	}
}

// Requests of a session that overlap do not move it back and forth.
func TestOverlappingTurnsAgree(t *testing.T) {
	r, clk := newRouter(target("a", "", "m"), target("b", "", "m"))
	home, _ := turn(t, r, Query{Session: "s"}, answered(60))
	long, _ := r.Route(Query{Model: "m", Session: "s"}).Next() // at home, and takes its time
	turn(t, r, Query{Session: "s"}, Result{Verdict: Capacity, RetryAfter: time.Hour})
	moved, _ := turn(t, r, Query{Session: "s"}, answered(60))
	clk.t = clk.t.Add(time.Second)
	long.Report(answered(60))
	if by, b := turn(t, r, Query{Session: "s"}, answered(60)); by != moved || by == home || b.Provider != moved {
		t.Errorf("home %s, moved to %s, then at %s, %+v", home, moved, by, b)
	}
}

func TestPriorityKnowsSpeedOnlyForTiesAndThreshold(t *testing.T) {
	r, clk := newRouter(target("a", "", "m"), target("b", "", "m"), target("c", "", "m"))
	r.o.Policy, r.o.Threshold = Priority, 40
	r.targets[0].Weight, r.targets[1].Weight, r.targets[2].Weight = 5, 1, 1
	learn(r, clk, "b", 60)
	learn(r, clk, "c", 90)
	if got := order(r.Route(Query{Model: "m", Session: "s"})); got != "a/m c/m b/m" {
		t.Errorf("by weight, ties by speed: %s", got)
	}
	learn(r, clk, "a", 5)
	learn(r, clk, "a", 5)
	clk.t = clk.t.Add(time.Second)
	if got := order(r.Route(Query{Model: "m", Session: "s"})); got != "c/m b/m a/m" {
		t.Errorf("a is under the threshold: %s", got)
	}
}

func TestThresholdHasHysteresis(t *testing.T) {
	r, clk := newRouter(target("a", "", "m"), target("b", "", "m"))
	r.o.Threshold = 40
	learn(r, clk, "b", 60)
	slow := func(tps float64) bool {
		clk.t = clk.t.Add(10 * time.Minute) // what was before has faded
		learn(r, clk, "a", tps)
		learn(r, clk, "b", 60)
		for _, c := range r.Route(Query{Model: "m"}).Decision.Candidates {
			if c.Provider == "a" {
				return c.Factors.Slow < 1
			}
		}
		return false
	}
	for i, c := range []struct {
		tps  float64
		slow bool
	}{{50, false}, {38, true}, {43, true}, {45, true}, {50, false}, {42, false}, {30, true}} {
		if got := slow(c.tps); got != c.slow {
			t.Errorf("step %d at %.0f tok/s: under the threshold = %v", i, c.tps, got)
		}
	}
	told := 0
	for _, e := range clk.told {
		if e.Kind == metrics.EventSlow {
			told++
		}
	}
	if told != 3 {
		t.Errorf("told %d times, want 3", told)
	}
	clk.t = clk.t.Add(10 * time.Minute)
	learn(r, clk, "a", 20)
	learn(r, clk, "b", 20)
	for _, c := range r.Route(Query{Model: "m"}).Decision.Candidates {
		if c.Factors.Slow != 1 {
			t.Errorf("all are under the threshold, and %s pays for it", c.Provider)
		}
	}
}

func TestCheaperIsPreferredWhenAskedFor(t *testing.T) {
	price := func(p float64) *float64 { return &p }
	for name, c := range map[string]struct {
		exponent float64
		prices   [3]*float64
		want     [3]float64
	}{
		"speed":       {0, [3]*float64{price(1), price(4), nil}, [3]float64{1, 1, 1}},
		"balanced":    {0.5, [3]*float64{price(1), price(4), nil}, [3]float64{1, 0.5, 1}},
		"cost":        {2, [3]*float64{price(1), price(4), price(2)}, [3]float64{1, 0.0625, 0.25}},
		"one is free": {2, [3]*float64{price(0), price(4), price(0.1)}, [3]float64{1, 0.0025, 1}},
	} {
		r, _ := newRouter(target("a", "", "m"), target("b", "", "m"), target("c", "", "m"))
		r.o.PriceExponent = c.exponent
		for i := range c.prices {
			r.targets[i].Price = func(string) *float64 { return c.prices[i] }
		}
		for _, got := range r.Route(Query{Model: "m"}).Decision.Candidates {
			if want := c.want[got.Provider[0]-'a']; got.Factors.Price != want {
				t.Errorf("%s: the price of %s weighs %v, want %v", name, got.Provider, got.Factors.Price, want)
			}
		}
	}
}

// A target that nobody has asked for long is offered, so that it is known what it
// has become.
func TestIdleTargetIsOffered(t *testing.T) {
	r, clk := newRouter(target("slow", "", "m"), target("fast", "", "m"))
	w := func() (slow, fast float64) {
		for _, c := range r.Route(Query{Model: "m"}).Decision.Candidates {
			if c.Provider == "slow" {
				slow = c.W
			} else {
				fast = c.W
			}
		}
		return slow, fast
	}
	learn(r, clk, "slow", 10)
	learn(r, clk, "fast", 80)
	if slow, _ := w(); slow > 0.01 {
		t.Errorf("a slow target has the weight %v", slow)
	}
	clk.t = clk.t.Add(idleTime + time.Second)
	learn(r, clk, "fast", 80)
	if slow, fast := w(); slow != idleWeight*fast {
		t.Errorf("after %v without a sample it has %v, the fast one %v", idleTime, slow, fast)
	}
	admit(t, r, "slow", "m")
	r.state.changed.Add(1)
	if slow, _ := w(); slow > 0.01 {
		t.Errorf("while it is measured it has %v", slow)
	}
}

func TestFullProviderStandsBehind(t *testing.T) {
	r, _ := newRouter(target("a", "", "m"), target("b", "", "m"))
	r.targets[0].MaxConcurrent, r.targets[0].Weight = 2, 1000
	for range 2 {
		if a, _ := r.Route(Query{Model: "m"}).Next(); a.Provider != "a" {
			t.Fatalf("%s is asked before a is full", a.Provider)
		}
	}
	if got := order(r.Route(Query{Model: "m"})); got != "b/m a/m" {
		t.Errorf("a is full: %s", got)
	}
	if got := order(r.Route(Query{Model: "m", Provider: "a"})); got != "a/m" {
		t.Errorf("nobody else may be asked: %q", got)
	}
}

func TestRetryBudget(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var b retryBudget
	repeats := func(requests, tries int) (allowed int) {
		for range requests {
			b.request(now)
		}
		for range tries {
			if b.allow(now) {
				allowed++
			}
		}
		return allowed
	}
	if got := repeats(1, 50); got != retryFloor {
		t.Errorf("a single user has %d repeats a second, want %d", got, retryFloor)
	}
	now = now.Add(time.Minute)
	if got := repeats(1000, 1000); got != 200 {
		t.Errorf("%d of 1000 requests are repeated, want a fifth", got)
	}
	now = now.Add(time.Second)
	if got := repeats(0, 1000); got != retryFloor {
		t.Errorf("%d more a second later, want the floor", got)
	}
	now = now.Add(retryWindow * time.Second)
	if got := repeats(100, 1000); got != 20 {
		t.Errorf("%d of 100 once that is forgotten, want 20", got)
	}
}

func TestRepeatsWaitLongerAndLonger(t *testing.T) {
	p := Retry{Initial: 100 * time.Millisecond, MaxDelay: time.Second, Multiplier: 2}
	for n, want := range []time.Duration{100, 200, 400, 800, 1000, 1000} {
		if got := p.delay(n, 0.5); got != want*time.Millisecond {
			t.Errorf("repeat %d after %v, want %v", n, got, want*time.Millisecond)
		}
		if low, high := p.delay(n, 0), p.delay(n, 0.999); low >= want*time.Millisecond || high <= want*time.Millisecond {
			t.Errorf("repeat %d: no jitter, %v to %v", n, low, high)
		}
	}
}

// Where so many of the attempts fail the breaker opens, although successes
// between them keep any row from getting long.
func TestHalfOfTheAttemptsFailing(t *testing.T) {
	r, clk := newRouter(target("a", "", "m"), target("b", "", "m"))
	for i := range 8 {
		if phaseOf(r, clk, "a", "m") == open {
			if i < leastAttempts {
				t.Errorf("open after %d attempts", i)
			}
			return
		}
		res := Result{Verdict: Faulty}
		if i%2 == 0 {
			res = answered(60)
		}
		admit(t, r, "a", "m").Report(res)
	}
	t.Error("every second attempt fails and the breaker stays closed")
}
