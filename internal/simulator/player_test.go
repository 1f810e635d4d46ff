package simulator

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// clockSink notes when deltas come.
type clockSink struct {
	began time.Time
	at    []time.Duration
	body  []byte
}

func (s *clockSink) Write(p []byte) (int, error) {
	s.body = append(s.body, p...)
	s.at = append(s.at, time.Since(s.began))
	return len(p), nil
}
func (s *clockSink) flush() error  { return nil }
func (s *clockSink) finish() error { return nil }
func (s *clockSink) abort(bool)    {}

func TestPlayerKeepsTheTimetable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := Answer{Blocks: []Block{Text("a text of some forty letters, or ten tokens")}, TTFT: 800 * time.Millisecond, Rate: 73, PingEvery: time.Second}
		var want []time.Duration
		for s := range a.Steps() {
			want = append(want, s.At)
		}
		out := &clockSink{began: time.Now()}
		p := player{out: out}
		if o := p.play(t.Context(), time.Now(), newMessage(&a, "m", 0).stream()); o != ended {
			t.Fatalf("outcome %d", o)
		}
		if !slices.Equal(out.at, want) {
			t.Errorf("written at %v\nwant %v", out.at, want)
		}
	})
}

// A player that was held up catches up: the rate over the whole answer stays.
func TestPlayerCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := Answer{Blocks: []Block{Text("abcdefghijklmnop")}, Rate: 1}
		out := &clockSink{began: time.Now()}
		p := player{out: out}
		timetable := func(yield func(Step, []byte) bool) {
			for s, event := range newMessage(&a, "m", 0).stream() {
				if s.Kind == StepBlockStart {
					time.Sleep(2500 * time.Millisecond)
				}
				if !yield(s, event) {
					return
				}
			}
		}
		p.play(t.Context(), time.Now(), timetable)
		if took := time.Since(out.began); took != 4*time.Second {
			t.Errorf("took %v, want 4s", took)
		}
	})
}

func TestPlayerStopsWhenTheClientLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		a := Answer{Blocks: []Block{Text("abcd")}, TTFT: time.Hour}
		p := player{out: &clockSink{}}
		began := time.Now()
		if o := p.play(ctx, began, newMessage(&a, "m", 0).stream()); o != left || time.Since(began) != time.Second {
			t.Errorf("outcome %d after %v", o, time.Since(began))
		}
	})
}

func TestDripSendsByteByByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &clockSink{began: time.Now()}
		d := dripSink{sink: out, ctx: t.Context(), every: 10 * time.Millisecond}
		if _, err := d.Write([]byte("abc")); err != nil {
			t.Fatal(err)
		}
		want := []time.Duration{0, 10 * time.Millisecond, 20 * time.Millisecond}
		if string(out.body) != "abc" || !slices.Equal(out.at, want) {
			t.Errorf("%q at %v", out.body, out.at)
		}
	})
}
