package routing_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"anyproxy/metrics"
	"anyproxy/proxy/routing"
)

const (
	warmUp     = 120 * time.Second
	horizon    = 1800 * time.Second
	faultFrom  = 600 * time.Second
	faultUntil = 1200 * time.Second
)

// busyTurns are the requests of a busy team: so many a second, of 40 sessions
// with about 30 turns each, answers of 300 tokens in the mean.
func busyTurns(seed uint64, perSecond float64, until time.Duration, sessions bool, noise float64) []turn {
	rng := rand.New(rand.NewPCG(seed, 1))
	const alive, turnsEach, servers = 40, 30, 3
	ids, next := [alive]int{}, 1
	var turns []turn
	for at := time.Duration(0); ; {
		at += time.Duration(rng.ExpFloat64() / perSecond * float64(time.Second))
		if at >= until {
			return turns
		}
		t := turn{at: at, tokens: max(16, 300*lognormal(rng, 0.7))}
		slot := rng.IntN(alive)
		if ends := rng.Float64() < 1.0/turnsEach; ends || ids[slot] == 0 {
			ids[slot] = next
			next++
			t.fresh = true
		} else {
			t.fresh = rng.Float64() < 0.3
		}
		if sessions {
			t.session = ids[slot]
		}
		for range servers {
			t.wait = append(t.wait, lognormal(rng, 0.25))
			t.speed = append(t.speed, lognormal(rng, noise))
		}
		turns = append(turns, t)
	}
}

// usualNoise is how much one answer's speed differs from the next.
const usualNoise = 0.15

func threeServers() []*server {
	return []*server{
		{name: "best", weight: 1, tps: 80, ttft: 0.8},
		{name: "second", weight: 1, tps: 60, ttft: 0.6},
		{name: "third", weight: 1, tps: 40, ttft: 0.5},
	}
}

func equalServers(weights ...float64) []*server {
	var out []*server
	for i, w := range weights {
		out = append(out, &server{name: fmt.Sprintf("equal-%d", i), weight: w, tps: 60, ttft: 0.7})
	}
	return out
}

// scene is a busy world and how long it lasts.
type scene struct {
	servers   func() []*server
	perSecond float64
	until     time.Duration
	noise     float64
	options   func(*routing.Options)
}

func usual(servers func() []*server) scene { return scene{servers, 1, horizon, usualNoise, nil} }

// play runs the scene with our router, with sessions or without.
func (s scene) play(seed uint64, sessions bool) (*play, *ours) {
	p := &play{servers: s.servers()}
	r := newOurs(p, seed, s.options)
	p.play(busyTurns(seed, s.perSecond, s.until, sessions, s.noise))
	return p, r
}

// figures runs the scene for every seed and gives the mean of f.
func (s scene) figures(sessions bool, f func(p *play, r *ours) float64) float64 {
	return mean(each(func(seed uint64) float64 { return f(s.play(seed, sessions)) }))
}

// published gives the same for the published formulas, which know no sessions.
func (s scene) published(f func(p *play) float64) []float64 {
	var out []float64
	for _, install := range []func(*play, uint64){newLatencyArgmin, newPeakEWMA} {
		out = append(out, mean(each(func(seed uint64) float64 {
			p := &play{servers: s.servers()}
			install(p, seed)
			p.play(busyTurns(seed, s.perSecond, s.until, true, s.noise))
			return f(p)
		})))
	}
	return out
}

func regret(p *play) float64             { return p.regret(warmUp) }
func ourRegret(p *play, _ *ours) float64 { return p.regret(warmUp) }
func moves(p *play) float64              { return p.moves(warmUp) }

// struck are the usual servers of which the best is in trouble for a while.
func struck(t trouble) func() []*server {
	return func() []*server {
		s := threeServers()
		s[0].struck = troubled(faultFrom, faultUntil, t)
		return s
	}
}

// slowed are the usual servers of which the best is slow for a while.
func slowed(tps float64) func() []*server {
	return func() []*server {
		s := threeServers()
		s[0].state = during(faultFrom, faultUntil, func(c *condition) { c.tps = tps })
		return s
	}
}

func TestSimulationBusy(t *testing.T) {
	var rows []row
	for _, f := range []func() []row{stationary, weights, slowdown, refusals, hangups, restlessness, comeback, capacity, remeasured, threshold} {
		rows = append(rows, f()...)
	}
	table(t, "Busy: 3 targets (80/60/40 tok/s), 1 request/s, 40 sessions", rows)
}

func stationary() []row {
	s := usual(threeServers)
	published := s.published(regret)
	return []row{
		{id: "T1", what: "stationary: regret, with sessions", got: s.figures(true, ourRegret), bound: 0.06, unit: "%", published: published},
		{id: "T1", what: "without sessions", got: s.figures(false, ourRegret), bound: 0.12, unit: "%", published: published},
	}
}

// shareError is half of the sum of what each share is off its part of 5:3:2.
func shareError(p *play, _ *ours) float64 {
	sum := 0.0
	for i, share := range p.shares(warmUp, p.elapsed) {
		sum += math.Abs(share - []float64{0.5, 0.3, 0.2}[i])
	}
	return sum / 2
}

func weights() []row {
	s := usual(func() []*server { return equalServers(5, 3, 2) })
	return []row{
		{id: "T2", what: "equal speed, weights 5:3:2: share error, without sessions", got: s.figures(false, shareError), bound: 0.05},
		{id: "T2", what: "with sessions", got: s.figures(true, shareError), bound: 0.12},
	}
}

// losesShare is how long after the fault it takes until ten seconds pass in which
// the first server is asked first in at most a tenth of the turns of all runs.
func losesShare(plays []*play, from time.Duration) float64 {
	const step = time.Second
	for after := time.Duration(0); after < 5*time.Minute; after += step {
		sum, n := 0.0, 0.0
		for _, p := range plays {
			for i := range p.outcomes {
				if o := &p.outcomes[i]; o.at >= from+after && o.at < from+after+10*time.Second {
					n++
					if o.first == 0 {
						sum++
					}
				}
			}
		}
		if n > 0 && sum <= 0.1*n {
			return after.Seconds()
		}
	}
	return math.Inf(1)
}

func slowdown() []row {
	s, stall := usual(slowed(15)), usual(func() []*server {
		s := slowed(0.01)()
		s[0].struck = troubled(faultFrom, faultUntil, trouble{kind: hangs})
		return s
	})
	stall.until = faultFrom + 5*time.Minute
	run := func(s scene) []*play {
		return each(func(seed uint64) *play { p, _ := s.play(seed, false); return p })
	}
	return []row{
		{id: "T3", what: "best falls 80→15 tok/s: regret", got: s.figures(true, ourRegret), bound: 0.13, unit: "%", published: s.published(regret)},
		{id: "T3", what: "its share of unbound requests is ≤ 10 % after", got: losesShare(run(s), faultFrom), bound: 60, unit: "s"},
		{id: "T3", what: "the same when it stalls altogether", got: losesShare(run(stall), faultFrom), bound: 18, unit: "s"}, // a deadline, once somebody has met it
	}
}

// attemptsEach is how many attempts a turn takes.
func attemptsEach(p *play, _ *ours) float64 {
	return 1 + float64(p.failures)/float64(len(p.outcomes))
}

// insideRetryAfter counts the attempts at the first server that began while it
// had asked to be left alone.
func insideRetryAfter(s scene) float64 {
	return mean(each(func(seed uint64) float64 {
		p := &play{servers: s.servers()}
		newOurs(p, seed, s.options)
		const roundTrip = 50 * time.Millisecond
		var asked []time.Duration
		inside := 0.0
		p.noticed = func(_ *turn, server int) {
			if server != 0 || p.elapsed < faultFrom || p.elapsed >= faultUntil {
				return
			}
			for _, at := range asked {
				if p.elapsed > at+roundTrip && p.elapsed < at+roundTrip+time.Minute {
					inside++
					break
				}
			}
			asked = append(asked, p.elapsed)
		}
		p.play(busyTurns(seed, s.perSecond, s.until, true, s.noise))
		return inside
	}))
}

func refusals() []row {
	limit, hole := usual(struck(trouble{limited, time.Minute})), usual(struck(trouble{kind: broken}))
	published := func(s scene) []float64 { return s.published(func(p *play) float64 { return attemptsEach(p, nil) }) }
	return []row{
		{id: "T4", what: "429 + Retry-After 60: attempts per request", got: limit.figures(true, attemptsEach), bound: 1.02, published: published(limit)},
		{id: "T4", what: "attempts inside the Retry-After", got: insideRetryAfter(limit), bound: 0},
		{id: "T4", what: "fast 500s: attempts per request", got: hole.figures(true, attemptsEach), bound: 1.02, published: published(hole)},
	}
}

func hangups() []row {
	s := usual(struck(trouble{kind: hangs}))
	return []row{{id: "T5", what: "best hangs until the deadline: regret", got: s.figures(true, ourRegret), bound: 0.12, unit: "%", published: s.published(regret)}}
}

// restless counts sessions that moved twice in a minute although nothing failed.
func restless(p *play, _ *ours) float64 {
	last, moved := map[int]int{}, map[int]time.Duration{}
	n := 0.0
	for i := range p.outcomes {
		o := &p.outcomes[i]
		if was, known := last[o.session]; known && was != o.server {
			if at, before := moved[o.session]; before && o.at-at < time.Minute {
				n++
			}
			moved[o.session] = o.at
		}
		last[o.session] = o.server
	}
	return n
}

func restlessness() []row {
	equals, still := usual(func() []*server { return equalServers(1, 1, 1) }), usual(threeServers)
	equals.noise = 0.6
	ourMoves := func(p *play, _ *ours) float64 { return moves(p) }
	return []row{
		{id: "T6", what: "changes per 100 session turns, equal speeds with noise σ 0.6", got: equals.figures(true, ourMoves), bound: 3, published: equals.published(moves)},
		{id: "T6", what: "the same, stationary", got: still.figures(true, ourMoves), bound: 2, published: still.published(moves)},
		{id: "T6", what: "sessions that moved twice in 60 s without a fault", got: equals.figures(true, restless), bound: 0},
	}
}

// comeback looks at the best server after an outage, without sessions: its share
// as part of what it has otherwise.
func comeback() []row {
	s := usual(func() []*server {
		s := threeServers()
		s[0].struck = troubled(faultFrom, faultFrom+100*time.Second, trouble{kind: overloaded})
		return s
	})
	type run struct {
		*play
		back time.Duration
	}
	runs := each(func(seed uint64) run {
		p, r := s.play(seed, false)
		for _, e := range r.events {
			if e.Kind == metrics.EventReturn {
				return run{p, e.Time.Sub(epoch)}
			}
		}
		panic("the server does not come back")
	})
	part := func(from, to time.Duration) float64 {
		var during, steady []float64
		for _, r := range runs {
			during = append(during, r.shares(r.back+from, r.back+to)[0])
			steady = append(steady, r.shares(warmUp, faultFrom)[0])
		}
		return mean(during) / mean(steady)
	}
	return []row{
		{id: "T7", what: "slow start: part of its steady share in the first 10 s", got: part(0, 10*time.Second), bound: 0.6, unit: "%"},
		{id: "T7", what: "from 30 s on", got: part(30*time.Second, 90*time.Second), bound: 0.9, least: true, unit: "%"},
	}
}

// p95 is the time that 19 of 20 turns take at most, in seconds.
func p95(p *play) float64 {
	var took []float64
	for i := range p.outcomes {
		if p.outcomes[i].at >= warmUp {
			took = append(took, p.outcomes[i].took.Seconds())
		}
	}
	return quantile(took, 0.95)
}

func capacity() []row {
	limited := func(limit int) scene {
		s := usual(func() []*server {
			s := threeServers()
			for i := range s {
				s[i].capacity, s[i].limit = 4, limit
			}
			return s
		})
		s.perSecond = 2
		return s
	}
	s := limited(0)
	published := s.published(p95)
	ours := func(p *play, _ *ours) float64 { return p95(p) }
	return []row{
		{id: "T8", what: "capacity 4 each at 2 requests/s: p95, without sessions", got: s.figures(false, ours), bound: 1.4 * published[1], unit: "s", published: published},
		{id: "T8", what: "with sessions", got: s.figures(true, ours), bound: math.NaN(), unit: "s", published: published},
		{id: "T8", what: "with sessions, maxConcurrent: 4", got: limited(4).figures(true, ours), bound: 1.4 * published[1], unit: "s", published: published},
	}
}

// slowOne has a target that is three times slower than its neighbours.
func slowOne() []*server {
	return []*server{
		{name: "slow", weight: 1, tps: 25, ttft: 1.5},
		{name: "fast", weight: 1, tps: 75, ttft: 0.5},
		{name: "faster", weight: 1, tps: 80, ttft: 0.6},
	}
}

func remeasured() []row {
	s := usual(slowOne)
	s.until = 4 * time.Hour
	if raceDetector {
		s.until = 2 * time.Hour
	}
	type run struct{ gap, share float64 }
	figures := func(sessions bool) (gap, share float64) {
		var gaps, parts []float64
		for _, r := range each(func(seed uint64) run {
			p, _ := s.play(seed, sessions)
			from := 10 * time.Minute
			n := 0.0
			for i := range p.outcomes {
				if o := &p.outcomes[i]; o.server == 0 && o.at >= from {
					n++
				}
			}
			return run{(s.until - from).Minutes() / (n + 1), p.shares(from, s.until)[0]}
		}) {
			gaps, parts = append(gaps, r.gap), append(parts, r.share)
		}
		return mean(gaps), mean(parts)
	}
	gap, share := figures(false)
	gapBound, shareBound := figures(true)
	return []row{
		{id: "T9", what: "a 3× slower target: gap between its samples, without sessions", got: gap, bound: 35, unit: "min"},
		{id: "T9", what: "with sessions", got: gapBound, bound: 45, unit: "min"},
		{id: "T9", what: "its traffic, without sessions", got: share, bound: 0.03, unit: "%"},
		{id: "T9", what: "with sessions", got: shareBound, bound: 0.03, unit: "%"},
	}
}

// threshold has a target that swings ±10 % round the threshold every minute.
func threshold() []row {
	s := usual(func() []*server {
		s := []*server{{name: "swings", weight: 3, tps: 40, ttft: 0.6}, {name: "steady", weight: 1, tps: 50, ttft: 0.6}}
		s[0].state = func(c *condition, at time.Duration) {
			c.tps *= 1 + 0.1*math.Sin(2*math.Pi*at.Minutes())
		}
		return s
	})
	s.until = time.Hour + warmUp
	s.options = func(o *routing.Options) { o.Threshold = 40 }
	demotions := func(p *play, r *ours) float64 {
		n := 0.0
		for _, e := range r.events {
			if e.Kind == metrics.EventSlow && e.Time.After(epoch.Add(warmUp)) {
				n += 0.5 // it comes and goes
			}
		}
		return n
	}
	return []row{{id: "T10", what: "speed swings ±10 % round θ: demotions per hour", got: s.figures(false, demotions), bound: 30}}
}
