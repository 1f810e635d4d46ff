package jsonscan

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// Unquote decodes the text of a JSON string, with its quotes or as it stands
// between them. Bytes that are not UTF-8 become U+FFFD, as with encoding/json.
// It reports false for what is no JSON string.
func Unquote(raw []byte) (string, bool) {
	quoted := len(raw) > 0 && raw[0] == '"'
	if quoted {
		if end, f := str(raw, 1); f != sound || end != len(raw) {
			return "", false
		}
		raw = raw[1 : len(raw)-1]
	}
	if plain(raw) {
		return string(raw), true
	}
	return unescape(raw)
}

// unescape decodes text that is not plain, as it stands between quotes.
func unescape(raw []byte) (string, bool) {
	out := make([]byte, 0, len(raw)+utf8.UTFMax)
	for i := 0; i < len(raw); {
		switch c := raw[i]; {
		case c == '"' || c < ' ':
			return "", false
		case c == '\\':
			r, n := escaped(raw[i:])
			if n == 0 {
				return "", false
			}
			out = utf8.AppendRune(out, r)
			i += n
		case c < utf8.RuneSelf:
			out = append(out, c)
			i++
		default:
			r, n := utf8.DecodeRune(raw[i:])
			out = utf8.AppendRune(out, r)
			i += n
		}
	}
	return string(out), true
}

// escaped decodes the escape that b starts with and gives its length, 0 when it
// is none. Half a surrogate pair is U+FFFD.
func escaped(b []byte) (r rune, n int) {
	end, f := escape(b, 0)
	if f != sound {
		return 0, 0
	}
	switch c := b[1]; c {
	case 'b':
		return '\b', end
	case 'f':
		return '\f', end
	case 'n':
		return '\n', end
	case 'r':
		return '\r', end
	case 't':
		return '\t', end
	case 'u':
		r = hex4(b[2:])
	default:
		return rune(c), end
	}
	if !utf16.IsSurrogate(r) {
		return r, end
	}
	if end+2 < len(b) && b[end] == '\\' && b[end+1] == 'u' {
		if low, f := escape(b, end); f == sound {
			if pair := utf16.DecodeRune(r, hex4(b[end+2:])); pair != utf8.RuneError {
				return pair, low
			}
		}
	}
	return utf8.RuneError, end
}

// hex4 is the value of four digits that are known to be hexadecimal.
func hex4(b []byte) (r rune) {
	for _, c := range b[:4] {
		if isDigit(c) {
			r = r<<4 | rune(c-'0')
		} else {
			r = r<<4 | rune((c|0x20)-'a'+10)
		}
	}
	return r
}

// plain reports whether a string's text stands for itself.
func plain(raw []byte) bool {
	for _, c := range raw {
		if c < ' ' || c == '"' || c == '\\' {
			return false
		}
	}
	return utf8.Valid(raw)
}

// Is reports whether a sound JSON string, with its quotes or as it stands
// between them, says s. It allocates only where the string has escapes; one
// without is compared byte by byte.
func Is(raw []byte, s string) bool {
	if len(raw) > 1 && raw[0] == '"' {
		raw = raw[1 : len(raw)-1]
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw) == s
	}
	if len(raw) > 6*len(s) {
		return false // the longest escape of a byte is \u00XX
	}
	text, ok := Unquote(raw)
	return ok && text == s
}

// Int reads a JSON number that is written as a whole number of at most 18
// digits, which every int64 holds.
func Int(raw []byte) (int64, bool) {
	negative := len(raw) > 0 && raw[0] == '-'
	if negative {
		raw = raw[1:]
	}
	if len(raw) == 0 || len(raw) > 18 {
		return 0, false
	}
	var n int64
	for _, c := range raw {
		if !isDigit(c) {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	if negative {
		n = -n
	}
	return n, true
}
