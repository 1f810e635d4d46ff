package tui

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"anyproxy/metrics"
)

const (
	colCandidate = iota
	colTarget
	colTier
	colCandidateWeight
	colCandidateSpeed
	colCandidateTTFT
	colFactors
	colDraw
	colWhy
)

// candidateColumns leave in this order: model, factors, ttft, tok/s, tier,
// weight, W.
var candidateColumns = []column{
	colCandidate:       {title: "DECISION", width: 13, flex: 1, most: 20},
	colTarget:          {title: "MODEL", width: 12, drop: 9, flex: 2, most: 28},
	colTier:            {title: "TIER", width: 4, right: true, drop: 5},
	colCandidateWeight: {title: "WEIGHT", brief: "WGT", width: 4, right: true, drop: 4, flex: 1, most: 6},
	colCandidateSpeed:  {title: "TOK/S", width: 5, right: true, drop: 6},
	colCandidateTTFT:   {title: "TTFT", width: 5, right: true, drop: 7},
	colFactors:         {title: "FACTORS", width: 16, drop: 8, flex: 2, most: 25},
	colDraw:            {title: "W", width: 5, right: true, drop: 3},
	colWhy:             {width: 22, drop: 1, flex: 3},
}

// decisionLines is why the request went where it went: where its session
// belonged, who could serve it, in the order of choice, and who was left out.
func (m *model) decisionLines(d *metrics.Decision, w int) []spans {
	cols := placeColumns(decisionColumns(d), w-2)
	lines := []spans{m.row(cols, func(c placed) span {
		if width(c.title) > c.width {
			return span{c.brief, fg(dim)}
		}
		return span{c.title, fg(dim)}
	}, "  ")}
	for i := range d.Candidates {
		c := &d.Candidates[i]
		tried := attemptOf(d, c)
		body, lead := style{}, "  "
		switch {
		case c.Skipped != "":
			body = fg(dim)
		case tried >= 0:
			lead = m.theme.glyphs.marker + " "
		}
		lines = append(lines, m.row(cols, func(p placed) span { return m.candidateCell(d, c, p.id, tried, body) }, lead))
	}
	if s := bindingWords(&d.Session); s != "" {
		lines = append(lines, spans{{"  session ", fg(dim)}, {s, style{}}})
	}
	return lines
}

// decisionColumns leaves out what no candidate has: speeds and weights in the
// draw that nobody has measured.
func decisionColumns(d *metrics.Decision) []column {
	measured, drawn, factors := false, false, false
	for i := range d.Candidates {
		c := &d.Candidates[i]
		measured = measured || c.TPS > 0
		drawn = drawn || c.W > 0
		factors = factors || factorWords(&c.Factors) != ""
	}
	cols := slices.Clone(candidateColumns)
	for id, there := range map[int]bool{colCandidateSpeed: measured, colCandidateTTFT: measured, colDraw: drawn, colFactors: factors} {
		if !there {
			cols[id].absent = true
		}
	}
	return cols
}

func (m *model) candidateCell(d *metrics.Decision, c *metrics.Candidate, id, tried int, body style) span {
	switch id {
	case colCandidate:
		return span{c.Provider, body}
	case colTarget:
		return span{c.Model, fg(dim)}
	case colTier:
		return span{strconv.Itoa(c.Tier), body}
	case colCandidateWeight:
		return span{factorNumber(c.Weight), body}
	case colCandidateSpeed:
		return span{orDash(rate(c.TPS), m.theme.glyphs), ifAny(c.TPS, body)}
	case colCandidateTTFT:
		return span{orDash(seconds(c.TTFT, 2), m.theme.glyphs), ifAny(c.TTFT, body)}
	case colFactors:
		return span{factorWords(&c.Factors), fg(warn)}
	case colDraw:
		return span{factorNumber(c.W), strong(body.fg)}
	}
	return m.why(d, c, tried)
}

// factorNumber is a weight in at most five columns.
func factorNumber(v float64) string {
	switch {
	case v > 0 && v < 0.005:
		return "~0"
	case v < 1:
		return strconv.FormatFloat(math.Round(v*1000)/1000, 'f', -1, 64)
	case v < 999.5:
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	return short(int64(v + 0.5))
}

// factorWords names the factors that change something: speed 0.43, return 0.25.
func factorWords(f *metrics.Factors) string {
	var words []string
	for _, x := range []struct {
		name string
		v    float64
	}{{"speed", f.Speed}, {"price", f.Price}, {"load", f.Load}, {"return", f.Return}, {"limit", f.Limit}, {"slow", f.Slow}} {
		if x.v != 0 && x.v < 0.995 {
			if x.v >= 0.005 {
				x.v = math.Round(x.v*100) / 100
			}
			words = append(words, x.name+" "+factorNumber(x.v))
		}
	}
	return strings.Join(words, ", ")
}

// bindingWords is what became of the request's session.
func bindingWords(b *metrics.Binding) string {
	switch b.Kind {
	case metrics.BindingKept:
		return "stays with " + b.Provider
	case metrics.BindingMoved:
		return "moved away from " + b.Provider + ", for " + b.Reason
	case metrics.BindingReturned:
		return "goes home to " + b.Provider
	case metrics.BindingNew:
		return "is new"
	}
	return ""
}

// attemptOf is the attempt that went to a candidate, -1 for none.
func attemptOf(d *metrics.Decision, c *metrics.Candidate) int {
	for i := range d.Attempts {
		if d.Attempts[i].Provider == c.Provider && d.Attempts[i].Model == c.Model {
			return i
		}
	}
	return -1
}

// why is what became of a candidate.
func (m *model) why(d *metrics.Decision, c *metrics.Candidate, tried int) span {
	switch {
	case tried < 0 && c.Skipped != "":
		return span{"left out: " + c.Skipped, fg(warn)}
	case tried < 0:
		return span{"stood by", fg(dim)}
	}
	a := &d.Attempts[tried]
	ordinal := "attempt " + strconv.Itoa(tried+1) + ": "
	switch a.Outcome {
	case "":
		return span{ordinal + "running", fg(info)}
	case metrics.OutcomeOK:
		return span{ordinal + "answered", fg(good)}
	case metrics.OutcomeCanceled:
		return span{ordinal + "left by the client", fg(dim)}
	}
	return span{ordinal + failedWords(a), fg(bad)}
}

// row is a line of a table as spans, behind a lead of two columns.
func (m *model) row(cols []placed, value func(placed) span, lead string) spans {
	line := spans{{lead, fg(accent)}}
	x := 0
	for _, c := range cols {
		v := value(c)
		text := cut(v.text, c.width, m.theme.glyphs.ellipsis)
		if c.right {
			text = pad("", c.width-width(text)) + text
		}
		line = append(line, span{pad("", c.x-x), style{}}, span{pad(text, c.width), v.style})
		x = c.x + c.width
	}
	return line
}
