package routing

import (
	"math"
	"sync"
	"time"
)

// Retry is how an upstream that has failed is asked again. Asking another one
// needs no permission and no delay.
type Retry struct {
	Same       bool // ask it again at all
	Max        int  // repeats of one candidate
	Initial    time.Duration
	MaxDelay   time.Duration
	Multiplier float64 // of the delay, from repeat to repeat
}

// delay is the pause before the n-th repeat, counted from 0.
func (p Retry) delay(n int, draw float64) time.Duration {
	d := min(float64(p.Initial)*math.Pow(p.Multiplier, float64(n)), float64(p.MaxDelay))
	return time.Duration(d * (1 - jitter + 2*jitter*draw))
}

// Again asks to repeat an attempt that was reported as res, after a pause.
// Then Next gives the same upstream once more. It is refused where the breaker
// has opened: what the upstream asks for is obeyed, and others stand by.
func (r *Route) Again(a *Attempt, res Result) (wait time.Duration, ok bool) {
	p, c := r.r.o.Retry, a.candidate
	if !p.Same || c.repeats >= p.Max || res.Committed {
		return 0, false
	}
	now := r.r.o.Now()
	switch res.Verdict {
	case Faulty, Unreached:
	case Capacity:
		if !a.alone || res.RetryAfter > p.MaxDelay {
			return 0, false
		}
	default:
		return 0, false
	}
	if !a.alone && a.upstream.phase(now) != closed || !r.r.state.retries.allow(now) {
		return 0, false
	}
	wait = max(p.delay(c.repeats, r.r.o.Draw()), res.RetryAfter)
	c.repeats++
	r.ahead = append([]candidate{c}, r.ahead...)
	return wait, true
}

const (
	// retryWindow is over how many whole seconds repeats are counted.
	retryWindow = 10
	// retryPart of the requests may be repeated, and retryFloor a second in any
	// case, so that a single user is never starved.
	retryPart  = 0.2
	retryFloor = 10
)

// retryBudget keeps repeats from multiplying the load of an upstream that
// suffers from it already. Its zero value is ready.
type retryBudget struct {
	mu                sync.Mutex
	second            int64 // the newest one
	requests, repeats [retryWindow]int
}

// advanceLocked clears the seconds that have gone by.
func (b *retryBudget) advanceLocked(now time.Time) *int {
	s := now.Unix()
	for n := max(b.second+1, s-retryWindow+1); n <= s; n++ {
		b.requests[n%retryWindow], b.repeats[n%retryWindow] = 0, 0
	}
	b.second = max(b.second, s)
	return &b.repeats[b.second%retryWindow]
}

func (b *retryBudget) request(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.advanceLocked(now)
	b.requests[b.second%retryWindow]++
}

// allow takes one repeat out of the budget, if there is one left.
func (b *retryBudget) allow(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	current := b.advanceLocked(now)
	requests, repeats := 0, 0
	for i := range b.requests {
		requests, repeats = requests+b.requests[i], repeats+b.repeats[i]
	}
	if *current >= retryFloor && float64(repeats) >= retryPart*float64(requests) {
		return false
	}
	*current++
	return true
}
