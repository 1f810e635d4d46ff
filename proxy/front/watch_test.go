package front_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"anyproxy/internal/quiet"
)

// hearings are the ways in which a server can hear that its client has left.
var hearings = map[string]func(net.Conn) net.Conn{
	"watched":      func(c net.Conn) net.Conn { return c },
	"quiet":        quiet.Conn,
	"by an ear":    func(c net.Conn) net.Conn { return struct{ net.Conn }{c} },
	"not to watch": func(c net.Conn) net.Conn { return unwatchable{c} },
}

// An unwatchable connection says that it has a descriptor, and does not give it.
type unwatchable struct{ net.Conn }

func (unwatchable) SyscallConn() (syscall.RawConn, error) { return nil, errors.New("none") }

// over serves connections of which something else is made.
func over(t testing.TB, wrap func(net.Conn) net.Conn, h http.HandlerFunc) place {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, wrapping{l, wrap}, &http.Server{Handler: h})
}

// ring begins a conversation over TCP. Nothing in it may take longer than a slow machine
// needs.
func ring(t testing.TB, p place) caller {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	return calling(t, c)
}

const patience = 30 * time.Second

// leavings are the ways in which clients leave.
var leavings = map[string]func(c caller){
	"closes":     func(c caller) { _ = c.Close() },
	"resets":     func(c caller) { _ = c.Conn.(*net.TCPConn).SetLinger(0); _ = c.Close() },
	"half-close": func(c caller) { _ = c.Conn.(*net.TCPConn).CloseWrite() },
}

// told waits until ctx ends.
func told(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(patience):
		return errors.New("the handler is not told")
	}
}

// TestClientLeaves: the handler is told, once and with its own request, however the client
// leaves and whatever it had sent.
func TestClientLeaves(t *testing.T) {
	half := request[:len(request)-1]
	for name, c := range map[string]struct {
		send   string
		begun  bool // the client leaves once the handler has begun
		handle func(w http.ResponseWriter, r *http.Request) error
	}{
		"while the handler waits":          {get, true, func(_ http.ResponseWriter, r *http.Request) error { return told(r.Context()) }},
		"at once":                          {get, false, func(_ http.ResponseWriter, r *http.Request) error { return told(r.Context()) }},
		"before the body is whole":         {half, true, cutBody},
		"at once, before it is whole":      {half, false, cutBody},
		"behind its body":                  {request, true, readThenTold},
		"behind its body, at once":         {request, false, readThenTold},
		"behind an unread body":            {request, true, flushThenTold},
		"behind a pipelined request":       {get + request, true, func(_ http.ResponseWriter, r *http.Request) error { return told(r.Context()) }},
		"behind it and a body":             {request + get, true, readThenTold},
		"behind an odd one":                {request + odd, true, readThenTold},
		"behind half a request":            {request + get[:5], true, readThenTold},
		"while something is written":       {get, true, writeThenTold},
		"while it is written, with a body": {request, true, writeThenTold},
	} {
		for hearing, wrap := range hearings {
			for leaving, leave := range leavings {
				if leaving == "half-close" && strings.HasPrefix(name, "while") && strings.Contains(name, "writ") {
					continue // what is written can be read
				}
				t.Run(fmt.Sprintf("%s %s, %s", leaving, name, hearing), func(t *testing.T) {
					begun, done := make(chan struct{}), make(chan error, 10)
					var served atomic.Int32
					s := over(t, wrap, func(w http.ResponseWriter, r *http.Request) {
						if served.Add(1) > 1 {
							return // what is behind it
						}
						close(begun)
						done <- c.handle(w, r)
					})
					client := ring(t, s)
					client.send(c.send)
					if c.begun {
						<-begun
					}
					leave(client)
					select {
					case err := <-done:
						if err != nil {
							t.Error(err)
						}
					case <-time.After(patience):
						// Who leaves at once may have done so before its request was read.
						if leaving != "resets" || c.begun {
							t.Error("the handler does not end")
						}
					}
					if n := int(served.Load()); n > strings.Count(c.send, "HTTP") {
						t.Errorf("%d handlers", n)
					}
				})
			}
		}
	}
}

func cutBody(_ http.ResponseWriter, r *http.Request) error {
	if _, err := io.ReadAll(r.Body); err == nil {
		return errors.New("the body is whole")
	}
	return told(r.Context())
}

func readThenTold(_ http.ResponseWriter, r *http.Request) error {
	_, _ = io.Copy(io.Discard, r.Body)
	return told(r.Context())
}

func flushThenTold(w http.ResponseWriter, r *http.Request) error {
	_ = http.NewResponseController(w).Flush()
	return told(r.Context())
}

func writeThenTold(w http.ResponseWriter, r *http.Request) error {
	for {
		if _, err := w.Write(make([]byte, 64<<10)); err != nil {
			return told(r.Context())
		}
	}
}

// TestLeavingIsNobodyElses: many clients leave at once, more than are heard of at once,
// while others come on descriptors that have just been closed. Exactly who left is told of.
func TestLeavingIsNobodyElses(t *testing.T) {
	const rounds, clients = 6, 150
	contexts := make(chan [2]any, clients)
	more := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		contexts <- [2]any{r.RemoteAddr, r.Context()}
		select {
		case <-r.Context().Done():
		case <-more:
		}
		if r.Context().Err() == nil {
			fmt.Fprint(w, r.RemoteAddr)
		}
	})
	stay := map[string]caller{}
	for range rounds {
		leave := map[string]caller{}
		heard := map[string]context.Context{}
		for n := range clients {
			c := ring(t, s)
			c.send(request)
			if n%25 == 0 {
				stay[c.LocalAddr().String()] = c
			} else {
				leave[c.LocalAddr().String()] = c
			}
		}
		for range clients {
			x := <-contexts
			heard[x[0].(string)] = x[1].(context.Context)
		}
		for _, c := range leave {
			_ = c.Close()
		}
		for addr := range leave {
			if err := told(heard[addr]); err != nil {
				t.Fatal(err)
			}
		}
		for addr := range stay {
			if ctx := heard[addr]; ctx != nil && ctx.Err() != nil {
				t.Error("one that stays is told that its client has left")
			}
		}
	}
	close(more)
	for addr, c := range stay {
		if _, body := c.answer(); body != addr {
			t.Errorf("%q is answered to %s", body, addr)
		}
	}
}

// TestCloseTells handlers, and those of net/http, at once.
func TestCloseTells(t *testing.T) {
	for hearing, wrap := range hearings {
		for name, text := range map[string]string{"": get, ", net/http's": odd, ", reading": request[:len(request)-1]} {
			t.Run(hearing+name, func(t *testing.T) {
				begun, done := make(chan struct{}), make(chan error, 1)
				s := over(t, wrap, func(_ http.ResponseWriter, r *http.Request) {
					close(begun)
					_, _ = io.Copy(io.Discard, r.Body)
					done <- told(r.Context())
				})
				c := ring(t, s)
				c.send(text)
				<-begun
				if err := s.Server.Close(); err != nil {
					t.Error(err)
				}
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestContextEndsWithTheHandler, before the answer is whole.
func TestContextEndsWithTheHandler(t *testing.T) {
	for hearing, wrap := range hearings {
		t.Run(hearing, func(t *testing.T) {
			contexts := make(chan context.Context, 4)
			s := over(t, wrap, func(w http.ResponseWriter, r *http.Request) {
				contexts <- r.Context()
				echo(w, r)
				if r.Context().Err() != nil {
					t.Error("it has ended before")
				}
			})
			c := ring(t, s)
			for _, text := range []string{get, request, get + request} {
				c.send(text)
				for range strings.Count(text, "HTTP") {
					c.answer()
					if ctx := <-contexts; ctx.Err() == nil {
						t.Error("it has not ended")
					}
				}
			}
		})
	}
}

// TestEar hears what a pipe tells, which has no descriptor, and keeps what it hears of the
// next request.
func TestEar(t *testing.T) {
	t.Run("the client leaves", func(t *testing.T) {
		var ended atomic.Bool
		pipe(t, &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			ended.Store(true)
		})}, func(p piped) {
			c := p.dial()
			c.send(get)
			time.Sleep(time.Hour)
			if ended.Load() {
				t.Error("it has not left")
			}
			_ = c.Close()
			synctest.Wait()
			if !ended.Load() {
				t.Error("it has left")
			}
		})
	})
	t.Run("the next request comes", func(t *testing.T) {
		pipe(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			time.Sleep(time.Minute)
			fmt.Fprintf(w, "%s%s %v", r.Header.Get("X-Id"), body, r.Context().Err())
		})}, func(p piped) {
			c := p.dial()
			go func() {
				for n := range 6 {
					id := strconv.Itoa(n)
					c.send(strings.Replace([]string{get, request, get + request, theirs(get)}[min(n, 5-n)], "Host", "X-Id: "+id+"\r\nHost", 1))
				}
			}()
			for _, want := range []string{"0", "1{}", "2", "{}", "3", "{}", "4{}", "5"} {
				if _, body := c.answer(); body != want+" <nil>" {
					t.Errorf("%q, want %q", body, want)
				}
			}
		})
	})
}

// TestManyAtOnce has clients send usual and odd requests, piece by piece and several at
// once, and leave when they like. Each answer is that of its request, and what a client
// does concerns nobody else.
func TestManyAtOnce(t *testing.T) {
	for hearing, wrap := range hearings {
		t.Run(hearing, func(t *testing.T) { storm(t, over(t, wrap, stormy(t)), 0, 400) })
	}
}

// stormy answers with what it was sent, in one of several ways.
func stormy(t *testing.T) http.HandlerFunc {
	var seen sync.Map
	return func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("X-Id")
		if _, again := seen.LoadOrStore(id, true); again || id == "" {
			t.Errorf("request %q is served again", id)
		}
		w.Header().Set("X-Id", id)
		if r.Header.Get("X-Unread") != "" {
			return
		}
		body, err := io.ReadAll(iotest.HalfReader(r.Body))
		if err == nil && r.Header.Get("X-Waits") != "" {
			if err := told(r.Context()); err != nil {
				t.Error(id, err)
			}
			return
		}
		if err == nil {
			_, _ = w.Write(body)
		}
		if r.Header.Get("X-Stays") != "" && r.Context().Err() != nil {
			t.Errorf("%s is told that its client has left", id)
		}
		if r.Header.Get("X-Flush") != "" {
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, "!")
		}
	}
}

// storm makes connections that are numbered from from on, some at a time.
func storm(t *testing.T, s place, from, connections int) {
	const atOnce = 16
	var next, answers atomic.Int64
	var group sync.WaitGroup
	for range atOnce {
		group.Go(func() {
			for n := next.Add(1); int(n) <= connections; n = next.Add(1) {
				answers.Add(int64(breeze(t, s, from+int(n))))
			}
		})
	}
	group.Wait()
	if int(answers.Load()) < connections {
		t.Errorf("%d answers", answers.Load())
	}
}

// breeze is one connection of a storm, and tells how many answers came over it.
func breeze(t *testing.T, s place, n int) (answers int) {
	rolled := rand.New(rand.NewPCG(uint64(n), 7))
	dice := rolled.IntN
	stays := dice(3) > 0
	text, want := "", []string{}
	requests := 1 + dice(4)
	for i := range requests {
		id := fmt.Sprintf("%d-%d", n, i)
		head := "Host: x\r\nX-Id: " + id + "\r\n"
		body := strings.Repeat(id+" ", dice(2)*dice(2000)+1)
		if stays {
			head += "X-Stays: 1\r\n"
		} else if i == requests-1 { // behind which there is nothing, as net/http does not hear it
			head += "X-Waits: 1\r\n"
		}
		if dice(3) == 0 {
			head += "X-Odd: a\tb\r\n"
		}
		answer := body
		switch way := dice(6); {
		case strings.Contains(head, "X-Waits"):
		case way == 0:
			head += "X-Flush: 1\r\n"
			answer += "!"
		case way == 1: // short, else the connection ends with it
			head, body, answer = head+"X-Unread: 1\r\n", id, ""
		}
		text += fmt.Sprintf("POST / HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s", head, len(body), body)
		want = append(want, id+"\n"+answer)
	}
	conn, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Error(err)
		return 0
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if !stays {
		text = text[:dice(len(text))+1]
		if dice(2) == 0 {
			_ = conn.(*net.TCPConn).SetLinger(0)
		}
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for rest := text; len(rest) > 0; {
			piece := min(1+dice(3000), len(rest))
			if _, err := io.WriteString(conn, rest[:piece]); err != nil {
				if stays {
					t.Errorf("%d: %v", n, err)
				}
				return
			}
			rest = rest[piece:]
		}
	}()
	if !stays {
		<-sent
		return 0
	}
	in := bufio.NewReader(conn)
	for _, want := range want {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Errorf("%s: %v", want[:4], err)
			break
		}
		body, err := io.ReadAll(res.Body)
		if got := res.Header.Get("X-Id") + "\n" + string(body); got != want || err != nil {
			t.Errorf("%.40q, %d bytes, %v\nwant %.40q, %d bytes", got, len(got), err, want, len(want))
			break
		}
		answers++
	}
	<-sent
	return answers
}
