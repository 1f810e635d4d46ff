package quiet

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"unsafe"
)

// Conn returns c, made quiet where that can be done: a TCP connection on Linux. Its
// socket must never be set to block, as [os.File.Fd] does with that of its File: the
// runtime would stand still with it.
func Conn(c net.Conn) net.Conn {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return c
	}
	q := &conn{TCPConn: t}
	q.in = transfer{name: "read", trap: syscall.SYS_READ, told: syscall.Read, wait: raw.Read}
	q.in.try = q.in.read
	q.out = transfer{name: "write", trap: syscall.SYS_WRITE, told: syscall.Write, wait: raw.Write}
	q.out.try = q.out.write
	return q
}

type conn struct {
	*net.TCPConn
	in, out transfer
}

// A transfer is the way of bytes in one direction. Like a connection of the net
// package it may be used by several goroutines, which take turns.
type transfer struct {
	name string
	trap uintptr                             // the system call
	told func(fd int, b []byte) (int, error) // the same, of which the scheduler knows
	// wait calls its argument, the first time at once, as often as the socket may be
	// ready, until that is content.
	wait func(func(fd uintptr) bool) error
	try  func(fd uintptr) bool // read or write; kept, as making it costs an allocation

	mu   sync.Mutex
	buf  []byte
	n    int           // of it are done
	no   syscall.Errno // why there are no more
	work int           // bytes, since the scheduler was told
}

// perCall is what a system call counts for among the bytes, with what is done about
// its result: many small pieces are work, too.
const perCall = 128

func (c *conn) Read(b []byte) (int, error) {
	if len(b) == 0 || len(b) > Short {
		return c.TCPConn.Read(b)
	}
	n, err := c.move(&c.in, b)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

func (c *conn) Write(b []byte) (int, error) {
	if len(b) == 0 || len(b) > Short {
		return c.TCPConn.Write(b)
	}
	return c.move(&c.out, b)
}

// move makes a transfer, with the errors that the net package would give.
func (c *conn) move(t *transfer, b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf, t.n, t.no = b, 0, 0
	err := t.wait(t.try)
	t.buf = nil
	switch op, ok := err.(*net.OpError); {
	case ok:
		op.Op = t.name
	case err == nil && t.no != 0:
		err = &net.OpError{Op: t.name, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError(t.name, t.no)}
	}
	return t.n, err
}

// read takes what there is.
func (t *transfer) read(fd uintptr) (done bool) { return t.call(fd) }

// write gives as much as there is room for, until it has given all.
func (t *transfer) write(fd uintptr) (done bool) {
	for done = true; done && t.no == 0 && t.n < len(t.buf); {
		done = t.call(fd)
	}
	return done
}

// call makes a system call for what is left, and reports false when the socket is not
// ready for it.
func (t *transfer) call(fd uintptr) bool {
	left := t.buf[t.n:]
	for {
		n, no := t.ask(fd, left)
		switch no {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false
		case 0:
			t.n += n
			t.work += n + perCall
		}
		t.no = no
		return true
	}
}

// ask makes the system call for b.
func (t *transfer) ask(fd uintptr, b []byte) (int, syscall.Errno) {
	if racing || t.work > Short {
		t.work = 0
		n, err := t.told(int(fd), b)
		no, _ := err.(syscall.Errno)
		return n, no
	}
	n, _, no := syscall.RawSyscall(t.trap, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return int(n), no
}

// Silent reports whether nothing has come, not even the end. What has come is lost.
func (c *conn) Silent() bool {
	t := &c.in
	t.mu.Lock()
	defer t.mu.Unlock()
	var b [1]byte
	t.buf, t.n, t.no = b[:], 0, 0
	silent := false
	err := t.wait(func(fd uintptr) bool {
		silent = !t.read(fd)
		return true
	})
	t.buf = nil
	return err == nil && silent
}
