package routing

import (
	"slices"
	"sync/atomic"
)

// Share is a target's part of the new traffic for one model.
type Share struct {
	Provider string
	Model    string  // the upstream's name; "" = the asked one
	Part     float64 // 0–1; 0 = it stands by
}

// Shares tells how new requests for a model would be shared out if all came
// now: the chance of each candidate to be asked first. They come in the order
// of the targets. The question is put to the router's own draw, on a copy of
// the state, so that it changes nothing.
func (r *Router) Shares(model string) []Share {
	now, o := r.o.Now(), r.o
	o.Tell = nil
	copied := New(r.targets, r.state.clone(), o)
	q := Query{Model: model}
	f := copied.field(model, now)
	q.settle(f.entries)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refreshLocked(copied, now)
	places := f.drawLocked(copied, &q, now, -1, nil)
	shares := make([]Share, len(f.entries))
	for i := range f.entries {
		shares[i] = Share{Provider: f.entries[i].Provider, Model: f.entries[i].Target.Model}
	}
	for i, part := range f.partsLocked(copied.o.Policy, places) {
		shares[i].Part = part
	}
	return shares
}

// partsLocked is the chance of each entry to stand first in a draw that gave the
// places.
func (f *field) partsLocked(policy Policy, places []place) []float64 {
	parts := make([]float64, len(f.entries))
	switch {
	case len(f.entries) == 0:
	case len(places) == 0: // the last resort: soonest ready first
		soonest := slices.MinFunc(f.entries, func(a, b entry) int { return a.ready.Compare(b.ready) })
		parts[slices.IndexFunc(f.entries, func(e entry) bool { return e.Target == soonest.Target })] = 1
	case policy == Priority:
		parts[places[0].entry] = 1
	default:
		total := 0.0
		for _, p := range places {
			if p.tier == places[0].tier {
				parts[p.entry] = f.entries[p.entry].w
				total += parts[p.entry]
			}
		}
		for i := range parts {
			parts[i] /= total
		}
	}
	return parts
}

// clone returns a copy that neither learns from the original nor teaches it.
// Sessions, and what attempts in flight have yet to say, stay behind.
func (s *State) clone() *State {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := NewState()
	for key, a := range s.accounts {
		copied := c.accountLocked(key)
		a.copyTo(&copied.breaker)
		copied.pend.Store(a.pend.Load())
	}
	for key, u := range s.upstreams {
		c.upstreams[key] = u.clone(c.accountLocked(key.accountKey), &c.changed)
	}
	for alias, a := range s.byAlias {
		a.mu.Lock()
		c.byAlias[alias] = &answers{at: a.at, tokens: a.tokens, n: a.n}
		a.mu.Unlock()
	}
	return c
}

func (u *upstream) clone(of *account, changed *atomic.Uint64) *upstream {
	c := &upstream{key: u.key, account: of}
	c.changed = changed
	u.copyTo(&c.breaker)
	c.pend.Store(u.pend.Load())
	u.mu.Lock()
	defer u.mu.Unlock()
	c.meter, c.limits = u.meter, u.limits
	return c
}

func (b *breaker) copyTo(c *breaker) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.opened, c.until, c.stated, c.refused = b.opened, b.until, b.stated, b.refused
	c.probing, c.asked, c.failing, c.row, c.strikes, c.closed = b.probing, b.asked, b.failing, b.row, b.strikes, b.closed
}
