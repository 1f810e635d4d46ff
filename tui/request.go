package tui

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"anyproxy/metrics"
)

// paintDetail shows what is selected in full.
func (m *model) paintDetail(r region) {
	if m.screen == requestsScreen {
		m.paintRequestDetail(r)
		return
	}
	m.paintProviderDetail(r)
}

func (m *model) paintRequestDetail(r region) {
	i := m.selected(paneRequests)
	if i < 0 {
		m.open(r, paneDetail, "Request", nil)
		return
	}
	q := &m.shown.Requests[i]
	sign := m.requestSign(q, i)
	note := spans{{sign.sign + " " + string(q.Phase), fg(sign.role)}}
	if q.Status != 0 {
		note = append(note, span{", " + strconv.Itoa(q.Status), fg(sign.role)})
	}
	in := m.open(r, paneDetail, "Request "+m.requestName(q.ID), note)
	if m.layout.framed {
		in = in.sub(1, 0, in.w-2, in.h)
	}
	m.paintScrolled(in, m.requestLines(q, in.w))
}

// requestLines is all that is known of a request.
func (m *model) requestLines(q *metrics.RequestRecord, w int) []spans {
	lines := m.requestFacts(q)
	if q.Error != "" {
		lines = append(lines, m.wrapped("error", q.Error, w, fg(bad))...)
	}
	if len(q.Decision.Attempts) > 0 {
		lines = append(lines, nil)
		lines = append(lines, m.timeline(q, w)...)
	}
	if len(q.Decision.Candidates) > 0 {
		lines = append(lines, nil)
		lines = append(lines, m.decisionLines(&q.Decision, w)...)
	}
	if len(q.Decision.Attempts) > 0 {
		lines = append(lines, nil)
		lines = append(lines, m.diary(q, w)...)
	}
	return lines
}

const factWidth = 11

// fact is one line: a label, then pieces with space between.
func fact(label string, pieces ...spans) spans {
	line := spans{{pad(label, factWidth), fg(dim)}}
	for i, p := range pieces {
		if i > 0 && len(p) > 0 {
			line = append(line, span{"   ", style{}})
		}
		line = append(line, p...)
	}
	return line
}

// figure is a label and a value.
func figure(label, value string, st style) spans {
	if value == "" {
		return nil
	}
	return spans{{label + " ", fg(dim)}, {value, st}}
}

// wrapped is a fact that may take several lines.
func (m *model) wrapped(label, text string, w int, st style) []spans {
	var lines []spans
	for _, piece := range wrapText(text, max(10, w-factWidth)) {
		lines = append(lines, fact(label, spans{{piece, st}}))
		label = ""
	}
	return lines
}

func (m *model) requestFacts(q *metrics.RequestRecord) []spans {
	g, d := m.theme.glyphs, &q.Decision
	kind := "one answer"
	if q.Stream {
		kind = "stream"
	}
	lines := []spans{
		fact("client", spans{{strings.TrimSpace(q.Method + " " + q.Path), style{}}}, spans{{kind, fg(dim)}},
			figure("key", q.Key, style{}), figure("session", cut(q.Session, 14, g.ellipsis), style{})),
		fact("asked", spans{{q.Model, strong(plain)}}, figure("at", m.clock(q.Time), style{}),
			figure("alias", d.Alias, style{}), figure("forced to", d.Forced, fg(warn))),
		fact("answer", figure("took", took(q.Duration, 1), strong(plain)), figure("first token", seconds(q.TTFT, 2), style{}),
			figure("tok/s", rate(q.TPS), strong(plain)), figure("status", status(q.Status), style{})),
	}
	t := &q.Tokens
	if in := t.Prompt(); in > 0 || t.Output > 0 {
		cache := ""
		if t.CacheRead > 0 {
			cache = percent(float64(t.CacheRead)/float64(in)) + " of in"
		}
		lines = append(lines, fact("tokens", figure("in", about(count(in), t.PromptEstimated), strong(plain)), figure("from cache", cache, fg(good)),
			figure("to cache", tokens(t.CacheWrite, false), style{}), figure("for 1h", tokens(t.CacheWrite1h, false), style{}),
			figure("out", tokens(t.Output, t.Estimated), strong(plain)), figure("thinking", tokens(t.Reasoning, false), style{}),
			figure("web searches", tokens(t.Searches, false), style{})))
	}
	if said := cost(q.Cost, q.Unpriced, q.Included); said != "" {
		lines = append(lines, fact("cost", spans{{roughly(said, q.Decision.Attempts), strong(plain)}}, costNote(q)))
	}
	return lines
}

// roughly marks a cost whose tokens are counted from bytes.
func roughly(said string, attempts []metrics.AttemptRecord) string {
	for i := range attempts {
		if a := &attempts[i]; a.Cost > 0 && (a.Tokens.Estimated || a.Tokens.PromptEstimated) {
			return about(said, true)
		}
	}
	return said
}

// costNote says what a cost is not.
func costNote(q *metrics.RequestRecord) spans {
	switch {
	case q.Unpriced && q.Cost > 0:
		return spans{{"at least: of a part no price is known", fg(dim)}}
	case q.Unpriced:
		return spans{{"no price is known", fg(dim)}}
	case q.Included && q.Cost == 0:
		return spans{{"a subscription pays", fg(dim)}}
	}
	return nil
}

func status(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// timeline draws the attempts below each other on one scale: waiting, then
// streaming, or failed.
func (m *model) timeline(q *metrics.RequestRecord, w int) []spans {
	attempts := q.Decision.Attempts
	names := 8
	for i := range attempts {
		names = max(names, min(width(attempts[i].Provider), 14))
	}
	names += 4 // number and gaps
	bar := w - names
	if bar < 10 {
		return nil
	}
	total := max(q.Duration, time.Millisecond)
	for i := range attempts {
		total = max(total, attempts[i].Start.Add(attempts[i].Duration).Sub(q.Time))
	}
	lines := []spans{axis(names, bar, total)}
	for i := range attempts {
		a := &attempts[i]
		line := spans{{fmt.Sprintf("%d ", i+1), fg(dim)}, {pad(cut(a.Provider, names-4, m.theme.glyphs.ellipsis), names-2), style{}}}
		lines = append(lines, append(line, m.attemptBar(q, a, bar, total)...))
	}
	g := m.theme.glyphs
	return append(lines, spans{{strings.Repeat(" ", names), style{}}, {g.waitBar, fg(accent)}, {" waiting   ", fg(dim)},
		{g.streamBar, fg(accent)}, {" streaming   ", fg(dim)}, {m.failBar(), fg(bad)}, {" failed", fg(dim)}})
}

// axis labels the seconds of a timeline.
func axis(names, bar int, total time.Duration) spans {
	label := func(d time.Duration) string {
		if d < time.Second && d > 0 {
			return strconv.Itoa(int(d/time.Millisecond)) + "ms"
		}
		if d >= time.Minute {
			return span2(d)
		}
		return strconv.Itoa(int(d/time.Second)) + "s"
	}
	step := niceStep(total, bar/9)
	line := []byte(strings.Repeat(" ", bar))
	for at := time.Duration(0); at <= total; at += step {
		x := int(float64(at) / float64(total) * float64(bar))
		if text := label(at); x+len(text) <= bar {
			copy(line[x:], text)
		}
	}
	return spans{{pad("ATTEMPTS", names), fg(dim)}, {string(line), fg(dim)}}
}

// niceStep divides a span into at most n steps of 1, 2 or 5 times a power of ten.
func niceStep(total time.Duration, n int) time.Duration {
	raw := float64(total) / float64(max(1, n))
	step := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, f := range []float64{1, 2, 5, 10} {
		if step*f >= raw {
			return time.Duration(step * f)
		}
	}
	return time.Duration(step * 10)
}

// attemptBar is one attempt on the timeline, with a word behind it where it
// failed or still runs.
func (m *model) attemptBar(q *metrics.RequestRecord, a *metrics.AttemptRecord, w int, total time.Duration) spans {
	g := m.theme.glyphs
	at := func(d time.Duration) int { return int(math.Round(float64(d) / float64(total) * float64(w))) }
	from := max(0, min(at(a.Start.Sub(q.Time)), w-1))
	to := max(from+1, min(at(a.Start.Add(a.Duration).Sub(q.Time)), w))
	first := to
	if a.TTFT > 0 {
		first = max(from, min(at(a.Start.Add(a.TTFT).Sub(q.Time)), to))
	}
	colour := accent
	if i := m.providerIndex(a.Provider); i >= 0 {
		colour = seriesRole(i)
	}
	failed := a.Outcome != "" && a.Outcome != metrics.OutcomeOK && a.Outcome != metrics.OutcomeCanceled
	ss := spans{{strings.Repeat(" ", from), style{}}}
	switch {
	case failed && a.TTFT == 0:
		ss = append(ss, span{strings.Repeat(m.failBar(), to-from), fg(bad)})
	case failed:
		ss = append(ss, span{strings.Repeat(g.waitBar, first-from), fg(colour)},
			span{strings.Repeat(g.streamBar, max(0, to-first-1)), fg(colour)}, span{g.failed, fg(bad)})
	default:
		ss = append(ss, span{strings.Repeat(g.waitBar, first-from), fg(colour)}, span{strings.Repeat(g.streamBar, to-first), fg(colour)})
	}
	word, st := "", fg(bad)
	switch {
	case failed:
		word = failedWords(a) + " " + took(a.Duration, 2)
	case a.Outcome == "":
		word, st = "live", fg(info)
	case a.Outcome == metrics.OutcomeCanceled:
		word, st = "left by the client", fg(dim)
	}
	if word != "" && to+1+width(word) <= w {
		ss = append(ss, span{" " + word, st})
	}
	return ss
}

// failBar is the bar of an attempt without an answer. Without colour it must
// not look like a streaming one.
func (m *model) failBar() string {
	if m.theme.coloured() {
		return m.theme.glyphs.failBar
	}
	return m.theme.glyphs.failed
}

// failedWords is a failure in a word or two: 429 rate limited, timeout.
func failedWords(a *metrics.AttemptRecord) string {
	words := strings.ReplaceAll(a.Outcome, "_", " ")
	if a.Status >= 300 {
		words = strconv.Itoa(a.Status) + " " + words
	}
	return words
}

// diary tells when what happened, to the millisecond.
func (m *model) diary(q *metrics.RequestRecord, w int) []spans {
	stamp := func(t time.Time) string { return t.In(m.zone).Format("15:04:05.000") }
	line := func(t time.Time, words string, st style) spans {
		return spans{{stamp(t) + "  ", fg(dim)}, {words, st}}
	}
	lines := []spans{{{"WHAT HAPPENED", fg(dim)}}}
	for i := range q.Decision.Attempts {
		a := &q.Decision.Attempts[i]
		to := a.Provider
		if a.Model != "" {
			to += ", " + a.Model
		}
		lines = append(lines, line(a.Start, "sent to "+to, style{}))
		if a.TTFT > 0 {
			lines = append(lines, line(a.Start.Add(a.TTFT), "first token after "+took(a.TTFT, 2), style{}))
		}
		end := a.Start.Add(a.Duration)
		switch a.Outcome {
		case "":
		case metrics.OutcomeOK:
			lines = append(lines, line(end, fmt.Sprintf("complete, %s tokens at %s tok/s", count(a.Tokens.Output), orDash(rate(a.TPS), m.theme.glyphs))+billed(a), fg(good)))
		case metrics.OutcomeCanceled:
			lines = append(lines, line(end, "left by the client"+billed(a), fg(dim)))
		default:
			lines = append(lines, line(end, failedWords(a)+billed(a), fg(bad)))
			if a.Reason != "" {
				for _, piece := range wrapText(a.Reason, max(10, w-14)) {
					lines = append(lines, spans{{strings.Repeat(" ", 14), style{}}, {piece, fg(dim)}})
				}
			}
		}
	}
	return lines
}

// billed is what an attempt has cost, behind what became of it.
func billed(a *metrics.AttemptRecord) string {
	if a.Cost == 0 {
		return ""
	}
	return ", " + roughly(price(a.Cost), []metrics.AttemptRecord{*a})
}

// providerIndex is the place of a provider in the configuration, -1 for one
// that is not in it any more.
func (m *model) providerIndex(name string) int {
	for i := range m.shown.Providers {
		if m.shown.Providers[i].Name == name {
			return i
		}
	}
	return -1
}

// shortID is enough of an id to know a request by.
func shortID(id string) string { return takeColumns(strings.TrimPrefix(id, "req_"), 8) }

// requestName is how a request is called on screen.
func (m *model) requestName(id string) string {
	if m.masked {
		return dots
	}
	return shortID(id)
}
