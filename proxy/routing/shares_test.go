package routing

import (
	"math"
	"reflect"
	"sync"
	"testing"
	"time"
)

// TestSharesAreWhatTheDrawGives compares the shares that are foretold with many
// draws.
func TestSharesAreWhatTheDrawGives(t *testing.T) {
	fail := func(provider string, verdict Verdict) func(*Router, *clock) {
		return func(r *Router, _ *clock) {
			for {
				a, ok := r.Route(Query{Model: "m", Provider: provider}).Next()
				if ok && a.Provider == provider {
					a.alone = false // another candidate stands by without the header
					a.Report(Result{Verdict: verdict, RetryAfter: time.Minute})
					return
				}
			}
		}
	}
	heavy := func(t Target, weight float64) Target { t.Weight = weight; return t }
	second := target("d", "", "m")
	second.Tier = 2
	for name, c := range map[string]struct {
		policy  Policy
		before  func(*Router, *clock)
		targets []Target
	}{
		"weights":       {targets: []Target{heavy(target("a", "", "m"), 5), heavy(target("b", "x", "m"), 3), target("c", "", "*"), second}},
		"one cools":     {targets: []Target{heavy(target("a", "", "m"), 5), heavy(target("b", "", "m"), 3), second}, before: fail("a", Capacity)},
		"a tier cools":  {targets: []Target{target("a", "", "m"), second}, before: fail("a", Unreached)},
		"one half-open": {targets: []Target{target("a", "", "m"), target("b", "", "m")}, before: func(r *Router, c *clock) { fail("a", Capacity)(r, c); c.t = c.t.Add(time.Hour) }},
		"all cool": {targets: []Target{target("a", "", "m"), target("b", "", "m")}, before: func(r *Router, c *clock) {
			fail("b", Capacity)(r, c)
			c.t = c.t.Add(time.Second)
			fail("a", Capacity)(r, c)
		}},
		"priority": {policy: Priority, targets: []Target{target("a", "", "m"), heavy(target("b", "", "m"), 3)}},
		"nobody":   {targets: []Target{target("a", "", "other")}},
	} {
		t.Run(name, func(t *testing.T) {
			r, clock := newRouter(c.targets...)
			r.o.Policy = c.policy
			if c.before != nil {
				c.before(r, clock)
			}
			const draws = 20000
			drawn := map[string]float64{}
			for range draws {
				asked := New(r.targets, r.state.clone(), r.o)
				drawn[first(asked, "m")] += 1.0 / draws
			}
			total := 0.0
			for _, s := range r.Shares("m") {
				if math.Abs(s.Part-drawn[s.Provider]) > 0.02 {
					t.Errorf("%s: share %.3f, drawn %.3f", s.Provider, s.Part, drawn[s.Provider])
				}
				total += s.Part
			}
			if name != "nobody" && math.Abs(total-1) > 1e-9 {
				t.Errorf("the shares add up to %v", total)
			}
		})
	}
}

// TestCloneIsACopy fills every field of a State's parts, so that a new one
// cannot be forgotten.
func TestCloneIsACopy(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	s := NewState()
	u := s.upstream(upstreamKey{accountKey{"a", "http://a"}, "m"}, now)
	answers := s.answers("claude-*")
	pairs := func(s *State) []any {
		u := s.upstream(u.key, now)
		return []any{&u.breaker, &u.account.breaker, &u.meter, &u.limits, s.answers("claude-*")}
	}
	for _, v := range pairs(s) {
		fill(t, reflect.ValueOf(v).Elem())
	}
	u.pend.Store(3)
	u.account.pend.Store(4)
	c := s.clone()
	copied := c.upstream(u.key, now)
	if copied == u || copied.account == u.account || c.answers("claude-*") == answers || len(c.upstreams) != 1 || len(c.accounts) != 1 {
		t.Fatal("not a copy of its own")
	}
	if copied.pend.Load() != 3 || copied.account.pend.Load() != 4 || copied.changed != &c.changed || copied.account.changed != &c.changed {
		t.Error("the requests in flight, or who is told of a change, are not the copy's")
	}
	copied.changed, copied.account.changed = u.changed, u.account.changed
	want := pairs(s)
	for i, got := range pairs(c) {
		if !reflect.DeepEqual(got, want[i]) {
			t.Errorf("%+v is copied as %+v", want[i], got)
		}
	}
}

// fill gives each field but mutexes and pointers a value that is not zero.
func fill(t *testing.T, v reflect.Value) {
	for i := range v.NumField() {
		f := reflect.NewAt(v.Field(i).Type(), v.Field(i).Addr().UnsafePointer()).Elem()
		switch x := f.Addr().Interface().(type) {
		case *sync.Mutex:
		case *time.Time:
			*x = time.Unix(int64(i+1), 0)
		case *bool:
			*x = true
		case *int:
			*x = i + 1
		case *int64:
			*x = int64(i + 1)
		case *float64:
			*x = float64(i + 1)
		default:
			switch f.Kind() {
			case reflect.Pointer:
			case reflect.Struct:
				fill(t, f)
			default:
				t.Fatalf("no value for a %T", x)
			}
		}
	}
}
