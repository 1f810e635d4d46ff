package upstream

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"

	"anyproxy/providers"
)

// sendOver makes the exchange over net/http's transport.
func (x *Exchange) sendOver(head *http.Request, kept *providers.Body, parts [3][]byte) (*http.Response, error) {
	b := newBody(kept, parts)
	b.onRepeat = x.over.closeIdle // where one is dead all are suspect: the repetition gets a fresh one
	req := (&http.Request{Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}).WithContext(x.ctx)
	req.Method, req.URL, req.Host, req.Header = head.Method, head.URL, head.Host, head.Header
	req.Body, req.GetBody, req.ContentLength = b, b.again, b.size
	res, err := x.over.net.RoundTrip(req)
	b.parts = [3][]byte{} // no repetition will be asked for, and the transport keeps it to the end of the answer
	if err != nil {
		return nil, x.unanswered(b.sent(), err)
	}
	return res, nil
}

// body is a request body in parts, none of them copied, for net/http. It holds a
// reference to the client's body until the transport closes it, which may be long
// after the upstream has answered.
type body struct {
	kept  *providers.Body
	parts [3][]byte // all of it, for again
	size  int64
	first *body // the one that newBody made
	read  atomic.Bool
	// repeated is set, on the first one, once again has been called.
	repeated atomic.Bool
	onRepeat func()
	// mu keeps a Close, which a transport may call during a Read, from giving
	// back what is being copied.
	mu     sync.Mutex
	left   [3][]byte
	closed bool
}

// newBody makes a body of parts, which lie in kept or in memory that is never
// changed. It takes a reference of kept.
func newBody(kept *providers.Body, parts [3][]byte) *body {
	kept.Retain()
	size := len(parts[0]) + len(parts[1]) + len(parts[2])
	b := &body{kept: kept, parts: parts, size: int64(size), left: parts}
	b.first = b
	return b
}

// errSpent stops a transport that has met one dead idle connection after
// another: each try may have been worked on, and paid for.
var errSpent = errors.New("a second kept-alive connection was dead")

// again is http.Request's GetBody. The transport calls it inside RoundTrip only,
// whose caller holds the client's body, for one try on another connection.
func (b *body) again() (io.ReadCloser, error) {
	if b.first.repeated.Swap(true) {
		return nil, errSpent
	}
	b.first.onRepeat()
	b.kept.Retain()
	return &body{kept: b.kept, size: b.size, first: b.first, left: b.parts}, nil
}

// sent reports whether any of the body, or of one that again made of it, may
// have reached the upstream. It is asked of what newBody returned.
func (b *body) sent() bool { return b.read.Load() }

func (b *body) Read(p []byte) (n int, err error) {
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
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Close gives the client's body back, once.
func (b *body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.closed, b.left = true, [3][]byte{}
		b.kept.Release()
	}
	return nil
}
