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
	text := unsafe.Slice(unsafe.StringData(s), len(s)) // which is only read
	if len(s) > shortString || !plain(text) {
		return AppendText(b, text)
	}
	b = append(append(b, '"'), text...)
	return append(b, '"')
}

// shortString is up to where it is better to look for what needs an escape first:
// names and values of headers have none.
const shortString = 64

// plain reports whether nothing in text needs an escape.
func plain(text []byte) bool {
	for ; len(text) >= word; text = text[word:] {
		if special(binary.LittleEndian.Uint64(text)) != 0 {
			return false
		}
	}
	for _, c := range text {
		if c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// AppendText appends text as a JSON string, quotes included. What is not UTF-8
// in it becomes U+FFFD.
func AppendText(b, text []byte) []byte { return appendText(b, text, vectors) }

func appendText(b, text []byte, vectors bool) []byte {
	b = append(slices.Grow(b, room(len(text))), '"')
	for i := 0; i < len(text); {
		if vectors {
			b, i = appendBlocks(b, text, i)
		}
		b, i = appendWords(b, text, i)
		b, i = appendRest(b, text, i)
	}
	return append(b, '"')
}

// room is how many bytes n bytes of text usually take at most, quotes included:
// one in eight of a JSON text is to be escaped.
func room(n int) int { return n + n/8 + 2*block + 2 }

// block is how many bytes escapeVector looks at together.
const block = 16

// appendBlocks appends text[i:] in blocks, up to one that needs more than escapes
// of two bytes or to what is less, and says where that is.
func appendBlocks(b, text []byte, i int) ([]byte, int) {
	for i+block <= len(text) {
		if cap(b)-len(b) < 2*block {
			b = slices.Grow(b, room(len(text)-i))
		}
		written, read := escapeVector(b[len(b):cap(b)], text[i:], &spread)
		b, i = b[:len(b)+written], i+read
		if cap(b)-len(b) >= 2*block {
			break
		}
	}
	return b, i
}

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
	if x, n := lastWord(text, i), len(b); special(x) == 0 && cap(b)-n >= word {
		binary.LittleEndian.PutUint64(b[n:n+word], x)
		b, i = b[:n+len(text)-i], len(text)
	}
	return b, i
}

// lastWord is text[i:], which is less than a word, as one with blanks at its end.
func lastWord(text []byte, i int) (x uint64) {
	n := len(text) - i
	switch {
	case len(text) >= word: // with what is before it
		x = binary.LittleEndian.Uint64(text[len(text)-word:]) >> (8 * (word - n))
	case n >= 4: // by two halves, which may overlap
		x = uint64(binary.LittleEndian.Uint32(text[i:])) | uint64(binary.LittleEndian.Uint32(text[len(text)-4:]))<<(8*(n-4))
	default:
		for k := range n {
			x |= uint64(text[i+k]) << (8 * k)
		}
	}
	return x | blanks<<(8*n)
}

// Words of eight equal bytes.
const (
	ones      = 0x0101010101010101
	highs     = 0x80 * ones
	backslash = '\\' * ones
	blanks    = ' ' * ones
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

const hex = "0123456789abcdef"

// appendRest appends the characters of text[i:] one by one, until there is a
// whole word ahead that begins with a plain one, and says where that is.
func appendRest(b, text []byte, i int) ([]byte, int) {
	for i < len(text) {
		c := text[i]
		switch {
		case c >= utf8.RuneSelf:
			b, i = appendRunes(b, text, i)
			continue
		case escapes[c] != 0:
			b = append(b, '\\', escapes[c])
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case i+word <= len(text):
			return b, i
		default:
			b = append(b, c)
		}
		i++
	}
	return b, i
}

// appendRunes appends what is not ASCII, up to the next byte that is.
func appendRunes(b, text []byte, i int) ([]byte, int) {
	for i < len(text) && text[i] >= utf8.RuneSelf {
		from := i
		r, n := rune(0), 0
		for ; i < len(text) && text[i] >= utf8.RuneSelf; i += n {
			if r, n = utf8.DecodeRune(text[i:]); n == 1 || r&^1 == '\u2028' { // which JavaScript takes for newlines
				break
			}
		}
		b = append(b, text[from:i]...)
		switch {
		case n == 1:
			b = append(b, `\ufffd`...)
			i++
		case r&^1 == '\u2028':
			b = append(b, '\\', 'u', '2', '0', '2', hex[r&15])
			i += n
		}
	}
	return b, i
}
