package upstream

import (
	"time"

	"golang.org/x/sys/unix"
)

// boundUnacknowledged has the system give up a connection on which what was sent
// has not been acknowledged for d (tcp(7), TCP_USER_TIMEOUT; RFC 5482). A system
// that does not know that goes on as it would have.
func boundUnacknowledged(fd uintptr, d time.Duration) {
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
}
