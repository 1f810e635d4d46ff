package ledger

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"slices"
	"time"
)

// By is what a Report keeps apart.
type By string

const (
	ByDay      By = "day"
	ByProvider By = "provider"
	ByModel    By = "model" // by the upstream's name
	ByKey      By = "key"   // client keys, by name
	BySession  By = "session"
)

// Usage is what one day, provider, model, client key or session comes to.
type Usage struct {
	// Name is the day (2026-11-26), or the name of what is kept apart; "" is
	// what has none: requests without a client key or a session, or without an
	// attempt.
	Name string `json:"name"`
	Totals
}

// Report is what was used in the days from From to To.
type Report struct {
	From, To string // 2026-11-26
	By       By
	Rows     []Usage // days in their order, everything else by cost, then tokens
	Total    Totals
	// Skipped is how many lines of the day files are no rows.
	Skipped int64
	// Gone are days of which there is no more than a sum: what was used in
	// them is not in a Report by session.
	Gone []string
}

// ReadReport reads what was used in the last days, of which today is one. It
// works while the files are being written. progress is called now and then with
// the bytes that were read and those that there are to read; nil = nobody.
func (f Folder) ReadReport(by By, days int, now time.Time, progress func(done, total int64)) (*Report, error) {
	y, m, d := now.Date()
	to := time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	r := &Report{From: dayOf(to.AddDate(0, 0, 1-days)), To: dayOf(to), By: by}
	all, err := f.days(rowsSuffix, sumSuffix)
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	all = slices.DeleteFunc(all, func(day string) bool { return day < r.From || day > r.To })
	told := func(int) {}
	if progress != nil {
		var done int64
		total := f.size(all)
		told = func(n int) { done += int64(n); progress(done, total) }
	}
	rows := map[string]*Totals{}
	for _, day := range all {
		if by == BySession {
			err = f.sessions(r, day, rows, told)
		} else {
			err = f.groups(r, day, rows, told)
		}
		if err != nil {
			return nil, fmt.Errorf("read the ledger: %w", err)
		}
	}
	for name, t := range rows {
		r.Total.add(t)
		t.Cost = rounded(t.Cost)
		r.Rows = append(r.Rows, Usage{name, *t})
	}
	r.Total.Cost = rounded(r.Total.Cost)
	slices.SortFunc(r.Rows, func(a, b Usage) int {
		if by == ByDay {
			return cmp.Compare(a.Name, b.Name)
		}
		return cmp.Or(cmp.Compare(b.Cost, a.Cost), cmp.Compare(b.Prompt()+b.Output, a.Prompt()+a.Output), cmp.Compare(a.Name, b.Name))
	})
	return r, nil
}

// rounded takes away what adding up in another order would change.
func rounded(usd float64) float64 {
	const part = 1e9
	return math.Round(usd*part) / part
}

func (f Folder) size(days []string) (total int64) {
	for _, day := range days {
		if info, err := os.Stat(f.rows(day)); err == nil {
			total += info.Size()
		}
	}
	return total
}

func at(rows map[string]*Totals, name string) *Totals {
	if rows[name] == nil {
		rows[name] = &Totals{}
	}
	return rows[name]
}

// groups adds a day by what its sum keeps apart.
func (f Folder) groups(r *Report, day string, rows map[string]*Totals, told func(int)) error {
	s, _, err := f.load(day, told)
	if err != nil {
		return err
	}
	r.Skipped += s.skipped
	for g, t := range s.groups {
		name := day
		switch r.By {
		case ByProvider:
			name = g.Provider
		case ByModel:
			name = g.Model
		case ByKey:
			name = g.Key
		}
		at(rows, name).add(t)
	}
	return nil
}

// sessions adds a day by session, which only its rows tell.
func (f Folder) sessions(r *Report, day string, rows map[string]*Totals, told func(int)) error {
	file, err := os.OpenFile(f.rows(day), os.O_RDONLY|openFlags, 0)
	if os.IsNotExist(err) {
		r.Gone = append(r.Gone, day)
		return nil
	}
	if err != nil {
		return explain(err)
	}
	defer file.Close()
	_, skipped, err := readRows(watched{file, told}, func(row *Row) {
		if row.Kind == KindAttempt || row.Kind == KindRequest {
			at(rows, row.Session).row(row)
		}
	})
	r.Skipped += skipped
	return err
}
