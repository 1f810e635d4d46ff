// Package sse reads and writes server-sent events (WHATWG HTML, section 9.2)
// for a relay: a Scanner finds whole events in bytes as they arrive and gives
// them out untouched; AppendEvent writes one.
//
// What a Scanner finds does not depend on how the bytes were cut on their way.
// It allocates when its buffer grows, not per event.
package sse

import (
	"encoding/binary"
	"errors"
	"io"
	"math/bits"
)

const (
	// MaxEvent is the size of the largest event, in bytes.
	MaxEvent = 8 << 20

	startSize = 512
	// burstSize is how far reads alone, without a large event, grow the buffer.
	burstSize = 32 << 10
	// keepSize is the largest buffer that Reset keeps for the next stream.
	keepSize = 64 << 10
)

// ErrTooLarge is an event of more than MaxEvent bytes.
var ErrTooLarge = errors.New("server-sent event over 8 MiB")

// An Event is a block of lines up to and including the blank line that ends
// it. Its slices are valid until the next call of Next, Fill or Reset; Raw
// until the next call of Fill or Reset.
type Event struct {
	// Raw is the event as it came. The Raws of events that one Fill brought are
	// neighbours in memory: a[:len(a)+len(b)] is both.
	Raw []byte
	// Name is the value of the last event: line, empty without one.
	Name []byte
	// Data is the value of the data: lines, joined by newlines. It is nil when
	// there is none: a comment, or a block that browsers would not dispatch.
	Data []byte
}

// A Scanner is used by turns: Fill until bytes arrive, Next until it reports
// false. The zero Scanner is ready.
type Scanner struct {
	buf        []byte
	start, end int // buf[start:end] has not been given out as events
	line       int // start of the current line
	searched   int // no line end stands in buf[line:searched]
	name, data span
	dataLines  int
	joined     []byte // the data of an event with more than one data: line
	begun      bool   // the byte order mark, if any, is behind us
	eof        bool
	err        error
}

type span struct{ start, end int }

// Reset makes s ready for another stream, keeping a buffer of modest size.
func (s *Scanner) Reset() {
	buf, joined := s.buf, s.joined
	if cap(buf) > keepSize {
		buf = nil
	}
	if cap(joined) > keepSize {
		joined = nil
	}
	*s = Scanner{buf: buf, joined: joined[:0]}
}

// Pending is the number of bytes that wait for the rest of their event.
func (s *Scanner) Pending() int { return s.end - s.start }

// Fill makes one read from r. Like an io.Reader's, its error may come together
// with bytes; io.EOF lets Next see an event that ends in a lone CR. An event
// that is too large gives ErrTooLarge.
func (s *Scanner) Fill(r io.Reader) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	s.makeRoom()
	n, err := r.Read(s.buf[s.end:])
	s.end += n
	s.eof = err == io.EOF
	return n, err
}

// makeRoom moves what is pending to the front and grows the buffer when a
// pending event fills it, or when the last read did.
func (s *Scanner) makeRoom() {
	full := s.end == len(s.buf)
	if s.start > 0 {
		s.shift(copy(s.buf, s.buf[s.start:s.end]))
	}
	switch size := len(s.buf); {
	case size == 0:
		s.buf = make([]byte, startSize)
	case s.end > size/2, full && size < burstSize:
		grown := make([]byte, 2*size)
		copy(grown, s.buf[:s.end])
		s.buf = grown
	}
}

// shift accounts for the pending n bytes having moved to the front.
func (s *Scanner) shift(n int) {
	by := s.start
	s.start, s.end = 0, n
	s.line -= by
	s.searched -= by
	s.name.start, s.name.end = s.name.start-by, s.name.end-by
	s.data.start, s.data.end = s.data.start-by, s.data.end-by
}

// Next gives the next whole event of the bytes that Fill brought, false when
// there is none.
func (s *Scanner) Next() (Event, bool) {
	if s.err != nil || !s.begin() {
		return Event{}, false
	}
	for {
		from, to, ok := s.nextLine()
		if s.line-s.start > MaxEvent || !ok && s.end-s.start > MaxEvent {
			s.err = ErrTooLarge
			return Event{}, false
		}
		if !ok {
			return Event{}, false
		}
		if from == to {
			return s.event(), true
		}
		s.field(from, to)
	}
}

// Ahead is what waits from the start of an event on, nil when Next has looked
// into it. It is for a caller that knows whole events by sight and takes them
// with Take; all others are Next's.
func (s *Scanner) Ahead() []byte {
	if s.err != nil || !s.begun || s.line != s.start {
		return nil
	}
	return s.buf[s.start:s.end]
}

// Take gives out the first n bytes of Ahead, which are one event. They are
// valid as long as an Event's.
func (s *Scanner) Take(n int) []byte {
	raw := s.buf[s.start : s.start+n]
	s.start += n
	s.line, s.searched = s.start, max(s.searched, s.start)
	s.name, s.data = span{s.start, s.start}, span{s.start, s.start}
	return raw
}

// begin skips the byte order mark that a stream may open with. It reports
// false while the first bytes may still become one.
func (s *Scanner) begin() bool {
	const bom = "\ufeff"
	if s.begun {
		return true
	}
	have := s.buf[s.start:s.end]
	if len(have) < len(bom) && !s.eof && string(have) == bom[:len(have)] {
		return false
	}
	if len(have) >= len(bom) && string(have[:len(bom)]) == bom {
		s.start += len(bom)
	}
	s.line, s.searched, s.begun = s.start, s.start, true
	s.name, s.data = span{s.start, s.start}, span{s.start, s.start}
	return true
}

// nextLine steps over a whole line and gives where its text stands. A CR that
// is the last byte so far may be half a line end: it waits for the next byte
// or the end of the stream.
func (s *Scanner) nextLine() (from, to int, ok bool) {
	i := lineEnd(s.buf[:s.end], s.searched)
	if s.searched = i; i == s.end {
		return 0, 0, false
	}
	next := i + 1
	if s.buf[i] == '\r' {
		if next == s.end && !s.eof {
			return 0, 0, false
		}
		if next < s.end && s.buf[next] == '\n' {
			next++
		}
	}
	from, to = s.line, i
	s.line, s.searched = next, next
	return from, to, true
}

// lineEnd finds the first CR or LF from b[i] on, or len(b), eight bytes at a
// time: the lowest byte that the subtraction of ones makes borrow is the first.
func lineEnd(b []byte, i int) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for i+8 <= len(b) {
		x := binary.LittleEndian.Uint64(b[i:])
		lf, cr := x^'\n'*ones, x^'\r'*ones
		if m := ((lf-ones)&^lf | (cr-ones)&^cr) & highs; m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
		i += 8
	}
	for i < len(b) && b[i] != '\n' && b[i] != '\r' {
		i++
	}
	return i
}

// field takes up the line buf[from:to]. Lines but event: and data: mean
// nothing to a relay.
func (s *Scanner) field(from, to int) {
	line := s.buf[from:to]
	var value int
	switch {
	case isField(line, "data"):
		value = from + len("data")
	case isField(line, "event"):
		value = from + len("event")
	default:
		return
	}
	if value < to {
		value++ // the colon
	}
	if value < to && s.buf[value] == ' ' {
		value++
	}
	if line[0] == 'e' {
		s.name = span{value, to}
		return
	}
	switch s.dataLines++; s.dataLines {
	case 1:
		s.data = span{value, to}
	case 2:
		s.joined = append(s.joined[:0], s.buf[s.data.start:s.data.end]...)
		fallthrough
	default:
		s.joined = append(append(s.joined, '\n'), s.buf[value:to]...)
	}
}

func isField(line []byte, name string) bool {
	return len(line) >= len(name) && string(line[:len(name)]) == name && (len(line) == len(name) || line[len(name)] == ':')
}

// event gives out what stands before the current line, which a blank one ended.
func (s *Scanner) event() Event {
	e := Event{Raw: s.buf[s.start:s.line], Name: s.buf[s.name.start:s.name.end]}
	switch s.dataLines {
	case 0:
	case 1:
		e.Data = s.buf[s.data.start:s.data.end]
	default:
		e.Data = s.joined
	}
	s.start, s.dataLines, s.name, s.data = s.line, 0, span{s.line, s.line}, span{s.line, s.line}
	return e
}
