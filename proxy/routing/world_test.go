package routing_test

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"time"
)

// epoch is when every simulated world begins.
var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// world is a discrete-event simulation: its clock jumps from one happening to
// the next. It is used by one goroutine.
type world struct {
	elapsed time.Duration
	queue   happenings
	order   int
}

func (w *world) now() time.Time { return epoch.Add(w.elapsed) }

// after lets do happen once the given time has passed.
func (w *world) after(d time.Duration, do func()) {
	w.order++
	heap.Push(&w.queue, happening{w.elapsed + d, w.order, do})
}

func (w *world) run() {
	for len(w.queue) > 0 {
		h := heap.Pop(&w.queue).(happening)
		w.elapsed = h.at
		h.do()
	}
}

type happening struct {
	at    time.Duration
	order int // among those at the same time
	do    func()
}

type happenings []happening

func (q happenings) Len() int { return len(q) }
func (q happenings) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].order < q[j].order
}
func (q happenings) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *happenings) Push(x any)   { *q = append(*q, x.(happening)) }
func (q *happenings) Pop() any {
	old := *q
	h := old[len(old)-1]
	*q = old[:len(old)-1]
	return h
}

// server is what is true of an upstream; the router under test only sees what
// comes of it.
type server struct {
	name     string
	weight   float64
	tier     int
	tps      float64 // tokens per second of one stream
	ttft     float64 // seconds
	capacity int     // streams at full speed, which more of them share; 0 = any number
	limit    int     // streams that it is configured to take; 0 = any number
	// state changes the above at a time; nil = never.
	state func(s *condition, at time.Duration)
	// struck says what is wrong with an attempt that begins at a time; nil = never anything.
	struck func(at time.Duration) trouble

	active int // streams that generate
}

// condition is how a server does at a time.
type condition struct{ tps, ttft float64 }

func (s *server) at(at time.Duration) condition {
	c := condition{s.tps, s.ttft}
	if s.state != nil {
		s.state(&c, at)
	}
	return c
}

// rate is what one stream gets of the server now.
func (s *server) rate(at time.Duration) float64 {
	r := s.at(at).tps
	if s.capacity > 0 && s.active > s.capacity {
		r *= float64(s.capacity) / float64(s.active)
	}
	return r
}

// trouble is how an attempt fails. The zero value is that it does not.
type trouble struct {
	kind  troubleKind
	after time.Duration // limited: what it asks for
}

type troubleKind uint8

const (
	fine troubleKind = iota
	limited
	overloaded
	broken // a 500, at once
	hangs
)

// during lets something be true from one time to another.
func during(from, to time.Duration, f func(*condition)) func(*condition, time.Duration) {
	return func(c *condition, at time.Duration) {
		if at >= from && at < to {
			f(c)
		}
	}
}

func troubled(from, to time.Duration, t trouble) func(time.Duration) trouble {
	return func(at time.Duration) trouble {
		if at >= from && at < to {
			return t
		}
		return trouble{}
	}
}

// turn is one request as its generator makes it: the same for every router.
type turn struct {
	at      time.Duration
	session int // 0 = none
	fresh   bool
	tokens  float64
	hidden  float64 // of them, thought out of sight at first
	wait    []float64
	speed   []float64 // factors on what is true of each server
}

// lognormal has the mean 1.
func lognormal(rng *rand.Rand, sigma float64) float64 {
	return math.Exp(sigma*rng.NormFloat64() - sigma*sigma/2)
}

// tick is how often a running stream is measured.
const tick = 250 * time.Millisecond

// router is the thing under test.
type router interface {
	// route chooses for a turn.
	route(t *turn) path
}

// path is the way of one turn: attempts in turn, each ended by one of the last
// three, until one is answered.
type path interface {
	next() (server int, ok bool)
	limit() time.Duration // how long to wait for the answer to begin
	sees(ttft time.Duration, tokens float64, generated time.Duration, live bool)
	answered(ttft time.Duration, tokens float64, generated time.Duration)
	failed(t trouble)
}

// play is a world with its servers, a router, and what has come of every turn.
type play struct {
	world
	servers []*server
	router  router
	noticed func(t *turn, server int) // an attempt begins; may be nil
	// prefill is what a turn waits longer where its session is not in the prompt
	// cache; 0 = that makes no difference.
	prefill  time.Duration
	cached   map[int]map[int]time.Duration // by session and server: when it was used last
	outcomes []outcome
	failures int // attempts that failed
}

// outcome is what became of a turn.
type outcome struct {
	*turn
	server   int // that answered; -1 = nobody
	first    int // that was asked first
	attempts int
	took     time.Duration
	waited   time.Duration // for failed attempts
	cached   bool          // its session was in the prompt cache of the server
}

// play lets all turns happen and returns when the last has been answered.
func (p *play) play(turns []turn) {
	p.outcomes = make([]outcome, len(turns))
	for i := range turns {
		t := &turns[i]
		p.after(t.at-p.elapsed, func() {
			x := &exchange{play: p, turn: t, out: &p.outcomes[i]}
			*x.out = outcome{turn: t, server: -1}
			x.path = p.router.route(t)
			x.attempt()
		})
	}
	p.run()
}

// exchange is a turn under way.
type exchange struct {
	*play
	*turn
	path   path
	out    *outcome
	server int

	began, first time.Duration // of the attempt
	left         float64       // tokens to come
	got          float64       // tokens seen
}

func (x *exchange) attempt() {
	i, ok := x.path.next()
	if !ok {
		x.out.took = x.elapsed - x.turn.at
		return
	}
	x.server, x.began = i, x.elapsed
	if x.out.attempts++; x.out.attempts == 1 {
		x.out.first = i
	}
	s := x.servers[i]
	if x.noticed != nil {
		x.noticed(x.turn, i)
	}
	var t trouble
	if s.struck != nil {
		t = s.struck(x.elapsed)
	}
	switch t.kind {
	case hangs:
		x.after(x.path.limit(), func() { x.fail(t) })
	case fine:
		wait := time.Duration(s.at(x.elapsed).ttft * x.wait[i] * float64(time.Second))
		if x.out.cached = x.warm(x.session, i); !x.out.cached {
			wait += x.prefill
		}
		x.after(wait, x.begin)
	default:
		x.after(50*time.Millisecond, func() { x.fail(t) }) // a refusal takes a round trip
	}
}

// cacheTTL is how long a prompt cache lives without being used.
const cacheTTL = 5 * time.Minute

// warm reports whether the session is in the server's prompt cache, and puts it there.
func (p *play) warm(session, server int) bool {
	if p.cached == nil {
		p.cached = map[int]map[int]time.Duration{}
	}
	if p.cached[session] == nil {
		p.cached[session] = map[int]time.Duration{}
	}
	used, ok := p.cached[session][server]
	p.cached[session][server] = p.elapsed
	return ok && p.elapsed-used < cacheTTL
}

func (x *exchange) fail(t trouble) {
	x.failures++
	x.out.waited += x.elapsed - x.began
	x.path.failed(t)
	x.attempt()
}

func (x *exchange) begin() {
	x.first, x.left, x.got = x.elapsed, x.tokens, 0
	x.servers[x.server].active++
	x.path.sees(x.first-x.began, 0, 0, x.hidden == 0)
	x.generate()
}

// generate plays the next tick of the stream.
func (x *exchange) generate() {
	rate := x.servers[x.server].rate(x.elapsed) * x.speed[x.server]
	if ends := x.left / rate; ends <= tick.Seconds() {
		x.after(time.Duration(ends*float64(time.Second)), x.finish)
		return
	}
	x.after(tick, func() {
		n := rate * tick.Seconds()
		x.left, x.got = x.left-n, x.got+n
		if x.got > x.hidden {
			x.path.sees(x.first-x.began, x.got, x.elapsed-x.first, true)
		}
		x.generate()
	})
}

func (x *exchange) finish() {
	x.servers[x.server].active--
	x.out.server, x.out.took = x.server, x.elapsed-x.turn.at
	x.path.answered(x.first-x.began, x.tokens, x.elapsed-x.first)
}

// oracle is how long the turn takes at the server that is best for it in truth.
func (p *play) oracle(t *turn) time.Duration {
	best, took := math.Inf(1), 0.0
	for i, s := range p.servers {
		if s.struck != nil && s.struck(t.at).kind != fine {
			continue
		}
		c := s.at(t.at)
		if mean := c.ttft + t.tokens/c.tps; mean < best {
			best, took = mean, c.ttft*t.wait[i]+t.tokens/(c.tps*t.speed[i])
		}
	}
	return time.Duration(took * float64(time.Second))
}

// regret is how much longer the turns from a time on took than with the oracle.
func (p *play) regret(from time.Duration) float64 {
	var took, best time.Duration
	for i := range p.outcomes {
		if o := &p.outcomes[i]; o.at >= from {
			took += o.took
			best += p.oracle(o.turn)
		}
	}
	return float64(took)/float64(best) - 1
}

// shares are the parts of the turns of [from, to) that each server answered.
func (p *play) shares(from, to time.Duration) []float64 {
	shares := make([]float64, len(p.servers))
	n := 0.0
	for i := range p.outcomes {
		if o := &p.outcomes[i]; o.at >= from && o.at < to && o.server >= 0 {
			shares[o.server]++
			n++
		}
	}
	for i := range shares {
		shares[i] /= max(n, 1)
	}
	return shares
}

// moves counts, per 100 turns from a time on, how often a session was answered
// by another server than before.
func (p *play) moves(from time.Duration) float64 {
	last := map[int]int{}
	moves, turns := 0.0, 0.0
	for i := range p.outcomes {
		o := &p.outcomes[i]
		if o.session == 0 {
			continue
		}
		was, known := last[o.session]
		last[o.session] = o.server
		if o.at < from {
			continue
		}
		turns++
		if known && was != o.server {
			moves++
		}
	}
	return 100 * moves / max(turns, 1)
}
