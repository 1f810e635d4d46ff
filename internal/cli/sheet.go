package cli

import (
	"cmp"
	"io"
	"math"
	"strings"

	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/term"
)

// sheet is what tables are printed on.
type sheet struct {
	width  int // of the terminal in cells; 0 = none, then there are no bars
	colour bool
}

// sheetFor is the sheet of an output.
func sheetFor(out io.Writer, getenv func(string) string) (s sheet) {
	if screen := terminalOf(out); screen != nil {
		if width, _, err := term.GetSize(screen.Fd()); err == nil {
			s.width = width
		}
		s.colour = getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
	}
	return s
}

// column is one of a table, its head first and the total last.
type column struct {
	cells []string
	// rank is which columns go first where the terminal is narrow: the highest.
	// 0 never goes.
	rank int
}

// rankKept is up to where a column is worth more than the bar.
const rankKept = 1

func (c *column) width() (w int) {
	for _, cell := range c.cells {
		w = max(w, ansi.StringWidth(cell))
	}
	return w
}

func shortened(c column, width int) column {
	for i, cell := range c.cells {
		c.cells[i] = ansi.Truncate(cell, width, "…")
	}
	return c
}

// line is the ith line: the name to the left, numbers to the right.
func (sheet) line(columns []column, i int) string {
	var b strings.Builder
	for n := range columns {
		cell := columns[n].cells[i]
		pad := strings.Repeat(" ", columns[n].width()-ansi.StringWidth(cell))
		if n == 0 {
			b.WriteString(cell + pad)
		} else {
			b.WriteString("  " + pad + cell)
		}
	}
	return b.String()
}

// barOf is a bar of part of width, in eighths of a cell.
func barOf(part float64, width int) string {
	if !(part > 0) { // also when there is nothing to compare
		return ""
	}
	eighths := max(int(math.Round(part*float64(width)*8)), 1)
	bar := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		bar += string([]rune("▏▎▍▌▋▊▉")[rest-1])
	}
	return bar
}

// wrap breaks a note between words.
func (t sheet) wrap(note string) string {
	return ansi.Wrap(note, cmp.Or(t.width, math.MaxInt32), "")
}

// Colours that every terminal has.
const (
	bold  = "\x1b[1m"
	faint = "\x1b[2m"
	cyan  = "\x1b[36m"
)

func (t sheet) paint(s, colour string) string {
	if !t.colour || s == "" {
		return s
	}
	return colour + s + "\x1b[m"
}
