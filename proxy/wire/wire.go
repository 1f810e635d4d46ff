// Package wire lets a handler write a chunked answer to its client's connection itself,
// past net/http, which does what it takes at a bad time: it clones and sorts the header
// and makes the head of it when the first piece is written, while the client waits for
// just that, and prints each chunk's size with fmt. Here the head is ready before, and a
// piece is one write.
//
// All else stays net/http's: what a request is, whether the connection is kept, and the
// end of the answer. It is asked to make a head as for any other answer; of that the
// lines about the framing are kept ([Begin]), and none of it is sent. So it knows that an
// answer of chunks is on its way, and ends it when the handler returns.
package wire

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A Conn is a client's connection.
type Conn struct {
	net.Conn
	hold bool   // nothing is sent
	held []byte // instead
	owed bool   // an Answer has begun and its head is not sent
}

// Listener makes a Conn of each connection that l accepts.
func Listener(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &Conn{Conn: c}, nil
}

// Write implements net.Conn.
func (c *Conn) Write(b []byte) (int, error) {
	switch {
	case c.hold:
		c.held = append(c.held, b...)
		return len(b), nil
	case c.owed:
		return 0, errOwed // nobody could make sense of what would come first
	}
	return c.Conn.Write(b)
}

var errOwed = errors.New("wire: the answer's head has not been sent")

// CloseWrite ends what the server says. It does so when it ends a connection whose
// client may still be sending.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

type contextKey struct{}

// Context is http.Server's ConnContext: requests know their Conn by it.
func Context(ctx context.Context, c net.Conn) context.Context {
	if c, ok := c.(*Conn); ok {
		return context.WithValue(ctx, contextKey{}, c)
	}
	return ctx
}

// An Answer is one that is written past net/http. It belongs to one goroutine at a time.
type Answer struct {
	conn    *Conn
	w       http.ResponseWriter
	date    string // a line
	framing string // lines, with the empty one behind them
	head    []byte // made and not sent; of its own memory, as it may wait for long
}

// buffers are for what is written at once.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// maxKept is the size of the largest buffer that is kept for the next write.
const maxKept = 64 << 10

func free(b *[]byte) {
	if cap(*b) <= maxKept {
		*b = (*b)[:0]
		buffers.Put(b)
	}
}

// Begin takes the answer to r over from w, to which nothing has been and nothing may be
// written. Its header is empty then, and says nothing any more. It is nil, and w as
// before, where that cannot be done: for a client that does not know chunks, to HEAD, and
// where the server does not serve a [Listener] or does not know [Context].
func Begin(w http.ResponseWriter, r *http.Request) *Answer {
	c, ok := r.Context().Value(contextKey{}).(*Conn)
	if !ok || !r.ProtoAtLeast(1, 1) || r.Method == http.MethodHead {
		return nil
	}
	h := w.Header()
	for name := range h {
		if name != "Connection" { // which net/http must obey
			delete(h, name)
		}
	}
	c.hold = true
	w.WriteHeader(http.StatusOK)
	err := http.NewResponseController(w).Flush()
	c.hold, c.owed = false, true
	made := string(c.held)
	c.held = c.held[:0]
	a := &Answer{conn: c, w: w}
	if err != nil && !errors.Is(err, http.ErrNotSupported) { // of 100 Continue: the client has left
		_ = c.Close()
		return a
	}
	_, lines, _ := strings.Cut(made, "\r\n")
	for line := range strings.Lines(lines) {
		if strings.HasPrefix(line, "Date:") {
			a.date = line
		} else {
			a.framing += line
		}
	}
	if err != nil || !strings.HasSuffix(a.framing, "Transfer-Encoding: chunked\r\n\r\n") {
		panic("wire: this is no server of net/http: its head is " + strconv.Quote(made))
	}
	return a
}

// Head makes the head that is sent with the first Write, instead of one that was made
// before. What h says about the framing does not count. A status whose answers have no
// body makes none: what is written behind it would be taken for the next answer.
func (a *Answer) Head(status int, h http.Header) {
	if status < 200 || status > 999 || status == http.StatusNoContent || status == http.StatusNotModified {
		a.head = nil
		return
	}
	buf := buffers.Get().(*[]byte)
	defer free(buf)
	b := append(*buf, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	if text := http.StatusText(status); text != "" {
		b = append(b, text...)
	} else { // as net/http says it
		b = strconv.AppendInt(append(b, "status code "...), int64(status), 10)
	}
	b = append(b, "\r\n"...)
	var few [32]string
	names := few[:0]
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if isFraming(name) || !isName(name) {
			continue
		}
		for _, value := range h[name] {
			b = append(b, name...)
			b = append(b, ": "...)
			from := len(b)
			b = append(b, strings.Trim(value, " \t\r\n")...)
			inLine(b[from:])
			b = append(b, "\r\n"...)
		}
	}
	if _, dated := h["Date"]; !dated {
		b = append(b, a.date...)
	}
	*buf = append(b, a.framing...)
	a.head = bytes.Clone(*buf)
}

func isFraming(name string) bool {
	switch name {
	case "Connection", "Content-Length", "Transfer-Encoding", "Trailer":
		return true
	}
	return false
}

// isName reports whether a header may be called so (RFC 9110, 5.6.2).
func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}

// inLine keeps a value from being more than one line.
func inLine(value []byte) {
	for i, c := range value {
		if c == '\r' || c == '\n' {
			value[i] = ' '
		}
	}
}

// Write sends pieces as one chunk, with the head before the first one. A connection on
// which it fails is closed, and the request's context ends.
func (a *Answer) Write(pieces ...[]byte) error {
	err := a.write(pieces)
	if err != nil {
		a.fail()
	}
	return err
}

func (a *Answer) write(pieces [][]byte) error {
	size := 0
	for _, p := range pieces {
		size += len(p)
	}
	if a.head == nil && a.conn.owed {
		return errOwed
	}
	buf := buffers.Get().(*[]byte)
	defer free(buf)
	b := append(*buf, a.head...)
	a.head = nil
	if size > 0 { // else it would be the end
		b = append(strconv.AppendInt(b, int64(size), 16), "\r\n"...)
		for _, p := range pieces {
			b = append(b, p...)
		}
		b = append(b, "\r\n"...)
	}
	*buf = b
	if _, err := a.conn.Conn.Write(b); err != nil {
		return err
	}
	a.conn.owed = false
	return nil
}

// fail ends the connection, and has net/http write to it. It may not be reading, when the
// next request has come; it also cancels the request's context when it cannot write.
func (a *Answer) fail() {
	_ = a.conn.Close()
	_, _ = a.w.Write([]byte("x"))
	_ = http.NewResponseController(a.w).Flush()
}
