package logging

import (
	"fmt"
	"io"
	"unicode"
	"unicode/utf8"
)

// cleaner escapes what a terminal obeys: the controls of C0 but for line break
// and tab, DEL, those of C1, the characters that turn the direction of text
// (U+202A–E, U+2066–9; "Trojan Source", CVE-2021-42574), and bytes that are no
// UTF-8. A handler's records have the controls of C0 quoted already; the text
// handler quotes all but DEL, which it takes for a letter. In JSON all that is
// left can only stand in strings, where \u escapes mean the same.
type cleaner struct{ w io.Writer }

// Clean returns a writer of text to w, a terminal.
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
		switch {
		case r == utf8.RuneError && n == 1:
			out = fmt.Appendf(append(out, p[from:i]...), `\x%02x`, p[i])
			from = i + n
		case hostile(r):
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
	return r < ' ' && r != '\n' && r != '\t' || r == 0x7f || 0x80 <= r && r <= 0x9f || unicode.Is(unicode.Bidi_Control, r)
}
