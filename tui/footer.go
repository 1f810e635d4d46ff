package tui

func (m *model) paintFooter(r region) {
	switch {
	case m.asking:
		r.spans(1, 0, r.w-1, spans{{m.question(), strong(warn)}})
	case m.hint != "":
		r.spans(1, 0, r.w-1, spans{{m.hint, fg(warn)}})
	default:
		m.paintKeys(r)
	}
}

// paintKeys shows whole entries only; the last, how to quit, always.
func (m *model) paintKeys(r region) {
	lines := footerLines(m.theme.glyphs)
	for len(lines) > 1 && footerWidth(lines) > r.w-1 {
		lines = lines[1:]
	}
	x := 1
	for _, l := range lines {
		x = r.text(x, 0, l.keys, strong(accent))
		x = r.text(x+1, 0, l.text, fg(dim)) + 3
	}
}

func footerWidth(lines []keyLine) int {
	n := 0
	for _, l := range lines {
		n += width(l.keys) + 1 + width(l.text) + 3
	}
	return n - 3
}
