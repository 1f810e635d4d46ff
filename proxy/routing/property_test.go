package routing

import (
	"fmt"
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

// draws is a source of draws that can be used from several goroutines.
func draws(seed uint64) func() float64 {
	rng := rand.New(rand.NewPCG(seed, 1))
	var mu sync.Mutex
	return func() float64 {
		mu.Lock()
		defer mu.Unlock()
		return rng.Float64()
	}
}

// A target's share may only grow with its weight. The draws are the same each
// time, so every single choice must stay or turn to it.
func TestMoreWeightNeverLowersTheShare(t *testing.T) {
	share := func(seed uint64, weight float64) (chosen []bool) {
		r, clk := newRouter(target("a", "", "m"), target("b", "", "m"), target("c", "", "m"))
		r.targets[0].Weight, r.targets[1].Weight, r.targets[2].Weight = weight, 3, 1
		r.o.Draw = draws(seed)
		for i, tps := range []float64{40, 60, 50} {
			learn(r, clk, r.targets[i].Provider, tps)
		}
		for range 300 {
			chosen = append(chosen, first(r, "m") == "a")
		}
		return chosen
	}
	for seed := range uint64(20) {
		last := share(seed, 0.1)
		for _, weight := range []float64{0.5, 1, 2, 5, 100} {
			now := share(seed, weight)
			for i := range now {
				if last[i] && !now[i] {
					t.Fatalf("seed %d: choice %d turns away from a when its weight rises to %v", seed, i, weight)
				}
			}
			last = now
		}
		if !slices.Contains(last, true) {
			t.Fatalf("seed %d: a is never chosen, whatever its weight", seed)
		}
	}
}

// learn lets the provider answer a few times at a speed.
func learn(r *Router, clk *clock, provider string, tps float64) {
	u := r.state.upstream(upstreamKey{accountKey{provider, "http://" + provider}, "m"}, clk.t)
	u.mu.Lock()
	defer u.mu.Unlock()
	for range 5 {
		u.meter.generated(clk.t, 10*tps, 10)
		u.meter.waited(clk.t, 500*time.Millisecond)
	}
	r.state.changed.Add(1)
}

// The order of the configuration means nothing: each target has the same weight
// and the same share wherever it stands.
func TestOrderOfTheConfigurationMeansNothing(t *testing.T) {
	names := []string{"a", "b", "c", "d"}
	weights := map[string]float64{"a": 5, "b": 3, "c": 2, "d": 2}
	speeds := map[string]float64{"a": 60, "b": 70, "c": 80, "d": 20}
	var want map[string]float64
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 7))
		rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		var targets []Target
		for _, n := range names {
			tg := target(n, "", "m")
			tg.Weight = weights[n]
			targets = append(targets, tg)
		}
		r, clk := newRouter(targets...)
		r.o.Draw = draws(seed)
		for n, tps := range speeds {
			learn(r, clk, n, tps)
		}
		got := map[string]float64{}
		for _, c := range r.Route(Query{Model: "m"}).Decision.Candidates {
			got[c.Provider] = c.W
		}
		shares := map[string]float64{}
		const n = 4000
		for range n {
			shares[first(r, "m")] += 1.0 / n
		}
		total := got["a"] + got["b"] + got["c"] + got["d"]
		for name, w := range got {
			if want != nil && w != want[name] {
				t.Errorf("order %v: the weight of %s is %v, elsewhere %v", names, name, w, want[name])
			}
			if math.Abs(shares[name]-w/total) > 0.035 { // four standard errors
				t.Errorf("order %v: the share of %s is %.3f, its weight says %.3f", names, name, shares[name], w/total)
			}
		}
		want = got
	}
}

// Whatever becomes of the attempts, nothing stays in flight.
func TestInFlightReturnsToZero(t *testing.T) {
	r, clk := newRouter(target("a", "", "m"), target("b", "", "m"), target("c", "", "m"))
	r.o.Draw = draws(1)
	r.o.Retry = Retry{Same: true, Max: 2, Multiplier: 2}
	var wg sync.WaitGroup
	for worker := range 16 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(worker), 5))
			for i := range 200 {
				wander(r, clk.t, rng, fmt.Sprint(worker, i%7))
			}
		})
	}
	wg.Wait()
	for key, u := range r.state.upstreams {
		if u.pend.Load() != 0 || u.account.pend.Load() != 0 || u.running != nil {
			t.Errorf("%v: %d in flight, %d at its provider, list %v", key, u.pend.Load(), u.account.pend.Load(), u.running)
		}
		if u.probed() {
			t.Errorf("%v: a probe is under way for ever", key)
		}
	}
}

// wander goes a random way through a route, with reports that come twice.
func wander(r *Router, now time.Time, rng *rand.Rand, session string) {
	route := r.Route(Query{Model: "m", Session: session, Fresh: rng.IntN(2) == 0})
	for {
		a, ok := route.Next()
		if !ok {
			return
		}
		var read metrics.Reading
		for range rng.IntN(4) {
			read.TTFT, read.Live = time.Second, rng.IntN(2) == 0
			read.Tokens += 40 * rng.Float64()
			read.Time += time.Second
			a.Observe(now, read)
		}
		res := Result{Verdict: Verdict(rng.IntN(int(Refused) + 1)), Committed: rng.IntN(3) == 0, Reading: read}
		a.Report(res)
		a.Report(Result{Verdict: Neutral})
		if res.Verdict == Good || res.Committed || rng.IntN(4) == 0 {
			return
		}
		route.Again(a, res)
	}
}

// While another candidate is closed, no request of a thousand goes inside the
// Retry-After, and when that is over exactly one of them tries.
func TestRetryAfterAndHalfOpenUnderLoad(t *testing.T) {
	r, clk := newRouter(target("a", "", "m"), target("b", "", "m"))
	r.o.Draw = draws(2)
	r.targets[0].Weight = 1000
	admit(t, r, "a", "m").Report(Result{Verdict: Capacity, RetryAfter: 10 * time.Second})
	asked := func() int64 {
		var n atomic.Int64
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				a, _ := r.Route(Query{Model: "m", Session: fmt.Sprint(i % 50)}).Next()
				if a.Provider == "a" {
					n.Add(1) // and has not come back yet
					return
				}
				a.Report(Result{Verdict: Good})
			})
		}
		wg.Wait()
		return n.Load()
	}
	for range 10 {
		if n := asked(); n != 0 {
			t.Fatalf("%d requests went inside the Retry-After", n)
		}
		clk.t = clk.t.Add(999 * time.Millisecond)
	}
	clk.t = clk.t.Add(10 * time.Millisecond)
	if n := asked(); n > 1 {
		t.Errorf("%d requests tried at once", n)
	}
	if n := asked(); n != 0 {
		t.Errorf("%d more tried while one was under way", n)
	}
}

func TestMapsAreBounded(t *testing.T) {
	r, clk := newRouter(target("a", "", "*"))
	for i := range 3 * upstreamsKept {
		a, _ := r.Route(Query{Model: fmt.Sprint(i), Session: strings.Repeat("s", i%300)}).Next()
		a.Report(Result{Verdict: Good, Output: 100})
	}
	for i := range 4 * sessionsKept {
		r.state.sessions.put(keyOf(fmt.Sprint(i), "", "*"), binding{used: clk.t})
	}
	for what, n := range map[string][2]int{
		"upstreams": {len(r.state.upstreams), upstreamsKept}, "aliases": {len(r.state.byAlias), aliasesKept}, "fields": {len(r.fields), fieldsKept},
		"sessions": {len(r.state.sessions.new) + len(r.state.sessions.old), 2 * sessionsKept},
	} {
		if n[0] > n[1] || n[0] == 0 {
			t.Errorf("%d %s are kept, at most %d may be", n[0], what, n[1])
		}
	}
}

// An upstream that is forgotten while it answers is still counted right.
func TestForgottenUpstreamsAreLookedUpAgain(t *testing.T) {
	r, _ := newRouter(target("a", "", "m"), target("b", "", "m"))
	a := admit(t, r, "a", "m")
	r.state.mu.Lock()
	r.state.forgetLocked()
	r.state.mu.Unlock()
	if n := len(r.state.upstreams); n != 1 {
		t.Fatalf("%d upstreams are left, want the one in flight", n)
	}
	again := admit(t, r, "a", "m")
	if again.upstream != a.upstream || a.upstream.pend.Load() != 2 {
		t.Error("an upstream in flight was forgotten")
	}
	a.Report(Result{Verdict: Good})
	again.Report(Result{Verdict: Good})
	if n := a.upstream.pend.Load(); n != 0 {
		t.Errorf("%d in flight", n)
	}
}

// eight is a Router over eight targets that have been measured.
func eight(b *testing.B) *Router {
	b.Helper()
	var targets []Target
	for i := range 8 {
		t := target(fmt.Sprint("p", i), "", "claude-*")
		t.Weight, t.Tier = float64(i+1), 1
		targets = append(targets, t)
	}
	r := New(targets, NewState(), Options{Cooldown: time.Second, Affinity: time.Hour})
	for i := range 8 {
		a := &Attempt{waiting: true}
		u := r.field("claude-x", time.Now()).entries[i].upstream
		u.begin(a)
		u.observe(a, time.Now(), metrics.Reading{TTFT: time.Second, Tokens: 500, Time: 8 * time.Second})
		u.end(a)
	}
	return r
}

// BenchmarkPick is the choice among eight targets as each request makes it:
// fresh weights, or those that are still fresh, and the draw.
func BenchmarkPick(b *testing.B) {
	r := eight(b)
	f := r.field("claude-x", time.Now())
	q := Query{Model: "claude-x"}
	var room [8]place
	b.ReportAllocs()
	for b.Loop() {
		now := r.o.Now()
		f.mu.Lock()
		f.refreshLocked(r, now)
		f.drawLocked(r, &q, now, -1, room[:0])
		f.mu.Unlock()
	}
}

// BenchmarkRefresh is what the weights cost when they are computed.
func BenchmarkRefresh(b *testing.B) {
	r := eight(b)
	f := r.field("claude-x", time.Now())
	b.ReportAllocs()
	for b.Loop() {
		r.state.changed.Add(1)
		f.mu.Lock()
		f.refreshLocked(r, time.Now())
		f.mu.Unlock()
	}
}

// BenchmarkSample is what a running stream costs each quarter of a second.
func BenchmarkSample(b *testing.B) {
	r := eight(b)
	a, _ := r.Route(Query{Model: "claude-x"}).Next()
	defer a.Report(Result{Verdict: Neutral})
	now := time.Now()
	reading := metrics.Reading{TTFT: time.Second, Live: true}
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(250 * time.Millisecond)
		reading.Tokens += 20
		reading.Time += 250 * time.Millisecond
		a.Observe(now, reading)
	}
}

// BenchmarkRoute is the whole of it: the choice, its Decision, an attempt that
// is admitted and reported.
func BenchmarkRoute(b *testing.B) {
	r := eight(b)
	b.ReportAllocs()
	for b.Loop() {
		a, _ := r.Route(Query{Model: "claude-x", Session: "b8f2c1de-0000-4000-8000-1234567890ab", Fresh: true}).Next()
		a.Report(Result{Verdict: Good, Output: 300})
	}
}
