package tui

// column of a table. Columns are listed as they stand on screen; those with
// the highest drop number leave first when the screen is narrow.
type column struct {
	title string
	brief string // the title where there is no room for it, "" = cut it
	width int    // without the gap
	right bool
	drop  int
	flex  int // share of the spare width
	most  int // limit of a flexible column, 0 = none

	marked bool // the table is sorted by it
	absent bool // there is nothing to put into it
}

// placed is a column on screen.
type placed struct {
	column
	id, x int
}

// placeColumns fits columns into w columns of the screen. They stand two apart if
// all fit so, else one.
func placeColumns(cols []column, w int) []placed {
	keep := make([]placed, 0, len(cols))
	for i, c := range cols {
		if !c.absent {
			keep = append(keep, placed{column: c, id: i})
		}
	}
	gap := 2
	if tableWidth(keep, gap) > w {
		gap = 1
	}
	for tableWidth(keep, gap) > w && len(keep) > 1 {
		keep = dropWorst(keep)
	}
	stretch(keep, w-tableWidth(keep, gap))
	x := 0
	for i := range keep {
		keep[i].x = x
		x += keep[i].width + gap
	}
	return keep
}

func tableWidth(cols []placed, gap int) int {
	n := -gap
	for _, c := range cols {
		n += c.width + gap
	}
	return n
}

func dropWorst(cols []placed) []placed {
	worst := 0
	for i, c := range cols {
		if c.drop > cols[worst].drop {
			worst = i
		}
	}
	return append(cols[:worst], cols[worst+1:]...)
}

// stretch gives the spare width to the flexible columns; what the limits leave
// over goes to the first that has none, else to the first column.
func stretch(cols []placed, spare int) {
	if spare < 0 { // a single column that is too wide
		cols[0].width = max(0, cols[0].width+spare)
		return
	}
	total := 0
	for _, c := range cols {
		total += c.flex
	}
	rest := spare
	for i := range cols {
		c := &cols[i]
		if c.flex == 0 {
			continue
		}
		more := spare * c.flex / total
		if c.most > 0 {
			more = min(more, max(0, c.most-c.width))
		}
		c.width += more
		rest -= more
	}
	for i := range cols {
		if c := &cols[i]; c.flex > 0 && c.most == 0 {
			c.width += rest
			return
		}
	}
	cols[0].width += rest
}

// head paints the titles of the columns. A title may run on over a next
// column that has none; one without a title whose neighbour has left shows its
// brief one.
func (r region) head(x, y int, cols []placed) {
	for i, c := range cols {
		if i+1 < len(cols) && cols[i+1].title == "" && cols[i+1].id == c.id+1 {
			c.width = cols[i+1].x + cols[i+1].width - c.x
		}
		if c.title == "" && i > 0 && cols[i-1].id == c.id-1 {
			continue
		}
		if (width(c.title) > c.width || c.title == "") && c.brief != "" {
			c.title = c.brief
		}
		st := fg(dim)
		if c.marked {
			st = fg(accent)
		}
		r.cell(x, y, c, c.title, st)
	}
}

// cell paints one value into its column.
func (r region) cell(x, y int, c placed, s string, st style) {
	s = cut(s, c.width, r.c.theme.glyphs.ellipsis)
	if c.right {
		r.right(x+c.x+c.width, y, s, st)
		return
	}
	r.text(x+c.x, y, s, st)
}

// frame draws a box with a title and a note at its right, and returns its inside.
func (r region) frame(title string, note spans, focused bool) region {
	if r.w < 4 || r.h < 2 {
		return r
	}
	g := r.c.theme.glyphs
	line, name := fg(edge), strong(plain)
	if focused {
		line = fg(accent)
	}
	for x := 1; x < r.w-1; x++ {
		r.put(x, 0, g.horizontal, 1, line)
		r.put(x, r.h-1, g.horizontal, 1, line)
	}
	for y := 1; y < r.h-1; y++ {
		r.put(0, y, g.vertical, 1, line)
		r.put(r.w-1, y, g.vertical, 1, line)
	}
	r.put(0, 0, g.topLeft, 1, line)
	r.put(r.w-1, 0, g.topRight, 1, line)
	r.put(0, r.h-1, g.bottomLeft, 1, line)
	r.put(r.w-1, r.h-1, g.bottomRight, 1, line)
	end := r.spans(2, 0, r.w-4, spans{{" " + title + " ", name}})
	if w := note.width(); w > 0 && end+w+4 <= r.w {
		x := r.w - 4 - w
		r.text(x, 0, " ", fg(dim))
		r.text(r.spans(x+1, 0, w, note), 0, " ", fg(dim))
	}
	return r.sub(1, 1, r.w-2, r.h-2)
}

// ruled draws a title with a line where there is no room for a frame, and
// returns what is under it. Panes of a few rows do without.
func (r region) ruled(title string, note spans, focused bool) region {
	if r.h < 3 {
		return r
	}
	line, name := fg(faint), fg(dim)
	if focused {
		line, name = fg(accent), strong(accent)
	}
	r.fill(0, 0, r.w, r.c.theme.glyphs.horizontal, line)
	end := r.spans(1, 0, r.w-1, spans{{" " + title + " ", name}})
	if w := note.width(); w > 0 && end+w+4 <= r.w {
		x := r.w - 3 - w
		r.text(x, 0, " ", fg(dim))
		r.text(r.spans(x+1, 0, w, note), 0, " ", fg(dim))
	}
	return r.sub(0, 1, r.w, r.h-1)
}
