//go:build unix

package http1

import "syscall"

// watch makes silent possible.
func (c *conn) watch() {
	if s, ok := c.raw.(syscall.Conn); ok {
		c.probe, _ = s.SyscallConn()
	}
}

// silent reports whether nothing has come to the socket, not even its end.
func (c *conn) silent() bool {
	if s, ok := c.raw.(interface{ Silent() bool }); ok {
		return s.Silent()
	}
	if c.probe == nil {
		return true
	}
	silent := false
	err := c.probe.Read(func(fd uintptr) bool {
		var b [1]byte
		_, err := syscall.Read(int(fd), b[:])
		silent = err == syscall.EAGAIN
		return true
	})
	return err == nil && silent
}
