package proxy_test

import (
	"bufio"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"anyproxy/metrics"
	"anyproxy/providers"
	"anyproxy/proxy/front"
)

// overPipe serves one connection, in virtual time, until end is called.
func overPipe(h http.Handler) (client net.Conn, end func()) {
	near, far := net.Pipe()
	l := pipeListener{make(chan net.Conn, 1), make(chan struct{})}
	l.conns <- near
	s := &front.Server{HTTP: &http.Server{Handler: h}}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	return far, func() { _ = far.Close(); _ = s.Close(); <-done }
}

type pipeListener struct {
	conns chan net.Conn
	gone  chan struct{}
}

func (l pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.gone:
		return nil, net.ErrClosed
	}
}

func (l pipeListener) Close() error { close(l.gone); return nil }

func (l pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// posted is a request as it is sent.
func posted(body string) string {
	return fmt.Sprintf("POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// TestPingsPastTheServer: what the timer opens and keeps alive is one answer with what
// the handler writes behind it, and the next one has the connection to itself.
func TestPingsPastTheServer(t *testing.T) {
	broken := step{after: time.Second, err: &providers.Error{Class: providers.ClassBroken, Err: io.ErrUnexpectedEOF}}
	short := sseText[0] + sseText[3] + sseText[7]
	for name, c := range map[string]struct {
		a, b  timed
		pings int
		want  string // what follows them begins so
	}{
		"in time":                {answering(14 * time.Second), answering(0), 0, short},
		"late":                   {answering(16 * time.Second), answering(0), 1, short},
		"prepared, then late":    {thinking(8, answering(0).steps[1:]...), answering(0), 3, sseText[0] + strings.Repeat(sseText[1], 8) + sseText[3] + sseText[7]},
		"prepared, then another": {thinking(8, broken), answering(3 * time.Second), 3, short},
		"both die":               {thinking(4, broken), thinking(0, broken), 1, "event: error\n"},
	} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, two, map[string]providers.Provider{"a": c.a, "b": c.b}, func(h http.Handler, _ *metrics.Recorder) {
				conn, end := overPipe(h)
				defer end()
				in := bufio.NewReader(conn)
				if _, err := io.WriteString(conn, posted(streamRequest)); err != nil {
					t.Fatal(err)
				}
				res, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(res.Body)
				if rest, ok := strings.CutPrefix(string(body), strings.Repeat(pingEvent, c.pings)); !ok || err != nil || !strings.HasPrefix(rest, c.want) {
					t.Errorf("%q, %v\nwant %d pings and %q", body, err, c.pings, c.want)
				}
				if upstreams := res.Header.Get("Request-Id") != ""; res.StatusCode != 200 || upstreams != (c.pings == 0) {
					t.Errorf("%d with %v", res.StatusCode, res.Header)
				}
				if _, err := io.WriteString(conn, "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				if res, err := http.ReadResponse(in, &http.Request{Method: "HEAD"}); err != nil || res.StatusCode != 200 || in.Buffered() > 0 {
					t.Errorf("then %v, %v", res, err)
				}
			})
		})
	}
}

// TestPingFindsTheClientGone: also one that has sent more than its request before it
// left, behind which net/http does not listen.
func TestPingFindsTheClientGone(t *testing.T) {
	for name, more := range map[string]string{"at once": "", "by the first ping": "\n"} {
		t.Run(name, func(t *testing.T) {
			silent := timed{headers: time.Hour}
			inVirtualTime(t, one, map[string]providers.Provider{"a": silent}, func(h http.Handler, rec *metrics.Recorder) {
				conn, end := overPipe(h)
				defer end()
				for _, text := range []string{posted(streamRequest), more} {
					if text == "" { // a pipe would give it to the reader
						continue
					}
					if _, err := io.WriteString(conn, text); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
				}
				_ = conn.Close()
				time.Sleep(16 * time.Second)
				synctest.Wait()
				if s := rec.Snapshot(0); s.InFlight != 0 || s.Canceled != 1 {
					t.Errorf("%d in flight, %d canceled", s.InFlight, s.Canceled)
				}
			})
		})
	}
}

// TestStormOnKeptConnections: many clients, on connections that they keep, ask what one
// upstream or both fail before or after content, and leave when they like. Whoever stays
// gets its own answer, whole or with an error at its end, and no header but those of the
// upstream that gave it.
func TestStormOnKeptConnections(t *testing.T) {
	const clients, rounds = 24, 40
	fate := func(provider, id string) int {
		h := fnv.New32a()
		fmt.Fprint(h, provider, id)
		return int(h.Sum32()>>8) % 8
	}
	behave := func(provider string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			id := r.Header.Get("X-Claude-Code-Id")
			mine := strings.ReplaceAll(sseText[3], "Grüße", id)
			w.Header().Set("X-Of-"+provider, id)
			switch fate(provider, id) {
			case 0:
				status(529, "X-Of-"+provider, id)(w, r)
			case 1:
				cut(sseText[0])(w, r)
			case 2:
				cut(sseText[0], sseText[2][:20])(w, r)
			case 3:
				reset(w, r)
			case 4:
				sendSSE(w, sseText[0], errorEvent)
			case 5:
				cut(sseText[0], sseText[2], mine)(w, r)
			default:
				sendSSE(w, sseText[0], sseText[2], mine, sseText[4], sseText[5], sseText[6], sseText[7])
			}
		}
	}
	p := newHarness(t, two+"retry: {cooldown: 0s}\n", map[string]*upstream{"a": newUpstream(t, behave("A")), "b": newUpstream(t, behave("B"))})
	var whole, broken, refused, left atomic.Int64
	var group sync.WaitGroup
	for n := range clients {
		group.Go(func() {
			dice := rand.New(rand.NewPCG(uint64(n), 1))
			var conn net.Conn
			var in *bufio.Reader
			hangUp := func() {
				if conn != nil {
					_ = conn.Close()
					conn = nil
				}
			}
			defer hangUp()
			for round := range rounds {
				if conn == nil {
					var err error
					if conn, err = net.Dial("tcp", p.Listener.Addr().String()); err != nil {
						t.Error(err)
						return
					}
					_ = conn.SetDeadline(time.Now().Add(60 * time.Second))
					in = bufio.NewReader(conn)
				}
				asked := 1 + dice.IntN(4)/3 // at once
				ids := make([]string, asked)
				text := ""
				for i := range ids {
					ids[i] = fmt.Sprintf("id-%d-%d-%d", n, round, i)
					text += strings.Replace(posted(streamRequest), "\r\n", "\r\nX-Claude-Code-Id: "+ids[i]+"\r\n", 1)
				}
				if _, err := io.WriteString(conn, text); err != nil {
					t.Error(err)
					return
				}
				stay := dice.IntN(4)
				if stay == 0 { // while the upstream is asked, or before
					left.Add(1)
					hangUp()
					continue
				}
				for _, id := range ids {
					res, err := http.ReadResponse(in, nil)
					if err != nil {
						t.Errorf("%s: %v", id, err)
						return
					}
					if stay == 1 && res.StatusCode == 200 {
						_, _ = io.ReadFull(res.Body, make([]byte, 1+dice.IntN(600)))
						left.Add(1)
						hangUp()
						break
					}
					got, err := io.ReadAll(res.Body)
					body := string(got)
					from := strings.ToUpper(res.Header.Get("X-Anyproxy-Provider"))
					for _, provider := range []string{"A", "B"} {
						if v := res.Header.Get("X-Of-" + provider); v != "" && (v != id || provider != from) {
							t.Errorf("%s: the header is %v", id, res.Header)
						}
					}
					switch {
					case err != nil:
						t.Errorf("%s: %v after %q", id, err, body)
						return
					case res.StatusCode != 200:
						refused.Add(1)
						if !strings.HasPrefix(body, `{"type":"error"`) {
							t.Errorf("%s: %d %q", id, res.StatusCode, body)
						}
					case strings.Count(body, id) != 1 || strings.Count(body, "id-") != 1 || strings.Count(body, "event: message_start") != 1:
						t.Errorf("%s: it is told %q", id, body)
					case strings.HasSuffix(body, sseText[7]):
						whole.Add(1)
					case strings.Count(body, "event: error\n") == 1:
						broken.Add(1)
					default:
						t.Errorf("%s: no end: %q", id, body)
					}
				}
			}
		})
	}
	group.Wait()
	t.Logf("%d whole, %d broken, %d refused, %d times somebody left", whole.Load(), broken.Load(), refused.Load(), left.Load())
	if whole.Load() == 0 || broken.Load() == 0 || refused.Load() == 0 || left.Load() == 0 {
		t.Error("nothing was put to the test")
	}
	if s := p.snapshot(t); s.InFlight != 0 {
		t.Errorf("%d in flight", s.InFlight)
	}
}
