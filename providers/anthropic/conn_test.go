package anthropic

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
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
	for n := plainBuffer - 600; n <= plainBuffer+200; n++ { // somewhere there head and body fill the buffer to the byte
		sizes = append(sizes, n)
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
	if most := len(text)/plainBuffer/2 + 1; len(got.frames) > most {
		t.Errorf("%d frames for %d bytes, want at most %d: the socket is read in pieces of %d", len(got.frames), len(text), most, plainBuffer)
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
