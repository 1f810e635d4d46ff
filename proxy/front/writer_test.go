package front_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A program is what a handler does, a byte for each step.
type program []byte

// steps are what there is to do. A handler that notes something does so in its log.
var steps = []func(w http.ResponseWriter, note func(...any)){
	head(200), head(201), head(204), head(304), head(400), head(418), head(500), head(529), head(999), head(0),
	set("Content-Length", "0"), set("Content-Length", "1"), set("Content-Length", "2048"), set("Content-Length", "32768"),
	set("Content-Type", "a/b"), set("Content-Type", ""), set("Content-Encoding", "gzip"), set("Content-Encoding", ""),
	set("Connection", "close"), set("Date", "Mon, 06 Oct 2025 10:00:00 GMT"), set("X-A", "1"),
	unset("Content-Length"), unset("Content-Type"), unset("Content-Encoding"), unset("Connection"),
	write(0), write(1), write(2), write(511), write(2047), write(2048), write(2049), write(4096),
	write(32<<10 - 1), write(32 << 10), write(32<<10 + 1), write(100_000),
	func(w http.ResponseWriter, note func(...any)) { note("flush", http.NewResponseController(w).Flush()) },
	func(http.ResponseWriter, func(...any)) { panic(http.ErrAbortHandler) },
}

func head(status int) func(http.ResponseWriter, func(...any)) {
	return func(w http.ResponseWriter, note func(...any)) {
		if status == 0 {
			defer func() { note("no status", recover() != nil) }()
		}
		w.WriteHeader(status)
	}
}

func set(name, value string) func(http.ResponseWriter, func(...any)) {
	return func(w http.ResponseWriter, _ func(...any)) { w.Header()[name] = []string{value} }
}

func unset(name string) func(http.ResponseWriter, func(...any)) {
	return func(w http.ResponseWriter, _ func(...any)) { w.Header().Del(name) }
}

func write(size int) func(http.ResponseWriter, func(...any)) {
	text := bytes.Repeat([]byte("%PDF-<html>\x00."), size/13+1)[:size]
	return func(w http.ResponseWriter, note func(...any)) {
		n, err := w.Write(text)
		note("write", n, err)
	}
}

// A seen answer is what a client and the handler see of it.
type seen struct {
	Status   string
	Header   http.Header
	Body     string
	Err      string
	Length   int64
	Encoding []string
	Close    bool
	Kept     bool // the connection is, for another request
	Log      []string
}

// runs serves programs.
type runs struct {
	pair
	mu      sync.Mutex
	program program
	log     []string
}

func newRuns(t testing.TB) *runs {
	x := &runs{}
	x.pair = newPair(t, x.serve)
	return x
}

func (x *runs) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/another" {
		_, _ = io.WriteString(w, "kept")
		return
	}
	_, _ = io.Copy(io.Discard, r.Body)
	note := func(what ...any) {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.log = append(x.log, fmt.Sprintln(what...))
	}
	for _, step := range x.program {
		steps[int(step)%len(steps)](w, note)
	}
}

// see has l serve a request with p.
func (x *runs) see(t *testing.T, l *given, method string, p program) seen {
	x.program, x.log = p, nil
	near, far := net.Pipe()
	defer far.Close()
	l.conn <- near
	_ = far.SetDeadline(time.Now().Add(20 * time.Second))
	send := method + " / HTTP/1.1\r\nHost: x\r\n\r\n"
	if method == "POST" {
		send = request
	}
	if _, err := io.WriteString(far, send); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(far)
	var s seen
	s.Err = s.read(in, method)
	if _, err := io.WriteString(far, "GET /another HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err == nil {
		var another seen
		err := another.read(in, "GET")
		s.Kept = err == "" && another.Body == "kept"
		if s.Kept != (err == "") {
			t.Errorf("%s %v: another request is answered with %+v, %s", method, p, another, err)
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	s.Log = x.log
	return s
}

func (s *seen) read(in *bufio.Reader, method string) string {
	res, err := http.ReadResponse(in, &http.Request{Method: method})
	if err != nil {
		return err.Error()
	}
	body, err := io.ReadAll(res.Body)
	if res.Header.Get("Date") == "" {
		return "no date"
	}
	if !strings.HasSuffix(res.Header.Get("Date"), "2025 10:00:00 GMT") {
		res.Header.Del("Date")
	}
	s.Status, s.Header, s.Body, s.Length, s.Encoding, s.Close = res.Status, res.Header, string(body), res.ContentLength, res.TransferEncoding, res.Close
	if err != nil {
		return err.Error()
	}
	return ""
}

func (s seen) String() string {
	body := s.Body
	s.Body = ""
	type plain seen
	return fmt.Sprintf("%+v, a body of %d: %.30q", plain(s), len(body), body)
}

func (p program) breaksOff() bool {
	return slices.ContainsFunc(p, func(b byte) bool { return int(b)%len(steps) == len(steps)-1 })
}

// beAsFarAs makes answers that break off equal, if they are as far as they go: what has not
// been sent by then is not, and here that is another part than with net/http.
func (s *seen) beAsFarAs(other *seen) {
	switch {
	case s.Status == "":
		*s = *other
	case other.Status == "":
		*other = *s
	case strings.HasPrefix(s.Body, other.Body), strings.HasPrefix(other.Body, s.Body):
		s.Body, s.Err = other.Body, other.Err
	}
}

func (x *runs) compare(t *testing.T, p program) {
	t.Helper()
	for _, method := range []string{"GET", "HEAD", "POST"} {
		want := x.see(t, x.theirs, method, p)
		got := x.see(t, x.mine, method, p)
		if p.breaksOff() && !got.Kept && !want.Kept && slices.Equal(got.Log, want.Log) {
			got.beAsFarAs(&want)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s %v\ngot  %s\nwant %s", method, []byte(p), got, want)
		}
	}
}

// FuzzWriter: whatever a handler does, a client sees what it would of net/http, and so does
// the handler.
func FuzzWriter(f *testing.F) {
	for i := range steps {
		f.Add([]byte{byte(i)})
		for j := range steps {
			f.Add([]byte{byte(i), byte(j)})
		}
	}
	x := newRuns(f)
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) > 12 {
			return
		}
		x.compare(t, p)
	})
}

// TestOtherFramingDoesNotCount: what a handler's header says about where its answer ends is
// as if it said nothing, unless it is a length.
func TestOtherFramingDoesNotCount(t *testing.T) {
	plain := func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "text") }
	want := settled(talk(t, serve(t, plain), last))
	for name, values := range map[string][]string{
		"Content-Length":         {"nonsense"},
		"content-length":         {"1"},
		"Content-Length ":        {"1"},
		"Transfer-Encoding":      {"gzip", "chunked"},
		"transfer-encoding":      {"chunked"},
		"Connection":             {"keep-alive, X"},
		"Trailer":                {"X"},
		http.TrailerPrefix + "X": {"y"},
	} {
		got := settled(talk(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header()[name] = values
			w.WriteHeader(http.StatusEarlyHints)
			plain(w, r)
		}), last))
		if got != want {
			t.Errorf("%s\ngot  %q\nwant %q", name, got, want)
		}
	}
	got := settled(talk(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Length"] = []string{"+04", "5"} // on the wire that would be two, or none
		plain(w, r)
	}), last))
	if got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
