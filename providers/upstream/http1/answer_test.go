package http1

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// wire is a connection that brings given bytes, in pieces of at most that many,
// and takes whatever is written.
type wire struct {
	net.Conn // nil
	answer   []byte
	piece    int
	reads    int
	closed   bool
	deadline time.Time // of reads
}

func (w *wire) Read(p []byte) (int, error) {
	w.reads++
	if len(w.answer) == 0 {
		return 0, io.EOF
	}
	n := copy(p, w.answer[:min(w.piece, len(w.answer))])
	w.answer = w.answer[n:]
	return n, nil
}

func (w *wire) Write(p []byte) (int, error)       { return len(p), nil }
func (w *wire) Close() error                      { w.closed = true; return nil }
func (w *wire) SetReadDeadline(t time.Time) error { w.deadline = t; return nil }

// ask makes one request to a server that sends these bytes and closes.
func ask(t testing.TB, answer []byte, piece, room int) (res *http.Response, body []byte, kept bool, err error) {
	t.Helper()
	return askOver(t, &wire{answer: answer, piece: piece}, room)
}

func askOver(t testing.TB, w *wire, room int) (res *http.Response, body []byte, kept bool, err error) {
	t.Helper()
	pool := &Pool{Dial: func(context.Context, string, string) (net.Conn, error) { return w, nil }, MaxIdle: 1, IdleTime: time.Hour, MaxHead: 64 << 10}
	defer pool.CloseIdle()
	u := &url.URL{Scheme: "http", Host: "up", Path: "/"}
	res, err = pool.Do(t.Context(), &Request{Method: http.MethodPost, URL: u})
	if err != nil {
		return nil, nil, false, err
	}
	b := res.Body.(*Body)
	var all bytes.Buffer
	p := make([]byte, room)
	for err == nil {
		there, before := b.Waiting(), w.reads
		var n int
		n, err = b.Read(p)
		all.Write(p[:n])
		if there == (w.reads > before) || n == 0 && err == nil {
			t.Fatalf("%d bytes were there: %v; %d reads gave %d, %v", all.Len(), there, w.reads-before, n, err)
		}
	}
	if err == io.EOF {
		err = nil
	}
	kept = !w.closed
	b.Close()
	if _, again := b.Read(p); again == nil || again == io.EOF {
		t.Fatalf("read behind Close: %v", again)
	}
	return res, all.Bytes(), kept, err
}

// oracle is what net/http makes of the same bytes, and how many of them it leaves.
func oracle(answer []byte) (res *http.Response, body []byte, left int, err error) {
	whole := bytes.NewReader(answer)
	r := bufio.NewReaderSize(whole, 64<<10)
	post := &http.Request{Method: http.MethodPost}
	res, err = http.ReadResponse(r, post)
	for err == nil && res.StatusCode < 200 && res.StatusCode != http.StatusSwitchingProtocols {
		res, err = http.ReadResponse(r, post)
	}
	if err != nil {
		return nil, nil, 0, err
	}
	body, err = io.ReadAll(res.Body)
	return res, body, r.Buffered() + whole.Len(), err
}

var answers = []string{
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, and more",
	"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;why=so\r\n world\r\n0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nSum: 1\r\nOther: 2\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nhello",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	"HTTP/1.0 200 OK\r\n\r\nto the end",
	"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	"HTTP/1.1 200\r\nConnection: close\r\n\r\nto the end",
	"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
	"HTTP/1.1 304 Not Modified\r\n\r\n",
	"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
	"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
	"HTTP/1.1 200 OK\r\nFolded: a\r\n b\r\n\tc\r\nContent-Length: 2\r\n\r\nhi",
	"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
	"HTTP/1.1 200 OK\r\nset-cookie: a\r\nSet-Cookie: b\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nBad Name: a\r\n\r\n",
	"HTTP/1.1 200 OK\r\n: a\r\n\r\n",
	"HTTP/1.1 200 OK\r\nA: b\x00c\r\n\r\n",
	"HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "SSH-2.0-OpenSSH\r\n\r\n", "\r\n\r\n", "",
	"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
}

// alike compares values but for the spaces in the place of a folded line's end.
func alike(a, b []string) bool {
	return slices.EqualFunc(a, b, func(a, b string) bool { return slices.Equal(strings.Fields(a), strings.Fields(b)) })
}

// checkAnswer compares what is made of an answer with what net/http makes of it.
// Where they differ it may only be that we refuse what net/http takes.
func checkAnswer(t *testing.T, answer []byte, piece, room int) {
	t.Helper()
	w := &wire{answer: bytes.Clone(answer), piece: piece}
	res, body, kept, err := askOver(t, w, room)
	want, wantBody, left, wantErr := oracle(answer)
	if res == nil {
		return // refused
	}
	if want == nil {
		t.Fatalf("%q: taken, status %d; net/http: %v", answer, res.StatusCode, wantErr)
	}
	if wantErr != nil && len(body) == len(wantBody) && (strings.Contains(wantErr.Error(), "MIME header") || strings.Contains(wantErr.Error(), "trailer")) {
		wantErr, left = nil, len(w.answer) // trailers we only count
	}
	if err == nil && wantErr != nil || !bytes.HasPrefix(wantBody, body) || err == nil && len(body) != len(wantBody) {
		t.Fatalf("%q: body %q, %v; net/http: %q, %v", answer, body, err, wantBody, wantErr)
	}
	for _, name := range []string{"Content-Length", "Transfer-Encoding", "Trailer", "Connection"} { // it takes them out
		delete(want.Header, name)
		delete(res.Header, name)
	}
	if res.StatusCode != want.StatusCode || !maps.EqualFunc(res.Header, want.Header, alike) {
		t.Fatalf("%q: %d %v; net/http: %d %v", answer, res.StatusCode, res.Header, want.StatusCode, want.Header)
	}
	if kept && (want.Close || err != nil || wantErr == nil && len(w.answer) != left) {
		t.Fatalf("%q: the connection is kept, %v; %d bytes of it are left, net/http: %d", answer, err, len(w.answer), left)
	}
}

func TestAnswersAreReadAsByNetHTTP(t *testing.T) {
	for _, answer := range answers {
		for piece := 1; piece <= len(answer); piece++ {
			for _, room := range []int{1, 3, 512} {
				checkAnswer(t, []byte(answer), piece, room)
			}
		}
	}
}

// The usual forms must not only be no worse than net/http's: they must be taken.
func TestUsualAnswersAreTaken(t *testing.T) {
	for _, c := range []struct {
		answer, body string
		kept         bool
	}{
		{answers[0], "hello", true},
		{answers[7], "hello world", true},
		{answers[8], "hello", true},
		{answers[9], "hello", false},
		{answers[15], "to the end", false},
		{answers[17], "to the end", false},
		{answers[18], "", true},
		{answers[20], "hi", true},
		{answers[22], "hi", true},
		{answers[23], "hi", true},
		{answers[24], "", true},
		{"HTTP/1.1 200 OK\r\nConnection: Keep-Alive, Close\r\nContent-Length: 0\r\n\r\n", "", false},
	} {
		for _, piece := range []int{1, 1000} {
			_, body, kept, err := ask(t, []byte(c.answer), piece, 100)
			if err != nil || string(body) != c.body || kept != c.kept && piece > 1 { // by one byte at a time what is too much is not seen
				t.Errorf("%q: %q, kept %v, %v", c.answer, body, kept, err)
			}
		}
	}
}

func FuzzAnswer(f *testing.F) {
	for i, answer := range answers {
		f.Add([]byte(answer), 1+i%7, 1+i%5)
	}
	f.Fuzz(func(t *testing.T, answer []byte, piece, room int) {
		if piece < 1 || room < 1 || room > 1<<16 {
			return
		}
		checkAnswer(t, answer, piece, room)
	})
}

// What bounds the end of one answer must not bound the next.
func TestDrainLeavesNoDeadline(t *testing.T) {
	w := &wire{answer: []byte(answers[7]), piece: 70}
	p := &Pool{Dial: func(context.Context, string, string) (net.Conn, error) { return w, nil }, MaxIdle: 1, IdleTime: time.Hour, MaxHead: 4 << 10}
	defer p.CloseIdle()
	res, err := p.Do(t.Context(), &Request{Method: http.MethodPost, URL: &url.URL{Scheme: "http", Host: "up"}})
	if err != nil {
		t.Fatal(err)
	}
	b := res.Body.(*Body)
	b.Drain(time.Minute)
	if b.Close(); w.closed || len(w.answer) > 0 || !w.deadline.IsZero() {
		t.Errorf("closed %v, %d bytes left, deadline %v", w.closed, len(w.answer), w.deadline)
	}
}

func TestHeadsAreBounded(t *testing.T) {
	for name, answer := range map[string]string{
		"one line":      "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 1<<20),
		"many lines":    "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 1<<18),
		"informational": strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 100) + "HTTP/1.1 200 OK\r\n\r\n",
	} {
		if _, _, _, err := ask(t, []byte(answer), 4096, 512); !errors.Is(err, errHead) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestChunksAreBounded(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	for name, answer := range map[string]string{
		"extension": head + "5;" + strings.Repeat("x", 1<<20),
		"digits":    head + strings.Repeat("0", 1<<20),
		"trailers":  head + "0\r\n" + strings.Repeat("A: b\r\n", 1<<18),
	} {
		if _, _, _, err := ask(t, []byte(answer), 4096, 512); !errors.Is(err, errChunk) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A burst is given out as it came, whatever the room for it.
func TestBursts(t *testing.T) {
	var want, answer bytes.Buffer
	answer.WriteString("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
	for i := range 5_000 {
		piece := strings.Repeat("x", i%300) + "\n"
		want.WriteString(piece)
		fmt.Fprintf(&answer, "%x\r\n%s\r\n", len(piece), piece)
	}
	answer.WriteString("0\r\n\r\n")
	for _, room := range []int{1, 100, 512, 5_000, 100_000} {
		_, body, kept, err := ask(t, bytes.Clone(answer.Bytes()), 1<<20, room)
		if err != nil || !kept || !bytes.Equal(body, want.Bytes()) {
			t.Errorf("room for %d: %d bytes of %d, %v, %v", room, len(body), want.Len(), kept, err)
		}
	}
}

// BenchmarkRead is a stream of one chunk for each event, as it comes.
func BenchmarkRead(b *testing.B) {
	const events = 400
	event := strings.Repeat("x", 150)
	answer := []byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat(fmt.Sprintf("%x\r\n%s\r\n", len(event), event), events) + "0\r\n\r\n")
	b.ReportAllocs()
	for b.Loop() {
		if _, body, _, err := ask(b, answer, 158, 512); err != nil || len(body) != events*len(event) {
			b.Fatal(len(body), err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*events), "ns/event")
}
