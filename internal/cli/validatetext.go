package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// longestTarget is how many cells of a target's name a table shows, so that a
// line fits into 80.
const longestTarget = 28

// writeTables shows the providers, the contexts and the features.
func (v *validation) writeTables(out io.Writer) {
	fmt.Fprintln(out)
	rows := [][]string{{"PROVIDER", "TYPE", "MODELS"}}
	for _, a := range v.asked {
		rows = append(rows, []string{shortenedName(a.provider.Name, longestTarget), string(a.provider.Type), a.summary()})
	}
	writeTable(out, rows)
	fmt.Fprintln(out)
	rows = [][]string{{"TARGET", "TIER", "LISTED", "CONTEXT"}}
	differ := 0
	for i := range v.targets {
		t := &v.targets[i]
		if t.changes() {
			differ++
		}
		rows = append(rows, []string{t.cell(), strconv.Itoa(t.model.Tier), knownText(t.known), t.contextText()})
	}
	writeTable(out, rows)
	if differ > 0 {
		fmt.Fprintln(out, count(differ, "context")+map[bool]string{true: " differs", false: " differ"}[differ == 1]+" from what the provider states")
	}
	fmt.Fprintln(out)
	v.writeFeatures(out)
}

// writeFeatures is a line for each upstream, which may be several targets.
func (v *validation) writeFeatures(out io.Writer) {
	head := []string{"WHAT IS CARRIED TO"}
	for _, s := range specimens {
		head = append(head, strings.TrimPrefix(strings.TrimSuffix(s.name, "_control"), "web_"))
	}
	rows := [][]string{head}
	seen := map[string]bool{}
	for i := range v.targets {
		t := &v.targets[i]
		if seen[t.fullName()] {
			continue
		}
		seen[t.fullName()] = true
		row := []string{t.cell()}
		for _, f := range t.features {
			row = append(row, f.cell())
		}
		rows = append(rows, row)
	}
	writeTable(out, rows)
}

func (f *feature) cell() string {
	all := 0
	for _, s := range specimens {
		if s.name == f.Name {
			all = len(s.betas)
		}
	}
	switch {
	case f.Carried:
		return "yes"
	case len(f.Lost) > 0 && len(f.Lost) < all:
		return fmt.Sprintf("%d/%d", all-len(f.Lost), all)
	default:
		return "no"
	}
}

func (t *target) cell() string { return shortenedName(shown(t.fullName()), longestTarget) }

// shortenedName leaves out the middle of a name that is longer than so many cells:
// it begins with the provider and ends with the model's version.
func shortenedName(name string, cells int) string {
	const begin = 10
	width := ansi.StringWidth(name)
	if width <= cells {
		return name
	}
	return ansi.Truncate(name, begin, "") + ansi.TruncateLeft(name, width-(cells-begin-1), "…")
}

func knownText(known *bool) string {
	if known == nil {
		return "–"
	}
	return map[bool]string{true: "yes", false: "no"}[*known]
}

func (t *target) contextText() string {
	now := "–"
	if t.model.Context > 0 {
		now = strconv.Itoa(t.model.Context)
	}
	if t.changes() {
		return now + " → " + strconv.Itoa(t.stated)
	}
	return now
}

// summary is what a provider's line says of its models.
func (a *polled) summary() string {
	switch a.State {
	case listListed:
		stated := 0
		for _, m := range a.list.Models {
			if m.Context > 0 {
				stated++
			}
		}
		return fmt.Sprintf("%d listed, %d with a context", len(a.list.Models), stated)
	case listPassthrough:
		return "not asked: passthrough"
	case listNone:
		return "no list"
	case listNoKey:
		return "no credential"
	case listForbidden:
		return "may not list"
	case listRefused:
		return "key refused"
	default:
		return "unreachable"
	}
}
