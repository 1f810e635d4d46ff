package routing

import "slices"

// Share is a target's part of the new traffic for one model.
type Share struct {
	Provider string
	Model    string  // the upstream's name; "" = the asked one
	Part     float64 // 0–1; 0 = it stands by
}

// Shares tells how new requests for a model would be shared out if all came
// now: the chance of each candidate to be asked first. They come in the order
// of the targets. The question is put to a copy of the state, so that it
// changes nothing.
func (r *Router) Shares(model string) []Share {
	parts := New(r.targets, r.state.clone(), r.o).Route(Query{Model: model}).parts()
	found, _ := candidates(r.targets, model)
	shares := make([]Share, len(found))
	for i, t := range found {
		shares[i] = Share{Provider: t.Provider, Model: t.Model, Part: parts[t]}
	}
	return shares
}

// parts is the chance of each target to stand first in a Route such as this
// one, before its draw.
func (r *Route) parts() map[*Target]float64 {
	parts := map[*Target]float64{}
	switch {
	case len(r.ahead) == 0 && len(r.rest) == 0:
	case len(r.ahead) == 0:
		soonest := slices.MinFunc(r.rest, func(a, b candidate) int { return a.ready.Compare(b.ready) })
		parts[soonest.Target] = 1
	case r.r.o.Policy == Priority:
		parts[r.ahead[0].Target] = 1
	default:
		total := 0.0
		for _, c := range r.ahead {
			if c.Tier == r.ahead[0].Tier {
				total += c.weight
			}
		}
		for _, c := range r.ahead {
			if c.Tier == r.ahead[0].Tier {
				parts[c.Target] = c.weight / total
			}
		}
	}
	return parts
}

// clone returns a copy that neither learns from the original nor teaches it.
func (s *State) clone() *State {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := NewState()
	for key, account := range s.accounts {
		c.accounts[key] = &breaker{}
		account.copyTo(c.accounts[key])
	}
	for key, u := range s.upstreams {
		copied := &upstream{account: c.accounts[key.accountKey]}
		u.breaker.copyTo(&copied.breaker)
		u.ttft.copyTo(&copied.ttft)
		c.upstreams[key] = copied
	}
	return c
}

func (b *breaker) copyTo(c *breaker) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.opened, c.until, c.stated, c.refused = b.opened, b.until, b.stated, b.refused
	c.probing, c.asked, c.row, c.strikes, c.closed = b.probing, b.asked, b.row, b.strikes, b.closed
}

func (t *ttft) copyTo(c *ttft) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.sum, c.n, c.last = t.sum, t.n, t.last
}
