package routing

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"anyproxy/metrics"
)

// upstream is one model of one provider. account is shared with the provider's
// other models: it breaks when the provider cannot be reached or refuses its key.
type upstream struct {
	key upstreamKey
	breaker
	account *account
	pend    atomic.Int64 // attempts in flight

	mu      sync.Mutex
	meter   meter
	running *Attempt // a list of those in flight
	limits  Limits
}

// account is what all models of a provider share.
type account struct {
	breaker
	pend atomic.Int64 // attempts in flight
}

// Limits is what an upstream has said of its rate limits. The zero value says
// nothing.
type Limits struct {
	Requests, Tokens Allowance
	// Used is the used part of the fullest window of a subscription, 0–1; 0 = not said.
	Used float64
}

// Allowance is one rate limit.
type Allowance struct {
	Limit     int64 // 0 = not said
	Remaining int64
	Reset     time.Time // when it is whole again; what was said holds no longer than this
}

func (a Allowance) said(now time.Time) bool { return a.Limit > 0 && now.Before(a.Reset) }

// refuses reports whether a request of so many tokens would not fit.
func (l *Limits) refuses(tokens int, now time.Time) bool {
	return l.Requests.said(now) && l.Requests.Remaining < 1 ||
		l.Tokens.said(now) && l.Tokens.Remaining < max(int64(tokens), 1)
}

// headroom is the part of the tightest limit that is left, 1 where nothing is said.
func (l *Limits) headroom(now time.Time) float64 {
	left := 1 - l.Used
	for _, a := range [...]Allowance{l.Requests, l.Tokens} {
		if a.said(now) {
			left = min(left, float64(a.Remaining)/float64(a.Limit))
		}
	}
	return max(left, 0)
}

// A stall counts from here on: until then the next reading is simply not due.
const leastStall = 500 * time.Millisecond

// evidence reads the meter, and looks at the attempts in flight: how long
// those that should speak are silent, and how long those without content have
// waited, which their time to first token cannot be less than.
func (u *upstream) evidence(now time.Time) evidence {
	u.mu.Lock()
	defer u.mu.Unlock()
	m := &u.meter
	m.fade(now)
	e := evidence{fast: m.fast, slow: m.slow, known: m.known, asked: m.asked, sampled: m.sampled, lastFailed: m.failures.last, shortfall: m.shortfall}
	e.failing, e.lost = m.failures.rate()
	usual := 0.0
	if n := m.fast.ttfts + m.slow.ttfts; n > 0 {
		usual = (m.fast.lnTTFT + m.slow.lnTTFT) / n
	}
	for a := u.running; a != nil; a = a.next {
		switch {
		case a.waiting:
			if ln := lnSeconds(now.Sub(a.started)); ln > usual {
				e.waits += ln
				e.waiting++
			}
		case a.read.Live:
			if silent := now.Sub(a.readAt); silent > leastStall {
				e.stalled += silent.Seconds()
			}
		}
	}
	return e
}

// begin puts an attempt among those in flight.
func (u *upstream) begin(a *Attempt) {
	u.pend.Add(1)
	u.account.pend.Add(1)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.meter.asked = a.started
	if a.next = u.running; a.next != nil {
		a.next.prev = a
	}
	u.running = a
}

// end takes it away again; false when that has been done.
func (u *upstream) end(a *Attempt) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if a.ended {
		return false
	}
	a.ended, a.waiting = true, false
	if a.prev != nil {
		a.prev.next = a.next
	} else {
		u.running = a.next
	}
	if a.next != nil {
		a.next.prev = a.prev
	}
	a.prev, a.next = nil, nil
	u.pend.Add(-1)
	u.account.pend.Add(-1)
	return true
}

// observe takes a reading of an attempt in flight.
func (u *upstream) observe(a *Attempt, now time.Time, r metrics.Reading) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if a.ended {
		return
	}
	if a.waiting && r.TTFT > 0 {
		a.waiting = false
		u.meter.waited(now, r.TTFT)
	}
	if r.Tokens != a.read.Tokens || r.Time != a.read.Time {
		u.meter.generated(now, r.Tokens-a.read.Tokens, (r.Time - a.read.Time).Seconds())
	}
	a.read, a.readAt = r, now
}

// heard ends the wait of an attempt whose first content will tell nothing: it
// has waited for at least so long.
func (u *upstream) heard(a *Attempt, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !a.waiting {
		return
	}
	a.waiting = false
	u.meter.fast.fade(now, speedTau)
	if d, f := lnSeconds(now.Sub(a.started)), &u.meter.fast; f.ttfts > 0 && d > f.lnTTFT/f.ttfts {
		u.meter.waited(now, now.Sub(a.started))
	}
}

// usualTTFT is the usual time to first token by all that is remembered, in
// seconds, and by how many samples.
func (u *upstream) usualTTFT(now time.Time) (seconds, samples float64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := &u.meter.slow
	s.fade(now, slowTau)
	if s.ttfts <= 0 {
		return unknownTTFT, 0
	}
	return math.Exp(s.lnTTFT / s.ttfts), s.ttfts
}

// phase is the worse of the upstream's own and its account's.
func (u *upstream) phase(now time.Time) phase {
	own, _, _ := u.view(now)
	account, _, _ := u.account.view(now)
	return max(own, account)
}

// readyAt is when the upstream may be asked, in the past when it may be now.
func (u *upstream) readyAt(now time.Time) time.Time {
	_, own, _ := u.view(now)
	_, account, _ := u.account.view(now)
	if account.After(own) {
		return account
	}
	return own
}

// slowStart is how long an upstream takes to get all of its traffic back.
const (
	slowStart   = time.Minute
	leastReturn = 0.05
)

// returning is the part of its traffic that the upstream may have by now, 0–1.
func (u *upstream) returning(now time.Time) float64 {
	since := now.Sub(later(u.closedAt(), u.account.closedAt()))
	return max(leastReturn, min(1, float64(since)/float64(slowStart)))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
