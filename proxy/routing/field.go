package routing

import (
	"fmt"
	"math"
	"sync"
	"time"

	"anyproxy/metrics"
)

const (
	// steepness is the power to which a speed counts against the best one of
	// the tier, and equal the part of it that counts as just as good: there the
	// configured weights rule.
	steepness = 20
	equal     = 0.9
	// ample is how many requests in flight halve the weight of a target whose
	// provider has no limit of its own.
	ample = 6.0
	// slowWeight is left of the weight of a target under the threshold, and
	// liftAt how far above it the target must come to have it all again.
	slowWeight = 0.001
	liftAt     = 1.15
	// limitWeight is left of the weight of a target whose rate limit has no
	// room for the request.
	limitWeight = 0.05
	// probeWeight is the part of its weight with which a half-open target takes
	// part in the draw.
	probeWeight = 0.1
	// avoidWeight is left of the weight of the target that a session leaves.
	avoidWeight = 0.001
	// A target that has had no sample for idleTime is offered with idleWeight
	// of the best one's weight, so that it is known what it has become.
	idleTime   = 5 * time.Minute
	idleWeight = 0.1
	// freshFor is how long weights are used before they are computed again,
	// unless a breaker changes.
	freshFor = 50 * time.Millisecond
	// freePrice is what a target that costs nothing counts as, as part of the dearest.
	freePrice = 0.05
)

// field is the candidates for one asked model, with their weights.
type field struct {
	alias   string // the pattern that matched, "" when only names did
	answers *answers
	epoch   uint64 // of the State when the upstreams were looked up
	lowest  int    // tier
	binds   string // what sessions are bound by

	mu      sync.Mutex
	at      time.Time // when the weights were computed
	changed uint64    // State.changed then
	entries []entry
	read    []evidence // of the entries; scratch
	common  common
}

// entry is one candidate. Its first four fields never change; the field's mutex
// guards the others.
type entry struct {
	*Target
	model    string // the upstream's name for the asked model
	upstream *upstream
	price    *float64 // nil = not known

	// Computed by refresh:
	phase      phase
	ready      time.Time
	probed     bool // somebody tries it, half-open, already
	est        estimate
	factors    metrics.Factors // but those of load and limit
	limits     Limits
	base       float64 // the weight without load and limit
	idle       bool
	below      bool
	sampled    time.Time // zero = never
	lastFailed time.Time
	shortfall  float64
	others     float64 // speed of the best other closed one in the tier, 0 = there is none

	// As in the last draw:
	w, load, limit float64
}

// refresh computes the weights, unless they are fresh. It gives what is to be
// told about targets that have become slow, or have ceased to be.
func (f *field) refreshLocked(r *Router, now time.Time) (news []metrics.Event) {
	changed := r.state.changed.Load()
	if age := now.Sub(f.at); age >= 0 && age < freshFor && changed == f.changed {
		return nil
	}
	f.at, f.changed = now, changed
	for i := range f.entries {
		f.entries[i].look(now, &f.read[i])
	}
	f.common = commonOf(f.read)
	f.common.output = f.answers.mean(now)
	for i := range f.entries {
		e := &f.entries[i]
		e.est = f.read[i].estimate(f.common)
		if e.threshold(r.o.Threshold) {
			news = append(news, e.slowNews(r.o.Threshold))
		}
	}
	for i := range f.entries {
		f.weigh(&f.entries[i], r.o.PriceExponent)
	}
	return news
}

// look reads everything about the entry's upstream.
func (e *entry) look(now time.Time, ev *evidence) {
	u := e.upstream
	*ev = u.evidence(now)
	e.phase, e.ready = u.phase(now), u.readyAt(now)
	e.probed = e.phase == halfOpen && (u.probed() || u.account.probed())
	e.lastFailed, e.shortfall = later(ev.lastFailed, u.account.tripped()), ev.shortfall
	e.idle = e.phase == closed && now.Sub(later(later(ev.sampled, ev.known), ev.asked)) >= idleTime
	e.sampled = ev.sampled
	e.factors.Return = u.returning(now)
	if e.phase == halfOpen {
		e.factors.Return = probeWeight
	}
	u.mu.Lock()
	e.limits, e.below = u.limits, u.meter.below
	u.mu.Unlock()
}

// threshold decides whether the target is under the threshold, with hysteresis,
// and reports whether that has changed.
func (e *entry) threshold(tps float64) bool {
	was := e.below
	switch {
	case tps <= 0 || e.est.evidence <= priorSeconds/2:
		e.below = false // what was measured has faded
	case e.est.own < tps:
		e.below = true
	case e.est.own >= liftAt*tps:
		e.below = false
	}
	if e.below == was {
		return false
	}
	e.upstream.mu.Lock()
	defer e.upstream.mu.Unlock()
	e.upstream.meter.below = e.below
	return true
}

func (e *entry) slowNews(tps float64) metrics.Event {
	text := fmt.Sprintf("%.0f tok/s, under the threshold of %.0f", e.est.own, tps)
	if !e.below {
		text = fmt.Sprintf("%.0f tok/s expected, no longer under the threshold of %.0f", e.est.own, tps)
	}
	return metrics.Event{Kind: metrics.EventSlow, Provider: e.Provider, Model: e.model, Text: text}
}

// weigh computes the entry's factors, beside the other ones of its tier.
func (f *field) weigh(e *entry, priceExponent float64) {
	best, bestAny := 0.0, 0.0
	cheapest, dearest := math.Inf(1), 0.0
	allBelow := true
	e.others = 0
	for i := range f.entries {
		o := &f.entries[i]
		if o.Tier != e.Tier {
			continue
		}
		bestAny = max(bestAny, o.est.speed)
		if o.phase == closed {
			best = max(best, o.est.speed)
			allBelow = allBelow && o.below
			if o != e {
				e.others = max(e.others, o.est.speed)
			}
		}
		if o.price != nil {
			cheapest, dearest = min(cheapest, *o.price), max(dearest, *o.price)
		}
	}
	if best == 0 {
		best = bestAny
	}
	e.factors.Speed = powered(min(1, e.est.speed/(equal*best)))
	e.factors.Slow = 1
	if e.below && !allBelow {
		e.factors.Slow = slowWeight
	}
	e.factors.Price = 1
	if e.price != nil && priceExponent > 0 && dearest > 0 {
		floor := freePrice * dearest
		e.factors.Price = math.Pow(max(cheapest, floor)/max(*e.price, floor), priceExponent)
	}
	e.base = e.Weight * e.factors.Speed * e.factors.Price * e.factors.Return * e.factors.Slow
}

// powered is x to the power of steepness.
func powered(x float64) float64 {
	fifth := x * x * x * x * x
	tenth := fifth * fifth
	return tenth * tenth
}

// crowd is the factor of the requests in flight.
func (e *entry) crowd() float64 {
	pend := e.upstream.pend.Load()
	if pend == 0 {
		return 1
	}
	x := float64(pend) / e.ample()
	return 1 / (1 + x*x)
}

func (e *entry) ample() float64 {
	if e.MaxConcurrent > 0 {
		return float64(e.MaxConcurrent)
	}
	return ample
}

// full reports whether the provider has as many requests in flight as it may.
func (e *entry) full() bool {
	return e.MaxConcurrent > 0 && e.upstream.account.pend.Load() >= int64(e.MaxConcurrent)
}

// fits is the factor of the rate limit, for a request of the given tokens.
func (e *entry) fits(tokens int, now time.Time) float64 {
	if e.limits.refuses(tokens, now) {
		return limitWeight
	}
	return 1
}

// place is an entry's place in the order of one request.
type place struct {
	tier   int32
	behind int16   // those with a smaller one come first within the tier
	entry  int16   // its index
	key    float64 // then those with a smaller one
	tie    float64 // then those with a smaller one
}

// drawLocked gives the entries that are not out a place each, appended to
// places, and sorts them: tier by tier, inside a tier by −ln(u)/W. That is
// exact weighted sampling without replacement (Efraimidis and Spirakis, 2006),
// so the order behind the first is the failover order.
func (f *field) drawLocked(r *Router, q *Query, now time.Time, avoid int, places []place) []place {
	tier, best := int32(math.MaxInt32), 0.0
	for i := range f.entries {
		e := &f.entries[i]
		e.load, e.limit = e.crowd(), e.fits(q.Need.Tokens, now)
		e.w = e.base * e.load * e.limit
		if e.phase == open || e.probed || !q.asks(e.Target) {
			e.w = 0
			continue
		}
		p := place{entry: int16(i), tier: int32(e.Tier)}
		if q.behind(e.Target) {
			p.tier += lastTier
		}
		if e.full() {
			p.tier += 2 * lastTier // no limit of ours refuses a request that nobody else can take
		}
		if i == avoid {
			e.w *= avoidWeight
		}
		switch {
		case e.phase != closed || p.tier > tier:
		case p.tier < tier:
			tier, best = p.tier, e.w
		default:
			best = max(best, e.w)
		}
		places = append(places, p)
	}
	draw := newChance(r.o.Draw)
	for i := range places {
		p := &places[i]
		e := &f.entries[p.entry]
		if e.idle && p.tier == tier && int(p.entry) != avoid && e.upstream.pend.Load() == 0 {
			e.w = max(e.w, idleWeight*best)
		}
		if r.o.Policy == Priority {
			p.key, p.tie = -e.Weight, -e.est.tps
			if e.factors.Slow < 1 {
				p.behind = 1
			}
		} else {
			p.key = -math.Log(draw.next()) / e.w
		}
	}
	sortPlaces(places)
	return places
}

// chance makes many draws of one: a pick takes several, and most of what the
// usual source of chance costs is in asking for it.
type chance uint64

func newChance(draw func() float64) chance { return chance(math.Float64bits(draw())) }

// next is uniform in (0,1]. The steps are those of SplitMix64 (Steele, Lea and
// Flood, 2014).
func (d *chance) next() float64 {
	*d += 0x9e3779b97f4a7c15
	z := uint64(*d)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	z ^= z >> 31
	return float64(z>>11+1) / (1 << 53)
}

// sortPlaces sorts by insertion: there are few, and it allocates nothing.
func sortPlaces(ps []place) {
	for i := 1; i < len(ps); i++ {
		if !ps[i].before(&ps[i-1]) {
			continue
		}
		p, j := ps[i], i
		for ; j > 0 && p.before(&ps[j-1]); j-- {
			ps[j] = ps[j-1]
		}
		ps[j] = p
	}
}

func (p *place) before(o *place) bool {
	switch {
	case p.tier != o.tier:
		return p.tier < o.tier
	case p.behind != o.behind:
		return p.behind < o.behind
	case p.key != o.key:
		return p.key < o.key
	}
	return p.tie < o.tie
}
