package jsonscan

import (
	"bytes"
	"encoding/json"
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
	text := make([]byte, 0, len(raw)+2)
	text = append(append(append(text, '"'), raw...), '"')
	var s string
	if json.Unmarshal(text, &s) != nil {
		return "", false
	}
	return s, true
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
