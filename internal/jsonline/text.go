package jsonline

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"unicode/utf8"
	"unsafe"
)

// AppendString appends s as a JSON string, quotes included.
func AppendString(b []byte, s string) []byte {
	if s == "" {
		return append(b, '"', '"')
	}
	return AppendText(b, unsafe.Slice(unsafe.StringData(s), len(s))) // which it only reads
}

// AppendText appends text as a JSON string, quotes included. What is not UTF-8
// in it becomes U+FFFD.
func AppendText(b, text []byte) []byte {
	b = append(slices.Grow(b, room(len(text))), '"')
	for i := 0; i < len(text); {
		b, i = appendWords(b, text, i)
		b, i = appendRest(b, text, i)
	}
	return append(b, '"')
}

// room is how many bytes n bytes of text usually take at most, quotes included:
// one in eight of a JSON text is to be escaped.
func room(n int) int { return n + n/8 + word + 2 }

// word is how many bytes are looked at together.
const word = 8

// appendWords appends text[i:] in words, up to a byte that needs more than an
// escape of two bytes or to what is less than a word, and says where that is.
func appendWords(b, text []byte, i int) ([]byte, int) {
	for i+word <= len(text) {
		if cap(b)-len(b) < word+2 {
			b = slices.Grow(b, room(len(text)-i))
		}
		n := len(b)
		to := b[n : n+word+2]
		x := binary.LittleEndian.Uint64(text[i:])
		binary.LittleEndian.PutUint64(to, x) // all of it: what is special will be written over
		marks := special(x)
		if marks == 0 {
			b, i = b[:n+word], i+word
			continue
		}
		k := bits.TrailingZeros64(marks) >> 3
		i += k
		e := escapes[text[i]]
		if e == 0 {
			return b[:n+k], i
		}
		to[k], to[k+1] = '\\', e
		b, i = b[:n+k+2], i+1
	}
	return b, i
}

// Words of eight equal bytes.
const (
	ones      = 0x0101010101010101
	highs     = 0x80 * ones
	backslash = '\\' * ones
)

// special marks, by the highest bit of each, the bytes of x that may not stand
// for themselves: quote, backslash, control characters and all that is not
// ASCII. Flipping 0x02 swaps the quote, 0x22, with the blank, 0x20, so that one
// comparison with 0x21 finds it and what is below. A borrow can mark bytes above
// the first one wrongly, never below: only the lowest mark counts.
func special(x uint64) uint64 {
	quote, slash := x^(0x02*ones), x^backslash
	return ((quote - 0x21*ones) | (slash - ones) | x) & highs
}

// escapes are the letters of the escapes of two bytes.
var escapes = [256]byte{'"': '"', '\\': '\\', '\b': 'b', '\f': 'f', '\n': 'n', '\r': 'r', '\t': 't'}

// appendRest appends the characters of text[i:] one by one, until there is a
// whole word ahead that begins with a plain one, and says where that is.
func appendRest(b, text []byte, i int) ([]byte, int) {
	const hex = "0123456789abcdef"
	for i < len(text) {
		if c := text[i]; c < utf8.RuneSelf {
			switch e := escapes[c]; {
			case e != 0:
				b = append(b, '\\', e)
			case c < ' ':
				b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			case i+word <= len(text):
				return b, i
			default:
				b = append(b, c)
			}
			i++
			continue
		}
		r, n := utf8.DecodeRune(text[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			b = append(b, `\ufffd`...)
		case r == '\u2028' || r == '\u2029': // JavaScript takes them for newlines
			b = append(b, '\\', 'u', '2', '0', '2', hex[r&15])
		default:
			b = append(b, text[i:i+n]...)
		}
		i += n
	}
	return b, i
}
