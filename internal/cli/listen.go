package cli

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"anyproxy/config"
	"anyproxy/internal/quiet"
	"anyproxy/proxy/front"
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
		return []net.Listener{quiet.Listener(first)}, nil
	}
	second6 := strings.Replace(addr, "127.0.0.1", "[::1]", 1)
	second, err := net.Listen("tcp", second6)
	if errors.Is(err, syscall.EADDRINUSE) {
		_ = first.Close()
		return nil, listenError(second6, from, err)
	}
	if err != nil { // a machine without IPv6
		return []net.Listener{quiet.Listener(first)}, nil
	}
	return []net.Listener{quiet.Listener(first), quiet.Listener(second)}, nil
}

func listenError(addr, from string, err error) error {
	hint := "check the address, or give another with -listen HOST:PORT"
	if errors.Is(err, syscall.EADDRINUSE) {
		hint = "another program, perhaps another anyproxy, has that port: stop it, or use -listen 127.0.0.1:8081"
	}
	return hinted(fmt.Errorf("%s: listen on %s: %w", from, addr, unwrapNet(err)), hint)
}

// unwrapNet drops the "listen tcp ADDR: bind:" that is put in front.
func unwrapNet(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		err = call.Err
	}
	return err
}

// ownListener reports whether an endpoint is one of the listeners: requests to
// it would come back for ever.
func ownListener(endpoint string, listeners []net.Listener) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	ip := net.ParseIP(u.Hostname())
	local := strings.EqualFold(u.Hostname(), "localhost") || ip != nil && ip.IsLoopback()
	for _, l := range listeners {
		a, ok := l.Addr().(*net.TCPAddr)
		if ok && strconv.Itoa(a.Port) == port && (a.IP.Equal(ip) || local && (a.IP.IsLoopback() || a.IP.IsUnspecified())) {
			return true
		}
	}
	return false
}

func isLoopback(l net.Listener) bool {
	tcp, ok := l.Addr().(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// newServer ends slow headers and idle connections, but not long streams: each
// of their events has a write deadline of its own.
func newServer(h http.Handler) *front.Server {
	return &front.Server{HTTP: &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// Else "OPTIONS *" is answered without a look at its Host.
		DisableGeneralOptionsHandler: true,
	}}
}

const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 120 * time.Second
	maxHeaderBytes    = 64 << 10
)

// address is where to serve, and what says so.
func (p *program) address() (addr, from string) {
	if p.flags.listen != "" {
		return p.flags.listen, p.flags.listenFrom
	}
	return p.doc.Config.Listen, "listen"
}

// scheme is that of the listeners.
func (p *program) scheme() string {
	if p.plain {
		return "http://"
	}
	return "https://"
}

// secure has the listeners speak https where that is configured. Simulated
// clients speak plain http, and so does the one program that a proxy was started
// for.
func (p *program) secure() error {
	if p.plain = p.world != nil || p.plain || !p.doc.Config.TLS.On(); p.plain {
		return nil
	}
	c, err := loadCertificate(p.doc.Config.TLS, p.logger)
	if err == nil {
		p.listen = c.secured(p.listen)
	}
	return err
}

// fits refuses a configuration that must not be served on the listeners that
// are open.
func (p *program) fits(c *config.Config) error {
	addr, from := p.address()
	for _, provider := range c.Providers {
		if ownListener(provider.Endpoint, p.listen) {
			return hinted(fmt.Errorf("provider %s: its endpoint is where anyproxy itself listens (%s): %s", provider.Name, from, provider.Endpoint),
				"set the provider's own address, or listen elsewhere")
		}
	}
	if !isLoopback(p.listen[0]) && len(c.APIKeys) == 0 {
		return hinted(fmt.Errorf("%s: %s can be reached from other machines, and no client key is configured", from, addr),
			"set apiKeys, or listen on 127.0.0.1")
	}
	return nil
}

func (p *program) closeListeners() {
	for _, l := range p.listen {
		_ = l.Close()
	}
}
