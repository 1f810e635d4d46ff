package routing_test

import (
	"testing"
	"time"

	"anyproxy/metrics"
	"anyproxy/proxy/routing"
)

// watched is a Router and a meter on one clock, wired as the proxy does.
type watched struct {
	now      time.Time
	router   *routing.Router
	recorder *metrics.Recorder
	slow     int // times that a target was called slow
}

func newWatched() *watched {
	w := &watched{now: epoch}
	clock := func() time.Time { return w.now }
	w.recorder = metrics.New(clock)
	w.recorder.SetProviders([]metrics.ProviderInfo{{Name: "a"}, {Name: "b"}})
	w.router = routing.New([]routing.Target{
		{Provider: "a", Aliases: []string{"*"}, Weight: 1, Tier: 1}, {Provider: "b", Aliases: []string{"*"}, Weight: 1, Tier: 2}},
		routing.NewState(), routing.Options{Now: clock, Threshold: 40, Tell: func(e metrics.Event) {
			if e.Kind == metrics.EventSlow {
				w.slow++
			}
		}})
	return w
}

// a is what is known of the first target.
func (w *watched) a() metrics.Candidate {
	return w.router.Route(routing.Query{Model: "m", Stream: true}).Decision.Candidates[0]
}

// answer is one answer of a as it goes by, frame by frame.
type answer struct {
	*watched
	attempt *routing.Attempt
	meter   *metrics.Attempt
}

func (w *watched) begin() *answer {
	a, _ := w.router.Route(routing.Query{Model: "m", Stream: true}).Next()
	return &answer{w, a, w.recorder.Begin(metrics.RequestRecord{Stream: true}).Attempt(a.Provider, a.Model)}
}

func (a *answer) frame(after time.Duration, f metrics.Progress) {
	a.now = a.now.Add(after)
	f.At = a.now
	if r, due := a.meter.Progress(f); due {
		a.attempt.Observe(a.now, r)
	}
}

// text plays tokens of four bytes, 60 a second, three to a frame.
func (a *answer) text(tokens int) { a.textAt(60, tokens) }

func (a *answer) textAt(perSecond, tokens int) {
	for range tokens / 3 {
		a.frame(3*time.Second/time.Duration(perSecond), metrics.Progress{Text: 12, Content: true, Generating: true})
	}
}

func (a *answer) end(output int64) {
	a.frame(0, metrics.Progress{Usage: &metrics.Tokens{Output: output}})
	a.frame(0, metrics.Progress{Final: true})
	_, reading := a.meter.End(metrics.Result{Outcome: metrics.OutcomeOK})
	a.attempt.Report(routing.Result{Verdict: routing.Good, Reading: reading, Output: output})
}

// thinkHidden plays 2000 tokens of thinking that nobody sees, with pings.
func (a *answer) thinkHidden(t func()) {
	a.frame(time.Second, metrics.Progress{Generating: true, Hidden: true})
	for range 100 {
		a.frame(time.Second/3, metrics.Progress{Generating: true, Hidden: true})
		t()
	}
	a.frame(0, metrics.Progress{})
}

// bufferInput plays a tool's input of 600 tokens in three pieces.
func (a *answer) bufferInput(t func()) {
	a.frame(time.Second, metrics.Progress{Generating: true, Hidden: true})
	for range 3 {
		for range 9 {
			a.now = a.now.Add(time.Second / 3)
			t()
		}
		a.frame(time.Second/3, metrics.Progress{Text: 800, Content: true, Generating: true, Quiet: true})
	}
	a.frame(0, metrics.Progress{})
}

// readsThinking plays answers at a true 60 tok/s of which little shows, where 120
// was usual so far, and looks at the speed that is read meanwhile.
func readsThinking() []row {
	const rounds = 6
	measure := func(play func(a *answer, look func())) (w *watched, before metrics.TargetView) {
		w = newWatched()
		usual := w.begin()
		usual.textAt(120, 1200)
		usual.end(1200)
		before = w.router.Views()[0].TargetView
		w.now = w.now.Add(10 * time.Minute)
		for range rounds {
			play(w.begin(), func() { w.a() })
			w.now = w.now.Add(5 * time.Second)
		}
		return w, before
	}
	thinking, _ := measure(func(a *answer, look func()) { a.thinkHidden(look); a.text(102); a.end(2102) })
	input, _ := measure(func(a *answer, look func()) { a.bufferInput(look); a.end(600) })
	opaque, before := measure(func(a *answer, look func()) {
		a.now = a.now.Add(300 * time.Millisecond)
		a.attempt.Heard(a.now) // the response headers
		a.frame(33*time.Second, metrics.Progress{Opaque: true})
		look()
		a.text(102)
		a.end(2102)
	})
	off := func(w *watched) float64 { tps := w.a().TPS; return max(tps/60, 60/tps) - 1 }
	sampled := 0.0
	if !opaque.router.Views()[0].Measured.Equal(before.Measured) {
		sampled = 1
	}
	return []row{
		{id: "T17", what: "2000 tokens of hidden thinking + 100 of text: speed read, off the true 60", got: off(thinking), bound: 0.1, unit: "%"},
		{id: "T17", what: "buffered tool input", got: off(input), bound: 0.1, unit: "%"},
		{id: "T17", what: "thinking whose start is hidden too: samples of it", got: sampled, bound: 0},
		{id: "T17", what: "times that one was called slow meanwhile (θ = 40)", got: float64(thinking.slow + input.slow + opaque.slow), bound: 0},
	}
}

// A stream that falls silent in the middle of its text is seen at once, without
// anything coming that could tell.
func TestStallIsSeenWhileItLasts(t *testing.T) {
	w := newWatched()
	a := w.begin()
	a.frame(time.Second, metrics.Progress{Generating: true, Content: true, Text: 12})
	a.text(600)
	before := w.a().TPS
	w.now = w.now.Add(10 * time.Second)
	during := w.a().TPS
	if before < 50 || during > 0.6*before {
		t.Errorf("%.1f tok/s before, %.1f after ten seconds of silence", before, during)
	}
	a.text(600)
	a.end(1200)
	if after := w.a().TPS; after < during {
		t.Errorf("%.1f tok/s when it goes on, %.1f in the silence: the silence is counted twice", after, during)
	}
}

// The wait of a request that has no content yet counts as soon as it is longer
// than usual.
func TestLongWaitIsSeenWhileItLasts(t *testing.T) {
	w := newWatched()
	for range 8 {
		a := w.begin()
		a.frame(500*time.Millisecond, metrics.Progress{Generating: true, Content: true, Text: 12})
		a.text(300)
		a.end(300)
	}
	before := w.a().TTFT
	w.begin()
	w.now = w.now.Add(20 * time.Second)
	if during := w.a().TTFT; during < 3*before/2 {
		t.Errorf("time to first token %v before, %v with a request that has waited for 20 s", before, during)
	}
}

// An answer in one piece takes as long as it takes: its age is no wait.
func TestAnswerInOnePieceIsNoWait(t *testing.T) {
	w := newWatched()
	before := w.a().TTFT
	a, _ := w.router.Route(routing.Query{Model: "m"}).Next()
	w.now = w.now.Add(time.Minute)
	if during := w.a().TTFT; during != before {
		t.Errorf("time to first token %v before, %v while it is in flight", before, during)
	}
	a.Report(routing.Result{Verdict: routing.Good})
}
