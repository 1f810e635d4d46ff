package proxy

import (
	"time"

	"anyproxy/metrics"
	"anyproxy/providers"
)

// gatherFor is how long text may be gathered before the meters are told. A fast
// stream then does not take their locks with each event.
const gatherFor = 100 * time.Millisecond

// gauge is what the meters have not been told yet of an answer: text that came
// as plainly as what they were told last. It is the handler's alone.
type gauge struct {
	meter  *metrics.Attempt // nil for what is not a model request
	stream bool

	plain bool      // what was told last was visible text in the middle of generation
	told  time.Time // when that was
	text  int       // bytes since
	at    time.Time // when the last of them came
}

// measure tells the meter what the newest frame brought, and the router what the
// meter reads: about four times a second while frames come, without a timer. Of
// the silence between them the router takes note itself.
func (a *answer) measure() {
	stream, f := a.gauge.stream, &a.frame
	if a.gauge.meter == nil {
		return
	}
	plain := stream && f.Kind == providers.Content && f.Generating && !f.Hidden && !f.Quiet && f.Usage == nil
	if plain && a.gauge.plain && a.at.Sub(a.gauge.told) < gatherFor {
		a.gauge.text += f.Text
		a.gauge.at = a.at
		return
	}
	content := f.Kind == providers.Content || f.Kind == providers.End && f.Text > 0
	m := metrics.Progress{At: a.at, Text: a.gauge.text + f.Text, Content: stream && content,
		Generating: f.Generating, Hidden: f.Hidden, Quiet: f.Quiet, Opaque: a.stream.Opaque, Final: f.Kind == providers.End}
	if u := f.Usage; u != nil {
		m.Usage = &metrics.Tokens{Input: u.Input, Output: u.Output, CacheRead: u.CacheRead, CacheWrite: u.CacheWrite,
			CacheWrite1h: u.CacheWrite1h, Reasoning: u.Reasoning, Searches: u.Searches}
	}
	if !stream && m.Final {
		m.Began = a.p.Began(a.at)
	}
	a.gauge.plain, a.gauge.told, a.gauge.text = plain, a.at, 0
	a.tell(&m)
}

// flush tells the meters what was gathered.
func (a *answer) flush() {
	if text := a.gauge.text; text > 0 {
		a.gauge.text = 0
		a.tell(&metrics.Progress{At: a.gauge.at, Text: text, Content: true, Generating: true, Opaque: a.stream.Opaque})
	}
}

func (a *answer) tell(m *metrics.Progress) {
	if r, due := a.gauge.meter.Progress(*m); due {
		a.p.Observe(m.At, r)
	}
}
