package http1

import "errors"

// chunks takes the chunks of a body apart (RFC 9112, section 7.1), however their
// bytes were cut on the way. The zero value stands before the first one.
type chunks struct {
	state chunkState
	left  uint64 // of the current chunk's data
	n     int    // digits of a size, or bytes of a line or of the trailers
}

type chunkState uint8

const (
	inSize    chunkState = iota
	inPadding            // spaces behind a size
	inExtension
	inSizeEnd // CR has come
	inData
	inDataEnd     // CR is to come
	inDataEndLine // LF is to come
	inTrailer     // at the start of a line
	inTrailerLine
	inTrailerEnd // CR has come at the start of a line
	inEnd
)

const (
	// maxDigits of a size are more than any server sends in one piece.
	maxDigits = 15
	// maxExtension is the room for a size with its extensions, as in net/http.
	maxExtension = 4 << 10
	maxTrailers  = 64 << 10
)

var errChunk = errors.New("malformed chunk")

// ended reports whether the last chunk has come, with all that belongs to it.
func (d *chunks) ended() bool { return d.state == inEnd }

// decode moves the data in in to out until one of them is used up or the body has
// ended, and tells how much it was and what is left of in. out may be the beginning
// of in's own memory.
func (d *chunks) decode(out, in []byte) (n int, rest []byte, err error) {
	for len(in) > 0 && d.state != inEnd {
		if d.state == inData {
			if n == len(out) {
				break
			}
			size := copy(out[n:], in[:min(uint64(len(in)), d.left)])
			n, in = n+size, in[size:]
			if d.left -= uint64(size); d.left == 0 {
				d.state = inDataEnd
			}
			continue
		}
		if !d.step(in[0]) {
			return n, in, errChunk
		}
		in = in[1:]
	}
	return n, in, nil
}

// step takes one byte of what is around the data.
func (d *chunks) step(c byte) bool {
	switch d.state {
	case inSize:
		if v, ok := hex(c); ok {
			d.left = d.left<<4 | uint64(v)
			d.n++
			return d.n <= maxDigits
		}
		if d.n == 0 {
			return false
		}
		d.n = 0
		return d.behindSize(c)
	case inPadding:
		if d.n++; d.n > maxExtension {
			return false
		}
		return d.behindSize(c)
	case inExtension:
		d.n++
		switch {
		case c == '\r':
			d.state = inSizeEnd
		case c == '\n' || d.n > maxExtension:
			return false
		}
	case inSizeEnd:
		d.n = 0
		if d.state = inData; d.left == 0 {
			d.state = inTrailer
		}
		return c == '\n'
	case inDataEnd:
		d.state = inDataEndLine
		return c == '\r'
	case inDataEndLine:
		d.state, d.n = inSize, 0
		return c == '\n'
	case inTrailer:
		d.n++
		switch c {
		case '\r':
			d.state = inTrailerEnd
		case '\n':
			return false
		default:
			d.state = inTrailerLine
		}
		return d.n <= maxTrailers
	case inTrailerLine:
		if d.n++; c == '\n' {
			d.state = inTrailer
		}
		return d.n <= maxTrailers
	case inTrailerEnd:
		d.state = inEnd
		return c == '\n'
	}
	return true
}

// behindSize takes a byte behind the digits of a size.
func (d *chunks) behindSize(c byte) bool {
	switch c {
	case '\r':
		d.state = inSizeEnd
	case ';':
		d.state = inExtension
	case ' ', '\t':
		d.state = inPadding
	default:
		return false
	}
	return true
}

func hex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
