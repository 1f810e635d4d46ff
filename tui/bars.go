package tui

import "math"

// blocks are values as blocks of one row, scaled to the highest of them.
func (g *glyphs) blocks(values []float64) []string {
	top := 0.0
	for _, v := range values {
		top = max(top, v)
	}
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = g.rise[1]
		if v > 0 {
			out[i] = g.rise[max(1, int(math.Ceil(v/top*8)))]
		}
	}
	return out
}

// spark draws values as blocks of one row.
func (r region) spark(x, y int, values []float64, colour role) {
	for i, block := range r.c.theme.glyphs.blocks(values) {
		st := fg(colour)
		if values[i] <= 0 {
			st = fg(faint)
		}
		r.put(x+i, y, block, 1, st)
	}
}

// gauge fills a share of w columns, to an eighth of a column.
func (r region) gauge(x, y, w int, share float64, colour role) {
	t := r.c.theme
	eighths := int(math.Round(max(0, min(1, share)) * float64(w*8)))
	if share > 0 {
		eighths = max(1, eighths)
	}
	for i := range w {
		n := max(0, min(8, eighths-i*8))
		switch {
		case t.coloured():
			r.put(x+i, y, t.glyphs.run[n], 1, style{fg: colour, bg: track})
		case n == 0:
			r.put(x+i, y, t.glyphs.empty, 1, fg(faint))
		default:
			r.put(x+i, y, t.glyphs.run[n], 1, style{})
		}
	}
}
