package front_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// dial gives a connection to a server of h, over which a write is one read.
func dial(t *testing.T, h http.HandlerFunc) net.Conn {
	t.Helper()
	l := &given{conn: make(chan net.Conn), gone: make(chan struct{})}
	serveOn(t, l, &http.Server{Handler: h})
	near, far := net.Pipe()
	l.conn <- near
	t.Cleanup(func() { _ = far.Close() })
	_ = far.SetDeadline(time.Now().Add(20 * time.Second))
	return far
}

// TestBody: whatever a handler reads at once, and however it comes, it gets what the request
// has and not a byte of the next one.
func TestBody(t *testing.T) {
	const text = "0123456789abcdefghi"
	post := func(text, more string) string {
		return fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s", more, len(text), text)
	}
	first, second := post(text, ""), post(strings.ToUpper(text), "Connection: close\r\n")
	all := first + second
	ways := map[string][]string{
		"at once":      {all},
		"each":         {first, second},
		"byte by byte": strings.Split(all, ""),
		"heads alone":  {strings.TrimSuffix(first, text), text + strings.TrimSuffix(second, strings.ToUpper(text)), strings.ToUpper(text)},
	}
	for _, n := range []int{1, len(first) - len(text) + 1, len(first) - 1, len(first) + 1, len(all) - 1} {
		ways[fmt.Sprintf("cut at %d", n)] = []string{all[:n], all[n:]}
	}
	for name, pieces := range ways {
		for _, size := range []int{1, 2, 7, len(text) - 1, len(text), len(text) + 1, 4096, 100_000} {
			t.Run(fmt.Sprintf("%s, %d", name, size), func(t *testing.T) {
				c := dial(t, func(w http.ResponseWriter, r *http.Request) {
					if n, err := r.Body.Read(nil); n != 0 || err != nil {
						t.Errorf("nothing is read as %d, %v", n, err)
					}
					var got []byte
					p := make([]byte, size)
					for {
						n, err := r.Body.Read(p)
						if got = append(got, p[:n]...); err == io.EOF {
							break
						}
						if err != nil {
							t.Error(err)
							break
						}
					}
					if n, err := r.Body.Read(p); n != 0 || err != io.EOF {
						t.Errorf("behind the end there are %d, %v", n, err)
					}
					_, _ = w.Write(append(got, '\n'))
				})
				go func() {
					for _, p := range pieces {
						_, _ = io.WriteString(c, p)
					}
				}()
				in := bufio.NewReader(c)
				for _, want := range []string{text, strings.ToUpper(text)} {
					res, err := http.ReadResponse(in, nil)
					if err != nil {
						t.Fatal(err)
					}
					if got, err := io.ReadAll(res.Body); err != nil || string(got) != want+"\n" {
						t.Errorf("%q, %v", got, err)
					}
				}
				if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
					t.Errorf("then %q, %v", rest, err)
				}
			})
		}
	}
}

// TestBodyBreaksOff: what comes of it is read, and then not that it is all.
func TestBodyBreaksOff(t *testing.T) {
	read := make(chan string, 1)
	c := dial(t, func(w http.ResponseWriter, r *http.Request) {
		got, err := io.ReadAll(r.Body)
		_, again := r.Body.Read(make([]byte, 1))
		read <- fmt.Sprintf("%q %v %v", got, err, again)
	})
	_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12")
	_, _ = io.WriteString(c, "3")
	_ = c.Close()
	if got, want := <-read, `"123" unexpected EOF unexpected EOF`; got != want {
		t.Errorf("%s, not %s", got, want)
	}
}

// TestBodyIsLate: a time is kept that is set before, or while somebody waits.
func TestBodyIsLate(t *testing.T) {
	for name, wait := range map[string]bool{"before": false, "meanwhile": true} {
		t.Run(name, func(t *testing.T) {
			read := make(chan error, 1)
			waits := make(chan struct{})
			c := dial(t, func(w http.ResponseWriter, r *http.Request) {
				limit := http.NewResponseController(w)
				go func() {
					if !wait {
						_ = limit.SetReadDeadline(time.Unix(1, 0))
					}
					p := make([]byte, 5)
					if _, err := io.ReadFull(r.Body, p[:2]); err != nil {
						t.Error(err) // that has come with the head
					}
					close(waits)
					_, err := r.Body.Read(p)
					read <- err
				}()
				<-waits
				if wait {
					_ = limit.SetReadDeadline(time.Unix(1, 0))
				}
				if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error(err)
				}
				w.WriteHeader(http.StatusRequestTimeout)
			})
			_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12")
			got, err := io.ReadAll(c)
			if err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 408 ") || !strings.Contains(string(got), "Connection: close\r\n") {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// TestBodyIsNotEmptyWhenItIsDropped: where an answer has begun the body that has come is
// dropped, of which its reader must not think that it was empty.
func TestBodyIsNotEmptyWhenItIsDropped(t *testing.T) {
	c := dial(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Close {
			return
		}
		w.(http.Flusher).Flush()
		if got, err := io.ReadAll(r.Body); err != http.ErrBodyReadAfterClose {
			t.Errorf("%q, %v", got, err)
		}
	})
	go func() { _, _ = io.WriteString(c, request+last) }()
	if _, err := io.ReadAll(c); err != nil {
		t.Fatal(err)
	}
}

// TestNothingAfterTheHandler: who goes on when a handler has returned neither reads what is
// the next request's nor writes into its answer.
func TestNothingAfterTheHandler(t *testing.T) {
	t.Run("on a connection that is kept", func(t *testing.T) {
		var late func()
		c := dial(t, func(w http.ResponseWriter, r *http.Request) {
			if late != nil {
				late()
				_, _ = io.Copy(w, r.Body)
				return
			}
			late = func() {
				if n, err := r.Body.Read(make([]byte, 10)); n != 0 || err != http.ErrBodyReadAfterClose {
					t.Errorf("%d, %v", n, err)
				}
				if n, err := w.Write(make([]byte, 100_000)); n != 0 || err == nil {
					t.Errorf("%d, %v", n, err)
				}
				if err := http.NewResponseController(w).Flush(); err == nil {
					t.Error("it is sent")
				}
			}
		})
		go func() { _, _ = io.WriteString(c, request+last) }()
		got, err := io.ReadAll(c)
		if err != nil || len(got) > 1000 || strings.Count(string(got), "HTTP/1.1 200 OK") != 2 || !strings.HasSuffix(string(got), "\r\n\r\n{}") {
			t.Errorf("%.1000q, %v", got, err)
		}
	})
	for name, end := range map[string]func(){"returns": func() {}, "panics": func() { panic(http.ErrAbortHandler) }} {
		t.Run("while it waits, the handler "+name, func(t *testing.T) {
			read := make(chan error, 1)
			waits := make(chan struct{})
			c := dial(t, func(w http.ResponseWriter, r *http.Request) {
				go func() {
					p := make([]byte, 10)
					_, err := io.ReadFull(r.Body, p[:2])
					close(waits)
					for err == nil {
						_, err = r.Body.Read(p)
					}
					read <- err
				}()
				<-waits
				end()
			})
			_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n12")
			got, err := io.ReadAll(c)
			if err != nil || name == "returns" && !strings.Contains(string(got), "Connection: close\r\n") {
				t.Errorf("%q, %v", got, err)
			}
			if err := <-read; err == io.EOF {
				t.Error("it takes what there is for all")
			}
		})
	}
}

// TestRefusedIsHeard: a client that sends much and is refused at once can send on until it
// has read that, as it could with net/http.
func TestRefusedIsHeard(t *testing.T) {
	c := dial(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusRequestEntityTooLarge) })
	const much = 512 << 10
	_, _ = fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", much)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Fatalf("%v, %v", res, err)
	}
	if n, err := c.Write(make([]byte, much-1)); err != nil {
		t.Errorf("%v after %d bytes", err, n)
	}
}
