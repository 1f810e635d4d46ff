// Package front serves the usual requests of HTTP/1.1 itself and has net/http serve all
// others.
//
// Usual is what clients of an API send: GET, HEAD or POST, a plain path, headers of plain
// text, a body of a known length. Such a request is taken apart where it was read; its
// handler runs on the connection's own goroutine, a flush is one write to the
// connection, and no second goroutine waits meanwhile for the client to leave where
// the system can tell that (Linux). A stream's head can be made before there is something
// to send with it ([Begin]).
//
// Whatever else there is (chunked bodies, Expect, Upgrade, HTTP/1.0, a header that is
// long, broken or only odd) is left to net/http, together with its connection and all
// that has been read of it. So a request is either as plain as it looks or it meets the
// checks of net/http. What comes over TLS is all net/http's.
package front

import (
	"context"
	"crypto/tls"
	"log"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A Server serves what HTTP is configured to serve. Of that usual requests keep to
// Handler, which must be set, BaseContext, ErrorLog, ReadHeaderTimeout and IdleTimeout, 0
// standing for no limit.
type Server struct {
	HTTP *http.Server
	// Panicked is told of what a connection's goroutine panicked with, other than
	// http.ErrAbortHandler; nil = ErrorLog is.
	Panicked func(v any)

	ending atomic.Bool
	mu     sync.Mutex
	conns  map[*conn]struct{}
	watch  *watch // nil before there may be something to watch
}

// Serve serves the connections that l accepts until Shutdown or Close, or until l fails.
// It returns what [http.Server.Serve] would.
func (s *Server) Serve(l net.Listener) error {
	h := &handover{Listener: l, conns: make(chan net.Conn), errs: make(chan error), closed: make(chan struct{})}
	base := context.Background()
	if s.HTTP.BaseContext != nil {
		base = s.HTTP.BaseContext(l)
	}
	base = context.WithValue(base, http.ServerContextKey, s.HTTP)
	if a, ok := l.Addr().(*net.TCPAddr); ok && a.Port > 0 {
		s.watchOut() // its descriptor is not for the first client to bring
	}
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		h.accept(func(c net.Conn) { s.take(c, h, base) }, s.logf)
	}()
	err := s.HTTP.Serve(h)
	<-accepted
	return err
}

// watchOut has the watch ready before there is something to watch.
func (s *Server) watchOut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watch == nil && !s.ending.Load() {
		s.watch = newWatch()
	}
}

// take serves a connection of h's listener.
func (s *Server) take(rwc net.Conn, h *handover, base context.Context) {
	defer func() {
		if v := recover(); v != nil { // no connection ends the others
			s.panicked(v, "")
			_ = rwc.Close()
		}
	}()
	if _, secure := rwc.(interface{ ConnectionState() tls.ConnectionState }); secure {
		go h.give(rwc)
		return
	}
	c := newConn(s, rwc, h, base)
	if !s.add(c) {
		_ = rwc.Close()
		return
	}
	go c.serve()
}

// add knows c from now on, unless the server ends.
func (s *Server) add(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending.Load() {
		return false
	}
	if s.conns == nil {
		s.conns = map[*conn]struct{}{}
	}
	s.conns[c] = struct{}{}
	if _, ok := c.rwc.(syscall.Conn); ok && s.watch == nil {
		s.watch = newWatch()
	}
	c.watched = s.watch.add(c)
	return true
}

// forget ends the knowledge of c.
func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.watch.remove(c)
}

// Shutdown closes the listeners and the connections without a request, and waits for the
// others' requests to be answered, or for ctx.
func (s *Server) Shutdown(ctx context.Context) error {
	s.end()
	rest := make(chan error, 1)
	go func() { rest <- s.HTTP.Shutdown(ctx) }()
	const longest = 500 * time.Millisecond
	pause := time.Millisecond
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for !s.closeIdle() {
		select {
		case <-ctx.Done():
			<-rest
			return ctx.Err()
		case <-timer.C:
			pause = min(2*pause, longest)
			timer.Reset(pause)
		}
	}
	s.unwatch()
	return <-rest
}

// Close closes the listeners and all connections. Handlers are told by their requests'
// contexts.
func (s *Server) Close() error {
	s.end()
	err := s.HTTP.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.state.Store(ended)
		_ = c.rwc.Close()
		c.leave()
	}
	s.watch.close()
	return err
}

// end lets no connection in any more.
func (s *Server) end() {
	s.mu.Lock() // after it, each one that was let in is known
	defer s.mu.Unlock()
	s.ending.Store(true)
}

func (s *Server) unwatch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watch.close()
}

// closeIdle closes the connections that wait for a request, and reports whether there
// are no others.
func (s *Server) closeIdle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.idles() {
			_ = c.rwc.Close() // its goroutine forgets it
		}
	}
	return len(s.conns) == 0
}

func (s *Server) panicked(v any, client string) {
	if s.Panicked != nil {
		s.Panicked(v)
	} else {
		s.logf("http: panic serving %v: %v\n%s", client, v, debug.Stack())
	}
}

func (s *Server) logf(format string, args ...any) {
	if l := s.HTTP.ErrorLog; l != nil {
		l.Printf(format, args...)
	} else {
		log.Printf(format, args...)
	}
}

// A handover is the listener that net/http sees: it accepts what is not served here.
type handover struct {
	net.Listener
	conns  chan net.Conn
	errs   chan error
	once   sync.Once
	closed chan struct{}
}

// Pauses of a listener that fails are as long as net/http's.
const (
	shortestPause = 5 * time.Millisecond
	longestPause  = time.Second
)

// accept calls take with each connection until the listener fails for good, of which
// net/http is told. What passes, as a lack of descriptors does, is waited for here: net/http
// would sleep, and so would what is handed over to it.
func (h *handover) accept(take func(net.Conn), logf func(string, ...any)) {
	pause := shortestPause
	for {
		c, err := h.Listener.Accept()
		if err == nil {
			pause = shortestPause
			take(c)
			continue
		}
		//lint:ignore SA1019 net/http asks the same
		if passing, ok := err.(net.Error); !ok || !passing.Temporary() {
			select {
			case h.errs <- err:
			case <-h.closed:
			}
			return
		}
		logf("http: Accept error: %v; retrying in %v", err, pause)
		select {
		case <-time.After(pause):
			pause = min(2*pause, longestPause)
		case <-h.closed:
			return
		}
	}
}

// give hands a connection over.
func (h *handover) give(c net.Conn) {
	select {
	case h.conns <- c:
	case <-h.closed:
		_ = c.Close()
	}
}

// Accept implements net.Listener.
func (h *handover) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case err := <-h.errs:
		return nil, err
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handover) Close() error {
	err := net.ErrClosed
	h.once.Do(func() {
		close(h.closed)
		err = h.Listener.Close()
	})
	return err
}

// A begun connection is one of which something has been read.
type begun struct {
	net.Conn
	ahead []byte
	err   error // that came behind it
}

// Read implements net.Conn.
func (c *begun) Read(b []byte) (int, error) {
	switch {
	case len(c.ahead) > 0:
		n := copy(b, c.ahead)
		c.ahead = c.ahead[n:]
		return n, nil
	case c.err != nil:
		return 0, c.err
	}
	c.ahead = nil // its memory
	return c.Conn.Read(b)
}

// CloseWrite ends what the server says. net/http does so when it ends a connection whose
// client may still be sending.
func (c *begun) CloseWrite() error { return closeWrite(c.Conn) }

func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
