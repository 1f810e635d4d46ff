package tui

import (
	"fmt"
	"html"
	"strconv"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
)

// The picture of a frame: cell-exact, blocks and box lines drawn as shapes, so
// that no font leaves seams between them.
const (
	cellWidth  = 9
	cellHeight = 19
	fontSize   = 15
	margin     = 18
	titleBar   = 26
)

// paper is the terminal that a picture shows.
type paper struct{ back, text, quiet string }

var (
	darkPaper  = paper{"#10141f", "#d6dbe6", "#8a93a6"}
	lightPaper = paper{"#ffffff", "#1f2430", "#5b6472"}
)

// look is the state of the SGR interpreter.
type look struct {
	*paper
	fg, bg     string
	bold, dark bool
}

// svg renders a frame of w by h cells with true colours or none.
func svg(frame string, w, h int, on *paper) string {
	var b strings.Builder
	width, height := w*cellWidth+2*margin, h*cellHeight+2*margin+titleBar
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="JetBrains Mono,Menlo,Consolas,monospace" font-size="%[3]d" xml:space="preserve">`+"\n", width, height, fontSize)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" rx="10" fill="%s"/>`+"\n", on.back)
	for i, colour := range []string{"#ff5f57", "#febc2e", "#28c840"} {
		fmt.Fprintf(&b, `<circle cx="%d" cy="20" r="6" fill="%s"/>`+"\n", margin+4+20*i, colour)
	}
	fmt.Fprintf(&b, `<text x="%d" y="25" fill="%s" font-size="13" text-anchor="middle">anyproxy</text>`+"\n", width/2, on.quiet)
	for y, line := range strings.Split(frame, "\n") {
		svgLine(&b, line, y, on)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func svgLine(b *strings.Builder, line string, y int, on *paper) {
	st := look{paper: on}
	x := 0
	var run strings.Builder // equal neighbours of plain text
	runX, runStyle := 0, look{}
	flush := func() {
		if s := run.String(); strings.TrimSpace(s) != "" {
			svgText(b, s, runX, y, runStyle)
		}
		run.Reset()
	}
	for len(line) > 0 {
		seq, n, size, _ := ansi.DecodeSequence(line, 0, nil)
		line = line[size:]
		if n == 0 {
			if params, ok := strings.CutPrefix(seq, "\x1b["); ok {
				st = st.apply(strings.TrimSuffix(params, "m"))
			}
			continue
		}
		if st.bg != "" {
			svgRect(b, px(x), py(y), n*cellWidth, cellHeight, st.bg)
		}
		if n > 1 || svgShape(b, seq, x, y, st) {
			flush()
			if n > 1 {
				svgText(b, seq, x, y, st)
			}
		} else {
			if run.Len() == 0 || st != runStyle {
				flush()
				runX, runStyle = x, st
			}
			run.WriteString(seq)
		}
		x += n
	}
	flush()
}

// apply interprets the parameters of one SGR sequence.
func (st look) apply(params string) look {
	p := strings.Split(params, ";")
	colour := func(i int) string {
		n := [3]int{}
		for k := range n {
			n[k], _ = strconv.Atoi(p[i+2+k])
		}
		return fmt.Sprintf("#%02x%02x%02x", n[0], n[1], n[2])
	}
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case "", "0":
			st = look{paper: st.paper}
		case "1":
			st.bold = true
		case "2":
			st.dark = true
		case "7":
			st.fg, st.bg = st.back, st.text
		case "22":
			st.bold, st.dark = false, false
		case "39":
			st.fg = ""
		case "49":
			st.bg = ""
		case "38":
			st.fg = colour(i)
			i += 4
		case "48":
			st.bg = colour(i)
			i += 4
		}
	}
	return st
}

func (st look) colour() string {
	switch {
	case st.fg != "":
		return st.fg
	case st.dark:
		return st.quiet
	}
	return st.text
}

func px(x int) int { return margin + x*cellWidth }
func py(y int) int { return titleBar + margin + y*cellHeight }

func svgRect[N int | float64](b *strings.Builder, x, y, w, h N, colour string) {
	fmt.Fprintf(b, `<rect x="%v" y="%v" width="%v" height="%v" fill="%s" shape-rendering="crispEdges"/>`+"\n", x, y, w, h, colour)
}

func svgText(b *strings.Builder, s string, x, y int, st look) {
	weight := ""
	if st.bold {
		weight = ` font-weight="bold"`
	}
	trimmed := strings.TrimLeft(s, " ")
	x += len(s) - len(trimmed)
	s = strings.TrimRight(trimmed, " ")
	fmt.Fprintf(b, `<text x="%d" y="%d" fill="%s"%s textLength="%d">%s</text>`+"\n",
		px(x), py(y)+14, st.colour(), weight, ansi.StringWidth(s)*cellWidth, html.EscapeString(s))
}

// svgShape draws blocks and lines; false for anything else.
func svgShape(b *strings.Builder, s string, x, y int, st look) bool {
	left, top := float64(px(x)), float64(py(y))
	const w, h = float64(cellWidth), float64(cellHeight)
	colour := st.colour()
	for n := 1; n <= 8; n++ {
		e := float64(n) / 8
		switch s {
		case unicodeGlyphs.rise[n]:
			svgRect(b, left, top+h*(1-e), w, h*e, colour)
			return true
		case unicodeGlyphs.run[n]:
			svgRect(b, left, top, w*e, h, colour)
			return true
		}
	}
	cx, cy := left+w/2, top+h/2
	path := ""
	switch s {
	case "─":
		path = fmt.Sprintf("M%v %vh%v", left, cy, w)
	case "│":
		path = fmt.Sprintf("M%v %vv%v", cx, top, h)
	case "╭":
		path = fmt.Sprintf("M%v %vV%vQ%v %v %v %vH%v", cx, top+h, cy+4, cx, cy, cx+4, cy, left+w)
	case "╮":
		path = fmt.Sprintf("M%v %vH%vQ%v %v %v %vV%v", left, cy, cx-4, cx, cy, cx, cy+4, top+h)
	case "╰":
		path = fmt.Sprintf("M%v %vV%vQ%v %v %v %vH%v", cx, top, cy-4, cx, cy, cx+4, cy, left+w)
	case "╯":
		path = fmt.Sprintf("M%v %vH%vQ%v %v %v %vV%v", left, cy, cx-4, cx, cy, cx, cy-4, top)
	default:
		return false
	}
	fmt.Fprintf(b, `<path d="%s" stroke="%s" fill="none"/>`+"\n", path, colour)
	return true
}

func TestPictureHasEveryCell(t *testing.T) {
	st := newTheme(trueColor, false, false)
	c := newCanvas(12, 2, st)
	on := c.region(rect{w: 12, h: 2})
	on.text(0, 0, "a<b", strong(good))
	on.gauge(4, 0, 2, 0.75, series)
	on.text(0, 1, "日 x", fg(dim))
	got := svg(c.encode(), 12, 2, &darkPaper)
	for _, want := range []string{
		`fill="#5fd7a7" font-weight="bold" textLength="27">a&lt;b<`,
		`<rect x="54" y="44" width="9" height="19" fill="#6ea8fe"`,
		`<rect x="63" y="44" width="9" height="19" fill="#242c3d"`,
		`<rect x="63" y="44" width="4.5" height="19" fill="#6ea8fe"`,
		`textLength="18">日<`,
		`<text x="45" y="77"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
}
