package metrics

import (
	"math"
	"slices"
	"time"
)

const (
	// rateWindow is over how many whole seconds "now" is averaged: short enough
	// to see a stall, long enough not to flicker with single tokens.
	rateWindow = 3
	// shareTau is the decay time of a provider's share of traffic.
	shareTau = 5 * time.Minute
	ttftKept = 128
)

// throughput counts tokens in one-second slots. Its clock is the time since
// the Recorder started, so that a jump of the wall clock cannot tear a hole.
// The caller locks.
type throughput struct {
	slots [HistoryLen + rateWindow + 1]float64 // slot of second s: s modulo the length
	now   int64                                // second of the newest slot
	busy  time.Duration                        // when tokens began to flow after a pause
	last  time.Duration                        // when tokens flowed last
}

func (t *throughput) slot(sec int64) *float64 {
	return &t.slots[sec%int64(len(t.slots))]
}

// advance clears the slots between the newest one and the second of at.
func (t *throughput) advance(at time.Duration) {
	sec := int64(at / time.Second)
	if sec-t.now > int64(len(t.slots)) {
		clear(t.slots[:])
	} else {
		for s := t.now + 1; s <= sec; s++ {
			*t.slot(s) = 0
		}
	}
	t.now = max(t.now, sec)
}

func (t *throughput) add(at time.Duration, tokens float64) {
	t.advance(at)
	if at-t.last > (rateWindow+1)*time.Second || t.last == 0 {
		t.busy = at
	}
	t.last = at
	*t.slot(t.now) += tokens
}

// spread adds tokens evenly over a past span: the difference between what was
// estimated while they came and what the upstream reported in the end.
func (t *throughput) spread(from, to time.Duration, tokens float64) {
	t.advance(to)
	first, last := int64(from/time.Second), int64(to/time.Second)
	first = max(first, t.now-HistoryLen, 0)
	last = max(last, first)
	each := tokens / float64(last-first+1)
	for s := first; s <= last; s++ {
		*t.slot(s) += each
	}
}

// rate is tokens per second now: over the last seconds, or since tokens began
// to flow when that is shorter, so that a stream reads right from its start.
func (t *throughput) rate(at time.Duration) float64 {
	t.advance(at)
	sum := 0.0
	for s := max(t.now-rateWindow, 0); s <= t.now; s++ {
		sum += *t.slot(s)
	}
	window := min(at-time.Duration(max(t.now-rateWindow, 0))*time.Second, at-t.busy)
	if sum <= 0 {
		return 0
	}
	return sum / max(window, 500*time.Millisecond).Seconds()
}

// history copies the last HistoryLen whole seconds, oldest first.
func (t *throughput) history(at time.Duration) []float32 {
	t.advance(at)
	h := make([]float32, HistoryLen)
	for i := range h {
		if s := t.now - HistoryLen + int64(i); s >= 0 {
			h[i] = float32(max(*t.slot(s), 0))
		}
	}
	return h
}

// ttfts holds the newest times to first token.
type ttfts struct {
	ring [ttftKept]time.Duration
	n    int
}

func (q *ttfts) add(d time.Duration) {
	q.ring[q.n%ttftKept] = d
	q.n++
}

// quantiles returns the median and the 95th percentile, 0 for none yet.
func (q *ttfts) quantiles() (p50, p95 time.Duration) {
	n := min(q.n, ttftKept)
	if n == 0 {
		return 0, 0
	}
	sorted := q.ring
	slices.Sort(sorted[:n])
	return sorted[(n-1)/2], sorted[(n-1)*95/100]
}

// decayed is a sum whose parts fade with shareTau.
type decayed struct {
	sum float64
	at  time.Duration
}

func (d *decayed) add(at time.Duration, v float64) {
	d.sum = d.value(at) + v
	d.at = at
}

func (d *decayed) value(at time.Duration) float64 {
	return d.sum * math.Exp(-float64(at-d.at)/float64(shareTau))
}
