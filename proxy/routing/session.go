package routing

import (
	"time"

	"anyproxy/metrics"
)

const (
	// A turn or an upstream that is slower than this part of the best other one
	// falls short.
	fallingShort = 0.75
	// A session leaves while its upstream's shortfall is at least leaveAt; it
	// grows to maxShortfall at most, so that good turns can make up for it.
	leaveAt      = 1.0
	maxShortfall = 2.0
	// Turns with less generation than this say nothing about speed.
	leastTurn = 500 * time.Millisecond
	// crowded times its ample number of requests in flight make a session leave
	// for one that has less than relief of them and is nearly as fast.
	crowded = 1.5
	relief  = 0.5
)

// recall finds the session's binding, and reports whether it is away from home:
// moved there, or in a higher tier than the lowest.
func (r *Route) recall(now time.Time) (away bool) {
	if r.r.o.Policy == Priority || r.q.Provider != "" {
		return false
	}
	if r.key = keyOf(r.q.Session, r.q.Agent, r.f.binds); r.key == noSession {
		return false
	}
	main := keyOf(r.q.Session, "", r.f.binds)
	b, ok := r.r.state.sessions.find(r.key, main, now, r.r.o.Affinity)
	d := &r.Decision.Session
	if !ok {
		d.Kind = metrics.BindingNew
		return false
	}
	b = r.f.current(b)
	r.bound = b
	if b.last() == nil {
		d.Kind = metrics.BindingNew // what it was bound to is no longer configured
		return false
	}
	d.Provider, d.Model = b.last().key.provider, b.last().key.model
	cur := r.f.find(b.upstream)
	return cur < 0 || b.home != nil || r.f.entries[cur].Tier > r.f.lowest
}

// bindLocked decides where the request's session belongs: first is the entry to
// be asked first, avoid the one that the session leaves, -1 for none.
func (r *Route) bindLocked(now time.Time) (first, avoid int) {
	b, d := r.bound, &r.Decision.Session
	if b.last() == nil {
		return -1, -1
	}
	cur := r.f.find(b.upstream)
	if cur >= 0 && (r.f.entries[cur].phase != closed || !r.q.asks(r.f.entries[cur].Target)) {
		cur = -1
	}
	if i := r.f.homeward(b, cur, &r.q, now, r.r.o.Switchback); i >= 0 {
		d.Kind = metrics.BindingReturned
		return i, -1
	}
	if cur < 0 {
		d.Kind, d.Reason = metrics.BindingMoved, "fault"
		return -1, r.f.find(b.home)
	}
	if why := r.f.leaves(cur, b, now); why != "" {
		d.Kind, d.Reason = metrics.BindingMoved, why
		return -1, cur
	}
	d.Kind = metrics.BindingKept
	if e := &r.f.entries[cur]; e.full() || r.q.behind(e.Target) {
		return -1, cur // this turn goes elsewhere
	}
	return cur, -1
}

// last is the upstream that the session was served by.
func (b *binding) last() *upstream {
	if b.upstream == nil {
		return b.home
	}
	return b.upstream
}

func (f *field) find(u *upstream) int {
	for i := range f.entries {
		if u != nil && f.entries[i].upstream == u {
			return i
		}
	}
	return -1
}

// current is the binding in terms of the field: with the upstreams of those
// names that are known now, and without a home that is no candidate any more.
func (f *field) current(b binding) binding {
	b.upstream, b.home = f.named(b.upstream, b.upstream), f.named(b.home, nil)
	return b
}

func (f *field) named(u, otherwise *upstream) *upstream {
	for i := range f.entries {
		if e := &f.entries[i]; u != nil && (e.upstream == u || e.upstream.key == u.key) {
			return e.upstream
		}
	}
	return otherwise
}

// homeward finds where a session that was moved away goes home to: a lower tier,
// or where it was before a fault. That has been well for switchback, or for
// twice that where the turn is not fresh. cur is where the session is, -1 when
// that cannot be asked.
func (f *field) homeward(b binding, cur int, q *Query, now time.Time, switchback time.Duration) int {
	if !q.Fresh {
		switchback *= 2
	}
	best, home := -1, -1
	for i := range f.entries {
		e := &f.entries[i]
		if i == cur || e.phase == open || e.probed || e.below || e.full() || !q.asks(e.Target) || q.behind(e.Target) || now.Sub(e.lastFailed) < switchback {
			continue
		}
		lower := cur < 0 || e.Tier < f.entries[cur].Tier
		switch {
		case e.upstream == b.home && (lower || e.Tier == f.entries[cur].Tier && e.est.speed >= fallingShort*f.entries[cur].est.speed):
			home = i
		case cur >= 0 && lower && (best < 0 || e.Tier < f.entries[best].Tier || e.Tier == f.entries[best].Tier && e.base > f.entries[best].base):
			best = i
		}
	}
	if best >= 0 && (home < 0 || f.entries[best].Tier < f.entries[home].Tier) {
		return best
	}
	return home
}

// leaves says why a session leaves the upstream that it is bound to, "" when it
// stays. Leaving buys the prompt cache again somewhere else.
func (f *field) leaves(cur int, b binding, now time.Time) string {
	e := &f.entries[cur]
	if now.Sub(b.moved) < betweenMoves || e.others == 0 {
		return ""
	}
	if m := e.est.measured; m > 0 && (e.shortfall >= leaveAt && m < fallingShort*e.others || e.factors.Slow < 1) {
		return "speed"
	}
	busy := float64(e.upstream.pend.Load())
	if busy <= crowded*e.ample() {
		return ""
	}
	for i := range f.entries {
		o := &f.entries[i]
		if o.Tier == e.Tier && o.phase == closed && float64(o.upstream.pend.Load()) < relief*busy && o.est.speed >= equal*e.est.speed {
			return "load"
		}
	}
	return ""
}

// settleMove makes a move for speed or load known at once, so that the
// session's requests that come meanwhile go the same way.
func (r *Route) settleMove(now time.Time) {
	d := &r.Decision.Session
	if d.Kind != metrics.BindingMoved || d.Reason == "fault" || len(r.ahead) == 0 {
		return
	}
	to := r.ahead[0].upstream
	r.r.state.sessions.put(r.key, binding{upstream: to, used: now, moved: now, cold: true})
	r.tellMove(to, d.Reason)
}

// claim binds a session that has none to the upstream that it asks first.
func (r *Route) claim(u *upstream, now time.Time) {
	if r.key != noSession && r.Decision.Session.Kind == metrics.BindingNew && r.bound.upstream == nil {
		r.bound = binding{upstream: u, used: now, cold: true}
		r.r.state.sessions.put(r.key, r.bound)
	}
}

// served ties the session to the upstream that has answered, unless another of
// its requests has moved it since this one was routed.
func (r *Route) served(a *Attempt, now time.Time) {
	if r.key == noSession {
		return
	}
	b, ok := r.r.state.sessions.find(r.key, r.key, now, r.r.o.Affinity)
	if !ok {
		b = r.bound
	}
	b = r.f.current(b)
	next := binding{upstream: a.upstream, home: b.home, used: now, moved: b.moved}
	switch {
	case b.upstream == a.upstream:
		r.r.state.sessions.put(r.key, next)
		return
	case b.upstream != r.bound.upstream && b.upstream != r.chosen:
		return
	case r.Decision.Session.Kind == metrics.BindingKept && a.upstream == r.chosen:
		return // its upstream was full
	}
	reason := "fault"
	switch {
	case r.Decision.Session.Kind == metrics.BindingReturned && a.upstream == r.chosen:
		next.home, reason = nil, "return"
	case b.cold:
		next.home = nil // nothing of it is there to go back to
	case b.home == nil:
		next.home = r.f.named(b.upstream, nil)
	case b.home == a.upstream:
		next.home = nil
	}
	r.r.state.sessions.put(r.key, next)
	if !b.cold {
		r.tellMove(a.upstream, reason)
	}
}

func (r *Route) tellMove(to *upstream, reason string) {
	if from := r.bound.last(); from != nil && from != to {
		r.r.tell(metrics.Event{Kind: metrics.EventMoved, Provider: from.key.provider, Model: from.key.model, To: to.key.provider,
			Request: r.q.Request, Text: "a session moves, " + reason})
	}
}

// broken lets the session go of an upstream that broke off an answer: its next
// turn is asked elsewhere.
func (r *Route) broken(a *Attempt, now time.Time) {
	if r.key == noSession {
		return
	}
	if b, ok := r.r.state.sessions.find(r.key, r.key, now, r.r.o.Affinity); ok && r.f.current(b).upstream == a.upstream {
		r.r.state.sessions.put(r.key, binding{home: a.upstream, used: now, moved: b.moved})
	}
}
