package tui

import "anyproxy/metrics"

// glyphs are the signs of a theme, each one column wide but for arrow.
type glyphs struct {
	topLeft, topRight, bottomLeft, bottomRight string
	horizontal, vertical                       string
	separator, rule                            string
	ellipsis, dash, arrow, times               string
	logo, dot, marker, bar, legend             string
	ready, halfOpen, cooling, refused, off     string
	ok, failed, waiting, canceled              string
	fallback, config                           string
	up, down                                   string
	// rise are blocks filled from the bottom, 1 to 8 eighths.
	rise [9]string
	// run are blocks filled from the left, 1 to 8 eighths.
	run [9]string
	// empty is the rest of a bar where there is no colour.
	empty string
	// shades tell providers apart where there is no colour.
	shades  [seriesCount]string
	spinner []string
}

var unicodeGlyphs = glyphs{
	topLeft: "╭", topRight: "╮", bottomLeft: "╰", bottomRight: "╯",
	horizontal: "─", vertical: "│", separator: "│", rule: "┄",
	ellipsis: "…", dash: "–", arrow: "→", times: "×",
	logo: "▲", dot: "●", marker: "▸", bar: "▍", legend: "■",
	ready: "●", halfOpen: "◐", cooling: "◌", refused: "✕", off: "∅",
	ok: "✓", failed: "✕", waiting: "…", canceled: "◦",
	fallback: "↷", config: "✎",
	up: "↑", down: "↓",
	rise:   [9]string{" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"},
	run:    [9]string{" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"},
	empty:  "░",
	shades: [seriesCount]string{"█", "▓", "▒", "░", "╳", "·"},
	spinner: []string{
		"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏",
	},
}

var asciiGlyphs = glyphs{
	topLeft: "+", topRight: "+", bottomLeft: "+", bottomRight: "+",
	horizontal: "-", vertical: "|", separator: "|", rule: "-",
	ellipsis: "~", dash: "-", arrow: "->", times: "x",
	logo: "^", dot: "*", marker: ">", bar: "|", legend: "#",
	ready: "*", halfOpen: "~", cooling: "o", refused: "x", off: "=",
	ok: "+", failed: "x", waiting: ".", canceled: "-",
	fallback: ">", config: "%",
	up: "up", down: "down",
	rise:    [9]string{" ", "_", "_", ".", "-", "=", "+", "*", "#"},
	run:     [9]string{".", ".", ".", ".", "#", "#", "#", "#", "#"},
	empty:   ".",
	shades:  [seriesCount]string{"#", "=", "+", ":", "%", "."},
	spinner: []string{"|", "/", "-", `\`},
}

// mark is a sign in its colour.
type mark struct {
	sign string
	role role
}

func (g *glyphs) state(s metrics.State) mark {
	switch s {
	case metrics.StateReady:
		return mark{g.ready, good}
	case metrics.StatePartly:
		return mark{g.halfOpen, warn}
	case metrics.StateHalfOpen:
		return mark{g.halfOpen, info}
	case metrics.StateCooling:
		return mark{g.cooling, bad}
	case metrics.StateAuth:
		return mark{g.refused, bad}
	}
	return mark{g.off, dim}
}

func (g *glyphs) phase(p metrics.Phase) mark {
	switch p {
	case metrics.PhaseOK:
		return mark{g.ok, good}
	case metrics.PhaseFailed:
		return mark{g.failed, bad}
	case metrics.PhaseCanceled:
		return mark{g.canceled, dim}
	}
	return mark{g.waiting, warn}
}

func (g *glyphs) event(k metrics.EventKind) mark {
	switch k {
	case metrics.EventFallback:
		return mark{g.fallback, warn}
	case metrics.EventCooldown:
		return mark{g.cooling, bad}
	case metrics.EventReturn:
		return mark{g.halfOpen, good}
	case metrics.EventConfig:
		return mark{g.config, accent}
	}
	return mark{g.failed, bad}
}
