package http1

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// newPool makes one for a server at an URL.
func newPool(t *testing.T) *Pool {
	p := &Pool{Dial: (&net.Dialer{}).DialContext, HandshakeTime: time.Minute, MaxIdle: 4, IdleTime: time.Hour, MaxHead: 64 << 10}
	t.Cleanup(p.CloseIdle)
	return p
}

// memory is a request body that counts who holds it.
type memory struct {
	held    atomic.Int32
	holders sync.WaitGroup
	taken   chan struct{} // closed by the first one
	once    sync.Once
}

func newMemory() *memory { return &memory{taken: make(chan struct{})} }

func (m *memory) Retain() {
	m.held.Add(1)
	m.holders.Add(1)
	m.once.Do(func() { close(m.taken) })
}

func (m *memory) Release() {
	m.held.Add(-1)
	m.holders.Done()
}

func request(t *testing.T, base, body string) *Request {
	t.Helper()
	u, err := url.Parse(base + "/v1/messages?beta=true")
	if err != nil {
		t.Fatal(err)
	}
	return &Request{Method: http.MethodPost, URL: u, Header: http.Header{"A": {"1", "2"}}, Held: newMemory(),
		Body: [3][]byte{[]byte(body[:len(body)/3]), []byte(body[len(body)/3 : len(body)/2]), []byte(body[len(body)/2:])}}
}

// get makes one exchange to its end.
func get(t *testing.T, p *Pool, r *Request) (string, error) {
	t.Helper()
	res, err := p.Do(t.Context(), r)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), err
}

// listen serves each connection with what serve does to it, and counts them.
func listen(t *testing.T, serve func(n int, c net.Conn, r *bufio.Reader)) (base string, conns *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conns = new(atomic.Int32)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n := int(conns.Add(1))
			serving.Go(func() {
				defer c.Close()
				serve(n, c, bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() { l.Close(); serving.Wait() })
	return "http://" + l.Addr().String(), conns
}

// receive reads a request to its end.
func receive(r *bufio.Reader) (body string, err error) {
	req, err := http.ReadRequest(r)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(req.Body)
	return string(b), err
}

const fine = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"

func TestRequestsGoOutWhole(t *testing.T) {
	type received struct {
		*http.Request
		body []byte
	}
	came := make(chan received, 1)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		came <- received{r, body}
		io.WriteString(w, "fine")
	}))
	defer up.Close()
	p := newPool(t)
	for _, size := range []int{0, 10, 16 << 10, 40_000, 3 << 20} {
		r := request(t, up.URL, strings.Repeat("x", size))
		r.Host = "another.example"
		if answer, err := get(t, p, r); err != nil || answer != "fine" || !r.Sent {
			t.Fatalf("%d bytes: %q, %v", size, answer, err)
		}
		got := <-came
		if len(got.body) != size || got.Host != "another.example" || got.RequestURI != "/v1/messages?beta=true" || len(got.Header["A"]) != 2 {
			t.Errorf("%d bytes: came as %d, %s %s %v", size, len(got.body), got.Host, got.RequestURI, got.Header)
		}
		if n := r.Held.(*memory).held.Load(); n != 0 {
			t.Errorf("%d bytes: held %d times", size, n)
		}
	}
}

func TestFirstLineAndHost(t *testing.T) {
	for _, c := range []struct{ url, host, target, sent string }{
		{"http://a.example", "", "/", "a.example"},
		{"http://a.example:8080/v1//x%2Fy?q=\xc3\xa9&b=%20", "", "/v1//x%2Fy?q=\xc3\xa9&b=%20", "a.example:8080"},
		{"http://[::1]:80/", "", "/", "[::1]:80"},
		{"http://[fe80::1%25eth0]:80/", "", "/", "[fe80::1]:80"},
		{"http://[fe80::1%25eth0]/", "[fe80::1%eth0]", "/", "[fe80::1]"},
		{"http://a.example/", "[fe80::1%eth0", "/", "[fe80::1%eth0"},
	} {
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		b, err := (&Request{Method: "POST", URL: u, Host: c.host}).appendHead(nil)
		if want := "POST " + c.target + " HTTP/1.1\r\nHost: " + c.sent + "\r\n"; err != nil || !strings.HasPrefix(string(b), want) {
			t.Errorf("%s: %q, %v; want %q", c.url, b, err, want)
		}
	}
}

func TestRequestsThatCannotBeSent(t *testing.T) {
	for name, change := range map[string]func(*Request){
		"a line end in a value": func(r *Request) { r.Header["A"] = []string{"secret\r\nEvil: 1"} },
		"a zero in a value":     func(r *Request) { r.Header["A"] = []string{"secret\x00"} },
		"a name with a colon":   func(r *Request) { r.Header["A:"] = []string{"secret"} },
		"an empty name":         func(r *Request) { r.Header[""] = []string{"secret"} },
		"a space in the host":   func(r *Request) { r.Host = "a b" },
		"a line end in a query": func(r *Request) { r.URL.RawQuery = "secret\r\nEvil: 1" },
		"a space in a query":    func(r *Request) { r.URL.RawQuery = "a secret" },
		"a space in the method": func(r *Request) { r.Method = "GET /" },
		"another scheme":        func(r *Request) { r.URL.Scheme = "ftp" },
	} {
		r := request(t, "http://127.0.0.1:1", "body")
		change(r)
		if _, err := newPool(t).Do(t.Context(), r); err == nil || r.Sent || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: sent %v, %v", name, r.Sent, err)
		}
	}
}

func TestConnectionsAreReused(t *testing.T) {
	base, conns := listen(t, func(_ int, c net.Conn, r *bufio.Reader) {
		for {
			if _, err := receive(r); err != nil {
				return
			}
			io.WriteString(c, fine)
		}
	})
	p := newPool(t)
	for range 5 {
		if got, err := get(t, p, request(t, base, "body")); err != nil || got != "fine" {
			t.Fatal(got, err)
		}
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections for 5 requests", n)
	}
	p.CloseIdle()
	if _, err := get(t, p, request(t, base, "body")); err != nil || conns.Load() != 2 {
		t.Errorf("%d connections, %v", conns.Load(), err)
	}
	// The 5 that are used at a time are more than may be idle.
	var open []*http.Response
	for range 5 {
		res, err := p.Do(t.Context(), request(t, base, "body"))
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, res)
	}
	for _, res := range open {
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, h := range p.hosts {
		if len(h.idle) != 4 {
			t.Errorf("%d are idle", len(h.idle))
		}
	}
}

func TestIdleConnectionsExpire(t *testing.T) {
	closed := make(chan struct{})
	base, _ := listen(t, func(_ int, c net.Conn, r *bufio.Reader) {
		if _, err := receive(r); err == nil {
			io.WriteString(c, fine)
			io.Copy(io.Discard, c)
			close(closed)
		}
	})
	p := newPool(t)
	p.IdleTime = 10 * time.Millisecond
	if _, err := get(t, p, request(t, base, "body")); err != nil {
		t.Fatal(err)
	}
	<-closed
}

// Whatever comes on an idle connection is not the answer to the next request.
func TestIdleConnectionThatSpeaks(t *testing.T) {
	for name, more := range map[string]string{"closed": "", "an answer too much": fine, "a timeout": "HTTP/1.1 408 Request Timeout\r\n\r\n"} {
		t.Run(name, func(t *testing.T) {
			spoken, last := make(chan struct{}), make(chan struct{})
			base, conns := listen(t, func(n int, c net.Conn, r *bufio.Reader) {
				if _, err := receive(r); err != nil {
					return
				}
				io.WriteString(c, fine)
				if n == 1 {
					<-last
					io.WriteString(c, more)
					c.(*net.TCPConn).CloseWrite()
					close(spoken)
				}
				io.Copy(io.Discard, c)
			})
			p := newPool(t)
			if _, err := get(t, p, request(t, base, "body")); err != nil {
				t.Fatal(err)
			}
			close(last)
			<-spoken
			if got, err := get(t, p, request(t, base, "body")); err != nil || got != "fine" || conns.Load() != 2 {
				t.Errorf("%q, %d connections, %v", got, conns.Load(), err)
			}
		})
	}
}

// What TLS has taken from the socket is not seen there.
func TestIdleTLSConnectionThatSpeaks(t *testing.T) {
	cert := httptest.NewUnstartedServer(nil)
	cert.StartTLS()
	defer cert.Close()
	evil := "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
	for name, more := range map[string]func(s *tls.Conn){
		"in the last record": func(s *tls.Conn) { io.WriteString(s, "fine"+evil) },
		"in the next record": func(s *tls.Conn) { io.WriteString(s, "fine"); io.WriteString(s, evil) },
		"with the end":       func(s *tls.Conn) { io.WriteString(s, "fine"); s.CloseWrite(); s.SetWriteDeadline(time.Time{}) },
	} {
		t.Run(name, func(t *testing.T) {
			begun := make(chan struct{}, 2)
			base, conns := listen(t, func(n int, c net.Conn, _ *bufio.Reader) {
				g := &gather{Conn: c}
				s := tls.Server(g, cert.TLS)
				if _, err := receive(bufio.NewReader(s)); err != nil {
					return
				}
				io.WriteString(s, fine[:len(fine)-4])
				<-begun
				g.held = new([]byte)
				if n == 1 {
					more(s)
				} else {
					io.WriteString(s, "fine")
				}
				c.Write(*g.held)
				io.Copy(io.Discard, c)
			})
			p := newPool(t)
			p.TLS = &tls.Config{InsecureSkipVerify: true}
			for i := range 2 {
				res, err := p.Do(t.Context(), request(t, "https"+strings.TrimPrefix(base, "http"), "body"))
				if err != nil {
					t.Fatal(err)
				}
				begun <- struct{}{}
				got := make([]byte, 4)
				if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != "fine" {
					t.Errorf("answer %d: %q, %v", i, got, err)
				}
				res.Body.Close()
			}
			if conns.Load() != 2 {
				t.Errorf("%d connections", conns.Load())
			}
		})
	}
}

// gather is a connection that can hold back what is written.
type gather struct {
	net.Conn
	held *[]byte // nil = nothing
}

func (g *gather) Write(p []byte) (int, error) {
	if g.held == nil {
		return g.Conn.Write(p)
	}
	*g.held = append(*g.held, p...)
	return len(p), nil
}

// A connection that dies when it gets its second request costs one repetition;
// two of them are not tried, and a half answer is none.
func TestDeadConnectionIsReplacedOnce(t *testing.T) {
	for _, c := range []struct {
		name   string
		second string // what the first connection says to its second request
		others bool   // die at once
		sent   []string
		ok     bool
	}{
		{name: "one", sent: []string{"first", "second", "second"}, ok: true},
		{name: "all", others: true, sent: []string{"first", "second", "second"}},
		{name: "half an answer", second: "HTTP/1.1 200", sent: []string{"first", "second"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var mu sync.Mutex
			var sent []string
			base, _ := listen(t, func(n int, conn net.Conn, r *bufio.Reader) {
				for i := 0; ; i++ {
					body, err := receive(r)
					if err != nil {
						return
					}
					mu.Lock()
					sent = append(sent, body)
					mu.Unlock()
					if n == 1 && i == 1 || n > 1 && c.others {
						io.WriteString(conn, c.second)
						return
					}
					io.WriteString(conn, fine)
				}
			})
			p := newPool(t)
			if _, err := get(t, p, request(t, base, "first")); err != nil {
				t.Fatal(err)
			}
			r := request(t, base, "second")
			got, err := get(t, p, r)
			if (err == nil && got == "fine") != c.ok || !r.Sent {
				t.Errorf("%q, %v", got, err)
			}
			mu.Lock()
			defer mu.Unlock()
			if fmt.Sprint(sent) != fmt.Sprint(c.sent) {
				t.Errorf("sent %v, want %v", sent, c.sent)
			}
		})
	}
}

// The connection that took the place of a dead one is kept like any other.
func TestReplacementIsKept(t *testing.T) {
	base, conns := listen(t, func(n int, c net.Conn, r *bufio.Reader) {
		for i := 0; ; i++ {
			if _, err := receive(r); err != nil || n == 1 && i == 1 {
				return
			}
			io.WriteString(c, fine)
		}
	})
	p := newPool(t)
	for range 4 {
		if got, err := get(t, p, request(t, base, "body")); err != nil || got != "fine" {
			t.Fatal(got, err)
		}
	}
	if n := conns.Load(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

// A server may answer before it has read a long request, and read no more.
func TestEarlyAnswer(t *testing.T) {
	release := make(chan struct{})
	base, conns := listen(t, func(_ int, c net.Conn, r *bufio.Reader) {
		if _, err := http.ReadRequest(r); err == nil {
			io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nfine")
		}
		<-release
	})
	p := newPool(t)
	r := request(t, base, strings.Repeat("x", 64<<20))
	if got, err := get(t, p, r); err != nil || got != "fine" {
		t.Fatal(got, err)
	}
	r.Held.(*memory).holders.Wait() // its connection has been closed
	close(release)
	if conns.Load() != 1 {
		t.Errorf("%d connections", conns.Load())
	}
}

// A server that does not read at once gets the whole of a long request all the same.
func TestLongRequestToASlowServer(t *testing.T) {
	var long strings.Builder
	for i := range 2 << 20 { // more than two systems buffer
		fmt.Fprintf(&long, "%d ", i)
	}
	came := make(chan string, 1)
	m := newMemory()
	base, _ := listen(t, func(_ int, c net.Conn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		<-m.taken // what could be written at once has been
		b, _ := io.ReadAll(req.Body)
		came <- string(b)
		io.WriteString(c, fine)
	})
	r := request(t, base, long.String())
	r.Held = m
	if got, err := get(t, newPool(t), r); err != nil || got != "fine" || <-came != long.String() {
		t.Errorf("%q, %v", got, err)
	}
	if n := r.Held.(*memory).held.Load(); n != 0 {
		t.Errorf("held %d times", n)
	}
}

// broken is memory whose counting fails.
type broken struct{ *memory }

func (b broken) Release() {
	b.memory.Release()
	panic("released too often")
}

// A panic beside the request is the request's: nothing else ends by it.
func TestPanicsAreTheRequests(t *testing.T) {
	base, _ := listen(t, func(_ int, c net.Conn, r *bufio.Reader) {
		if _, err := receive(r); err == nil {
			io.WriteString(c, fine)
		}
	})
	m := newMemory()
	slow, _ := listen(t, func(_ int, c net.Conn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		<-m.taken
		io.Copy(io.Discard, req.Body)
		io.WriteString(c, fine)
	})
	dialing := newPool(t)
	dialing.Dial = func(context.Context, string, string) (net.Conn, error) { panic("no dialer") }
	long := request(t, slow, strings.Repeat("x", 32<<20))
	long.Held = broken{m}
	for _, c := range []struct {
		said string
		p    *Pool
		r    *Request
	}{{"no dialer", dialing, request(t, base, "body")}, {"released too often", newPool(t), long}} {
		func() {
			defer func() {
				if p, ok := recover().(error); !ok || !strings.Contains(p.Error(), c.said) || !strings.Contains(p.Error(), "_test.go") {
					t.Errorf("%s: recovered %v", c.said, p)
				}
			}()
			got, err := get(t, c.p, c.r)
			t.Errorf("%s: %q, %v", c.said, got, err)
		}()
	}
}

func TestCancellation(t *testing.T) {
	gone := errors.New("the client has left")
	for name, answer := range map[string]string{
		"before the answer": "",
		"in its head":       "HTTP/1.1 200",
		"in its body":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
	} {
		for _, size := range []int{10, 64 << 20} {
			t.Run(fmt.Sprintf("%s, request of %d", name, size), func(t *testing.T) {
				began, closed := make(chan struct{}), make(chan struct{})
				base, _ := listen(t, func(_ int, c net.Conn, r *bufio.Reader) {
					defer close(closed)
					if _, err := http.ReadRequest(r); err != nil {
						t.Error(err)
					}
					io.WriteString(c, answer)
					close(began)
					io.Copy(io.Discard, r)
				})
				ctx, cancel := context.WithCancelCause(t.Context())
				go func() { <-began; cancel(gone) }()
				r := request(t, base, strings.Repeat("x", size))
				res, err := newPool(t).Do(ctx, r)
				if err == nil {
					_, err = io.ReadAll(res.Body)
					res.Body.Close()
				}
				if !errors.Is(err, gone) {
					t.Errorf("%v", err)
				}
				<-closed
			})
		}
	}
}

func TestTLS(t *testing.T) {
	up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %d %s", r.Proto, len(b), r.TLS.NegotiatedProtocol)
	}))
	var handshakes atomic.Int32
	up.TLS = &tls.Config{VerifyConnection: func(tls.ConnectionState) error { handshakes.Add(1); return nil }}
	up.StartTLS()
	defer up.Close()
	roots := x509.NewCertPool()
	roots.AddCert(up.Certificate())
	p := newPool(t)
	p.TLS = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}
	base := strings.Replace(up.URL, "127.0.0.1", "example.com", 1)
	p.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, strings.Replace(address, "example.com", "127.0.0.1", 1))
	}
	for _, size := range []int{0, 10, 15_900, 16 << 10, 40_000, 3 << 20} {
		want := fmt.Sprintf("HTTP/1.1 %d http/1.1", size)
		if got, err := get(t, p, request(t, base, strings.Repeat("x", size))); err != nil || got != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	if n := handshakes.Load(); n != 1 {
		t.Errorf("%d handshakes", n)
	}
	other := newPool(t)
	r := request(t, up.URL, "body")
	if _, err := get(t, other, r); err == nil || !strings.Contains(err.Error(), "certificate") || r.Sent {
		t.Errorf("an unknown certificate: sent %v, %v", r.Sent, err)
	}
	if _, err := get(t, other, request(t, "https"+strings.TrimPrefix(plain(t), "http"), "body")); err == nil || !strings.Contains(err.Error(), "not https") {
		t.Errorf("a server without TLS: %v", err)
	}
}

// plain is a server without TLS.
func plain(t *testing.T) string {
	up := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(up.Close)
	return up.URL
}

func TestSilentHandshakeEnds(t *testing.T) {
	base, _ := listen(t, func(_ int, c net.Conn, r *bufio.Reader) { io.Copy(io.Discard, r) })
	p := newPool(t)
	p.HandshakeTime = time.Millisecond
	r := request(t, "https"+strings.TrimPrefix(base, "http"), "body")
	if _, err := get(t, p, r); !errors.Is(err, errHandshake) || r.Sent {
		t.Errorf("sent %v, %v", r.Sent, err)
	}
}

// The end of a body that comes a little late does not cost the connection, and one
// that does not come is not waited for.
func TestDrain(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
	for name, end := range map[string]string{"comes": "0\r\n\r\n", "does not come": ""} {
		t.Run(name, func(t *testing.T) {
			base, conns := listen(t, func(_ int, c net.Conn, r *bufio.Reader) {
				for {
					if _, err := receive(r); err != nil {
						return
					}
					io.WriteString(c, head)
					io.WriteString(c, end)
				}
			})
			p := newPool(t)
			for range 2 {
				res, err := p.Do(t.Context(), request(t, base, "body"))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(res.Body, make([]byte, 3)); err != nil {
					t.Fatal(err)
				}
				limit := time.Minute
				if end == "" {
					limit = time.Millisecond
				}
				res.Body.(*Body).Drain(limit)
				res.Body.Close()
			}
			if want := int32(2 - min(len(end), 1)); conns.Load() != want {
				t.Errorf("%d connections, want %d", conns.Load(), want)
			}
		})
	}
}
