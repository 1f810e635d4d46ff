package tui

// pane is a part of the screen that is painted on its own.
type pane uint8

const (
	paneHeader pane = iota
	paneTabs
	paneChart
	paneProviders
	paneRequests
	paneEvents
	paneSpend
	paneDetail
	paneReview
	paneLogs
	paneFooter
	paneCount
)

// layout is where the panes stand. An empty rect is a pane left out.
type layout struct {
	framed bool // panes have frames; without, each row is content
	at     [paneCount]rect
}

// arrangement is what a layout depends on.
type arrangement struct {
	w, h      int
	screen    screen
	detail    bool
	zoomed    bool
	focus     pane
	providers int
	spend     bool // there is something to tell about money
}

// The sizes from which panes get frames, and the parts of a framed screen.
const (
	framedWidth   = 80
	framedHeight  = 16
	chartHeight   = 30  // from here on there is a chart
	airyHeight    = 40  // from here on a blank row follows the header
	besideWidth   = 110 // from here on events stand beside the requests
	detailWidth   = 140 // from here on a request's detail stands beside the list
	spendHeight   = 8   // rows of the spend pane
	tabsHeight    = 9   // a screen without frames of at least so many rows has tabs
	maxProviders  = 8   // rows; more scroll
	tableOverhead = 3   // frame and head
)

// newLayout places the panes. It depends on nothing else.
func newLayout(a arrangement) layout {
	if a.w <= 0 || a.h <= 0 {
		return layout{}
	}
	l := layout{framed: a.w >= framedWidth && a.h >= framedHeight}
	body := l.surround(a)
	switch {
	case a.screen == providersScreen && !a.detail:
		l.withProvider(body, a)
	case a.screen == requestsScreen && a.detail && l.framed && a.w >= detailWidth:
		list := a.w * 2 / 5
		l.at[paneRequests] = rect{body.x, body.y, list, body.h}
		l.at[paneDetail] = rect{body.x + list, body.y, body.w - list, body.h}
	case a.detail:
		l.at[paneDetail] = body
	case a.screen != overview:
		l.at[screens[a.screen].main] = body
	case a.zoomed:
		l.at[a.focus] = body
	case l.framed:
		l.overview(body, a)
	default:
		l.compact(body, a)
	}
	return l
}

// surround places header, tabs and footer, and returns what is between them.
// On a low screen the overview has the header alone and the others the tabs:
// what is most worth knowing comes first.
func (l *layout) surround(a arrangement) rect {
	y, bottom := 0, a.h
	if a.h >= 2 {
		bottom--
		l.at[paneFooter] = rect{0, bottom, a.w, 1}
	}
	take := func(p pane) {
		l.at[p] = rect{0, y, a.w, 1}
		y++
	}
	switch {
	case l.framed || a.h >= tabsHeight:
		take(paneHeader)
		if a.h >= airyHeight {
			y++
		}
		take(paneTabs)
	case a.screen == overview || a.h < 3:
		take(paneHeader)
	default:
		take(paneTabs)
	}
	return rect{0, y, a.w, max(0, bottom-y)}
}

func (l *layout) overview(body rect, a arrangement) {
	y, bottom := body.y, body.y+body.h
	take := func(p pane, rows int) {
		l.at[p] = rect{0, y, a.w, rows}
		y += rows
	}
	if a.h >= chartHeight {
		take(paneChart, chartRows(a.h))
	}
	// The lists keep at least four rows.
	rows := min(max(a.providers, 1), maxProviders, max(1, bottom-y-tableOverhead-8))
	take(paneProviders, rows+tableOverhead)

	rest := bottom - y
	if a.w < besideWidth {
		events := max(3, rest*2/5)
		take(paneRequests, rest-events)
		take(paneEvents, events)
		return
	}
	right := a.w * 2 / 5
	l.at[paneRequests] = rect{0, y, a.w - right, rest}
	l.at[paneEvents] = rect{a.w - right, y, right, rest}
	if a.spend && rest >= 2*spendHeight {
		l.at[paneEvents].h -= spendHeight
		l.at[paneSpend] = rect{a.w - right, bottom - spendHeight, right, spendHeight}
	}
}

// chartRows grows with the screen: 8 rows of frame and content at 36, 12 at 45.
func chartRows(h int) int { return min(18, max(7, h*4/9-8)) }

// withProvider shows the table and, where there is room, the selected provider
// in full under it.
func (l *layout) withProvider(body rect, a arrangement) {
	const leastDetail = 9
	rows := max(a.providers, 1)
	if l.framed {
		rows += tableOverhead
	}
	rows = min(rows, body.h)
	if !l.framed || body.h-rows < leastDetail {
		rows = body.h
	}
	l.at[paneProviders] = rect{0, body.y, a.w, rows}
	l.at[paneDetail] = rect{0, body.y + rows, a.w, body.h - rows}
}

// compact has one column of rows without frames.
func (l *layout) compact(body rect, a arrangement) {
	y, bottom := body.y, body.y+body.h
	take := func(p pane, rows int) {
		rows = max(0, min(rows, bottom-y))
		l.at[p] = rect{0, y, a.w, rows}
		y += rows
	}
	news := 1
	if a.h >= 12 {
		news = a.h / 4
	}
	columns := compactColumns(a.w)
	providers := (max(a.providers, 1) + columns - 1) / columns
	take(paneProviders, min(providers, max(0, bottom-y-news)))
	if rest := bottom - y - news; rest > 0 {
		take(paneRequests, rest)
	}
	take(paneEvents, news)
}

// compactColumns is how many providers stand side by side without frames.
func compactColumns(w int) int { return max(1, w/22) }
