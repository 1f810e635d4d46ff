package routing

import (
	"math"
	"slices"
	"time"

	"anyproxy/metrics"
)

// candidate is a target that can serve a request.
type candidate struct {
	*Target
	model    string // the upstream's name for the asked model
	upstream *upstream
	ready    time.Time
	repeats  int // how often it has been asked again
}

// Route is the order in which a request tries its candidates. It belongs to
// one goroutine.
type Route struct {
	Decision  metrics.Decision
	r         *Router
	f         *field
	q         Query
	ahead     []candidate // to be asked in turn
	rest      []candidate // left out, unless nobody else answers
	desperate bool        // ahead holds the last resort
	total     int
	begun     bool

	key    sessionKey
	bound  binding   // as the request found it
	chosen *upstream // the first in line
}

// lineUpLocked makes the places an order, with the first entry, if any, ahead
// of all, and describes everybody in the Decision.
func (r *Route) lineUpLocked(places []place, first int) {
	if i := slices.IndexFunc(places, func(p place) bool { return int(p.entry) == first }); i > 0 {
		p := places[i]
		copy(places[1:i+1], places[:i])
		places[0] = p
	}
	r.ahead = make([]candidate, 0, len(r.f.entries))
	r.Decision.Candidates = make([]metrics.Candidate, 0, len(r.f.entries))
	for i := range places {
		e := &r.f.entries[places[i].entry]
		r.ahead = append(r.ahead, e.candidate())
		r.describe(e, "")
	}
	for i := range r.f.entries {
		e := &r.f.entries[i]
		if e.phase != open && !e.probed || !r.q.asks(e.Target) {
			continue
		}
		r.rest = append(r.rest, e.candidate())
		why := "cooling"
		if e.probed {
			why = "being tried"
		}
		r.describe(e, why)
	}
	if len(r.ahead) > 0 {
		r.chosen = r.ahead[0].upstream
	}
	r.total = len(r.ahead) + len(r.rest)
	if r.total == 1 { // it is transparent: asked whatever its state
		r.Decision.Candidates[0].Skipped = ""
	}
	for i := range r.f.entries {
		e := &r.f.entries[i]
		if r.q.Provider != "" && e.Provider != r.q.Provider || r.q.asks(e.Target) {
			continue
		}
		r.describe(e, r.q.skipped(e.Target))
	}
}

func (e *entry) candidate() candidate {
	return candidate{Target: e.Target, model: e.model, upstream: e.upstream, ready: e.ready}
}

// describe writes an entry into the Decision, with no more digits than mean
// something.
func (r *Route) describe(e *entry, skipped string) {
	r.Decision.Candidates = append(r.Decision.Candidates, metrics.Candidate{
		Provider: e.Provider, Model: e.model, Tier: e.Tier, Weight: e.Weight, W: round(e.w, 1e4), Factors: e.told(), Skipped: skipped,
		Speed: round(e.est.speed, 10), TPS: round(e.est.tps, 10), TTFT: seconds(e.est.ttft).Round(time.Millisecond), Breaker: e.phase.breaker()})
}

// told are the entry's factors as they were in the last draw.
func (e *entry) told() metrics.Factors {
	f := &e.factors
	return metrics.Factors{Speed: round(f.Speed, 1e4), Price: round(f.Price, 1e4), Load: round(e.load, 1e4),
		Return: round(f.Return, 1e4), Limit: round(e.limit, 1e4), Slow: f.Slow}
}

func round(x, parts float64) float64 { return math.Round(x*parts) / parts }

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func (p phase) breaker() metrics.Breaker {
	switch p {
	case open:
		return metrics.BreakerOpen
	case halfOpen:
		return metrics.BreakerHalfOpen
	default:
		return metrics.BreakerClosed
	}
}

// Len is the number of candidates that may be asked.
func (r *Route) Len() int { return r.total }

// ReadyIn is how long it takes until the first of the candidates may be asked
// again, 0 when one may be asked now.
func (r *Route) ReadyIn() time.Duration { return r.f.readyIn(&r.q, r.r.o.Now()) }

// OnlyNative leaves the candidates out that need a conversion, and reports
// whether any is left.
func (r *Route) OnlyNative() bool {
	converted := func(c candidate) bool { return !c.Native }
	r.ahead, r.rest = slices.DeleteFunc(r.ahead, converted), slices.DeleteFunc(r.rest, converted)
	return len(r.ahead)+len(r.rest) > 0
}

// Settle says that no other candidate will be asked: the answer may take
// minutes, and need not keep them.
func (r *Route) Settle() { r.ahead, r.rest = nil, nil }

// Next admits the next attempt, which must be reported. When every candidate
// that is well has failed, those left out follow as a last resort, soonest
// ready first. It reports false when none is left.
func (r *Route) Next() (*Attempt, bool) {
	now := r.r.o.Now()
	if !r.begun {
		r.begun = true
		r.r.state.retries.request(now)
	}
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

// standBy reports whether any of the candidates may be asked, if only as a last
// resort.
func standBy(cs []candidate, now time.Time) bool {
	return slices.ContainsFunc(cs, func(c candidate) bool { return c.upstream.standsBy(now) && c.upstream.account.standsBy(now) })
}

func (r *Route) admit(c candidate, now time.Time) (*Attempt, bool) {
	a := &Attempt{Provider: c.Provider, Model: c.model, Last: !standBy(r.ahead, now) && !standBy(r.rest, now),
		route: r, candidate: c, upstream: c.upstream, started: now, waiting: r.q.Stream, alone: r.total == 1}
	if !a.alone {
		var ok bool
		if a.probe, ok = c.upstream.admit(now, r.desperate); !ok {
			return nil, false
		}
		if a.accountProbe, ok = c.upstream.account.admit(now, r.desperate); !ok {
			c.upstream.release(a.probe)
			return nil, false
		}
	}
	c.upstream.begin(a)
	r.claim(c.upstream, now)
	if a.probe || a.accountProbe {
		r.r.tell(a.event(metrics.EventHalfOpen, "its pause is over, this request tries it"))
	}
	return a, true
}
