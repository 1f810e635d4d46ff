package tui

import (
	"fmt"
	"path/filepath"
	"strconv"
)

// screen is one of the six views that the digits choose.
type screen uint8

const (
	overview screen = iota
	providersScreen
	requestsScreen
	eventsScreen
	configScreen
	logsScreen
	screenCount
)

// screenInfo is what the tabs and the keys need to know of a screen.
type screenInfo struct {
	name, brief, tiny string
	main              pane // which its list keys move
	at                place
	detail            place // 0 = it has none
}

var screens = [screenCount]screenInfo{
	overview:        {"Overview", "Over", "Ov", paneProviders, atOverview, 0},
	providersScreen: {"Providers", "Prov", "Pr", paneProviders, atProviders, atProvider},
	requestsScreen:  {"Requests", "Req", "Rq", paneRequests, atRequests, atRequest},
	eventsScreen:    {"Events", "Ev", "Ev", paneEvents, atEvents, 0},
	configScreen:    {"Config", "Cfg", "Cf", paneReview, atConfig, 0},
	logsScreen:      {"Logs", "Log", "Lg", paneLogs, atLogs, 0},
}

// place is where the next key goes.
func (m *model) place() place {
	s := &screens[m.screen]
	if m.detail {
		return s.detail
	}
	return s.at
}

// show goes to a screen.
func (m *model) show(s screen) {
	if m.screen == eventsScreen || s == eventsScreen {
		m.read = m.seen
	}
	m.screen, m.detail, m.zoomed, m.scroll = s, false, false, 0
	m.focus = screens[s].main
	m.review.opened = m.now()
	m.unsettle()
	m.relayout()
}

// openDetail shows what is selected in full.
func (m *model) openDetail() {
	l, n, id := m.rows(m.focus)
	if n == 0 {
		return
	}
	switch m.focus {
	case paneProviders:
		m.screen = providersScreen
	case paneRequests:
		m.screen = requestsScreen
	case paneEvents:
		m.openEvent()
		return
	default:
		return
	}
	l.sync(n, id)
	l.pin(n, id)
	m.detail, m.scroll, m.zoomed = true, 0, false
	m.relayout()
}

// tabWords are the lengths in which the tabs are written, the longest first.
type tabWords uint8

const (
	fullTabs tabWords = iota
	briefTabs
	tinyTabs
	oneTab
)

// paintTabs names the screens and what waits on them.
func (m *model) paintTabs(r region) {
	right := m.tabsNote()
	for words := fullTabs; words <= oneTab; words++ {
		line := m.tabs(words)
		if line.width()+1 > r.w && words < oneTab {
			continue
		}
		end := r.spans(0, 0, r.w, line)
		if w := right.width(); w > 0 && end+w+3 <= r.w {
			r.spans(r.w-w-1, 0, w, right)
		}
		return
	}
}

func (m *model) tabs(words tabWords) spans {
	line := spans{{" ", style{}}}
	if words == oneTab {
		return append(line, m.tab(m.screen, fullTabs)...)
	}
	for s := range screenCount {
		line = append(line, m.tab(s, words)...)
		if words == fullTabs {
			line = append(line, span{" ", style{}})
		}
	}
	return line
}

// tab is one screen's name with its badge; the shown one stands out.
func (m *model) tab(s screen, words tabWords) spans {
	info := &screens[s]
	name := []string{info.name, info.brief, info.tiny, info.name}[words]
	label := strconv.Itoa(int(s)+1) + " " + name
	badge := m.tabBadge(s, words)
	if s != m.screen {
		ss := spans{{" " + label[:1], fg(faint)}, {label[1:] + " ", fg(dim)}}
		if badge.text != "" {
			ss = append(ss[:1], span{label[1:], fg(dim)}, span{" " + badge.text + " ", badge.style})
		}
		return ss
	}
	on := style{bg: selected, attr: bold}
	if m.detail {
		label += " " + m.theme.glyphs.crumb + " " + m.crumb()
	}
	open, shut := " ", " "
	if m.theme.profile == noStyle {
		open, shut = "[", "]"
	}
	ss := spans{{open + label, on}}
	if badge.text != "" && !m.detail {
		st := badge.style
		st.bg = selected
		ss = append(ss, span{" " + badge.text, st})
	}
	return append(ss, span{shut, on})
}

// crumb names what a detail shows.
func (m *model) crumb() string {
	_, n, id := m.rows(m.focus)
	l := m.list(m.focus)
	if l.index >= n {
		return ""
	}
	name := id(l.index)
	if m.screen == requestsScreen {
		name = m.requestName(name)
	}
	return cut(name, 24, m.theme.glyphs.ellipsis)
}

// tabBadge is what waits on a screen.
func (m *model) tabBadge(s screen, words tabWords) span {
	long := words == fullTabs
	switch n := 0; s {
	case requestsScreen:
		if n = m.shown.InFlight; n > 0 {
			return span{strconv.Itoa(n), fg(info)}
		}
	case eventsScreen:
		if n = m.unread(); n > 0 && long {
			return span{fmt.Sprintf("%d new", n), fg(info)}
		} else if n > 0 {
			return span{strconv.Itoa(n), fg(info)}
		}
	case configScreen:
		return m.reviewBadge(long)
	}
	return span{}
}

// unread counts the events that came since the events were last looked at.
func (m *model) unread() int {
	if m.screen == eventsScreen {
		return 0
	}
	n := 0
	for i := len(m.events) - 1; i >= 0 && m.events[i].Seq > m.read; i-- {
		n++
	}
	return n
}

// tabsNote names the configuration at the right end of the tabs.
func (m *model) tabsNote() spans {
	s := &m.shown
	if s.Config == "" {
		return nil
	}
	note := spans{{"config ", fg(dim)}, {cut(filepath.Base(s.Config), 32, m.theme.glyphs.ellipsis), style{}}}
	if s.Watching {
		note = append(note, span{" watched", fg(dim)})
	}
	return note
}
