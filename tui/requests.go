package tui

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"anyproxy/metrics"
)

const (
	colTime = iota
	colModel
	colRoute
	colSpeed
	colIn
	colOut
	colTook
	colCost
)

// requestColumns leave in this order: in, cost, time, tok/s, out, took, model.
var requestColumns = []column{
	colTime:  {title: "TIME", width: 8, drop: 8},
	colModel: {title: "MODEL", width: 12, drop: 1, flex: 1, most: 16},
	colRoute: {title: "ROUTE", width: 22, flex: 5},
	colSpeed: {title: "TOK/S", width: 6, right: true, drop: 5},
	colIn:    {title: "IN", width: 6, right: true, drop: 10},
	colOut:   {title: "OUT", width: 6, right: true, drop: 4},
	colTook:  {title: "TOOK", width: 6, right: true, drop: 3},
	colCost:  {title: "COST", width: 7, right: true, drop: 9},
}

func (m *model) paintRequests(r region) {
	in := m.open(r, paneRequests, "Requests", m.requestsNote())
	if in.empty() {
		return
	}
	if len(m.shown.Requests) == 0 {
		m.paintFirstSteps(in)
		return
	}
	const x = 2
	if m.layout.framed {
		in = in.sub(1, 0, in.w-2, in.h)
	}
	l, n, _ := m.rows(paneRequests)
	if n == 0 {
		m.paintNothing(in, paneRequests, true, "")
		return
	}
	cols := placeColumns(m.requestColumns(), in.w-x)
	m.sortMark(paneRequests, cols)
	y := 0
	if in.h >= 4 {
		in.head(x, 0, cols)
		y = 1
	}
	m.list(paneRequests)
	order := m.listings[paneRequests].order
	live := m.liveRows(order)
	rule := live > 0 && live < n && in.h >= 8
	visible := in.h - y
	if rule {
		visible--
	}
	i := l.window(n, visible)
	ruled := !rule || i > live
	for ; y < in.h && i < n; y++ {
		if i == live && !ruled {
			if y == in.h-1 {
				break // nothing would stand under it
			}
			m.paintRule(in, x, y)
			ruled = true
			continue
		}
		m.paintRequest(in, x, y, &m.shown.Requests[order[i]], i, cols)
		if i == l.index && m.focus == paneRequests {
			m.markRow(in, y)
		}
		i++
	}
}

// requestColumns leaves the column of the money out where nothing costs any.
func (m *model) requestColumns() []column {
	cols := slices.Clone(requestColumns)
	cols[colCost].absent = m.shown.Spend == nil
	return cols
}

// liveRows is how many rows of running requests stand before the finished
// ones; a sorted list mixes them.
func (m *model) liveRows(order []int) int {
	if l := &m.listings[paneRequests]; l.sort != 0 || l.reversed {
		return 0
	}
	for k, i := range order {
		if m.shown.Requests[i].Phase.Done() {
			return k
		}
	}
	return len(order)
}

func (m *model) requestsNote() spans {
	if m.frozen {
		return spans{{fmt.Sprintf("FROZEN %s, %d newer", m.clock(m.shown.At), m.newerRequests()), fg(warn)}}
	}
	if note := m.filterNote(paneRequests); note != nil {
		return note
	}
	s := &m.shown
	note := spans{{fmt.Sprintf("%d live, %s done", s.InFlight, count(s.OK+s.Failed+s.Canceled)), fg(dim)}}
	if by := m.sortedBy(paneRequests); by != "" {
		note = append(note, span{", by " + by, fg(dim)})
	}
	return note
}

func (m *model) paintRule(in region, x, y int) {
	end := in.text(x, y, "done ", fg(faint))
	in.fill(end, y, in.w-end, m.theme.glyphs.rule, fg(edge))
}

func (m *model) paintRequest(in region, x, y int, r *metrics.RequestRecord, i int, cols []placed) {
	g := m.theme.glyphs
	sign := m.requestSign(r, i)
	in.put(0, y, sign.sign, 1, fg(sign.role))
	body, quiet := style{}, fg(dim)
	if r.Phase.Done() {
		body = quiet
	}
	for _, c := range cols {
		switch c.id {
		case colTime:
			in.cell(x, y, c, m.clock(r.Time), quiet)
		case colModel:
			in.cell(x, y, c, shortModel(r.Model), body)
		case colRoute:
			in.spans(x+c.x, y, c.width, m.route(r, c.width))
		case colSpeed:
			in.cell(x, y, c, orDash(rate(r.TPS), g), ifAny(r.TPS, strong(body.fg)))
		case colIn:
			n := r.Tokens.Prompt()
			in.cell(x, y, c, orDash(tokens(n, r.Tokens.PromptEstimated), g), ifAny(n, quiet))
		case colOut:
			in.cell(x, y, c, orDash(tokens(r.Tokens.Output, r.Tokens.Estimated), g), ifAny(r.Tokens.Output, body))
		case colTook:
			in.cell(x, y, c, took(r.Duration, 1), quiet)
		case colCost:
			in.cell(x, y, c, orDash(cost(r.Cost, r.Unpriced, r.Included), g), ifAny(r.Cost, quiet))
		}
	}
}

// requestSign is the sign of the phase; a running answer moves.
func (m *model) requestSign(r *metrics.RequestRecord, i int) mark {
	if r.Phase != metrics.PhaseStreaming {
		return m.theme.glyphs.phase(r.Phase)
	}
	frames := m.theme.glyphs.spinner
	if !m.motion {
		return mark{m.theme.glyphs.dot, accent}
	}
	return mark{frames[(m.step+i)%len(frames)], accent}
}

// tokens is a number of tokens, with a tilde while it is estimated; "" for none.
func tokens(n int64, estimated bool) string {
	if n <= 0 {
		return ""
	}
	return about(short(n), estimated)
}

// about marks a figure that is estimated.
func about(figure string, estimated bool) string {
	if estimated {
		return "~" + figure
	}
	return figure
}

// route tells the attempts of a request within w columns: with how long each
// failure took, else without, else without the first attempts.
func (m *model) route(r *metrics.RequestRecord, w int) spans {
	if len(r.Decision.Attempts) == 0 {
		return m.unrouted(r)
	}
	attempts := r.Decision.Attempts
	long := m.attempts(r, attempts, true)
	if long.width() <= w {
		return long
	}
	ss := m.attempts(r, attempts, false)
	for skipped := 1; skipped < len(attempts) && ss[:len(ss)-1].width()+leastName > w; skipped++ {
		ss = append(spans{{m.theme.glyphs.ellipsis + " " + m.theme.glyphs.arrow + " ", fg(dim)}},
			m.attempts(r, attempts[skipped:], false)...)
	}
	return ss
}

// leastName is how much of the last attempt's name must be left to know it by.
const leastName = 7

func (m *model) unrouted(r *metrics.RequestRecord) spans {
	switch {
	case r.Error != "":
		return spans{{r.Error, fg(bad)}}
	case r.Phase.Done():
		return spans{{m.theme.glyphs.dash, fg(faint)}}
	}
	return spans{{"waiting", fg(dim)}}
}

func (m *model) attempts(r *metrics.RequestRecord, attempts []metrics.AttemptRecord, long bool) spans {
	var ss spans
	for i := range attempts {
		a, last := &attempts[i], i == len(attempts)-1
		if i > 0 {
			ss = append(ss, span{" " + m.theme.glyphs.arrow + " ", fg(dim)})
		}
		switch {
		case a.Outcome == "canceled":
			ss = append(ss, span{a.Provider + " left by the client", fg(dim)})
		case a.Outcome != "" && a.Outcome != "ok":
			ss = append(ss, span{failedAttempt(a, long, last && r.Phase == metrics.PhaseFailed), fg(bad)})
		case r.Phase.Done():
			ss = append(ss, span{a.Provider, fg(dim)})
		default:
			ss = append(ss, span{a.Provider, style{}})
		}
	}
	return ss
}

// failedAttempt is «zai 429 0.3s»; the last failure of a request is named in
// full instead of timed.
func failedAttempt(a *metrics.AttemptRecord, long, final bool) string {
	what := strings.ReplaceAll(a.Outcome, "_", " ")
	if a.Status >= 300 {
		what = strconv.Itoa(a.Status)
		if final {
			what += " " + strings.ReplaceAll(a.Outcome, "_", " ")
		}
	}
	s := a.Provider + " " + what
	if long && !final {
		s += " " + took(max(a.Duration, 50*time.Millisecond), 1)
	}
	return s
}

// paintFirstSteps tells a newcomer how to send the first request.
func (m *model) paintFirstSteps(in region) {
	lines := []spans{
		{{"No request yet. Point a client at this proxy, in another terminal:", fg(dim)}},
		{},
		{{"export ANTHROPIC_BASE_URL=" + clientURL(m.shown.Listen), style{}}},
		{{"export ANTHROPIC_AUTH_TOKEN=...", style{}}, {"   only where the config has apiKeys", fg(dim)}},
	}
	if in.h < len(lines) {
		lines = lines[2:3]
	}
	for y, line := range lines {
		in.spans(1, y, in.w-1, line)
	}
}
