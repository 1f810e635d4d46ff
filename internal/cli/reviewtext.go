package cli

import (
	"fmt"
	"strings"

	"anyproxy/metrics"
)

// reviewText is a review as it is asked about on a terminal.
func reviewText(r *metrics.Review) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s has changed: %s\n", r.File, count(len(r.Changes), "change"))
	for _, c := range r.Changes {
		fmt.Fprintf(&b, "  %s %s  %s\n", changeSign[c.Kind], c.Path, changeText(c))
	}
	e := r.Effect
	for _, a := range e.Aliases {
		fmt.Fprintf(&b, "  new traffic of %s: %s\n", a.Alias, sharesText(a))
	}
	if len(e.Restart) > 0 {
		fmt.Fprintf(&b, "  only at the next start: %s\n", strings.Join(e.Restart, ", "))
	}
	if e.Finishing > 0 {
		fmt.Fprintf(&b, "  %s still running on what is replaced, to the end\n", count(e.Finishing, "request"))
	}
	for _, w := range e.Warnings {
		fmt.Fprintf(&b, "  ! %s\n", w)
	}
	return b.String()
}

var changeSign = map[metrics.ChangeKind]string{
	metrics.ChangeAdded: "+", metrics.ChangeRemoved: "-", metrics.ChangeChanged: "~", metrics.ChangeReordered: "~",
}

// changeText is what happens to a value.
func changeText(c metrics.Change) string {
	switch {
	case c.Kind == metrics.ChangeReordered:
		return "in another order"
	case c.Secret || c.Old == "" && c.New == "":
		return string(c.Kind)
	case c.Kind == metrics.ChangeAdded:
		return c.New
	case c.Kind == metrics.ChangeRemoved:
		return "was " + c.Old
	default:
		return c.Old + " → " + c.New
	}
}

// sharesText is how an alias's traffic moves.
func sharesText(a metrics.AliasEffect) string {
	var parts []string
	for _, s := range a.Shares {
		name := s.Provider
		if s.Model != "" {
			name += "/" + s.Model
		}
		text := fmt.Sprintf("%s %.0f%%", name, 100*s.Old)
		if visible(s) {
			text += fmt.Sprintf(" → %.0f%%", 100*s.New)
		}
		parts = append(parts, text)
	}
	text := strings.Join(parts, ", ")
	if len(a.Gains) > 0 {
		text += "; gains " + strings.Join(a.Gains, ", ")
	}
	if len(a.Loses) > 0 {
		text += "; loses " + strings.Join(a.Loses, ", ")
	}
	return text
}

// detailsText is the masked difference of the file's text.
func detailsText(r *metrics.Review) string {
	var b strings.Builder
	old, now := 0, 0
	for _, l := range r.Text {
		if l.Old > old+1 || l.New > now+1 {
			b.WriteString("      ...\n")
		}
		switch {
		case l.New == 0:
			fmt.Fprintf(&b, "%5d - %s\n", l.Old, l.Text)
		case l.Old == 0:
			fmt.Fprintf(&b, "%5d + %s\n", l.New, l.Text)
		default:
			fmt.Fprintf(&b, "%5d   %s\n", l.New, l.Text)
		}
		old, now = max(old, l.Old), max(now, l.New)
	}
	return b.String()
}

// problemsText is a review of a file that cannot be used.
func problemsText(r *metrics.Review) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s has changed and has %s; the running configuration stays\n", r.File, count(len(r.Problems), "problem"))
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "  %s\n", p.Text)
		if p.Excerpt != "" {
			b.WriteString(indent(p.Excerpt, "    ") + "\n")
		}
	}
	return b.String()
}
