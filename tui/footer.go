package tui

import (
	"fmt"
	"slices"
)

func (m *model) paintFooter(r region) {
	switch {
	case m.mode == asking:
		m.paintQuestion(r)
	case m.mode == filtering:
		m.paintFilter(r)
	case m.hint != "":
		r.spans(1, 0, r.w-1, spans{{m.hint, fg(warn)}})
	default:
		m.paintKeys(r)
	}
}

// paintQuestion shows the answers whole and cuts the question where both do
// not fit.
func (m *model) paintQuestion(r region) {
	var answers spans
	for _, a := range m.question.answers {
		answers = append(answers, span{"  " + a.keys[0], strong(accent)}, span{" " + a.label, fg(dim)})
	}
	room := max(r.w-1-answers.width(), r.w/3)
	x := r.spans(1, 0, room, spans{{m.question.text, strong(warn)}})
	r.spans(x, 0, r.w-x, answers)
}

// paintFilter shows what has been typed, and how many rows it leaves.
func (m *model) paintFilter(r region) {
	l := &m.listings[m.focus]
	_, n, _ := m.rows(m.focus)
	note := fmt.Sprintf("%d of %s  ", n, count(int64(m.count(m.focus))))
	x := r.spans(1, 0, r.w-2, spans{{"/ ", strong(accent)}, {l.filter.text, style{}}, {" ", style{attr: reverse, bg: accent}}})
	if w := width(note); x+w+2 < r.w {
		r.right(r.w, 0, note, fg(dim))
		hint := filterHint
		if room := r.w - x - w - 6; room < width(hint) {
			hint = "enter keeps, esc clears"
		}
		if r.w-x-w-6 >= width(hint) {
			r.text(x+3, 0, hint, fg(dim))
		}
	}
}

const filterHint = "words: zai 429  !not  >5s <2s  tok<20  cost>0.1  id:7f   enter keeps, esc clears"

// paintKeys shows whole entries only; the last, how to quit, always. A
// configuration that waits is told at the right.
func (m *model) paintKeys(r region) {
	lines := slices.DeleteFunc(footerLines(m.place(), m.readOnly, m.theme.glyphs), func(l keyLine) bool { return m.idle(l.action) })
	room := r.w - 1
	if call := m.reviewCall(); len(call) > 0 && r.w >= 40 {
		w := call.width()
		r.spans(r.w-w, 0, w, call)
		room -= w + 2
	}
	for len(lines) > 1 && footerWidth(lines) > room {
		lines = dropLine(lines)
	}
	x := 1
	for _, l := range lines {
		x = r.text(x, 0, l.keys, strong(accent))
		x = r.text(x+1, 0, l.text, fg(dim)) + 3
	}
}

// idle reports whether there is nothing now that an answer to a review would
// be about.
func (m *model) idle(do action) bool {
	r := m.shown.Review
	switch do {
	case actReject:
		return r == nil
	case actApply, actDiff:
		return r == nil || !r.Usable()
	}
	return false
}

// reviewCall is how the footer calls for a review; it never opens by itself.
func (m *model) reviewCall() spans {
	if m.latest.Review == nil || m.screen == configScreen {
		return nil
	}
	what := "config changed "
	if !m.latest.Review.Usable() {
		what = "config invalid "
	}
	return spans{{what, style{}}, {" c review ", style{fg: ink, bg: warn, attr: bold}}, {" ", style{}}}
}

func dropLine(lines []keyLine) []keyLine {
	worst := 0
	for i, l := range lines {
		if l.drop > lines[worst].drop {
			worst = i
		}
	}
	return append(lines[:worst], lines[worst+1:]...)
}

func footerWidth(lines []keyLine) int {
	n := 0
	for _, l := range lines {
		n += width(l.keys) + 1 + width(l.text) + 3
	}
	return n - 3
}
