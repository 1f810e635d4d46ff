package routing

import (
	"fmt"
	"testing"
	"time"

	"anyproxy/metrics"
)

// A wait that is stated while an upstream is out already is not ended by the
// success of what was sent before it.
func TestProlongedPauseSurvivesAnOlderSuccess(t *testing.T) {
	r, clk := newRouter(target("a", "", "m"), target("b", "", "m"))
	trip := func(p string, res Result) {
		for {
			rt := r.Route(Query{Model: "m"})
			a, ok := rt.Next()
			if !ok {
				t.Fatal("none")
			}
			if a.Provider == p {
				a.Report(res)
				return
			}
			a.Report(Result{Verdict: Neutral})
		}
	}
	trip("a", Result{Verdict: Capacity})
	trip("b", Result{Verdict: Capacity})
	// all cooling: last resort on both, in flight
	r1 := r.Route(Query{Model: "m"})
	clk.t = clk.t.Add(time.Second)
	long, _ := r1.Next() // last resort, a long stream
	r2 := r.Route(Query{Model: "m"})
	clk.t = clk.t.Add(time.Second)
	var same *Attempt
	for same == nil {
		x, ok := r2.Next()
		if !ok {
			t.Fatal("none")
		}
		if x.Provider == long.Provider {
			same = x
		} else {
			x.Report(Result{Verdict: Neutral})
		}
	}
	same.Report(Result{Verdict: Capacity, RetryAfter: 10 * time.Minute})
	clk.t = clk.t.Add(30 * time.Second)
	long.Report(Result{Verdict: Good})
	st := r.state.Provider(long.Provider, "http://"+long.Provider, clk.t)
	if !st.Out {
		t.Errorf("30 s after a Retry-After of 10 minutes the upstream is closed again, by a request sent before that")
	}
}

// An upstream behind two aliases is slow or not, whatever others of each alias
// are like.
func TestSlowIsOneVerdictForAllAliases(t *testing.T) {
	r, clk := newRouter(target("a", "x", "m", "n"), target("fast", "y", "m"), target("low", "z", "n"))
	r.o.Threshold = 40
	meter := func(p string, q string, tps float64, secs float64) {
		rt := r.Route(Query{Model: q, Provider: p, Stream: true})
		a, _ := rt.Next()
		clk.t = clk.t.Add(time.Duration(secs * 1e9))
		a.Report(Result{Verdict: Good, Output: 100, Reading: metrics.Reading{TTFT: 500 * time.Millisecond, Tokens: tps * secs, Time: time.Duration(secs * 1e9)}})
	}
	for range 10 {
		meter("fast", "m", 200, 5)
		meter("low", "n", 20, 5)
	}
	meter("a", "m", 36, 2)
	clk.told = nil
	for range 100 {
		clk.t = clk.t.Add(60 * time.Millisecond)
		for _, q := range []string{"m", "n"} {
			r.Route(Query{Model: q})
		}
		clk.t = clk.t.Add(-50 * time.Millisecond)
	}
	n := 0
	for _, e := range clk.told {
		if e.Kind == metrics.EventSlow {
			n++
		}
	}
	if n > 2 {
		t.Errorf("%d slow events in a second of nothing happening", n)
	}
}

// Whoever may not be asked even as a last resort is no reason to give up early.
func TestDeadlineOfTheLastThatMayBeAsked(t *testing.T) {
	b := target("b", "", "m")
	b.Tier = 2
	r, clk := newRouter(target("a", "", "m"), b)
	for range 10 {
		turn(t, r, Query{}, answered(60))
		clk.t = clk.t.Add(time.Second)
	}
	rt := r.Route(Query{Model: "m", Stream: true})
	x, _ := rt.Next()
	x.Report(Result{Verdict: Faulty})
	y, _ := rt.Next()
	y.Report(Result{Verdict: Capacity, RetryAfter: time.Hour})
	clk.t = clk.t.Add(10 * time.Second)
	rt = r.Route(Query{Model: "m", Stream: true})
	x, _ = rt.Next()
	limit := x.FirstByte(time.Minute)
	x.Report(Result{Verdict: Neutral})
	if z, ok := rt.Next(); !ok && limit != time.Minute {
		t.Errorf("given up after %v, and then nobody may be asked (%v)", limit, z)
	}
}

// A session whose home a reload has removed has a home where it is.
func TestHomeThatIsNoLongerConfigured(t *testing.T) {
	r, clk := newRouter(target("a", "", "m"), target("b", "", "m"), target("c", "", "m"))
	q := Query{Session: "s", Fresh: true}
	home, _ := turn(t, r, q, answered(60))
	var rest []Target
	for _, x := range r.targets {
		if x.Provider != home {
			rest = append(rest, x)
		}
	}
	r = New(rest, r.state, r.o) // home is removed
	second, _ := turn(t, r, q, answered(60))
	looks := 0
	q.Look = func() Look { looks++; return Look{Fresh: true} }
	for range 5 {
		clk.t = clk.t.Add(10 * time.Second)
		turn(t, r, q, answered(60))
	}
	// the new place has a fault, once
	rt := r.Route(Query{Model: "m", Session: "s", Fresh: true, Stream: true})
	a, _ := rt.Next()
	a.Report(Result{Verdict: Capacity})
	o, _ := rt.Next()
	o.Report(answered(60))
	clk.t = clk.t.Add(20 * time.Minute)
	q.Look = nil
	by, bind := turn(t, r, q, answered(60))
	if by != second {
		t.Errorf("20 minutes after one fault the session is at %s (%+v), not back at %s", by, bind, second)
	}
	if looks > 0 {
		t.Errorf("%d looks", looks)
	}
}

// Sessions stay where they are when made-up names have pushed their upstream out
// of memory.
func TestForgottenUpstreamsKeepTheirSessions(t *testing.T) {
	r, _ := newRouter(target("a", "x", "m"), target("b", "y", "m"), target("z", "", "claude-*"))
	moved := 0
	for i := range 40 {
		turn(t, r, Query{Session: fmt.Sprint(i)}, answered(60))
	}
	for i := range 5000 {
		r.Route(Query{Model: fmt.Sprintf("claude-%d", i)})
	}
	for i := range 40 {
		if _, b := turn(t, r, Query{Session: fmt.Sprint(i)}, answered(60)); b.Kind != metrics.BindingKept {
			moved++
		}
	}
	if moved > 0 {
		t.Errorf("%d of 40 sessions were moved", moved)
	}
}

// A failure of the provider as a whole counts for the return of each model.
func TestReturnWaitsForTheWholeProvider(t *testing.T) {
	b1, b2 := target("b", "x", "m"), target("b", "y", "h")
	b1.Tier, b2.Tier = 2, 2
	r, clk := newRouter(target("a", "x", "m"), target("a", "y", "h"), b1, b2)
	q := Query{Session: "s", Fresh: true}
	turn(t, r, q, answered(60))
	// the small model's call cannot reach the provider
	rt := r.Route(Query{Model: "h", Stream: true})
	a, _ := rt.Next()
	a.Report(Result{Verdict: Unreached})
	n, _ := rt.Next()
	n.Report(answered(60))
	turn(t, r, q, answered(60))
	clk.t = clk.t.Add(7 * time.Second)
	by, bind := turn(t, r, q, answered(60))
	if by == "a" {
		t.Errorf("7 s after the failure the session is back: %+v (switchback is 5m)", bind)
	}
}

// A target whose answers are too short to be measured is not offered as idle for
// ever.
func TestOfferedAsIdleOnce(t *testing.T) {
	cheap, dear := 1.0, 10.0
	a, b := target("a", "", "m"), target("b", "", "m")
	a.Price, b.Price = func(string) *float64 { return &cheap }, func(string) *float64 { return &dear }
	r, clk := newRouter(a, b)
	r.o.PriceExponent = 2
	share := func() float64 {
		n := 0
		for range 2000 {
			clk.t = clk.t.Add(100 * time.Millisecond)
			by, _ := turn(t, r, Query{}, Result{Verdict: Good, Output: 5, Reading: metrics.Reading{TTFT: 500 * time.Millisecond}})
			if by == "b" {
				n++
			}
		}
		return float64(n) / 2000
	}
	before := share()
	clk.t = clk.t.Add(6 * time.Minute)
	after := share()
	if after > 0.03 {
		t.Errorf("share of the ten times dearer: %.3f, after five minutes without a speed sample %.3f", before, after)
	}
}

// A session does not go home beyond maxConcurrent.
func TestHomeThatIsFull(t *testing.T) {
	a, b := target("a", "", "m"), target("b", "", "m")
	a.MaxConcurrent, b.Tier = 1, 2
	r, clk := newRouter(a, b)
	q := Query{Session: "s", Fresh: true}
	turn(t, r, q, answered(60))
	rt := r.Route(Query{Model: "m", Session: "s", Stream: true})
	x, _ := rt.Next()
	x.Report(Result{Verdict: Capacity})
	y, _ := rt.Next()
	y.Report(answered(60))
	clk.t = clk.t.Add(6 * time.Minute)
	// close a
	for {
		p, _ := r.Route(Query{Model: "m", Stream: true}).Next()
		p.Report(answered(60))
		if p.Provider == "a" {
			break
		}
	}
	clk.t = clk.t.Add(6 * time.Minute)
	hold, _ := r.Route(Query{Model: "m", Stream: true}).Next()
	if hold.Provider != "a" {
		t.Fatal(hold.Provider)
	}
	by, bind := turn(t, r, q, answered(60))
	if by == "a" {
		t.Errorf("home with 1 of 1 in flight: %+v", bind)
	}
}

// A success as a last resort does not end the probe beside it.
func TestOneProbeWhateverTheLastResortDoes(t *testing.T) {
	b := &breaker{changed: &NewState().changed}
	now := time.Unix(1000, 0)
	c := cause{base: 5 * time.Second, draw: .5}
	b.trip(now, false, c)
	now = now.Add(6 * time.Second)
	p1, _ := b.admit(now, false)
	if _, ok := b.admit(now, true); !ok { // the last resort beside it
		t.Fatal("not admitted as a last resort")
	}
	b.succeed(now.Add(time.Second), now, false) // closes
	b.trip(now.Add(2*time.Second), false, c)
	now = now.Add(time.Minute)
	p2, _ := b.admit(now, false)
	b.release(p1) // its client leaves
	p3, ok := b.admit(now, false)
	if p2 && p3 && ok {
		t.Error("two probes at once")
	}
}

// One pattern may cover the main model and that of the side calls.
func TestSideCallsUnderOnePatternBindTheirOwnModel(t *testing.T) {
	r, clk := newRouter(target("a", "", "claude-*"), target("b", "", "claude-*"))
	ask := func(model string) (string, metrics.Binding) {
		rt := r.Route(Query{Model: model, Session: "s", Stream: true})
		a, _ := rt.Next()
		a.Report(answered(60))
		return a.Provider, rt.Decision.Session
	}
	home, _ := ask("claude-opus")
	kinds := map[string]map[metrics.BindingKind]int{"claude-opus": {}, "claude-haiku": {}}
	by := map[string]map[string]int{"claude-opus": {}, "claude-haiku": {}}
	for range 50 {
		clk.t = clk.t.Add(5 * time.Second)
		for _, m := range []string{"claude-haiku", "claude-opus"} {
			p, b := ask(m)
			kinds[m][b.Kind]++
			by[m][p]++
		}
	}
	moves := 0
	for _, e := range clk.told {
		if e.Kind == metrics.EventMoved {
			moves++
		}
	}
	if moves > 0 || by["claude-opus"][home] != 50 {
		t.Error("side calls rebind")
	}
}

// Neither do they when the home has had a fault.
func TestSideCallsDoNotMoveTheMainModel(t *testing.T) {
	changes := 0
	for seed := range 20 {
		r, clk := newRouter(target("a", "", "claude-*"), target("b", "", "claude-*"), target("c", "", "claude-*"))
		for range seed {
			r.o.Draw()
		}
		ask := func(model string, res Result) string {
			rt := r.Route(Query{Model: model, Session: "s", Stream: true})
			a, _ := rt.Next()
			a.Report(res)
			if res.Verdict == Capacity {
				a, _ = rt.Next()
				a.Report(answered(60))
			}
			return a.Provider
		}
		ask("claude-opus", answered(60))
		clk.t = clk.t.Add(5 * time.Second)
		last := ask("claude-opus", Result{Verdict: Capacity}) // once
		for range 20 {
			clk.t = clk.t.Add(5 * time.Second)
			ask("claude-haiku", answered(60))
			if p := ask("claude-opus", answered(60)); p != last {
				changes, last = changes+1, p
			}
		}
	}
	if changes > 20 {
		t.Error("the main model's prompt cache is bought again and again")
	}
}

// A key that was refused is why people restart.
func TestRefusedKeyIsTriedAfterARestart(t *testing.T) {
	r, clk := newRouter(target("a", "", "m"), target("b", "", "m"))
	rt := r.Route(Query{Model: "m"})
	a, _ := rt.Next()
	a.Report(Result{Verdict: Refused})
	data, err := r.state.Save(clk.t)
	if err != nil {
		t.Fatal(err)
	}
	s := NewState()
	if err := s.Restore(data, clk.t); err != nil {
		t.Fatal(err)
	}
	if st := s.Provider(a.Provider, "http://"+a.Provider, clk.t); st.Out || st.Refused {
		t.Errorf("after the restart with the right key: %+v", st)
	}
}
