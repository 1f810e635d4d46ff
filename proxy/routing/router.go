package routing

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"anyproxy/metrics"
)

// Options of a Router.
type Options struct {
	Policy        Policy
	Cooldown      time.Duration    // first pause of an upstream that named none
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

// probeWeight is the part of its weight with which a half-open upstream takes
// part in the draw.
const probeWeight = 0.1

// credentialCooldown is how long a provider whose key was refused is left alone.
const credentialCooldown = time.Minute

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
	// Skip says why a provider must not be asked, "" = it may be; nil = all may.
	Skip func(provider string) string
}

// candidate is a target that can serve a request.
type candidate struct {
	*Target
	model    string // the upstream's name for the asked model
	upstream *upstream
	phase    phase
	ready    time.Time
	weight   float64 // of its part in the draw
	key      float64 // its place in the draw, smallest first
	skipped  string  // why it must not be asked
}

// Route is the order in which a request tries its candidates. It belongs to
// one goroutine.
type Route struct {
	Decision  metrics.Decision
	r         *Router
	ahead     []candidate // to be asked in turn
	rest      []candidate // left out, unless nobody else answers
	desperate bool        // ahead holds the last resort
	skipped   []candidate // not to be asked at all
	total     int
}

// Route orders the candidates for q.
func (r *Router) Route(q Query) *Route {
	found, alias := candidates(r.targets, q.Model)
	route := &Route{r: r, Decision: metrics.Decision{Alias: alias, Forced: q.Provider}}
	now := r.o.Now()
	for _, t := range found {
		if q.Provider != "" && t.Provider != q.Provider {
			continue
		}
		c := r.candidate(t, q.Model, now)
		if q.Skip != nil {
			c.skipped = q.Skip(t.Provider)
		}
		if c.skipped != "" {
			route.skipped = append(route.skipped, c)
		} else if c.phase == open {
			route.rest = append(route.rest, c)
		} else {
			route.ahead = append(route.ahead, c)
		}
	}
	route.total = len(route.ahead) + len(route.rest)
	slices.SortStableFunc(route.ahead, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.Tier, b.Tier), cmp.Compare(a.key, b.key))
	})
	route.describe()
	return route
}

// candidate draws the target's place. Sorting by −ln(u)/w is exact weighted
// sampling without replacement (Efraimidis and Spirakis, 2006), so the order
// behind the first is the failover order.
func (r *Router) candidate(t *Target, asked string, now time.Time) candidate {
	model := t.upstreamModel(asked)
	u := r.state.upstream(t.Provider, t.Endpoint, model)
	c := candidate{Target: t, model: model, upstream: u, phase: u.phase(now), ready: u.readyAt(now), weight: t.Weight}
	if c.phase == halfOpen {
		c.weight *= probeWeight
	}
	if r.o.Policy == Priority {
		c.key = -t.Weight
	} else {
		c.key = -math.Log(1-r.o.Draw()) / c.weight // 1−u is in (0,1]
	}
	return c
}

// describe writes the candidates into the Decision.
func (r *Route) describe() {
	r.Decision.Candidates = make([]metrics.Candidate, 0, r.total+len(r.skipped))
	for _, list := range [...][]candidate{r.ahead, r.rest, r.skipped} {
		for _, c := range list {
			m := metrics.Candidate{Provider: c.Provider, Model: c.model, Tier: c.Tier, Weight: c.Weight, Skipped: c.skipped}
			if m.Skipped == "" && c.phase == open && r.total > 1 {
				m.Skipped = "cooling"
			}
			r.Decision.Candidates = append(r.Decision.Candidates, m)
		}
	}
}

// Len is the number of candidates that may be asked.
func (r *Route) Len() int { return r.total }

// Next admits the next attempt, which must be reported. When every candidate
// that is well has failed, those left out follow as a last resort, soonest
// ready first. It reports false when none is left.
func (r *Route) Next() (*Attempt, bool) {
	now := r.r.o.Now()
	for {
		for len(r.ahead) > 0 {
			c := r.ahead[0]
			r.ahead = r.ahead[1:]
			if a, ok := r.admit(c, now); ok {
				return a, true
			}
			if !r.desperate {
				r.rest = append(r.rest, c) // somebody else is probing it, or it has just opened
			}
		}
		if r.desperate || len(r.rest) == 0 {
			return nil, false
		}
		r.desperate, r.ahead, r.rest = true, r.rest, nil
		slices.SortStableFunc(r.ahead, func(a, b candidate) int { return a.ready.Compare(b.ready) })
	}
}

func (r *Route) admit(c candidate, now time.Time) (*Attempt, bool) {
	a := &Attempt{Provider: c.Provider, Model: c.model, Last: len(r.ahead) == 0 && len(r.rest) == 0,
		r: r.r, upstream: c.upstream, started: now, alone: r.total == 1}
	if a.alone {
		return a, true
	}
	var ok bool
	if a.probe, ok = c.upstream.admit(now, r.desperate); !ok {
		return nil, false
	}
	if a.accountProbe, ok = c.upstream.account.admit(now, r.desperate); !ok {
		c.upstream.release(a.probe)
		return nil, false
	}
	return a, true
}

// ReadyIn is how long it takes until the first of the route's candidates may be
// asked, 0 when one may be asked now.
func (r *Router) ReadyIn(q Query) time.Duration {
	found, _ := candidates(r.targets, q.Model)
	now := r.o.Now()
	soonest := time.Duration(math.MaxInt64)
	for _, t := range found {
		if q.Provider != "" && t.Provider != q.Provider || q.Skip != nil && q.Skip(t.Provider) != "" {
			continue
		}
		u := r.state.upstream(t.Provider, t.Endpoint, t.upstreamModel(q.Model))
		soonest = min(soonest, max(u.readyAt(now).Sub(now), 0))
	}
	if soonest == math.MaxInt64 {
		return 0
	}
	return soonest
}

// Attempt is one admitted exchange with an upstream. Report ends it.
type Attempt struct {
	Provider string
	Model    string // the upstream's name for the asked model
	Last     bool   // nobody stands by behind it

	r        *Router
	upstream *upstream
	started  time.Time
	// alone is set when no other candidate exists: then there is nothing to
	// gain from a pause, and errors pass as they are.
	alone               bool
	probe, accountProbe bool
}

// FirstByte is how long to wait for the response headers of a stream: what is
// usual for this upstream, several times over, but no longer than configured.
// With little evidence, or nobody standing by, it is the configured time.
func (a *Attempt) FirstByte(configured time.Duration) time.Duration {
	if a.Last || a.alone {
		return configured
	}
	return a.upstream.ttft.limit(a.r.o.Now(), configured)
}

// Verdict is what an outcome means for the upstream's standing.
type Verdict uint8

const (
	Good      Verdict = iota // it answered
	Neutral                  // the client left, or the request itself was at fault
	Capacity                 // 429, 503, 529: it asks to be left alone
	Late                     // it missed a deadline
	Faulty                   // 5xx, a broken answer
	Unreached                // the connection failed: all the provider's models suffer
	Refused                  // the provider's key was refused
)

// Result is how an Attempt ended.
type Result struct {
	Verdict    Verdict
	RetryAfter time.Duration // the upstream's own word, 0 = none
	Reason     string        // in words, for people
	TTFT       time.Duration // sent → first content of a stream, 0 = none
}

// Report tells how the attempt ended; it is called exactly once. The returned
// event, if any, is for the operator.
func (a *Attempt) Report(res Result) (metrics.Event, bool) {
	now := a.r.o.Now()
	if res.TTFT > 0 {
		a.upstream.ttft.add(now, res.TTFT)
	}
	own, account := &a.upstream.breaker, a.upstream.account
	switch {
	case res.Verdict == Good:
		first := own.succeed(now, a.started, a.probe)
		second := account.succeed(now, a.started, a.accountProbe)
		return metrics.Event{Kind: metrics.EventReturn, Provider: a.Provider, Model: a.Model, Text: "answers again"}, first || second
	case res.Verdict == Neutral || a.alone:
		own.release(a.probe)
		account.release(a.accountProbe)
		return metrics.Event{}, false
	case res.Verdict == Unreached || res.Verdict == Refused:
		own.release(a.probe)
		return a.trip(account, now, a.accountProbe, res)
	case res.Verdict == Faulty && !own.failed(a.probe):
		account.release(a.accountProbe)
		return metrics.Event{}, false
	default:
		account.release(a.accountProbe)
		return a.trip(own, now, a.probe, res)
	}
}

func (a *Attempt) trip(b *breaker, now time.Time, probe bool, res Result) (metrics.Event, bool) {
	c := cause{stated: min(res.RetryAfter, a.r.o.MaxRetryAfter), base: a.r.o.Cooldown, draw: a.r.o.Draw()}
	if res.Verdict == Refused {
		c.base, c.fixed, c.refused = credentialCooldown, true, true
	}
	wait := b.trip(now, probe, c)
	return metrics.Event{Kind: metrics.EventCooldown, Provider: a.Provider, Model: a.Model, For: wait,
		Text: fmt.Sprintf("out for %s, %s", wait.Round(time.Second), res.Reason)}, wait > 0
}
