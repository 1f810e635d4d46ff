package anthropic

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"weak"

	"anyproxy/config"
	"anyproxy/providers"
)

// Whatever the head and the body are long, and whichever buffer they just fill,
// the request goes out whole: nothing may wait for a body that has ended.
func TestRequestsOfAllSizesGoOut(t *testing.T) {
	up := newEcho(t)
	p := newProvider(t, config.Provider{Endpoint: up.URL}, testKey)
	sizes := []int{0, 1, 5_000, 40_000, 3 << 20}
	for n := range 600 { // somewhere there head and body fill what goes out in one piece, or may wait for no answer, to the byte
		sizes = append(sizes, 16<<10-n, 32<<10-n)
	}
	for _, n := range sizes {
		for _, model := range []string{"claude-opus-4-8", "another"} {
			body := `{"model":"claude-opus-4-8","messages":"` + strings.Repeat("x", n) + `"}`
			if _, got := send(t, p, newRequest(t, body, model, false)); got.err != nil {
				t.Fatalf("%d bytes: %v", n, got.err)
			}
			if want := strings.Replace(body, "claude-opus-4-8", model, 1); string(up.body()) != want {
				t.Fatalf("%d bytes: the upstream got another body", n)
			}
		}
	}
}

// raw is an upstream that answers each connection's first request with what
// answer writes. It is closed when the test ends.
func raw(t *testing.T, answer func(net.Conn)) *Provider {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				io.Copy(io.Discard, r.Body)
				answer(c)
			}
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return newProvider(t, config.Provider{Endpoint: "http://" + l.Addr().String()}, testKey)
}

// A burst is taken from the socket in large pieces, and a piece is one frame.
func TestBurstIsFewFrames(t *testing.T) {
	const deltas = 3_000
	text := events(started, text0) + strings.Repeat(events(delta0), deltas) + events(stop0, finished, stopped)
	p := raw(t, func(c net.Conn) {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"+text)
	})
	_, got := send(t, p, streamRequest(t))
	if got.err != nil || got.bytes != text {
		t.Fatalf("%d bytes of %d, %v", len(got.bytes), len(text), got.err)
	}
	if most := len(text)/(8<<10) + 2; len(got.frames) > most { // what has come is read 32 KB at a time, and may have come in less
		t.Errorf("%d frames for %d bytes, want at most %d", len(got.frames), len(text), most)
	}
}

// What has come is not kept back while the upstream is silent, wherever in a
// chunk the large piece that was read of it ends.
func TestEventsBeforeAPauseAreNotWithheld(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for n := 0; n < 3_000; n += 97 {
		text := events(started, text0) + strings.Repeat(events(delta0), 12) + events(strings.Replace(delta0, "hi", strings.Repeat("x", n), 1))
		more := "1"
		silent := make(chan struct{})
		p := raw(t, func(c net.Conn) {
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n%s", len(text), text, more[:n%2])
			<-silent
		})
		s, err := p.Send(ctx, streamRequest(t))
		if err != nil {
			t.Fatal(err)
		}
		for got := 0; got < len(text); {
			f, err := s.Next()
			if err != nil {
				t.Fatalf("chunk of %d bytes: %d were given out: %v", len(text), got, err)
			}
			got += len(f.Bytes)
		}
		close(silent)
		s.Close()
	}
}

// A kept-alive connection that the upstream has reset gets its free repetition,
// though nobody knew before the request was written.
func TestResetIdleConnectionIsReplaced(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // so that the reset is not seen before the write
	up, conns := upstreamThatCanReset(t)
	p := newProvider(t, config.Provider{Endpoint: up}, testKey)
	for _, n := range []int{10, 3_000, 300_000} {
		body := strings.Replace(smallBody, `"hi"`, `"`+strings.Repeat("x", n)+`"`, 1)
		if _, got := send(t, p, newRequest(t, body, "m", false)); got.err != nil {
			t.Fatal(got.err)
		}
		var last net.Conn
		for len(conns) > 0 {
			last = <-conns
		}
		r := newRequest(t, body, "m", false)
		last.(*net.TCPConn).SetLinger(0)
		last.Close()
		if _, got := send(t, p, r); got.err != nil {
			t.Errorf("body of %d bytes: %v", len(body), got.err)
		}
		p.Close()
	}
}

// upstreamThatCanReset answers one request of each connection and then reads no
// more, so that closing the connection resets it at once.
func upstreamThatCanReset(t *testing.T) (url string, conns chan net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conns = make(chan net.Conn, 100)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns <- c
			serving.Go(func() {
				if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					io.Copy(io.Discard, r.Body)
					fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(wholeMessage), wholeMessage)
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		for len(conns) > 0 {
			(<-conns).Close()
		}
		serving.Wait()
	})
	return "http://" + l.Addr().String(), conns
}

// A packed stream may end on the wire long before its text does. What is ahead
// on its connection is then another answer's.
func TestPackedStreamLeavesItsConnectionAlone(t *testing.T) {
	text := events(started, text0) + strings.Repeat(events(delta0), 8_000) + events(stop0, finished, stopped)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	io.WriteString(z, text)
	z.Close()
	var requests atomic.Int32
	p := serve(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		if requests.Add(1) == 1 {
			w.Header().Set("Content-Encoding", "gzip")
			w.Header().Set("Content-Length", strconv.Itoa(packed.Len()))
			w.Write(packed.Bytes())
			return
		}
		io.WriteString(w, text)
	})
	s, err := p.Send(t.Context(), streamRequest(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	first, err := s.Next()
	if err != nil {
		t.Fatal(err)
	}
	head := string(first.Bytes)
	var others sync.WaitGroup
	others.Go(func() {
		for range 3 {
			if _, got := send(t, p, streamRequest(t)); got.err != nil || got.bytes != text {
				t.Errorf("another stream: %d bytes, %v", len(got.bytes), got.err)
			}
		}
	})
	rest := read(s)
	others.Wait()
	if rest.err != nil || head+rest.bytes != text {
		t.Errorf("%d bytes of %d, %v", len(head)+len(rest.bytes), len(text), rest.err)
	}
}

// An answer that takes long must not hold the memory of its request, which may
// be a conversation of megabytes.
func TestOpenStreamHoldsNoBody(t *testing.T) {
	release := make(chan struct{})
	p := serve(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		streamed(events(started, text0, delta0))(w, r)
		<-release
	})
	defer close(release)
	s, data := openWithBody(t, p)
	defer s.Close()
	for range 10 { // the transport lets go in its own time
		runtime.GC()
		if data.Value() == nil {
			return
		}
		runtime.Gosched()
	}
	t.Error("the request's body is still referred to")
}

// openWithBody opens a stream whose request's body is given back, and no
// longer referred to by the test.
func openWithBody(t *testing.T, p *Provider) (*providers.Stream, weak.Pointer[[1 << 20]byte]) {
	t.Helper()
	data := new([1 << 20]byte)
	r := streamRequest(t)
	n := copy(data[:], strings.Replace(smallBody, `"hi"`, `"`+strings.Repeat("x", len(data)-len(smallBody))+`"`, 1))
	given := make(chan struct{})
	r.Body = providers.NewBody(data[:n], func([]byte) { close(given) })
	s, err := p.Send(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Next(); err != nil {
		t.Fatal(err)
	}
	r.Body.Release()
	<-given
	return s, weak.Make(data)
}

// The headers of requests use the same memory, one after the other: what one
// client sent must not go out in the name of another, who may use another key.
func TestHeadersOfOneRequestAreNotAnothers(t *testing.T) {
	up := newEcho(t)
	p := newProvider(t, config.Provider{Endpoint: up.URL, Auth: config.AuthPassthrough}, "")
	for i := range 20 {
		r := newRequest(t, smallBody, "m", false)
		own := fmt.Sprintf("X-Stainless-%d", i)
		r.Header[own], r.Auth.APIKey = []string{"yes"}, own
		if i%2 == 1 {
			r.Auth = providers.ClientAuth{Authorization: own}
		}
		if _, got := send(t, p, r); got.err != nil {
			t.Fatal(got.err)
		}
		h := up.request().Header
		if h.Get(own) != "yes" || h.Get("X-Api-Key") != r.Auth.APIKey || h.Get("Authorization") != r.Auth.Authorization {
			t.Errorf("request %d went out with %v", i, h)
		}
		for name := range h {
			if strings.HasPrefix(name, "X-Stainless-") && name != own {
				t.Errorf("request %d went out with another's %s", i, name)
			}
		}
	}
}
