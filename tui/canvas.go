package tui

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// cell is one column of one row. The right half of a wide character has no text.
type cell struct {
	text  string // one grapheme cluster
	style style
}

// canvas is the screen as cells. Painting marks rows as stale; encode turns
// only those into text again.
type canvas struct {
	w, h  int
	cells []cell
	stale []bool
	lines []string // the encoded rows
	theme *theme
	buf   []byte
}

func newCanvas(w, h int, t *theme) *canvas {
	c := &canvas{w: w, h: h, cells: make([]cell, w*h), stale: make([]bool, h), lines: make([]string, h), theme: t}
	c.region(rect{w: w, h: h}).clear()
	return c
}

// encode returns the whole screen, rows joined by newlines.
func (c *canvas) encode() string {
	for y := range c.h {
		if c.stale[y] {
			c.lines[y] = c.encodeRow(c.cells[y*c.w : (y+1)*c.w])
			c.stale[y] = false
		}
	}
	return strings.Join(c.lines, "\n")
}

// encodeRow writes one style sequence per run of equal style and ends without
// style. Blanks at the end are left out: the renderer erases there.
func (c *canvas) encodeRow(row []cell) string {
	for len(row) > 0 && row[len(row)-1] == (cell{text: " "}) {
		row = row[:len(row)-1]
	}
	c.buf = c.buf[:0]
	var current style
	for _, x := range row {
		if x.style != current && x.text != "" {
			c.buf = append(c.buf, c.theme.sgr(current, x.style)...)
			current = x.style
		}
		c.buf = append(c.buf, x.text...)
	}
	c.buf = append(c.buf, c.theme.sgr(current, style{})...)
	return string(c.buf)
}

// put paints one cluster of width n. What it cuts in half becomes blank.
func (c *canvas) put(x, y int, text string, n int, st style) {
	row := c.cells[y*c.w : (y+1)*c.w]
	if row[x].text == "" && x > 0 {
		row[x-1].text = " "
	}
	if end := x + n; end < c.w && row[end].text == "" {
		row[end].text = " "
	}
	row[x] = cell{text, st}
	for i := x + 1; i < x+n; i++ {
		row[i] = cell{"", st}
	}
	c.stale[y] = true
}

// rect is a part of the screen in cells.
type rect struct{ x, y, w, h int }

func (r rect) empty() bool { return r.w <= 0 || r.h <= 0 }

// region is a rectangle of a canvas with coordinates of its own. Painting
// outside of it does nothing.
type region struct {
	c *canvas
	rect
}

// region returns the part of r that lies on the canvas.
func (c *canvas) region(r rect) region {
	r.w = max(0, min(r.w, c.w-r.x))
	r.h = max(0, min(r.h, c.h-r.y))
	return region{c, r}
}

// sub returns a part of r.
func (r region) sub(x, y, w, h int) region {
	return r.c.region(rect{r.x + x, r.y + y, min(w, r.w-x), min(h, r.h-y)})
}

func (r region) clear() {
	for y := range r.h {
		r.fill(0, y, r.w, " ", style{})
	}
}

// fill repeats a cluster of width 1 over n cells.
func (r region) fill(x, y, n int, text string, st style) {
	for i := x; i < x+n; i++ {
		r.put(i, y, text, 1, st)
	}
}

func (r region) put(x, y int, text string, n int, st style) {
	if x >= 0 && y >= 0 && x+n <= r.w && y < r.h {
		r.c.put(r.x+x, r.y+y, text, n, st)
	}
}

// text paints s from x on and returns the column after it. It does not cut
// with an ellipsis; see cut.
func (r region) text(x, y int, s string, st style) int {
	for len(s) > 0 {
		cluster, n := nextCluster(s)
		s = s[len(cluster):]
		if n == 0 {
			continue // a mark without a base would join the cell before
		}
		if x+n > r.w {
			return x
		}
		r.put(x, y, cluster, n, st)
		x += n
	}
	return x
}

// right paints s so that it ends before column x.
func (r region) right(x, y int, s string, st style) {
	r.text(x-width(s), y, s, st)
}

// spans paints pieces of text in their styles, at most w columns, and returns
// the column after them.
func (r region) spans(x, y, w int, ss spans) int {
	end := min(x+w, r.w)
	for _, s := range ss {
		if x >= end {
			break
		}
		x = r.text(x, y, cut(s.text, end-x, r.c.theme.glyphs.ellipsis), s.style)
	}
	return x
}

// recolour changes the background of a row and keeps its text.
func (r region) recolour(y int, change func(style) style) {
	if y < 0 || y >= r.h {
		return
	}
	at := (r.y+y)*r.c.w + r.x
	for i := range r.c.cells[at : at+r.w] {
		c := &r.c.cells[at+i]
		c.style = change(c.style)
	}
	r.c.stale[r.y+y] = true
}

// span is text of one style.
type span struct {
	text  string
	style style
}

type spans []span

func (ss spans) width() int {
	n := 0
	for _, s := range ss {
		n += width(s.text)
	}
	return n
}

// nextCluster returns the first grapheme cluster of s and its width.
func nextCluster(s string) (string, int) {
	if c := s[0]; c < 0x80 && (len(s) == 1 || s[1] < 0x80) {
		return s[:1], 1
	}
	return ansi.FirstGraphemeCluster(s, ansi.GraphemeWidth)
}

// width is the number of columns that text paints for s.
func width(s string) int {
	n := 0
	for len(s) > 0 {
		cluster, w := nextCluster(s)
		s = s[len(cluster):]
		n += w
	}
	return n
}

// cut shortens s to at most w columns, the last of them the ellipsis.
func cut(s string, w int, ellipsis string) string {
	if w <= 0 {
		return ""
	}
	short, used := 0, 0 // what stays before an ellipsis; columns so far
	for n := 0; n < len(s); {
		cluster, cw := nextCluster(s[n:])
		if used+cw > w {
			return s[:short] + ellipsis
		}
		n, used = n+len(cluster), used+cw
		if used < w {
			short = n
		}
	}
	return s
}
