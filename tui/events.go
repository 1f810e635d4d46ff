package tui

import (
	"fmt"

	"anyproxy/metrics"
)

// fold is one line of the events: equal ones that follow each other are one.
type fold struct {
	metrics.Event        // the newest of them
	first         uint64 // Seq of the oldest
	times         int
}

// foldEvents returns the lines, newest first.
func foldEvents(events []metrics.Event) []fold {
	var folds []fold
	for i := len(events) - 1; i >= 0; i-- {
		e := events[i]
		if n := len(folds); n > 0 && sameEvent(folds[n-1].Event, e) {
			folds[n-1].times++
			folds[n-1].first = e.Seq
			continue
		}
		folds = append(folds, fold{Event: e, first: e.Seq, times: 1})
	}
	return folds
}

func sameEvent(a, b metrics.Event) bool {
	return a.Kind == b.Kind && a.Provider == b.Provider && a.To == b.To && a.Text == b.Text
}

func (m *model) paintEvents(r region) {
	folds := foldEvents(m.events)
	var note spans
	if m.lost > 0 {
		note = spans{{fmt.Sprintf("%d lost", m.lost), fg(warn)}}
	}
	in := m.open(r, paneEvents, "Events", note)
	if m.layout.framed {
		in = in.sub(1, 0, in.w-2, in.h)
	}
	if in.empty() {
		return
	}
	if len(folds) == 0 {
		in.text(0, 0, "nothing to tell", fg(dim))
		return
	}
	m.syncSelection(paneEvents)
	kind, who := kindWidth(folds), m.subjectWidth(folds, in.w)
	for y, i := 0, m.eventList.window(len(folds), in.h); y < in.h && i < len(folds); y, i = y+1, i+1 {
		m.paintEvent(in, y, &folds[i], kind, who)
		if i == m.eventList.index && m.focus == paneEvents {
			m.markRow(in, y)
		}
	}
}

// kindWidth lines the names up behind the kinds.
func kindWidth(folds []fold) int {
	most := 0
	for i := range folds {
		most = max(most, width(string(folds[i].Kind)))
	}
	return min(most, len(metrics.EventCredential))
}

// subjectWidth lines the texts up behind the names; longer names push theirs on.
func (m *model) subjectWidth(folds []fold, w int) int {
	most := 0
	for i := range folds {
		most = max(most, width(m.subject(&folds[i])))
	}
	return min(most, max(8, w/4))
}

// subject is who an event is about: zai, or zai → anthropic.
func (m *model) subject(e *fold) string {
	if e.To == "" {
		return e.Provider
	}
	return e.Provider + " " + m.theme.glyphs.arrow + " " + e.To
}

func (m *model) paintEvent(in region, y int, e *fold, kind, who int) {
	g := m.theme.glyphs
	x := 0
	if in.w >= 40 {
		x = in.text(0, y, m.clock(e.Time), fg(dim)) + 1
	}
	sign := g.event(e.Kind)
	in.put(x, y, sign.sign, 1, fg(sign.role))
	x += 2
	if in.w >= 60 {
		in.text(x, y, cut(string(e.Kind), kind, g.ellipsis), fg(sign.role))
		x += kind + 1
	}
	if subject := m.subject(e); subject != "" {
		room := in.w - x
		limit := room - 2 - min(width(e.Text), room*2/5)
		end := in.text(x, y, cut(subject, max(who, limit), g.ellipsis), style{})
		x = max(end, x+who) + 2
	}
	text := spans{{e.Text, fg(dim)}}
	if e.times > 1 {
		text = append(spans{{fmt.Sprintf("%s%d ", g.times, e.times), fg(warn)}}, text...)
	}
	in.spans(x, y, in.w-x, text)
}
