package tui

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"anyproxy/metrics"
)

const (
	plainTick = time.Second
	// summaryEvery is how often the figures are told while they change.
	summaryEvery = time.Minute
)

// Plain tells what happens as lines of text, until ctx ends: for screen
// readers, for terminals that cannot place the cursor, for a file. Nothing is
// ever written twice or over something else.
func Plain(ctx context.Context, o Options) error {
	o = o.withDefaults()
	t := &teller{model: newModel(o), out: o.Out}
	t.model.resize(0, 0)
	tick := time.NewTicker(plainTick)
	defer tick.Stop()
	for {
		if err := t.look(); err != nil {
			return fmt.Errorf("tell what happens: %w", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// teller remembers what has been told. It looks with the eyes of a model that
// has no screen.
type teller struct {
	model *model
	out   io.Writer

	states  map[string]metrics.State
	review  *metrics.Review
	drained bool
	summary string
	told    time.Time // when the summary was
	err     error
}

// look tells what is new.
func (t *teller) look() error {
	m := t.model
	m.events = nil
	m.pull()
	s := &m.shown
	if t.states == nil {
		t.say("anyproxy serves on %s, %s, %d ready", s.Listen, plural(len(s.Providers), "provider"), readyCount(s.Providers))
		t.states = map[string]metrics.State{}
		for _, p := range s.Providers {
			t.states[p.Name] = metrics.StateReady
		}
	}
	for i := range m.events {
		t.tellEvent(&m.events[i])
	}
	t.tellStates()
	t.tellReview()
	if s.Draining && !t.drained {
		t.say("ending, %s still running", plural(s.InFlight, "request"))
	}
	t.drained = s.Draining
	if summary := t.figures(); summary != t.summary && s.At.Sub(t.told) >= summaryEvery {
		t.line(s.At, summary)
		t.summary, t.told = summary, s.At
	}
	return t.err
}

// say writes one line with the time of the look.
func (t *teller) say(format string, args ...any) {
	t.line(t.model.shown.At, fmt.Sprintf(format, args...))
}

func (t *teller) line(at time.Time, text string) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.out, "%s %s\n", t.model.clock(at), text)
	}
}

func (t *teller) tellEvent(e *metrics.Event) {
	who := e.Provider
	if e.To != "" {
		who += " to " + e.To
	}
	t.line(e.Time, strings.TrimRight(string(e.Kind)+" "+who, " ")+": "+e.Text)
}

// tellStates tells of providers whose state has changed.
func (t *teller) tellStates() {
	s := &t.model.shown
	states := map[string]metrics.State{}
	for i := range s.Providers {
		p := &s.Providers[i]
		states[p.Name] = p.State
		if before, known := t.states[p.Name]; known && before == p.State {
			continue
		}
		wait := ""
		if !p.RetryAt.IsZero() && p.RetryAt.After(s.At) {
			wait = ", asked again in " + left(p.RetryAt.Sub(s.At))
		}
		t.say("%s is %s%s", p.Name, p.State, wait)
	}
	t.states = states
}

func (t *teller) tellReview() {
	r := t.model.shown.Review
	if r == nil || t.review != nil && r.Hash == t.review.Hash && r.At.Equal(t.review.At) {
		t.review = r
		return
	}
	t.review = r
	if !r.Usable() {
		t.say("%s has changed and has %s; the running configuration stays", r.File, plural(len(r.Problems), "problem"))
		for i := range r.Problems {
			t.say("  %s", r.Problems[i].Text)
		}
		return
	}
	t.say("%s has changed, %s to review", r.File, plural(len(r.Changes), "change"))
}

// figures sums the Snapshot up.
func (t *teller) figures() string {
	s := &t.model.shown
	text := fmt.Sprintf("%.0f tokens per second, %s running, %d ok, %d failed, %d saved by fallback",
		s.TPS, plural(s.InFlight, "request"), s.OK, s.Failed, s.Saved)
	if s.Spend != nil && s.Spend.Today > 0 {
		text += ", today " + cost(s.Spend.Today, s.Spend.Unpriced > 0, false)
		if s.Spend.Limit > 0 {
			text += " of " + dollars(s.Spend.Limit)
		}
	}
	return text
}
