package tui

import (
	"slices"

	"anyproxy/metrics"
)

// past keeps finished requests beyond those that a Snapshot holds.
type past struct {
	known map[string]bool         // by id
	done  []metrics.RequestRecord // newest first
}

// merge returns the running requests of a snapshot followed by all finished
// ones that are kept, all of them cleaned; a finished one is cleaned once.
// Requests are in the order of a Snapshot.
func (p *past) merge(requests []metrics.RequestRecord, wash func(string) string) []metrics.RequestRecord {
	live := liveCount(requests)
	for i := range live {
		cleanRequest(&requests[i], wash)
	}
	if p.known == nil {
		p.known = map[string]bool{}
	}
	n := len(p.done)
	for _, r := range requests[live:] {
		if !p.known[r.ID] {
			p.known[r.ID] = true
			cleanRequest(&r, wash)
			p.done = append(p.done, r)
		}
	}
	if len(p.done) > n {
		slices.SortStableFunc(p.done, func(a, b metrics.RequestRecord) int { return b.Time.Compare(a.Time) })
	}
	for len(p.done) > maxRows {
		last := len(p.done) - 1
		delete(p.known, p.done[last].ID)
		p.done[last] = metrics.RequestRecord{} // frees its strings
		p.done = p.done[:last]
	}
	return append(slices.Clone(requests[:live]), p.done...)
}

// liveCount is the number of requests that run; they come first.
func liveCount(requests []metrics.RequestRecord) int {
	for i := range requests {
		if requests[i].Phase.Done() {
			return i
		}
	}
	return len(requests)
}
