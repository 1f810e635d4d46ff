package tui

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"anyproxy/metrics"
)

// maxText is how many bytes of a foreign string are kept. No pane is wider.
const maxText = 1024

// clean makes a string of another program safe to paint on one line. A
// terminal obeys what it is sent, so an upstream's error could otherwise write
// the clipboard, move the cursor or fake a question.
//
// Line breaks and tabs become one space. Other C0 and C1 controls, DEL, bidi
// controls and invalid UTF-8 become visible escapes. Variation selectors and
// the byte order mark are dropped: terminals disagree about their width.
func clean(s string) string {
	if isPlain(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s) && b.Len() < maxText; {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\n', r == '\r', r == '\t', r == '\u2028', r == '\u2029':
			b.WriteByte(' ')
		case r < 0x20, r >= 0x7f && r < 0xa0:
			fmt.Fprintf(&b, `\x%02x`, r)
		case isBidiControl(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		case r >= '\ufe00' && r <= '\ufe0f', r == '\ufeff', r >= 0xe0000:
		default:
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

// isPlain reports whether s is short printable ASCII, as nearly all strings are.
func isPlain(s string) bool {
	if len(s) > maxText {
		return false
	}
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

func isBidiControl(r rune) bool {
	return r == '\u061c' || r == '\u200e' || r == '\u200f' ||
		r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}

// toASCII replaces what a terminal without UTF-8 cannot show.
func toASCII(s string) string {
	if isPlain(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r > 0x7e {
			return '?'
		}
		return r
	}, s)
}

// cleanSnapshot passes every foreign string of s that a pane shows through
// wash, but for those of the requests. It changes s in place; its slices are the
// receiver's own.
func cleanSnapshot(s *metrics.Snapshot, wash func(string) string) {
	in := func(texts ...*string) {
		for _, p := range texts {
			*p = wash(*p)
		}
	}
	in(&s.Listen, &s.Config)
	for i := range s.Providers {
		p := &s.Providers[i]
		in(&p.Name, &p.Type, &p.Endpoint, (*string)(&p.State), &p.LastError, (*string)(&p.Breaker))
		for j := range p.Targets {
			in(&p.Targets[j].Model, (*string)(&p.Targets[j].Breaker))
		}
	}
	for i := range s.Events {
		e := &s.Events[i]
		in((*string)(&e.Kind), &e.Provider, &e.Model, &e.To, &e.Request, &e.Text)
	}
	if s.Review != nil {
		s.Review = cleanReview(*s.Review, wash)
	}
}

// cleanRequest does the same with a request. Who tried what is shared with the
// proxy's own record: it is copied where something has to be changed.
func cleanRequest(r *metrics.RequestRecord, wash func(string) string) {
	d := &r.Decision
	for _, p := range []*string{&r.ID, &r.Method, &r.Path, &r.Model, &r.Session, &r.Key, (*string)(&r.Phase), &r.Error,
		&d.Alias, &d.Forced, &d.Session.Provider, &d.Session.Model, &d.Session.Reason} {
		*p = wash(*p)
	}
	d.Attempts = washedRows(d.Attempts, wash, func(a *metrics.AttemptRecord, in func(*string)) {
		in(&a.Provider)
		in(&a.Model)
		in(&a.Outcome)
		in(&a.Reason)
	})
	d.Candidates = washedRows(d.Candidates, wash, func(c *metrics.Candidate, in func(*string)) {
		in(&c.Provider)
		in(&c.Model)
		in(&c.Skipped)
	})
}

// washedRows is rows with their strings passed through wash: rows itself where
// that changes nothing, else a copy.
func washedRows[T any](rows []T, wash func(string) string, texts func(*T, func(*string))) []T {
	same := true
	for i := range rows {
		texts(&rows[i], func(p *string) { same = same && wash(*p) == *p })
	}
	if same {
		return rows
	}
	rows = slices.Clone(rows)
	for i := range rows {
		texts(&rows[i], func(p *string) { *p = wash(*p) })
	}
	return rows
}

// cleanReview copies: a review is shared by all snapshots while it waits. Its
// hash is nothing that is shown.
func cleanReview(r metrics.Review, wash func(string) string) *metrics.Review {
	r.File = wash(r.File)
	r.Changes = slices.Clone(r.Changes)
	for i := range r.Changes {
		c := &r.Changes[i]
		c.Path, c.Old, c.New = wash(c.Path), wash(c.Old), wash(c.New)
	}
	r.Problems = slices.Clone(r.Problems)
	for i := range r.Problems {
		p := &r.Problems[i]
		excerpt := strings.Split(p.Excerpt, "\n")
		p.Key, p.Reason, p.Text, p.Excerpt = wash(p.Key), wash(p.Reason), wash(p.Text), strings.Join(washed(excerpt, wash), "\n")
	}
	r.Text = slices.Clone(r.Text)
	for i := range r.Text {
		r.Text[i].Text = wash(r.Text[i].Text)
	}
	r.Effect = cleanEffect(r.Effect, wash)
	return &r
}

func cleanEffect(e metrics.Effect, wash func(string) string) metrics.Effect {
	e.Restart, e.Warnings = washed(e.Restart, wash), washed(e.Warnings, wash)
	e.Aliases = slices.Clone(e.Aliases)
	for i := range e.Aliases {
		a := &e.Aliases[i]
		a.Alias, a.Gains, a.Loses = wash(a.Alias), washed(a.Gains, wash), washed(a.Loses, wash)
		a.Shares = slices.Clone(a.Shares)
		for k := range a.Shares {
			a.Shares[k].Provider, a.Shares[k].Model = wash(a.Shares[k].Provider), wash(a.Shares[k].Model)
		}
	}
	return e
}

// washed is a copy of texts, each passed through wash.
func washed(texts []string, wash func(string) string) []string {
	out := slices.Clone(texts)
	for i := range out {
		out[i] = wash(out[i])
	}
	return out
}
