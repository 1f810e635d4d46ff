package http1

import (
	"syscall"
	"unsafe"
)

// watch makes silent possible.
func (c *conn) watch() {
	if s, ok := c.raw.(syscall.Conn); ok {
		c.probe, _ = s.SyscallConn()
	}
}

// silent reports whether no bytes have come to the socket. Of its end it knows
// nothing: a request over a dead connection is repeated over another one.
func (c *conn) silent() bool {
	if c.probe == nil {
		return true
	}
	const fionread = 0x4004667f // winsock2.h
	var come, size uint32
	var failed error
	err := c.probe.Control(func(fd uintptr) {
		failed = syscall.WSAIoctl(syscall.Handle(fd), fionread, nil, 0, (*byte)(unsafe.Pointer(&come)), 4, &size, nil, 0)
	})
	return err == nil && failed == nil && come == 0
}
