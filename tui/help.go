package tui

import "anyproxy/metrics"

const helpWidth = 62

// paintHelp lays the keys and the signs over the screen.
func (m *model) paintHelp() {
	lines := m.helpText()
	w, h := min(helpWidth, m.canvas.w), min(len(lines)+2, m.canvas.h)
	box := m.canvas.region(rect{(m.canvas.w - w) / 2, (m.canvas.h - h) / 2, w, h})
	box.clear()
	in := box.frame("Keys", spans{{"esc closes", fg(dim)}}, true)
	for y, line := range lines {
		in.spans(1, y, in.w-1, line)
	}
}

func (m *model) helpText() []spans {
	g := m.theme.glyphs
	var lines []spans
	for _, l := range helpLines(g) {
		pad := "             "[min(12, width(l.keys)):]
		lines = append(lines, spans{{l.keys + pad, strong(accent)}, {l.text, style{}}})
	}
	signs := func(marks ...mark) spans {
		var ss spans
		for i := 0; i < len(marks); i += 2 {
			ss = append(ss, span{marks[i].sign + " ", fg(marks[i].role)}, span{marks[i+1].sign + "   ", fg(dim)})
		}
		return ss
	}
	word := func(s string) mark { return mark{sign: s} }
	return append(lines, nil,
		signs(g.state(metrics.StateReady), word("ready"), g.state(metrics.StateHalfOpen), word("half-open"),
			g.state(metrics.StateCooling), word("cooling"), g.state(metrics.StateOff), word("off")),
		signs(g.phase(metrics.PhaseOK), word("ok"), g.phase(metrics.PhaseFailed), word("failed"),
			g.phase(metrics.PhaseWaiting), word("waiting"), g.phase(metrics.PhaseCanceled), word("client left")),
		signs(g.event(metrics.EventFallback), word("fallback"), g.event(metrics.EventReturn), word("return"),
			g.event(metrics.EventConfig), word("config"), word("~"), word("estimated")),
	)
}
