package upstream

import (
	"context"
	"io"
	"net"
	"sync"
	"time"
)

// conn is a connection to an upstream, with what the transport's small buffers
// would cost made good. A request in the clear goes out in one write, its body
// from where it stands; an answer that comes faster than it is read is taken
// from the socket in large pieces.
//
// Like the connection itself it is read by one goroutine at a time and written
// by one.
type conn struct {
	net.Conn // a *net.TCPConn, of which no more is to be seen than a Conn
	// full says that the last read of the socket filled all the room there was.
	full  bool
	store *[aheadSize]byte // holds ahead, nil when there is none
	ahead []byte           // has been read from the socket and not been asked for

	body *Body  // of the request that is being written, nil under TLS
	head []byte // what has been written of that request and waits for its body
}

// aheadSize is how much is taken from the socket while an answer comes in a burst.
const aheadSize = 32 << 10

var (
	stores = sync.Pool{New: func() any { return new([aheadSize]byte) }}
	heads  = sync.Pool{New: func() any { return new([]byte) }}
)

// dial makes DialContext of a transport from a dialer's.
func dial(d *net.Dialer) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := d.DialContext(ctx, network, address)
		if tcp, ok := c.(*net.TCPConn); ok {
			return &conn{Conn: tcp}, nil
		}
		return c, err
	}
}

// Read reads what waits, or the socket. A first read goes straight to p: most
// streams bring one event at a time and need no more than that.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.ahead) == 0 {
		if !c.full || len(p) >= aheadSize {
			n, err := c.Conn.Read(p)
			c.full = n == len(p) && n > 0
			return n, err
		}
		store := stores.Get().(*[aheadSize]byte)
		n, err := c.Conn.Read(store[:])
		c.full = n == aheadSize
		if n == 0 {
			stores.Put(store)
			return 0, err
		}
		c.store, c.ahead = store, store[:n]
	}
	n := copy(p, c.ahead)
	if c.ahead = c.ahead[n:]; len(c.ahead) == 0 {
		stores.Put(c.store)
		c.store, c.ahead = nil, nil
	}
	return n, nil
}

// Write keeps back what comes before the end of a request's body.
func (c *conn) Write(p []byte) (int, error) {
	switch {
	case c.body != nil && c.body.unread.Load() > 0:
		if c.head == nil {
			c.head = (*heads.Get().(*[]byte))[:0]
		}
		c.head = append(c.head, p...)
	case len(c.head) == 0:
		return c.Conn.Write(p)
	default:
		c.send(p)
	}
	return len(p), nil
}

// ReadFrom is where the transport puts what its buffer does not hold of a
// request's body.
func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	limited, ok := r.(*io.LimitedReader)
	if !ok {
		return io.Copy(struct{ io.Writer }{c}, r)
	}
	b, ok := limited.R.(*Body)
	if !ok {
		return io.Copy(struct{ io.Writer }{c}, r)
	}
	parts, n, err := b.take(limited.N)
	if err != nil {
		return 0, err
	}
	defer b.kept.Release()
	c.send(parts[:]...)
	limited.N -= n
	return n, nil
}

// copied is how long a request may be to be copied behind its head: cheaper than
// to have the system gather it.
const copied = 16 << 10

// deadTime is how long a connection that cannot be written to may go on to say
// what is the matter.
const deadTime = time.Second

// send writes head and parts at once. That it cannot is not told here but by the
// next read, which fails for the same reason: by that the transport knows that a
// kept-alive connection was dead, and repeats the request on another one. An
// error of this write it would take for one of the body's.
func (c *conn) send(parts ...[]byte) {
	if c.head == nil {
		c.head = (*heads.Get().(*[]byte))[:0]
	}
	head := c.head
	c.head = nil
	all := make(net.Buffers, 1, 4)
	for _, part := range parts {
		switch {
		case len(part) == 0:
		case len(all) == 1 && len(head)+len(part) <= copied:
			head = append(head, part...)
		default:
			all = append(all, part)
		}
	}
	var err error
	if all[0] = head; len(all) == 1 {
		_, err = c.Conn.Write(head)
	} else {
		_, err = all.WriteTo(c.Conn)
	}
	heads.Put(&head)
	if err != nil {
		_ = c.SetReadDeadline(time.Now().Add(deadTime))
	}
}
