package tui

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"anyproxy/metrics"
)

const (
	colProvider = iota
	colState
	colTPS
	colSpark
	colTTFT
	colP95
	colFly
	colOK
	colErr
	colBreaker
	colRoom
	colWeight
	colShare
	colPercent
	colToday
)

// providerColumns leave in this order: room, breaker, weight, p95, ok, the bar of the share,
// spark, ttft, fly, err, today, share.
var providerColumns = []column{
	colProvider: {title: "PROVIDER", width: 12, flex: 1, most: 24},
	colState:    {title: "STATE", width: 14, drop: 1},
	colTPS:      {title: "TOK/S", width: 6, right: true, drop: 2},
	colSpark:    {title: "LAST 2 MIN", width: 10, drop: 7, flex: 5},
	colTTFT:     {title: "TTFT p50", brief: "TTFT", width: 5, right: true, drop: 6, flex: 1, most: 8},
	colP95:      {title: "p95", width: 5, right: true, drop: 10},
	colFly:      {title: "FLY", width: 3, right: true, drop: 6},
	colOK:       {title: "OK", width: 6, right: true, drop: 9},
	colErr:      {title: "ERR", width: 4, right: true, drop: 5},
	colBreaker:  {title: "BREAKER", width: 9, drop: 12},
	colRoom:     {title: "ROOM", width: 4, right: true, drop: 13},
	colWeight:   {title: "WEIGHT", brief: "W", width: 5, right: true, drop: 11, flex: 1, most: 6},
	colShare:    {title: "SHARE OF TRAFFIC", brief: "SHARE", width: 9, drop: 8, flex: 1, most: 14},
	colPercent:  {brief: "SHARE", width: 5, right: true, drop: 3},
	colToday:    {title: "TODAY", width: 7, right: true, drop: 5},
}

// sparkSpan is how many seconds the column LAST 2 MIN shows, fewer of a program
// that has just begun.
func (m *model) sparkSpan() int { return min(120, m.chartSpan()) }

func (m *model) paintProviders(r region) {
	if !m.layout.framed {
		m.paintCompactProviders(r)
		return
	}
	in := m.open(r, paneProviders, "Providers", m.providersNote())
	l, n, _ := m.rows(paneProviders)
	if n == 0 {
		m.paintNothing(in.sub(1, 0, in.w-1, in.h), paneProviders, len(m.shown.Providers) > 0, "no providers")
		return
	}
	cols := placeColumns(m.providerColumns(), in.w-4)
	m.sortMark(paneProviders, cols)
	in.head(3, 0, cols)
	m.list(paneProviders)
	order := m.listings[paneProviders].order
	first := l.window(n, in.h-1)
	for y := 1; y < in.h && first < n; y++ {
		m.paintProvider(in, y, order[first], cols)
		if first == l.index && m.focus == paneProviders {
			m.markRow(in, y)
		}
		first++
	}
}

// recent spreads a provider's last minutes over values.
func (m *model) recent(p *metrics.ProviderView, values []float64) {
	spread(values, p.History[max(0, len(p.History)-m.sparkSpan()):], m.shown.At.Unix()-1)
}

// providerColumns leaves out what no provider has: money where nothing costs
// any, a breaker or the room in a rate limit where none is known.
func (m *model) providerColumns() []column {
	cols := slices.Clone(providerColumns)
	cols[colSpark].title = fmt.Sprintf("LAST %d MIN", m.sparkSpan()/60)
	cols[colToday].absent = m.shown.Spend == nil
	cols[colBreaker].absent, cols[colRoom].absent = true, true
	for i := range m.shown.Providers {
		p := &m.shown.Providers[i]
		cols[colBreaker].absent = cols[colBreaker].absent && p.Breaker == ""
		cols[colRoom].absent = cols[colRoom].absent && !knowsRoom(p.Breaker, p.Headroom)
	}
	return cols
}

// knowsRoom reports whether a provider has told how much of its rate limit is
// left; the figure stands at 1 where it has not, and at 0 without a breaker
// where nobody has looked.
func knowsRoom(b metrics.Breaker, headroom float64) bool { return b != "" && headroom < 1 }

func (m *model) providersNote() spans {
	if note := m.filterNote(paneProviders); note != nil {
		return note
	}
	providers := m.shown.Providers
	note := spans{{fmt.Sprintf("%d of %d ready", readyCount(providers), len(providers)), fg(dim)}}
	if by := m.sortedBy(paneProviders); by != "" {
		note = append(note, span{", by " + by, fg(dim)})
	}
	return note
}

func (m *model) paintProvider(in region, y, i int, cols []placed) {
	p, g := &m.shown.Providers[i], m.theme.glyphs
	in.put(1, y, m.seriesSign(i), 1, fg(seriesRole(i)))
	name := strong(plain)
	if p.State != metrics.StateReady && p.State != metrics.StateHalfOpen {
		name = fg(dim)
	}
	number := func(c placed, n int64, st style) {
		if n == 0 {
			in.cell(3, y, c, g.dash, fg(faint))
			return
		}
		in.cell(3, y, c, strconv.FormatInt(n, 10), st)
	}
	for _, c := range cols {
		switch c.id {
		case colProvider:
			in.cell(3, y, c, p.Name, name)
		case colState:
			state := g.standing(p)
			in.cell(3, y, c, state.sign+" "+stateWord(p, m.shown.At), fg(state.role))
		case colTPS:
			in.cell(3, y, c, orDash(rate(p.TPS), g), ifAny(p.TPS, strong(plain)))
		case colSpark:
			values := make([]float64, c.width)
			m.recent(p, values)
			in.spark(3+c.x, y, values, seriesRole(i))
		case colTTFT:
			in.cell(3, y, c, orDash(seconds(p.TTFTp50, 2), g), ifAny(p.TTFTp50, style{}))
		case colP95:
			in.cell(3, y, c, orDash(seconds(p.TTFTp95, 1), g), fg(dim))
		case colFly:
			number(c, int64(p.InFlight), style{})
		case colOK:
			number(c, p.OK, style{})
		case colErr:
			number(c, p.Failed, fg(warn))
		case colBreaker:
			in.cell(3, y, c, string(p.Breaker), fg(breakerRole(p.Breaker)))
		case colRoom:
			if knowsRoom(p.Breaker, p.Headroom) {
				in.cell(3, y, c, percent(p.Headroom), fg(roomRole(p.Headroom)))
			}
		case colWeight:
			in.cell(3, y, c, strconv.FormatFloat(p.Weight, 'g', 4, 64), style{})
		case colShare:
			in.gauge(3+c.x, y, c.width, p.Share, seriesRole(i))
		case colPercent:
			in.cell(3, y, c, m.share(i), style{})
		case colToday:
			in.cell(3, y, c, orDash(spent(p.Spent, p.Unpriced > 0, p.Included), g), ifAny(p.Spent, style{}))
		}
	}
}

// paintCompactProviders writes several providers per row: sign, speed, share.
func (m *model) paintCompactProviders(r region) {
	g := m.theme.glyphs
	columns := compactColumns(r.w)
	if m.screen == providersScreen {
		columns = 1
	}
	w := r.w / columns
	l, n, _ := m.rows(paneProviders)
	if n == 0 {
		m.paintNothing(r, paneProviders, len(m.shown.Providers) > 0, "no providers")
		return
	}
	m.list(paneProviders)
	order := m.listings[paneProviders].order
	rows := (n + columns - 1) / columns
	start := max(0, min(l.index/columns-r.h+1, rows-r.h)) * columns
	for k := range r.h * columns {
		if start+k >= n {
			return
		}
		i := order[start+k]
		p := &m.shown.Providers[i]
		box := r.sub(k%columns*w, k/columns, w-1, 1)
		state := g.standing(p)
		box.put(0, 0, m.seriesSign(i), 1, fg(seriesRole(i)))
		rest := spans{{state.sign + " ", fg(state.role)}}
		switch {
		case p.State == metrics.StateCooling && !p.RetryAt.IsZero():
			rest = append(rest, span{left(p.RetryAt.Sub(m.shown.At)), fg(state.role)})
		case p.State.Available():
			rest = append(rest, span{orDash(rate(p.TPS), g), ifAny(p.TPS, strong(plain))}, span{" " + m.share(i), fg(dim)})
		default:
			rest = append(rest, span{stateWord(p, m.shown.At), fg(state.role)})
		}
		name := max(4, box.w-2-12)
		box.text(2, 0, cut(p.Name, name-1, g.ellipsis), style{})
		box.spans(2+name, 0, box.w-2-name, rest)
		if start+k == l.index && m.focus == paneProviders {
			m.markRow(box, 0)
		}
	}
}

// share is a provider's part of the traffic, such that all of them make 100%.
func (m *model) share(i int) string {
	shares := make([]float64, len(m.shown.Providers))
	for k := range shares {
		shares[k] = m.shown.Providers[k].Share
	}
	return strconv.Itoa(percents(shares)[i]) + "%"
}

// seriesSign is what stands before a provider's name.
func (m *model) seriesSign(i int) string {
	if m.theme.coloured() {
		return m.theme.glyphs.bar
	}
	return m.theme.glyphs.shades[i%seriesCount]
}

// seconds is a duration as took writes it, "" for none.
func seconds(d time.Duration, decimals int) string {
	if d <= 0 {
		return ""
	}
	return took(d, decimals)
}

func orDash(s string, g *glyphs) string {
	if s == "" {
		return g.dash
	}
	return s
}

// ifAny is the style of a figure, faint where there is none.
func ifAny[N float64 | int64 | time.Duration](n N, st style) style {
	if n <= 0 {
		return fg(faint)
	}
	return st
}

func breakerRole(b metrics.Breaker) role {
	switch b {
	case metrics.BreakerOpen:
		return bad
	case metrics.BreakerHalfOpen:
		return info
	}
	return dim
}

// roomRole is the colour of what is left of a rate limit.
func roomRole(left float64) role {
	switch {
	case left <= 0.05:
		return bad
	case left <= 0.2:
		return warn
	}
	return plain
}
