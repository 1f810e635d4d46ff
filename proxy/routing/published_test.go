package routing_test

import (
	"math"
	"math/rand/v2"
	"time"
)

// latencyArgmin is the lowest-latency strategy of LLM gateways: each request
// goes to the upstream with the lowest running mean of seconds per token; those
// that nothing is known of come first, and one that failed is left out for a
// while.
type latencyArgmin struct {
	play  *play
	mean  []float64 // seconds per token, 0 = not known
	until []time.Duration
}

// pickedPath is a path that scores the servers that are left and asks the best.
type pickedPath struct {
	play    *play
	pick    func(left []int) int
	started func(server int)
	ended   func(server int, took time.Duration, tokens float64, t trouble)
	left    []int
	server  int
	began   time.Duration
}

func newPicked(p *play) *pickedPath {
	x := &pickedPath{play: p, started: func(int) {}}
	for i := range p.servers {
		x.left = append(x.left, i)
	}
	return x
}

func (x *pickedPath) next() (int, bool) {
	if len(x.left) == 0 {
		return 0, false
	}
	n := x.pick(x.left)
	x.server, x.began = x.left[n], x.play.elapsed
	x.left = append(append([]int{}, x.left[:n]...), x.left[n+1:]...)
	x.started(x.server)
	return x.server, true
}

func (x *pickedPath) limit() time.Duration                             { return time.Minute }
func (x *pickedPath) sees(time.Duration, float64, time.Duration, bool) {}
func (x *pickedPath) answered(_ time.Duration, n float64, _ time.Duration) {
	x.ended(x.server, x.play.elapsed-x.began, n, trouble{})
}
func (x *pickedPath) failed(t trouble) { x.ended(x.server, x.play.elapsed-x.began, 0, t) }

// failureCooldown is how long both published strategies leave out what failed.
const failureCooldown = 5 * time.Second

// least is the index into left of the server with the lowest cost.
func least(left []int, cost func(server int) float64) int {
	best, n := math.Inf(1), 0
	for i, s := range left {
		if c := cost(s); c < best {
			best, n = c, i
		}
	}
	return n
}

func newLatencyArgmin(p *play, _ uint64) {
	l := &latencyArgmin{p, make([]float64, len(p.servers)), make([]time.Duration, len(p.servers))}
	p.router = l
}

func (l *latencyArgmin) route(*turn) path {
	x := newPicked(l.play)
	x.pick = func(left []int) int {
		return least(left, func(s int) float64 {
			if l.play.elapsed < l.until[s] {
				return math.MaxFloat64
			}
			return l.mean[s]
		})
	}
	x.ended = func(s int, took time.Duration, tokens float64, t trouble) {
		const alpha = 0.3
		if t.kind != fine {
			l.until[s] = l.play.elapsed + max(failureCooldown, t.after)
			return
		}
		perToken := took.Seconds() / tokens
		if l.mean[s] == 0 {
			l.mean[s] = perToken
		}
		l.mean[s] += alpha * (perToken - l.mean[s])
	}
	return x
}

// peakEWMA is the power of two choices on Finagle's and Linkerd's peak EWMA: of
// two servers drawn at random the one with less latency × (pending + 1), where a
// rise of latency counts at once and a fall by a decay of 10 s.
type peakEWMA struct {
	play    *play
	rng     *rand.Rand
	ewma    []float64
	at      []time.Duration
	pending []int
	until   []time.Duration
}

func newPeakEWMA(p *play, seed uint64) {
	n := len(p.servers)
	p.router = &peakEWMA{play: p, rng: rand.New(rand.NewPCG(seed, 3)), ewma: make([]float64, n), at: make([]time.Duration, n),
		pending: make([]int, n), until: make([]time.Duration, n)}
}

func (p *peakEWMA) cost(s int) float64 {
	if p.play.elapsed < p.until[s] {
		return math.MaxFloat64
	}
	return p.ewma[s] * float64(p.pending[s]+1)
}

func (p *peakEWMA) route(*turn) path {
	x := newPicked(p.play)
	x.pick = func(left []int) int {
		a := p.rng.IntN(len(left))
		if len(left) == 1 {
			return a
		}
		b := (a + 1 + p.rng.IntN(len(left)-1)) % len(left)
		if p.cost(left[b]) < p.cost(left[a]) {
			return b
		}
		return a
	}
	x.started = func(s int) { p.pending[s]++ }
	x.ended = func(s int, took time.Duration, _ float64, t trouble) {
		const decay = 10 * time.Second
		p.pending[s]--
		if t.kind != fine {
			p.until[s] = p.play.elapsed + max(failureCooldown, t.after)
			return
		}
		if latency := took.Seconds(); latency > p.ewma[s] {
			p.ewma[s] = latency
		} else {
			w := math.Exp(-float64(p.play.elapsed-p.at[s]) / float64(decay))
			p.ewma[s] = p.ewma[s]*w + latency*(1-w)
		}
		p.at[s] = p.play.elapsed
	}
	return x
}
