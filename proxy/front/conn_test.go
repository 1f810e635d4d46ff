package front_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"anyproxy/proxy/front"
)

// A piped server is one in virtual time, whose connections are pipes.
type piped struct {
	place
	t *testing.T
	l *given
}

// pipe serves in a bubble until say returns.
func pipe(t *testing.T, s *http.Server, say func(p piped)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &given{conn: make(chan net.Conn), gone: make(chan struct{})}
		say(piped{serveOn(t, l, s), t, l})
	})
}

// A caller is a client with one connection.
type caller struct {
	net.Conn
	t  testing.TB
	in *bufio.Reader
}

func (p piped) dial() caller {
	near, far := net.Pipe()
	p.l.conn <- near
	return calling(p.t, far)
}

func calling(t testing.TB, c net.Conn) caller {
	t.Cleanup(func() { _ = c.Close() })
	return caller{c, t, bufio.NewReader(c)}
}

func (c caller) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatalf("%v instead of taking %.40q", err, text)
	}
}

// answer reads the next answer, with its body.
func (c caller) answer() (*http.Response, string) {
	c.t.Helper()
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		c.t.Fatalf("no answer: %v", err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatalf("%v after %q", err, body)
	}
	return res, string(body)
}

// end waits for the end of the connection, before which nothing may come, and tells how
// long that took.
func (c caller) end() time.Duration {
	c.t.Helper()
	return c.endAfter("")
}

// endAfter is end behind an answer that begins so.
func (c caller) endAfter(words string) time.Duration {
	c.t.Helper()
	began := time.Now()
	if rest, err := io.ReadAll(c.in); !strings.HasPrefix(string(rest), words) || (words == "") != (len(rest) == 0) || err != nil {
		c.t.Errorf("at its end the connection says %q, %v", rest, err)
	}
	return time.Since(began)
}

// drip sends text, a byte each second, as long as it is taken.
func (c caller) drip(text string) {
	go func() {
		for i := range text {
			if _, err := io.WriteString(c, text[i:i+1]); err != nil {
				return
			}
			select {
			case <-time.After(time.Second):
			case <-c.t.Context().Done():
				return
			}
		}
	}()
}

const (
	get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	odd = "GET / HTTP/1.1\r\nX-Odd: a\tb\r\nHost: x\r\n\r\n"
)

// echo answers with what it was asked.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	_, _ = w.Write(append([]byte("you said "), body...))
}

// took compares a time with what a timer makes of it.
func took(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if got != want {
		t.Errorf("%s took %v, want %v", what, got, want)
	}
}

// TestTimeForAHead: the first one has its time from the beginning of the connection, a
// later one from its own first byte.
func TestTimeForAHead(t *testing.T) {
	limited := func() *http.Server {
		return &http.Server{Handler: http.HandlerFunc(echo), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	}
	endless := "GET / HTTP/1.1\r\nHost: " + strings.Repeat("x", 3000)
	t.Run("nothing comes", func(t *testing.T) {
		pipe(t, limited(), func(p piped) { took(t, "the end", p.dial().end(), 10*time.Second) })
	})
	t.Run("it drips", func(t *testing.T) {
		pipe(t, limited(), func(p piped) {
			c := p.dial()
			c.drip(endless)
			took(t, "the end", c.endAfter("HTTP/1.1 400 "), 10*time.Second)
		})
	})
	for name, first := range map[string]string{"after a request": get, "after one with a body": request, "after two at once": request + get} {
		t.Run(name, func(t *testing.T) {
			pipe(t, limited(), func(p piped) {
				c := p.dial()
				talk := func() {
					go c.send(first)
					for range strings.Count(first, "HTTP") {
						c.answer()
					}
				}
				talk()
				time.Sleep(50 * time.Second)
				talk() // the time begins anew
				took(t, "the idle end", c.end(), time.Minute)
				c = p.dial()
				talk()
				time.Sleep(50 * time.Second)
				c.drip(endless)
				took(t, "the dripping end", c.endAfter("HTTP/1.1 400 "), 10*time.Second)
			})
		})
	}
	t.Run("without limits", func(t *testing.T) {
		pipe(t, &http.Server{Handler: http.HandlerFunc(echo)}, func(p piped) {
			c := p.dial()
			for range 2 {
				time.Sleep(time.Hour)
				c.drip(request)
				if _, body := c.answer(); body != "you said {}" {
					t.Errorf("%q", body)
				}
			}
		})
	})
}

// TestTimeForABody: its deadline ends neither the handler's answer nor a later request.
func TestTimeForABody(t *testing.T) {
	errs := make(chan error, 3)
	h := func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Limit") != "" {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(5 * time.Second))
		}
		_, err := io.ReadAll(r.Body)
		errs <- err
		if err != nil {
			w.WriteHeader(http.StatusRequestTimeout)
		}
	}
	limited := strings.Replace(request, "Host", "X-Limit: 1\r\nHost", 1)
	half := len(limited) - 1
	pipe(t, &http.Server{Handler: http.HandlerFunc(h), ReadHeaderTimeout: time.Second, IdleTimeout: time.Hour}, func(p piped) {
		c := p.dial()
		c.send(limited)
		c.answer()
		time.Sleep(time.Minute)
		c.send(request[:len(request)-1])
		time.Sleep(time.Minute)
		c.send("}")
		if res, _ := c.answer(); res.StatusCode != 200 {
			t.Errorf("an earlier deadline counts: %s", res.Status)
		}
		c.send(limited[:half])
		began := time.Now()
		if res, _ := c.answer(); res.StatusCode != http.StatusRequestTimeout || !res.Close {
			t.Errorf("%s, closing: %t", res.Status, res.Close)
		}
		took(t, "the answer", time.Since(began), 5*time.Second)
		c.end()
		for i, want := range []error{nil, nil, os.ErrDeadlineExceeded} {
			if err := <-errs; !errors.Is(err, want) {
				t.Errorf("body %d ended with %v", i, err)
			}
		}
	})
}

// TestTimeForWriting: a client that does not read is given up, and one that reads keeps
// nothing of the deadline.
func TestTimeForWriting(t *testing.T) {
	var left, failed atomic.Bool
	h := func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "GET" {
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(5 * time.Second))
		}
		_, err := w.Write(make([]byte, 100<<10))
		failed.Store(err != nil)
		left.Store(r.Context().Err() != nil)
	}
	pipe(t, &http.Server{Handler: http.HandlerFunc(h)}, func(p piped) {
		c := p.dial()
		c.send(get)
		c.answer()
		c.send(request)
		time.Sleep(time.Hour)
		if _, body := c.answer(); len(body) != 100<<10 || failed.Load() || left.Load() {
			t.Errorf("an earlier deadline counts: %d bytes", len(body))
		}
		c.send(get)
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if !failed.Load() || !left.Load() {
			t.Errorf("the write failed: %t, the handler was told: %t", failed.Load(), left.Load())
		}
		c.end()
	})
}

// TestLingering: who is refused may send the rest, for a time, before the connection
// ends: the system would drop the answer with it.
func TestLingering(t *testing.T) {
	refuse := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusRequestEntityTooLarge) }
	big := "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n"
	pipe(t, &http.Server{Handler: http.HandlerFunc(refuse)}, func(p piped) {
		c := p.dial()
		c.send(big)
		if res, _ := c.answer(); res.StatusCode != http.StatusRequestEntityTooLarge || !res.Close {
			t.Errorf("%s, closing: %t", res.Status, res.Close)
		}
		c.send(strings.Repeat("x", 1<<20))
		took(t, "the end", c.end(), 500*time.Millisecond)
	})
}

// TestShutdownInTime: what it waits for and what it does not.
func TestShutdownInTime(t *testing.T) {
	for name, c := range map[string]struct {
		prepare  func(c caller)
		then     func(c caller) // what the client does meanwhile
		shutdown time.Duration
	}{
		"idle":              {func(c caller) { c.send(get); c.answer() }, caller.ends, time.Millisecond},
		"idle after a body": {func(c caller) { c.send(request); c.answer() }, caller.ends, time.Millisecond},
		"half a head later": {func(c caller) { c.send(get); c.answer(); c.send(get[:20]) }, caller.ends, time.Millisecond},
		"fresh":             {func(c caller) {}, caller.ends, 5 * time.Second},
		"half a head":       {func(c caller) { c.send(get[:20]) }, caller.ends, 5 * time.Second},
		"fresh, then asking": {func(c caller) {}, func(c caller) {
			time.Sleep(3 * time.Second)
			c.send(get)
			c.lastAnswer("you said ")
		}, 3 * time.Second},
		"half a head, then whole": {func(c caller) { c.send(get[:20]) }, func(c caller) {
			time.Sleep(3 * time.Second)
			c.send(get[20:])
			c.lastAnswer("you said ")
		}, 3 * time.Second},
		"half a body": {func(c caller) { c.send(request[:len(request)-1]) }, func(c caller) {
			time.Sleep(time.Minute)
			c.send("}")
			c.lastAnswer("you said {}")
		}, time.Minute},
		"half a body, net/http's": {func(c caller) { c.send(theirs(request)[:len(theirs(request))-1]) }, func(c caller) {
			time.Sleep(time.Minute)
			c.send("}")
			c.lastAnswer("you said {}")
		}, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			pipe(t, &http.Server{Handler: http.HandlerFunc(echo)}, func(p piped) {
				client := p.dial()
				c.prepare(client)
				synctest.Wait()
				began := time.Now()
				var group sync.WaitGroup
				group.Go(func() {
					if err := p.Shutdown(p.t.Context()); err != nil {
						t.Error(err)
					}
					// It looks at growing intervals, at most of half a second.
					if d := time.Since(began); d < c.shutdown-500*time.Millisecond || d > c.shutdown+time.Second {
						t.Errorf("it took %v, want %v", d, c.shutdown)
					}
				})
				c.then(client)
				group.Wait()
			})
		})
	}
}

func (c caller) ends() { c.end() }

// lastAnswer is one behind which the connection ends, as it says.
func (c caller) lastAnswer(want string) {
	c.t.Helper()
	if res, body := c.answer(); !res.Close || body != want {
		c.t.Errorf("%q, closing: %t", body, res.Close)
	}
	c.end()
}

// TestShutdownGivesUp when its context ends; Close then tells the handlers.
func TestShutdownGivesUp(t *testing.T) {
	for name, text := range map[string]string{"here": get, "net/http": odd} {
		t.Run(name, func(t *testing.T) {
			told := make(chan struct{})
			h := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done(); close(told) }
			pipe(t, &http.Server{Handler: http.HandlerFunc(h)}, func(p piped) {
				c := p.dial()
				c.send(text)
				synctest.Wait()
				ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
				defer cancel()
				began := time.Now()
				if err := p.Shutdown(ctx); err != context.DeadlineExceeded {
					t.Error(err)
				}
				took(t, "Shutdown", time.Since(began), time.Minute)
				select {
				case <-told:
					t.Error("the handler was told by Shutdown")
				default:
				}
				_ = p.Server.Close()
				<-told
				c.end()
				if err := p.Shutdown(p.t.Context()); err != nil {
					t.Errorf("Shutdown after Close: %v", err)
				}
			})
		})
	}
}

// TestClosedMeanwhile lets requests begin while the server ends. Those that Shutdown
// meets are served whole, or not answered at all.
func TestClosedMeanwhile(t *testing.T) {
	for name, end := range map[string]func(place) error{
		"Shutdown": func(s place) error { return s.Shutdown(t.Context()) },
		"Close":    func(s place) error { return s.Server.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			for round := range 60 {
				s := serve(t, echo)
				var group sync.WaitGroup
				for n := range 8 {
					group.Go(func() {
						if err := goOn(s, n+round); err != nil && name == "Shutdown" || errors.Is(err, os.ErrDeadlineExceeded) {
							t.Error(err)
						}
					})
				}
				time.Sleep(time.Duration(round%6) * time.Millisecond)
				if err := end(s); err != nil {
					t.Error(err)
				}
				group.Wait()
			}
		})
	}
}

// goOn asks until there is no answer. What is half an answer is an error.
func goOn(s place, n int) error {
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		return nil
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	in := bufio.NewReader(c)
	for ; ; n++ {
		text := request
		if n%4 == 0 {
			text = theirs(request)
		}
		if _, err := io.WriteString(c, text); err != nil {
			return nil
		}
		if _, err := in.Peek(1); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return err
		}
		if body, err := io.ReadAll(res.Body); err != nil || string(body) != "you said {}" {
			return fmt.Errorf("half an answer: %q, %w", body, err)
		}
	}
}

// TestClosedFirst: what comes of a request after Shutdown has found its connection idle
// is not served, as it could not be answered.
func TestClosedFirst(t *testing.T) {
	for name, text := range map[string]string{"here": get, "net/http": odd} {
		t.Run(name, func(t *testing.T) {
			var served atomic.Int32
			pipe(t, &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served.Add(1) })}, func(p piped) {
				near, far := net.Pipe()
				c := calling(p.t, far)
				p.l.conn <- &late{Conn: near, text: text, closed: make(chan struct{})}
				c.send(get)
				c.answer()
				synctest.Wait()
				if err := p.Shutdown(p.t.Context()); err != nil {
					t.Error(err)
				}
				synctest.Wait()
			})
			if n := served.Load(); n != 1 {
				t.Errorf("%d requests are served", n)
			}
		})
	}
}

// A late connection gives the rest of what it has read once it is closed.
type late struct {
	net.Conn
	text   string
	closed chan struct{}
	once   sync.Once
}

func (c *late) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	select {
	case <-c.closed:
		n, err = copy(b, c.text), nil
		if n == 0 {
			err = io.EOF
		}
		c.text = c.text[n:]
	default:
	}
	return n, err
}

func (c *late) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// A failing listener gives errors before connections.
type failing struct {
	*given
	errs chan error
}

func (l failing) Accept() (net.Conn, error) {
	select {
	case err := <-l.errs:
		return nil, err
	default:
	}
	select {
	case err := <-l.errs:
		return nil, err
	case c := <-l.conn:
		return c, nil
	case <-l.gone:
		return nil, net.ErrClosed
	}
}

type passing struct{}

func (passing) Error() string   { return "too many open files" }
func (passing) Timeout() bool   { return false }
func (passing) Temporary() bool { return true }

// TestAcceptFails: what passes is waited for, longer each time, and the server's other
// connections do not wait with it. What does not pass ends Serve.
func TestAcceptFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := failing{&given{conn: make(chan net.Conn), gone: make(chan struct{})}, make(chan error, 20)}
		var logs bytes.Buffer
		s := &front.Server{HTTP: &http.Server{Handler: http.HandlerFunc(echo), ErrorLog: log.New(&logs, "", 0)}}
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		p := piped{place{s, l}, t, l.given}
		c := p.dial()
		fail := func(times int) {
			for range times {
				l.errs <- passing{}
			}
			synctest.Wait()
		}
		began := time.Now()
		fail(9)
		time.Sleep(time.Second)
		c.send(odd)
		c.answer()
		took(t, "an odd request", time.Since(began), time.Second)
		p.dial()
		took(t, "the next connection", time.Since(began), 2275*time.Millisecond) // 5+10+…+640, and 1000
		began = time.Now()
		fail(1)
		p.dial()
		took(t, "the one after that", time.Since(began), 5*time.Millisecond)
		if n := strings.Count(logs.String(), "http: Accept error: too many open files; retrying in "); n != 10 {
			t.Errorf("logged %d times: %s", n, &logs)
		}
		broken := errors.New("broken")
		l.errs <- broken
		if err := <-served; err != broken {
			t.Errorf("Serve: %v", err)
		}
		_ = s.Close()
	})
}

// TestCloseWhileAcceptFails does not wait for what passes.
func TestCloseWhileAcceptFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := failing{&given{conn: make(chan net.Conn), gone: make(chan struct{})}, make(chan error, 20)}
		for range cap(l.errs) {
			l.errs <- passing{}
		}
		s := &front.Server{HTTP: &http.Server{Handler: http.HandlerFunc(echo), ErrorLog: log.New(io.Discard, "", 0)}}
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		time.Sleep(5 * time.Second)
		began := time.Now()
		_ = s.Shutdown(t.Context())
		if err := <-served; err != http.ErrServerClosed {
			t.Error(err)
		}
		took(t, "Shutdown", time.Since(began), 0)
	})
}

// TestServesTwice: on two listeners at once, and no more when it is closed.
func TestServesTwice(t *testing.T) {
	one := serve(t, echo)
	two, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- one.Serve(two) }()
	for _, l := range []net.Listener{one.Listener, two} {
		for _, text := range []string{last, theirs(last)} {
			if got := talk(t, l, text); !strings.HasSuffix(got, "you said {}") {
				t.Errorf("%q", got)
			}
		}
	}
	if err := one.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != http.ErrServerClosed {
		t.Errorf("the other one's Serve: %v", err)
	}
	three, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := one.Serve(three); err != http.ErrServerClosed {
		t.Errorf("Serve after Shutdown: %v", err)
	}
	if c, err := net.Dial("tcp", three.Addr().String()); err == nil {
		_ = c.Close()
		t.Error("its listener is open")
	}
}

// TestTLS is net/http's, with what it agrees on with a client.
func TestTLS(t *testing.T) {
	for _, wrapped := range []bool{false, true} {
		for name, proto := range map[string]string{"http/1.1": "HTTP/1.1", "h2": "HTTP/2.0"} {
			if wrapped && name == "h2" {
				continue // net/http knows it by its type
			}
			t.Run(fmt.Sprintf("%s, wrapped %t", name, wrapped), func(t *testing.T) {
				certified := httptest.NewUnstartedServer(nil)
				certified.StartTLS()
				defer certified.Close()
				plain, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				l := tls.NewListener(plain, &tls.Config{Certificates: certified.TLS.Certificates, NextProtos: []string{name}})
				if wrapped {
					l = wrapping{l, func(c net.Conn) net.Conn { return struct{ *tls.Conn }{c.(*tls.Conn)} }}
				}
				serveOn(t, l, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					fmt.Fprint(w, r.Proto, r.TLS != nil)
				})})
				client := certified.Client()
				client.Transport.(*http.Transport).ForceAttemptHTTP2 = true
				defer client.CloseIdleConnections()
				res, err := client.Get("https://" + plain.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				if body, err := io.ReadAll(res.Body); err != nil || string(body) != proto+"true" {
					t.Errorf("%q, %v", body, err)
				}
			})
		}
	}
}

// A wrapping listener makes something else of connections.
type wrapping struct {
	net.Listener
	wrap func(net.Conn) net.Conn
}

func (l wrapping) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.wrap(c), nil
}

// TestNobodyIsThere: a connection that does not say whose it is is served as well.
func TestNobodyIsThere(t *testing.T) {
	pipe(t, &http.Server{Handler: http.HandlerFunc(echo)}, func(p piped) {
		near, far := net.Pipe()
		p.l.conn <- anonymous{near}
		c := calling(p.t, far)
		c.send(get)
		c.answer()
	})
}

type anonymous struct{ net.Conn }

func (anonymous) RemoteAddr() net.Addr { return nil }

// TestHandlerFails: its connection ends, and nothing else. What is no agreed end is told
// once.
func TestHandlerFails(t *testing.T) {
	for name, c := range map[string]struct {
		fail func()
		logs int
	}{
		"aborts":             {func() { panic(http.ErrAbortHandler) }, 0},
		"panics":             {func() { panic("ouch") }, 1},
		"ends the goroutine": {runtime.Goexit, 0},
	} {
		for _, begun := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, answer begun %t", name, begun), func(t *testing.T) {
				var logs bytes.Buffer
				var ctx context.Context
				h := func(w http.ResponseWriter, r *http.Request) {
					if r.Method == "GET" {
						echo(w, r)
						return
					}
					ctx = r.Context()
					_, _ = io.Copy(io.Discard, r.Body)
					if begun {
						_, _ = io.WriteString(w, "x")
						_ = http.NewResponseController(w).Flush()
					}
					c.fail()
				}
				pipe(t, &http.Server{Handler: http.HandlerFunc(h), ErrorLog: log.New(&logs, "", 0)}, func(p piped) {
					other, client := p.dial(), p.dial()
					client.send(request)
					rest, err := io.ReadAll(client)
					if begun != strings.HasSuffix(string(rest), "\r\n1\r\nx\r\n") || !begun && len(rest) > 0 || err != nil {
						t.Errorf("%q, %v", rest, err)
					}
					if ctx.Err() == nil {
						t.Error("the context lives")
					}
					other.send(get)
					other.answer()
					if err := p.Shutdown(p.t.Context()); err != nil { // it waits for nobody
						t.Error(err)
					}
				})
				if n := strings.Count(logs.String(), "http: panic serving "); n != c.logs || n > 0 && !strings.Contains(logs.String(), "conn_test.go") {
					t.Errorf("told %d times: %s", n, &logs)
				}
			})
		}
	}
}

// TestHandoverHasNoDeadline: net/http begins with none where none is configured.
func TestHandoverHasNoDeadline(t *testing.T) {
	t.Run("of an idle connection", func(t *testing.T) {
		pipe(t, &http.Server{Handler: http.HandlerFunc(echo), IdleTimeout: time.Minute}, func(p piped) {
			c := p.dial()
			c.send(get)
			c.answer()
			text := theirs(request)
			c.send(text[:len(text)-1])
			time.Sleep(time.Hour)
			c.send(text[len(text)-1:])
			if _, body := c.answer(); body != "you said {}" {
				t.Errorf("%q", body)
			}
		})
	})
	t.Run("of a listener", func(t *testing.T) {
		pipe(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second) // the next request is on its way
			echo(w, r)
		})}, func(p piped) {
			c := p.dial()
			c.send(get)
			go c.send("OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			c.answer()
			if res, _ := c.answer(); res.StatusCode != 200 {
				t.Error(res.Status)
			}
		})
	})
	t.Run("of a body", func(t *testing.T) {
		pipe(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Odd") == "" {
				_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Second))
				_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Second))
			}
			echo(w, r)
		})}, func(p piped) {
			c := p.dial()
			text := theirs(request)
			c.send(request[:len(request)-1])
			go c.send("}" + text[:len(text)-1])
			c.answer()
			time.Sleep(time.Hour)
			c.send("}")
			if _, body := c.answer(); body != "you said {}" {
				t.Errorf("%q", body)
			}
		})
	})
}

// TestHandover: net/http has the connection with what was read of it, whatever was
// served on it before, and it alone: nothing is heard twice, Close ends it.
func TestHandover(t *testing.T) {
	pieces := func(text string, size int) (all []string) {
		for ; len(text) > size; text = text[size:] {
			all = append(all, text[:size])
		}
		return append(all, text)
	}
	chunks := strings.Replace(theirs(request), "Content-Length: 2\r\n\r\n{}", "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 1)
	for name, text := range map[string]string{
		"at once":            chunks,
		"after one":          request + chunks,
		"after two":          request + request + theirs(request),
		"and requests later": request + theirs(request) + request + chunks + request,
	} {
		for _, size := range []int{1, 7, 100, 10_000} {
			t.Run(fmt.Sprintf("%s, by %d", name, size), func(t *testing.T) {
				pipe(t, &http.Server{Handler: http.HandlerFunc(echo)}, func(p piped) {
					c := p.dial()
					go func() {
						for _, piece := range pieces(text, size) {
							c.send(piece)
						}
					}()
					for range strings.Count(text, "{}") {
						if _, body := c.answer(); body != "you said {}" {
							t.Errorf("%q", body)
						}
					}
					_ = p.Server.Close()
					c.end()
				})
			})
		}
	}
}

// TestPanicked: whoever wants to know of panics is told, and the log is not.
func TestPanicked(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var logs strings.Builder
	told := make(chan any, 2)
	s := &front.Server{Panicked: func(v any) { told <- v }, HTTP: &http.Server{ErrorLog: log.New(&logs, "", 0),
		Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/aborts" {
				panic(http.ErrAbortHandler)
			}
			panic("oh")
		})}}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	for _, path := range []string{"/aborts", "/"} {
		if got := talk(t, l, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); got != "" {
			t.Errorf("%s: %q", path, got)
		}
	}
	if v := <-told; v != "oh" {
		t.Errorf("told of %v", v)
	}
	_ = s.Close()
	<-served
	if len(told) > 0 || logs.Len() > 0 {
		t.Errorf("%d more, and %q", len(told), logs.String())
	}
}
