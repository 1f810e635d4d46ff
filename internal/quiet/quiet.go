// Package quiet makes TCP connections that the Go runtime's monitor does not wake up for.
//
// A stream of tokens is a program that sleeps almost always: one event comes, is read,
// is written, and all is idle again. The runtime's monitor thread (sysmon) sleeps with
// it, and is woken by the first system call of whoever wakes up, in case that call
// blocks: a futex, a task switch, and then some rounds of looking every 20 µs whether
// anybody needs help, for each single event. That was a quarter of all the time that a
// stream of 50 events a second cost.
//
// A read or write of a socket that is set not to block cannot block. So these
// connections make it without telling the scheduler (syscall.RawSyscall), as the
// runtime itself asks its poller; where there is nothing to be read, or no room, the
// goroutine waits in the poller as always, with deadlines and Close.
//
// Work is told: pieces of more than [Short] bytes go the ordinary way, which wakes the
// monitor, and so does one piece after that much in smaller ones. For the thread that an
// event wakes is the one that waited for all events, and as long as it finds something
// to do without a wait it is the monitor that hears of the others, and that takes the
// processor from who has had it for 10 ms.
package quiet

import (
	"context"
	"net"
)

// Short is the longest piece, in bytes, that is read or written without a word to the
// scheduler: some 10 µs of copying, in which the thread cannot be taken away from it.
const Short = 64 << 10

// Listener makes the connections that l accepts quiet.
func Listener(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return Conn(c), nil
}

// A Dialer makes connections, as [net.Dialer.DialContext] does.
type Dialer func(ctx context.Context, network, address string) (net.Conn, error)

// Dial makes the connections that dial makes quiet.
func Dial(dial Dialer) Dialer {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return Conn(c), nil
	}
}
