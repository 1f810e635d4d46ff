package quiet_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"anyproxy/internal/quiet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair gives the two ends of a connection over loopback, the first one as wrap makes it.
func pair(t testing.TB, wrap func(net.Conn) net.Conn) (net.Conn, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	far, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	near, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return wrap(near), far.(*net.TCPConn)
}

func asItIs(c net.Conn) net.Conn { return c }

// both tests a quiet connection and an ordinary one: what holds for the one holds for
// the other.
func both(t *testing.T, test func(t *testing.T, near net.Conn, far *net.TCPConn)) {
	for name, wrap := range map[string]func(net.Conn) net.Conn{"quiet": quiet.Conn, "ordinary": asItIs} {
		t.Run(name, func(t *testing.T) {
			near, far := pair(t, wrap)
			test(t, near, far)
		})
	}
}

// TestBytes sends what is short, just short, long, and longer than all buffers, both
// ways at once.
func TestBytes(t *testing.T) {
	for _, size := range []int{0, 1, 100, quiet.Short - 1, quiet.Short, quiet.Short + 1, 5 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			both(t, func(t *testing.T, near net.Conn, far *net.TCPConn) {
				sent := make([]byte, size)
				for i := range sent {
					sent[i] = byte(i ^ i>>8 ^ i>>16)
				}
				send := func(c net.Conn) {
					for left := sent; len(left) > 0; {
						n := min(len(left), quiet.Short)
						if size > 1<<20 && len(left) == size {
							n = 1 << 20 // more than is short
						}
						if wrote, err := c.Write(left[:n]); wrote != n || err != nil {
							t.Errorf("wrote %d of %d: %v", wrote, n, err)
							return
						}
						left = left[n:]
					}
					if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
						t.Error(err)
					}
				}
				var group sync.WaitGroup
				for _, c := range []net.Conn{near, far} {
					group.Go(func() { send(c) })
					group.Go(func() {
						if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, sent) {
							t.Errorf("%d bytes came of %d: %v", len(got), size, err)
						}
					})
				}
				group.Wait()
			})
		})
	}
}

// TestEnds holds what a reader and a writer are told at the end against what the
// net package tells.
func TestEnds(t *testing.T) {
	// A write into a connection that has been reset fails at once or with the next one.
	writeOn := func(c net.Conn) (err error) {
		for range 1000 {
			if _, err = c.Write(make([]byte, 1000)); err != nil {
				break
			}
		}
		return err
	}
	for name, c := range map[string]struct {
		end  func(near net.Conn, far *net.TCPConn)
		do   func(near net.Conn) error
		want error
	}{
		"end": {
			func(_ net.Conn, far *net.TCPConn) { far.CloseWrite() },
			func(c net.Conn) error { _, err := c.Read(make([]byte, 8)); return err }, io.EOF,
		},
		"reset, read": {
			func(_ net.Conn, far *net.TCPConn) { far.SetLinger(0); far.Close() },
			func(c net.Conn) error { _, err := c.Read(make([]byte, 8)); return err }, syscall.ECONNRESET,
		},
		"closed by the other, write": {
			func(_ net.Conn, far *net.TCPConn) { far.SetLinger(0); far.Close() },
			func(c net.Conn) error {
				_, _ = c.Read(make([]byte, 8)) // the reset has come
				return writeOn(c)
			}, syscall.EPIPE,
		},
		"closed, read": {
			func(c net.Conn, _ *net.TCPConn) { c.Close() },
			func(c net.Conn) error { _, err := c.Read(make([]byte, 8)); return err }, net.ErrClosed,
		},
		"closed, write": {
			func(c net.Conn, _ *net.TCPConn) { c.Close() },
			func(c net.Conn) error { _, err := c.Write(make([]byte, 8)); return err }, net.ErrClosed,
		},
		"nothing comes": {
			func(c net.Conn, _ *net.TCPConn) { c.SetReadDeadline(time.Now().Add(10 * time.Millisecond)) },
			func(c net.Conn) error { _, err := c.Read(make([]byte, 8)); return err }, os.ErrDeadlineExceeded,
		},
		"too late": {
			func(c net.Conn, far *net.TCPConn) { far.Write([]byte("x")); c.SetReadDeadline(time.Unix(1, 0)) },
			func(c net.Conn) error { _, err := c.Read(make([]byte, 8)); return err }, os.ErrDeadlineExceeded,
		},
		"nobody reads": {
			func(c net.Conn, _ *net.TCPConn) { c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)) },
			func(c net.Conn) (err error) {
				for err == nil {
					_, err = c.Write(make([]byte, quiet.Short))
				}
				return err
			}, os.ErrDeadlineExceeded,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var said []string
			both(t, func(t *testing.T, near net.Conn, far *net.TCPConn) {
				c.end(near, far)
				err := c.do(near)
				if !errors.Is(err, c.want) {
					t.Fatalf("got %v, want %v", err, c.want)
				}
				said = append(said, strings.NewReplacer(near.LocalAddr().String(), "NEAR", near.RemoteAddr().String(), "FAR").Replace(err.Error()))
			})
			if len(said) == 2 && said[0] != said[1] {
				t.Errorf("says %q, the net package %q", said[0], said[1])
			}
		})
	}
}

// TestADeadlineIsMoved while it is waited for: put off, and brought forward.
func TestADeadlineIsMoved(t *testing.T) {
	both(t, func(t *testing.T, near net.Conn, far *net.TCPConn) {
		const soon = 20 * time.Millisecond
		done := make(chan error)
		read := func() {
			_, err := near.Read(make([]byte, 1))
			done <- err
		}
		start := time.Now()
		near.SetReadDeadline(start.Add(soon))
		go read()
		near.SetReadDeadline(start.Add(3 * soon))
		if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) < 3*soon {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		near.SetReadDeadline(time.Now().Add(time.Hour))
		go read()
		near.SetReadDeadline(time.Now().Add(soon))
		if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		near.SetReadDeadline(time.Time{}) // it can be read again
		go read()
		far.Write([]byte("x"))
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestCloseEndsAWait closes a connection that is being read, and one whose write
// found no room.
func TestCloseEndsAWait(t *testing.T) {
	for name, use := range map[string]func(c net.Conn) (int, error){
		"read": func(c net.Conn) (int, error) { return c.Read(make([]byte, 8)) },
		"write": func(c net.Conn) (n int, err error) {
			for err == nil {
				n, err = c.Write(make([]byte, quiet.Short))
			}
			return n, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			near, _ := pair(t, quiet.Conn)
			done := make(chan error, 1)
			go func() { _, err := use(near); done <- err }()
			time.Sleep(20 * time.Millisecond) // it waits by then, or will find it closed
			near.Close()
			if err := <-done; !errors.Is(err, net.ErrClosed) {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

// TestReadersTakeTurns has several goroutines read one connection, and several write it.
func TestReadersTakeTurns(t *testing.T) {
	near, far := pair(t, quiet.Conn)
	const each, writers = 1000, 4
	var group, reading sync.WaitGroup
	var mu sync.Mutex
	got := 0
	for range 3 {
		reading.Go(func() {
			for b := make([]byte, 7); ; {
				n, err := near.Read(b)
				mu.Lock()
				got += n
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	for range writers {
		group.Go(func() {
			for range each {
				if _, err := near.Write([]byte("four")); err != nil {
					t.Error(err)
				}
				if _, err := far.Write([]byte("four")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	back := make([]byte, 4*each*writers)
	if _, err := io.ReadFull(far, back); err != nil || !bytes.Equal(back, bytes.Repeat([]byte("four"), each*writers)) {
		t.Errorf("what was written by several is mixed: %v", err)
	}
	group.Wait()
	far.Close()
	reading.Wait()
	if got != len(back) {
		t.Errorf("%d bytes were read of %d", got, len(back))
	}
}

// TestWhoReadsComesBehindWhoWrote is for the race detector: an exchange orders what was
// done before it and after it.
func TestWhoReadsComesBehindWhoWrote(t *testing.T) {
	both(t, func(t *testing.T, near net.Conn, far *net.TCPConn) {
		asked, answered := 0, 0
		done := make(chan bool)
		go func() {
			defer close(done)
			b := make([]byte, 1)
			far.Read(b)
			asked++
			answered++
			far.Write(b)
		}()
		asked++
		near.Write([]byte("x"))
		near.Read(make([]byte, 1))
		if answered++; asked != 2 || answered != 2 {
			t.Errorf("asked %d, answered %d times", asked, answered)
		}
		<-done
	})
}

// TestNothingIsAllocated: a stream of minutes must leave nothing to be collected.
func TestNothingIsAllocated(t *testing.T) {
	near, far := pair(t, quiet.Conn)
	b := make([]byte, 100)
	if n := testing.AllocsPerRun(1000, func() {
		near.Write(b)
		io.ReadFull(far, b)
		far.Write(b)
		io.ReadFull(near, b)
	}); n > 0 {
		t.Errorf("an event there and back allocates %v times", n)
	}
}

// TestWhatMakesThem: a listener and a dialer give connections as Conn does, and hand
// failures on.
func TestWhatMakesThem(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	q := quiet.Listener(l)
	dial := quiet.Dial(new(net.Dialer).DialContext)
	far, err := dial(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	near, err := q.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	plain, _ := pair(t, asItIs)
	want := fmt.Sprintf("%T", quiet.Conn(plain))
	for _, c := range []net.Conn{near, far} {
		if got := fmt.Sprintf("%T", c); got != want {
			t.Errorf("made a %s, Conn a %s", got, want)
		}
	}
	q.Close()
	if _, err := q.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed listener says %v", err)
	}
	if c, err := dial(t.Context(), "tcp", l.Addr().String()); err == nil || c != nil {
		t.Errorf("where nobody listens there is %v, %v", c, err)
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if quiet.Conn(a) != a {
		t.Error("what is no TCP connection was changed")
	}
}
