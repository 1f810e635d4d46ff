package tui

import (
	"strings"

	"anyproxy/metrics"
)

const (
	helpWidth     = 64
	wideHelpWidth = 132 // two columns
	helpKeys      = 13  // columns of the keys
)

// paintHelp lays the keys and the signs over the screen.
func (m *model) paintHelp() {
	own, everywhere := helpLines(m.place(), m.readOnly, m.theme.glyphs)
	title := screens[m.screen].name
	left := m.helpGroup("This screen: "+title, own)
	right := m.helpGroup("Everywhere", everywhere)
	signs := m.helpSigns()
	if m.search != "" {
		signs = nil
	}
	w, columns := helpWidth, [][]spans{append(append(left, right...), signs...)}
	if m.canvas.w >= wideHelpWidth+2 {
		w, columns = wideHelpWidth, [][]spans{append(left, signs...), right}
	}
	rows := 0
	for _, c := range columns {
		rows = max(rows, len(c))
	}
	w, h := min(w, m.canvas.w), min(rows+2, m.canvas.h)
	box := m.canvas.region(rect{(m.canvas.w - w) / 2, (m.canvas.h - h) / 2, w, h})
	box.clear()
	in := box.frame("Keys", m.helpNote(), true)
	m.scroll = max(0, min(m.scroll, rows-in.h))
	for i, c := range columns {
		for y := range in.h {
			if y+m.scroll < len(c) {
				in.spans(1+i*(in.w/2), y, in.w/len(columns)-2, c[y+m.scroll])
			}
		}
	}
}

func (m *model) helpNote() spans {
	if m.search != "" {
		return spans{{"/ ", strong(accent)}, {m.search, style{}}, {"  esc closes", fg(dim)}}
	}
	return spans{{"type to search, esc closes", fg(dim)}}
}

// helpGroup is a heading and the lines that hold what is searched for.
func (m *model) helpGroup(title string, lines []keyLine) []spans {
	var out []spans
	for _, l := range lines {
		if m.search != "" && !strings.Contains(strings.ToLower(l.keys+" "+l.text), strings.ToLower(m.search)) {
			continue
		}
		out = append(out, spans{{pad(l.keys, min(helpKeys, m.canvas.w/4)) + " ", strong(accent)}, {l.text, style{}}})
	}
	if len(out) == 0 {
		return nil
	}
	return append(append([]spans{{{title, fg(dim)}}}, out...), nil)
}

// helpSigns explains the signs, the same in every theme.
func (m *model) helpSigns() []spans {
	g := m.theme.glyphs
	signs := func(marks ...mark) spans {
		var ss spans
		for i := 0; i < len(marks); i += 2 {
			ss = append(ss, span{marks[i].sign + " ", fg(marks[i].role)}, span{marks[i+1].sign + "   ", fg(dim)})
		}
		return ss
	}
	word := func(s string) mark { return mark{sign: s} }
	state := func(s metrics.State) []mark { return []mark{g.state(s), word(string(s))} }
	var states, others []mark
	for _, s := range []metrics.State{metrics.StateReady, metrics.StateHalfOpen, metrics.StateCooling} {
		states = append(states, state(s)...)
	}
	for _, s := range []metrics.State{metrics.StateAuth, metrics.StateHeld} {
		others = append(others, state(s)...)
	}
	return []spans{
		{{"Signs", fg(dim)}},
		signs(states...), signs(others...),
		signs(g.phase(metrics.PhaseOK), word("ok"), g.phase(metrics.PhaseFailed), word("failed"),
			g.phase(metrics.PhaseWaiting), word("waiting"), g.phase(metrics.PhaseCanceled), word("client left"), word("~"), word("estimated")),
		signs(g.event(metrics.EventFallback), word("fallback"), g.event(metrics.EventReturn), word("return"),
			g.event(metrics.EventConfig), word("config"), g.event(metrics.EventBudget), word("budget")),
		{{"Filter", fg(dim)}},
		{{filterHint[:strings.Index(filterHint, "   enter")], style{}}},
	}
}

// helpKey searches, scrolls and closes.
func (m *model) helpKey(name string) {
	switch name {
	case "esc", "?", "f1", "enter":
		m.scroll = 0
		m.setMode(browsing)
		return
	case "up":
		m.scroll--
	case "down":
		m.scroll++
	case "pgup":
		m.scroll -= m.canvas.h / 2
	case "pgdown":
		m.scroll += m.canvas.h / 2
	default:
		m.search = edited(m.search, name)
		m.scroll = 0
	}
	m.soil()
}
