package upstream

import (
	"fmt"
	"io"
	"sync"

	"anyproxy/providers"
)

const (
	firstRead = 4 << 10
	// believedLength is how much room a Content-Length alone is worth.
	believedLength = 1 << 20
	// keepBuffer is the largest buffer that is kept for the next answer.
	keepBuffer = 256 << 10
)

// buffers keeps those of whole answers.
var buffers sync.Pool

// ReadWhole reads the body of an answer that is not streamed. What has been
// read is the caller's, also beside an error, to be given to Recycle.
func (a Answer) ReadWhole() (b []byte, err error) {
	if a.Res.ContentLength > MaxAnswer {
		return nil, a.Unusable("answer over 64 MiB")
	}
	b = TakeBuffer(int(min(max(a.Res.ContentLength+1, firstRead), believedLength)))
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := a.body.Read(b[len(b):min(cap(b), MaxAnswer+1)])
		b = b[:len(b)+n]
		switch {
		case len(b) > MaxAnswer:
			return b, a.Unusable("answer over 64 MiB")
		case err == io.EOF:
			return b, nil
		case err != nil:
			return b, a.Fail(providers.ClassBroken, fmt.Errorf("read answer: %w", err))
		}
	}
}

// TakeBuffer gives an empty buffer with room for n bytes.
func TakeBuffer(n int) []byte {
	if b, _ := buffers.Get().(*[]byte); b != nil && cap(*b) >= n {
		return *b
	}
	return make([]byte, 0, n)
}

// Recycle keeps a buffer that nobody uses any more for another answer.
func Recycle(b []byte) {
	if cap(b) > 0 && cap(b) <= keepBuffer {
		b = b[:0]
		buffers.Put(&b)
	}
}
