package quiet_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"anyproxy/internal/quiet"
)

// What is spoken over connections in a real program works over these.

// over starts a server whose connections are quiet, and gives a client with such ones.
func over(t *testing.T, start func(*httptest.Server), h http.Handler) (*httptest.Server, *http.Client) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Listener = quiet.Listener(s.Listener)
	start(s)
	t.Cleanup(s.Close)
	client := s.Client()
	transport := client.Transport.(*http.Transport)
	transport.DialContext = quiet.Dial(new(net.Dialer).DialContext)
	transport.ExpectContinueTimeout = time.Minute // it is not to be waited for
	t.Cleanup(transport.CloseIdleConnections)
	return s, client
}

// TestHTTP sends bodies there and back at once, over one connection, in the clear, over
// TLS and over HTTP/2.
func TestHTTP(t *testing.T) {
	for name, c := range map[string]struct {
		start func(*httptest.Server)
		proto string
	}{
		"HTTP/1.1":          {(*httptest.Server).Start, "HTTP/1.1"},
		"HTTP/1.1 over TLS": {(*httptest.Server).StartTLS, "HTTP/1.1"},
		"HTTP/2": {func(s *httptest.Server) {
			s.EnableHTTP2 = true
			s.StartTLS()
		}, "HTTP/2.0"},
	} {
		t.Run(name, func(t *testing.T) {
			var connections atomic.Int32
			s, client := over(t, func(s *httptest.Server) {
				s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
					if state == http.StateNew {
						connections.Add(1)
					}
				}
				c.start(s)
			}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				http.NewResponseController(w).EnableFullDuplex()
				io.Copy(w, r.Body)
			}))
			for _, size := range []int{0, 1, 10_000, 3 << 20} {
				sent := bytes.Repeat([]byte("anyproxy"), size/8+1)[:size]
				r, err := http.NewRequest("POST", s.URL, bytes.NewReader(sent))
				if err != nil {
					t.Fatal(err)
				}
				if size > 1<<20 {
					r.Header.Set("Expect", "100-continue")
				}
				res, err := client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(res.Body)
				res.Body.Close()
				if err != nil || !bytes.Equal(got, sent) || res.Proto != c.proto {
					t.Errorf("%s: %d bytes came back of %d: %v", res.Proto, len(got), size, err)
				}
			}
			if n := connections.Load(); n != 1 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// TestALeavingClientIsNoticed by the read that the server makes beside its handler.
func TestALeavingClientIsNoticed(t *testing.T) {
	noticed := make(chan bool)
	s, client := over(t, (*httptest.Server).Start, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(noticed)
	}))
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	r, err := http.NewRequestWithContext(ctx, "GET", s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	leave()
	<-noticed
}

// TestHijack takes a connection over from the server, whose own read of it is called off.
func TestHijack(t *testing.T) {
	s, _ := over(t, (*httptest.Server).Start, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, both, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		io.WriteString(c, "go on\n")
		line, err := both.ReadString('\n')
		if err != nil {
			t.Error(err)
		}
		io.WriteString(c, strings.ToUpper(line))
	}))
	c, err := quiet.Dial(new(net.Dialer).DialContext)(t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	in := bufio.NewReader(c)
	for _, want := range []string{"go on\n", "HELLO\n"} {
		if got, err := in.ReadString('\n'); got != want || err != nil {
			t.Fatalf("got %q, %v", got, err)
		}
		io.WriteString(c, "hello\n")
	}
}

// TestTheEndOfTLS: the farewell is read as the end, half a record is not.
func TestTheEndOfTLS(t *testing.T) {
	config := func() *tls.Config {
		s := httptest.NewUnstartedServer(nil)
		s.StartTLS()
		s.Close()
		return s.TLS
	}()
	for name, c := range map[string]struct {
		end  func(secure *tls.Conn)
		want error
	}{
		"farewell": {func(c *tls.Conn) { c.Close() }, io.EOF},
		"cut": {func(c *tls.Conn) {
			io.WriteString(c.NetConn(), "\x17\x03\x03")
			c.NetConn().Close()
		}, io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, near net.Conn, far *net.TCPConn) {
				ended := make(chan bool)
				go func() {
					defer close(ended)
					secure := tls.Server(quiet.Conn(far), config)
					io.WriteString(secure, "x")
					c.end(secure)
				}()
				secure := tls.Client(near, &tls.Config{InsecureSkipVerify: true})
				b := make([]byte, 8)
				if n, err := secure.Read(b); n != 1 || err != nil {
					t.Errorf("%d bytes, %v", n, err)
				}
				if _, err := secure.Read(b); err != c.want {
					t.Errorf("ended with %v, want %v", err, c.want)
				}
				<-ended
			})
		})
	}
}
