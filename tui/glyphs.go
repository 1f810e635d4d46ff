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
	// upDown stands between two arrows in the footer.
	up, down, left, right, upDown              string
	sorted, reversed, crumb, add, remove, edit string
	held, slow, breaker, budget                string
	moved, operator                            string
	// waitBar, streamBar and failBar are the parts of an attempt's bar where
	// colour alone must not tell them apart.
	waitBar, streamBar, failBar string
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
	up: "↑", down: "↓", left: "←", right: "→",
	sorted: "▾", reversed: "▴", crumb: "›", add: "+", remove: "-", edit: "~",
	held: "∅", slow: "▼", breaker: "◆", budget: "$", moved: "↪", operator: "☞",
	waitBar: "▒", streamBar: "█", failBar: "█",
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
	up: "up", down: "down", left: "left", right: "right", upDown: "/",
	sorted: "v", reversed: "^", crumb: ">", add: "+", remove: "-", edit: "~",
	held: "=", slow: "v", breaker: "!", budget: "$", moved: ">", operator: "@",
	waitBar: ".", streamBar: "#", failBar: "x",
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
	case metrics.StateHeld:
		return mark{g.held, warn}
	}
	return mark{g.off, dim}
}

// standing is the sign of a provider: of its state, and of what a ready one is
// held back by.
func (g *glyphs) standing(p *metrics.ProviderView) mark {
	switch {
	case p.State != metrics.StateReady:
		return g.state(p.State)
	case isReturning(p):
		return mark{g.halfOpen, info}
	case p.Slow:
		return mark{g.slow, warn}
	}
	return g.state(p.State)
}

// isReturning reports whether a provider gets only part of its traffic for a
// while. Without a breaker nobody has looked.
func isReturning(p *metrics.ProviderView) bool { return p.Breaker != "" && p.Returning < 0.995 }

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
	case metrics.EventFallback, metrics.EventRetry, metrics.EventConversion:
		return mark{g.fallback, warn}
	case metrics.EventMoved:
		return mark{g.moved, info}
	case metrics.EventCooldown:
		return mark{g.cooling, bad}
	case metrics.EventBreaker:
		return mark{g.breaker, bad}
	case metrics.EventHalfOpen:
		return mark{g.breaker, info}
	case metrics.EventReturn:
		return mark{g.halfOpen, good}
	case metrics.EventSlow:
		return mark{g.slow, warn}
	case metrics.EventConfig:
		return mark{g.config, accent}
	case metrics.EventBudget:
		return mark{g.budget, warn}
	case metrics.EventOperator:
		return mark{g.operator, info}
	}
	return mark{g.failed, bad}
}
