package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"time"
)

// limitedPath is below it that the upstream has no capacity.
const limitedPath = "/limited"

// upstream answers requests with the bytes of its plans. It is not a net/http
// server: its own cost on the shared cores would blur the proxies'.
type upstream struct{ plans map[string]*plan }

// play is a child process: the role that the environment names, until its
// standard input ends.
func play(role string, args []string) int {
	if role == roleProfiled {
		return profiled(args)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	switch role {
	case roleUpstream:
		go (&upstream{plans(len(args) > 0)}).serve(l)
	case roleBare:
		go http.Serve(l, bareProxy(args[0]))
	}
	fmt.Printf("serves http://%s\n", l.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// bareProxy is what anyproxy is measured against: ReverseProxy as it comes,
// but with a pool that is large enough to keep its connections, which the
// default of two is not, and without asking for compression.
func bareProxy(target string) http.Handler {
	to, err := url.Parse(target)
	if err != nil {
		panic(err) // from our own parent
	}
	return &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport: &http.Transport{MaxIdleConnsPerHost: idlePool, DisableCompression: true},
		ErrorLog:  log.New(io.Discard, "", 0),
	}
}

func (u *upstream) serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			err := (&upstreamConn{u: u, conn: conn, r: bufio.NewReaderSize(conn, 4<<10)}).serve()
			var network net.Error
			if err != io.EOF && !errors.As(err, &network) {
				fmt.Fprintf(conn, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(err.Error()), err)
			}
		}()
	}
}

type upstreamConn struct {
	u     *upstream
	conn  net.Conn
	r     *bufio.Reader
	line  []byte
	plan  *plan
	want  []byte // the plan's request and the first segment of its answer, to be numbered
	first []byte
	inReq []int
	inAns []int
}

// serve answers until the connection ends, which is always an error.
func (c *upstreamConn) serve() error {
	for {
		h, err := readHead(c.r, c.line)
		if err != nil {
			return err
		}
		began := time.Now()
		c.line = h.line
		target := bytes.Fields(h.line)
		if len(target) != 3 || string(target[0]) != "POST" {
			return errors.New("not a POST")
		}
		path, name, named := bytes.Cut(target[1], []byte("?case="))
		if !named { // a converted request comes without the client's query
			name, _, _ = bytes.Cut(bytes.TrimPrefix(path, []byte("/")), []byte("/"))
		}
		if err := c.choose(string(name)); err != nil {
			return err
		}
		if err := c.read(h); err != nil {
			return err
		}
		if bytes.HasPrefix(path, []byte(limitedPath)) {
			_, err = c.conn.Write(limited)
		} else {
			err = c.answer(began)
		}
		if err != nil {
			return err
		}
	}
}

// choose takes a plan, and copies what is to be numbered.
func (c *upstreamConn) choose(name string) error {
	p := c.u.plans[name]
	switch {
	case p == nil:
		return errors.New("no such case")
	case p != c.plan:
		c.plan, c.want, c.first = p, bytes.Clone(p.request), bytes.Clone(p.segments[0].wire)
		c.inReq, c.inAns = marks(c.want), marks(c.first)
	}
	return nil
}

// read compares the request with the plan's and takes up its number.
func (c *upstreamConn) read(h head) error {
	digits := make([]byte, len(mark))
	mark := c.inReq[0]
	m := matcher{want: c.want[:mark]}
	if h.chunked || h.length != len(c.want) {
		return errDiffers
	}
	if err := m.take(c.r, mark, func() {}); err != nil {
		return err
	}
	if _, err := io.ReadFull(c.r, digits); err != nil {
		return err
	}
	for _, at := range c.inReq {
		copy(c.want[at:], digits)
	}
	for _, at := range c.inAns {
		copy(c.first[at:], digits)
	}
	m = matcher{want: c.want, at: mark + len(digits)}
	return m.take(c.r, len(c.want)-m.at, func() {})
}

func (c *upstreamConn) answer(began time.Time) error {
	wire := c.first
	for i, s := range c.plan.segments {
		if i > 0 {
			wire = s.wire
		}
		time.Sleep(s.at - time.Since(began)) // none when it is past
		if _, err := c.conn.Write(wire); err != nil {
			return err
		}
	}
	return nil
}
