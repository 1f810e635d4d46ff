package front

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A conn is a client's connection. All of it but what is said otherwise, here and of a
// body, belongs to its goroutine.
type conn struct {
	server  *Server
	rwc     net.Conn
	others  *handover
	base    context.Context
	common  http.Request // what all its requests have in common
	began   time.Time
	given   bool // to net/http
	watched bool // the server's watch, which knows it by key, tells of its client's leaving
	key     uint64
	state   atomic.Int32 // also the server's
	posted  bool         // the latest request was a POST

	in     []byte  // has come and is not taken
	mem    *[]byte // that in stands in, nil when nothing has come
	broken error   // that came behind in, the beginning of a head
	ear    *ear    // that listens for the client's leaving

	mu     sync.Mutex
	left   bool               // the client has
	cancel context.CancelFunc // of the request that is served
}

// States of a connection.
const (
	fresh int32 = iota // no request has come
	idle               // none is served
	busy               // one is served
	ended
)

// freshTime is how long Shutdown waits for the first request of a connection, as that of
// net/http does: it may be on its way.
const freshTime = 5 * time.Second

// inSize holds the usual head, and all of a short request.
const inSize = 4 << 10

var inputs = sync.Pool{New: func() any { return new(make([]byte, inSize)) }}

func newConn(s *Server, rwc net.Conn, others *handover, base context.Context) *conn {
	c := &conn{server: s, rwc: rwc, others: others, base: base, began: time.Now()}
	c.base = context.WithValue(base, http.LocalAddrContextKey, rwc.LocalAddr())
	c.common = http.Request{Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	if remote := rwc.RemoteAddr(); remote != nil {
		c.common.RemoteAddr = remote.String()
	}
	return c
}

// serve answers requests until the connection ends or is net/http's.
func (c *conn) serve() {
	defer c.end()
	for first := true; ; first = false {
		q, n, err := c.head(first)
		if err != nil || !c.begin() {
			return
		}
		if n == 0 {
			c.handOver()
			return
		}
		if !c.exchange(&q, n) || !c.state.CompareAndSwap(busy, idle) {
			return
		}
	}
}

// begin says that there is a request, unless the connection has been ended meanwhile.
func (c *conn) begin() bool {
	return c.state.CompareAndSwap(fresh, busy) || c.state.CompareAndSwap(idle, busy)
}

// end ends the connection, if it is not net/http's by now. A handler may have panicked or
// ended the goroutine.
func (c *conn) end() {
	if v := recover(); v != nil {
		if err, ok := v.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
			c.server.panicked(v, c.common.RemoteAddr)
		}
	}
	c.release()
	if c.given {
		return
	}
	c.state.Store(ended)
	c.server.forget(c)
	_ = c.rwc.Close()
}

// head reads until there is a whole head, and takes it apart; n is its length. It is 0
// when what has come is nothing usual.
func (c *conn) head(first bool) (q request, n int, err error) {
	limit := c.server.HTTP.ReadHeaderTimeout
	c.skip()
	if first {
		_ = c.rwc.SetReadDeadline(after(c.began, limit))
	} else if len(c.in) == 0 {
		_ = c.rwc.SetReadDeadline(after(time.Now(), c.server.HTTP.IdleTimeout))
	}
	for ; len(c.in) == 0; c.skip() {
		if err := c.read(); err != nil {
			return q, 0, err
		}
	}
	for limited := first; ; limited = true {
		n, ok := q.parse(c.in)
		if n > 0 || !ok || len(c.in) == inSize {
			return q, n, nil
		}
		if !limited {
			_ = c.rwc.SetReadDeadline(after(time.Now(), limit))
		}
		if c.broken = c.read(); c.broken != nil {
			return q, 0, nil // net/http has a word for who stops in the middle
		}
	}
}

// skip skips empty lines before a request, which old clients send behind a POST's body
// (RFC 9112, 2.2).
func (c *conn) skip() {
	if c.posted {
		c.in = bytes.TrimLeft(c.in, "\r\n")
	}
}

// after is the time d after t, none when there is no limit.
func after(t time.Time, d time.Duration) time.Time {
	if d <= 0 {
		return time.Time{}
	}
	return t.Add(d)
}

// room is where what comes is to stand, behind in.
func (c *conn) room() []byte {
	if c.mem == nil {
		c.mem = inputs.Get().(*[]byte)
	}
	if len(c.in) == 0 {
		c.in = (*c.mem)[:0]
	} else if &c.in[0] != &(*c.mem)[0] {
		c.in = (*c.mem)[:copy(*c.mem, c.in)]
	}
	return (*c.mem)[len(c.in):]
}

// read adds what comes to in.
func (c *conn) read() error {
	n, err := c.rwc.Read(c.room())
	c.in = (*c.mem)[:len(c.in)+n]
	if n > 0 {
		return nil // an error comes again
	}
	return err
}

// release gives in's memory back.
func (c *conn) release() {
	if c.mem != nil {
		inputs.Put(c.mem)
		c.mem, c.in = nil, nil
	}
}

// handOver gives the connection to net/http, which begins with no deadline.
func (c *conn) handOver() {
	c.given = true
	c.server.forget(c)
	_ = c.rwc.SetReadDeadline(time.Time{})
	b := &begun{Conn: c.rwc, ahead: bytes.Clone(c.in), err: c.broken}
	c.release()
	c.others.give(b)
}

// exchange serves the request whose head are the first n bytes of in. It reports whether
// there may be another one.
func (c *conn) exchange(q *request, n int) bool {
	ctx, cancel := context.WithCancel(c.base)
	defer cancel()
	r := c.common.WithContext(ctx)
	q.fill(r)
	c.in, c.posted = c.in[n:], q.method == http.MethodPost
	b := &body{c: c, left: q.length}
	if q.length > 0 {
		r.Body = b
	} else {
		r.Body = http.NoBody
	}
	w := &Writer{c: c, body: b, method: q.method, header: make(http.Header, 8), length: -1, close: r.Close, cancel: cancel}
	c.serving(cancel)
	again := false
	defer func() { // also when the handler panics, or ends the goroutine
		if !again {
			_ = c.rwc.Close() // who still reads waits no longer
		}
		w.err = errOver
		b.end()
	}()
	if q.length == 0 {
		c.hear()
	}
	c.server.HTTP.Handler.ServeHTTP(w, r)
	cancel()
	c.serving(nil)
	b.over.Store(true)
	again = w.finish() && !c.server.ending.Load()
	switch {
	case again:
		c.unhear()
	case w.err == nil && !b.taken():
		c.linger(b)
	}
	return again
}

// serving says whom it concerns when the client leaves.
func (c *conn) serving(cancel context.CancelFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancel = cancel; c.left && cancel != nil {
		cancel()
	}
}

// leave says that the client has left. Anybody may call it.
func (c *conn) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left = true; c.cancel != nil {
		c.cancel()
	}
}

// idles reports whether the connection waits for a request, and takes it out of use then.
func (c *conn) idles() bool {
	if c.state.Load() == fresh && time.Since(c.began) < freshTime {
		return false
	}
	return c.state.CompareAndSwap(fresh, ended) || c.state.CompareAndSwap(idle, ended)
}

// An ear listens for the client's leaving, as the system tells nobody of it who does not
// read.
type ear struct {
	done  chan struct{}
	heard [1]byte
	n     int // bytes of heard: the next request has begun
}

// hear has the client's leaving told: all of the request has been read. An ear hears
// it behind what has come by now, not behind what comes later.
func (c *conn) hear() {
	if len(c.in) == 0 {
		c.release()
	}
	if c.watched {
		return
	}
	_ = c.rwc.SetReadDeadline(time.Time{})
	e := &ear{done: make(chan struct{})}
	c.ear = e
	go func() {
		defer close(e.done)
		n, err := c.rwc.Read(e.heard[:])
		if e.n = n; err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			c.leave()
		}
	}()
}

// unhear ends that.
func (c *conn) unhear() {
	e := c.ear
	if e == nil {
		return
	}
	c.ear = nil
	_ = c.rwc.SetReadDeadline(time.Unix(1, 0))
	if <-e.done; e.n > 0 { // there is room: a request has been taken from in
		n := copy(c.room(), e.heard[:])
		c.in = (*c.mem)[:len(c.in)+n]
	}
}

// lingering is how long a client that still sends is given to read the answer, which the
// system drops when it closes a connection with something unread. It is as long as with
// net/http.
const lingering = 500 * time.Millisecond

// linger ends a connection whose client may still be sending, however much that is: to close
// it before the client has read the answer may cost it the answer.
func (c *conn) linger(b *body) {
	_ = closeWrite(c.rwc)
	b.lastly(time.Now().Add(lingering))
	_, _ = io.Copy(io.Discard, c.rwc)
}

// A body is a request's, as far as it is there or comes. A handler may have it read by
// another goroutine, even by one that has not ended when it returns.
type body struct {
	c    *conn
	over atomic.Bool // nobody is told of the client's leaving any more

	mu   sync.Mutex // guards these, and c.in, c.mem and c.ear while the handler runs
	left int64      // bytes
	err  error

	timing   sync.Mutex // guards these
	by       time.Time
	limited  bool // by is the connection's deadline
	received bool // something is, at the moment
}

// Read implements io.Reader. The last bytes come with io.EOF.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	p = p[:min(int64(len(p)), b.left)]
	n := copy(p, b.c.in)
	if b.c.in = b.c.in[n:]; n == 0 {
		n, b.err = b.receive(p)
	}
	if b.left -= int64(n); b.left == 0 {
		b.err = io.EOF
		b.c.hear()
	}
	return n, b.err
}

// receive reads from the connection.
func (b *body) receive(p []byte) (int, error) {
	b.receiving(true)
	n, err := b.c.rwc.Read(p)
	b.receiving(false)
	if n > 0 || err == nil {
		return n, nil
	}
	b.c.leave() // as with net/http, also when it only has not come in time
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return 0, err
}

func (b *body) receiving(yes bool) {
	b.timing.Lock()
	defer b.timing.Unlock()
	if b.received = yes; yes && !b.limited {
		b.limited = true
		_ = b.c.rwc.SetReadDeadline(b.by)
	}
}

// limit sets the time by which it must come, also for who waits for it.
func (b *body) limit(t time.Time) {
	b.timing.Lock()
	defer b.timing.Unlock()
	if b.over.Load() {
		return
	}
	if b.by, b.limited = t, b.received; b.received {
		_ = b.c.rwc.SetReadDeadline(t)
	}
}

// lastly sets the time for good, after the handler.
func (b *body) lastly(t time.Time) {
	b.timing.Lock()
	defer b.timing.Unlock()
	b.by, b.limited = t, true
	_ = b.c.rwc.SetReadDeadline(t)
}

// taken reports whether nothing of it is left on the connection. If all of the rest is
// in c.in it is dropped, so that the connection can be kept; who reads later is told.
func (b *body) taken() bool {
	if !b.mu.TryLock() {
		return false // somebody waits for what is left
	}
	defer b.mu.Unlock()
	if b.left > 0 && int64(len(b.c.in)) >= b.left {
		b.c.in = b.c.in[b.left:]
		b.left, b.err = 0, http.ErrBodyReadAfterClose
		if !b.over.Load() {
			b.c.hear()
		}
	}
	return b.left == 0
}

// end has nobody read it any more: what comes is the next request's.
func (b *body) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left, b.err = 0, http.ErrBodyReadAfterClose
}

// Close implements io.Closer.
func (b *body) Close() error { return nil }
