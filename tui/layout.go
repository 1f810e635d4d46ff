package tui

// pane is a part of the screen that is painted on its own.
type pane uint8

const (
	paneHeader pane = iota
	paneChart
	paneProviders
	paneRequests
	paneEvents
	paneFooter
	paneCount
)

// layout is where the panes stand. An empty rect is a pane left out.
type layout struct {
	framed bool // panes have frames; without, each row is content
	at     [paneCount]rect
}

// The sizes from which panes get frames, and the parts of a framed screen.
const (
	framedWidth   = 80
	framedHeight  = 16
	chartHeight   = 30  // from here on there is a chart
	airyHeight    = 40  // from here on a blank row follows the header
	besideWidth   = 110 // from here on events stand beside the requests
	maxProviders  = 8   // rows; more scroll
	tableOverhead = 3   // frame and head
)

// newLayout places the panes for n providers on w columns and h rows.
func newLayout(w, h, n int) layout {
	if w >= framedWidth && h >= framedHeight {
		return framedLayout(w, h, n)
	}
	return compactLayout(w, h, n)
}

func framedLayout(w, h, n int) layout {
	l := layout{framed: true}
	y, bottom := 1, h-1
	if h >= airyHeight {
		y++
	}
	l.at[paneHeader] = rect{0, 0, w, 1}
	l.at[paneFooter] = rect{0, bottom, w, 1}
	take := func(p pane, rows int) {
		l.at[p] = rect{0, y, w, rows}
		y += rows
	}
	if h >= chartHeight {
		take(paneChart, chartRows(h))
	}
	// The lists keep at least four rows.
	rows := min(max(n, 1), maxProviders, max(1, bottom-y-tableOverhead-8))
	take(paneProviders, rows+tableOverhead)

	rest := bottom - y
	if w >= besideWidth {
		right := w * 2 / 5
		l.at[paneRequests] = rect{0, y, w - right, rest}
		l.at[paneEvents] = rect{w - right, y, right, rest}
		return l
	}
	events := max(3, rest*2/5)
	take(paneRequests, rest-events)
	take(paneEvents, events)
	return l
}

// chartRows grows with the screen: 8 rows of frame and content at 36, 12 at 45.
func chartRows(h int) int { return min(18, max(7, h*4/9-8)) }

// compactLayout has one column of rows without frames. What is most worth
// knowing comes first: a single row is the header.
func compactLayout(w, h, n int) layout {
	var l layout
	if h <= 0 || w <= 0 {
		return l
	}
	l.at[paneHeader] = rect{0, 0, w, 1}
	y, bottom := 1, h
	if h >= 2 {
		bottom--
		l.at[paneFooter] = rect{0, bottom, w, 1}
	}
	take := func(p pane, rows int) {
		rows = min(rows, bottom-y)
		l.at[p] = rect{0, y, w, max(0, rows)}
		y += max(0, rows)
	}
	news := 1
	if h >= 12 {
		news = h / 4
	}
	providers := (max(n, 1) + compactColumns(w) - 1) / compactColumns(w)
	take(paneProviders, min(providers, max(0, bottom-y-news)))
	if rest := bottom - y - news; rest > 0 {
		take(paneRequests, rest)
	}
	take(paneEvents, news)
	return l
}

// compactColumns is how many providers stand side by side without frames.
func compactColumns(w int) int { return max(1, w/22) }
