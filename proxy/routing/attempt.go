package routing

import (
	"fmt"
	"math"
	"time"

	"anyproxy/metrics"
)

const (
	// ttftEvidence is how many samples it takes to say what is usual.
	ttftEvidence = 5
	// An answer that has not begun after patience times its usual time, and
	// leastPatience, is given up while another upstream stands by.
	patience      = 6
	leastPatience = 15 * time.Second
)

// Attempt is one admitted exchange with an upstream. Report ends it. Its
// methods are called by the goroutine that serves the request.
type Attempt struct {
	Provider string
	Model    string // the upstream's name for the asked model
	Last     bool   // nobody stands by behind it

	route     *Route
	candidate candidate
	upstream  *upstream
	started   time.Time
	// alone is set when no other candidate exists: then there is nothing to
	// gain from a pause, and errors pass as they are.
	alone               bool
	probe, accountProbe bool

	// Guarded by the upstream's mutex.
	prev, next *Attempt
	waiting    bool // no content has come, and its age is a bound of the wait
	ended      bool
	read       metrics.Reading // as counted last
	readAt     time.Time
}

// FirstByte is how long to wait for the response headers of a stream: what is
// usual for this upstream, several times over, but no longer than configured.
// With little evidence, or nobody standing by, it is the configured time.
func (a *Attempt) FirstByte(configured time.Duration) time.Duration {
	if a.Last || a.alone {
		return configured
	}
	usual, samples := a.upstream.usualTTFT(a.route.r.o.Now())
	if samples < ttftEvidence {
		return configured
	}
	return min(max(seconds(patience*usual), leastPatience), configured)
}

// Began is when the generation of an answer that comes in one piece now is taken
// to have begun: after the usual time. Zero when it came sooner than that.
func (a *Attempt) Began(now time.Time) time.Time {
	usual, _ := a.upstream.usualTTFT(now)
	if began := a.started.Add(seconds(usual)); began.Before(now) {
		return began
	}
	return time.Time{}
}

// Observe takes what has been measured of the attempt so far. It takes under
// 100 ns and allocates nothing.
func (a *Attempt) Observe(now time.Time, r metrics.Reading) { a.upstream.observe(a, now, r) }

// Heard says that the upstream has begun to answer in a format that does not
// show when it generates: the wait for content tells nothing from here on.
func (a *Attempt) Heard(now time.Time) { a.upstream.heard(a, now) }

// Limits takes what the upstream says of its rate limits.
func (a *Attempt) Limits(l Limits) {
	u, now := a.upstream, a.route.r.o.Now()
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.limits.refuses(1, now) != l.refuses(1, now) {
		u.changed.Add(1)
	}
	u.limits = l
}

// Verdict is what an outcome means for the upstream's standing.
type Verdict uint8

const (
	Good      Verdict = iota // it answered
	Neutral                  // the client left, or the request itself was at fault
	Capacity                 // 429, 503, 529: it asks to be left alone
	Late                     // it missed a deadline
	Faulty                   // 5xx, a broken answer
	Unreached                // the connection failed: all the provider's models suffer
	Refused                  // the provider's key was refused
)

// Result is how an Attempt ended.
type Result struct {
	Verdict    Verdict
	RetryAfter time.Duration // the upstream's own word, 0 = none
	Reason     string        // in words, for people
	Committed  bool          // the client had got content
	Reading    metrics.Reading
	Output     int64 // tokens of the whole answer, 0 = not known
}

// Report tells how the attempt ended. Only the first report counts, so that a
// deferred one can stand guard.
func (a *Attempt) Report(res Result) {
	now := a.route.r.o.Now()
	a.Observe(now, res.Reading)
	if !a.upstream.end(a) {
		return
	}
	failed := res.Verdict > Neutral
	if res.Verdict == Good || failed {
		a.upstream.mu.Lock()
		a.upstream.meter.ended(now, failed, now.Sub(a.started))
		a.upstream.mu.Unlock()
		if failed {
			a.upstream.changed.Add(1) // the next choice must know
		}
	}
	switch {
	case res.Verdict == Good:
		a.succeeded(now, res)
	case failed && res.Committed:
		a.route.broken(a, now)
	}
	a.judge(now, res)
}

// succeeded learns from a whole answer.
func (a *Attempt) succeeded(now time.Time, res Result) {
	if res.Output > 0 {
		a.route.f.answers.add(now, float64(res.Output))
	}
	if r := res.Reading; r.Time >= leastTurn && r.TTFT > 0 {
		a.fellShort(now, r)
	}
	a.route.served(a, now)
}

// fellShort adds to the upstream's shortfall how much slower the turn was than
// fallingShort of the best other upstream of the tier, or takes away from it.
func (a *Attempt) fellShort(now time.Time, r metrics.Reading) {
	f := a.route.f
	f.mu.Lock()
	news := f.refreshLocked(a.route.r, now)
	output, others := f.common.output, 0.0
	if i := f.find(a.upstream); i >= 0 {
		others = f.entries[i].others
	}
	f.mu.Unlock()
	a.route.r.tell(news...)
	if others == 0 {
		return
	}
	turn := effective(output, r.TTFT.Seconds(), r.Rate())
	a.upstream.mu.Lock()
	defer a.upstream.mu.Unlock()
	m := &a.upstream.meter
	m.shortfall = min(max(m.shortfall+math.Log(fallingShort*others/turn), 0), maxShortfall)
}

// judge lets the outcome tell on the breakers.
func (a *Attempt) judge(now time.Time, res Result) {
	own, account := &a.upstream.breaker, &a.upstream.account.breaker
	switch {
	case res.Verdict == Good:
		first := own.succeed(now, a.started, a.probe)
		second := account.succeed(now, a.started, a.accountProbe)
		if first || second {
			a.route.r.tell(a.event(metrics.EventReturn, "answers again"))
		}
	case res.Verdict == Neutral || a.alone:
		own.release(a.probe)
		account.release(a.accountProbe)
	case res.Verdict == Unreached || res.Verdict == Refused:
		own.release(a.probe)
		a.trip(account, now, a.accountProbe, res)
	case res.Verdict == Faulty && !own.failed(a.probe) && !a.failing(now):
		account.release(a.accountProbe)
	default:
		account.release(a.accountProbe)
		a.trip(own, now, a.probe, res)
	}
}

// failing reports whether so many of the upstream's attempts have failed lately
// that it is to be left out, although others between them have not.
func (a *Attempt) failing(now time.Time) bool {
	a.upstream.mu.Lock()
	defer a.upstream.mu.Unlock()
	f := &a.upstream.meter.failures
	f.fade(now)
	return f.attempts >= leastAttempts && f.failed >= failingPart*f.attempts
}

func (a *Attempt) trip(b *breaker, now time.Time, probe bool, res Result) {
	o := &a.route.r.o
	c := cause{stated: min(res.RetryAfter, o.MaxRetryAfter), base: o.Cooldown, draw: o.Draw()}
	if res.Verdict == Refused {
		c.base, c.fixed, c.refused = credentialCooldown, true, true
	}
	wait := b.trip(now, probe, c)
	if wait == 0 {
		return
	}
	kind := metrics.EventBreaker
	if res.Verdict == Capacity {
		kind = metrics.EventCooldown
	}
	e := a.event(kind, fmt.Sprintf("out for %s, %s", wait.Round(time.Second), res.Reason))
	e.For = wait
	a.route.r.tell(e)
}

func (a *Attempt) event(kind metrics.EventKind, text string) metrics.Event {
	return metrics.Event{Kind: kind, Provider: a.Provider, Model: a.Model, Request: a.route.q.Request, Text: text}
}
