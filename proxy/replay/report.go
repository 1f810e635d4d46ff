package replay

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"
)

// Report is what happened beside what would have.
type Report struct {
	From     time.Time `json:"from"` // when the first request came
	To       time.Time `json:"to"`   // and the last
	Seed     uint64    `json:"seed"`
	Reading  Reading   `json:"reading"`
	Happened Sums      `json:"happened"`
	Would    Sums      `json:"would_have"`
	// Upstreams are in the order of traffic, that of both together.
	Upstreams []Shares `json:"upstreams"`
	// Models are those that were asked for; those where most requests go elsewhere
	// come first.
	Models []Model `json:"models"`
	// Assumed is what was taken for true of upstreams that the log knows nothing of.
	Assumed AssumedOf `json:"assumed"`
	// Guessed is how many requests would have been answered that have no tokens in
	// the log.
	Guessed int64 `json:"requests_without_tokens"`
}

// AssumedOf are the Assumed figures and the upstreams that they stand for.
type AssumedOf struct {
	Assumed
	TTFT      float64    `json:"ttft_seconds"`
	Upstreams []Upstream `json:"upstreams"` // that the replay has asked, and the log has no answer of
	Requests  int64      `json:"requests"`  // that they would have answered
}

// Sums are what all requests come to.
type Sums struct {
	Requests  int64 `json:"requests"`
	Answered  int64 `json:"answered"`
	Failed    int64 `json:"failed"`
	Canceled  int64 `json:"canceled"`
	Attempts  int64 `json:"attempts"`
	Fallbacks int64 `json:"fallbacks"` // requests that were asked elsewhere, too
	// Moves are requests that another upstream answered than the one that answered
	// the turn before, of the same session, agent and model.
	Moves    int64   `json:"session_moves"`
	Cost     float64 `json:"cost_usd"`
	Unpriced int64   `json:"unpriced_requests"` // whose cost is not in it
	Included int64   `json:"subscription_requests"`
	Input    int64   `json:"input_tokens"` // all of the prompts
	Cached   int64   `json:"cache_read_tokens"`
	Output   int64   `json:"output_tokens"`
	// Of answered requests, in seconds. The wait is only known of streams.
	TTFT     Quantiles `json:"ttft_seconds"`
	Duration Quantiles `json:"duration_seconds"`
}

// Quantiles are 0 where there is nothing.
type Quantiles struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
}

// Shares is what an upstream answers.
type Shares struct {
	Upstream
	Happened int64 `json:"happened"`
	Would    int64 `json:"would_have"`
	Assumed  bool  `json:"assumed,omitempty"` // the log has no answer of it
}

// Model is what becomes of one that is asked for.
type Model struct {
	Asked     string   `json:"asked"`
	Requests  int64    `json:"requests"`
	Elsewhere int64    `json:"answered_elsewhere"` // by another upstream, or only in one of both
	Upstreams []Shares `json:"upstreams"`          // the most changed first
}

// Replay plays the trace with the setup. told, which may be nil, learns how far
// it is. A trace must have requests.
func (t *Trace) Replay(ctx context.Context, s *Setup, told func(done, total int64)) (*Report, error) {
	p, err := t.play(ctx, s, told)
	if err != nil {
		return nil, err
	}
	r := &Report{From: t.From().In(s.Zone), To: t.To().In(s.Zone), Seed: s.Seed, Reading: t.Reading,
		Happened: t.sum(t.happened), Would: t.sum(func(i int) result { return p.results[i] }),
		Assumed: AssumedOf{Assumed: s.Assumed, TTFT: s.Assumed.TTFT.Seconds(), Upstreams: []Upstream{}}}
	t.compare(r, p)
	for i := range t.requests {
		if t.requests[i].guessed && p.results[i].phase == answered {
			r.Guessed++
		}
	}
	return r, nil
}

// happened is what the log says that became of a request.
func (t *Trace) happened(i int) result {
	r := &t.requests[i]
	out := result{phase: r.phase, upstream: nobody, tried: r.tried, ttft: r.ttft, took: r.took}
	tries := t.tries(r)
	for k := range tries {
		a := &tries[k]
		out.upstream, out.tokens, out.included = a.upstream, a.tokens, a.included
		out.fell = out.fell || a.upstream != tries[0].upstream
		out.cost += a.cost
		out.unpriced = out.unpriced || a.unpriced
	}
	return out
}

// sum adds up results.
func (t *Trace) sum(of func(int) result) Sums {
	var s Sums
	var ttfts, durations []float64
	last := map[talk]int32{}
	for i := range t.requests {
		r := of(i)
		s.add(&r)
		if r.phase != answered {
			continue
		}
		durations = append(durations, r.took.Seconds())
		if r.ttft > 0 {
			ttfts = append(ttfts, r.ttft.Seconds())
		}
		if who := t.requests[i].talk; who.session != 0 {
			if was, ok := last[who]; ok && was != r.upstream {
				s.Moves++
			}
			last[who] = r.upstream
		}
	}
	s.TTFT, s.Duration = quantiles(ttfts), quantiles(durations)
	s.Cost = math.Round(s.Cost*1e6) / 1e6
	return s
}

func (s *Sums) add(r *result) {
	s.Requests++
	switch r.phase {
	case answered:
		s.Answered++
	case failed:
		s.Failed++
	case canceled:
		s.Canceled++
	}
	s.Attempts += int64(r.tried)
	s.Fallbacks += one(r.fell)
	s.Unpriced += one(r.unpriced)
	s.Included += one(r.included)
	s.Cost += r.cost
	s.Input += int64(r.tokens.prompt())
	s.Cached += int64(r.tokens.cacheRead)
	s.Output += int64(r.tokens.output)
}

func one(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// quantiles sorts the values. They are rounded to the millisecond.
func quantiles(values []float64) Quantiles {
	n := len(values)
	if n == 0 {
		return Quantiles{}
	}
	slices.Sort(values)
	at := func(part int) float64 { return math.Round(values[(n-1)*part/100]*1e3) / 1e3 }
	return Quantiles{P50: at(50), P95: at(95)}
}

// compare fills in who answers what.
func (t *Trace) compare(r *Report, p *play) {
	type pair struct{ happened, would int64 }
	all := map[int32]*pair{}
	models := map[name]map[int32]*pair{}
	elsewhere, requests := map[name]int64{}, map[name]int64{}
	count := func(m map[int32]*pair, u int32) *pair {
		if m[u] == nil {
			m[u] = &pair{}
		}
		return m[u]
	}
	for i := range t.requests {
		asked := t.requests[i].talk.model
		if models[asked] == nil {
			models[asked] = map[int32]*pair{}
		}
		requests[asked]++
		was, would := answerer(t.happened(i)), answerer(p.results[i])
		elsewhere[asked] += one(was != would)
		if was != nobody {
			count(all, was).happened++
			count(models[asked], was).happened++
		}
		if would != nobody {
			count(all, would).would++
			count(models[asked], would).would++
		}
	}
	list := func(m map[int32]*pair) []Shares {
		shares := make([]Shares, 0, len(m))
		for u, n := range m {
			shares = append(shares, Shares{Upstream: t.upstreams.all[u], Happened: n.happened, Would: n.would, Assumed: p.past.unknown(u)})
		}
		return shares
	}
	r.Upstreams = list(all)
	slices.SortFunc(r.Upstreams, func(a, b Shares) int {
		return cmp.Or(cmp.Compare(b.Happened+b.Would, a.Happened+a.Would), a.compare(b.Upstream))
	})
	for _, s := range r.Upstreams {
		if s.Assumed && s.Would > 0 {
			r.Assumed.Upstreams = append(r.Assumed.Upstreams, s.Upstream)
			r.Assumed.Requests += s.Would
		}
	}
	for asked, of := range models {
		m := Model{Asked: t.names.text(asked), Requests: requests[asked], Elsewhere: elsewhere[asked], Upstreams: list(of)}
		slices.SortFunc(m.Upstreams, func(a, b Shares) int { return cmp.Or(cmp.Compare(b.change(), a.change()), a.compare(b.Upstream)) })
		r.Models = append(r.Models, m)
	}
	slices.SortFunc(r.Models, func(a, b Model) int {
		return cmp.Or(cmp.Compare(b.Elsewhere, a.Elsewhere), cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Asked, b.Asked))
	})
}

// answerer is who has answered, nobody where nobody has.
func answerer(r result) int32 {
	if r.phase != answered {
		return nobody
	}
	return r.upstream
}

// unknown reports whether the log has no answer of an upstream.
func (p *past) unknown(u int32) bool { return int(u) >= len(p.good) || len(p.good[u]) == 0 }

func (s *Shares) change() int64 { return max(s.Would-s.Happened, s.Happened-s.Would) }

func (u Upstream) compare(v Upstream) int {
	return cmp.Or(cmp.Compare(u.Provider, v.Provider), cmp.Compare(u.Model, v.Model))
}

func (u Upstream) String() string { return fmt.Sprintf("%s/%s", u.Provider, u.Model) }
