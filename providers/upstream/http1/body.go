package http1

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// A Body is that of an answer. At its end the connection goes back to the pool:
// io.EOF comes with the last bytes where both have come. It belongs to one
// goroutine.
type Body struct {
	c   *conn // nil once it has been given back or closed
	ctx context.Context
	// ahead has been read from the connection and not been asked for; in store,
	// which is nil when there is none.
	ahead []byte
	store *[]byte
	full  bool // the last read of the socket filled all the room there was

	frame   framing
	chunks  chunks
	left    uint64 // byLength
	keep    bool
	err     error // sticky
	limited bool  // a read deadline is set

	heard   bool         // a byte of an answer has come
	wrote   error        // what writing the request came to
	writing <-chan error // instead, as long as that is not known; else nil
	release func() bool  // lets ctx go
}

// burst is how much is taken from the socket while an answer comes in a burst.
const burst = 32 << 10

var bursts = sync.Pool{New: func() any { return new(make([]byte, 0, burst)) }}

// begin starts the body behind the head that ends at end.
func (b *Body) begin(h head, buf *[]byte, end int) {
	b.frame, b.left, b.keep = h.frame, h.length, h.keep
	b.full = len(*buf) == cap(*buf)
	b.ahead, b.store = (*buf)[end:], buf
	if len(b.ahead) == 0 {
		b.drop()
	}
	if b.frame == byLength && b.left == 0 {
		b.over(b.ahead)
		b.finish()
	}
}

// drop lets the memory of ahead go.
func (b *Body) drop() {
	if b.store != nil {
		if cap(*b.store) == burst {
			bursts.Put(b.store)
		} else {
			freeHead(b.store)
		}
	}
	b.ahead, b.store = nil, nil
}

// Read makes at most one useful read of the socket, into p itself unless the
// answer comes faster than it is read.
func (b *Body) Read(p []byte) (n int, err error) {
	for n == 0 && b.err == nil && len(p) > 0 {
		if len(b.ahead) == 0 {
			if b.full && len(p) < burst {
				b.readAhead()
				continue
			}
			n = b.readInto(p)
		} else {
			n, b.ahead = b.take(p, b.ahead)
			if len(b.ahead) == 0 && b.store != nil {
				b.drop()
			}
		}
	}
	if n > 0 && b.err != io.EOF {
		return n, nil // a failure comes by itself
	}
	return n, b.err
}

// readInto makes a read of the socket into p, which it leaves with data only.
func (b *Body) readInto(p []byte) int {
	if b.frame == byLength {
		p = p[:min(uint64(len(p)), b.left)]
	}
	n, err := b.c.Read(p)
	b.full = n == len(p)
	got, _ := b.take(p, p[:n]) // data is never more than what came with it
	b.broke(err)
	return got
}

// readAhead makes a read of the socket into memory of its own.
func (b *Body) readAhead() {
	b.store = bursts.Get().(*[]byte)
	room := (*b.store)[:burst]
	n, err := b.c.Read(room)
	b.full = n == burst
	if b.ahead = room[:n]; n == 0 {
		b.drop()
	}
	if err != nil && n == 0 {
		b.broke(err)
	}
}

// take moves data from in, as it came, to p, and tells what is left of in. p may be
// the beginning of in.
func (b *Body) take(p, in []byte) (n int, rest []byte) {
	switch b.frame {
	case byChunks:
		var err error
		n, rest, err = b.chunks.decode(p, in)
		switch {
		case err != nil:
			b.fail(err)
			return n, nil
		case b.chunks.ended():
			b.over(rest)
			b.finish()
			return n, nil
		}
	case byLength:
		n = copy(p, in[:min(uint64(len(in)), b.left)])
		rest = in[n:]
		if b.left -= uint64(n); b.left == 0 {
			b.over(rest)
			b.finish()
			return n, nil
		}
	case byEnd:
		n = copy(p, in)
		rest = in[n:]
	}
	return n, rest
}

// over notes that more has come than was asked for: the connection is of no more
// use.
func (b *Body) over(rest []byte) {
	if len(rest) > 0 {
		b.keep = false
	}
}

// broke takes up what a read of the socket ended with.
func (b *Body) broke(err error) {
	switch {
	case err == nil || b.err != nil:
	case err != io.EOF:
		b.fail(err)
	case b.frame == byEnd:
		b.finish()
	default:
		b.fail(io.ErrUnexpectedEOF)
	}
}

// Waiting reports whether the next Read surely gives something without waiting.
func (b *Body) Waiting() bool {
	if b.err != nil || len(b.ahead) == 0 || b.frame != byChunks {
		return b.err != nil || len(b.ahead) > 0
	}
	var one [1]byte
	next := b.chunks
	n, _, err := next.decode(one[:], b.ahead)
	return n > 0 || err != nil || next.ended()
}

// finish ends the exchange after a whole answer: the connection goes back.
func (b *Body) finish() {
	b.err = io.EOF
	b.drop()
	c := b.c
	b.c = nil
	if !b.release() || !b.keep || !b.written() {
		c.close()
		rethrow(b.wrote)
		return
	}
	if b.limited {
		_ = c.raw.SetReadDeadline(time.Time{})
	}
	c.pool.put(c)
}

// written waits a little for the end of the request, and reports whether all of
// it has been sent.
func (b *Body) written() bool {
	if !b.unsent() {
		return b.wrote == nil
	}
	late := time.NewTimer(writeWait)
	defer late.Stop()
	select {
	case b.wrote = <-b.writing:
		return b.wrote == nil
	case <-late.C:
		return false
	}
}

// unsent reports whether the request is still being written.
func (b *Body) unsent() bool {
	if b.writing == nil {
		return false
	}
	select {
	case b.wrote = <-b.writing:
		b.writing = nil
		return false
	default:
		return true
	}
}

// fail ends the exchange before its end.
func (b *Body) fail(err error) {
	if b.c == nil {
		return
	}
	b.drop()
	c := b.c
	b.c = nil
	b.release()
	c.close()
	if b.ctx.Err() != nil {
		err = context.Cause(b.ctx)
	}
	b.err = err
}

var errClosed = errors.New("read of a closed body")

// Close ends the exchange. A body that has not been read to its end costs the
// connection.
func (b *Body) Close() error {
	b.fail(errClosed)
	if b.err == io.EOF {
		b.err = errClosed
	}
	return nil
}

// Drain reads on for at most that long, to what should be the end of the body, so
// that the connection can be used again.
func (b *Body) Drain(limit time.Duration) {
	if b.c == nil {
		return
	}
	b.limited = true
	b.c.readFor(limit)
	p := heads.Get().(*[]byte)
	defer freeHead(p)
	for range drainReads {
		if _, err := b.Read((*p)[:cap(*p)]); err != nil {
			return
		}
	}
}

// drainReads bounds how much is read in vain.
const drainReads = 4
