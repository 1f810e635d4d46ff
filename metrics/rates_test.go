package metrics

import (
	"math"
	"testing"
	"time"
)

// What runs costs what it has used by now, and what has failed stays counted.
func TestCostGoesWithTheTokens(t *testing.T) {
	r, c := newRecorder("a", "b")
	dear := &Rates{Input: 10, Output: 100}
	costs := func(when string, rec RequestRecord, usd float64, unpriced, included bool) {
		t.Helper()
		if math.Abs(rec.Cost-usd) > 1e-12 || rec.Unpriced != unpriced || rec.Included != included {
			t.Errorf("%s: $%v, unpriced %v, included %v; want $%v, %v, %v", when, rec.Cost, rec.Unpriced, rec.Included, usd, unpriced, included)
		}
	}
	q := r.Begin(RequestRecord{ID: "1", Stream: true})
	costs("before any attempt", q.Record(), 0, false, false)

	a := q.Attempt("a", "dear")
	a.Price(dear, false)
	costs("without tokens", q.Record(), 0, false, false)
	a.Progress(Progress{At: c.t, Usage: &Tokens{Input: 1000}})
	costs("with a prompt", q.Record(), 0.01, false, false)
	c.advance(time.Second)
	a.Progress(Progress{At: c.t, Text: 400, Content: true, Generating: true})
	running := q.Record()
	if out := running.Tokens.Output; !running.Tokens.Estimated || out == 0 {
		t.Fatalf("%+v: want an estimate", running.Tokens)
	}
	first := 0.01 + float64(running.Tokens.Output)/1e4
	costs("with an estimate of the output", running, first, false, false)
	if s := r.Snapshot(0); s.Requests[0].Cost != running.Cost || s.Requests[0].Decision.Attempts[0].Cost != running.Cost {
		t.Errorf("the screen shows %v and %v, want %v", s.Requests[0].Cost, s.Requests[0].Decision.Attempts[0].Cost, running.Cost)
	}
	broken, _ := a.End(Result{Outcome: "broken"})
	if math.Abs(broken.Cost-first) > 1e-12 {
		t.Errorf("the attempt that broke off costs $%v, want $%v", broken.Cost, first)
	}
	costs("after it broke off", q.Record(), first, false, false)

	b := q.Attempt("b", "unknown")
	b.Price(nil, false)
	b.End(Result{Outcome: "overloaded"})
	costs("after one that used nothing", q.Record(), first, false, false)

	b = q.Attempt("b", "unknown")
	b.Progress(Progress{At: c.t, Usage: &Tokens{Input: 5}})
	costs("while one of unknown price runs", q.Record(), first, true, false)
	b.End(Result{Outcome: "broken"})

	b = q.Attempt("b", "plan")
	b.Price(nil, true)
	b.Progress(Progress{At: c.t, Usage: &Tokens{Input: 5, Output: 6}, Final: true})
	b.End(Result{Outcome: OutcomeOK})
	costs("in the end", q.End(PhaseOK, 200, ""), first, true, true)
}

// Until an upstream says what it was sent, and where it never does, our own count
// of that stands in, once there is an answer.
func TestPromptsThatNobodyCounts(t *testing.T) {
	r, c := newRecorder("a")
	q := r.Begin(RequestRecord{ID: "1", Stream: true})
	begin := func() *Attempt {
		a := q.Attempt("a", "m")
		a.Price(&Rates{Input: 10}, false)
		a.Expect(2000)
		return a
	}
	see := func(when string, rec AttemptRecord, input int64, estimated bool, usd float64) {
		t.Helper()
		if rec.Tokens.Input != input || rec.Tokens.PromptEstimated != estimated || math.Abs(rec.Cost-usd) > 1e-12 {
			t.Errorf("%s: %+v, $%v; want %d, estimated %v, $%v", when, rec.Tokens, rec.Cost, input, estimated, usd)
		}
	}
	last := func() AttemptRecord {
		attempts := q.Record().Decision.Attempts
		return attempts[len(attempts)-1]
	}
	refused := begin()
	rec, _ := refused.End(Result{Outcome: "rate_limited"})
	see("refused", rec, 0, false, 0)

	a := begin()
	see("no answer yet", last(), 0, false, 0)
	a.Progress(Progress{At: c.t, Text: 40, Content: true, Generating: true})
	see("answered", last(), 2000, true, 0.02)
	rec, _ = a.End(Result{Outcome: OutcomeCanceled})
	see("the client left", rec, 2000, true, 0.02)

	a = begin()
	a.Progress(Progress{At: c.t, Text: 40, Content: true, Generating: true})
	a.Progress(Progress{At: c.t, Usage: &Tokens{CacheRead: 1500, Output: 9}, Final: true})
	rec, _ = a.End(Result{Outcome: OutcomeOK})
	see("counted at last", rec, 0, false, 0)
}

func TestRatesOfLongPrompts(t *testing.T) {
	r := &Rates{Input: 1, Output: 10, LongFrom: 100,
		Long: &Rates{Input: 2, Output: 20, LongFrom: 1000, Long: &Rates{Input: 3, Output: 30}}}
	for in, want := range map[int64]float64{100: 100 + 10, 101: 202 + 20, 1000: 2000 + 20, 1001: 3003 + 30} {
		if got := r.Cost(Tokens{Input: in, Output: 1}) * 1e6; math.Abs(got-want) > 1e-9 {
			t.Errorf("%d tokens cost %v, want %v", in, got, want)
		}
	}
}
