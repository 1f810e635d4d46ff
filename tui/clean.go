package tui

import (
	"fmt"
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
// wash. It changes s in place; its slices are the receiver's own.
func cleanSnapshot(s *metrics.Snapshot, wash func(string) string) {
	in := func(p *string) { *p = wash(*p) }
	in(&s.Listen)
	in(&s.Config)
	for i := range s.Providers {
		in(&s.Providers[i].Name)
		in((*string)(&s.Providers[i].State))
	}
	for i := range s.Requests {
		r := &s.Requests[i]
		in(&r.Model)
		in(&r.Error)
		for j := range r.Decision.Attempts {
			a := &r.Decision.Attempts[j]
			in(&a.Provider)
			in(&a.Outcome)
		}
	}
	for i := range s.Events {
		e := &s.Events[i]
		in((*string)(&e.Kind))
		in(&e.Provider)
		in(&e.To)
		in(&e.Text)
	}
}
