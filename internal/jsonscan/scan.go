// Package jsonscan walks over JSON text without decoding it: it finds where
// members and elements stand and checks the grammar on the way.
//
// It accepts exactly what encoding/json's Valid accepts (RFC 8259; like there,
// bytes inside strings need not be UTF-8), within a limit of depth that the
// caller sets. Nothing is copied and, but for errors, nothing is allocated.
// Errors name an offset and never quote the text.
package jsonscan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// What is wrong with a text.
var (
	ErrSyntax    = errors.New("not JSON")
	ErrTruncated = errors.New("JSON breaks off")
	ErrDepth     = errors.New("JSON nested too deeply")
)

// Error is a fault at a place. Err is ErrSyntax, ErrTruncated or ErrDepth.
type Error struct {
	Offset int // into the scanned bytes
	Err    error
}

func (e *Error) Error() string { return fmt.Sprintf("%v (offset %d)", e.Err, e.Offset) }
func (e *Error) Unwrap() error { return e.Err }

// Span is a half-open byte range.
type Span struct{ Start, End int }

// Value checks the JSON value that starts at or, behind white space, after
// b[i] and returns the index just behind it. Arrays and objects may be nested
// maxDepth deep: with 0 only scalars pass.
func Value(b []byte, i, maxDepth int) (end int, err error) {
	end, f := value(b, i, maxDepth)
	if f != sound {
		return end, newError(end, f)
	}
	return end, nil
}

// Valid checks that b is one JSON value with nothing but white space around it.
func Valid(b []byte, maxDepth int) error {
	end, err := Value(b, 0, maxDepth)
	if err != nil {
		return err
	}
	if end = skipSpace(b, end); end != len(b) {
		return newError(end, badSyntax)
	}
	return nil
}

// Elements checks the value at Start like Value and counts, if it is an array of
// objects, the elements of the arrays that are their members of the given name. The
// text may still be coming meanwhile: what has come whole is not scanned again.
type Elements struct {
	Start    int
	MaxDepth int
	Name     string // without backslashes

	at int // behind the comma that follows the last whole element, 0 = at the beginning
	n  int
}

// Advance scans the elements that have come, and returns where the first one
// begins that has not come whole. What is wrong is left to Finish.
func (e *Elements) Advance(b []byte) int {
	_, _, _ = e.scan(b)
	return max(e.at, e.Start)
}

// Finish scans the rest and returns the index just behind the value. With an error
// n is what had been counted by then.
func (e *Elements) Finish(b []byte) (end, n int, err error) {
	end, n, f := e.scan(b)
	if f != sound {
		return end, n, newError(end, f)
	}
	return end, n, nil
}

// fault is what a scan met. The index that comes with it is then where.
type fault uint8

const (
	sound fault = iota
	badSyntax
	truncated
	tooDeep
)

func newError(at int, f fault) error {
	return &Error{Offset: at, Err: [...]error{nil, ErrSyntax, ErrTruncated, ErrDepth}[f]}
}

// at gives the fault of finding the wrong byte, or none, at i.
func at(b []byte, i int) (int, fault) {
	if i >= len(b) {
		return len(b), truncated
	}
	return i, badSyntax
}

func skipSpace(b []byte, i int) int {
	i, _ = token(b, i)
	return i
}

// token returns where, behind white space, the next token begins, and its first
// byte. At the end of b that is 0, which begins none.
func token(b []byte, i int) (int, byte) {
	for ; i < len(b); i++ {
		if c := b[i]; c > ' ' || c != ' ' && c != '\n' && c != '\r' && c != '\t' {
			return i, c
		}
	}
	return i, 0
}

// A scanner goes through b, forwards.
type scanner struct {
	b      []byte
	window int    // where it last looked, see ahead
	stops  uint64 // what it saw there

	// The elements that object has counted, of arrays of that name.
	n    int
	name string
}

// value scans the value that begins at or, behind white space, after b[i].
func value(b []byte, i, depth int) (int, fault) {
	s := scanner{b: b}
	i, c := token(b, i)
	return s.value(i, c, depth)
}

// value scans the value whose token is c, at b[i].
func (s *scanner) value(i int, c byte, depth int) (int, fault) {
	switch c {
	case '"':
		return str(s.b, i+1)
	case '{':
		return s.object(i, depth, false)
	case '[':
		end, _, f := s.elements(i, depth)
		return end, f
	case 't':
		return word(s.b, i, "true")
	case 'f':
		return word(s.b, i, "false")
	case 'n':
		return word(s.b, i, "null")
	default:
		if c == '-' || isDigit(c) {
			return number(s.b, i)
		}
		return at(s.b, i)
	}
}

// object scans an object. If it is a counted one, s.n grows by the elements of the
// arrays that are its members called s.name.
func (s *scanner) object(i, depth int, counted bool) (int, fault) {
	if depth <= 0 {
		return i, tooDeep
	}
	b, f := s.b, sound
	i, c := token(b, i+1)
	if c == '}' {
		return i + 1, sound
	}
	for {
		start := i + 1
		quote := start + bits.TrailingZeros64(s.ahead(start))
		if c == '"' && quote+1 < len(b) && b[quote] == '"' && b[quote+1] == ':' {
			i = quote + 2 // as key says of the tight form, but without a call
		} else if quote, i, f = key(b, i); f != sound {
			return i, f
		}
		switch i, c = token(b, i); {
		case c == '"':
			i, f = s.str(i + 1)
		case c == '[' && counted && s.named(start, quote):
			var n int
			i, n, f = s.elements(i, depth-1)
			s.n += n
		default:
			i, f = s.value(i, c, depth-1)
		}
		if f != sound {
			return i, f
		}
		if i, c = token(b, i); c != ',' {
			return closing(b, i, '}')
		}
		i, c = token(b, i+1)
	}
}

// named reports whether the string between start and quote says s.name. Mostly it
// does, letter by letter.
func (s *scanner) named(start, quote int) bool {
	raw := s.b[start:quote]
	return string(raw) == s.name || Is(raw, s.name)
}

// str is like the function of this name, but leaves the look at what comes next to
// the window: names and strings of an object stand close together.
func (s *scanner) str(i int) (int, fault) {
	if end := i + bits.TrailingZeros64(s.ahead(i)); end < len(s.b) && s.b[end] == '"' {
		return end + 1, sound
	}
	return long(s.b, i)
}

// key scans a member's name at b[i] and the colon behind it. It returns the
// index of the name's closing quote and that of the member's value.
func key(b []byte, i int) (quote, next int, f fault) {
	if i >= len(b) || b[i] != '"' {
		i, f = at(b, i)
		return 0, i, f
	}
	if i, f = str(b, i+1); f != sound {
		return 0, i, f
	}
	quote = i - 1
	if i = skipSpace(b, i); i >= len(b) || b[i] != ':' {
		i, f = at(b, i)
		return 0, i, f
	}
	return quote, skipSpace(b, i+1), sound
}

// elements scans an array and counts what is in it.
func (s *scanner) elements(i, depth int) (end, n int, f fault) {
	b := s.b
	if depth <= 0 {
		return i, 0, tooDeep
	}
	i, c := token(b, i+1)
	if c == ']' {
		return i + 1, 0, sound
	}
	for {
		if i, f = s.value(i, c, depth-1); f != sound {
			return i, n, f
		}
		n++
		if i, c = token(b, i); c != ',' {
			i, f = closing(b, i, ']')
			return i, n, f
		}
		i, c = token(b, i+1)
	}
}

// scan goes on to the end of the value, or of b.
func (e *Elements) scan(b []byte) (end, n int, f fault) {
	s := scanner{b: b, name: e.Name, n: e.n}
	i, depth := e.at, e.MaxDepth
	if i == 0 {
		var c byte
		if i, c = token(b, e.Start); c != '[' {
			end, f = s.value(i, c, depth)
			return end, 0, f
		}
		if depth <= 0 {
			return i, 0, tooDeep
		}
		i++
		if first, c := token(b, i); c == ']' {
			return first + 1, 0, sound
		}
	}
	for ; ; e.at, e.n = i, s.n {
		var c byte
		if i, c = token(b, i); c == '{' {
			i, f = s.object(i, depth-1, e.Name != "")
		} else {
			i, f = s.value(i, c, depth-1)
		}
		if f != sound {
			return i, s.n, f
		}
		if i, c = token(b, i); c != ',' {
			i, f = closing(b, i, ']')
			return i, s.n, f
		}
		i++
	}
}

func closing(b []byte, i int, c byte) (int, fault) {
	if i >= len(b) || b[i] != c {
		return at(b, i)
	}
	return i + 1, sound
}

// Words of eight equal bytes.
const (
	ones      = 0x0101010101010101
	highs     = 0x80 * ones
	backslash = '\\' * ones
)

// special marks, by the highest bit of each, the bytes of x that do not stand
// for themselves in a JSON string: backslash, quote and control characters.
// Flipping 0x02 swaps the quote, 0x22, with the blank, 0x20, so that one
// comparison with 0x21 finds it and what is below. A borrow can mark bytes above
// the first one wrongly, never below: only the lowest mark counts.
func special(x uint64) uint64 {
	quote, slash := x^(0x02*ones), x^backslash
	return ((quote - 0x21*ones) | (slash - ones)) &^ x
}

// str scans a string whose opening quote is b[i-1]. Most are short: a few words
// are looked at before the heavier machinery is started.
func str(b []byte, i int) (int, fault) {
	for range 2 {
		if i+8 > len(b) {
			break
		}
		m := special(binary.LittleEndian.Uint64(b[i:])) & highs
		if m != 0 {
			if i += bits.TrailingZeros64(m) >> 3; b[i] == '"' {
				return i + 1, sound
			}
			break
		}
		i += 8
	}
	return long(b, i)
}

// long goes on inside a string, of which much may be left.
func long(b []byte, i int) (int, fault) {
	if vectors {
		return strVector(b, i)
	}
	return strWords(b, i)
}

// strVector goes on inside a string, 64 bytes at a time.
func strVector(b []byte, i int) (int, fault) {
	const block = 64
	for i = skipVector(b, i); i+block <= len(b); i = skipVector(b, i) {
		if b[i] == '"' {
			return i + 1, sound
		}
		var f fault
		if i, f = escape(b, i); f != sound {
			return i, f
		}
	}
	return strWords(b, i)
}

// strWords goes on inside a string, eight bytes at a time.
func strWords(b []byte, i int) (int, fault) {
	clean := 0
	for i+8 <= len(b) {
		m := special(binary.LittleEndian.Uint64(b[i:])) & highs
		if m == 0 {
			if i += 8; clean < 3 {
				clean++
			} else {
				i = skipPlain(b, i)
			}
			continue
		}
		clean = 0
		i += bits.TrailingZeros64(m) >> 3
		if b[i] == '"' {
			return i + 1, sound
		}
		if b[i] == '\\' && i+1 < len(b) && simple[b[i+1]] {
			i += 2
			continue
		}
		var f fault
		if i, f = escape(b, i); f != sound {
			return i, f
		}
	}
	return strTail(b, i)
}

// skipPlain steps over blocks of 32 bytes that all stand for themselves: worth
// it only in text with few escapes.
func skipPlain(b []byte, i int) int {
	for i+32 <= len(b) {
		w := b[i : i+32]
		m := special(binary.LittleEndian.Uint64(w)) | special(binary.LittleEndian.Uint64(w[8:])) |
			special(binary.LittleEndian.Uint64(w[16:])) | special(binary.LittleEndian.Uint64(w[24:]))
		if m&highs != 0 {
			break
		}
		i += 32
	}
	return i
}

// strTail scans what may be left of a string in the last bytes of b.
func strTail(b []byte, i int) (int, fault) {
	for i < len(b) {
		switch c := b[i]; {
		case c == '"':
			return i + 1, sound
		case c == '\\' || c < ' ':
			var f fault
			if i, f = escape(b, i); f != sound {
				return i, f
			}
		default:
			i++
		}
	}
	return len(b), truncated
}

// simple holds what may follow a backslash, but for the u of a code point.
var simple = [256]bool{'"': true, '\\': true, '/': true, 'b': true, 'f': true, 'n': true, 'r': true, 't': true}

// escape scans the escape at b[i]; a control character there is a fault.
func escape(b []byte, i int) (int, fault) {
	if b[i] != '\\' {
		return i, badSyntax
	}
	if i++; i >= len(b) {
		return len(b), truncated
	}
	if simple[b[i]] {
		return i + 1, sound
	}
	if b[i] != 'u' {
		return i, badSyntax
	}
	for range 4 {
		if i++; i >= len(b) || !isHex(b[i]) {
			return at(b, i)
		}
	}
	return i + 1, sound
}

func word(b []byte, i int, w string) (int, fault) {
	for k := range len(w) {
		if i+k >= len(b) || b[i+k] != w[k] {
			return at(b, i+k)
		}
	}
	return i + len(w), sound
}

func number(b []byte, i int) (int, fault) {
	if b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if end := digits(b, i); end > i {
		i = end
	} else {
		return at(b, i)
	}
	if i < len(b) && b[i] == '.' {
		end := digits(b, i+1)
		if end == i+1 {
			return at(b, end)
		}
		i = end
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		end := digits(b, i)
		if end == i {
			return at(b, end)
		}
		i = end
	}
	return i, sound
}

func digits(b []byte, i int) int {
	for i < len(b) && isDigit(b[i]) {
		i++
	}
	return i
}

func isDigit(c byte) bool { return c-'0' <= 9 }

func isHex(c byte) bool { return isDigit(c) || (c|0x20)-'a' <= 5 }
