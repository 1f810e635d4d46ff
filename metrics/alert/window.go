package alert

import (
	"slices"
	"time"
)

const (
	// span is how far back shares and quantiles look, in parts of which the
	// oldest goes at a time.
	span  = 5 * time.Minute
	parts = 30
	// perPart bounds the latencies that are kept of a part.
	perPart = 200
)

// window counts the requests of the last span.
type window struct{ parts [parts]part }

type part struct {
	n              int64 // which it is, in parts since the epoch
	requests, fell int
	latencies      []time.Duration
	answered       int
}

func partOf(now time.Time) int64 { return now.UnixNano() / int64(span/parts) }

// add counts a request. latency is 0 for one that was not answered.
func (w *window) add(now time.Time, fell bool, latency time.Duration) {
	n := partOf(now)
	p := &w.parts[n%parts]
	if p.n != n {
		*p = part{n: n, latencies: p.latencies[:0]}
	}
	p.requests++
	if fell {
		p.fell++
	}
	if latency <= 0 {
		return
	}
	p.answered++
	if len(p.latencies) < perPart {
		p.latencies = append(p.latencies, latency)
	} else { // those that are kept are spread over the part
		p.latencies[p.answered%perPart] = latency
	}
}

// read gives the counts, and the latency that one answer in twenty exceeds.
func (w *window) read(now time.Time) (requests, fell int, p95 time.Duration) {
	n := partOf(now)
	var all []time.Duration
	for i := range w.parts {
		if p := &w.parts[i]; p.n > n-parts && p.n <= n {
			requests += p.requests
			fell += p.fell
			all = append(all, p.latencies...)
		}
	}
	if len(all) > 0 {
		slices.Sort(all)
		p95 = all[(len(all)-1)*95/100]
	}
	return requests, fell, p95
}
