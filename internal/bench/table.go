package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"text/tabwriter"
)

// spec is a row of the table.
type spec struct {
	id, text, unit string
	ratio          bool    // the figure is ours ÷ bare, else ours
	more           bool    // more is better
	must, aim      float64 // limits of the figure, 0 = none
}

// report is what a run has found.
type report struct {
	options
	figures map[string]*figures
	targets []*target
}

// wrongly is an error when anyproxy lost or changed answers. The bare ReverseProxy
// loses some by itself (golang/go#40747): those are told, but are none.
func (r *report) wrongly() (err error) {
	for _, t := range r.targets {
		if t.name != bare || r.base != "" {
			err = errors.Join(err, t.wrongly())
		}
	}
	return err
}

func (r *report) print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "case\tbare\tanyproxy\tfigure\tleast–most\tmust\taim\t\t")
	for _, s := range specs {
		if f := r.figures[s.id]; f != nil {
			fmt.Fprintln(w, s.row(f))
		}
	}
	_ = w.Flush() // a reader that has gone
	other := "the bare ReverseProxy"
	if r.base != "" {
		other = "the other anyproxy, called bare here"
	}
	fmt.Fprintf(out, "\nMedians of %d rounds. A figure with × is a ratio to %s, or of with ÷ without, in the same round.\n", r.rounds, other)
	if r.quick {
		fmt.Fprintln(out, "This was a smoke test: its times and its memory say nothing.")
	}
	r.printAnswers(out)
}

// row writes one row's cells.
func (s spec) row(f *figures) string {
	values := s.values(f)
	unit := s.unit
	if s.ratio {
		unit = "×"
	}
	figure := median(values)
	limit := func(v float64) string {
		if v == 0 {
			return ""
		}
		return strconv.FormatFloat(v, 'f', -1, 64) + unit
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s–%s\t%s\t%s\t%s\t", s.text, format(median(f.bare), s.unit), format(median(f.ours), s.unit),
		format(figure, unit), format(slices.Min(values), ""), format(slices.Max(values), ""), limit(s.must), limit(s.aim), s.verdict(figure))
}

// values are the figures by round.
func (s spec) values(f *figures) []float64 {
	if !s.ratio {
		return f.ours
	}
	out := make([]float64, len(f.ours))
	for i := range out {
		out[i] = f.ours[i] / f.bare[i]
	}
	return out
}

// verdict says which limit the figure keeps.
func (s spec) verdict(figure float64) string {
	keeps := func(limit float64) bool {
		if s.more {
			return figure >= limit
		}
		return figure <= limit
	}
	switch {
	case s.must == 0:
		return ""
	case keeps(s.aim):
		return "aim"
	case keeps(s.must):
		return "must"
	default:
		return "OVER"
	}
}

// format shows three digits or so.
func format(v float64, unit string) string {
	digits := 0
	if a := math.Abs(v); a < 10 {
		digits = 2
	} else if a < 100 {
		digits = 1
	}
	return strconv.FormatFloat(v, 'f', digits, 64) + unit
}

// printAnswers tells, by target, how many answers were right.
func (r *report) printAnswers(out io.Writer) {
	slices.SortStableFunc(r.targets, func(a, b *target) int { return cmp.Compare(a.name, b.name) })
	var good, wrong int64
	for i, t := range r.targets {
		good, wrong = good+t.good.Load(), wrong+t.wrong.Load()
		if i+1 < len(r.targets) && r.targets[i+1].name == t.name {
			continue
		}
		fmt.Fprintf(out, "%s: %d answers as sent, %d lost or wrong", t.name, good, wrong)
		good, wrong = 0, 0
		fmt.Fprintln(out)
	}
	for _, t := range r.targets {
		if t.first != "" {
			fmt.Fprintf(out, "%s: the first wrong one: %s\n", t.name, t.first)
		}
	}
}
