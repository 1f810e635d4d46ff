package upstream

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"

	"anyproxy/providers"
)

// Body is a request body in parts, none of them copied. It holds a reference
// to the client's body until the transport closes it, which may be long after
// the upstream has answered.
type Body struct {
	kept  *providers.Body
	parts [3][]byte // all of it, for again; until settle
	size  int64
	first *Body // the one that NewBody made
	read  atomic.Bool
	// repeated is set, on the first one, once again has been called.
	repeated atomic.Bool
	onRepeat func() // set by Exchange.Do
	// unread counts, on the first one, the bytes that the transport has not read
	// of the body that it is sending.
	unread atomic.Int64

	// mu keeps a Close, which a transport may call during a Read, from giving
	// back what is being copied.
	mu     sync.Mutex
	left   [3][]byte
	closed bool
}

// NewBody makes a body of parts, which lie in b or in memory that is never
// changed. It takes a reference of b.
func NewBody(b *providers.Body, parts [3][]byte) *Body {
	b.Retain()
	size := len(parts[0]) + len(parts[1]) + len(parts[2])
	out := &Body{kept: b, parts: parts, size: int64(size), left: parts}
	out.first = out
	out.unread.Store(out.size)
	return out
}

// errSpent stops a transport that has met one dead idle connection after
// another: each try may have been worked on, and paid for.
var errSpent = errors.New("a second kept-alive connection was dead")

// again is http.Request's GetBody. The transport calls it inside Send only,
// whose caller holds the client's body, for one try on another connection.
func (b *Body) again() (io.ReadCloser, error) {
	if b.first.repeated.Swap(true) {
		return nil, errSpent
	}
	if b.first.onRepeat != nil {
		b.first.onRepeat()
	}
	b.kept.Retain()
	b.first.unread.Store(b.size)
	return &Body{kept: b.kept, size: b.size, first: b.first, left: b.parts}, nil
}

// sent reports whether any of the body, or of one that again made of it, may
// have reached the upstream. It is asked of what NewBody returned.
func (b *Body) sent() bool { return b.read.Load() }

func (b *Body) Read(p []byte) (n int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, http.ErrBodyReadAfterClose
	}
	b.first.read.Store(true)
	for i := range b.left {
		c := copy(p[n:], b.left[i])
		b.left[i] = b.left[i][c:]
		n += c
	}
	b.first.unread.Add(-int64(n))
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// take gives out what is left, up to limit bytes, with a reference to the
// client's body, which the caller releases. Nothing is locked while it is being
// written: a Close must not wait for a slow upstream.
func (b *Body) take(limit int64) (out [3][]byte, n int64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return out, 0, http.ErrBodyReadAfterClose
	}
	b.first.read.Store(true)
	b.kept.Retain()
	for i, part := range b.left {
		size := min(int64(len(part)), limit-n)
		out[i], b.left[i] = part[:size], part[size:]
		n += size
	}
	b.first.unread.Add(-n)
	return out, n, nil
}

// Close gives the client's body back, once.
func (b *Body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.closed, b.left = true, [3][]byte{}
		b.kept.Release()
	}
	return nil
}

// written reports whether all of the request has been written: its header comes
// before its body, which the transport closes behind it. Of a repetition it is
// not known.
func (b *Body) written() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed && !b.repeated.Load()
}

// settle says that no repetition will be asked for. A request that has been
// answered is kept by the transport to the end of its answer: the client's body
// must not be kept with it.
func (b *Body) settle() { b.parts = [3][]byte{} }
