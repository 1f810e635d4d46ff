package routing

import (
	"cmp"
	"slices"
	"time"

	"anyproxy/metrics"
)

// View is one target as the choice sees it.
type View struct {
	Provider string
	metrics.TargetView

	order int // of the target
}

// Views gives every target that has been asked for, in the order of the targets.
func (r *Router) Views() []View {
	r.mu.Lock()
	fields := make([]*field, 0, len(r.fields))
	for _, f := range r.fields {
		fields = append(fields, f)
	}
	r.mu.Unlock()
	order := make(map[*Target]int, len(r.targets))
	for i := range r.targets {
		order[&r.targets[i]] = i
	}
	now, seen := r.o.Now(), map[*upstream]bool{}
	var views []View
	for _, f := range fields {
		f.mu.Lock()
		news := f.refreshLocked(r, now)
		for i := range f.entries {
			if e := &f.entries[i]; !seen[e.upstream] {
				seen[e.upstream] = true
				views = append(views, e.view(now, order[e.Target]))
			}
		}
		f.mu.Unlock()
		r.tell(news...)
	}
	slices.SortFunc(views, func(a, b View) int { return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.Model, b.Model)) })
	return views
}

func (e *entry) view(now time.Time, order int) View {
	e.load, e.limit = e.crowd(), e.fits(1, now)
	v := View{Provider: e.Provider, order: order, TargetView: metrics.TargetView{
		Model: e.model, Tier: e.Tier, Weight: e.Weight, Factors: e.told(),
		DecodeTPS: round(e.est.tps, 10), TTFT: seconds(e.est.ttft).Round(time.Millisecond), Speed: round(e.est.speed, 10),
		Breaker: e.phase.breaker(), Returning: round(e.factors.Return, 1e4), Slow: e.below,
		Headroom: round(e.limits.headroom(now), 1e4), InFlight: int(e.upstream.pend.Load()), Measured: e.sampled}}
	if e.phase == open {
		v.RetryAt, v.Returning = e.ready, 0
	}
	return v
}
