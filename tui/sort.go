package tui

import (
	"cmp"

	"anyproxy/metrics"
)

// order is one way to sort the rows of a pane.
type order[T any] struct {
	name    string // in the note of the pane
	column  int    // whose head has the sign
	compare func(a, b *T) int
}

// The first is no sorting: as the configuration or the time has it. Figures
// begin with the highest.
var providerOrders = []order[metrics.ProviderView]{
	{},
	{"share", colShare, func(a, b *metrics.ProviderView) int { return cmp.Compare(b.Share, a.Share) }},
	{"tok/s", colTPS, func(a, b *metrics.ProviderView) int { return cmp.Compare(b.TPS, a.TPS) }},
	{"ttft", colTTFT, func(a, b *metrics.ProviderView) int { return cmp.Compare(b.TTFTp50, a.TTFTp50) }},
	{"err", colErr, func(a, b *metrics.ProviderView) int { return cmp.Compare(b.Failed, a.Failed) }},
	{"today", colToday, func(a, b *metrics.ProviderView) int { return cmp.Compare(b.Spent, a.Spent) }},
	{"name", colProvider, func(a, b *metrics.ProviderView) int { return cmp.Compare(a.Name, b.Name) }},
}

var requestOrders = []order[metrics.RequestRecord]{
	{},
	{"took", colTook, func(a, b *metrics.RequestRecord) int { return cmp.Compare(b.Duration, a.Duration) }},
	{"tok/s", colSpeed, func(a, b *metrics.RequestRecord) int { return cmp.Compare(b.TPS, a.TPS) }},
	{"out", colOut, func(a, b *metrics.RequestRecord) int { return cmp.Compare(b.Tokens.Output, a.Tokens.Output) }},
	{"cost", colCost, func(a, b *metrics.RequestRecord) int { return cmp.Compare(b.Cost, a.Cost) }},
	{"attempts", colRoute, func(a, b *metrics.RequestRecord) int {
		return cmp.Compare(len(b.Decision.Attempts), len(a.Decision.Attempts))
	}},
}

// sorter compares two rows of a pane, nil for rows that stay as they come.
func (m *model) sorter(p pane, by int) func(i, j int) int {
	switch {
	case by == 0:
		return nil
	case p == paneProviders:
		return func(i, j int) int {
			return providerOrders[by].compare(&m.shown.Providers[i], &m.shown.Providers[j])
		}
	case p == paneRequests:
		return func(i, j int) int { return requestOrders[by].compare(&m.shown.Requests[i], &m.shown.Requests[j]) }
	}
	return nil
}

// sortNext goes to the pane's next order. Those by something that is not there
// are left out.
func (m *model) sortNext() {
	l := &m.listings[m.focus]
	n := 0
	switch m.focus {
	case paneProviders:
		n = len(providerOrders)
	case paneRequests:
		n = len(requestOrders)
	}
	if n == 0 {
		return
	}
	l.sort = (l.sort + 1) % n
	if m.shown.Spend == nil && m.sortedBy(m.focus) == "today" || m.shown.Spend == nil && m.sortedBy(m.focus) == "cost" {
		l.sort = (l.sort + 1) % n
	}
	l.reversed = false
	m.unsettle(m.focus)
}

// sortedBy names the order of a pane, "" for none.
func (m *model) sortedBy(p pane) string {
	by := m.listings[p].sort
	switch p {
	case paneProviders:
		return providerOrders[by].name
	case paneRequests:
		return requestOrders[by].name
	}
	return ""
}

// sortMark marks the head of the column that a pane is sorted by.
func (m *model) sortMark(p pane, cols []placed) {
	l := &m.listings[p]
	if l.sort == 0 {
		return
	}
	column := 0
	switch p {
	case paneProviders:
		column = providerOrders[l.sort].column
	case paneRequests:
		column = requestOrders[l.sort].column
	}
	sign := m.theme.glyphs.sorted
	if l.reversed {
		sign = m.theme.glyphs.reversed
	}
	for i := range cols {
		if cols[i].id == column {
			cols[i].title, cols[i].brief = cols[i].title+sign, cols[i].brief+sign
			if cols[i].brief == sign {
				cols[i].brief = ""
			}
			cols[i].marked = true
		}
	}
}
