package proxy_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"anyproxy/config"
	"anyproxy/internal/redact"
	"anyproxy/metrics"
	"anyproxy/metrics/ledger"
	"anyproxy/providers"
	"anyproxy/providers/anthropic"
	"anyproxy/providers/credential"
	"anyproxy/proxy"
	"anyproxy/proxy/front"
	"anyproxy/proxy/routing"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// upstream is a scripted server that remembers what it was asked.
type upstream struct {
	*httptest.Server
	mu   sync.Mutex
	seen []seen
}

type seen struct {
	*http.Request
	body string
}

func newUpstream(t testing.TB, h http.HandlerFunc) *upstream {
	t.Helper()
	u := &upstream{}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		u.mu.Lock()
		u.seen = append(u.seen, seen{r.Clone(r.Context()), string(body)})
		u.mu.Unlock()
		h(w, r)
	}))
	t.Cleanup(func() { u.CloseClientConnections(); u.Close() })
	return u
}

func (u *upstream) requests() []seen {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]seen(nil), u.seen...)
}

// harness is a proxy on a loopback listener.
type harness struct {
	URL      string
	Listener net.Listener
	proxy    *proxy.Server
	rec      *metrics.Recorder
	logs     *bytes.Buffer
}

// snapshot waits until what was answered is recorded as well: the client has its
// answer first.
func (h *harness) snapshot(t testing.TB) metrics.Snapshot {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); h.proxy.Serving() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("requests are still being served")
		}
	}
	return h.proxy.Snapshot(0)
}

// newHarness serves a configuration in which NAME_URL stands for the upstream's
// address and KEY_… for a key.
func newHarness(t testing.TB, yaml string, ups map[string]*upstream) *harness {
	t.Helper()
	return newHarnessWith(t, yaml, ups, nil)
}

// newHarnessWith books what is spent in the given ledger.
func newHarnessWith(t testing.TB, yaml string, ups map[string]*upstream, book *ledger.Ledger) *harness {
	t.Helper()
	for name, u := range ups {
		yaml = strings.ReplaceAll(yaml, name+"_URL", u.URL)
	}
	c, _, err := config.Parse("test.yaml", []byte(yaml), func(string) string { return "" })
	if err != nil {
		t.Fatalf("configuration: %v", err)
	}
	w := proxy.Wiring{Config: c, Providers: map[string]providers.Provider{}, State: routing.NewState(),
		Routing: proxy.RoutingOptions(c)}
	for _, p := range c.Providers {
		var key credential.Source
		if p.APIKey.Kind != config.SecretNone {
			if key, err = credential.NewVault(credential.Options{}).Resolve(p.APIKey, p.Name); err != nil {
				t.Fatal(err)
			}
		}
		a, err := anthropic.New(p, key)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = a.Close() })
		w.Providers[p.Name] = a
	}
	for _, k := range c.APIKeys {
		w.Keys = append(w.Keys, proxy.Key{Name: k.Name, Value: k.Key.Literal, Models: k.Models, DailyBudget: k.DailyBudget})
	}
	h := &harness{rec: metrics.New(time.Now), logs: &bytes.Buffer{}}
	h.proxy = proxy.New(proxy.NewRuntime(w), proxy.Options{Recorder: h.rec, Ledger: book, Redact: redact.New("upstream-secret"),
		Logger: slog.New(slog.NewTextHandler(&lockedWriter{w: h.logs}, nil)), Version: "test", Loopback: true})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.Listener, h.URL = l, "http://"+l.Addr().String()
	s := &front.Server{HTTP: &http.Server{Handler: h.proxy}}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() { http.DefaultClient.CloseIdleConnections(); _ = s.Close(); <-served })
	return h
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// two is the usual configuration: a in tier 1, b behind it.
const two = `
providers:
  a: {endpoint: "a_URL", apiKey: upstream-secret}
  b: {endpoint: "b_URL", apiKey: upstream-secret}
models:
  - {alias: "claude-*", provider: a}
  - {alias: "claude-*", provider: b, tier: 2}
`

const one = `
providers:
  a: {endpoint: "a_URL", apiKey: upstream-secret}
models:
  - {alias: "claude-*", provider: a}
`

// answer is what a client got.
type answer struct {
	status int
	header http.Header
	body   string
	err    error // of reading the body
}

func (a answer) events() (names []string) {
	for line := range strings.Lines(a.body) {
		if name, ok := strings.CutPrefix(line, "event: "); ok {
			names = append(names, strings.TrimSpace(name))
		}
	}
	return names
}

// errorType is error.type of an error body, "" when it is none.
func (a answer) errorType() (kind, message string) {
	var e struct {
		Type  string
		Error struct{ Type, Message string }
	}
	if json.Unmarshal([]byte(a.body), &e) != nil || e.Type != "error" {
		return "", ""
	}
	return e.Error.Type, e.Error.Message
}

func (h *harness) do(t *testing.T, method, path, body string, header ...string) answer {
	t.Helper()
	r, err := http.NewRequest(method, h.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
			continue
		}
		r.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(got), err}
}

func (h *harness) ask(t *testing.T, header ...string) answer {
	t.Helper()
	return h.do(t, "POST", "/v1/messages?beta=true", streamRequest, header...)
}

const (
	streamRequest = `{"model":"claude-x","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]}`
	plainRequest  = `{"model":"claude-x","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}`
)

// sseText is a short answer; each element is one event.
var sseText = []string{
	"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-x\",\"content\":[],\"stop_reason\":null,\"usage\":{\"input_tokens\":12,\"cache_read_input_tokens\":5,\"output_tokens\":1}}}\n\n",
	"event: ping\ndata: {\"type\": \"ping\"}\n\n",
	"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
	"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Grüße, \"}}\n\n",
	"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"world\"}}\n\n",
	"event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
	"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":27}}\n\n",
	"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
}

const plainAnswer = `{"id":"msg_2","type":"message","role":"assistant","model":"claude-x","content":[{"type":"text","text":"hello"}],"stop_reason":"end_turn","usage":{"input_tokens":12,"output_tokens":3}}`

const errorEvent = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n"

// sendSSE answers with the given events, each in a write of its own.
func sendSSE(w http.ResponseWriter, events ...string) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("Request-Id", "req_upstream")
	for _, e := range events {
		_, _ = io.WriteString(w, e)
		w.(http.Flusher).Flush()
	}
}

func healthy(w http.ResponseWriter, r *http.Request) { sendSSE(w, sseText...) }

func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"type":"error","error":{"type":"some_error","message":"told by the upstream %d"}}`, code)
	}
}

// cut sends the events and then breaks the connection.
func cut(events ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		sendSSE(w, events...)
		panic(http.ErrAbortHandler)
	}
}

// reset breaks the connection before it says anything.
func reset(w http.ResponseWriter, r *http.Request) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

// raw answers with bytes that need not be HTTP.
func raw(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		conn, buf, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = buf.WriteString(text)
		_ = buf.Flush()
	}
}

// readEvent reads one event off a running stream.
func readEvent(r *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		b.WriteString(line)
		if err != nil || line == "\n" {
			return b.String(), err
		}
	}
}
