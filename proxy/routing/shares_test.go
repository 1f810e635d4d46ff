package routing

import (
	"math"
	"reflect"
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
	s := NewState()
	u := s.upstream("a", "http://a", "m")
	for _, v := range []any{&u.breaker, u.account, &u.ttft} {
		fill(t, reflect.ValueOf(v).Elem())
	}
	c := s.clone()
	copied := c.upstream("a", "http://a", "m")
	if copied == u || copied.account == u.account || len(c.upstreams) != 1 || len(c.accounts) != 1 {
		t.Fatal("not a copy of its own")
	}
	for _, pair := range [][2]any{{&u.breaker, &copied.breaker}, {u.account, copied.account}, {&u.ttft, &copied.ttft}} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%+v is copied as %+v", pair[0], pair[1])
		}
	}
}

// fill gives each field but the mutex a value that is not zero.
func fill(t *testing.T, v reflect.Value) {
	for i := range v.NumField() {
		if v.Type().Field(i).Name == "mu" {
			continue
		}
		f := reflect.NewAt(v.Field(i).Type(), v.Field(i).Addr().UnsafePointer()).Elem()
		switch x := f.Addr().Interface().(type) {
		case *time.Time:
			*x = time.Unix(int64(i+1), 0)
		case *bool:
			*x = true
		case *int:
			*x = i + 1
		case *float64:
			*x = float64(i + 1)
		default:
			t.Fatalf("no value for a %T", x)
		}
	}
}
