package front_test

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// tell answers with what the handler was told.
func tell(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "text/plain")
	fmt.Fprintf(w, "%s %s %q %+v %d %t %q %v %v %v: %q %v\n",
		r.Method, r.Proto, r.RequestURI, *r.URL, r.ContentLength, r.Close, r.Host, r.Header, r.TransferEncoding, r.Trailer, body, err)
}

// A pair is a server here and one of net/http, which serve the same.
type pair struct{ mine, theirs *given }

func newPair(t testing.TB, h http.HandlerFunc) pair {
	p := pair{&given{conn: make(chan net.Conn), gone: make(chan struct{})}, &given{conn: make(chan net.Conn), gone: make(chan struct{})}}
	silent := log.New(io.Discard, "", 0) // net/http has words about what some handlers do
	serveOn(t, p.mine, &http.Server{Handler: h, MaxHeaderBytes: 8 << 10, ErrorLog: silent})
	plain := &http.Server{Handler: h, MaxHeaderBytes: 8 << 10, ErrorLog: silent}
	served := make(chan error, 1)
	go func() { served <- plain.Serve(p.theirs) }()
	t.Cleanup(func() {
		_ = plain.Close()
		<-served
	})
	return p
}

// say gives what l answers to pieces that come one after another, until it ends the
// connection.
func say(t *testing.T, l *given, pieces ...string) string {
	t.Helper()
	near, far := net.Pipe()
	defer far.Close()
	l.conn <- near
	go func() {
		for _, p := range pieces {
			if _, err := io.WriteString(far, p); err != nil {
				return // it has ended
			}
		}
	}()
	_ = far.SetReadDeadline(time.Now().Add(20 * time.Second))
	all, err := io.ReadAll(far)
	if err != nil {
		t.Fatalf("%v after %q", err, all)
	}
	return string(all)
}

var (
	dates  = regexp.MustCompile(`\r\nDate: \w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT\r\n`)
	fields = regexp.MustCompile(`HTTP/1\.[01] \d{3} [^\r]*(\r\n[^\r]+)*\r\n\r\n`)
)

// settled is an answer, or several, with the header's lines in order.
func settled(raw string) string {
	raw = dates.ReplaceAllString(raw, "\r\nDate: now\r\n")
	return fields.ReplaceAllStringFunc(raw, func(head string) string {
		lines := strings.Split(strings.TrimSuffix(head, "\r\n\r\n"), "\r\n")
		slices.Sort(lines[1:])
		return strings.Join(lines, "\r\n") + "\r\n\r\n"
	})
}

// TestOddRequests: each is answered as by net/http, and as early, however it comes.
func TestOddRequests(t *testing.T) {
	const get, post = "GET / HTTP/1.1\r\nHost: x\r\n", "POST / HTTP/1.1\r\nHost: x\r\n"
	const end = "Connection: close\r\n\r\n"
	long := strings.Repeat("a", 5000)
	for _, c := range []struct {
		name, send string
		kept       bool // the connection is, and ends with another request
	}{
		{"usual", post + "Content-Length: 2\r\n\r\n{}", true},
		{"usual and last", post + "Content-Length: 2\r\n" + end + "{}", false},
		{"the same length twice", post + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", true},
		{"two lengths", post + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", false},
		{"a length and chunks", post + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", true},
		{"chunks and a length", post + "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n1\r\nx\r\n0\r\n\r\n", true},
		{"chunks with a trailer", post + "Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n1\r\nx\r\n0\r\nX: y\r\n\r\n", true},
		{"broken chunks", post + "Transfer-Encoding: chunked\r\n\r\nx\r\n", false},
		{"chunks in another case", post + "transfer-encoding: Chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", true},
		{"another coding", post + "Transfer-Encoding: xchunked\r\nContent-Length: 2\r\n\r\n{}", false},
		{"two codings", post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", false},
		{"a coding before a blank", post + "Transfer-Encoding : chunked\r\nContent-Length: 2\r\n\r\n{}", false},
		{"a length with a sign", post + "Content-Length: +5\r\n\r\n12345", false},
		{"a negative length", post + "Content-Length: -5\r\n\r\n12345", false},
		{"a hexadecimal length", post + "Content-Length: 0x5\r\n\r\n12345", false},
		{"a list of lengths", post + "Content-Length: 5, 5\r\n\r\n12345", false},
		{"an empty length", post + "Content-Length:\r\n\r\n", false},
		{"a length of zeros", post + "Content-Length: 000000000000000000002\r\n\r\n{}", true},
		{"a length that is too long", post + "Content-Length: 18446744073709551618\r\n\r\n{}", false},
		{"no body", post + "\r\n", true},
		{"an empty body", post + "Content-Length: 0\r\n\r\n", true},
		{"a body where none is usual", get + "Content-Length: 2\r\n\r\n{}", true},
		{"a folded line", get + "X: a\r\n b\r\n\r\n", true},
		{"a folded length", post + "Content-Length: 1\r\n 2\r\n\r\n{}", false},
		{"a first line that is folded", "GET / HTTP/1.1\r\n Host: x\r\n\r\n", false},
		{"a blank before the colon", "GET / HTTP/1.1\r\nHost : x\r\n\r\n", false},
		{"bare line feeds", "GET / HTTP/1.1\nHost: x\n\n", true},
		{"one bare line feed", get + "X: a\nY: b\r\n\r\n", true},
		{"a bare line feed at the end", get + "\n", true},
		{"a bare carriage return", get + "X: a\rY: b\r\n\r\n", false},
		{"a carriage return too many", get + "X: a\r\r\n\r\n", false},
		{"one in the first line", "GET / HTTP/1.1\r\r\nHost: x\r\n\r\n", false},
		{"one in the last line", get + "\r\r\n", false},
		{"a NUL", get + "X: a\x00b\r\n\r\n", false},
		{"a NUL in a name", get + "X\x00: a\r\n\r\n", false},
		{"a NUL in the target", "GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n", false},
		{"an absolute target", "GET http://other/a HTTP/1.1\r\nHost: x\r\n\r\n", true},
		{"one like it", "GET //other/a HTTP/1.1\r\nHost: x\r\n\r\n", true},
		{"dots", "GET /a/../b/./c HTTP/1.1\r\nHost: x\r\n\r\n", true},
		{"escaped dots", "GET /a/%2e%2E/b%2fc HTTP/1.1\r\nHost: x\r\n\r\n", true},
		{"a broken escape", "GET /%2 HTTP/1.1\r\nHost: x\r\n\r\n", false},
		{"a semicolon", "GET /a;b?c;d HTTP/1.1\r\nHost: x\r\n\r\n", true},
		{"an empty query", "GET /a? HTTP/1.1\r\nHost: x\r\n\r\n", true},
		{"a fragment", "GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n", true},
		{"blanks", "GET  / HTTP/1.1\r\nHost: x\r\n\r\n", false},
		{"no target", "GET HTTP/1.1\r\nHost: x\r\n\r\n", false},
		{"an asterisk", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", true},
		{"a tunnel", "CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n" + end, false},
		{"another method", "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", true},
		{"a method in lower case", "get / HTTP/1.1\r\nHost: x\r\n\r\n", true},
		{"no method", " / HTTP/1.1\r\nHost: x\r\n\r\n", false},
		{"HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", false},
		{"HTTP/1.10", "GET / HTTP/1.10\r\nHost: x\r\n\r\n", false},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", false},
		{"no version", "GET /\r\n\r\n", false},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n", false},
		{"no host", "GET / HTTP/1.1\r\n\r\n", false},
		{"an empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", true},
		{"two hosts", "GET / HTTP/1.1\r\nHost: x\r\nhost: y\r\n\r\n", false},
		{"a user", "GET / HTTP/1.1\r\nHost: user:pass@x\r\n\r\n", true},
		{"a host that is none", "GET / HTTP/1.1\r\nHost: x\"y\r\n\r\n", false},
		{"an upgrade", get + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", true},
		{"an expectation", post + "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}", true},
		{"another one", post + "Expect: x\r\nContent-Length: 2\r\n\r\n{}", false},
		{"a pragma", get + "Pragma: no-cache\r\n\r\n", true},
		{"two connections", get + "Connection: keep-alive\r\nConnection: close\r\n\r\n", false},
		{"a list for the connection", get + "Connection: close, x\r\n\r\n", false},
		{"tabs", get + "X:\ta\tb\t\r\n\r\n", true},
		{"no colon", get + "X\r\n\r\n", false},
		{"no name", get + ": a\r\n\r\n", false},
		{"a name of two words", get + "a b: c\r\n\r\n", false},
		{"no ASCII", get + "X: \xc3\xa9\r\n\r\n", true},
		{"a hundred fields", get + strings.Repeat("X: y\r\n", 100) + "\r\n", true},
		{"a long head", get + "X: " + long + "\r\n\r\n", true},
		{"a long target", "GET /" + long + " HTTP/1.1\r\nHost: x\r\n\r\n", true},
		{"a head that is full", get + "X: " + long[:4096-len(get)-len("X: \r\n\r\n")] + "\r\n\r\n", true},
		{"one that is over", get + "X: " + long[:4097-len(get)-len("X: \r\n\r\n")] + "\r\n\r\n", true},
		{"no name that ends", get + long + "\r\n\r\n", false},
		{"a line before it", "\r\n" + get + end, false},
		{"lines before it", "\r\n\r\n" + get + end, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, tell)
			send, rest := c.send, ""
			if c.kept {
				rest = last
			}
			compare := func(t *testing.T, how string, pieces ...string) {
				t.Helper()
				want := settled(say(t, p.theirs, pieces...))
				if got := settled(say(t, p.mine, pieces...)); got != want {
					t.Errorf("%s\ngot  %.800q\nwant %.800q", how, got, want)
				}
			}
			compare(t, "whole", send, rest)
			compare(t, "with what is behind it", send+rest)
			compare(t, "behind a usual one", request+send, rest)
			compare(t, "after a usual one", request, send, rest)
			compare(t, "after another usual one", get+"\r\n", send, rest)
			compare(t, "byte by byte, after another usual one", append(append([]string{get + "\r\n"}, strings.Split(send, "")...), rest)...)
			compare(t, "byte by byte", append(strings.Split(send, ""), rest)...)
			compare(t, "byte by byte, after a usual one", append(append([]string{request}, strings.Split(send, "")...), rest)...)
			if len(send) < 150 {
				for i := 1; i < len(send); i++ {
					compare(t, fmt.Sprintf("split at %d", i), send[:i], send[i:]+rest)
				}
			}
		})
	}
}

// TestHeadBreaksOff: who stops in the middle of one is told the same as by net/http.
func TestHeadBreaksOff(t *testing.T) {
	const head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"
	mine := serve(t, tell)
	theirs := httptest.NewServer(http.HandlerFunc(tell))
	defer theirs.Close()
	for n := range len(head) {
		stop := func(l interface{ Addr() net.Addr }) string {
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_, _ = io.WriteString(c, head[:n])
			_ = c.(*net.TCPConn).CloseWrite()
			_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
			all, err := io.ReadAll(c)
			if err != nil {
				t.Fatal(err)
			}
			return string(all)
		}
		if got, want := stop(mine), stop(theirs.Listener); got != want {
			t.Errorf("%q\ngot  %q\nwant %q", head[:n], got, want)
		}
	}
}
