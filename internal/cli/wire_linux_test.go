package cli

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// silence has the system drop whatever arrives at a socket (socket(7),
// SO_ATTACH_FILTER), its acknowledgements included: a program of classic BPF
// that lets no byte of any packet through. It needs no privilege.
func silence(socket syscall.Conn) {
	drop := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}
	control(socket, func(fd int) error {
		return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop})
	})
}

// hear ends the silence of a socket.
func hear(socket syscall.Conn) {
	control(socket, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0) })
}

func control(socket syscall.Conn, do func(fd int) error) {
	raw, err := socket.SyscallConn()
	if err == nil {
		_ = raw.Control(func(fd uintptr) { _ = do(int(fd)) }) // what was closed meanwhile is silent
	}
}
