package front_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"anyproxy/proxy/front"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A place is where a server listens.
type place struct {
	*front.Server
	net.Listener
}

// serve serves h until the test ends.
func serve(t testing.TB, h http.HandlerFunc) place {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, l, &http.Server{Handler: h})
}

func serveOn(t testing.TB, l net.Listener, s *http.Server) place {
	p := place{&front.Server{HTTP: s}, l}
	served := make(chan error, 1)
	go func() { served <- p.Serve(l) }()
	t.Cleanup(func() {
		_ = p.Server.Close()
		if err := <-served; err != http.ErrServerClosed {
			t.Errorf("Serve: %v", err)
		}
	})
	return p
}

// talk sends text over a connection of its own and gives what comes until it is closed.
func talk(t testing.TB, l interface{ Addr() net.Addr }, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return converse(t, c, text)
}

func converse(t testing.TB, c net.Conn, text string) string {
	t.Helper()
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	all, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("%v after %q", err, all)
	}
	return string(all)
}

const (
	request = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
	last    = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
)

// An answer is what a handler wants to say.
type answer struct {
	status int
	header http.Header
	pieces []string
}

// plain says it through net/http.
func (a answer) plain(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.status)
	_ = http.NewResponseController(w).Flush() // else net/http may count the bytes instead
	for _, p := range a.pieces {
		_, _ = w.Write([]byte(p))
		_ = http.NewResponseController(w).Flush()
	}
}

// ahead says it with a head that is made before, where that can be done.
func (a answer) ahead(t *testing.T, first *answer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		out := front.Begin(w)
		if out == nil {
			a.plain(w, r)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Was-Set", "and says nothing")
		if first != nil {
			out.Head(first.status, first.header)
		}
		out.Head(a.status, a.header)
		for _, p := range a.pieces {
			half := len(p) / 2
			if err := out.Write([]byte(p[:half]), nil, []byte(p[half:])); err != nil {
				t.Error(err)
			}
		}
		if len(a.pieces) == 0 {
			if err := out.Write(); err != nil {
				t.Error(err)
			}
		}
	}
}

// theirs makes of a request one that is net/http's.
func theirs(request string) string {
	return strings.Replace(request, "\r\nHost: ", "\r\nX-Odd: a\tb\r\nHost: ", 1)
}

var date = regexp.MustCompile(`(?m)^Date: \w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT\r$`)

// lines are those of an answer, with the header in order.
func lines(t *testing.T, raw string) []string {
	t.Helper()
	head, body, found := strings.Cut(date.ReplaceAllString(raw, "Date: now\r"), "\r\n\r\n")
	if !found {
		t.Fatalf("no head in %q", raw)
	}
	all := strings.Split(head, "\r\n")
	slices.Sort(all[1:])
	return append(all, body)
}

// TestSaysTheSame holds answers to those of net/http, byte for byte but for the order of
// the header's lines.
func TestSaysTheSame(t *testing.T) {
	for name, a := range map[string]answer{
		"a stream":                 {200, http.Header{"Content-Type": {"text/event-stream"}, "X-B": {"1", "2"}, "A": {""}}, []string{"event: a\n\n", "event: b\n\n"}},
		"long":                     {200, http.Header{"Content-Type": {"text/event-stream"}}, []string{strings.Repeat("x", 300_000), "y"}},
		"an error":                 {529, http.Header{"Content-Type": {"application/json"}, "Retry-After": {"3"}}, []string{`{"type":"error"}`}},
		"empty":                    {500, http.Header{"Content-Type": {"application/json"}}, nil},
		"a date of the upstream's": {200, http.Header{"Content-Type": {"a/b"}, "Date": {"Mon, 06 Oct 2025 10:00:00 GMT"}}, []string{"x"}},
		"what is no header": {200, http.Header{"Content-Type": {"a/b"}, "Bad Name": {"x"}, "": {"x"}, "Näme": {"x"},
			"Two-Lines": {"a\r\nX-Smuggled: 1", "\nb\n", " blank\t"}}, []string{"x"}},
	} {
		t.Run(name, func(t *testing.T) {
			want := lines(t, talk(t, serve(t, a.plain), theirs(last)))
			for name, first := range map[string]*answer{"": nil, " instead of another": {200, http.Header{"X-Other": {"1"}}, nil}} {
				if got := lines(t, talk(t, serve(t, a.ahead(t, first)), last)); !slices.Equal(got, want) {
					t.Errorf("%.500q%s\nwant %.500q", got, name, want)
				}
			}
		})
	}
}

// FuzzHead holds heads to those that net/http makes of the same header, which has one
// field or one field twice.
func FuzzHead(f *testing.F) {
	for _, name := range []string{"X-A", "x-a", "Date", "date", "Content-Type", "A B", "Trailer:X", "X\r\nY", "Näme", ""} {
		f.Add(uint16(200), name, "1", "2")
	}
	for _, value := range []string{"a\r\nb", "\r\n\r\n", " a ", "\v", "\fa", "\u00a0a\u0085", "\x00", "\xff", ""} {
		f.Add(uint16(529), "X-A", value, value+"x")
	}
	for _, status := range []uint16{200, 201, 299, 400, 404, 451, 499, 500, 529, 599, 999} {
		f.Add(status, "X-A", "1", "")
	}
	var say answer
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "GET" {
			say.plain(w, r)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		out := front.Begin(w)
		out.Head(say.status, say.header)
		_ = out.Write([]byte(say.pieces[0]))
	})
	l := &given{conn: make(chan net.Conn), gone: make(chan struct{})} // the system has not that many ports
	serveOn(f, l, &http.Server{Handler: h})
	over := func(t *testing.T, text string) string {
		near, far := net.Pipe()
		l.conn <- near
		return converse(t, far, text)
	}
	f.Fuzz(func(t *testing.T, status uint16, name, one, two string) {
		switch http.CanonicalHeaderKey(name) {
		case "Connection", "Content-Length", "Transfer-Encoding", "Trailer":
			return // the framing
		}
		if strings.HasPrefix(name, http.TrailerPrefix) {
			return // no header
		}
		if status < 200 || status > 999 || status == http.StatusNoContent || status == http.StatusNotModified {
			return // an answer without a body
		}
		say = answer{int(status), http.Header{"Content-Type": {"a/b"}}, []string{"x"}}
		say.header[name] = []string{one, two}
		if two == "" {
			say.header[name] = []string{one}
		}
		want := lines(t, over(t, theirs(strings.Replace(last, "POST", "GET", 1))))
		if got := lines(t, over(t, last)); !slices.Equal(got, want) {
			t.Errorf("got  %.500q\nwant %.500q", got, want)
		}
	})
}

// TestFramingIsTheServers: lengths and hop-by-hop fields of a header do not count.
func TestFramingIsTheServers(t *testing.T) {
	a := answer{200, http.Header{"Content-Type": {"a/b"}, "Content-Length": {"7"}, "Transfer-Encoding": {"gzip"},
		"Connection": {"keep-alive"}, "Trailer": {"X"},
		"content-length": {"7"}, "TRANSFER-ENCODING": {"gzip"}, "connection": {"keep-alive"}, "tRAILER": {"X"}}, []string{"x"}}
	got := date.ReplaceAllString(talk(t, serve(t, a.ahead(t, nil)), last), "")
	if want := "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestConnectionIsKept makes exchanges on one connection, past net/http, through it and
// past it again, the last two sent at once.
func TestConnectionIsKept(t *testing.T) {
	n := 0
	a := answer{200, http.Header{"Content-Type": {"a/b"}}, []string{"one", "two"}}
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if n++; n%2 == 0 {
			a.plain(w, r)
		} else {
			a.ahead(t, nil)(w, r)
		}
	})
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	for _, send := range []string{request, request + last, ""} {
		if _, err := io.WriteString(c, send); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(res.Body); err != nil || string(body) != "onetwo" {
			t.Errorf("%q, %v", body, err)
		}
	}
	if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 || n != 3 {
		t.Errorf("%d exchanges, then %q, %v", n, rest, err)
	}
}

// TestRequests: however a request and its body come, and whether that is read or not, the
// answer is net/http's, with what it says of the connection.
func TestRequests(t *testing.T) {
	const length = "Content-Length: 2\r\n\r\n{}"
	head := "POST / HTTP/1.1\r\nHost: x\r\n"
	more := strings.Repeat("x", 300<<10) // than is read of what a handler has not
	for name, c := range map[string]struct {
		send   string
		unread bool
		twice  bool // the connection is kept
	}{
		"plain":                {head + length, false, true},
		"no body":              {head + "\r\n", false, true},
		"chunks":               {head + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", false, true},
		"continued":            {head + "Expect: 100-continue\r\n" + length, false, true},
		"keep-alive":           {head + "Connection: keep-alive\r\n" + length, false, true},
		"unread":               {head + length, true, true},
		"unread chunks":        {head + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", true, true},
		"unread and long":      {head + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(more)) + more, true, false},
		"unread, to continue":  {head + "Expect: 100-continue\r\n" + length, true, false},
		"unread, broken chunk": {head + "Transfer-Encoding: chunked\r\n\r\nx\r\n", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			a := answer{200, http.Header{"Content-Type": {"a/b"}}, []string{"one", "two"}}
			says := func(s interface{ Addr() net.Addr }) string {
				send := c.send
				if c.twice {
					send += last
				}
				return date.ReplaceAllString(talk(t, s, send), "")
			}
			h := http.HandlerFunc(a.plain)
			ahead := a.ahead(t, nil)
			if c.unread {
				h, ahead = unread(h), unread(ahead)
			}
			plain := httptest.NewServer(h)
			defer plain.Close()
			want := says(plain.Listener)
			if n := strings.Count(want, "200 OK"); n != 1 && !c.twice || n != 2 && c.twice {
				t.Errorf("net/http answers %d times", n)
			}
			for _, h := range []http.HandlerFunc{h, ahead} {
				if got := says(serve(t, h)); got != want {
					t.Errorf("got  %q\nwant %q", got, want)
				}
			}
		})
	}
}

// unread keeps the body from a handler.
func unread(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r = r.WithContext(r.Context())
		r.Body = http.NoBody
		h(w, r)
	}
}

// TestShutdown lets an answer end that has begun, and the connection behind it.
func TestShutdown(t *testing.T) {
	begun, shut := make(chan struct{}), make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		a := front.Begin(w)
		a.Head(200, http.Header{})
		close(begun)
		<-shut
		if err := a.Write([]byte("x")); err != nil {
			t.Error(err)
		}
	})
	s.HTTP.RegisterOnShutdown(func() { close(shut) })
	done := make(chan error, 1)
	go func() { <-begun; done <- s.Shutdown(t.Context()) }()
	if got := talk(t, s, request); !strings.HasSuffix(got, "\r\n\r\n1\r\nx\r\n0\r\n\r\n") || !strings.Contains(got, "\r\nConnection: close\r\n") {
		t.Errorf("%q", got)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestCannot: who wants no body, or is answered by net/http, gets the header that was set.
func TestCannot(t *testing.T) {
	for name, send := range map[string]string{
		"HTTP/1.0": "POST / HTTP/1.0\r\n\r\n",
		"HEAD":     "HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"odd":      theirs(last),
	} {
		t.Run(name, func(t *testing.T) {
			got := talk(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-Mine", "1")
				if front.Begin(w) != nil {
					t.Error("it is made ahead")
				}
			}), send)
			if !strings.Contains(got, " 200 OK\r\n") || !strings.Contains(got, "X-Mine: 1\r\n") {
				t.Errorf("%q", got)
			}
		})
	}
}

// TestNothingOutOfTurn: as long as the head is not sent nothing else is, whatever a
// handler does.
func TestNothingOutOfTurn(t *testing.T) {
	for name, misbehave := range map[string]func(http.ResponseWriter, *front.Answer){
		"returns":            func(http.ResponseWriter, *front.Answer) {},
		"writes to net/http": func(w http.ResponseWriter, _ *front.Answer) { io.WriteString(w, "text") },
		"gives up":           func(http.ResponseWriter, *front.Answer) { panic(http.ErrAbortHandler) },
		"has no head":        func(_ http.ResponseWriter, a *front.Answer) { fails(t, a, "text"); fails(t, a, "text") },
		"has no head, nor text": func(_ http.ResponseWriter, a *front.Answer) {
			fails(t, a, "")
			a.Head(200, http.Header{})
			fails(t, a, "too late")
		},
		// Chunks behind these would be taken for the next answer.
		"has no body": func(_ http.ResponseWriter, a *front.Answer) {
			a.Head(200, http.Header{})
			a.Head(http.StatusNoContent, http.Header{})
			fails(t, a, "text")
		},
		"has not changed":    func(_ http.ResponseWriter, a *front.Answer) { a.Head(http.StatusNotModified, nil); fails(t, a, "text") },
		"is not the last":    func(_ http.ResponseWriter, a *front.Answer) { a.Head(http.StatusEarlyHints, nil); fails(t, a, "text") },
		"has no such status": func(_ http.ResponseWriter, a *front.Answer) { a.Head(0, nil); fails(t, a, "text") },
		"nor such one":       func(_ http.ResponseWriter, a *front.Answer) { a.Head(1000, nil); fails(t, a, "text") },
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				misbehave(w, front.Begin(w))
			})
			if got := talk(t, s, request); got != "" {
				t.Errorf("the client got %q", got)
			}
		})
	}
}

func fails(t *testing.T, a *front.Answer, text string) {
	t.Helper()
	if a.Write([]byte(text)) == nil {
		t.Errorf("%q is written", text)
	}
}

// TestHandlerHears: a write that fails ends the request's context, also where net/http
// has stopped reading, since the next request has come.
func TestHandlerHears(t *testing.T) {
	for name, send := range map[string]string{"one request": request, "more behind it": request + request[:1], "a line behind it": request + "\r\n"} {
		t.Run(name, func(t *testing.T) {
			begun, ended := make(chan struct{}), make(chan error, 1)
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				close(begun)
				a := front.Begin(w)
				a.Head(200, http.Header{})
				_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
				var err error
				for err == nil {
					err = a.Write(make([]byte, 1<<20)) // nobody reads
				}
				select {
				case <-r.Context().Done():
				case <-time.After(10 * time.Second):
					err = nil
				}
				ended <- err
			})
			c, err := net.Dial("tcp", s.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			io.WriteString(c, request)
			<-begun // what is read ahead with the request would not end net/http's reading
			io.WriteString(c, send[len(request):])
			if err := <-ended; err == nil {
				t.Error("the handler waits for nothing")
			}
		})
	}
}

// TestHeadComesWithTheFirstPiece: in one write, which is what a client sees of it.
func TestHeadComesWithTheFirstPiece(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	l := &given{conn: make(chan net.Conn, 1), gone: make(chan struct{})}
	l.conn <- near
	h := answer{200, http.Header{"Content-Type": {"a/b"}}, []string{"first", "second"}}.ahead(t, nil)
	serveOn(t, l, &http.Server{Handler: h})
	go io.WriteString(far, last)
	var writes []string
	for b := make([]byte, 4096); ; { // a pipe gives what one write gave
		n, err := far.Read(b)
		if err != nil {
			break
		}
		writes = append(writes, string(b[:n]))
	}
	if len(writes) != 3 || !strings.HasSuffix(writes[0], "\r\n\r\n5\r\nfirst\r\n") || writes[1] != "6\r\nsecond\r\n" || writes[2] != "0\r\n\r\n" {
		t.Errorf("%q", writes)
	}
}

// given is a listener with the connections that it is given.
type given struct {
	conn chan net.Conn
	gone chan struct{}
}

func (l *given) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.gone:
		return nil, net.ErrClosed
	}
}

func (l *given) Close() error {
	close(l.gone)
	return nil
}

func (l *given) Addr() net.Addr { return &net.TCPAddr{} }

func filled(c net.Conn) chan net.Conn {
	out := make(chan net.Conn, 1)
	out <- c
	return out
}

// BenchmarkAnswer makes a stream of 40 events, of the size that the API's are, by net/http
// and here.
func BenchmarkAnswer(b *testing.B) {
	const events = 40
	header := http.Header{"Content-Type": {"text/event-stream; charset=utf-8"}}
	for i := range 14 {
		header[fmt.Sprintf("Anthropic-Ratelimit-Field-%d", i)] = []string{"2025-10-06T10:00:00Z"}
	}
	event := bytes.Repeat([]byte("x"), 130)
	const get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	plain := func(w http.ResponseWriter, r *http.Request) {
		for name, values := range header {
			w.Header()[name] = values
		}
		w.WriteHeader(200)
		flush := http.NewResponseController(w)
		for range events {
			_, _ = w.Write(event)
			_ = flush.Flush()
		}
	}
	ahead := func(w http.ResponseWriter, r *http.Request) {
		a := front.Begin(w)
		a.Head(200, header)
		for range events {
			_ = a.Write(event)
		}
	}
	for _, c := range []struct {
		name, request string
		answer        http.HandlerFunc
	}{
		{"net-http", theirs(get), plain},
		{"plain", get, plain},
		{"ahead", get, ahead},
	} {
		b.Run(c.name, func(b *testing.B) {
			server, client := net.Pipe()
			defer client.Close()
			l := &given{conn: filled(discarding{server}), gone: make(chan struct{})}
			served := make(chan struct{}, 1)
			serveOn(b, l, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				c.answer(w, r)
				served <- struct{}{}
			})})
			b.ReportAllocs()
			for b.Loop() {
				if _, err := io.WriteString(client, c.request); err != nil {
					b.Fatal(err)
				}
				<-served
			}
		})
	}
}

// discarding is a connection whose client takes all at once.
type discarding struct{ net.Conn }

func (discarding) Write(b []byte) (int, error) { return len(b), nil }
