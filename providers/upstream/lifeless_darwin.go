package upstream

import (
	"time"

	"golang.org/x/sys/unix"
)

// boundUnacknowledged has the system give up a connection on which what was sent
// has been repeated in vain for d (netinet/tcp.h, TCP_RXT_CONNDROPTIME, in seconds).
func boundUnacknowledged(fd uintptr, d time.Duration) {
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_RXT_CONNDROPTIME, int(d.Seconds()))
}
