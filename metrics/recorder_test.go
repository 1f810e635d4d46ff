package metrics

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// clock is a time that moves only when told.
type clock struct{ t time.Time }

func (c *clock) now() time.Time          { return c.t }
func (c *clock) advance(d time.Duration) { c.t = c.t.Add(d) }

func newRecorder(providers ...string) (*Recorder, *clock) {
	c := &clock{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	r := New(c.now)
	var infos []ProviderInfo
	for _, p := range providers {
		infos = append(infos, ProviderInfo{Name: p, Type: "anthropic", Weight: 1, Tier: 1})
	}
	r.SetProviders(infos)
	return r, c
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.Abs(got-want) > tolerance*want {
		t.Errorf("%s = %.2f, want %.2f ± %.0f %%", what, got, want, tolerance*100)
	}
}

// stream plays an answer of the given tokens per second: bytesPerToken bytes of
// text a token, one token a frame.
func stream(a *Attempt, c *clock, rate float64, tokens, bytesPerToken int) {
	a.Progress(Progress{At: c.t, Usage: &Tokens{Input: 10, Output: 1}})
	c.advance(400 * time.Millisecond)
	start := c.t
	for i := range tokens {
		c.t = start.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		a.Progress(Progress{At: c.t, Text: bytesPerToken, Content: true, Generating: true})
	}
	a.Progress(Progress{At: c.t, Usage: &Tokens{Input: 10, Output: int64(tokens)}})
	a.Progress(Progress{At: c.t, Final: true})
}

func TestOneStreamReadsTheSameEverywhere(t *testing.T) {
	r, c := newRecorder("a")
	for range 2 { // the second one with a learnt ratio of bytes to tokens
		q := r.Begin(RequestRecord{ID: "1", Stream: true})
		at := q.Attempt("a", "m")
		q.Commit(200)
		at.Progress(Progress{At: c.t, Usage: &Tokens{Input: 10, Output: 1}})
		stream(at, c, 80, 800, 7)
		running := r.Snapshot(0)
		rec, _ := at.End(Result{Outcome: OutcomeOK, Status: 200})
		done := q.End(PhaseOK, 0, "")

		near(t, "the attempt's speed", rec.TPS, 80, 0.01)
		near(t, "the request's speed", done.TPS, 80, 0.01)
		near(t, "the speed of the provider now", running.Providers[0].TPS, 80, 1)
		near(t, "the time to first token", done.TTFT.Seconds(), 0.4, 0.01)
		if done.Tokens.Output != 800 || done.Tokens.Estimated {
			t.Errorf("tokens = %+v, want the 800 that were reported", done.Tokens)
		}
	}
	// Seven bytes a token were learnt from the first stream.
	q := r.Begin(RequestRecord{ID: "2", Stream: true})
	at := q.Attempt("a", "m")
	c.advance(10 * time.Second)
	start := c.t
	for i := range 400 {
		c.t = start.Add(time.Duration(float64(i) / 80 * float64(time.Second)))
		at.Progress(Progress{At: c.t, Text: 7, Content: true, Generating: true})
	}
	s := r.Snapshot(0)
	near(t, "tok/s of the provider while it streams", s.Providers[0].TPS, 80, 0.1)
	near(t, "tok/s of all", s.TPS, 80, 0.1)
	near(t, "tok/s of the running request", s.Requests[0].TPS, 80, 0.1)
}

func TestHistoryHoldsWhatWasReported(t *testing.T) {
	r, c := newRecorder("a")
	q := r.Begin(RequestRecord{Stream: true})
	at := q.Attempt("a", "m")
	stream(at, c, 100, 1000, 2) // estimated as half of what they are
	at.End(Result{Outcome: OutcomeOK})
	q.End(PhaseOK, 200, "")
	c.advance(2 * time.Second)
	sum := 0.0
	h := r.Snapshot(0).Providers[0].History
	for _, v := range h {
		sum += float64(v)
	}
	near(t, "tokens in the history", sum, 1000, 0.01)
	if len(h) != HistoryLen {
		t.Errorf("history has %d samples, want %d", len(h), HistoryLen)
	}
}

func TestHiddenThinkingIsNoStall(t *testing.T) {
	r, c := newRecorder("a")
	q := r.Begin(RequestRecord{Stream: true})
	at := q.Attempt("a", "m")
	c.advance(time.Second)
	at.Progress(Progress{At: c.t, Generating: true, Hidden: true})
	c.advance(30 * time.Second) // 1800 tokens that nobody sees
	if tps := r.Snapshot(0).Requests[0].TPS; tps != 0 {
		t.Errorf("a speed of %.1f is claimed while nothing is shown", tps)
	}
	start := c.t
	for i := range 120 {
		c.t = start.Add(time.Duration(i) * time.Second / 60)
		at.Progress(Progress{At: c.t, Text: 4, Content: true, Generating: true})
	}
	at.Progress(Progress{At: c.t, Usage: &Tokens{Output: 1920}})
	rec, _ := at.End(Result{Outcome: OutcomeOK})
	near(t, "speed with hidden thinking", rec.TPS, 60, 0.02)
	if rec.TTFT != time.Second {
		t.Errorf("time to first token = %v, want the start of the thinking block, 1s", rec.TTFT)
	}
}

func TestStalledStreamLosesSpeed(t *testing.T) {
	r, c := newRecorder("a")
	q := r.Begin(RequestRecord{Stream: true})
	at := q.Attempt("a", "m")
	for range 100 {
		c.advance(10 * time.Millisecond)
		at.Progress(Progress{At: c.t, Text: 4, Content: true, Generating: true})
	}
	before := r.Snapshot(0).Requests[0].TPS
	c.advance(9 * time.Second)
	s := r.Snapshot(0)
	near(t, "speed after a stall of nine times its length", s.Requests[0].TPS, before/10, 0.05)
	if s.Providers[0].TPS != 0 {
		t.Errorf("the provider is shown at %.1f tok/s although nothing has come for 9 s", s.Providers[0].TPS)
	}
}

func TestCountsAndShares(t *testing.T) {
	r, c := newRecorder("a", "b")
	serve := func(phase Phase, attempts ...string) {
		q := r.Begin(RequestRecord{})
		for i, p := range attempts {
			out := Result{Outcome: "rate_limited", Status: 429, Reason: "429 slow down"}
			if i == len(attempts)-1 && phase == PhaseOK {
				out = Result{Outcome: OutcomeOK, Status: 200}
			}
			if i == len(attempts)-1 && phase == PhaseCanceled {
				out = Result{Outcome: OutcomeCanceled}
			}
			q.Attempt(p, "m").End(out)
		}
		q.End(phase, 200, "")
	}
	for range 3 {
		serve(PhaseOK, "a")
	}
	serve(PhaseOK, "a", "b")
	serve(PhaseFailed, "a", "b")
	serve(PhaseCanceled, "a")
	c.advance(time.Second)
	s := r.Snapshot(0)
	if s.OK != 4 || s.Failed != 1 || s.Canceled != 1 || s.Saved != 1 || s.InFlight != 0 {
		t.Errorf("ok %d failed %d canceled %d saved %d in flight %d, want 4 1 1 1 0", s.OK, s.Failed, s.Canceled, s.Saved, s.InFlight)
	}
	a, b := s.Providers[0], s.Providers[1]
	if a.OK != 3 || a.Failed != 2 || b.OK != 1 || b.Failed != 1 || a.InFlight != 0 || b.InFlight != 0 {
		t.Errorf("attempts: a %+v b %+v", a, b)
	}
	near(t, "share of a", a.Share, 0.75, 0.01)
	if a.LastError != "429 slow down" {
		t.Errorf("last error = %q", a.LastError)
	}
}

func TestEventsAreARing(t *testing.T) {
	r, _ := newRecorder()
	for i := range eventsKept + 10 {
		r.Event(Event{Kind: EventConfig, Text: fmt.Sprint(i)})
	}
	s := r.Snapshot(0)
	if len(s.Events) != eventsKept || s.EventsLost != 10 || s.Events[0].Seq != 11 || s.Events[0].Text != "10" {
		t.Errorf("%d events, %d lost, first %+v", len(s.Events), s.EventsLost, s.Events[0])
	}
	s = r.Snapshot(eventsKept + 8)
	if len(s.Events) != 2 || s.EventsLost != 0 || s.Events[1].Text != fmt.Sprint(eventsKept+9) {
		t.Errorf("since: %+v, %d lost", s.Events, s.EventsLost)
	}
}

// A storm of failing requests must not push out what happened to the providers.
func TestStormsDropOnlyWhatIsAboutSingleRequests(t *testing.T) {
	r, c := newRecorder("a")
	for second := range 5 {
		r.Event(Event{Kind: EventBreaker, Text: fmt.Sprint(second)})
		for range 5000 {
			r.Event(Event{Kind: EventFallback})
			r.Event(Event{Kind: EventExhausted})
		}
		c.advance(time.Second)
	}
	s := r.Snapshot(0)
	var kept []string
	for _, e := range s.Events {
		if e.Kind == EventBreaker {
			kept = append(kept, e.Text)
		}
	}
	if got := strings.Join(kept, " "); got != "0 1 2 3 4" {
		t.Errorf("of the five openings of the breaker these are left: %s", got)
	}
	if want := uint64(5 * (10000 - lossyPerSecond)); s.EventsDropped != want || len(s.Events) != 5*(lossyPerSecond+1) || s.EventsLost != 0 {
		t.Errorf("%d events, %d dropped, %d lost; want %d dropped", len(s.Events), s.EventsDropped, s.EventsLost, want)
	}
}

func TestFinishedRequestsAreBounded(t *testing.T) {
	r, _ := newRecorder()
	for i := range requestsKept + 5 {
		r.Begin(RequestRecord{ID: fmt.Sprint(i)}).End(PhaseOK, 200, "")
	}
	live := r.Begin(RequestRecord{ID: "live"})
	s := r.Snapshot(0)
	if len(s.Requests) != requestsKept+1 || s.Requests[0].ID != "live" || s.Requests[1].ID != fmt.Sprint(requestsKept+4) ||
		s.Requests[requestsKept].ID != "5" {
		t.Errorf("order is wrong: %d requests, %s %s … %s", len(s.Requests), s.Requests[0].ID, s.Requests[1].ID, s.Requests[len(s.Requests)-1].ID)
	}
	live.End(PhaseCanceled, 0, "")
}

func TestMetersSurviveAReload(t *testing.T) {
	r, _ := newRecorder("a", "b")
	r.Begin(RequestRecord{}).Attempt("b", "m").End(Result{Outcome: OutcomeOK})
	running := r.Begin(RequestRecord{}).Attempt("a", "m")
	r.SetProviders([]ProviderInfo{{Name: "b", Weight: 7}, {Name: "c"}})
	s := r.Snapshot(0)
	if len(s.Providers) != 2 || s.Providers[0].OK != 1 || s.Providers[0].Weight != 7 {
		t.Errorf("after the reload: %+v", s.Providers)
	}
	running.End(Result{Outcome: OutcomeOK}) // of a provider that is gone
}

func TestConcurrentUse(t *testing.T) {
	r := New(time.Now)
	r.SetProviders([]ProviderInfo{{Name: "a"}})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				q := r.Begin(RequestRecord{Stream: true})
				a := q.Attempt("a", "m")
				for range 20 {
					a.Progress(Progress{At: time.Now(), Text: 4, Content: true, Generating: true})
				}
				a.End(Result{Outcome: OutcomeOK})
				r.Event(Event{Kind: EventReturn})
				q.End(PhaseOK, 200, "")
			}
		})
	}
	wg.Go(func() {
		for range 100 {
			r.Snapshot(0)
		}
	})
	wg.Wait()
	if s := r.Snapshot(0); s.OK != 400 || s.Providers[0].InFlight != 0 || s.InFlight != 0 {
		t.Errorf("ok %d, in flight %d and %d, want 400, 0 and 0", s.OK, s.InFlight, s.Providers[0].InFlight)
	}
}

func BenchmarkProgress(b *testing.B) {
	r := New(time.Now)
	r.SetProviders([]ProviderInfo{{Name: "a"}})
	a := r.Begin(RequestRecord{Stream: true}).Attempt("a", "m")
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		a.Progress(Progress{At: now, Text: 4, Content: true, Generating: true})
	}
}

func BenchmarkSnapshot(b *testing.B) {
	r := New(time.Now)
	r.SetProviders([]ProviderInfo{{Name: "a"}, {Name: "b"}, {Name: "c"}, {Name: "d"}})
	for range requestsKept {
		q := r.Begin(RequestRecord{})
		q.Attempt("a", "m").End(Result{Outcome: OutcomeOK})
		q.End(PhaseOK, 200, "")
	}
	b.ReportAllocs()
	for b.Loop() {
		r.Snapshot(1 << 60)
	}
}

func TestTheLifeOfAConfigurationIsSeen(t *testing.T) {
	r, c := newRecorder("a")
	first := r.Snapshot(0)
	if !first.ConfigAt.Equal(c.t) || first.Review != nil || first.Reloads != (Reloads{}) {
		t.Errorf("at first: %v %v %v", first.ConfigAt, first.Review, first.Reloads)
	}
	r.SetWatching()
	waiting := &Review{Hash: "1"}
	r.SetReview(waiting)
	c.advance(time.Minute)
	if s := r.Snapshot(0); s.Review != waiting || !s.Watching || s.Generation == first.Generation {
		t.Errorf("a change waits: %v %v, generation %d", s.Review, s.Watching, s.Generation)
	}
	for _, result := range []ReloadResult{ReloadInvalid, ReloadRejected, ReloadInvalid, ReloadRejected, ReloadInvalid} {
		r.Reloaded(result)
	}
	if s := r.Snapshot(0); !s.ConfigAt.Equal(first.ConfigAt) {
		t.Errorf("the configuration seems to run since %v", s.ConfigAt)
	}
	r.Reloaded(ReloadApplied)
	r.SetReview(nil)
	s := r.Snapshot(0)
	if !s.ConfigAt.Equal(c.t) || s.Review != nil || s.Reloads != (Reloads{Applied: 1, Rejected: 2, Invalid: 3}) {
		t.Errorf("in the end: %v %v %v", s.ConfigAt, s.Review, s.Reloads)
	}
}

// observer keeps what it was told.
type observer struct{ told []string }

func (o *observer) AttemptEnded(r *RequestRecord, n int, a *AttemptRecord) {
	o.told = append(o.told, fmt.Sprintf("%s attempt %d %s %s, running: %t", r.ID, n, a.Provider, a.Outcome, !r.Phase.Done()))
}

func (o *observer) RequestEnded(r *RequestRecord) {
	o.told = append(o.told, fmt.Sprintf("%s %s after %d", r.ID, r.Phase, len(r.Decision.Attempts)))
}

func (o *observer) Happened(e *Event) { o.told = append(o.told, string(e.Kind)) }

func TestObserversAreToldInOrder(t *testing.T) {
	r, o := New(time.Now), &observer{}
	r.Observe(o)
	q := r.Begin(RequestRecord{ID: "req_1"})
	q.Attempt("a", "m").End(Result{Outcome: "overloaded", Reason: "busy"})
	r.Event(Event{Kind: EventFallback})
	q.Attempt("b", "m").End(Result{Outcome: OutcomeOK})
	q.End(PhaseOK, 200, "")
	want := []string{"req_1 attempt 1 a overloaded, running: true", "fallback", "req_1 attempt 2 b ok, running: true", "req_1 ok after 2"}
	if !slices.Equal(o.told, want) {
		t.Errorf("told %q, want %q", o.told, want)
	}
}
