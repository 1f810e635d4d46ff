package cli

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"anyproxy/proxy/replay"

	"github.com/charmbracelet/x/ansi"
)

// mostModels is how many models are told of.
const mostModels = 8

// replayText is a Report for a person.
type replayText struct {
	sheet
	report *replay.Report
	config string // its name
}

func (t replayText) String() string {
	var b strings.Builder
	r := t.report
	head := fmt.Sprintf("%s, %s to %s, by %s", count(int(r.Happened.Requests), "request"), minute(r.From), minute(r.To), shown(t.config))
	b.WriteString(t.paint(t.wrap(head), bold) + "\n\n")
	t.table(&b, t.sums())
	b.WriteString("\n")
	t.shares(&b)
	if columns := t.models(); len(columns[0].cells) > 1 {
		b.WriteString("\n")
		t.table(&b, columns)
	}
	b.WriteString("\n")
	for _, note := range t.notes() {
		b.WriteString(t.paint(t.wrap(note), faint) + "\n")
	}
	return b.String()
}

func minute(at time.Time) string { return at.Format("2006-01-02 15:04") }

// table prints columns, the first line as their head. The first column is
// shortened where they do not fit.
func (t replayText) table(b *strings.Builder, columns []column) {
	if t.width > 0 {
		spare := t.width + 2
		for i := range columns {
			spare -= columns[i].width() + 2
		}
		if spare < 0 {
			columns[0] = shortened(columns[0], max(columns[0].width()+spare, shortestName))
		}
	}
	for i := range columns[0].cells {
		line := strings.TrimRight(t.line(columns, i), " ")
		if t.width > 0 {
			line = ansi.Truncate(line, t.width, "…")
		}
		if i == 0 {
			line = t.paint(line, faint)
		}
		b.WriteString(line + "\n")
	}
}

// sums are what all comes to, side by side. What a log cannot tell is marked
// with ≈.
func (t replayText) sums() []column {
	columns := make([]column, 3)
	add := func(cells ...string) {
		for i := range columns {
			columns[i].cells = append(columns[i].cells, cells[i])
		}
	}
	was, would := &t.report.Happened, &t.report.Would
	number := func(name string, a, b int64) { add(name, strconv.FormatInt(a, 10), strconv.FormatInt(b, 10)) }
	span := func(name string, a, b float64) { add(name, inSeconds(a), about(inSeconds(b))) }
	add("", "happened", "would have")
	number("answered", was.Answered, would.Answered)
	number("failed", was.Failed, would.Failed)
	if was.Canceled > 0 {
		number("left by the client", was.Canceled, would.Canceled)
	}
	number("fallbacks", was.Fallbacks, would.Fallbacks)
	number("session moves", was.Moves, would.Moves)
	add("cost", costOfSums(was), about(costOfSums(would)))
	add("prompt from caches", percent(was.Cached, was.Input), about(percent(would.Cached, would.Input)))
	span("first token, median", was.TTFT.P50, would.TTFT.P50)
	span("first token, 95 %", was.TTFT.P95, would.TTFT.P95)
	span("duration, median", was.Duration.P50, would.Duration.P50)
	span("duration, 95 %", was.Duration.P95, would.Duration.P95)
	return columns
}

// about marks an estimate.
func about(s string) string {
	if s == "–" || s == "?" || s == "incl." {
		return s
	}
	return "≈ " + s
}

func costOfSums(s *replay.Sums) string { return knownCost(s.Cost, s.Unpriced, s.Included) }

func percent(part, of int64) string {
	if of == 0 {
		return "–"
	}
	return strconv.Itoa(int(math.Round(100*float64(part)/float64(of)))) + "%"
}

func inSeconds(s float64) string {
	switch {
	case s == 0:
		return "–"
	case s < 10:
		return fmt.Sprintf("%.2f s", s)
	default:
		return fmt.Sprintf("%.1f s", s)
	}
}

// shares prints who answers how much, with bars on a terminal.
func (t replayText) shares(b *strings.Builder) {
	was, would := &t.report.Happened, &t.report.Would
	columns := []column{{cells: []string{"answered by"}}, {cells: []string{"happened"}}, {cells: []string{"would have"}}}
	for _, s := range t.report.Upstreams {
		columns[0].cells = append(columns[0].cells, t.upstream(&s))
		columns[1].cells = append(columns[1].cells, percent(s.Happened, was.Answered))
		columns[2].cells = append(columns[2].cells, percent(s.Would, would.Answered))
	}
	bar := 0
	if t.width > 0 {
		spare := t.width - columns[1].width() - columns[2].width() - 4
		if least := 2 * (1 + shortestBar); spare-columns[0].width() < least && columns[0].width() > goodName {
			columns[0] = shortened(columns[0], max(spare-least, goodName))
		}
		if bar = min((spare-columns[0].width())/2-1, longestBar); bar < shortestBar {
			t.table(b, columns)
			return
		}
	}
	if bar == 0 {
		t.table(b, columns)
		return
	}
	for i := range columns[0].cells {
		line := t.line(columns[:2], i)
		if i == 0 {
			line += strings.Repeat(" ", bar+1) + t.line([]column{{cells: []string{""}}, columns[2]}, 0)
			b.WriteString(t.paint(line, faint) + "\n")
			continue
		}
		s := &t.report.Upstreams[i-1]
		first := barOf(float64(s.Happened)/float64(max(was.Answered, 1)), bar)
		second := barOf(float64(s.Would)/float64(max(would.Answered, 1)), bar)
		line += " " + t.paint(first, faint) + strings.Repeat(" ", bar-ansi.StringWidth(first)) + t.line([]column{{cells: make([]string, i+1)}, columns[2]}, i)
		b.WriteString(strings.TrimRight(line+" "+t.paint(second, cyan), " ") + "\n")
	}
}

// upstream is one's name, with a star where the log knows nothing of it.
func (t replayText) upstream(s *replay.Shares) string {
	name := shown(s.String())
	if s.Assumed {
		name += " *"
	}
	return name
}

// models are those where most changes.
func (t replayText) models() []column {
	columns := []column{{cells: []string{"asked for"}}, {cells: []string{"requests"}}, {cells: []string{"elsewhere"}}, {cells: []string{"most changed"}}}
	for _, m := range t.changed() {
		columns[0].cells = append(columns[0].cells, shown(m.Asked))
		columns[1].cells = append(columns[1].cells, strconv.FormatInt(m.Requests, 10))
		columns[2].cells = append(columns[2].cells, strconv.FormatInt(m.Elsewhere, 10))
		columns[3].cells = append(columns[3].cells, t.change(&m))
	}
	width := columns[3].width()
	for i, cell := range columns[3].cells { // words stand to the left
		columns[3].cells[i] = cell + strings.Repeat(" ", width-ansi.StringWidth(cell))
	}
	return columns
}

func (t replayText) changed() (models []replay.Model) {
	for _, m := range t.report.Models {
		if m.Elsewhere > 0 && len(models) < mostModels {
			models = append(models, m)
		}
	}
	return models
}

// change is which provider gains most, and which loses most.
func (t replayText) change(m *replay.Model) string {
	var most, least *replay.Shares
	for i := range m.Upstreams {
		s := &m.Upstreams[i]
		d := s.Would - s.Happened
		if d > 0 && (most == nil || d > most.Would-most.Happened) {
			most = s
		}
		if d < 0 && (least == nil || d < least.Would-least.Happened) {
			least = s
		}
	}
	var parts []string
	for _, s := range []*replay.Shares{most, least} {
		if s != nil {
			parts = append(parts, fmt.Sprintf("%s %+d", shown(s.Provider), s.Would-s.Happened))
		}
	}
	if len(parts) == 0 {
		return "others answer, as many each"
	}
	return strings.Join(parts, ", ")
}

// notes say what the numbers leave open.
func (t replayText) notes() (notes []string) {
	r := t.report
	if a := &r.Assumed; a.Requests > 0 {
		notes = append(notes, fmt.Sprintf("* the log has no answer of it: assumed are %g tokens/s, %s to the first token and no failures, for %s of what would have been answered; -help says how to change that",
			a.TPS, inSeconds(a.TTFT), percent(a.Requests, r.Would.Answered)))
	}
	for _, s := range []struct {
		of   *replay.Sums
		what string
	}{{&r.Happened, "that happened"}, {&r.Would, "that would have been"}} {
		if s.of.Unpriced > 0 {
			notes = append(notes, plural(s.of.Unpriced, "request", s.what+" of unknown price; models[].price sets one"))
		}
	}
	if r.Guessed > 0 {
		notes = append(notes, plural(r.Guessed, "request", "without tokens in the log, taken to be as usual"))
	}
	notes = append(notes, t.reading()...)
	return append(notes, "≈ estimated from what the log has measured near in time; docs/replay.md says how")
}

// reading says what was left out of the log.
func (t replayText) reading() (notes []string) {
	r := &t.report.Reading
	if r.Broken > 0 {
		note := plural(r.Broken, "broken line", "left out:")
		for _, b := range r.First {
			note += "\n  " + shown(b.String())
		}
		if more := r.Broken - int64(len(r.First)); more > 0 {
			note += fmt.Sprintf("\n  and %d more", more)
		}
		notes = append(notes, note)
	}
	if r.Torn > 0 {
		notes = append(notes, plural(r.Torn, "last line", "cut off, as one that is being written; left out"))
	}
	if r.Foreign > 0 {
		notes = append(notes, plural(r.Foreign, "request", "without a decision left out: another program has written them"))
	}
	if r.Twice > 0 {
		notes = append(notes, plural(r.Twice, "request", "given twice, counted once"))
	}
	return notes
}
