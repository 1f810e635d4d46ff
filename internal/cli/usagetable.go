package cli

import (
	"math"
	"strconv"
	"strings"

	"anyproxy/metrics/ledger"
)

const (
	shortestName = 10 // cells that a name has at least
	goodName     = 24 // before a column goes for its sake
	shortestBar  = 5
	longestBar   = 24
	// mostSessions is how many lines there are at most on a table by session.
	mostSessions = 30
)

// usageTable is a Report for a person.
type usageTable struct {
	sheet
	report *ledger.Report
}

// String is the table, what it stands for below it.
func (t usageTable) String() string {
	rows := t.report.Rows
	hidden := 0
	if t.report.By == ledger.BySession && len(rows) > mostSessions {
		hidden = len(rows) - mostSessions
		rows = rows[:mostSessions]
	}
	columns, bar := t.fit(t.columns(rows))
	var b strings.Builder
	for i := range columns[0].cells {
		line := t.line(columns, i)
		last := i == len(rows)+1
		switch {
		case i == 0:
			line = t.paint(line, faint)
		case last && len(rows) > 1:
			line = t.paint(line, bold)
		case last:
			continue // the total of one line is that line
		case bar > 0:
			line += "  " + t.paint(barOf(t.share(&rows[i-1].Totals)/t.share(t.largest(rows)), bar), cyan)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	for _, note := range t.notes(hidden) {
		b.WriteString(t.paint(t.wrap(note), faint) + "\n")
	}
	return b.String()
}

// columns are all that there is to say.
func (t usageTable) columns(rows []ledger.Usage) []column {
	columns := []column{{}, {rank: 1}, {rank: 3}, {rank: 4}, {rank: 2}, {}}
	add := func(cells ...string) {
		for i, cell := range cells {
			columns[i].cells = append(columns[i].cells, cell)
		}
	}
	add(string(t.report.By), "requests", "input", "cached", "output", "cost")
	for i := range rows {
		add(append([]string{t.name(rows[i].Name)}, cellsOf(&rows[i].Totals)...)...)
	}
	add(append([]string{"total"}, cellsOf(&t.report.Total)...)...)
	return columns
}

func cellsOf(u *ledger.Totals) []string {
	cached := "–"
	if n := u.Prompt(); n > 0 {
		cached = strconv.Itoa(int(math.Round(100*float64(u.CacheRead)/float64(n)))) + "%"
	}
	return []string{strconv.FormatInt(u.Requests, 10), shortly(u.Prompt()), cached, shortly(u.Output), costOf(u)}
}

// name is what a line is of.
func (t usageTable) name(s string) string {
	if s == "" {
		return map[ledger.By]string{ledger.ByProvider: "(no attempt)", ledger.ByModel: "(no attempt)",
			ledger.ByKey: "(no key)", ledger.BySession: "(no session)"}[t.report.By]
	}
	return shown(s)
}

func costOf(u *ledger.Totals) string { return knownCost(u.Cost, u.Unpriced, u.Subscription) }

// fit leaves out columns, and shortens names, until a line fits and a bar
// behind it. bar is the width that is left for one, 0 for none.
func (t usageTable) fit(columns []column) (fitting []column, bar int) {
	if t.width == 0 {
		return columns, 0
	}
	const forBar = 2 + shortestBar
	for {
		spare, worst := t.width+2, 0
		for i := range columns {
			spare -= columns[i].width() + 2
			if columns[i].rank > columns[worst].rank {
				worst = i
			}
		}
		name, rank := columns[0].width(), columns[worst].rank
		switch {
		case spare >= forBar:
			return columns, min(spare-2, longestBar)
		case name+spare-forBar >= goodName:
			columns[0] = shortened(columns[0], name+spare-forBar)
			return columns, shortestBar
		case rank <= rankKept && spare >= 0:
			return columns, 0
		case rank <= rankKept && (name+spare >= shortestName || rank == 0):
			columns[0] = shortened(columns[0], max(name+spare, shortestName))
			return columns, 0
		}
		columns = append(columns[:worst], columns[worst+1:]...)
	}
}

// share is what bars compare: the cost, or where nothing has any the tokens.
func (t usageTable) share(u *ledger.Totals) float64 {
	if t.report.Total.Cost > 0 {
		return u.Cost
	}
	return float64(u.Prompt() + u.Output)
}

func (t usageTable) largest(rows []ledger.Usage) *ledger.Totals {
	largest := &rows[0].Totals
	for i := range rows {
		if t.share(&rows[i].Totals) > t.share(largest) {
			largest = &rows[i].Totals
		}
	}
	return largest
}

// notes say what the numbers leave open.
func (t usageTable) notes(hidden int) (notes []string) {
	total := &t.report.Total
	if hidden > 0 {
		notes = append(notes, plural(int64(hidden), "more session", "cost less; -json has them all"))
	}
	if total.Unpriced > 0 {
		notes = append(notes, costOf(total)+", "+plural(total.Unpriced, "attempt", "of unknown price; models[].price sets one"))
	}
	if total.Subscription > 0 {
		notes = append(notes, plural(total.Subscription, "attempt", "paid by subscription (incl.)"))
	}
	if n := len(t.report.Gone); n > 0 {
		notes = append(notes, "the sessions of "+plural(int64(n), "day", "are not known any more; state.keepDays keeps them longer"))
	}
	if t.report.Skipped > 0 {
		notes = append(notes, plural(t.report.Skipped, "damaged line", "of the ledger not counted"))
	}
	return notes
}
