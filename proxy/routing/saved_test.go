package routing

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"anyproxy/metrics"
)

// used is a Router whose State knows something of everything.
func used(t testing.TB) (*Router, *clock) {
	t.Helper()
	r, clk := newRouter(target("a", "", "m"), target("b", "", "m"), target("c", "", "m"))
	for range 4 {
		route := r.Route(Query{Model: "m", Session: "s", Stream: true})
		a, _ := route.Next()
		clk.t = clk.t.Add(6 * time.Second)
		a.Report(Result{Verdict: Good, Output: 400, Reading: metrics.Reading{TTFT: time.Second, Tokens: 400, Time: 5 * time.Second}})
	}
	for _, other := range []string{"a", "b", "c"} {
		if bound(r) != other {
			route := r.Route(Query{Model: "m"})
			for a, ok := route.Next(); ok; a, ok = route.Next() {
				if a.Provider == other {
					a.Report(Result{Verdict: Capacity, RetryAfter: time.Hour})
					return r, clk
				}
				a.Report(Result{Verdict: Neutral})
			}
		}
	}
	t.Fatal("nobody is left to fail")
	return nil, nil
}

// bound is where the session is.
func bound(r *Router) string {
	return r.Route(Query{Model: "m", Session: "s"}).Decision.Session.Provider
}

// TestNothingIsKeptOfWhatNobodyServes: a client's word, which may be a key that
// was pasted into the wrong place, goes into no file, and many of them push
// nothing out that was learnt.
func TestNothingIsKeptOfWhatNobodyServes(t *testing.T) {
	r, clk := used(t)
	before, err := r.state.Save(clk.t)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 * aliasesKept {
		if n := r.Route(Query{Model: fmt.Sprintf("nobody-%d", i)}).Len(); n != 0 {
			t.Fatalf("%d candidates", n)
		}
	}
	after, err := r.state.Save(clk.t)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(after), "nobody") || !strings.Contains(string(after), `"alias":"m"`) || len(after) != len(before) {
		t.Errorf("%d bytes were kept, then %d: %s", len(before), len(after), after)
	}
}

func TestStateOutlivesTheProgram(t *testing.T) {
	r, clk := used(t)
	before := r.Route(Query{Model: "m", Session: "s"}).Decision
	data, err := r.state.Save(clk.t)
	if err != nil {
		t.Fatal(err)
	}
	state := NewState()
	if err := state.Restore(data, clk.t); err != nil {
		t.Fatal(err)
	}
	again := New(r.targets, state, r.o)
	after := again.Route(Query{Model: "m", Session: "s"}).Decision
	if after.Session != before.Session || after.Session.Kind != metrics.BindingKept {
		t.Errorf("the session was %+v, is %+v", before.Session, after.Session)
	}
	want := map[string]metrics.Candidate{}
	for _, c := range before.Candidates {
		want[c.Provider] = c
	}
	for _, c := range after.Candidates {
		w := want[c.Provider]
		if math.Abs(c.TPS-w.TPS) > 1e-6 || c.TTFT != w.TTFT || c.Breaker != w.Breaker || c.Skipped != w.Skipped {
			t.Errorf("%s was %+v, is %+v", c.Provider, w, c)
		}
	}
	if after.Candidates[2].Breaker != metrics.BreakerOpen {
		t.Errorf("nobody is left out: %+v", after.Candidates)
	}
}

func TestOldStateHasFaded(t *testing.T) {
	r, clk := used(t)
	data, err := r.state.Save(clk.t)
	if err != nil {
		t.Fatal(err)
	}
	clk.t = clk.t.Add(savedUpstreamFor + 2*time.Hour)
	state := NewState()
	if err := state.Restore(data, clk.t); err != nil {
		t.Fatal(err)
	}
	if len(state.upstreams) != 0 || len(state.sessions.new) != 0 {
		t.Errorf("%d upstreams and %d sessions are left", len(state.upstreams), len(state.sessions.new))
	}
}

func TestNonsenseIsNotRestored(t *testing.T) {
	r, clk := used(t)
	data, err := r.state.Save(clk.t)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(s *saved){
		"another version":         func(s *saved) { s.Version++ },
		"negative time":           func(s *saved) { s.Upstreams[0].Fast.Seconds = -1 },
		"huge speed":              func(s *saved) { s.Upstreams[0].Slow.Tokens = 1e300 },
		"wait of centuries":       func(s *saved) { s.Upstreams[0].Slow.LnTTFT = 1e6 },
		"more failed than tried":  func(s *saved) { s.Upstreams[0].Failed = s.Upstreams[0].Attempts + 1 },
		"a sample of tomorrow":    func(s *saved) { s.Upstreams[0].Sampled = clk.t.Add(24 * time.Hour) },
		"a pause of years":        func(s *saved) { s.Accounts[0].Breaker = savedBreaker{Opened: clk.t, Until: clk.t.Add(1e5 * time.Hour)} },
		"a session of nobody":     func(s *saved) { s.Sessions[0].Upstream = 99 },
		"a home that is not":      func(s *saved) { s.Sessions[0].Home = -2 },
		"too many upstreams":      func(s *saved) { s.Upstreams = make([]savedUpstream, upstreamsKept+1) },
		"an opening without end":  func(s *saved) { s.Upstreams[0].Breaker = savedBreaker{Opened: clk.t} },
		"negative answers":        func(s *saved) { s.Answers[0].N = -1 },
		"a strike less than none": func(s *saved) { s.Upstreams[0].Breaker.Strikes = -1 },
	} {
		var s saved
		if err := json.Unmarshal(data, &s); err != nil {
			t.Fatal(err)
		}
		spoil(&s)
		spoilt, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		state := NewState()
		if err := state.Restore(spoilt, clk.t); err == nil || len(state.upstreams) > 0 {
			t.Errorf("%s: %v, %d upstreams", name, err, len(state.upstreams))
		}
	}
}

// FuzzRestore holds that whatever a file contains, what is restored gives finite
// weights.
func FuzzRestore(f *testing.F) {
	r, clk := used(f)
	data, err := r.state.Save(clk.t)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"version":1}`))
	f.Add([]byte(`{"version":1,"upstreams":[{"provider":"a","endpoint":"http://a","model":"m"}],"sessions":[{"key":"1","upstream":0,"home":0}]}`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, data []byte) {
		state := NewState()
		if state.Restore(data, clk.t) != nil {
			return
		}
		again := New(r.targets, state, r.o)
		route := again.Route(Query{Model: "m", Session: "s"})
		for _, c := range route.Decision.Candidates {
			if math.IsNaN(c.W) || math.IsInf(c.W, 0) || !(c.TPS > 0) || !(c.Speed > 0) {
				t.Fatalf("%+v", c)
			}
		}
		for a, ok := route.Next(); ok; a, ok = route.Next() {
			a.Report(Result{Verdict: Good})
		}
	})
}
