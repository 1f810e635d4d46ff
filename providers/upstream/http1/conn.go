package http1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"syscall"
	"time"
)

// conn is a connection, in the hands of one exchange or idle in the pool.
type conn struct {
	net.Conn          // what is spoken over: raw, or TLS on it
	raw      net.Conn // the socket
	pool     *Pool
	host     *host
	probe    syscall.RawConn // of raw; nil where there is none
	idle     time.Time       // since when
	reused   bool
}

// close ends the connection without the farewell of TLS, which would wait for a
// server that does not read.
func (c *conn) close() { _ = c.raw.Close() }

// alive reports whether nothing has come on an idle connection. Whatever may have
// come, the end most of all, is not the answer to the next request.
func (c *conn) alive() bool { return c.silent() && (c.Conn == c.raw || c.empty()) }

// empty reports whether TLS holds nothing that it has taken from the socket ahead of
// what was asked for. A deadline in the past keeps it from asking the socket.
func (c *conn) empty() bool {
	_ = c.raw.SetReadDeadline(time.Unix(1, 0))
	var b [1]byte
	_, err := c.Read(b[:])
	return errors.Is(err, os.ErrDeadlineExceeded) && c.raw.SetReadDeadline(time.Time{}) == nil
}

// errDead is a connection that was idle and turned out to be dead before a byte
// of an answer came.
var errDead = errors.New("the kept-alive connection was dead")

const (
	// copied is how long a request may be to be copied behind its head: cheaper
	// than to have the system gather it, and one record of TLS.
	copied = 16 << 10
	// inline is how long a request may be to be written before the answer is waited
	// for. All of it fits into the buffers of two systems: a server that answers
	// without reading holds nothing up.
	inline = 32 << 10
	// atOnce is how long a longer one may be written before: a server that reads at
	// all, on this machine or one beside it, has it by then, and no goroutine had to
	// be woken.
	atOnce = 5 * time.Millisecond
	// deadTime is how long a connection that cannot be written to may go on to say
	// what is the matter.
	deadTime = time.Second
	// writeWait is how long the end of a request may be written after the end of
	// its answer for the connection to be kept.
	writeWait = 50 * time.Millisecond
	// maxInformed is how many informational answers may precede the real one.
	maxInformed = 5
)

// exchange sends the request and reads the head of the answer. It takes the
// connection and the head, and closes what it does not hand on.
func (c *conn) exchange(ctx context.Context, r *Request, head *[]byte) (*http.Response, error) {
	b := &Body{c: c, ctx: ctx}
	b.release = context.AfterFunc(ctx, c.close)
	r.Sent = true
	switch all := c.gather(r.Body, head); {
	case r.size() <= inline:
		b.wrote = c.write(&all)
		freeHead(head)
	case c.Conn == c.raw && runtime.GOOS != "windows" && c.writeAtOnce(&all, &b.wrote):
		freeHead(head)
	default:
		b.writing = c.writeBeside(all, head, r.Held)
	}
	h, err := b.head()
	if err != nil {
		b.fail(err)
		rethrow(b.wrote)
		return nil, b.err
	}
	res := &http.Response{
		StatusCode: h.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h.header, Body: b, ContentLength: -1,
	}
	if h.frame == byLength {
		res.ContentLength = int64(h.length)
	}
	return res, nil
}

// readFor bounds how long may be read from now on.
func (c *conn) readFor(d time.Duration) { _ = c.raw.SetReadDeadline(time.Now().Add(d)) }

// gather makes pieces of a request: one of head and body where they are short.
func (c *conn) gather(parts [3][]byte, head *[]byte) net.Buffers {
	b := *head
	all := make(net.Buffers, 1, 4)
	for _, part := range parts {
		if len(all) == 1 && len(b)+len(part) > copied && c.Conn != c.raw {
			n := max(copied-len(b), 0) // fills the record
			b, part = append(b, part[:n]...), part[n:]
		}
		switch {
		case len(part) == 0:
		case len(all) == 1 && len(b)+len(part) <= copied:
			b = append(b, part...)
		default:
			all = append(all, part)
		}
	}
	*head, all[0] = b, b
	return all
}

// write sends what is left of a request. What the server has to say to a failure
// is read for a little while.
func (c *conn) write(all *net.Buffers) error {
	err := c.writeSome(all)
	if err != nil {
		c.readFor(deadTime)
	}
	return err
}

func (c *conn) writeSome(all *net.Buffers) (err error) {
	if len(*all) == 1 {
		_, err = c.Write((*all)[0]) // spares what WriteTo allocates
	} else {
		_, err = all.WriteTo(c.Conn)
	}
	return err
}

// writeAtOnce writes a long request as far as the server takes it without delay,
// and reports whether that was all of it. Only in the clear can the rest follow,
// and not on Windows: how much of a write that was called off has been sent is
// unknown there (CancelIoEx).
func (c *conn) writeAtOnce(all *net.Buffers, wrote *error) bool {
	_ = c.raw.SetWriteDeadline(time.Now().Add(atOnce))
	_, err := all.WriteTo(c.raw)
	_ = c.raw.SetWriteDeadline(time.Time{})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	if *wrote = err; err != nil {
		c.readFor(deadTime)
	}
	return true
}

// writeBeside writes a long request while the answer is waited for: a server may
// answer before it has read all, and read no more. The result comes when the
// request's memory is not used any more.
func (c *conn) writeBeside(all net.Buffers, head *[]byte, held Holder) <-chan error {
	done := make(chan error, 1)
	held.Retain()
	go func() {
		var err error
		defer func() { done <- err }()
		defer carry(&err)
		defer held.Release()
		err = c.write(&all)
		freeHead(head)
	}()
	return done
}

// head reads up to the end of the answer's head. What came behind it is ahead.
func (b *Body) head() (head, error) {
	buf := heads.Get().(*[]byte)
	from := 0
	for informed := 0; ; {
		end := headEnd(*buf, from)
		if end < 0 {
			from = max(len(*buf)-2, 0) // half of the blank line may be there
			if len(*buf) > b.c.pool.MaxHead {
				freeHead(buf)
				return head{}, fmt.Errorf("%w: over %d bytes", errHead, b.c.pool.MaxHead)
			}
			if err := b.more(buf); err != nil {
				freeHead(buf)
				return head{}, err
			}
			continue
		}
		h, err := parseHead((*buf)[:end])
		switch {
		case err == nil && h.status == http.StatusSwitchingProtocols:
			err = fmt.Errorf("%w: a change of protocol that was not asked for", errHead)
		case err == nil && h.status < 200:
			if informed++; informed <= maxInformed {
				*buf = (*buf)[:copy(*buf, (*buf)[end:])]
				from = 0
				continue
			}
			err = fmt.Errorf("%w: more than %d informational answers", errHead, maxInformed)
		}
		if err != nil {
			freeHead(buf)
			return h, err
		}
		b.begin(h, buf, end)
		return h, nil
	}
}

// more reads more of a head.
func (b *Body) more(buf *[]byte) error {
	if have := *buf; len(have) == cap(have) {
		grown := make([]byte, len(have), 2*cap(have))
		copy(grown, have)
		*buf = grown
	}
	have := *buf
	n, err := b.c.Read(have[len(have):cap(have)])
	*buf = have[:len(have)+n]
	if n > 0 || err == nil {
		b.heard = b.heard || n > 0
		return nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && !b.unsent() && b.wrote != nil {
		err = b.wrote
	}
	switch {
	case !b.heard && b.c.reused && isDead(err):
		return errDead
	case err == io.EOF:
		return fmt.Errorf("read the answer's head: %w", io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("read the answer's head: %w", err)
}

// isDead reports whether an error is the other end's being gone.
func isDead(err error) bool {
	var system syscall.Errno
	return err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &system)
}
