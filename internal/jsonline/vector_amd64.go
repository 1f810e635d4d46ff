package jsonline

import "golang.org/x/sys/cpu"

// vectors says that escapeVector can be used.
var vectors = cpu.X86.HasSSSE3 && cpu.X86.HasPOPCNT

// spread says, for each pattern of special bytes in a row of eight, from where
// the bytes of the escaped row come: by their places in the row, and with the
// highest bit set where a backslash is put.
var spread = func() (t [256][16]byte) {
	for pattern := range t {
		row := t[pattern][:0]
		for i := range byte(8) {
			if pattern>>i&1 != 0 {
				row = append(row, 0x80)
			}
			row = append(row, i)
		}
		for len(row) < 16 {
			row = append(row, 0x80)
		}
	}
	return t
}()

// escapeVector escapes from into to, in blocks of 16 bytes, as long as there is
// a whole one without a byte that is not ASCII or needs an escape of six bytes,
// and with room for 32. It says how many bytes it has written and read. What is
// behind those written may be written to as well. It needs SSSE3 and POPCNT.
//
//go:noescape
func escapeVector(to, from []byte, spread *[256][16]byte) (written, read int)
