package upstream

import (
	"net"
	"net/netip"
	"syscall"
	"time"
)

// A connection can die without a word: a router forgets it, a machine sleeps, a
// network is gone. The system then repeats what is not acknowledged for a
// quarter of an hour (tcp(7), tcp_retries2), and of one that waits for an answer
// there is nothing to repeat. So it is asked to give up after lifeless in either
// case: where nobody says anything it probes from probeAfter on, every
// probeEvery, and the bound of what waits for an acknowledgement is as long as
// these probes take (blog.cloudflare.com/when-tcp-sockets-refuse-to-die, and
// gRPC's proposal A18, whose 20 s would end streams that a short outage spares).
//
// That bound also ends a connection whose other end is alive and reads nothing, such
// as a server that does one request at a time (tcp_timer.c, tcp_probe_timer). On
// this machine, where those are and no network can fail, it is not set.
const (
	lifeless   = 30 * time.Second
	probeAfter = 15 * time.Second
	probeEvery = 5 * time.Second
)

// newDialer makes connections within limit, which are given up when lifeless.
func newDialer(limit time.Duration) *net.Dialer {
	return &net.Dialer{
		Timeout: limit,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: probeAfter, Interval: probeEvery,
			Count: int((lifeless - probeAfter) / probeEvery)},
		Control: func(_, address string, c syscall.RawConn) error {
			if to, err := netip.ParseAddrPort(address); err == nil && to.Addr().Unmap().IsLoopback() {
				return nil
			}
			return c.Control(func(fd uintptr) { boundUnacknowledged(fd, lifeless) })
		},
	}
}
