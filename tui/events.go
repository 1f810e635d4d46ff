package tui

import (
	"fmt"
	"path/filepath"
	"strings"

	"anyproxy/metrics"
)

// fold is one line of the events: equal ones that follow each other are one.
type fold struct {
	metrics.Event        // the newest of them
	first         uint64 // Seq of the oldest
	times         int
	span          string // over how long, "" for one
}

// foldEvents returns the lines, newest first, of the given kind or of all.
func foldEvents(events []metrics.Event, kind metrics.EventKind) []fold {
	var folds []fold
	for i := len(events) - 1; i >= 0; i-- {
		e := events[i]
		if kind != "" && e.Kind != kind {
			continue
		}
		if n := len(folds); n > 0 && sameEvent(folds[n-1].Event, e) {
			f := &folds[n-1]
			f.times++
			f.first = e.Seq
			f.span = left(f.Time.Sub(e.Time))
			continue
		}
		folds = append(folds, fold{Event: e, first: e.Seq, times: 1})
	}
	return folds
}

func sameEvent(a, b metrics.Event) bool {
	return a.Kind == b.Kind && a.Provider == b.Provider && a.To == b.To && a.Text == b.Text
}

// shortenPaths leaves of the configuration's path its last part: events tell of
// it in narrow columns, and the screen of the configuration names all of it.
func shortenPaths(events []metrics.Event, path string) {
	for i := range events {
		if e := &events[i]; e.Kind == metrics.EventConfig && path != "" {
			e.Text = strings.ReplaceAll(e.Text, path, filepath.Base(path))
		}
	}
}

// foldedEvents is what the pane shows.
func (m *model) foldedEvents() []fold {
	folds := foldEvents(m.events, m.shownKind())
	if m.replace != nil {
		for i := range folds {
			e := &folds[i]
			e.Provider, e.To, e.Text, e.Request = m.replace(e.Provider), m.replace(e.To), m.replace(e.Text), m.replace(e.Request)
		}
	}
	return folds
}

// kinds are those that occurred, in the order of their first occurrence.
func (m *model) kinds() (kinds []metrics.EventKind, times map[metrics.EventKind]int) {
	times = map[metrics.EventKind]int{}
	for i := range m.events {
		k := m.events[i].Kind
		if times[k]++; times[k] == 1 {
			kinds = append(kinds, k)
		}
	}
	return kinds, times
}

// shownKind is the only kind that the screen shows, "" for all. Other screens
// show all.
func (m *model) shownKind() metrics.EventKind {
	if m.screen != eventsScreen {
		return ""
	}
	return m.kind
}

// nextKind goes through all, and each kind that occurred; on the log through
// its levels.
func (m *model) nextKind() {
	if m.screen == logsScreen {
		m.level = (m.level + 1) % len(logLevels)
		m.unsettle(paneLogs)
		return
	}
	kinds, _ := m.kinds()
	next := metrics.EventKind("")
	for i, k := range kinds {
		if m.kind == "" {
			next = k
			break
		}
		if k == m.kind && i+1 < len(kinds) {
			next = kinds[i+1]
		}
	}
	m.kind = next
	m.unsettle(paneEvents)
}

func (m *model) paintEvents(r region) {
	in := m.open(r, paneEvents, "Events", m.eventsNote())
	if m.layout.framed {
		in = in.sub(1, 0, in.w-2, in.h)
	}
	if m.screen == eventsScreen && in.h >= 4 {
		m.paintKinds(in)
		in = in.sub(0, 2, in.w, in.h-2)
	}
	l, n, _ := m.rows(paneEvents)
	if in.empty() {
		return
	}
	if n == 0 {
		m.paintNothing(in, paneEvents, len(m.events) > 0, "nothing to tell")
		return
	}
	m.list(paneEvents)
	order := m.listings[paneEvents].order
	kind, who := m.kindWidth(), m.subjectWidth(in.w)
	for y, i := 0, l.window(n, in.h); y < in.h && i < n; y, i = y+1, i+1 {
		m.paintEvent(in, y, &m.folds[order[i]], kind, who)
		if i == l.index && m.focus == paneEvents {
			m.markRow(in, y)
		}
	}
}

// paintNothing tells why a list is empty, and the way out of a filter.
func (m *model) paintNothing(in region, p pane, hasRows bool, none string) {
	f := &m.listings[p].filter
	if hasRows && !f.passesAll() {
		in.spans(1, 0, in.w-1, spans{{"nothing matches ", fg(dim)}, {f.text, style{}}, {"   esc clears the filter", fg(dim)}})
		return
	}
	in.spans(1, 0, in.w-1, spans{{none, fg(dim)}})
}

func (m *model) eventsNote() spans {
	note := m.filterNote(paneEvents)
	add := func(text string, st style) {
		if len(note) > 0 {
			note = append(note, span{", ", fg(dim)})
		}
		note = append(note, span{text, st})
	}
	if n := m.unread(); n > 0 {
		add(fmt.Sprintf("%d new", n), fg(info))
	}
	if n := m.lost + m.shown.EventsDropped; n > 0 {
		add(fmt.Sprintf("%s lost", count(int64(n))), fg(warn))
	}
	if m.screen == eventsScreen && m.listings[paneEvents].id == "" && len(note) == 0 {
		add("follows the newest", fg(dim))
	}
	return note
}

// filterNote tells that a filter is on, and what it leaves.
func (m *model) filterNote(p pane) spans {
	f := &m.listings[p].filter
	if f.text == "" {
		return nil
	}
	if f.off {
		return spans{{"filter off: " + f.text, fg(dim)}}
	}
	_, n, _ := m.rows(p)
	return spans{{fmt.Sprintf("/%s  %d of %s", f.text, n, count(int64(m.count(p)))), fg(warn)}}
}

// paintKinds shows what can be chosen with l, and how much there is of each.
func (m *model) paintKinds(in region) {
	kinds, times := m.kinds()
	x := m.chip(in, 0, "all", len(m.events), m.kind == "", fg(dim))
	for _, k := range kinds {
		if x >= in.w-6 {
			break
		}
		x = m.chip(in, x, string(k), times[k], m.kind == k, fg(m.theme.glyphs.event(k).role))
	}
}

// chip paints one of several choices and returns where the next begins.
func (m *model) chip(in region, x int, label string, n int, on bool, st style) int {
	open, shut := " ", " "
	if on {
		st = style{fg: st.fg, bg: selected, attr: bold}
		if m.theme.profile == noStyle {
			open, shut = "[", "]"
		}
	}
	return in.text(x, 0, fmt.Sprintf("%s%s %s%s", open, label, count(int64(n)), shut), st) + 1
}

// kindWidth lines the names up behind the kinds.
func (m *model) kindWidth() int {
	most := 0
	for i := range m.folds {
		most = max(most, width(string(m.folds[i].Kind)))
	}
	return min(most, len(metrics.EventCredential))
}

// subjectWidth lines the texts up behind the names; longer names push theirs on.
func (m *model) subjectWidth(w int) int {
	most := 0
	for i := range m.folds {
		most = max(most, width(m.subject(&m.folds[i])))
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
	end, wide := in.w, m.screen == eventsScreen && in.w >= 100
	if tail := m.eventTail(e); wide && tail != "" {
		end -= width(tail) + 2
		in.right(in.w, y, tail, fg(dim))
	}
	text := spans{{e.Text, fg(dim)}}
	if e.times > 1 && !wide {
		text = append(spans{{fmt.Sprintf("%s%d ", g.times, e.times), fg(warn)}}, text...)
	}
	in.spans(x, y, end-x, text)
}

// eventTail is what a wide screen adds: over how long equal events came, the
// request.
func (m *model) eventTail(e *fold) string {
	tail := ""
	if e.times > 1 {
		tail = fmt.Sprintf("%s%d in %s", m.theme.glyphs.times, e.times, e.span)
	}
	if e.Request != "" {
		tail = strings.TrimLeft(tail+"  req "+m.requestName(e.Request), " ")
	}
	return tail
}

// openEvent goes to the request that an event is about, else to its provider.
func (m *model) openEvent() {
	i := m.selected(paneEvents)
	if i < 0 {
		return
	}
	e := &m.folds[i]
	for k := range m.shown.Requests {
		if e.Request != "" && m.shown.Requests[k].ID == e.Request {
			m.openRow(requestsScreen, paneRequests, e.Request)
			return
		}
	}
	for k := range m.shown.Providers {
		if m.shown.Providers[k].Name == e.Provider {
			m.openRow(providersScreen, paneProviders, e.Provider)
			return
		}
	}
	m.tell("nothing more is known about this event")
}

// openRow opens the detail of a row, whatever filter hid it.
func (m *model) openRow(s screen, p pane, id string) {
	m.show(s)
	m.listings[p].filter = filter{}
	m.listings[p].id = id
	m.unsettle(p)
	m.detail = true
	m.relayout()
}

// isProblem reports whether a row tells of trouble.
func (m *model) isProblem(p pane, i int) bool {
	switch p {
	case paneProviders:
		return m.shown.Providers[i].State != metrics.StateReady
	case paneRequests:
		r := &m.shown.Requests[i]
		return r.Phase == metrics.PhaseFailed || len(r.Decision.Attempts) > 1
	case paneEvents:
		switch m.folds[i].Kind {
		case metrics.EventReturn, metrics.EventConfig:
			return false
		}
		return true
	}
	level := m.line(i).Level
	return level == "WARN" || level == "ERROR"
}
