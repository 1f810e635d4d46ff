package cli

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"

	"anyproxy/config"
)

// listeners opens what the address stands for. The default one also takes the
// same port of IPv6's loopback, since "localhost" may mean either. from names
// the flag, variable or key that gave it.
func listeners(addr, from string) ([]net.Listener, error) {
	first, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, listenError(addr, from, err)
	}
	if addr != config.DefaultListen {
		return []net.Listener{first}, nil
	}
	second6 := strings.Replace(addr, "127.0.0.1", "[::1]", 1)
	second, err := net.Listen("tcp", second6)
	if errors.Is(err, syscall.EADDRINUSE) {
		_ = first.Close()
		return nil, listenError(second6, from, err)
	}
	if err != nil { // a machine without IPv6
		return []net.Listener{first}, nil
	}
	return []net.Listener{first, second}, nil
}

func listenError(addr, from string, err error) error {
	hint := "check the address, or give another with -listen HOST:PORT"
	if errors.Is(err, syscall.EADDRINUSE) {
		hint = "another program, perhaps another anyproxy, has that port: stop it, or use -listen 127.0.0.1:8081"
	}
	return hinted(fmt.Errorf("%s: listen on %s: %w", from, addr, unwrapNet(err)), hint)
}

// unwrapNet drops the "listen tcp ADDR:" that the net package puts in front.
func unwrapNet(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

func isLoopback(l net.Listener) bool {
	tcp, ok := l.Addr().(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// server has the limits of reliability: slow headers and idle connections end,
// long streams do not (each event has a write deadline of its own).
func newServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
	}
}
