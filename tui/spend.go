package tui

import (
	"cmp"
	"fmt"
	"math"

	"anyproxy/metrics"
)

// dollars is an amount with cents; "" for none.
func dollars(v float64) string {
	switch {
	case v <= 0:
		return ""
	case v < 0.005:
		return "<$0.01"
	case v < 9999.5:
		return fmt.Sprintf("$%.2f", v)
	}
	return "$" + short(int64(v+0.5))
}

// price is what one request costs: with tenths of a cent while it is less than
// a dollar.
func price(v float64) string {
	switch {
	case v > 0 && v < 0.0005:
		return "<$0.001"
	case v > 0 && v < 0.9995:
		return fmt.Sprintf("$%.3f", v)
	}
	return dollars(v)
}

// cost is what a request costs: with a plus where that of a part is not known,
// and in words where a subscription pays.
func cost(usd float64, unpriced, included bool) string {
	switch {
	case unpriced && usd >= 0.0005:
		return price(usd) + "+"
	case unpriced:
		return "?"
	case included && usd == 0:
		return "incl."
	}
	return price(usd)
}

// spent is what several requests have cost, in the same manner. With a plus it
// is no wider than without.
func spent(usd float64, unpriced, included bool) string {
	switch {
	case unpriced && usd >= 100:
		return "$" + short(int64(usd)) + "+"
	case unpriced && usd >= 0.005:
		return dollars(usd) + "+"
	case unpriced || usd == 0:
		return cost(0, unpriced, included)
	}
	return dollars(usd)
}

// budgetRole is the colour of a budget's bar by how much of it is gone.
func budgetRole(share float64) role {
	switch {
	case share >= 1:
		return bad
	case share >= 0.8:
		return warn
	}
	return accent
}

// paintSpend shows the money: today, this month, the pace, the tokens.
func (m *model) paintSpend(r region) {
	s := m.shown.Spend
	if s == nil {
		return
	}
	var note spans
	if !s.ResetsAt.IsZero() {
		note = spans{{"resets in " + span2(s.ResetsAt.Sub(m.shown.At)), fg(dim)}}
	}
	in := m.open(r, paneSpend, "Spend", note)
	if m.layout.framed {
		in = in.sub(1, 0, in.w-2, in.h)
	}
	y := 0
	m.paintBudget(in, &y, "today", s, s.Today, s.Limit)
	if s.Month > 0 {
		m.paintBudget(in, &y, "this month", s, s.Month, s.MonthLimit)
	}
	if in.h > y+3 {
		y++
	}
	if s.PerHour > 0 {
		in.spans(0, y, in.w, m.pace(s, in.w))
		y++
	}
	if s.Input+s.Output > 0 {
		line := spans{{"tokens ", fg(dim)}, {short(s.Input), strong(plain)}, {" in  ", fg(dim)}, {short(s.Output), strong(plain)}, {" out", fg(dim)}}
		if s.Cached > 0 && s.Input > 0 {
			line = append(line, span{"  " + percent(float64(s.Cached)/float64(s.Input)), fg(good)}, span{" from cache", fg(dim)})
		}
		in.spans(0, y, in.w, line)
		y++
	}
	if s.Unpriced > 0 {
		in.spans(0, y, in.w, spans{{"without ", fg(dim)}, {plural(int(s.Unpriced), "attempt"), fg(warn)}, {" of unknown price", fg(dim)}})
	}
}

// pace is how fast money goes, and what comes of it today.
func (m *model) pace(s *metrics.Spend, w int) spans {
	line := spans{{"burn rate ", fg(dim)}, {dollars(s.PerHour) + "/h", strong(plain)}}
	switch {
	case !s.LimitAt.IsZero():
		line = append(line, span{"   limit reached at ", fg(dim)}, span{s.LimitAt.In(m.zone).Format("15:04"), strong(warn)})
	case s.ByMidnight > 0:
		line = append(line, span{"   ", style{}}, span{dollars(s.ByMidnight), strong(plain)}, span{" by midnight", fg(dim)})
	default:
		return line
	}
	if more := (span{" at this pace", fg(dim)}); line.width()+width(more.text) <= w {
		line = append(line, more)
	}
	return line
}

// paintBudget is one line: what for, a bar where there is a limit, the amount.
func (m *model) paintBudget(in region, y *int, label string, s *metrics.Spend, amount, limit float64) {
	const labels, amounts, limits = 11, 10, 15
	in.text(0, *y, label, style{})
	x := labels
	if limit > 0 {
		tail := "limit " + dollars(limit)
		bar := max(0, min(in.w/2, in.w-labels-amounts-limits))
		in.gauge(x, *y, bar, amount/limit, budgetRole(amount/limit))
		x += bar
		in.right(in.w, *y, tail, fg(dim))
	}
	in.right(x+amounts, *y, orDash(spent(amount, s.Unpriced > 0, false), m.theme.glyphs), strong(plain))
	*y++
}

// money is the right end of the header: today's spend and its bar.
func (m *model) money(room int) spans {
	s := m.shown.Spend
	if s == nil || s.Today == 0 && s.Limit == 0 && s.Unpriced == 0 {
		return nil
	}
	line := spans{{"today ", fg(dim)}, {cmp.Or(cost(s.Today, s.Unpriced > 0, false), "$0.00"), strong(plain)}}
	if s.Limit <= 0 {
		return line
	}
	share := s.Today / s.Limit
	role := budgetRole(share)
	tail := span{" " + percent(share), style{fg: role}}
	if role == accent {
		tail.style = style{}
	}
	long := append(line[:2:2], span{" of " + dollars(s.Limit) + " ", fg(dim)})
	for bar := 14; bar >= 6; bar -= 4 {
		if full := append(append(long[:3:3], m.bar(bar, share, role)...), tail); full.width() <= room {
			return full
		}
	}
	if brief := (spans{line[1], tail}); brief.width() <= room {
		return brief
	}
	return nil
}

// bar is a gauge as spans.
func (m *model) bar(w int, share float64, colour role) spans {
	t := m.theme
	eighths := int(math.Round(max(0, min(1, share)) * float64(w*8)))
	var ss spans
	for i := range w {
		n := max(0, min(8, eighths-i*8))
		switch {
		case t.coloured():
			ss = append(ss, span{t.glyphs.run[n], style{fg: colour, bg: track}})
		case n == 0:
			ss = append(ss, span{t.glyphs.empty, fg(faint)})
		default:
			ss = append(ss, span{t.glyphs.run[n], style{}})
		}
	}
	return ss
}
