package quiet_test

import (
	"net"
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
