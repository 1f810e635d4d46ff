package replay

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"sort"
	"time"

	"anyproxy/metrics"
	"anyproxy/proxy/routing"
)

const (
	// reach is how far in time an attempt that failed speaks for others.
	reach = time.Minute
	// between is how far two failures in a row may be apart to be one outage: the
	// router's longest pause that nobody asked for, 5 min, and as much again.
	between = 10 * time.Minute
	// around is from how many answers near in time one is drawn.
	around = 8

	// A speed over less than this says nothing (metrics).
	leastTokens = 16
	leastTime   = 150 * time.Millisecond
)

// past is what the log has measured of every upstream. Of an attempt that it does
// not have it says what would have become of it:
//
//   - The upstream was asked in the same request: what came of that.
//   - The attempt nearest in time failed within reach, or stands between two
//     failures that are not farther than between apart: it fails like that one.
//     A provider that could not be reached, or refused its key, fails for all its
//     models.
//   - Else it is answered, with wait and speed of one of the answers that are
//     nearest in time, drawn by seed, request and upstream alone: two
//     configurations meet the same luck.
//   - An upstream that has never answered is assumed to.
type past struct {
	t        *Trace
	judged   []Judgement // by outcome
	seen     [][]int32   // by upstream: its attempts that tell, by time
	good     [][]int32   // of those the answered ones
	accounts map[string][]int32
	assumed  Assumed
	seed     uint64
}

// Assumed is what is taken for true of an upstream that the log has no answer of.
type Assumed struct {
	TPS  float64       `json:"tps"` // tokens per second
	TTFT time.Duration `json:"-"`
}

func (t *Trace) past(s *Setup) *past {
	p := &past{t: t, accounts: map[string][]int32{}, assumed: s.Assumed, seed: s.Seed,
		seen: make([][]int32, len(t.upstreams.all)), good: make([][]int32, len(t.upstreams.all))}
	for _, outcome := range t.outcomes.all {
		p.judged = append(p.judged, s.Judge(outcome))
	}
	for i := range t.attempts {
		a := &t.attempts[i]
		switch p.judged[a.outcome].Verdict {
		case routing.Good:
			p.good[a.upstream] = append(p.good[a.upstream], int32(i))
		case routing.Neutral:
			continue
		case routing.Unreached, routing.Refused:
			provider := t.upstreams.all[a.upstream].Provider
			p.accounts[provider] = append(p.accounts[provider], int32(i))
		}
		p.seen[a.upstream] = append(p.seen[a.upstream], int32(i))
	}
	for _, list := range p.seen {
		p.sort(list)
	}
	for _, list := range p.good {
		p.sort(list)
	}
	for _, list := range p.accounts {
		p.sort(list)
	}
	return p
}

func (p *past) sort(list []int32) {
	slices.SortFunc(list, func(a, b int32) int {
		return cmp.Or(cmp.Compare(p.t.attempts[a].start, p.t.attempts[b].start), cmp.Compare(a, b))
	})
}

// after is where in a list the attempts begin that start after at.
func (p *past) after(list []int32, at int64) int {
	return sort.Search(len(list), func(i int) bool { return p.t.attempts[list[i]].start > at })
}

// fate is what becomes of an attempt.
type fate struct {
	outcome name
	Judgement
	took       time.Duration // until it fails, or is answered whole
	ttft       time.Duration // 0 = no content comes, or it cannot be seen
	retryAfter time.Duration
	tokens     int32 // generated
	// opaque is set where neither wait nor speed can be measured.
	opaque bool
}

// of is the fate of the nth attempt, from 0, of request i at upstream u at a time.
func (p *past) of(i int, r *request, u int32, n int, at int64) fate {
	tries := p.t.tries(r)
	for k := range tries {
		switch a := &tries[k]; {
		case a.upstream != u || p.t.outcomes.text(a.outcome) == metrics.OutcomeCanceled && a.ttft == 0: // what would have come is not known
		case n == 0:
			return p.again(r, a)
		default:
			n--
		}
	}
	if r.phase == failed && len(tries) > 0 {
		if last := &tries[len(tries)-1]; p.t.outcomes.text(last.outcome) == invalid { // others would say the same
			return p.again(r, last)
		}
	}
	if a := p.failing(u, at); a != nil {
		return p.again(r, a)
	}
	return p.answer(i, r, u, at)
}

// failing is the failure that an attempt at that time shares, nil for none.
func (p *past) failing(u int32, at int64) *attempt {
	var own []int32
	if int(u) < len(p.seen) {
		own = p.seen[u]
	}
	before, after := p.neighbours(own, at)
	b, a := p.neighbours(p.accounts[p.t.upstreams.all[u].Provider], at)
	if b != nil && (before == nil || b.start > before.start) {
		before = b
	}
	if a != nil && (after == nil || a.start < after.start) {
		after = a
	}
	since, until := time.Duration(1<<62), time.Duration(1<<62)
	if before != nil {
		since = time.Duration(max(at-before.end(), 0))
	}
	if after != nil {
		until = time.Duration(after.start - at)
	}
	nearest, far := before, since
	if until < since {
		nearest, far = after, until
	}
	if nearest == nil || p.judged[nearest.outcome].Verdict == routing.Good {
		return nil
	}
	outage := before != nil && after != nil && p.judged[before.outcome].Verdict > routing.Neutral && p.judged[after.outcome].Verdict > routing.Neutral &&
		after.start-before.end() <= int64(between)
	if far <= reach || outage {
		return nearest
	}
	return nil
}

// neighbours are the attempts of a list that started last by a time, and first
// after it.
func (p *past) neighbours(list []int32, at int64) (before, after *attempt) {
	i := p.after(list, at)
	if i > 0 {
		before = &p.t.attempts[list[i-1]]
	}
	if i < len(list) {
		after = &p.t.attempts[list[i]]
	}
	return before, after
}

// again is the fate that a once did have.
func (p *past) again(r *request, a *attempt) fate {
	switch {
	case p.t.outcomes.text(a.outcome) == metrics.OutcomeCanceled:
		return p.paced(r, a)
	case p.judged[a.outcome].Verdict == routing.Good:
		f := p.paced(r, a)
		f.took = a.took
		return f
	}
	j := p.judged[a.outcome]
	return fate{outcome: a.outcome, Judgement: j, took: a.took, ttft: a.ttft, retryAfter: max(a.retryAfter, j.Pause), tokens: a.tokens.output}
}

// answer draws an answer of the upstream, of those nearest in time.
func (p *past) answer(i int, r *request, u int32, at int64) fate {
	if int(u) >= len(p.good) || len(p.good[u]) == 0 {
		f := fate{ttft: p.assumed.TTFT, tokens: r.tokens.output}
		f.took = f.ttft + seconds(float64(f.tokens)/p.assumed.TPS)
		return f
	}
	list := p.good[u]
	from := max(min(p.after(list, at)-around/2, len(list)-around), 0)
	near := list[from:min(from+around, len(list))]
	draw := rand.NewPCG(p.seed, uint64(i)<<16^uint64(u)).Uint64()
	return p.paced(r, &p.t.attempts[near[draw%uint64(len(near))]])
}

// paced is the request's answer with the wait and the speed of another one.
func (p *past) paced(r *request, a *attempt) fate {
	f := fate{tokens: r.tokens.output, ttft: a.ttft}
	output, tps := float64(a.tokens.output), a.tps
	switch generation := a.took - a.ttft; {
	case tps > 0 && a.ttft == 0: // it came in one piece, and its wait is what its generation did not take
		f.ttft = max(a.took-seconds(output/tps), 0)
	case tps == 0 && output >= leastTokens && generation >= leastTime:
		f.opaque, tps = true, output/generation.Seconds()
	case tps == 0:
		tps = p.assumed.TPS
	}
	f.took = f.ttft + seconds(float64(f.tokens)/tps)
	return f
}

// seconds is no longer than anything takes, whatever a log says of a speed.
func seconds(s float64) time.Duration {
	return time.Duration(min(s, longest.Seconds()) * float64(time.Second))
}

// reading is what has been measured of an answer after so long: nothing while it
// is too little.
func (f *fate) reading(stream bool, elapsed time.Duration) metrics.Reading {
	if f.opaque {
		return metrics.Reading{}
	}
	var r metrics.Reading
	if stream && elapsed >= f.ttft {
		r.TTFT = f.ttft
	}
	if all := f.took - f.ttft; all > 0 && elapsed > f.ttft {
		r.Time = min(elapsed, f.took) - f.ttft
		r.Tokens = float64(f.tokens) * float64(r.Time) / float64(all)
	}
	if r.Tokens < leastTokens || r.Time < leastTime {
		r.Tokens, r.Time = 0, 0
	}
	r.Live = stream && elapsed >= f.ttft && elapsed < f.took
	return r
}
