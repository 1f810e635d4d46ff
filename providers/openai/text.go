package openai

import (
	"bytes"
	"unicode/utf8"

	"anyproxy/internal/jsonscan"
)

// Strings of JSON are carried over as they stand between their quotes, escapes
// included: what was a sound string in one text is one in the other.

// inner is what stands between the quotes of a JSON string, nil when raw is
// none.
func inner(raw []byte) []byte {
	if len(raw) < 2 || raw[0] != '"' {
		return nil
	}
	return raw[1 : len(raw)-1]
}

// name is the name of a member; escapes, which hardly anybody writes there, are
// undone.
func name(key []byte) []byte {
	if bytes.IndexByte(key, '\\') < 0 {
		return key
	}
	s, _ := jsonscan.Unquote(key)
	return []byte(s)
}

// plain decodes a string that stands between quotes.
func plain(raw []byte) string {
	s, _ := jsonscan.Unquote(raw)
	return s
}

const hexDigits = "0123456789abcdef"

// appendEscaped appends s as it has to stand between the quotes of a JSON string.
func appendEscaped[T string | []byte](dst []byte, s T) []byte {
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(dst, s[from:]...)
}

func appendString[T string | []byte](dst []byte, s T) []byte {
	return append(appendEscaped(append(dst, '"'), s), '"')
}

// appendCompact appends a sound JSON value without the white space between its
// tokens, as it has to stand between the quotes of a JSON string.
func appendCompact(dst, value []byte) []byte {
	quoted := false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '"':
			quoted = !quoted
			dst = append(dst, '\\', '"')
		case c == '\\':
			i++
			dst = append(dst, '\\', '\\')
			if value[i] == '"' || value[i] == '\\' {
				dst = append(dst, '\\')
			}
			dst = append(dst, value[i])
		case c > ' ' || quoted:
			dst = append(dst, c)
		}
	}
	return dst
}

// unfinished is the length of what ends raw but not a letter: the first bytes of
// one, or the first half of a surrogate pair. The rest comes with the next piece.
func unfinished(raw []byte) int {
	n := len(raw)
	if n == 0 {
		return 0
	}
	if raw[n-1] >= utf8.RuneSelf {
		for k := 1; k <= min(n, utf8.UTFMax-1); k++ {
			if utf8.RuneStart(raw[n-k]) {
				if !utf8.FullRune(raw[n-k:]) {
					return k
				}
				break
			}
		}
		return 0
	}
	const half = len(`\ud83d`)
	if n < half || raw[n-half] != '\\' || raw[n-half+1] != 'u' || raw[n-half+2]|0x20 != 'd' {
		return 0
	}
	if c := raw[n-half+3] | 0x20; c != '8' && c != '9' && c != 'a' && c != 'b' {
		return 0
	}
	slashes := 1
	for slashes < n-half+1 && raw[n-half-slashes] == '\\' {
		slashes++
	}
	if slashes%2 == 0 {
		return 0 // the backslash is itself escaped
	}
	return half
}

// sound is raw with U+FFFD in the place of bytes that are not UTF-8: raw itself
// where there are none.
func sound(raw []byte) []byte {
	if utf8.Valid(raw) {
		return raw
	}
	return bytes.ToValidUTF8(raw, []byte("\ufffd"))
}

// escapeLength is the length of the escape that raw opens with, both halves of a
// surrogate pair.
func escapeLength(raw []byte) int {
	const short, long = len(`\n`), len(`\u0000`)
	switch {
	case raw[1] != 'u':
		return short
	case len(raw) >= 2*long && isHalf(raw, '8', 'b') && isHalf(raw[long:], 'c', 'f'):
		return 2 * long
	default:
		return long
	}
}

// isHalf reports whether raw opens with the escape of one half of a surrogate
// pair, whose second digit is one of from to to.
func isHalf(raw []byte, from, to byte) bool {
	return raw[0] == '\\' && raw[1] == 'u' && raw[2]|0x20 == 'd' && raw[3]|0x20 >= from && raw[3]|0x20 <= to
}

// paired is raw, in which all escapes are whole, with U+FFFD in the place of a
// half of a surrogate pair that stands alone: raw itself where there are none.
// JavaScript writes and reads such a half, most others refuse the whole text,
// the Anthropic API among them.
func paired(raw []byte) []byte {
	if !bytes.Contains(raw, []byte(`\ud`)) && !bytes.Contains(raw, []byte(`\uD`)) {
		return raw
	}
	var out []byte
	from := 0
	for i := bytes.IndexByte(raw, '\\'); i < len(raw); {
		n := escapeLength(raw[i:])
		if n == len(`\u0000`) && isHalf(raw[i:], '8', 'f') {
			out = append(append(out, raw[from:i]...), `\ufffd`...)
			from = i + n
		}
		i += n
		next := bytes.IndexByte(raw[i:], '\\')
		if next < 0 {
			break
		}
		i += next
	}
	if out == nil {
		return raw
	}
	return append(out, raw[from:]...)
}
