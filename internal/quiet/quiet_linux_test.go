package quiet_test

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"anyproxy/internal/quiet"
)

// TestSilent: nothing has come, a byte has, the end has; and it is not waited for.
func TestSilent(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(near net.Conn, far *net.TCPConn)
		want bool
	}{
		"nothing": {func(net.Conn, *net.TCPConn) {}, true},
		"a byte":  {func(_ net.Conn, far *net.TCPConn) { far.Write([]byte("x")) }, false},
		"the end": {func(_ net.Conn, far *net.TCPConn) { far.Close() }, false},
		"closed":  {func(near net.Conn, _ *net.TCPConn) { near.Close() }, false},
	} {
		t.Run(name, func(t *testing.T) {
			near, far := pair(t, quiet.Conn)
			c.do(near, far)
			if got := near.(interface{ Silent() bool }).Silent(); got != c.want {
				t.Errorf("silent: %v", got)
			}
		})
	}
}

// TestABusyConnectionLeavesTheOthersHeard has an idle process woken by a connection on
// which there is always something to be read. A runtime whose monitor sleeps on would
// hear of nothing else until that is done: the thread that was woken is the one that
// waited for all, and no other takes its place.
func TestABusyConnectionLeavesTheOthersHeard(t *testing.T) {
	const size = 16 << 10 // in one segment
	both(t, func(t *testing.T, busy net.Conn, feed *net.TCPConn) {
		other, late := pair(t, asItIs)
		var heard atomic.Bool
		waiting := make(chan bool)
		go func() {
			defer close(waiting)
			other.Read(make([]byte, 1))
			heard.Store(true)
		}()
		done := make(chan int)
		go func() {
			n := 0
			for b := make([]byte, 1); n < size && !heard.Load(); n++ {
				if _, err := busy.Read(b); err != nil {
					t.Error(err)
					break
				}
				for start := time.Now(); time.Since(start) < 60*time.Microsecond; {
				}
			}
			done <- n
		}()
		// The system sends these by itself, 200 ms later: no call of ours may be near.
		hold(t, feed, size)
		time.Sleep(50 * time.Millisecond)
		hold(t, late, 1)
		if n := <-done; n == size {
			t.Error("nothing was heard of the other connection")
		}
		<-waiting
	})
}

// hold writes n bytes that the system keeps to itself for a while, as more may come.
func hold(t *testing.T, c *net.TCPConn, n int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_CORK, 1)
	}); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	if _, err := c.Write(make([]byte, n)); err != nil {
		t.Fatal(err)
	}
}

// TestAWriteThatIsCutShort: what it says to have written is what the other side gets,
// whatever ends it.
func TestAWriteThatIsCutShort(t *testing.T) {
	for name, c := range map[string]struct {
		write func(c net.Conn) (int64, error)
		cut   func(c net.Conn)
		want  error
	}{
		"pieces, deadline":  {writePieces, func(c net.Conn) { c.SetWriteDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		"pieces, close":     {writePieces, func(c net.Conn) { c.Close() }, net.ErrClosed},
		"at once, deadline": {writeWhole, func(c net.Conn) { c.SetWriteDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		"gathered, close":   {writeGathered, func(c net.Conn) { c.Close() }, net.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, near net.Conn, far *net.TCPConn) {
				type result struct {
					n   int64
					err error
				}
				done := make(chan result)
				go func() {
					n, err := c.write(near)
					done <- result{n, err}
				}()
				got, err := io.CopyN(io.Discard, far, 100<<10) // it has begun
				if err != nil {
					t.Fatal(err)
				}
				c.cut(near)
				r := <-done
				near.Close()
				more, err := io.Copy(io.Discard, far)
				if got += more; got != r.n || err != nil {
					t.Errorf("%d bytes were said to be written, %d came: %v", r.n, got, err)
				}
				if !errors.Is(r.err, c.want) {
					t.Errorf("ended with %v, want %v", r.err, c.want)
				}
			})
		})
	}
}

// endless is more than the buffers of two systems hold.
const endless = 64 << 20

func writePieces(c net.Conn) (all int64, err error) {
	b := make([]byte, quiet.Short-1)
	for err == nil && all < endless {
		var n int
		n, err = c.Write(b)
		all += int64(n)
	}
	return all, err
}

func writeWhole(c net.Conn) (int64, error) {
	n, err := c.Write(make([]byte, endless))
	return int64(n), err
}

func writeGathered(c net.Conn) (int64, error) {
	b := make(net.Buffers, 1000)
	for i := range b {
		b[i] = make([]byte, endless/len(b))
	}
	return b.WriteTo(c)
}

// BenchmarkEvent has an idle process receive and send on an event each millisecond, and
// reports what that costs it.
func BenchmarkEvent(b *testing.B) {
	for _, wrap := range []struct {
		name string
		of   func(net.Conn) net.Conn
	}{{"quiet", quiet.Conn}, {"ordinary", asItIs}} {
		b.Run(wrap.name, func(b *testing.B) {
			near, peer := pair(b, wrap.of)
			far := wrap.of(peer)
			go func() {
				for buf := make([]byte, 200); ; {
					n, err := near.Read(buf)
					if err != nil {
						return
					}
					if _, err = near.Write(buf[:n]); err != nil {
						return
					}
				}
			}()
			event := make([]byte, 150)
			before := spent(b)
			for b.Loop() {
				time.Sleep(time.Millisecond)
				if _, err := far.Write(event); err != nil {
					b.Fatal(err)
				}
				if _, err := far.Read(event); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((spent(b)-before).Microseconds())/float64(b.N), "cpu-µs/event")
		})
	}
}

// spent is the processor time that this process has used.
func spent(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
