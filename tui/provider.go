package tui

import (
	"fmt"
	"strconv"
	"time"

	"anyproxy/metrics"
)

// chartRoom is the least width of a provider's detail that has its chart at
// the right of the facts.
const chartRoom = 118

func (m *model) paintProviderDetail(r region) {
	i := m.selected(paneProviders)
	if i < 0 {
		m.open(r, paneDetail, "Provider", nil)
		return
	}
	p := &m.shown.Providers[i]
	state := m.theme.glyphs.standing(p)
	in := m.open(r, paneDetail, p.Name, spans{{state.sign + " " + m.stateSentence(p), fg(state.role)}})
	if m.layout.framed {
		in = in.sub(1, 0, in.w-2, in.h)
	}
	if in.w < chartRoom || in.h < 6 {
		m.paintScrolled(in, m.providerLines(i, in.w, in.h))
		return
	}
	facts := in.w * 9 / 20
	m.paintScrolled(in.sub(0, 0, facts, in.h), m.providerLines(i, facts, in.h))
	side := in.sub(facts+2, 0, in.w-facts-2, in.h)
	rows := min(side.h, max(6, side.h/2))
	side.text(axisWidth, 0, "TOK/S", fg(dim))
	m.plotHistory(side.sub(0, 1, side.w, rows-1), m.shown.Providers[i:i+1], i)
	m.paintItsRequests(side.sub(0, rows+1, side.w, side.h-rows-1), p.Name)
}

// stateSentence is the state with what there is to say of it.
func (m *model) stateSentence(p *metrics.ProviderView) string {
	word := stateWord(p, m.shown.At)
	if !p.RetryAt.IsZero() && !p.State.Available() {
		word += ", asked again at " + m.clock(p.RetryAt)
	}
	return word
}

// providerLines is all that is known of a provider.
func (m *model) providerLines(i, w, h int) []spans {
	p := &m.shown.Providers[i]
	lines := []spans{
		fact("endpoint", spans{{p.Endpoint, style{}}}),
		fact("format", spans{{p.Type, style{}}}, figure("tier", strconv.Itoa(p.Tier), style{}),
			figure("weight", strconv.FormatFloat(p.Weight, 'g', 4, 64), style{})),
		fact("tok/s", figure("now", orDash(rate(p.TPS), m.theme.glyphs), strong(plain)), m.sparkline(p, i, max(8, min(40, w-factWidth-18)))),
		fact("ttft", figure("p50", orDash(seconds(p.TTFTp50, 2), m.theme.glyphs), strong(plain)),
			figure("p95", orDash(seconds(p.TTFTp95, 2), m.theme.glyphs), style{})),
		fact("requests", figure("running", count(int64(p.InFlight)), strong(plain)), figure("ok", count(p.OK), fg(good)),
			figure("failed", count(p.Failed), ifAny(p.Failed, fg(bad)))),
		fact("share", append(m.bar(max(8, min(24, w-factWidth-30)), p.Share, seriesRole(i)), span{" " + m.share(i), strong(plain)}, span{" of answers", fg(dim)})),
	}
	lines = append(lines, m.providerChoice(p, w)...)
	lines = append(lines, m.providerMoney(p, w)...)
	if p.LastError != "" {
		when := ""
		if !p.LastErrorAt.IsZero() {
			when = m.clock(p.LastErrorAt) + " "
		}
		lines = append(lines, m.wrapped("last error", when+p.LastError, w, fg(bad))...)
	}
	lines = append(lines, m.targetLines(p, w)...)
	return append(lines, m.itsEvents(p.Name, max(4, h-len(lines)-2))...)
}

// providerChoice is what the choice of upstreams knows of the provider.
func (m *model) providerChoice(p *metrics.ProviderView, w int) []spans {
	if p.Breaker == "" {
		return nil
	}
	var returning spans
	if isReturning(p) {
		returning = spans{{"back at ", fg(dim)}, {percent(p.Returning), fg(info)}, {" of its traffic", fg(dim)}}
	}
	var slow spans
	if p.Slow {
		slow = spans{{"slower than asked for", fg(warn)}}
	}
	lines := []spans{fact("breaker", spans{{string(p.Breaker), fg(breakerRole(p.Breaker))}}, returning, slow)}
	if p.DecodeTPS > 0 {
		lines = append(lines, fact("one stream", figure("tok/s", rate(p.DecodeTPS), strong(plain)), figure("first token", seconds(p.TTFT, 2), style{}),
			figure("with waits", rate(p.Speed), style{})))
	}
	if knowsRoom(p.Breaker, p.Headroom) {
		lines = append(lines, fact("rate limit", append(m.bar(max(8, min(24, w-factWidth-30)), p.Headroom, barRole(p.Headroom)),
			span{" " + percent(p.Headroom), strong(plain)}, span{" left", fg(dim)})))
	}
	return lines
}

// barRole is the colour of a bar that shows what is left.
func barRole(left float64) role {
	if r := roomRole(left); r != plain {
		return r
	}
	return good
}

const (
	colTargetModel = iota
	colTargetTier
	colTargetWeight
	colTargetSpeed
	colTargetTTFT
	colTargetBreaker
	colTargetFactors
)

// targetColumns leave in this order: factors, weight, tier, ttft, breaker.
var targetColumns = []column{
	colTargetModel:   {title: "MODEL", width: 16, flex: 2, most: 34},
	colTargetTier:    {title: "TIER", width: 4, right: true, drop: 5},
	colTargetWeight:  {title: "WEIGHT", width: 6, right: true, drop: 6},
	colTargetSpeed:   {title: "TOK/S", width: 5, right: true, drop: 2},
	colTargetTTFT:    {title: "TTFT", width: 5, right: true, drop: 4},
	colTargetBreaker: {title: "BREAKER", width: 13, drop: 3},
	colTargetFactors: {title: "FACTORS", width: 16, drop: 7, flex: 3},
}

// targetLines are the provider's models as the choice sees them.
func (m *model) targetLines(p *metrics.ProviderView, w int) []spans {
	if len(p.Targets) == 0 {
		return nil
	}
	cols := placeColumns(targetColumns, w)
	lines := []spans{nil, m.row(cols, func(c placed) span { return span{c.title, fg(dim)} }, "")}
	for i := range p.Targets {
		t := &p.Targets[i]
		lines = append(lines, m.row(cols, func(c placed) span {
			switch c.id {
			case colTargetModel:
				return span{t.Model, style{}}
			case colTargetTier:
				return span{strconv.Itoa(t.Tier), style{}}
			case colTargetWeight:
				return span{factorNumber(t.Weight), style{}}
			case colTargetSpeed:
				return span{orDash(rate(t.DecodeTPS), m.theme.glyphs), ifAny(t.DecodeTPS, strong(plain))}
			case colTargetTTFT:
				return span{orDash(seconds(t.TTFT, 2), m.theme.glyphs), ifAny(t.TTFT, style{})}
			case colTargetFactors:
				return span{factorWords(&t.Factors), fg(warn)}
			}
			word := string(t.Breaker)
			if t.RetryAt.After(m.shown.At) {
				word += " " + left(t.RetryAt.Sub(m.shown.At))
			}
			return span{word, fg(breakerRole(t.Breaker))}
		}, ""))
	}
	return lines
}

// providerMoney is what the provider has cost today, where that is known.
func (m *model) providerMoney(p *metrics.ProviderView, w int) []spans {
	if p.Spent == 0 && p.DailyBudget == 0 && p.Unpriced == 0 && !p.Included {
		return nil
	}
	pieces := spans{{orDash(spent(p.Spent, p.Unpriced > 0, p.Included), m.theme.glyphs), strong(plain)}}
	if p.DailyBudget > 0 {
		share := p.Spent / p.DailyBudget
		pieces = append(pieces, span{" of " + dollars(p.DailyBudget) + " ", fg(dim)})
		pieces = append(pieces, m.bar(max(8, min(24, w-factWidth-30)), share, budgetRole(share))...)
		pieces = append(pieces, span{" " + percent(share), style{}})
	}
	switch {
	case p.Unpriced > 0:
		pieces = append(pieces, span{"   " + plural(int(p.Unpriced), "attempt") + " of unknown price", fg(dim)})
	case p.Included:
		pieces = append(pieces, span{"   a subscription pays", fg(dim)})
	}
	return []spans{fact("today", pieces)}
}

// sparkline is the recent speed as spans.
func (m *model) sparkline(p *metrics.ProviderView, i, w int) spans {
	values := make([]float64, w)
	m.recent(p, values)
	ss := make(spans, 0, w+1)
	for k, block := range m.theme.glyphs.blocks(values) {
		colour := seriesRole(i)
		if values[k] <= 0 {
			colour = faint
		}
		ss = append(ss, span{block, fg(colour)})
	}
	return append(ss, span{fmt.Sprintf("  %d min", m.sparkSpan()/60), fg(dim)})
}

// itsEvents are the newest events of a provider.
func (m *model) itsEvents(name string, most int) []spans {
	lines := []spans{nil, {{"EVENTS", fg(dim)}}}
	for i := len(m.events) - 1; i >= 0 && len(lines) < most+2; i-- {
		e := m.events[i]
		e.Provider, e.To, e.Text = m.disguised(e.Provider), m.disguised(e.To), m.disguised(e.Text)
		if e.Provider != name && e.To != name {
			continue
		}
		sign := m.theme.glyphs.event(e.Kind)
		to := ""
		if e.To != "" {
			to = e.Provider + " " + m.theme.glyphs.arrow + " " + e.To + "  "
		}
		lines = append(lines, spans{{m.clock(e.Time) + " ", fg(dim)}, {sign.sign + " " + string(e.Kind) + "  ", fg(sign.role)}, {to, style{}}, {e.Text, fg(dim)}})
	}
	if len(lines) == 2 {
		return nil
	}
	return lines
}

// paintItsRequests lists the newest requests that a provider took part in.
func (m *model) paintItsRequests(in region, name string) {
	if in.h < 2 {
		return
	}
	x := axisWidth
	in.text(x, 0, "ITS REQUESTS", fg(dim))
	cols := placeColumns(requestColumns, in.w-x-3)
	y := 1
	for i := range m.shown.Requests {
		q := &m.shown.Requests[i]
		if y >= in.h {
			return
		}
		if !tookPart(q, name) {
			continue
		}
		m.paintRequest(in.sub(x, y, in.w-x, 1), 2, 0, q, i, cols)
		y++
	}
	if y == 1 {
		in.text(x, 1, "none yet", fg(dim))
	}
}

func tookPart(q *metrics.RequestRecord, name string) bool {
	for i := range q.Decision.Attempts {
		if q.Decision.Attempts[i].Provider == name {
			return true
		}
	}
	return false
}

// stateWord is a provider's state with the time until it is asked again.
func stateWord(p *metrics.ProviderView, at time.Time) string {
	switch p.State {
	case metrics.StateCooling, metrics.StatePartly:
		if !p.RetryAt.IsZero() {
			return string(p.State) + " " + left(p.RetryAt.Sub(at))
		}
	case metrics.StateAuth:
		return "key refused"
	case metrics.StateReady:
		switch {
		case isReturning(p):
			return "return " + percent(p.Returning)
		case p.Slow:
			return "slow"
		}
	}
	return string(p.State)
}
