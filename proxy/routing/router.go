package routing

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"anyproxy/metrics"
)

// Options of a Router.
type Options struct {
	Policy        Policy
	Cooldown      time.Duration    // pause of an upstream that named none
	MaxRetryAfter time.Duration    // longest pause that an upstream may name
	Now           func() time.Time // default time.Now
	Draw          func() float64   // uniform in [0,1), from several goroutines; default math/rand/v2
}

// Policy is how the candidates of one tier are ordered.
type Policy uint8

const (
	Weighted Policy = iota // by a weighted random draw
	Priority               // strictly by weight
)

// Router chooses among fixed targets. What it learnt about upstreams is in a
// State, which may be handed on to the Router of the next configuration.
type Router struct {
	targets []Target
	o       Options
	state   *State
}

// New returns a Router over targets that goes on from state.
func New(targets []Target, state *State, o Options) *Router {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Draw == nil {
		o.Draw = rand.Float64
	}
	return &Router{targets: targets, o: o, state: state}
}

// Query is what a request asks for.
type Query struct {
	Model    string
	Provider string // the only provider to use, "" = any
}

// Pick is one candidate in the order of choice.
type Pick struct {
	*Target
	Model    string // the upstream's name for the asked model
	upstream *upstream
	// alone is set when no other candidate stands by: then there is nothing to
	// gain from a pause, and errors pass as they are.
	alone bool
	r     *Router
}

// Route is the answer to a Query: Picks in order, empty when no target serves
// the model.
type Route struct {
	Picks    []Pick
	Decision metrics.Decision
}

// Route orders the candidates for q.
func (r *Router) Route(q Query) Route {
	found, alias := candidates(r.targets, q.Model)
	route := Route{Decision: metrics.Decision{Alias: alias, Forced: q.Provider}}
	now := r.o.Now()
	keyed := make([]keyed, 0, len(found))
	for _, t := range found {
		if q.Provider != "" && t.Provider != q.Provider {
			continue
		}
		model := t.upstreamModel(q.Model)
		u := r.state.upstream(t.Provider, t.Endpoint, model)
		keyed = append(keyed, r.key(t, Pick{Target: t, Model: model, upstream: u, r: r}, now))
	}
	slices.SortStableFunc(keyed, compare)
	for _, k := range keyed {
		k.pick.alone = len(keyed) == 1
		route.Picks = append(route.Picks, k.pick)
		c := metrics.Candidate{Provider: k.pick.Provider, Model: k.pick.Model, Tier: k.pick.Tier, Weight: k.pick.Weight}
		if k.ready.After(now) && !k.pick.alone {
			c.Skipped = "cooling"
		}
		route.Decision.Candidates = append(route.Decision.Candidates, c)
	}
	return route
}

// keyed is a candidate with what orders it.
type keyed struct {
	pick  Pick
	ready time.Time // zero: it is available now
	tier  int
	key   float64
}

// key draws the candidate's place. Sorting by −ln(u)/w is exact weighted
// sampling without replacement (Efraimidis and Spirakis, 2006), so the order
// behind the first is the failover order.
func (r *Router) key(t *Target, p Pick, now time.Time) keyed {
	k := keyed{pick: p, tier: t.Tier}
	if ready := p.upstream.readyAt(); ready.After(now) {
		k.ready = ready
	}
	switch r.o.Policy {
	case Priority:
		k.key = -t.Weight
	default:
		k.key = -math.Log(1-r.o.Draw()) / t.Weight // 1−u is in (0,1]
	}
	return k
}

// compare puts the available ones first, by tier and key, then the cooling
// ones, soonest ready first.
func compare(a, b keyed) int {
	if a.ready.IsZero() && b.ready.IsZero() {
		return cmp.Or(cmp.Compare(a.tier, b.tier), cmp.Compare(a.key, b.key))
	}
	return a.ready.Compare(b.ready)
}

// ReadyIn is how long it takes until the first candidate may be asked, 0 when
// one may be asked now.
func (r Route) ReadyIn() time.Duration {
	var soonest time.Duration
	for i, p := range r.Picks {
		wait := p.upstream.readyAt().Sub(p.r.o.Now())
		if wait <= 0 {
			return 0
		}
		if i == 0 || wait < soonest {
			soonest = wait
		}
	}
	return soonest
}
