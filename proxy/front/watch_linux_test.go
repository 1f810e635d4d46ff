package front_test

import (
	"errors"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"anyproxy/internal/quiet"
	"anyproxy/proxy/front"
)

// TestNothingIsLeft of thousands of connections: no descriptor, no memory of them.
func TestNothingIsLeft(t *testing.T) {
	s := over(t, quiet.Conn, stormy(t))
	storm(t, s, 0, 50) // what is there once is there
	before := 0
	settles(t, func() bool { before = descriptors(t); return front.Watched(s.Server) == 0 })
	storm(t, s, 50, 600)
	settles(t, func() bool { return front.Watched(s.Server) == 0 && descriptors(t) <= before })
	if n := descriptors(t); n > before {
		t.Errorf("%d descriptors, %d before", n, before)
	}
	if n := front.Watched(s.Server); n > 0 {
		t.Errorf("%d connections are watched", n)
	}
}

// settles waits until is holds.
func settles(t *testing.T, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Error("it does not settle")
			return
		}
	}
}

func descriptors(t *testing.T) int {
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// TestWatchedNoMore: neither what is net/http's is, nor what has ended.
func TestWatchedNoMore(t *testing.T) {
	s := serve(t, echo)
	one, two := ring(t, s), ring(t, s)
	for _, c := range []caller{one, two} {
		c.send(get)
		c.answer()
	}
	if n := front.Watched(s.Server); n != 2 {
		t.Errorf("%d connections are watched", n)
	}
	one.send(odd)
	one.answer()
	if n := front.Watched(s.Server); n != 1 {
		t.Errorf("%d connections are watched", n)
	}
	_ = two.Close()
	settles(t, func() bool { return front.Watched(s.Server) == 0 })
}

// TestNoWatch: without a descriptor for it each connection listens for itself, and the
// next one asks for it again.
func TestNoWatch(t *testing.T) {
	begun, done := make(chan struct{}), make(chan error)
	l := &given{conn: make(chan net.Conn), gone: make(chan struct{})}
	p := serveOn(t, l, &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		done <- told(r.Context())
	})})
	real, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer real.Close()
	for watched := range 2 {
		c := ring(t, place{p.Server, real})
		near, err := real.Accept()
		if err != nil {
			t.Fatal(err)
		}
		restore := func() {}
		if watched == 0 {
			restore = noDescriptors(t)
		}
		l.conn <- near
		c.send(get)
		<-begun
		restore()
		if n := front.Watched(p.Server); n != watched {
			t.Errorf("%d connections are watched, want %d", n, watched)
		}
		_ = c.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// noDescriptors has none to be had until restore is called.
func noDescriptors(t *testing.T) (restore func()) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 0, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
	}
}

// TestShutdownLeavesNothing, also when the listener does not close as it should.
func TestShutdownLeavesNothing(t *testing.T) {
	real, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	before := goleak.IgnoreCurrent()
	s := serveOn(t, unclosable{real}, &http.Server{Handler: http.HandlerFunc(echo)})
	c := ring(t, s)
	c.send(get)
	c.answer()
	if err := s.Shutdown(t.Context()); err != errUnclosable {
		t.Errorf("Shutdown: %v", err)
	}
	c.end()
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}

type unclosable struct{ net.Listener }

func (l unclosable) Close() error {
	_ = l.Listener.Close()
	return errUnclosable
}

var errUnclosable = errors.New("unclosable")
