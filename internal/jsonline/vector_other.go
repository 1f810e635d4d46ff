//go:build !amd64

package jsonline

const vectors = false

var spread [256][16]byte

func escapeVector(_, _ []byte, _ *[256][16]byte) (written, read int) {
	panic("jsonline: no vectors here")
}
