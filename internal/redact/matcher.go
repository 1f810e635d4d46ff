package redact

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
)

// A matcher finds many needles in one pass (Wu and Manber, "A fast algorithm
// for multi-pattern searching", 1994, with blocks of two bytes): the last two
// bytes of a window as long as the shortest needle say how far the window can
// move without missing a match.
type matcher struct {
	window  int                 // 0 = there are no needles
	shift   [pairs]uint8        // by pair: how far to move; 0 = a needle may stand here
	needles map[uint16][][]byte // by the pair at the window's end, longest first
	anchors *anchors            // say first whether there may be a match, or a key; nil = they do not
}

// newMatcher looks for every form of each value.
func newMatcher(values []string) *matcher {
	needles := needlesOf(values)
	m := &matcher{needles: make(map[uint16][][]byte), anchors: newAnchors(needles)}
	if len(needles) == 0 {
		return m
	}
	m.window = min(len(needles[len(needles)-1]), 255) // what fits a shift
	for i := range m.shift {
		m.shift[i] = uint8(m.window - 1)
	}
	for _, n := range needles {
		for i := range m.window - 1 {
			p := pair(n, i)
			m.shift[p] = min(m.shift[p], uint8(m.window-2-i))
		}
		p := pair(n, m.window-2)
		m.needles[p] = append(m.needles[p], n)
	}
	return m
}

// next returns the first match at or after at, the longest where several start;
// a negative start when there is none.
func (m *matcher) next(b []byte, at int) (start, end int) {
	if m.window == 0 {
		return -1, -1
	}
	for i := at + m.window - 2; i+1 < len(b); {
		p := pair(b, i)
		if s := m.shift[p]; s > 0 {
			i += int(s)
			continue
		}
		start := i + 2 - m.window
		for _, n := range m.needles[p] {
			if bytes.HasPrefix(b[start:], n) {
				return start, start + len(n)
			}
		}
		i++
	}
	return -1, -1
}

// pairs is how many pairs are told apart: by the first byte and the five low bits
// of the second, so that the table stays in the processor's nearest cache.
const pairs = 1 << 13

func pair(b []byte, i int) uint16 { return (uint16(b[i]) | uint16(b[i+1])<<8) & (pairs - 1) }

// needlesOf returns all forms of all values, each once, longest first.
func needlesOf(values []string) [][]byte {
	seen := make(map[string]bool)
	for _, v := range values {
		if len(v) < MinLength {
			continue
		}
		for _, form := range encodings(v) {
			addEscapes(seen, form, maxEscapes)
		}
	}
	var out [][]byte
	for n := range seen {
		out = append(out, []byte(n))
	}
	slices.SortFunc(out, func(a, b []byte) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), bytes.Compare(a, b))
	})
	return out
}

// encodings are the forms in which a secret travels.
func encodings(v string) []string {
	out := []string{v}
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		out = append(out, enc.EncodeToString([]byte(v)))
	}
	return out
}

// maxEscapes is how many times a value may have been put into a JSON string:
// a tool's result that is JSON, in a message, in a log line.
const maxEscapes = 3

// addEscapes adds v and its forms in up to depth nested JSON strings. Nearly
// every key has no character that needs an escape, and then only one form.
func addEscapes(seen map[string]bool, v string, depth int) {
	seen[v] = true
	if depth == 0 {
		return
	}
	plain, html := escape(v, false), escape(v, true)
	for _, e := range []string{plain, html, strings.ReplaceAll(plain, "/", `\/`)} { // \/ as PHP writes it
		if e != v {
			addEscapes(seen, e, depth-1)
		}
	}
}

// escape returns what stands between the quotes of v as a JSON string; html is
// encoding/json's default, which also escapes <, > and &.
func escape(v string, html bool) string {
	var buf strings.Builder
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(html)
	if err := enc.Encode(v); err != nil {
		panic(err) // a string can always be encoded
	}
	return buf.String()[1 : buf.Len()-2] // the quotes and the newline
}
