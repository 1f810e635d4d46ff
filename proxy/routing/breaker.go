package routing

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// strikesToOpen is how many failures in a row, of a kind that says nothing
	// about capacity, open a breaker.
	strikesToOpen = 3
	// So does this part of at least leastAttempts, lately.
	failingPart   = 0.5
	leastAttempts = 5
	// maxCooldown bounds a pause that nobody has asked for, however often it doubles.
	maxCooldown = 5 * time.Minute
	// strikesClear is how long a breaker must stay closed to forget its strikes.
	strikesClear = time.Minute
	// A stated wait of more than this is respected even as a last resort, once
	// the upstream has been asked within it.
	lastResortWait = time.Minute
	// jitter spreads the pauses of several proxies: ±20 %.
	jitter = 0.2
)

// phase is how a breaker stands.
type phase uint8

const (
	closed   phase = iota
	halfOpen       // its time is over: exactly one request may try
	open           // left out until its time
)

// breaker guards one upstream, or what all upstreams of a provider share.
type breaker struct {
	// changed counts, for all breakers of a State, what alters the choice.
	changed *atomic.Uint64

	mu      sync.Mutex
	opened  time.Time // zero while it is closed
	until   time.Time // when the pause ends
	stated  bool      // the upstream asked for the pause itself
	refused bool      // the key was refused
	probing bool      // the one request of half-open is under way
	asked   time.Time // when it was last asked while, or to become, open
	row     int       // failures in a row while closed
	strikes int       // openings without a lasting recovery between
	closed  time.Time // when it closed last
	failing time.Time // when it was last told to open
}

func (b *breaker) phaseLocked(now time.Time) phase {
	switch {
	case b.opened.IsZero():
		return closed
	case now.Before(b.until):
		return open
	default:
		return halfOpen
	}
}

// view returns how the breaker stands and until when, and whether a refused key
// is the reason.
func (b *breaker) view(now time.Time) (p phase, until time.Time, refused bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.phaseLocked(now), b.until, b.refused
}

// probed reports whether the one request of half-open is under way.
func (b *breaker) probed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.probing
}

// closedAt is when the breaker closed last, zero when it was never open.
func (b *breaker) closedAt() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed
}

// tripped is when the breaker was last told to open, zero for never.
func (b *breaker) tripped() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failing
}

// standsBy reports whether the breaker lets somebody pass, if only as a last
// resort.
func (b *breaker) standsBy(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.phaseLocked(now) != open || b.lastResortLocked(now)
}

func (b *breaker) lastResortLocked(now time.Time) bool {
	return !b.stated || b.until.Sub(now) <= lastResortWait || now.Sub(b.asked) >= lastResortWait
}

// admit asks to send one attempt; lastResort asks for it although the breaker
// is not closed. probe tells that the attempt is the one of half-open, and must
// be settled as such.
func (b *breaker) admit(now time.Time, lastResort bool) (probe, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch p := b.phaseLocked(now); {
	case p == closed:
		return false, true
	case p == halfOpen && !b.probing:
		b.probing = true
		b.changed.Add(1)
		return true, true
	case !lastResort:
		return false, false
	}
	if !b.lastResortLocked(now) {
		return false, false
	}
	b.asked = now
	return false, true
}

// release ends a probe that told nothing.
func (b *breaker) release(probe bool) {
	if probe {
		b.mu.Lock()
		b.probing = false
		b.changed.Add(1)
		b.mu.Unlock()
	}
}

// succeed closes the breaker, if it was opened before the attempt was sent, and
// reports whether it did. One that was opened while a long answer was on its
// way stays open.
func (b *breaker) succeed(now, started time.Time, probe bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if probe {
		b.probing = false
	}
	b.row = 0
	if b.opened.IsZero() || b.opened.After(started) {
		return false
	}
	b.opened, b.until, b.stated, b.refused = time.Time{}, time.Time{}, false, false
	b.closed = now // a probe under way stays one until it ends
	b.changed.Add(1)
	return true
}

// failed counts a failure that opens the breaker only when it is one of a row,
// and reports whether it is to be opened.
func (b *breaker) failed(probe bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.row++
	return probe || b.row >= strikesToOpen
}

// cause is why a breaker opens, and for how long.
type cause struct {
	stated  time.Duration // what the upstream asked for, 0 = nothing
	base    time.Duration // the first pause where it asked for nothing; doubles with each strike
	fixed   bool          // base does not double
	draw    float64       // in [0,1), for the jitter
	refused bool
}

// trip opens the breaker and returns for how long, 0 when it was open already:
// failures that came together count once, and a pause is only ever prolonged
// by the upstream's own word.
func (b *breaker) trip(now time.Time, probe bool, c cause) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if probe {
		b.probing = false
	}
	b.failing = now
	if !b.opened.IsZero() && !probe {
		if until := now.Add(c.stated); c.stated > 0 && until.After(b.until) {
			b.opened, b.until, b.stated = now, until, true // what was sent before this word does not end it
			b.changed.Add(1)
		}
		return 0
	}
	if now.Sub(b.closed) >= strikesClear && b.opened.IsZero() {
		b.strikes = 0
	}
	b.strikes++
	wait := c.stated
	if wait <= 0 {
		wait = c.pause(b.strikes)
	}
	b.opened, b.until, b.stated = now, now.Add(wait), c.stated > 0
	b.refused, b.row, b.asked = c.refused, 0, now
	b.changed.Add(1)
	return wait
}

// pause is the cooldown of the given strike, counted from 1.
func (c cause) pause(strike int) time.Duration {
	d := float64(c.base)
	if !c.fixed {
		d = min(d*math.Pow(2, float64(strike-1)), float64(max(maxCooldown, c.base)))
	}
	return time.Duration(d * (1 - jitter + 2*jitter*c.draw))
}
