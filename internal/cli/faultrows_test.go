package cli

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"anyproxy/config"
	"anyproxy/internal/grammar"
	"anyproxy/internal/redact"
	"anyproxy/internal/simulator"
	"anyproxy/metrics"
	"anyproxy/providers"
	"anyproxy/proxy"
	"anyproxy/proxy/routing"
)

// Every fault here strikes in the middle of a session: three turns have been
// answered by provider a, whose connections are warm, then comes the fault, then
// the session goes on. Rows are numbered as in the list of faults that the
// project promises to endure.

// warmTurns is how many turns provider a answers before its fault.
const warmTurns = 3

// tapped is an upstream that keeps what it sends.
type tapped struct {
	*simulator.Upstream
	server *httptest.Server
	// content, when it is not nil, is closed once the client has content of the
	// answer with the fault: the connection is not broken before.
	content chan struct{}
	once    sync.Once

	mu   sync.Mutex
	sent []*sent // one for each request, in their order
}

// sent is one answer as it left the upstream. What went over a connection that
// was taken from the server is not in it.
type sent struct {
	header http.Header
	body   []byte
}

func tap(t testing.TB, script simulator.Script) *tapped {
	t.Helper()
	u := untapped(t, script)
	u.server.Start()
	return u
}

// untapped is a tapped upstream whose server is not started yet.
func untapped(t testing.TB, script simulator.Script) *tapped {
	t.Helper()
	u := &tapped{Upstream: upstream(t, script)}
	u.server = httptest.NewUnstartedServer(u)
	u.server.Config.ErrorLog = log.New(io.Discard, "", 0) // the faults' own noise
	t.Cleanup(u.server.Close)
	return u
}

func (u *tapped) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := &sent{header: w.Header()}
	u.mu.Lock()
	u.sent = append(u.sent, s)
	u.mu.Unlock()
	u.Upstream.ServeHTTP(&tapWriter{w, r.Context(), u, s}, r)
}

// last is a copy of the newest answer, the zero sent when there is none.
func (u *tapped) last() sent {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.sent) == 0 {
		return sent{}
	}
	s := u.sent[len(u.sent)-1]
	return sent{s.header, bytes.Clone(s.body)}
}

func (u *tapped) asked() int { return len(u.Requests()) }

type tapWriter struct {
	http.ResponseWriter
	ctx context.Context
	u   *tapped
	s   *sent
}

func (w *tapWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *tapWriter) WriteHeader(status int) {
	h := w.Header().Clone()
	w.u.mu.Lock()
	w.s.header = h
	w.u.mu.Unlock()
	w.ResponseWriter.WriteHeader(status)
}

func (w *tapWriter) Write(b []byte) (int, error) {
	w.u.mu.Lock()
	w.s.body = append(w.s.body, b...)
	w.u.mu.Unlock()
	return w.ResponseWriter.Write(b)
}

// Hijack is how the upstream breaks a connection. A reset would also destroy
// what the proxy has not read yet, so it waits for its moment.
func (w *tapWriter) Hijack() (conn net.Conn, _ *bufio.ReadWriter, err error) {
	if w.u.content != nil {
		select {
		case <-w.u.content:
		case <-w.ctx.Done():
		}
	}
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// scene is a session between a program and two upstreams.
type scene struct {
	*testing.T
	stream bool
	a, b   *tapped
	p      *running

	messages []any // the conversation so far
	id       string
}

// turn is one exchange of a session.
type turn struct {
	asked   []byte
	status  int
	header  http.Header
	body    []byte
	message *grammar.Message
	err     error // what the grammar says against the body
}

// struck answers well but for the given number of requests behind the warm turns.
func struck(f simulator.Fault, strikes int) simulator.Script {
	return func(n int, _ *simulator.Received) simulator.Answer {
		if n >= warmTurns && n < warmTurns+strikes {
			return faulty(f)
		}
		return good
	}
}

// sceneConfig has a in tier 1 and b in tier 2, with further keys for each.
func sceneConfig(t testing.TB, a, b *tapped, ofA, ofB string) string {
	t.Helper()
	if !strings.Contains(ofA, "apiKey") {
		ofA = strings.TrimPrefix(ofA+", apiKey: upstream-key-of-a", ", ")
	}
	ofB = strings.TrimPrefix(ofB+", apiKey: upstream-key-of-b", ", ")
	return writeFile(t, "config.yaml", fmt.Sprintf(`
providers:
  a: {endpoint: %q, %s}
  b: {endpoint: %q, %s}
models:
  - {alias: "claude-*", provider: a, tier: 1}
  - {alias: "claude-*", provider: b, tier: 2}
retry: {cooldown: 1m}
`, a.server.URL, ofA, b.server.URL, ofB))
}

// newScene starts a program and warms a. ofA and ofB are further keys of the
// providers, args further flags.
func newScene(t *testing.T, stream bool, a, b *tapped, ofA, ofB string, args ...string) *scene {
	t.Helper()
	args = append([]string{"-config", sceneConfig(t, a, b, ofA, ofB)}, args...)
	s := &scene{T: t, stream: stream, a: a, b: b, p: start(t, nil, args...), id: "session-of-" + t.Name()}
	for range warmTurns {
		if got := s.turn(); !got.whole() || got.by() != "a" || got.header.Get("X-Anyproxy-Attempts") != "1" {
			t.Fatalf("warm turn: %s", got)
		}
	}
	return s
}

func (s *scene) request(ctx context.Context) (*http.Request, []byte) {
	s.Helper()
	user := map[string]any{"role": "user", "content": fmt.Sprintf("This is message %d. Go on.", len(s.messages))}
	body, err := json.Marshal(map[string]any{"model": "claude-sonnet-4-5", "max_tokens": 32000, "stream": s.stream, "messages": append(s.messages, user)})
	if err != nil {
		s.Fatal(err)
	}
	r, err := http.NewRequestWithContext(ctx, "POST", s.p.base+"/v1/messages?beta=true", bytes.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Anthropic-Version", "2023-06-01")
	r.Header.Set("X-Claude-Code-Session-Id", s.id)
	return r, body
}

// turn asks once more. Like the real client it asks the same again after an error.
func (s *scene) turn(header ...string) *turn {
	s.Helper()
	r, body := s.request(context.Background())
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	defer res.Body.Close()
	if s.a.content != nil && s.a.asked() > warmTurns {
		s.a.once.Do(func() { close(s.a.content) }) // a stream's headers come with its first content
	}
	got := &turn{asked: body, status: res.StatusCode, header: res.Header}
	if got.body, err = io.ReadAll(res.Body); err != nil {
		s.Fatalf("%v behind %q", err, got.body)
	}
	got.message, got.err = check(s.stream, got.body)
	if got.whole() {
		var asked struct{ Messages []any }
		if err := json.Unmarshal(body, &asked); err != nil {
			s.Fatal(err)
		}
		s.messages = append(asked.Messages, map[string]any{"role": "assistant", "content": got.message.Text()})
	}
	return got
}

// whole reports whether the client has a whole and sound answer.
func (g *turn) whole() bool {
	return g.err == nil && g.status == 200 && g.message.End == grammar.Complete && len(g.message.Tools()) == 2
}

func (g *turn) by() string { return g.header.Get("X-Anyproxy-Provider") }

func (g *turn) String() string {
	return fmt.Sprintf("%d by %q, attempts %s, %v: %.2000q", g.status, g.by(), g.header.Get("X-Anyproxy-Attempts"), g.err, g.body)
}

// standing is a provider in /health.
type standing struct {
	Healthy   bool      `json:"healthy"`
	State     string    `json:"state"`
	ErrorRate float64   `json:"error_rate"`
	RetryAt   time.Time `json:"retry_at"`
}

func (s *scene) health() (a standing, status int) {
	s.Helper()
	res, err := http.Get(s.p.base + "/health")
	if err != nil {
		s.Fatal(err)
	}
	defer res.Body.Close()
	var h struct{ Providers map[string]standing }
	if err := json.NewDecoder(res.Body).Decode(&h); err != nil {
		s.Fatal(err)
	}
	return h.Providers["a"], res.StatusCode
}

// logged waits for words in the program's log.
func (s *scene) logged(words string) {
	s.Helper()
	eventually(s, strconv.Quote(words)+" in the log", func() bool { return strings.Contains(s.p.errw.String(), words) })
}

// atRest waits until no upstream works for nobody.
func (s *scene) atRest() {
	s.Helper()
	eventually(s, "the upstreams to come to rest", func() bool { return s.a.Active() == 0 && s.b.Active() == 0 })
}

// wellAgain verifies that the session goes on: with others while a is left out,
// with a when nothing has been held against it.
func (s *scene) wellAgain(state string, harmed bool) {
	s.Helper()
	s.atRest()
	a, _ := s.health()
	if a.State != state || (a.ErrorRate > 0) != harmed {
		s.Errorf("a is %s with an error rate of %g; want %s, harmed: %v", a.State, a.ErrorRate, state, harmed)
	}
	before := s.a.asked()
	for range 2 {
		got := s.turn()
		if !got.whole() || got.header.Get("X-Anyproxy-Attempts") != "1" || !harmed && got.by() != "a" {
			s.Errorf("a later turn: %s", got)
		}
	}
	if n := s.a.asked() - before; state != "ready" && n > 0 {
		s.Errorf("a was asked %d times while it is %s", n, state)
	}
}

// What the turn with the fault must look like to the client.

// hidden: the answer is b's, whole and byte for byte, and nothing tells of a.
func hidden(s *scene, got *turn) {
	s.Helper()
	b := s.b.last()
	if !got.whole() || got.by() != "b" || got.header.Get("X-Anyproxy-Attempts") != "2" || !bytes.Equal(got.body, b.body) {
		s.Fatalf("%s\nb sent %q", got, b.body)
	}
	for name, want := range map[string]string{"Request-Id": b.header.Get("Request-Id"), "Content-Type": b.header.Get("Content-Type"),
		"Retry-After": "", "Location": "", "Content-Encoding": "", "X-Padding": "", "X-Anyproxy-Fallback-Exhausted": "", "X-Anyproxy-Model": "claude-sonnet-4-5"} {
		if v := got.header.Get(name); v != want {
			s.Errorf("%s = %q, want %q", name, v, want)
		}
	}
	for _, u := range []*tapped{s.a, s.b} {
		all := u.Requests()
		if u == s.a && len(all) == warmTurns {
			continue // it could not even be asked
		}
		if r := all[len(all)-1]; !bytes.Equal(r.Body, got.asked) || r.Header.Get("X-Claude-Code-Session-Id") != s.id {
			s.Errorf("an upstream was asked %q, the client asked %q", r.Body, got.asked)
		}
	}
	s.logged("msg=fallback provider=a to=b")
}

// split cuts a stream before its error event.
func split(stream []byte) (before, failure []byte) {
	i := max(bytes.LastIndex(stream, []byte("event: error\n")), 0)
	return stream[:i], stream[i:]
}

// brokenOff: whole events of a, then one error event of the proxy; b is left
// alone. least is how many deltas must have come through.
func brokenOff(least int) func(*scene, *turn) {
	return func(s *scene, got *turn) {
		s.Helper()
		if got.err != nil || got.status != 200 || got.message.End != grammar.Failed || got.by() != "a" || s.b.asked() > 0 {
			s.Fatalf("%s; b was asked %d times", got, s.b.asked())
		}
		if kind := got.message.ErrorType; kind != "api_error" && kind != "timeout_error" {
			s.Errorf("the error is %s", kind)
		}
		before, _ := split(got.body)
		if n := bytes.Count(before, []byte("event: content_block_delta\n")); n < least || !bytes.HasPrefix(s.a.last().body, before) {
			s.Errorf("%d deltas, want %d: %q\na sent %q", n, least, before, s.a.last().body)
		}
		s.logged("msg=aborted provider=a")
	}
}

// passedOn: what a sent, but for its key, its own error event included.
func passedOn(s *scene, got *turn) {
	s.Helper()
	want := bytes.ReplaceAll(s.a.last().body, []byte("upstream-key-of-a"), []byte(redact.Dots))
	if got.status != 200 || got.message.End != grammar.Failed || got.message.ErrorType != "overloaded_error" || !bytes.Equal(got.body, want) || s.b.asked() > 0 {
		s.Errorf("%s\nwant %q", got, want)
	}
}

// answered: a's own answer, as changed by a function of what it sent; nil =
// that cannot be known.
func answered(change func([]byte) []byte) func(*scene, *turn) {
	return func(s *scene, got *turn) {
		s.Helper()
		if !got.whole() || got.by() != "a" || got.header.Get("X-Anyproxy-Attempts") != "1" || got.header.Get("Content-Encoding") != "" || s.b.asked() > 0 {
			s.Fatalf("%s", got)
		}
		if change == nil {
			return
		}
		if want := change(s.a.last().body); !bytes.Equal(got.body, want) {
			s.Errorf("got %q\nwant %q", got.body, want)
		}
	}
}

func unchanged(b []byte) []byte { return b }

func unzipped(b []byte) []byte {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil
	}
	plain, _ := io.ReadAll(z)
	return plain
}

// withoutSecondStart takes away the first event of two that are the same.
func withoutSecondStart(b []byte) []byte {
	first := b[:bytes.Index(b, []byte("\n\n"))+2]
	return bytes.TrimPrefix(b, first)
}

// refusals is how often a refuses in a row where that must not be held against it.
const refusals = 6

// returned: a's refusals as they are, but for its key, however many there are;
// nobody else is asked.
func returned(s *scene, got *turn) {
	s.Helper()
	asIs(s, got)
	for range refusals - 1 {
		asIs(s, s.turn())
	}
}

func asIs(s *scene, got *turn) {
	s.Helper()
	a := s.a.last()
	want := bytes.ReplaceAll(a.body, []byte("upstream-key-of-a"), []byte(redact.Dots))
	if got.status < 400 || !bytes.Equal(got.body, want) || got.by() != "a" || got.header.Get("X-Anyproxy-Attempts") != "1" ||
		got.header.Get("Request-Id") != a.header.Get("Request-Id") || got.header.Get("X-Anyproxy-Fallback-Exhausted") != "" || s.b.asked() > 0 {
		s.Errorf("%s\nwant %q", got, want)
	}
}

// modes are the kinds of request to which a row applies.
type modes uint8

const (
	both modes = iota
	streamOnly
	wholeOnly
)

const (
	impatiently = "timeouts: {firstByte: 2s, idle: 2s, total: 2s}"
	isReady     = "ready"
	isCooling   = "cooling"
)

// faultRows are the faults for which one turn tells all. The others have tests
// of their own below; a stop of the program while streams run is in
// lifecycle_test.go.
var faultRows = []struct {
	name    string
	fault   simulator.Fault
	modes   modes
	strikes int    // requests that meet the fault; 0 = 1
	ofA     string // further keys of provider a
	want    func(*scene, *turn)
	state   string // of a afterwards
	harmed  bool   // whether it was held against a
	logged  string // words that the log must have, "" = none
	seen    bool   // the connection breaks only when the client has content
}{
	{name: "1 429 with Retry-After", fault: simulator.RateLimited(30 * time.Second), want: hidden, state: isCooling, harmed: true, logged: "retry after 30s"},
	{name: "2 500", fault: simulator.ServerError(), want: hidden, state: isReady, harmed: true},
	{name: "2 502", fault: simulator.Status(502, "Bad gateway"), want: hidden, state: isReady, harmed: true},
	{name: "2 503", fault: simulator.Status(503, "Service unavailable"), want: hidden, state: isCooling, harmed: true},
	{name: "2 504", fault: simulator.Status(504, "Gateway timeout"), want: hidden, state: isCooling, harmed: true},
	{name: "2 529", fault: simulator.Overloaded(), want: hidden, state: isCooling, harmed: true},
	{name: "4 reset before headers, the free try too", fault: simulator.Fault{Kind: simulator.Reset}, strikes: 2, want: hidden, state: isReady, harmed: true},
	{name: "4 reset before headers of a warm connection", fault: simulator.Fault{Kind: simulator.Reset}, want: answered(unchanged), state: isReady},
	{name: "4 warm connection closed without an answer", fault: simulator.Fault{Kind: simulator.Break}, want: answered(unchanged), state: isReady},
	{name: "5 hang before headers", fault: simulator.Fault{Kind: simulator.Hang}, ofA: impatiently, want: hidden, state: isCooling, harmed: true},
	{name: "6 nothing in a 200", fault: simulator.Empty(), want: hidden, state: isReady, harmed: true},
	{name: "6 error event first", fault: simulator.ErrorAt(simulator.Events(0), 529, "Overloaded"), modes: streamOnly, want: hidden, state: isCooling, harmed: true},
	{name: "6 error event behind a block's start", fault: simulator.ErrorAt(simulator.Events(3), 500, "Internal server error"), modes: streamOnly, want: hidden, state: isReady, harmed: true},
	{name: "6 half an event", fault: simulator.Fault{Kind: simulator.Cut, At: simulator.Bytes(70)}, want: hidden, state: isReady, harmed: true},
	{name: "6 half an event, then a reset", fault: simulator.Fault{Kind: simulator.Reset, At: simulator.Bytes(70)}, want: hidden, state: isReady, harmed: true},
	{name: "6 end behind message_start", fault: simulator.Fault{Kind: simulator.Cut, At: simulator.Events(1)}, want: hidden, state: isReady, harmed: true},
	{name: "6 break behind a block's start", fault: simulator.Fault{Kind: simulator.Break, At: simulator.Events(3)}, want: hidden, state: isReady, harmed: true},
	{name: "6 hang behind message_start", fault: simulator.Fault{Kind: simulator.Hang, At: simulator.Events(1)}, ofA: impatiently, want: hidden, state: isCooling, harmed: true},
	{name: "7 page in a 200", fault: simulator.HTML(200), want: hidden, state: isReady, harmed: true, logged: "bad upstream response"},
	{name: "7 page in a 502", fault: simulator.HTML(502), want: hidden, state: isReady, harmed: true},
	{name: "7 JSON error in a 200", fault: simulator.Status(200, "Something is wrong"), want: hidden, state: isReady, harmed: true},
	{name: "7 wrong content type", fault: simulator.Fault{Kind: simulator.WrongType}, want: hidden, state: isReady, harmed: true, logged: "bad upstream response"},
	{name: "8 garbage instead of HTTP", fault: simulator.Fault{Kind: simulator.Garbage}, want: hidden, state: isReady, harmed: true},
	{name: "9 reset", fault: simulator.Fault{Kind: simulator.Reset, At: simulator.Deltas(3)}, modes: streamOnly, want: brokenOff(1), state: isReady, harmed: true, seen: true},
	{name: "9 break", fault: simulator.Fault{Kind: simulator.Break, At: simulator.Deltas(3)}, modes: streamOnly, want: brokenOff(3), state: isReady, harmed: true, seen: true},
	{name: "9 end without message_stop", fault: simulator.Fault{Kind: simulator.Cut, At: simulator.Deltas(3)}, modes: streamOnly, want: brokenOff(3), state: isReady, harmed: true},
	{name: "9 half an event", fault: simulator.Fault{Kind: simulator.Cut, At: simulator.Bytes(1200)}, modes: streamOnly, want: brokenOff(3), state: isReady, harmed: true},
	{name: "9 bad JSON", fault: simulator.Fault{Kind: simulator.Garbage, At: simulator.Deltas(3)}, modes: streamOnly, want: brokenOff(3), state: isReady, harmed: true},
	{name: "10 error event after content", fault: simulator.ErrorAt(simulator.Deltas(3), 529, "Overloaded, key upstream-key-of-a"), modes: streamOnly, want: passedOn, state: isCooling, harmed: true},
	{name: "11 hang after content", fault: simulator.Fault{Kind: simulator.Hang, At: simulator.Deltas(3)}, modes: streamOnly, ofA: impatiently, want: brokenOff(3), state: isCooling, harmed: true},
	{name: "12 body breaks off", fault: simulator.Fault{Kind: simulator.Break, At: simulator.Bytes(200)}, modes: wholeOnly, want: hidden, state: isReady, harmed: true},
	{name: "12 body is reset", fault: simulator.Fault{Kind: simulator.Reset, At: simulator.Bytes(200)}, modes: wholeOnly, want: hidden, state: isReady, harmed: true},
	{name: "12 body ends in the middle", fault: simulator.Fault{Kind: simulator.Cut, At: simulator.Bytes(200)}, modes: wholeOnly, want: hidden, state: isReady, harmed: true},
	{name: "13 drip", fault: simulator.Fault{Kind: simulator.Drip, Every: 200 * time.Microsecond}, ofA: "timeouts: {idle: 1s}", want: answered(unchanged), state: isReady},
	{name: "14 second message_start", fault: simulator.Fault{Kind: simulator.DuplicateStart, At: simulator.Events(1)}, modes: streamOnly, want: answered(withoutSecondStart), state: isReady},
	{name: "14 delta for a closed block", fault: simulator.Fault{Kind: simulator.ClosedDelta}, modes: streamOnly, want: brokenOff(3), state: isReady, harmed: true},
	{name: "14 bad JSON before content", fault: simulator.Fault{Kind: simulator.Garbage, At: simulator.Events(1)}, modes: streamOnly, want: hidden, state: isReady, harmed: true},
	{name: "15 gzip unasked", fault: simulator.Fault{Kind: simulator.Gzip}, want: answered(unzipped), state: isReady},
	{name: "15 an encoding that nobody asked for", fault: encoded("br"), want: hidden, state: isReady, harmed: true},
	{name: "15 no gzip in spite of its name", fault: encoded("gzip"), want: hidden, state: isReady, harmed: true},
	{name: "16 header of 1.5 MB", fault: simulator.Fault{Kind: simulator.BigHeader}, want: hidden, state: isReady, harmed: true},
	{name: "17 HTTP/1.0", fault: simulator.Fault{Kind: simulator.HTTP10}, want: answered(nil), state: isReady},
	{name: "21 400", fault: simulator.Status(400, "messages: bad, said to upstream-key-of-a"), strikes: refusals, want: returned, state: isReady},
	{name: "21 404", fault: simulator.Status(404, "model: claude-sonnet-4-5"), strikes: refusals, want: returned, state: isReady},
	{name: "21 413", fault: simulator.TooLarge(), strikes: refusals, want: returned, state: isReady},
	{name: "21 422", fault: simulator.Status(422, "Unprocessable"), strikes: refusals, want: returned, state: isReady},
	{name: "22 401", fault: simulator.Unauthorized(), want: hidden, state: "auth", harmed: true, logged: "msg=credential provider=a"},
	{name: "22 403", fault: simulator.Status(403, "Your account is disabled"), want: hidden, state: "auth", harmed: true, logged: "msg=credential provider=a"},
}

func encoded(as string) simulator.Fault {
	return simulator.Fault{Kind: simulator.Respond, Reply: simulator.Reply{Status: 200, Body: "\x8b\x05\x80something\x03",
		Header: http.Header{"Content-Type": {"text/event-stream"}, "Content-Encoding": {as}}}}
}

func TestFaultRows(t *testing.T) {
	for _, row := range faultRows {
		for _, stream := range []bool{true, false} {
			if row.modes == streamOnly && !stream || row.modes == wholeOnly && stream {
				continue
			}
			t.Run(fmt.Sprintf("%s, stream %v", row.name, stream), func(t *testing.T) {
				t.Parallel()
				a, b := tap(t, struck(row.fault, max(row.strikes, 1))), tap(t, simulator.Always(good))
				if row.seen {
					a.content = make(chan struct{})
				}
				s := newScene(t, stream, a, b, row.ofA, "")
				row.want(s, s.turn("Accept-Encoding", "identity"))
				if row.logged != "" {
					s.logged(row.logged)
				}
				s.wellAgain(row.state, row.harmed)
				if out := s.p.errw.String() + s.p.out.String(); strings.Contains(out, "upstream-key-of") {
					t.Error("a key is in the output")
				}
			})
		}
	}
}

// TestRetryAfterIsRespected is row 1: however a 429 says how long, a is left
// alone until then, and asked again afterwards.
func TestRetryAfterIsRespected(t *testing.T) {
	date := time.Now().Add(45 * time.Second).Truncate(time.Second)
	at := func(name, value string) simulator.Fault {
		f := simulator.RateLimited(0)
		f.Reply.Header = http.Header{name: {value}}
		return f
	}
	for name, c := range map[string]struct {
		fault simulator.Fault
		until func(before, after time.Time) (from, to time.Time)
	}{
		"seconds": {simulator.RateLimited(30 * time.Second), func(before, after time.Time) (from, to time.Time) {
			return before.Add(30 * time.Second), after.Add(30 * time.Second)
		}},
		"date": {at("Retry-After", date.UTC().Format(http.TimeFormat)), func(_, _ time.Time) (from, to time.Time) {
			return date.Add(-time.Second), date.Add(time.Second)
		}},
		"reset of the limits": {at("Anthropic-Ratelimit-Requests-Remaining", "0"), func(before, after time.Time) (from, to time.Time) {
			return before.Add(58 * time.Second), after.Add(time.Minute)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, true, tap(t, struck(c.fault, 1)), tap(t, simulator.Always(good)), "", "")
			before := time.Now()
			hidden(s, s.turn())
			from, to := c.until(before, time.Now())
			if a, _ := s.health(); a.RetryAt.Before(from) || a.RetryAt.After(to) || a.State != isCooling {
				t.Errorf("%s until %v, want %v to %v", a.State, a.RetryAt, from, to)
			}
			s.wellAgain(isCooling, true)
		})
	}
	t.Run("over", func(t *testing.T) {
		t.Parallel()
		s := newScene(t, true, tap(t, struck(simulator.RateLimited(time.Second), 1)), tap(t, simulator.Always(good)), "", "")
		began := time.Now()
		hidden(s, s.turn())
		sessions := 0
		eventually(t, "a's return", func() bool {
			sessions++ // those that b has taken over stay there for a while
			got := s.turn("X-Claude-Code-Session-Id", fmt.Sprint("new-", sessions))
			if !got.whole() {
				t.Fatalf("%s", got)
			}
			return got.by() == "a"
		})
		if waited := time.Since(began); waited < time.Second {
			t.Errorf("a was asked again after %v", waited)
		}
		if a, _ := s.health(); a.State != isReady {
			t.Errorf("a is %s", a.State)
		}
	})
}

// TestUpstreamVanishes is row 3 for a server that is gone and for one with
// which no TLS session can be had any more.
func TestUpstreamVanishes(t *testing.T) {
	for _, stream := range []bool{true, false} {
		t.Run(fmt.Sprintf("connection refused, stream %v", stream), func(t *testing.T) {
			t.Parallel()
			s := newScene(t, stream, tap(t, simulator.Always(good)), tap(t, simulator.Always(good)), "", "")
			s.a.server.Close()
			vanished(s)
		})
		t.Run(fmt.Sprintf("TLS, stream %v", stream), func(t *testing.T) {
			t.Parallel()
			a := untapped(t, simulator.Always(good))
			var broken atomic.Bool
			a.server.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
				if broken.Load() {
					return nil, errors.New("no more")
				}
				return nil, nil
			}}
			a.server.StartTLS()
			ca := writeFile(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.server.Certificate().Raw})))
			s := newScene(t, stream, a, tap(t, simulator.Always(good)), fmt.Sprintf("tls: {ca: %q}", ca), "")
			broken.Store(true)
			a.server.CloseClientConnections()
			vanished(s)
		})
	}
}

// vanished goes on without a. The first request may still have gone out on a
// warm connection that was just being closed; the second one cannot.
func vanished(s *scene) {
	s.Helper()
	hidden(s, s.turn())
	if got := s.turn("X-Claude-Code-Session-Id", "another"); !got.whole() || got.by() != "b" { // the first one's session is b's by now
		s.Errorf("the second turn without a: %s", got)
	}
	s.logged("connect: ")
	s.wellAgain(isCooling, true)
}

// TestRedirectIsNotFollowed is row 18.
func TestRedirectIsNotFollowed(t *testing.T) {
	for _, stream := range []bool{true, false} {
		t.Run(fmt.Sprintf("stream %v", stream), func(t *testing.T) {
			t.Parallel()
			elsewhere := tap(t, simulator.Always(good))
			f := simulator.Redirect(elsewhere.server.URL + "/v1/messages?token=secret-of-the-redirect")
			s := newScene(t, stream, tap(t, struck(f, 1)), tap(t, simulator.Always(good)), "", "")
			hidden(s, s.turn())
			s.logged("redirect to host")
			s.logged(strings.TrimPrefix(elsewhere.server.URL, "http://"))
			if n := elsewhere.asked(); n > 0 || strings.Contains(s.p.errw.String(), "secret-of-the-redirect") {
				t.Errorf("the target was asked %d times: %s", n, s.p.errw.String())
			}
			s.wellAgain(isReady, true)
		})
	}
}

// onceThenGood answers its first request with the fault.
func onceThenGood(f simulator.Fault) simulator.Script { return simulator.Sequence(faulty(f), good) }

// TestEverybodyFails is row 20, and row 7 where nothing better is left: the most
// useful of what upstreams said, byte for byte, else words of our own.
func TestEverybodyFails(t *testing.T) {
	broken := simulator.Fault{Kind: simulator.Break}
	for name, c := range map[string]struct {
		a, b    simulator.Fault
		status  int
		from    string // whose words the client gets, "" = our own
		kind    string
		retry   string
		strikes int // of a
	}{
		"529 before 500":           {a: simulator.ServerError(), b: simulator.Overloaded(), status: 529, from: "b", kind: "overloaded_error"},
		"429 before 529":           {a: simulator.Overloaded(), b: simulator.RateLimited(17 * time.Second), status: 429, from: "b", kind: "rate_limit_error", retry: "17"},
		"the sooner 429":           {a: simulator.RateLimited(9 * time.Second), b: simulator.RateLimited(17 * time.Second), status: 429, from: "a", kind: "rate_limit_error", retry: "9"},
		"an upstream's word":       {a: simulator.ServerError(), b: broken, status: 500, from: "a", kind: "api_error"},
		"nobody's word":            {a: broken, b: broken, status: 502, kind: "api_error", strikes: 2},
		"pages":                    {a: simulator.HTML(200), b: simulator.HTML(200), status: 502, kind: "api_error"},
		"empty answers":            {a: simulator.Empty(), b: simulator.Empty(), status: 502, kind: "api_error"},
		"redirects":                {a: simulator.Redirect("http://127.0.0.1:1/"), b: simulator.Redirect("http://127.0.0.1:1/"), status: 502, kind: "api_error"},
		"hangs":                    {a: simulator.Fault{Kind: simulator.Hang}, b: simulator.Fault{Kind: simulator.Hang}, status: 504, kind: "timeout_error"},
		"both keys refused":        {a: simulator.Unauthorized(), b: simulator.Unauthorized(), status: 403, kind: "permission_error"},
		"refused key before a 500": {a: simulator.Unauthorized(), b: simulator.ServerError(), status: 500, from: "b", kind: "api_error"},
	} {
		for _, stream := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, stream %v", name, stream), func(t *testing.T) {
				t.Parallel()
				a, b := tap(t, struck(c.a, max(c.strikes, 1))), tap(t, onceThenGood(c.b))
				hurry := ""
				if c.a.Kind == simulator.Hang {
					hurry = impatiently
				}
				s := newScene(t, stream, a, b, hurry, hurry)
				got := s.turn()
				var told struct {
					Type  string
					Error struct{ Type, Message string }
				}
				if err := json.Unmarshal(got.body, &told); err != nil || got.status != c.status || told.Type != "error" || told.Error.Type != c.kind || told.Error.Message == "" {
					t.Fatalf("%v %s", err, got)
				}
				if u := map[string]*tapped{"a": a, "b": b}[c.from]; u != nil && (!bytes.Equal(got.body, u.last().body) || got.by() != c.from) {
					t.Errorf("%s\nwant %q", got, u.last().body)
				}
				if got.header.Get("X-Anyproxy-Fallback-Exhausted") != "true" || got.header.Get("X-Anyproxy-Attempts") != "2" {
					t.Errorf("headers %v", got.header)
				}
				if retry := got.header.Get("Retry-After"); c.retry != "" && retry != c.retry {
					t.Errorf("Retry-After %q, want %q", retry, c.retry)
				}
				s.atRest()
				if got := s.turn(); !got.whole() {
					t.Errorf("the next turn: %s", got)
				}
			})
		}
	}
}

// TestEverybodyCools is row 19: those who cool are asked as a last resort, but
// for those who stated a long wait and have been asked within it.
func TestEverybodyCools(t *testing.T) {
	t.Run("short waits", func(t *testing.T) {
		t.Parallel()
		s := newScene(t, true, tap(t, struck(simulator.RateLimited(30*time.Second), 1)), tap(t, onceThenGood(simulator.RateLimited(40*time.Second))), "", "")
		if got := s.turn(); got.status != 429 || got.header.Get("Retry-After") != "30" {
			t.Fatalf("%s", got)
		}
		if a, status := s.health(); a.State != isCooling || status != 503 {
			t.Errorf("health %d, a is %s", status, a.State)
		}
		if got := s.turn(); !got.whole() || got.by() != "a" {
			t.Fatalf("with everybody cooling: %s", got)
		}
		if a, status := s.health(); a.State != isReady || status != 200 {
			t.Errorf("after its answer: health %d, a is %s", status, a.State)
		}
	})
	t.Run("long waits", func(t *testing.T) {
		t.Parallel()
		long := simulator.RateLimited(10 * time.Minute)
		s := newScene(t, true, tap(t, struck(long, 100)), tap(t, simulator.Always(faulty(long))), "", "")
		if got := s.turn(); got.status != 429 {
			t.Fatalf("%s", got)
		}
		a, b := s.a.asked(), s.b.asked()
		for range 3 {
			got := s.turn()
			if got.status != 529 || got.header.Get("Retry-After") != "60" || got.header.Get("X-Anyproxy-Fallback-Exhausted") != "true" {
				t.Errorf("%s, Retry-After %s", got, got.header.Get("Retry-After"))
			}
		}
		if s.a.asked() != a || s.b.asked() != b {
			t.Error("an upstream was asked again inside its Retry-After")
		}
	})
}

// TestRefusedKeyIsReadAgain is row 22 for a key in a file that is rotated while
// a request with the old one is under way: the file is read again, and the same
// provider answers.
func TestRefusedKeyIsReadAgain(t *testing.T) {
	for _, stream := range []bool{true, false} {
		t.Run(fmt.Sprintf("stream %v", stream), func(t *testing.T) {
			t.Parallel()
			file := writeFile(t, "key", "upstream-key-of-a\n")
			a := tap(t, func(n int, r *simulator.Received) simulator.Answer {
				if n == warmTurns {
					if err := os.WriteFile(file, []byte("upstream-key-of-a, the second\n"), 0o600); err != nil {
						t.Error(err)
					}
				}
				if n >= warmTurns && r.Header.Get("X-Api-Key") != "upstream-key-of-a, the second" {
					return faulty(simulator.Unauthorized())
				}
				return good
			})
			s := newScene(t, stream, a, tap(t, simulator.Always(good)), "apiKey: \"file:"+file+"\"", "")
			got := s.turn()
			if !got.whole() || got.by() != "a" || a.asked() != warmTurns+2 {
				t.Fatalf("%s; a was asked %d times", got, a.asked()-warmTurns)
			}
			if a, _ := s.health(); a.State != isReady {
				t.Errorf("a is %s", a.State)
			}
		})
	}
}

// TestClientsOwnCredentialIsRefused is row 22 where the key is the client's:
// that is between the two of them.
func TestClientsOwnCredentialIsRefused(t *testing.T) {
	a, b := tap(t, struck(simulator.Unauthorized(), refusals)), tap(t, simulator.Always(good))
	s := newScene(t, true, a, b, "auth: passthrough", "")
	for range refusals {
		asIs(s, s.turn("Authorization", "Bearer expired"))
	}
	if got := a.Requests()[warmTurns].Header.Get("Authorization"); got != "Bearer expired" {
		t.Errorf("a was shown %q", got)
	}
	if a, _ := s.health(); a.State != isReady {
		t.Errorf("a is %s", a.State)
	}
	if got := s.turn(); !got.whole() || got.by() != "a" {
		t.Errorf("with a good credential: %s", got)
	}
}

// TestClientLeaves is row 23.
func TestClientLeaves(t *testing.T) {
	for name, c := range map[string]struct {
		at     simulator.Point
		stream bool
	}{
		"before headers":        {simulator.BeforeHeaders, true},
		"before content":        {simulator.Events(3), true},
		"after content":         {simulator.Deltas(3), true},
		"before a whole answer": {simulator.BeforeHeaders, false},
		"in a whole answer":     {simulator.Bytes(200), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, c.stream, tap(t, struck(simulator.Fault{Kind: simulator.Hang, At: c.at}, 1)), tap(t, simulator.Always(good)), "", "")
			ctx, leave := context.WithCancel(context.Background())
			defer leave()
			r, _ := s.request(ctx)
			gone := make(chan error, 1)
			go func() {
				res, err := http.DefaultClient.Do(r)
				if err == nil {
					_, err = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
				}
				gone <- err
			}()
			eventually(t, "the request to reach a", func() bool { return s.a.asked() > warmTurns && s.a.Active() == 1 })
			left := time.Now()
			leave()
			eventually(t, "the upstream's request to end", func() bool { return s.a.Active() == 0 })
			t.Logf("cancelled after %v", time.Since(left))
			if err := <-gone; !errors.Is(err, context.Canceled) {
				t.Errorf("the client has %v", err)
			}
			if s.b.asked() > 0 {
				t.Error("b was asked for a client that has left")
			}
			s.wellAgain(isReady, false)
		})
	}
}

// TestManyStreamsAtOnce is row 28 in small: all requests are under way together,
// and every other one meets a fault of a.
func TestManyStreamsAtOnce(t *testing.T) {
	const streams = 200
	var here atomic.Int64
	together := make(chan struct{})
	a := tap(t, func(n int, r *simulator.Received) simulator.Answer {
		if n < warmTurns {
			return good
		}
		if here.Add(1) == streams {
			close(together)
		}
		<-together
		if n%2 == 0 {
			return faulty(simulator.ServerError())
		}
		return good
	})
	s := newScene(t, true, a, tap(t, simulator.Always(good)), "", "")
	var clients sync.WaitGroup
	var by [2]atomic.Int64
	for i := range streams {
		clients.Go(func() {
			res, body := s.p.post(t, ask(true), "X-Claude-Code-Session-Id", fmt.Sprint("session-", i))
			m, err := grammar.Check(body)
			if err != nil || res.StatusCode != 200 || m.End != grammar.Complete || len(m.Tools()) != 2 {
				t.Errorf("%d %v: %.300q", res.StatusCode, err, body)
				return
			}
			by[res.Header.Get("X-Anyproxy-Provider")[0]-'a'].Add(1)
		})
	}
	clients.Wait()
	if by[0].Load() != streams/2 || by[1].Load() != streams/2 {
		t.Errorf("a answered %d, b %d", by[0].Load(), by[1].Load())
	}
	s.atRest()
}

// TestLogCannotBeWritten is row 31: requests go on, and the loss is told.
func TestLogCannotBeWritten(t *testing.T) {
	t.Run("in mid-session", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "requests.jsonl")
		s := newScene(t, true, tap(t, struck(simulator.Overloaded(), 1)), tap(t, simulator.Always(good)), "", "", "-log-file", path)
		eventually(t, "the warm turns in the log", func() bool { return len(logLines(t, path)) == 2*warmTurns })
		if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
			t.Fatal(err)
		}
		hidden(s, s.turn())
		s.logged("is a directory")
		s.wellAgain(isCooling, true)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if got := s.turn(); !got.whole() {
			t.Fatalf("%s", got)
		}
		eventually(t, "the log to go on", func() bool {
			_, err := os.Stat(path)
			return err == nil && len(logLines(t, path)) >= 2
		})
	})
	t.Run("full disk", func(t *testing.T) {
		t.Parallel()
		if _, err := os.Stat("/dev/full"); err != nil {
			t.Skip("NOT TESTED: a full disk, because there is no /dev/full")
		}
		s := newScene(t, true, tap(t, struck(simulator.Overloaded(), 1)), tap(t, simulator.Always(good)), "", "", "-log-file", "/dev/full")
		hidden(s, s.turn())
		s.logged("no space left")
		s.wellAgain(isCooling, true)
	})
}

// stub is a provider without a wire.
type stub func(context.Context, *providers.Request) (*providers.Stream, error)

func (s stub) Send(ctx context.Context, r *providers.Request) (*providers.Stream, error) {
	return s(ctx, r)
}

// wired is the proxy over stubs, for what only a clock or the inside can show.
func wired(t testing.TB, a, b stub) (*proxy.Server, *metrics.Recorder, *routing.State) {
	t.Helper()
	c, _, err := config.Parse("test.yaml", []byte(`
providers: {a: {endpoint: "http://127.0.0.1:1", apiKey: k}, b: {endpoint: "http://127.0.0.1:2", apiKey: k}}
models: [{alias: "claude-*", provider: a}, {alias: "claude-*", provider: b, tier: 2}]
`), func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	rec, state := metrics.New(time.Now), routing.NewState()
	rt := proxy.NewRuntime(proxy.Wiring{Config: c, Providers: map[string]providers.Provider{"a": a, "b": b}, State: state, Routing: proxy.RoutingOptions(c)})
	return proxy.New(rt, proxy.Options{Recorder: rec, Redact: redact.New(), Logger: slog.New(slog.DiscardHandler), Loopback: true}), rec, state
}

func rateLimited(_ context.Context, r *providers.Request) (*providers.Stream, error) {
	return nil, &providers.Error{Status: 429, Class: providers.ClassRateLimited, RetryAfter: 30 * time.Second}
}

// frames is an answer made by a function.
type frames func() (providers.Frame, error)

func (f frames) Next() (providers.Frame, error) { return f() }
func (f frames) Close() error                   { return nil }

// briefly answers with the end of a message.
func briefly(context.Context, *providers.Request) (*providers.Stream, error) {
	return &providers.Stream{Status: 200, Header: http.Header{}, Frames: frames(func() (providers.Frame, error) {
		return providers.Frame{Bytes: []byte("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"), Kind: providers.End}, nil
	})}, nil
}

func serveOnce(h http.Handler, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "/v1/messages", strings.NewReader(body))
	r.Host = "127.0.0.1"
	h.ServeHTTP(w, r)
	return w
}

// TestPausesDoNotFollowTheWallClock is row 30: the end of a pause carries a
// reading of the monotonic clock, with which Go compares as long as both sides
// have one, so that setting the wall clock neither prolongs nor ends it.
func TestPausesDoNotFollowTheWallClock(t *testing.T) {
	h, _, state := wired(t, rateLimited, briefly)
	if w := serveOnce(h, ask(true)); w.Code != 200 || w.Header().Get("X-Anyproxy-Provider") != "b" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	until := state.Provider("a", "http://127.0.0.1:1", time.Now()).RetryAt
	if until.IsZero() || until == until.Round(0) {
		t.Errorf("the pause ends at %v, a time of the wall clock alone", until)
	}
}

// TestEventHistoryIsBounded is row 33.
func TestEventHistoryIsBounded(t *testing.T) {
	h, rec, _ := wired(t, rateLimited, briefly)
	const requests, kept = 1500, 1000
	for i := range requests { // each of a model of its own, so that a is never left out
		if w := serveOnce(h, strings.Replace(ask(true), "claude-sonnet-4-5", fmt.Sprint("claude-", i), 1)); w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	s := rec.Snapshot(0)
	if len(s.Events) != kept || s.EventsLost < requests-kept {
		t.Fatalf("%d events are kept, %d lost", len(s.Events), s.EventsLost)
	}
	if last := s.Events[kept-1]; !strings.HasSuffix(last.Model, fmt.Sprint("-", requests-1)) {
		t.Errorf("the newest event is %+v", last)
	}
}

// TestClientThatDoesNotRead is row 24, on a virtual clock and pipes without a
// buffer: the write is given up after a minute, at most a frame is held for the
// client, and the upstream is let go without blame.
func TestClientThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		delta := "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"" + strings.Repeat("x", 8<<10) + "\"}}\n\n"
		var sent atomic.Int64
		cancelled := make(chan time.Time, 1)
		endless := func(ctx context.Context, _ *providers.Request) (*providers.Stream, error) {
			context.AfterFunc(ctx, func() { cancelled <- time.Now() })
			return &providers.Stream{Status: 200, Header: http.Header{"Content-Type": {"text/event-stream"}}, Frames: frames(func() (providers.Frame, error) {
				sent.Add(1)
				return providers.Frame{Bytes: []byte(delta), Kind: providers.Content, Text: 8 << 10}, nil
			})}, nil
		}
		h, rec, state := wired(t, endless, briefly)
		server := newServer(h)
		pipes := &pipeListener{conns: make(chan net.Conn, 1), closed: make(chan struct{})}
		served := make(chan error, 1)
		go func() { served <- server.Serve(pipes) }()
		defer func() { _ = server.Close(); <-served }()
		client, conn := net.Pipe()
		defer client.Close()
		pipes.conns <- conn

		body := ask(true)
		fmt.Fprintf(client, "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		if _, err := io.ReadFull(client, make([]byte, 20<<10)); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		synctest.Wait() // everything stands: nobody reads
		held := sent.Load()
		if waited := (<-cancelled).Sub(began); waited < 50*time.Second || waited > 70*time.Second {
			t.Errorf("given up after %v, want about a minute", waited)
		}
		if n := sent.Load(); n != held || held > 5 {
			t.Errorf("%d frames were taken from the upstream before the client stood still, %d after it", held, n)
		}
		synctest.Wait()
		if s := rec.Snapshot(0); s.Canceled != 1 || s.Failed != 0 || s.Providers[0].Failed != 0 || s.InFlight != 0 {
			t.Errorf("counted: %+v", s)
		}
		if st := state.Provider("a", "http://127.0.0.1:1", time.Now()); !st.RetryAt.IsZero() {
			t.Errorf("a is left out: %+v", st)
		}
	})
}

// pipeListener accepts the connections that it is handed.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
