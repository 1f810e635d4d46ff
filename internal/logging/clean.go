package logging

import (
	"fmt"
	"io"
	"unicode"
	"unicode/utf8"
)

// cleaner escapes in records what the handlers let through and a terminal
// obeys: DEL, the C1 controls and the characters that turn the direction of
// text (U+202A–E, U+2066–9; "Trojan Source", CVE-2021-42574). In JSON all of them
// can only stand in strings, where \u escapes mean the same. The text handler
// quotes all but DEL, which it takes for a letter.
type cleaner struct{ w io.Writer }

// Clean returns a writer to w, a terminal, that escapes these characters too.
func Clean(w io.Writer) io.Writer { return cleaner{w} }

func (c cleaner) Write(p []byte) (int, error) {
	if _, err := c.w.Write(clean(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// clean returns p itself when there is nothing to escape.
func clean(p []byte) []byte {
	var out []byte
	from := 0
	for i := 0; i < len(p); {
		r, n := utf8.DecodeRune(p[i:])
		if hostile(r) {
			out = fmt.Appendf(append(out, p[from:i]...), `\u%04x`, r)
			from = i + n
		}
		i += n
	}
	if from == 0 {
		return p
	}
	return append(out, p[from:]...)
}

func hostile(r rune) bool {
	return r == 0x7f || 0x80 <= r && r <= 0x9f || unicode.Is(unicode.Bidi_Control, r)
}
