package tui

import (
	"fmt"
	"strings"
	"time"

	"anyproxy/metrics"
)

// part is a piece of the header. Where the screen is narrow it first takes its
// short form and then leaves; parts with a higher drop number go first.
type part struct {
	long, short spans
	drop        int
	apart       bool // a separator stands before it
}

func (m *model) paintHeader(r region) {
	right := m.badge()
	if len(right) == 0 {
		if right = m.money(r.w * 2 / 7); len(right) > 0 {
			right = append(right, span{" ", style{}})
		}
	}
	left := m.headerParts()
	gap := 0
	if right.width() > 0 {
		gap = 1
	}
	room := r.w - right.width() - gap
	line := fitParts(left, room, m.theme.glyphs)
	end := r.spans(0, 0, room, line)
	if w := right.width(); w > 0 && end+w+gap <= r.w {
		r.spans(r.w-w, 0, w, right)
	}
}

func (m *model) headerParts() []part {
	s, g := &m.shown, m.theme.glyphs
	logo := style{fg: ink, bg: accent, attr: bold}
	errors := fg(dim)
	if s.Failed > 0 {
		errors = fg(bad)
	}
	saved := fg(dim)
	if s.Saved > 0 {
		saved = fg(warn)
	}
	tps := rate(s.TPS)
	if tps == "" {
		tps = "0"
	} else if s.TPS >= 100 {
		tps = count(int64(s.TPS + 0.5))
	}
	up := span2(s.At.Sub(s.Started).Truncate(time.Second))
	dot := fg(m.health().role)
	parts := []part{
		{long: spans{{" " + g.logo + " anyproxy ", logo}}, short: spans{{" anyproxy ", logo}}, drop: 5},
		{long: spans{{g.dot + " ", dot}, {s.Listen, style{}}}, short: spans{{g.dot + " ", dot}, {port(s.Listen), style{}}}, drop: 6},
		{long: spans{{"up " + up, fg(dim)}}, drop: 9},
		{long: spans{{tps, strong(plain)}, {" tok/s", fg(dim)}}, apart: true},
		{long: spans{{count(int64(s.InFlight)), strong(plain)}, {" in flight", fg(dim)}},
			short: spans{{count(int64(s.InFlight)), strong(plain)}, {" fly", fg(dim)}}, drop: 3, apart: true},
		{long: spans{{count(s.OK), fg(good)}, {" ok", fg(dim)}}, drop: 8, apart: true},
		{long: spans{{count(s.Failed), errors}, {" err", fg(dim)}}, drop: 4},
		{long: spans{{count(s.Saved), saved}, {" saved by fallback", fg(dim)}},
			short: spans{{count(s.Saved), saved}, {" saved", fg(dim)}}, drop: 7},
	}
	return parts
}

// fitParts joins the parts that fit into w columns, spaced out if there is room.
func fitParts(parts []part, w int, g *glyphs) spans {
	if airy := joinParts(parts, g, "  "); airy.width() <= w {
		return airy
	}
	joined := joinParts(parts, g, " ")
	for joined.width() > w && len(parts) > 1 {
		parts = shrinkParts(parts)
		joined = joinParts(parts, g, " ")
	}
	return joined
}

// shrinkParts takes one step: whatever has a short form takes it before
// anything is lost.
func shrinkParts(parts []part) []part {
	worst := 0
	for i, p := range parts {
		w := parts[worst]
		if (p.short != nil) != (w.short != nil) {
			if p.short != nil {
				worst = i
			}
		} else if p.drop > w.drop {
			worst = i
		}
	}
	if p := &parts[worst]; p.short != nil {
		p.long, p.short = p.short, nil
		return parts
	}
	return append(parts[:worst], parts[worst+1:]...)
}

func joinParts(parts []part, g *glyphs, pad string) spans {
	var line spans
	for i, p := range parts {
		switch {
		case i == 0:
		case p.apart:
			line = append(line, span{pad + g.separator + pad, fg(edge)})
		case i == 1:
			line = append(line, span{pad, style{}})
		default:
			line = append(line, span{"  ", style{}})
		}
		line = append(line, p.long...)
	}
	return line
}

// port is the end of an address: :8080.
func port(listen string) string { return listen[max(0, strings.LastIndexByte(listen, ':')):] }

// health sums the providers up in one sign.
func (m *model) health() mark {
	ready := readyCount(m.shown.Providers)
	switch {
	case ready == len(m.shown.Providers):
		return m.theme.glyphs.state(metrics.StateReady)
	case ready > 0:
		return mark{m.theme.glyphs.ready, warn}
	}
	return mark{m.theme.glyphs.ready, bad}
}

// readyCount counts the providers that may be asked.
func readyCount(providers []metrics.ProviderView) int {
	n := 0
	for _, p := range providers {
		if p.State.Available() {
			n++
		}
	}
	return n
}

// badge is what must not be missed: that the screen stands still, that the
// proxy is going away, that nobody can answer, that the log has holes.
func (m *model) badge() spans {
	alarm := style{fg: ink, bg: bad, attr: bold}
	switch s := &m.shown; {
	case m.frozen:
		return spans{{" FROZEN " + m.clock(s.At) + " ", style{fg: ink, bg: warn, attr: bold}}}
	case s.Draining:
		return spans{{fmt.Sprintf(" draining, %d left ", s.InFlight), style{fg: ink, bg: warn, attr: bold}}}
	case len(s.Providers) > 0 && readyCount(s.Providers) == 0:
		text := " all providers out"
		if at := earliestReturn(s.Providers); !at.IsZero() {
			text += ", back in " + left(at.Sub(s.At))
		}
		return spans{{text + " ", alarm}}
	case s.LogDropped > 0:
		return spans{{fmt.Sprintf(" %s log lines lost ", count(s.LogDropped)), alarm}}
	}
	return nil
}

func earliestReturn(providers []metrics.ProviderView) time.Time {
	var at time.Time
	for _, p := range providers {
		if !p.RetryAt.IsZero() && (at.IsZero() || p.RetryAt.Before(at)) {
			at = p.RetryAt
		}
	}
	return at
}
