package upstream

import (
	"net"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The system must be told all of it: its own defaults are hours.
func TestConnectionsAreGivenUpWhenLifeless(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := newDialer(lifeless).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name                string
		level, option, want int
	}{
		{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{"TCP_KEEPIDLE, s", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 15},
		{"TCP_KEEPINTVL, s", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 5},
		{"TCP_KEEPCNT", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 3},
	} {
		err := raw.Control(func(fd uintptr) {
			got, err := unix.GetsockoptInt(int(fd), tt.level, tt.option)
			if err != nil || got != tt.want {
				t.Errorf("%s: %d, %v; want %d", tt.name, got, err, tt.want)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A server on this machine that is busy may leave a request unread for as long as
// the limits on silence allow: the system must not be asked to give that up.
func TestOnlyANetworkIsLifeless(t *testing.T) {
	for address, want := range map[string]int{
		"192.0.2.1:443": 30_000, "[2001:db8::1]:443": 30_000, "[fe80::1%eth0]:443": 30_000,
		"127.0.0.1:11434": 0, "127.8.8.8:1": 0, "[::1]:8080": 0, "[::ffff:127.0.0.1]:8080": 0,
	} {
		var plain net.ListenConfig
		plain.SetMultipathTCP(false) // as a Dialer's, and a socket of the other kind has no such bound
		l, err := plain.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		raw, err := l.(syscall.Conn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		if err := newDialer(lifeless).Control("tcp", address, raw); err != nil {
			t.Fatal(err)
		}
		err = raw.Control(func(fd uintptr) {
			if got, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT); err != nil || got != want {
				t.Errorf("to %s: TCP_USER_TIMEOUT of %d ms, %v; want %d", address, got, err, want)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
	}
}
