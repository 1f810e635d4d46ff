package front

import (
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A watch tells connections that their clients have left. The kernel says so without
// anybody reading, and one goroutine hears it for all of them. A nil one watches nothing.
type watch struct {
	events *os.File // an epoll
	wait   func(func(fd uintptr) bool) error

	mu    sync.Mutex
	conns map[uint64]*conn
	last  uint64 // key of conns: descriptors are used again, at once
}

func newWatch() *watch {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil
	}
	_ = unix.SetNonblock(fd, true) // has the runtime wait for it
	w := &watch{events: os.NewFile(uintptr(fd), "epoll"), conns: map[uint64]*conn{}}
	raw, err := w.events.SyscallConn()
	if err != nil || w.events.SetDeadline(time.Time{}) != nil { // as without it, a thread would
		_ = w.events.Close()
		return nil
	}
	w.wait = raw.Read
	go w.run()
	return w
}

// add watches c, where that can be done.
func (w *watch) add(c *conn) bool {
	s, ok := c.rwc.(syscall.Conn)
	if w == nil || !ok {
		return false
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last++
	c.key = w.last
	w.conns[c.key] = c
	added := false
	err = raw.Control(func(fd uintptr) {
		added = w.control(unix.EPOLL_CTL_ADD, fd, c.key) == nil
	})
	if err != nil || !added {
		delete(w.conns, c.key)
		return false
	}
	return true
}

// remove ends the watch of c.
func (w *watch) remove(c *conn) {
	if w == nil || !c.watched {
		return
	}
	w.mu.Lock()
	delete(w.conns, c.key)
	w.mu.Unlock()
	if raw, err := c.rwc.(syscall.Conn).SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = w.control(unix.EPOLL_CTL_DEL, fd, c.key) })
	}
}

// control asks for one word about the end of what a client sends.
func (w *watch) control(op int, fd uintptr, key uint64) error {
	raw, err := w.events.SyscallConn()
	if err != nil {
		return err
	}
	e := unix.EpollEvent{Events: unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(uint32(key)), Pad: int32(uint32(key >> 32))}
	failed := raw.Control(func(epoll uintptr) { err = unix.EpollCtl(int(epoll), op, int(fd), &e) })
	if failed != nil {
		return failed
	}
	return err
}

// run tells until the watch is closed.
func (w *watch) run() {
	var events [64]unix.EpollEvent
	for {
		n := 0
		err := w.wait(func(fd uintptr) bool {
			n, _ = unix.EpollWait(int(fd), events[:], 0)
			return n > 0
		})
		if err != nil {
			return
		}
		for _, e := range events[:n] {
			w.mu.Lock()
			c := w.conns[uint64(uint32(e.Fd))|uint64(uint32(e.Pad))<<32]
			w.mu.Unlock()
			if c != nil {
				c.leave()
			}
		}
	}
}

func (w *watch) close() {
	if w != nil {
		_ = w.events.Close()
	}
}
