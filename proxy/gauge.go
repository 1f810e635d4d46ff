package proxy

import (
	"anyproxy/metrics"
	"anyproxy/providers"
)

// measure tells the meter what the newest frame brought, and the router what the
// meter reads: at least four times a second while frames come, without a timer.
// Of the silence between them the router takes note itself.
func (a *answer) measure(stream bool) {
	if a.meter == nil {
		return
	}
	f := &a.frame
	content := f.Kind == providers.Content || f.Kind == providers.End && f.Text > 0
	m := metrics.Progress{At: a.at, Text: f.Text, Content: stream && content,
		Generating: f.Generating, Hidden: f.Hidden, Quiet: f.Quiet, Opaque: a.stream.Opaque, Final: f.Kind == providers.End}
	if u := f.Usage; u != nil {
		m.Usage = &metrics.Tokens{Input: u.Input, Output: u.Output, CacheRead: u.CacheRead, CacheWrite: u.CacheWrite,
			CacheWrite1h: u.CacheWrite1h, Reasoning: u.Reasoning, Searches: u.Searches}
	}
	if !stream && m.Final {
		m.Began = a.p.Began(a.at)
	}
	if r, due := a.meter.Progress(m); due {
		a.p.Observe(a.at, r)
	}
}
