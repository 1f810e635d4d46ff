package jsonscan

import "encoding/binary"

// windowSize is how much a scanner looks at in one go. The names and short strings
// of an object stand close together, so that one look finds the ends of several.
const windowSize = 64

// ahead marks what does not stand for itself in a string: bit k is set if b[i+k] is a
// quote, a backslash or a control character. Bits above the lowest may be missing.
// None is set if there is none before b[i+windowSize], or if b ends before that.
func (s *scanner) ahead(i int) uint64 {
	if stops := s.stops >> uint(i-s.window); stops != 0 {
		return stops
	}
	return s.look(i)
}

// look moves the window to i, or as close as the end of b lets it.
func (s *scanner) look(i int) uint64 {
	at := min(i, len(s.b)-windowSize)
	if at < 0 {
		return 0
	}
	s.window = at
	if block := (*[windowSize]byte)(s.b[at:]); vectors {
		s.stops = stopsVector(block)
	} else {
		s.stops = stopsWords(block)
	}
	return s.stops >> uint(i-at)
}

// stopsWords finds the stops eight bytes at a time.
func stopsWords(b *[windowSize]byte) (stops uint64) {
	const gather = 0x0102040810204080 // moves bits 0, 8, 16 … to 56, 57, 58 …
	for k := 0; k < windowSize; k += 8 {
		x := binary.LittleEndian.Uint64(b[k:])
		// As in special, but with the high bits set nothing is borrowed from above.
		quote, slash := x^(0x02*ones)|highs, x^backslash|highs
		m := ^((quote-0x21*ones)&(slash-ones) | x) & highs
		stops |= m >> 7 * gather >> 56 << k
	}
	return stops
}
