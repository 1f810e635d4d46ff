package routing_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"anyproxy/metrics"
	"anyproxy/proxy/routing"
)

const (
	turnEvery = 30 * time.Second // of all sessions together
	// The context is 100k tokens; a model of $3 and $15 a million reads them from
	// its cache at a tenth and writes them there at a quarter more.
	contextTokens = 100_000
	dollarsOut    = 15e-6
	dollarsCached = 0.3e-6
	dollarsWrite  = 3.75e-6
)

// developerTurns are the requests of one person: two a minute, thinking out of
// sight at first, mostly answers to tool calls. session tells which session has
// the turn at a time.
func developerTurns(seed uint64, until time.Duration, session func(at time.Duration, n int) int) []turn {
	rng := rand.New(rand.NewPCG(seed, 4))
	var turns []turn
	last := map[int]bool{}
	for n := 0; ; n++ {
		at := time.Duration(n)*turnEvery + time.Duration(rng.Int64N(int64(turnEvery/2)))
		if at >= until {
			return turns
		}
		t := turn{at: at, tokens: max(50, 400*lognormal(rng, 0.5)), session: session(at, n)}
		t.hidden = 0.6 * rng.Float64() * t.tokens
		t.fresh = !last[t.session] || rng.Float64() < 0.2
		last[t.session] = true
		for range 2 {
			t.wait = append(t.wait, lognormal(rng, 0.2))
			t.speed = append(t.speed, 1+0.5*(rng.Float64()-0.5)) // ±25 %
		}
		turns = append(turns, t)
	}
}

// oneSession is the same session all day.
func oneSession(time.Duration, int) int { return 1 }

// twoSessions take turns.
func twoSessions(_ time.Duration, n int) int { return 1 + n%2 }

// newSessions begins one every five minutes.
func newSessions(at time.Duration, _ int) int { return 1 + int(at/(5*time.Minute)) }

func developer(seed uint64, servers []*server, change func(*routing.Options)) (*play, *ours) {
	p := &play{servers: servers, prefill: 3 * time.Second}
	return p, newOurs(p, seed, change)
}

func pair(tps float64) []*server {
	return []*server{{name: "first", weight: 1, tps: tps, ttft: 1.5}, {name: "second", weight: 1, tps: tps, ttft: 1.5}}
}

// cost is what the turns cost in dollars.
func (p *play) cost() float64 {
	sum := 0.0
	for i := range p.outcomes {
		o := &p.outcomes[i]
		sum += o.tokens * dollarsOut
		if o.cached {
			sum += contextTokens * dollarsCached
		} else {
			sum += contextTokens * dollarsWrite
		}
	}
	return sum
}

func TestSimulationDeveloper(t *testing.T) {
	var rows []row
	for _, f := range []func() []row{primaryKept, leavesSlow, outage, quietDay, readsThinking, hangsOnce} {
		rows = append(rows, f()...)
	}
	table(t, "One developer: 2 requests a minute, hidden thinking, 100k tokens of context, $3/$15", rows)
}

func primaryKept() []row {
	shares := each(func(seed uint64) float64 {
		p, _ := developer(seed, []*server{
			{name: "primary", weight: 1, tps: 65, ttft: 1.5}, {name: "net", weight: 10, tier: 2, tps: 300, ttft: 0.4}}, nil)
		p.play(developerTurns(seed, 4*time.Hour, newSessions))
		return p.shares(0, p.elapsed)[0]
	})
	return []row{{id: "T13", what: "tier 1 at 65 tok/s, tier 2 with weight 10 at 300: share of tier 1", got: mean(shares), bound: 0.99, least: true, unit: "%"}}
}

// leavesSlow lets both run for an hour, then the one that serves the session
// falls to 35 tok/s.
func leavesSlow() []row {
	const falls = time.Hour
	type run struct{ turns, later float64 }
	runs := each(func(seed uint64) run {
		servers := pair(100)
		slow := -1
		p, _ := developer(seed, servers, nil)
		long := int(falls/(5*time.Minute)) + 1 // the session that is there when it happens, for 10 minutes
		session := func(at time.Duration, n int) int {
			if at >= falls && at < falls+10*time.Minute {
				return long
			}
			return newSessions(at, n)
		}
		turns := developerTurns(seed, falls+70*time.Minute, session)
		p.noticed = func(t *turn, server int) {
			if slow < 0 && t.at >= falls {
				slow = server // the session is there by now
				servers[server].tps = 35
			}
		}
		p.play(turns)
		r := run{}
		for i := range p.outcomes {
			switch o := &p.outcomes[i]; {
			case o.at < falls || o.server != slow:
			case o.session == long:
				r.turns++
			default:
				r.later++
			}
		}
		return r
	})
	var turns, later []float64
	for _, r := range runs {
		turns, later = append(turns, r.turns), append(later, r.later)
	}
	return []row{
		{id: "T14", what: "best falls 100→35 tok/s: turns until the session leaves", got: mean(turns), bound: 3},
		{id: "T14", what: "the same in 90 % of the runs", got: quantile(turns, 0.9), bound: 4},
		{id: "T14", what: "requests to it in the hour after, with a new session every 5 min", got: mean(later), bound: 4},
	}
}

func outage() []row {
	const from, length = time.Hour, 5 * time.Minute
	type run struct{ unseen, lost, back, returns float64 }
	runs := each(func(seed uint64) run {
		servers := []*server{{name: "primary", weight: 1, tps: 65, ttft: 1.5}, {name: "net", weight: 1, tier: 2, tps: 65, ttft: 1.5}}
		servers[0].struck = troubled(from, from+length, trouble{kind: overloaded})
		p, r := developer(seed, servers, nil)
		p.play(developerTurns(seed, from+40*time.Minute, twoSessions))
		out := run{unseen: 1}
		back := map[int]time.Duration{}
		for i := range p.outcomes {
			o := &p.outcomes[i]
			if o.server < 0 {
				out.unseen = 0
			}
			out.lost += o.waited.Seconds()
			if o.at < from+length {
				continue
			}
			if o.server != 0 {
				delete(back, o.session)
			} else if _, there := back[o.session]; !there {
				back[o.session] = o.at
			}
		}
		for _, at := range back {
			out.back = max(out.back, (at - from - length).Minutes())
		}
		if len(back) < 2 {
			out.back = math.Inf(1)
		}
		for _, e := range r.events {
			if e.Kind == metrics.EventMoved && e.To == "primary" {
				out.returns += 0.5 // of two sessions
			}
		}
		return out
	})
	var out [4][]float64
	for _, r := range runs {
		out[0], out[1] = append(out[0], r.unseen), append(out[1], r.lost)
		out[2], out[3] = append(out[2], r.back), append(out[3], r.returns)
	}
	return []row{
		{id: "T15", what: "primary 529 for 5 min: turns that are answered all the same", got: mean(out[0]), bound: 1, least: true, unit: "%"},
		{id: "T15", what: "time lost to it", got: mean(out[1]), bound: math.NaN(), unit: "s"},
		{id: "T15", what: "both sessions back on it after its end, at most", got: quantile(out[2], 1), bound: 10, unit: "min"},
		{id: "T15", what: "returns per session", got: mean(out[3]), bound: 1},
	}
}

func quietDay() []row {
	type run struct{ moves, cost float64 }
	runs := each(func(seed uint64) run {
		p, _ := developer(seed, pair(80), nil)
		p.play(developerTurns(seed, 8*time.Hour, oneSession))
		still, _ := developer(seed, pair(80)[:1], nil)
		still.play(developerTurns(seed, 8*time.Hour, oneSession))
		return run{p.moves(0), p.cost()/still.cost() - 1}
	})
	var moves, cost []float64
	for _, r := range runs {
		moves, cost = append(moves, r.moves), append(cost, r.cost)
	}
	return []row{
		{id: "T16", what: "8 hours, ±25 % noise, a rival of equal speed: moves", got: mean(moves), bound: 0},
		{id: "T16", what: "cost above never moving", got: mean(cost), bound: 0.01, unit: "%"},
	}
}

func hangsOnce() []row {
	const from = time.Hour
	lost := each(func(seed uint64) float64 {
		servers := pair(80)
		servers[0].struck = troubled(from, from+5*time.Minute, trouble{kind: hangs})
		p, _ := developer(seed, servers, nil)
		p.play(developerTurns(seed, 2*time.Hour, twoSessions))
		sum := 0.0
		for i := range p.outcomes {
			sum += p.outcomes[i].waited.Seconds()
		}
		return sum
	})
	return []row{
		{id: "T18", what: "best hangs for 5 min: time lost in that hour", got: mean(lost), bound: 30, unit: "s"},
		{id: "T18", what: "in the worst run", got: quantile(lost, 1), bound: math.NaN(), unit: "s"},
	}
}
