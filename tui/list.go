package tui

import (
	"slices"
	"strconv"
)

// list is the selection and the scroll position of a pane. The selection is
// kept by identity, so that it stays with its row while rows come and go.
// Without one the first row is selected and the list follows the newest.
type list struct {
	id     string
	index  int // where id was last
	offset int
}

// sync finds the selected row again among n rows.
func (l *list) sync(n int, id func(int) string) {
	if l.id == "" {
		l.index, l.offset = 0, 0
		return
	}
	for i := range n {
		if id(i) == l.id {
			l.index = i
			return
		}
	}
	l.index = max(0, min(l.index, n-1))
	l.id = ""
	if n > 0 && l.index > 0 {
		l.id = id(l.index)
	}
}

// move goes by d rows and stops at the ends.
func (l *list) move(d, n int, id func(int) string) {
	l.sync(n, id)
	l.index = max(0, min(l.index+d, n-1))
	l.id = ""
	if l.index > 0 {
		l.id = id(l.index)
	}
}

// pin keeps the selected row selected, also where it would follow the newest.
func (l *list) pin(n int, id func(int) string) {
	if l.index < n {
		l.id = id(l.index)
	}
}

// window returns the first of the visible rows such that the selected one is among them.
func (l *list) window(n, visible int) int {
	l.offset = min(l.offset, l.index)
	l.offset = max(l.offset, l.index-visible+1)
	l.offset = max(0, min(l.offset, n-visible))
	return l.offset
}

// listing is the rows of a pane: which of them are shown, in which order, and
// where the person is among them.
type listing struct {
	list
	order    []int // indices of the shown rows
	stale    bool  // order has to be found again
	filter   filter
	sort     int // of the pane's sorts; 0 = as they come
	reversed bool
}

// unsettle says that the rows of lists may have changed, of all without
// arguments.
func (m *model) unsettle(panes ...pane) {
	if len(panes) == 0 {
		panes = []pane{paneProviders, paneRequests, paneEvents, paneLogs}
	}
	for _, p := range panes {
		m.listings[p].stale = true
	}
	m.soil(panes...)
	m.soil(paneDetail)
}

// rows returns the selection of a pane, the number of its rows and their identities.
func (m *model) rows(p pane) (*list, int, func(int) string) {
	l := &m.listings[p]
	if l.stale {
		l.order = m.arrange(p, l)
		l.stale = false
	}
	id := func(i int) string { return m.identity(p, l.order[i]) }
	return &l.list, len(l.order), id
}

// list is the selection of a pane, with its row found again.
func (m *model) list(p pane) *list {
	l, n, id := m.rows(p)
	l.sync(n, id)
	return l
}

// selected is the index of the selected row in what the pane shows, -1 for none.
func (m *model) selected(p pane) int {
	l := m.list(p)
	order := m.listings[p].order
	if l.index >= len(order) {
		return -1
	}
	return order[l.index]
}

// arrange finds the rows that the filter lets through, sorted. The one whose
// detail is open stays with them.
func (m *model) arrange(p pane, l *listing) []int {
	order := l.order[:0]
	for i := range m.count(p) {
		if l.filter.passesAll() || l.filter.matches(m.subjectOf(p, i)) || m.detail && p == m.focus && m.identity(p, i) == l.id {
			order = append(order, i)
		}
	}
	if less := m.sorter(p, l.sort); less != nil {
		slices.SortStableFunc(order, less)
	}
	if l.reversed {
		slices.Reverse(order)
	}
	return order
}

// count is the number of rows before the filter.
func (m *model) count(p pane) int {
	switch p {
	case paneProviders:
		return len(m.shown.Providers)
	case paneRequests:
		return len(m.shown.Requests)
	case paneEvents:
		m.folds = m.foldedEvents()
		return len(m.folds)
	case paneLogs:
		m.levels = m.atLevel()
		return len(m.levels)
	}
	return 0
}

// identity names a row for as long as it exists.
func (m *model) identity(p pane, i int) string {
	switch p {
	case paneProviders:
		return m.shown.Providers[i].Name
	case paneRequests:
		return m.shown.Requests[i].ID
	case paneEvents:
		return strconv.FormatUint(m.folds[i].first, 10)
	}
	return strconv.FormatUint(m.lines[m.levels[i]].Seq, 10)
}

func (m *model) move(d int) {
	if m.detail || m.focus == paneReview {
		m.scroll = max(0, m.scroll+d)
		m.soil(paneDetail, paneReview)
		return
	}
	if m.focus == paneLogs {
		d = -d // the newest stands at the bottom
	}
	l, n, id := m.rows(m.focus)
	l.move(d, n, id)
	m.soil(m.focus, paneDetail)
}

// far is more rows than any list has.
const far = 1 << 30

// page is how many rows a page of what is scrolled has.
func (m *model) page() int {
	p := m.focus
	if m.detail {
		p = paneDetail
	}
	return max(1, m.layout.at[p].h-tableOverhead)
}

// another goes to the next or previous item while a detail is open.
func (m *model) another(d int) {
	l, n, id := m.rows(m.focus)
	l.move(d, n, id)
	l.pin(n, id)
	m.scroll = 0
	m.soil(m.focus, paneDetail, paneTabs)
}

// focusOrder is the panes that tab goes round.
func (m *model) focusOrder() []pane {
	if m.screen != overview {
		return nil
	}
	return []pane{paneProviders, paneRequests, paneEvents}
}

// focusNext goes round the panes that are on screen, or round the screens where
// there is one.
func (m *model) focusNext(d int) {
	order := m.focusOrder()
	if order == nil {
		m.show(screen((int(m.screen) + d + int(screenCount)) % int(screenCount)))
		return
	}
	at := max(0, slices.Index(order, m.focus))
	for range order {
		at = (at + d + len(order)) % len(order)
		next := order[at]
		if m.zoomed {
			m.focus = next
			m.relayout()
			return
		}
		if !m.layout.at[next].empty() {
			m.soil(m.focus, next)
			m.focus = next
			return
		}
	}
}
