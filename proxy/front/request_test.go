package front

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// heads are what a server of an API may be sent: by usual clients, by unusual ones and by
// those who would like it to be taken for something else.
var heads = []string{
	// Claude Code, by Node's undici.
	"POST /v1/messages?beta=true HTTP/1.1\r\nhost: 127.0.0.1:8080\r\nconnection: keep-alive\r\nAccept: application/json\r\nX-Stainless-Retry-Count: 0\r\n" +
		"X-Stainless-Timeout: 600\r\nX-Stainless-Lang: js\r\nX-Stainless-OS: Linux\r\nX-Stainless-Runtime-Version: v22.11.0\r\nanthropic-dangerous-direct-browser-access: true\r\n" +
		"anthropic-version: 2023-06-01\r\nauthorization: Bearer sk-ant-oat01-x_y-z\r\nx-app: cli\r\nUser-Agent: claude-cli/2.0.14 (external, cli)\r\ncontent-type: application/json\r\n" +
		"anthropic-beta: claude-code-20250219,oauth-2025-04-20,fine-grained-tool-streaming-2025-05-14\r\naccept-language: *\r\nsec-fetch-mode: cors\r\n" +
		"accept-encoding: gzip, deflate\r\ncontent-length: 2\r\n\r\n{}",
	// curl
	"GET /v1/models HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n",
	"POST /v1/messages HTTP/1.1\r\nHost: [::1]:8080\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\nContent-Length: 2000\r\nExpect: 100-continue\r\n\r\n",
	// Python's httpx
	"POST /v1/chat/completions HTTP/1.1\r\nHost: api.test\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\nUser-Agent: OpenAI/Python 1.54.3\r\n" +
		"X-Stainless-Async: false\r\nContent-Length: 13\r\nContent-Type: application/json\r\n\r\n{\"model\":\"x\"}",
	"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: CLOSE\r\n\r\n",
	// How long the body is
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\nContent-Length: 2\r\n\r\n{}",
	"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\nContent-Length: 2\r\n\r\n{}",
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\n12345",
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n12345",
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x5\r\n\r\n12345",
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5,5\r\n\r\n12345",
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5 5\r\n\r\n12345",
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length:   005  \r\n\r\n12345",
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999999\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551617\r\n\r\n1",
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9223372036854775808\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345",
	"GET / HTTP/1.1\r\nHost: x\r\nContent_Length: 5\r\n\r\n",
	// Where lines end
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n X: folded\r\n\r\n{}",
	"POST / HTTP/1.1\r\nHost: x\r\nX: a\r\n\tb\r\nContent-Length: 2\r\n\r\n{}",
	"GET / HTTP/1.1\r\n Host: x\r\nHost: x\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\n \r\n\r\n",
	"POST / HTTP/1.1\r\nHost : x\r\nContent-Length: 2\r\n\r\n{}",
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length : 2\r\n\r\n{}",
	"GET / HTTP/1.1\nHost: x\n\n",
	"GET / HTTP/1.1\r\nHost: x\r\nX: a\nY: b\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\n\nGET / HTTP/1.1\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\rX: y\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nX: a\r\r\n\r\n",
	"GET / HTTP/1.1\r\r\nHost: x\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\n\r\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nX\x00: a\r\n\r\n",
	"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
	"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
	"\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
	// What is asked for
	"GET http://other/a HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET //other/a HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /a//b/../c/./d~-._ HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /%2e%2e/a%2fb HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /a;b?c;d HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /a?b=c&d=~e&&= HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /a? HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /a?b?c#d HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /  HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET\t/\tHTTP/1.1\r\nHost: x\r\n\r\n",
	"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
	"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
	"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n",
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	"get / HTTP/1.1\r\nHost: x\r\n\r\n",
	"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
	"GET / HTTP/1.0\r\nHost: x\r\n\r\n",
	"GET / HTTP/1.10\r\nHost: x\r\n\r\n",
	"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
	"GET / http/1.1\r\nHost: x\r\n\r\n",
	"GET /\r\nHost: x\r\n\r\n",
	"GET /é HTTP/1.1\r\nHost: x\r\n\r\n",
	// Who is asked
	"GET / HTTP/1.1\r\n\r\n",
	"GET / HTTP/1.1\r\nHost:\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nhost: y\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: user@x\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x/y\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x y\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x,y\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: [::1]:]::[\r\n\r\n",
	// What else is said
	"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nConnection: close, x\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nPragma: no-cache\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nTrailer: X\r\nContent-Length: 2\r\n\r\n{}",
	"GET / HTTP/1.1\r\nHost: x\r\nX: 1\r\nx: 2\r\nX: \r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nX:a\tb\r\nY:\tc\t\r\nZ:  d  \r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nfoo_BAR-bAz.1!#$%&'*+^`|~: 1\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\n: 1\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\na name: 1\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nÄ: 1\r\nX: \xff\x7f\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X: y\r\n", maxLines-1) + "\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X: y\r\n", 100) + "\r\n",
	"GET /" + strings.Repeat("a", inSize-len("GET / HTTP/1.1\r\nHost: x\r\n\r\n")) + " HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", inSize-len("GET / HTTP/1.1\r\nHost: x\r\nX: \r\n\r\n")) + "\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + strings.Repeat("0", 4000) + "2\r\n\r\n{}",
	// Not a request of HTTP
	"\x16\x03\x01\x02\x00\x01\x00\x01",
	"G", "P", "H", "\n", "\r", " ",
}

// TestUsualHeads: what coding clients and curl send is taken apart here.
func TestUsualHeads(t *testing.T) {
	for _, i := range []int{0, 1, 3} {
		var q request
		head := []byte(heads[i])
		if n, ok := q.parse(head); !ok || n != bytes.Index(head, []byte("\r\n\r\n"))+4 {
			t.Errorf("%d, %v of %q", n, ok, heads[i])
		}
	}
}

// FuzzRequest: what is taken apart here net/http reads in the same way, to the byte, and
// however it comes. What is not is left as net/http would have read it.
func FuzzRequest(f *testing.F) {
	for _, head := range heads {
		f.Add([]byte(head))
	}
	ask := theirServer(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 || len(b) > inSize {
			return // that is not parsed
		}
		text := bytes.Clone(b) // in which names are made canonical
		var q request
		n, ok := q.parse(text)
		if !ok && n > 0 {
			t.Fatalf("a head of %d bytes that is not usual", n)
		}
		end := n
		if end == 0 { // not a byte is changed behind the head, whether there is one or not
			if end = bytes.Index(b, []byte("\n\r\n")); end < 0 {
				end = len(b)
			}
		}
		if !bytes.Equal(text[end:], b[end:]) {
			t.Errorf("%q has become %q", b[end:], text[end:])
		}
		inPieces(t, b, n, ok)
		want, length, err := readRequest(b)
		if n == 0 {
			again, lengthAgain, errAgain := readRequest(text)
			if lengthAgain != length || (errAgain == nil) != (err == nil) || err == nil && !reflect.DeepEqual(again, want) {
				t.Errorf("it is handed over as %q, of which net/http makes\n%+v, %d, %v\nnot\n%+v, %d, %v", text, again, lengthAgain, errAgain, want, length, err)
			}
			return
		}
		if err != nil || length != n {
			t.Fatalf("a head of %d bytes; net/http's has %d, %v", n, length, err)
		}
		got := http.Request{Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
		q.fill(&got)
		clear(text) // other requests will be read into it
		if !reflect.DeepEqual(&got, want) {
			t.Errorf("got  %+v\nwant %+v", got, *want)
		}
		for name, values := range got.Header { // so that to add one changes no other
			if len(values) != cap(values) && len(values) == 1 {
				t.Errorf("%s has room for more", name)
			}
		}
		served := ask(t, b[:n])
		if served == nil {
			t.Fatal("net/http does not serve it")
		}
		if got.Method != served.Method || *got.URL != *served.URL || got.RequestURI != served.RequestURI || got.Host != served.Host ||
			got.ContentLength != served.ContentLength || got.Close != served.Close || got.Proto != served.Proto ||
			!reflect.DeepEqual(got.Header, served.Header) || served.TransferEncoding != nil || served.Trailer != nil {
			t.Errorf("got  %+v\nserved %+v", got, *served)
		}
	})
}

// inPieces has b come byte by byte: of what is accepted as a whole each beginning is, and
// nothing is ready before its end or differs for what stands behind it.
func inPieces(t *testing.T, b []byte, n int, ok bool) {
	text := bytes.Clone(b)
	step := 1 + len(b)/500
	for end := 1; end <= len(b); end++ {
		if end%step != 0 && (end < n-3 || end > n+3) {
			continue
		}
		var q request
		got, fine := q.parse(text[:end])
		want := 0
		if ok && n > 0 && end >= n {
			want = n
		}
		switch {
		case ok && !fine:
			t.Fatalf("%q is refused, and accepted with %q", b[:end], b[end:])
		case got != want:
			t.Fatalf("the head of %q has %d bytes, and with %q %d, %t", b[:end], got, b[end:], n, ok)
		}
	}
}

// readRequest is what net/http reads, and how long its head is.
func readRequest(b []byte) (*http.Request, int, error) {
	in := bytes.NewReader(b)
	r := bufio.NewReaderSize(in, len(b)+16)
	req, err := http.ReadRequest(r)
	if err != nil {
		return nil, 0, err
	}
	n := len(b) - in.Len() - r.Buffered()
	req.Body = nil
	for name := range req.Header {
		if strings.Contains(name, " ") {
			return nil, 0, errors.New("what the server refuses later")
		}
	}
	return req, n, nil
}

// theirServer gives what the handler of a server of net/http is given, nil when it is not
// called.
func theirServer(t testing.TB) func(t *testing.T, head []byte) *http.Request {
	l := &listener{conns: make(chan net.Conn), closed: make(chan struct{})}
	seen := make(chan *http.Request, 1)
	s := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		seen <- r
		panic(http.ErrAbortHandler)
	})}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Close()
		<-served
	})
	return func(t *testing.T, head []byte) *http.Request {
		near, far := net.Pipe()
		defer far.Close()
		l.conns <- near
		go func() { _, _ = far.Write(head) }()
		go func() {
			_, _ = io.Copy(io.Discard, far)
			seen <- nil // it is refused, unless the handler has said more
		}()
		r := <-seen
		_ = far.Close() // a body is still waited for
		if r != nil {
			<-seen
		}
		return r
	}
}

type listener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	close(l.closed)
	return nil
}

func (l *listener) Addr() net.Addr { return &net.TCPAddr{} }
