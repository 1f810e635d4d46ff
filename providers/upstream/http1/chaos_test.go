package http1

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// said is what a request of that size and its answer say: their number, in every
// word.
func said(id, size int) string {
	word := fmt.Sprintf("%08d ", id)
	return strings.Repeat(word, size/len(word)+1)[:size]
}

// A chaos is a server that answers in all ways, most of them bad.
type chaos struct {
	t    *testing.T
	came sync.Map // number of a request -> *atomic.Int32
}

func (s *chaos) serve(c net.Conn, socket *net.TCPConn) {
	r := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		var id, size, room int
		if _, err := fmt.Sscanf(req.URL.Path, "/%d/%d/%d", &id, &size, &room); err != nil {
			s.t.Errorf("%q: %v", req.URL.Path, err)
			return
		}
		n, _ := s.came.LoadOrStore(id, new(atomic.Int32))
		if n.(*atomic.Int32).Add(1) > 2 {
			s.t.Errorf("request %d came more than twice", id)
		}
		early := rand.IntN(4) == 0
		if !early && !s.read(req, id, size) {
			return
		}
		if !s.answer(c, socket, said(id, room)) {
			return
		}
		if early && (rand.IntN(3) == 0 || !s.read(req, id, size)) {
			return
		}
	}
}

// read reports whether the body came, and fails where it is another's.
func (s *chaos) read(req *http.Request, id, size int) bool {
	b, err := io.ReadAll(req.Body)
	if !strings.HasPrefix(said(id, size), string(b)) || err == nil && len(b) != size {
		s.t.Errorf("request %d came as %d bytes of %d, %.20q…", id, len(b), size, b)
	}
	return err == nil
}

// answer reports whether the connection may go on.
func (s *chaos) answer(c net.Conn, socket *net.TCPConn, body string) (goOn bool) {
	var b bytes.Buffer
	if rand.IntN(8) == 0 {
		b.WriteString("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
	}
	b.WriteString("HTTP/1.1 200 OK\r\n")
	last := rand.IntN(8) == 0
	if last {
		b.WriteString("Connection: close\r\n")
	}
	if rand.IntN(2) == 0 {
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	} else {
		b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		for len(body) > 0 {
			n := 1 + rand.IntN(len(body))
			fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
			body = body[n:]
		}
		b.WriteString("0\r\n\r\n")
	}
	whole := b.Bytes()
	switch rand.IntN(12) {
	case 0: // cut
		c.Write(whole[:rand.IntN(len(whole))])
		return false
	case 1: // reset, which may overtake what was written
		c.Write(whole[:rand.IntN(len(whole)+1)])
		socket.SetLinger(0)
		return false
	case 2: // another's answer behind it, in one piece: what comes later cannot be told from an answer
		c.Write(append(whole, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nevil evil"...))
		c.Read(make([]byte, 1))
		return false
	case 3: // the end of the connection without a word
		c.Write(whole)
		return false
	case 4: // in pieces
		for len(whole) > 0 {
			n := min(1+rand.IntN(1+len(whole)/3), len(whole))
			if _, err := c.Write(whole[:n]); err != nil {
				return false
			}
			time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
			whole = whole[n:]
		}
	default:
		c.Write(whole)
	}
	return !last
}

// Whatever a server does, an answer that is whole is the request's own.
func TestChaos(t *testing.T) {
	for name, secure := range map[string]bool{"http": false, "https": true} {
		t.Run(name, func(t *testing.T) {
			cert := httptest.NewUnstartedServer(nil)
			cert.StartTLS()
			defer cert.Close()
			s := &chaos{t: t}
			base, conns := listen(t, func(_ int, c net.Conn, _ *bufio.Reader) {
				socket := c.(*net.TCPConn)
				if secure {
					c = tls.Server(c, cert.TLS)
				}
				s.serve(c, socket)
			})
			p := newPool(t)
			p.TLS = &tls.Config{InsecureSkipVerify: true}
			if secure {
				base = "https" + strings.TrimPrefix(base, "http")
			}
			const clients, requests = 16, 10
			var whole atomic.Int32
			var asking sync.WaitGroup
			for client := range clients {
				asking.Go(func() {
					for i := range requests {
						if chaoticRequest(t, p, base, client*requests+i) {
							whole.Add(1)
						}
					}
				})
			}
			asking.Wait()
			if n := whole.Load(); n < clients*requests/4 || int(conns.Load()) >= clients*requests {
				t.Errorf("%d whole answers over %d connections", n, conns.Load())
			}
		})
	}
}

// chaoticRequest reports whether it got a whole answer.
func chaoticRequest(t *testing.T, p *Pool, base string, id int) bool {
	size, room := rand.IntN(100), 1+rand.IntN(8<<10)
	switch rand.IntN(4) {
	case 0:
		size = rand.IntN(inline * 2)
	case 1:
		size = rand.IntN(1 << 20)
	}
	ctx := t.Context()
	if rand.IntN(6) == 0 {
		late, cancel := context.WithTimeout(ctx, time.Duration(rand.IntN(2000))*time.Microsecond)
		defer cancel()
		ctx = late
	}
	r := request(t, base, said(id, size))
	r.URL.Path = fmt.Sprintf("/%d/%d/%d", id, size, room)
	memory := r.Held.(*memory)
	defer func() {
		memory.holders.Wait()         // its connection has been closed
		for _, part := range r.Body { // as another request may do, that gets this memory
			clear(part)
		}
	}()
	res, err := p.Do(ctx, r)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	want, got := said(id, room), []byte(nil)
	part := make([]byte, 1+rand.IntN(4096))
	leaves := rand.IntN(6) == 0
	for err == nil {
		var n int
		n, err = res.Body.Read(part)
		if got = append(got, part[:n]...); leaves {
			res.Body.(*Body).Drain(time.Millisecond)
			break
		}
	}
	if res.StatusCode != 200 || !strings.HasPrefix(want, string(got)) || errors.Is(err, io.EOF) && len(got) != len(want) {
		t.Errorf("request %d: %d, %d bytes of %d, %.40q…, %v", id, res.StatusCode, len(got), room, got, err)
	}
	return err == io.EOF
}
