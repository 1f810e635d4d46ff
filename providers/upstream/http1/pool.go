package http1

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// A Pool keeps the connections that wait for their next request. Its fields are
// not to be changed once it is used; it is safe for concurrent use.
type Pool struct {
	// Dial makes a connection. Its context ends with the request's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// TLS is used for https; the server's name is added to it.
	TLS *tls.Config
	// HandshakeTime is how long the TLS handshake may take.
	HandshakeTime time.Duration
	// MaxIdle is how many idle connections to a host are kept, IdleTime for how long.
	MaxIdle  int
	IdleTime time.Duration
	// MaxHead is the size of the largest head of an answer, in bytes.
	MaxHead int

	mu    sync.Mutex
	hosts map[address]*host
	sweep *time.Timer // closes what has been idle for too long; nil when nothing is idle
	// shut says that no request has been made since CloseIdle: what becomes idle is
	// closed.
	shut bool
}

// address is where connections lead.
type address struct {
	scheme, host string // as in the URL
}

// host is what is kept for one address.
type host struct {
	dial string      // host:port
	tls  *tls.Config // nil for http
	idle []*conn     // the longest idle first
}

// CloseIdle closes the idle connections, and those that become idle before the
// next request.
func (p *Pool) CloseIdle() {
	p.closeIdle(true)
}

// closeIdle closes the idle connections; shut is what shall hold from now on.
func (p *Pool) closeIdle(shut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut = shut
	for _, h := range p.hosts {
		h.drop(len(h.idle))
	}
	p.rest()
}

// drop closes the n that have been idle for longest.
func (h *host) drop(n int) {
	for _, c := range h.idle[:n] {
		c.close()
	}
	h.idle = slices.Delete(h.idle, 0, n)
}

// of is what is kept for a URL's host. p is locked.
func (p *Pool) of(u *url.URL) (*host, error) {
	at := address{u.Scheme, u.Host}
	if h := p.hosts[at]; h != nil {
		return h, nil
	}
	port := u.Port()
	h := &host{}
	switch u.Scheme {
	case "http":
		if port == "" {
			port = "80"
		}
	case "https":
		if port == "" {
			port = "443"
		}
		h.tls = new(tls.Config)
		if p.TLS != nil {
			h.tls = p.TLS.Clone()
		}
		h.tls.ServerName = u.Hostname()
		h.tls.NextProtos = []string{"http/1.1"}
	default:
		return nil, errors.New("neither http nor https: " + u.Scheme)
	}
	h.dial = net.JoinHostPort(u.Hostname(), port)
	if p.hosts == nil {
		p.hosts = map[address]*host{}
	}
	p.hosts[at] = h
	return h, nil
}

// take gives a host and, where one is idle and still alive, a connection to it.
func (p *Pool) take(u *url.URL) (*host, *conn, error) {
	p.mu.Lock()
	h, err := p.of(u)
	if err != nil {
		p.mu.Unlock()
		return nil, nil, err
	}
	p.shut = false
	for {
		last := len(h.idle) - 1
		if last < 0 {
			p.mu.Unlock()
			return h, nil, nil
		}
		c := h.idle[last]
		h.idle[last] = nil
		h.idle = h.idle[:last]
		p.mu.Unlock()
		// By the clock on the wall: the other one stands still while the machine sleeps.
		if time.Since(c.idle.Round(0)) < p.IdleTime && c.alive() {
			c.reused = true
			return h, c, nil
		}
		c.close()
		p.mu.Lock()
	}
}

// put keeps a connection for the next request.
func (p *Pool) put(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := c.host
	if p.shut || len(h.idle) >= p.MaxIdle {
		c.close()
		return
	}
	c.idle = time.Now()
	h.idle = append(h.idle, c)
	if p.sweep == nil {
		p.sweep = time.AfterFunc(p.IdleTime, p.expire)
	}
}

// expire closes what has been idle for too long.
func (p *Pool) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for _, h := range p.hosts {
		n := 0
		for n < len(h.idle) && now.Sub(h.idle[n].idle) >= p.IdleTime {
			n++
		}
		h.drop(n)
	}
	p.rest()
}

// rest sees to it that the timer fires when the next connection has been idle for
// too long, and that there is none when nothing is idle. p is locked.
func (p *Pool) rest() {
	if p.sweep == nil {
		return
	}
	var next time.Duration
	for _, h := range p.hosts {
		if len(h.idle) > 0 {
			if left := max(p.IdleTime-time.Since(h.idle[0].idle), time.Millisecond); next == 0 || left < next {
				next = left
			}
		}
	}
	if next > 0 {
		p.sweep.Reset(next)
		return
	}
	p.sweep.Stop()
	p.sweep = nil
}

// Do sends a request and reads the head of its answer. What can go wrong with a
// connection that was idle and has died meanwhile is repeated, once, on a new one,
// as long as not a byte of an answer has come.
//
// The answer's Body must be closed and belongs to one goroutine. When ctx ends,
// reading fails with its cause. r.Sent is set in any case.
func (p *Pool) Do(ctx context.Context, r *Request) (*http.Response, error) {
	head, err := r.head()
	if err != nil {
		return nil, err
	}
	h, c, err := p.take(r.URL)
	if err != nil {
		freeHead(head)
		return nil, err
	}
	if c != nil {
		res, err := c.exchange(ctx, r, head)
		if !errors.Is(err, errDead) {
			return res, err
		}
		p.closeIdle(false) // where one is dead all are suspect
		if head, err = r.head(); err != nil {
			return nil, err
		}
	}
	if c, err = p.dial(ctx, h); err != nil {
		freeHead(head)
		return nil, err
	}
	return c.exchange(ctx, r, head)
}

// dial makes a connection, on a stack that does not stay.
func (p *Pool) dial(ctx context.Context, h *host) (*conn, error) {
	type result struct {
		*conn
		error
	}
	made := make(chan result, 1)
	go func() {
		var r result
		defer func() { made <- r }()
		defer carry(&r.error)
		r.conn, r.error = p.connect(ctx, h)
	}()
	r := <-made // both the dialer and the handshake end with ctx
	rethrow(r.error)
	return r.conn, r.error
}

func (p *Pool) connect(ctx context.Context, h *host) (*conn, error) {
	raw, err := p.Dial(ctx, "tcp", h.dial)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, raw: raw, pool: p, host: h}
	c.watch()
	if h.tls == nil {
		return c, nil
	}
	limited, cancel := context.WithTimeoutCause(ctx, p.HandshakeTime, errHandshake)
	defer cancel()
	secure := tls.Client(raw, h.tls)
	if err := secure.HandshakeContext(limited); err != nil {
		_ = raw.Close()
		var none tls.RecordHeaderError
		switch {
		case ctx.Err() == nil && limited.Err() != nil:
			return nil, errHandshake
		case errors.As(err, &none) && string(none.RecordHeader[:]) == "HTTP/":
			return nil, errors.New("the server speaks http, not https")
		}
		return nil, err
	}
	c.Conn = secure
	return c, nil
}

var errHandshake = errors.New("the TLS handshake took too long")
