//go:build unix

package http1

import "syscall"

// watch makes alive possible.
func (c *conn) watch() {
	if s, ok := c.raw.(syscall.Conn); ok {
		c.probe, _ = s.SyscallConn()
	}
}

// alive reports whether nothing has come on an idle connection. Whatever may have
// come, the end most of all, is not the answer to the next request.
func (c *conn) alive() bool {
	if c.probe == nil {
		return true
	}
	silent := false
	err := c.probe.Read(func(fd uintptr) bool {
		var b [1]byte
		_, err := syscall.Read(int(fd), b[:])
		silent = err == syscall.EAGAIN || err == syscall.EINTR
		return true
	})
	return err == nil && silent
}
