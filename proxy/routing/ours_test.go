package routing_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	"anyproxy/metrics"
	"anyproxy/proxy/routing"
)

// ours is the Router of this package in a simulated world.
type ours struct {
	*routing.Router
	play   *play
	events []metrics.Event
}

const simulatedModel = "claude-x"

// targets are the servers as a configuration names them.
func targets(servers []*server) []routing.Target {
	var out []routing.Target
	for _, s := range servers {
		out = append(out, routing.Target{Provider: s.name, Endpoint: "http://" + s.name, Aliases: []string{"claude-*"},
			Weight: s.weight, Tier: max(s.tier, 1), MaxConcurrent: s.limit, Native: true})
	}
	return out
}

// newOurs puts a Router with the defaults of the configuration into the play.
func newOurs(p *play, seed uint64, change func(*routing.Options)) *ours {
	r := &ours{play: p}
	o := routing.Options{Cooldown: 5 * time.Second, MaxRetryAfter: time.Hour, Affinity: time.Hour, Switchback: 5 * time.Minute,
		Now: p.now, Draw: rand.New(rand.NewPCG(seed, 2)).Float64, Tell: r.tell}
	if change != nil {
		change(&o)
	}
	r.Router = routing.New(targets(p.servers), routing.NewState(), o)
	p.router = r
	return r
}

func (r *ours) route(t *turn) path {
	q := routing.Query{Model: simulatedModel, Stream: true, Fresh: t.fresh}
	if t.session != 0 {
		q.Session = fmt.Sprint(t.session)
	}
	return &ourPath{ours: r, Route: r.Router.Route(q)}
}

type ourPath struct {
	*ours
	*routing.Route
	attempt *routing.Attempt
}

func (p *ourPath) next() (int, bool) {
	a, ok := p.Next()
	if !ok {
		return 0, false
	}
	p.attempt = a
	for i, s := range p.play.servers {
		if s.name == a.Provider {
			return i, true
		}
	}
	panic("no server is called " + a.Provider)
}

func (p *ourPath) limit() time.Duration { return p.attempt.FirstByte(time.Minute) }

// reading is what the meters say; too little says nothing.
func reading(ttft time.Duration, tokens float64, generated time.Duration, live bool) metrics.Reading {
	r := metrics.Reading{TTFT: ttft, Tokens: tokens, Time: generated, Live: live}
	if tokens < 16 || generated < 150*time.Millisecond {
		r.Tokens, r.Time = 0, 0
	}
	return r
}

func (p *ourPath) sees(ttft time.Duration, tokens float64, generated time.Duration, live bool) {
	p.attempt.Observe(p.play.now(), reading(ttft, tokens, generated, live))
}

func (p *ourPath) answered(ttft time.Duration, tokens float64, generated time.Duration) {
	p.attempt.Report(routing.Result{Verdict: routing.Good, Reading: reading(ttft, tokens, generated, false), Output: int64(tokens)})
}

func (p *ourPath) failed(t trouble) {
	verdict := map[troubleKind]routing.Verdict{limited: routing.Capacity, overloaded: routing.Capacity, broken: routing.Faulty, hangs: routing.Late}[t.kind]
	p.attempt.Report(routing.Result{Verdict: verdict, RetryAfter: t.after})
}

func (r *ours) tell(e metrics.Event) {
	e.Time = r.play.now()
	r.events = append(r.events, e)
}
