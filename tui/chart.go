package tui

import (
	"math"
	"slices"
	"strconv"
	"time"

	"anyproxy/metrics"
)

// axisWidth is the room for the labels of the chart.
const axisWidth = 6

// paintChart stacks the tokens per second of the providers over the history.
func (m *model) paintChart(r region) {
	in := m.open(r, paneChart, "Throughput, tok/s", m.legend(r.w-26))
	if in.h < 2 || in.w < 2*axisWidth {
		return
	}
	m.plotHistory(in, m.shown.Providers, 0)
}

// plotHistory fills a region with the stacked history of providers, of which
// the first has the given index, with its scale and its times.
func (m *model) plotHistory(in region, providers []metrics.ProviderView, first int) {
	plot := in.sub(axisWidth, 0, in.w-axisWidth-1, in.h-1)
	span := m.chartSpan()
	stack := stackHistory(providers, plot.w, span, m.shown.At)
	top, step := scale(stack.peak(), plot.h)
	for y := range plot.h {
		for x := range plot.w {
			m.paintStack(plot, x, y, stack[x], top, first)
		}
	}
	m.paintLevels(in.sub(0, 0, axisWidth-1, plot.h), top, step)
	m.paintTimes(in.sub(axisWidth, in.h-1, plot.w, 1), span)
	if stack.peak() == 0 {
		quiet := "no tokens in the last " + agoLabel(span)
		plot.text(max(0, (plot.w-width(quiet))/2), plot.h/2, quiet, fg(dim))
	}
}

// paintLevels labels the values, no two on rows that touch.
func (m *model) paintLevels(r region, top, step float64) {
	last := r.h + 1
	for v := 0.0; v <= top; v += step {
		y := r.h - 1 - int(math.Round(v/top*float64(r.h)-0.5))
		y = max(0, min(y, r.h-1))
		if last-y < 2 {
			continue
		}
		r.right(r.w, y, levelLabel(int(v)), fg(dim))
		last = y
	}
}

// levelLabel is a whole number within five columns.
func levelLabel(v int) string {
	switch {
	case v < 10_000:
		return strconv.Itoa(v)
	case v < 10_000_000:
		return strconv.Itoa(v/1000) + "k"
	}
	return short(int64(v))
}

// chartSpan is how many seconds the charts show: a program that has just begun
// would else have an empty one.
func (m *model) chartSpan() int {
	up := int(m.shown.At.Sub(m.shown.Started) / time.Second)
	for _, span := range []int{60, 120} {
		if up <= span {
			return span
		}
	}
	return metrics.HistoryLen
}

// paintTimes labels the seconds or minutes before now.
func (m *model) paintTimes(r region, span int) {
	step := 60
	if span < metrics.HistoryLen {
		step = span / 4
	}
	for at := span; at > 0; at -= step {
		x := r.w - at*r.w/span
		if at < span {
			x-- // over its column
		}
		r.text(x, 0, "-"+agoLabel(at), fg(dim))
	}
	r.right(r.w, 0, "now", fg(dim))
}

// agoLabel is a number of seconds, or of minutes where they are whole: 45s, 5m.
func agoLabel(seconds int) string {
	if seconds%60 == 0 {
		return strconv.Itoa(seconds/60) + "m"
	}
	return strconv.Itoa(seconds) + "s"
}

// legend names the providers in their colours, as many as fit.
func (m *model) legend(room int) spans {
	var ss spans
	for i, p := range m.shown.Providers {
		sign := m.theme.glyphs.legend
		if !m.theme.coloured() {
			sign = m.theme.glyphs.shades[i%seriesCount]
		}
		next := append(ss[:len(ss):len(ss)], span{sign, fg(seriesRole(i))}, span{" " + cut(p.Name, 16, m.theme.glyphs.ellipsis), fg(dim)})
		if next.width() > room {
			break
		}
		ss = append(next, span{"  ", fg(dim)})
	}
	return ss[:max(0, len(ss)-1)]
}

// stacked holds per column of the chart the running sums over the providers.
type stacked [][]float64

func (s stacked) peak() float64 {
	peak := 0.0
	for _, sums := range s {
		if n := len(sums); n > 0 {
			peak = max(peak, sums[n-1])
		}
	}
	return peak
}

// stackHistory spreads the last seconds of the history over w columns. A column always
// covers the same seconds of the clock, so that the picture moves on and does
// not flicker.
func stackHistory(providers []metrics.ProviderView, w, seconds int, at time.Time) stacked {
	s := make(stacked, w)
	sums := make([]float64, w*len(providers))
	for x := range s {
		s[x] = sums[x*len(providers) : (x+1)*len(providers)]
	}
	for i, p := range providers {
		column := make([]float64, w)
		spread(column, p.History[max(0, len(p.History)-seconds):], at.Unix()-1)
		for x := range s {
			s[x][i] = column[x]
			if i > 0 {
				s[x][i] += s[x][i-1]
			}
		}
	}
	return s
}

// spread averages one-second samples, of which the last is that of second
// last, over the columns. The columns divide the span of the samples evenly
// and are tied to absolute time.
func spread(columns []float64, samples []float32, last int64) {
	w, n := int64(len(columns)), int64(len(samples))
	if w == 0 || n == 0 {
		return
	}
	newest := last * w / n
	for x := range columns {
		bucket := newest - (w - 1) + int64(x)
		from := max(last-n+1, (bucket*n+w-1)/w)
		to := min(last, ((bucket+1)*n+w-1)/w-1)
		if to < from { // more columns than samples
			from = max(last-n+1, min(last, bucket*n/w))
			to = from
		}
		sum := 0.0
		for t := from; t <= to; t++ {
			sum += float64(samples[n-1-(last-t)])
		}
		columns[x] = sum / float64(to-from+1)
	}
}

// scale returns the value of the chart's upper edge and the step of its
// labels: 1, 2 or 5 times a power of ten, at most one label in two rows, so that
// none of them has to be left out.
func scale(peak float64, rows int) (top, step float64) {
	peak = max(peak, 10)
	const labels = 4
	least := max(1, peak/labels*0.6)
	for power := math.Pow(10, math.Floor(math.Log10(least))); ; power *= 10 {
		for _, f := range []float64{1, 2, 5} {
			if step = power * f; step < least {
				continue
			}
			// A little air above the peak, in steps that keep the picture still.
			grain := step / 4
			top = math.Ceil(peak*1.02/grain) * grain
			if step*float64(rows) >= 2*top || step >= top {
				return top, step
			}
		}
	}
}

// empty is an eighth of a cell above the chart's edge.
const empty = -1

// paintStack paints one cell of the chart: eight eighths, each of one provider
// or empty, of which a cell can show two colours.
func (m *model) paintStack(plot region, x, y int, sums []float64, top float64, first int) {
	var eighths [8]int
	unit := top / float64(plot.h*8)
	base := (plot.h - 1 - y) * 8
	for e := range eighths {
		eighths[e] = empty
		level := (float64(base+e) + 0.5) * unit
		for i, sum := range sums {
			if level < sum {
				eighths[e] = i
				break
			}
		}
	}
	if eighths[0] == empty {
		return
	}
	if !m.theme.coloured() {
		m.paintShade(plot, x, y, eighths, first)
		return
	}
	split, lower, upper := bestSplit(eighths)
	st := fg(seriesRole(first + lower))
	if upper != empty && split < 8 {
		st.bg = seriesRole(first + upper)
	}
	plot.put(x, y, m.theme.glyphs.rise[split], 1, st)
}

// paintShade shows a cell of the chart without colour: the shade of the
// provider that fills most of it, or the level of what is under the edge.
func (m *model) paintShade(plot region, x, y int, eighths [8]int, first int) {
	filled := 0
	for _, e := range eighths {
		if e != empty {
			filled++
		}
	}
	g := m.theme.glyphs
	if filled < 8 && g != &asciiGlyphs {
		plot.put(x, y, g.rise[filled], 1, style{})
		return
	}
	if filled >= 4 {
		plot.put(x, y, g.shades[(first+eighths[3])%seriesCount], 1, style{})
	}
}

// bestSplit finds the two values and the boundary between them that show most
// eighths right. At the upper edge of the chart the boundary is the edge.
func bestSplit(eighths [8]int) (split, lower, upper int) {
	if edge := slices.Index(eighths[:], empty); edge >= 0 {
		lower, _ = majority(eighths[:edge])
		return edge, lower, empty
	}
	best := 0
	for k := 8; k >= 1; k-- {
		low, lowCount := majority(eighths[:k])
		high, highCount := majority(eighths[k:])
		if n := lowCount + highCount; n > best {
			best, split, lower, upper = n, k, low, high
		}
	}
	return split, lower, upper
}

// majority returns the most frequent value of a run whose equal values stand
// together, and how often it occurs.
func majority(run []int) (value, n int) {
	value = empty
	for i := 0; i < len(run); {
		j := i
		for j < len(run) && run[j] == run[i] {
			j++
		}
		if j-i > n {
			value, n = run[i], j-i
		}
		i = j
	}
	return value, n
}
