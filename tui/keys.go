package tui

import (
	"strings"
	"unicode/utf8"

	tea "github.com/charmbracelet/bubbletea"
)

// mode is who gets the keys.
type mode uint8

const (
	browsing mode = iota
	filtering
	helping
	copying
	asking // a question is open
	modeCount
)

// popups lie over the screen while a mode lasts.
var popups = [modeCount]func(*model){helping: (*model).paintHelp, copying: (*model).paintCopy}

// keys handles a key message. Several characters that were typed fast arrive
// as one; pasted ones are text where there is a line to fill and no commands.
func (m *model) keys(msg tea.KeyMsg) tea.Cmd {
	if msg.Paste && m.mode != filtering {
		return nil
	}
	if msg.Type != tea.KeyRunes || msg.Alt {
		return m.key(msg.String())
	}
	var cmds []tea.Cmd
	for _, r := range msg.Runes {
		if cmd := m.key(string(r)); cmd != nil {
			cmds = append(cmds, cmd)
		}
	}
	if len(cmds) < 2 {
		return append(cmds, nil)[0]
	}
	return tea.Batch(cmds...)
}

// key gives one key to the mode that is on.
func (m *model) key(name string) tea.Cmd {
	if name == "ctrl+c" && m.mode != asking {
		m.setMode(browsing)
		return m.quit()
	}
	if name == "ctrl+z" {
		return m.detach()
	}
	switch m.mode {
	case filtering:
		m.filterKey(name)
	case helping:
		m.helpKey(name)
	case copying:
		return m.copyKey(name)
	case asking:
		return m.answer(name)
	default:
		return m.browse(name)
	}
	return nil
}

func (m *model) setMode(to mode) {
	if m.mode == to {
		return
	}
	if popups[m.mode] != nil || popups[to] != nil {
		m.soil()
	}
	m.mode = to
	m.soil(paneFooter, m.focus)
}

// browse does what the table says.
func (m *model) browse(name string) tea.Cmd {
	do := actionOf(name, m.place())
	switch do {
	case actQuit:
		return m.quit()
	case actDetach:
		return m.detach()
	case actHold, actProbe, actReset:
		m.askProvider(do)
	case actApply, actReject:
		return m.decide(do)
	case actEdit:
		return m.edit()
	case actExport:
		return m.export()
	case actScreen:
		m.show(screen(name[0] - '1'))
	case actNextPane:
		m.focusNext(1)
	case actPreviousPane:
		m.focusNext(-1)
	case actHelp:
		m.search = ""
		m.scroll = 0
		m.setMode(helping)
	case actCopy:
		if m.offered = m.copies(); len(m.offered) > 0 {
			m.setMode(copying)
		}
	case actBack:
		m.back()
	case actReview:
		if m.frozen { // what is called for has come since
			m.freeze()
		}
		m.show(configScreen)
	default:
		if !m.navigate(do) {
			m.adjust(do)
		}
	}
	return nil
}

// navigate moves among rows and reports whether do is that.
func (m *model) navigate(do action) bool {
	switch do {
	case actUp:
		m.move(-1)
	case actDown:
		m.move(1)
	case actTop:
		m.move(-far)
	case actBottom:
		m.move(far)
	case actHalfUp:
		m.move(-max(1, m.page()/2))
	case actHalfDown:
		m.move(max(1, m.page()/2))
	case actPageUp:
		m.move(-m.page())
	case actPageDown:
		m.move(m.page())
	case actPrevious:
		m.another(-1)
	case actNext:
		m.another(1)
	case actOpen:
		m.openDetail()
	case actProblem:
		m.nextProblem()
	case actFollow:
		m.followNewest()
	default:
		return false
	}
	return true
}

// adjust changes what is shown and how.
func (m *model) adjust(do action) {
	switch do {
	case actFilter:
		m.setMode(filtering)
	case actFilterOff:
		f := &m.listings[m.focus].filter
		f.off = !f.off && f.text != ""
		m.unsettle(m.focus)
	case actSort:
		m.sortNext()
	case actReverse:
		l := &m.listings[m.focus]
		l.reversed = !l.reversed
		m.unsettle(m.focus)
	case actKind:
		m.nextKind()
	case actWrap:
		m.wrap = !m.wrap
		m.soil(paneLogs)
	case actLeft:
		m.along = max(0, m.along-20)
		m.soil(paneLogs)
	case actRight:
		m.along = min(m.along+20, maxText)
		m.soil(paneLogs)
	case actDiff:
		m.review.lines = !m.review.lines
		m.scroll = 0
		m.soil(paneReview)
	case actZoom:
		m.zoomed = !m.zoomed
		m.relayout()
	case actFreeze:
		m.freeze()
	case actMask:
		m.mask()
	case actTheme:
		m.turnTheme()
	}
}

// back closes what is open, one thing at a time. It never quits.
func (m *model) back() {
	f := &m.listings[m.focus].filter
	switch {
	case m.detail:
		m.detail, m.scroll = false, 0
		m.unsettle(m.focus)
		m.relayout()
	case f.text != "":
		*f = filter{}
		m.unsettle(m.focus)
	case m.zoomed:
		m.zoomed = false
		m.relayout()
	case m.listings[m.focus].sort != 0 || m.listings[m.focus].reversed:
		m.listings[m.focus].sort, m.listings[m.focus].reversed = 0, false
		m.unsettle(m.focus)
	}
}

// filterKey edits the filter of the focused pane, which works as it is typed.
func (m *model) filterKey(name string) {
	text := m.listings[m.focus].filter.text
	switch name {
	case "enter":
		m.setMode(browsing)
		return
	case "esc":
		text = ""
		m.setMode(browsing)
	default:
		text = edited(text, name)
	}
	m.listings[m.focus].filter = newFilter(text)
	m.unsettle(m.focus)
	m.soil(paneFooter)
}

// edited is a line of text after a key.
func edited(text, key string) string {
	switch key {
	case "backspace", "ctrl+h":
		_, n := utf8.DecodeLastRuneInString(text)
		return text[:len(text)-n]
	case "ctrl+u":
		return ""
	case "ctrl+w":
		text = strings.TrimRight(text, " ")
		return text[:strings.LastIndexByte(text, ' ')+1]
	}
	const longest = 200
	if utf8.RuneCountInString(key) == 1 && len(text) < longest {
		return text + clean(key)
	}
	return text
}

// followNewest goes back to where news come in.
func (m *model) followNewest() {
	l := &m.listings[m.focus]
	l.id = ""
	m.soil(m.focus, paneDetail)
}

// nextProblem selects the next row down that tells of trouble, and begins
// again at the top behind the last.
func (m *model) nextProblem() {
	l, n, id := m.rows(m.focus)
	l.sync(n, id)
	for k := 1; k <= n; k++ {
		if i := (l.index + k) % n; m.isProblem(m.focus, m.listings[m.focus].order[i]) {
			l.move(i-l.index, n, id)
			l.pin(n, id)
			m.scroll = 0
			m.soil(m.focus, paneDetail, paneTabs)
			return
		}
	}
	m.tell("no problem in this list")
}

// turnTheme goes from dark to light and back.
func (m *model) turnTheme() {
	if !m.theme.coloured() {
		m.tell("colour is off: NO_COLOR or TERM says so")
		return
	}
	m.theme = newTheme(m.theme.profile, m.theme.palette == &darkPalette, m.theme.glyphs == &asciiGlyphs)
	m.resize(m.canvas.w, m.canvas.h)
}
