package bedrock

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"go.uber.org/goleak"

	"anyproxy/config"
	"anyproxy/internal/jsonscan"
	"anyproxy/providers"
	"anyproxy/providers/credential"
)

const (
	testKeyID  = "AKIATESTTESTTESTTEST"
	testSecret = "testSecretAccessKey0123456789abcdefghijk"
	testToken  = "testSessionToken0123456789abcdefghijklmn"
	testBearer = "ABSKtestBedrockApiKey0123456789"
)

// None of the developer's own AWS settings may be seen by a test.
func TestMain(m *testing.M) {
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") {
			os.Unsetenv(name)
		}
	}
	for name, value := range map[string]string{
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
		"HOME": filepath.Join(os.TempDir(), "nobody"),
	} {
		os.Setenv(name, value)
	}
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// keysInEnvironment has the requests of a test signed.
func keysInEnvironment(t testing.TB) {
	t.Setenv("AWS_ACCESS_KEY_ID", testKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", testSecret)
	t.Setenv("AWS_SESSION_TOKEN", testToken)
}

func newProvider(t testing.TB, cfg config.Provider) *Provider {
	t.Helper()
	cfg.Name = "up"
	if cfg.Timeouts.Connect == 0 {
		cfg.Timeouts.Connect = 5 * time.Second
	}
	if cfg.Region == "" {
		cfg.Region = "us-west-2"
	}
	key, err := credential.NewVault(credential.Options{Getenv: os.Getenv}).Resolve(config.SecretRef{Kind: config.SecretLiteral, Literal: config.NewSecret(testBearer)}, "up")
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(cfg, key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// service is a stand-in for Bedrock's runtime that answers as a test says and
// keeps what it was asked.
type service struct {
	*httptest.Server
	mu    sync.Mutex
	asked []asked
}

type asked struct {
	path   string // as it came, escapes included
	header http.Header
	body   string
}

func serve(t testing.TB, answer http.HandlerFunc) *service {
	t.Helper()
	s := &service{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.asked = append(s.asked, asked{r.RequestURI, r.Header.Clone(), string(body)})
		s.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *service) requests() []asked {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]asked(nil), s.asked...)
}

// provider signs nothing: it shows a bearer token.
func (s *service) provider(t testing.TB) *Provider {
	return newProvider(t, config.Provider{Endpoint: s.URL, Auth: config.AuthBearer})
}

const smallBody = `{"model":"claude-sonnet-4-5","max_tokens":10,"messages":[{"role":"user","content":"hi"}]}`

func request(t testing.TB, body string, stream bool) *providers.Request {
	t.Helper()
	r := &providers.Request{Header: http.Header{"Content-Type": {"application/json"}}, Stream: stream, Body: providers.NewBody([]byte(body), nil)}
	o, err := jsonscan.OpenObject([]byte(body), 0, 64)
	for err == nil && o.Next() {
		if jsonscan.Is(o.Key, "model") {
			r.ModelAt = providers.Span(o.Val)
			r.Model, _ = jsonscan.Unquote(o.Raw())
			r.Asked = r.Model
		}
	}
	return r
}

// result is all that came of an exchange.
type result struct {
	bytes  string
	last   providers.Frame // its Bytes are gone
	kinds  []providers.Kind
	usage  providers.Usage
	err    error // nil after io.EOF
	stream *providers.Stream
}

func send(t testing.TB, p *Provider, r *providers.Request) (out result) {
	t.Helper()
	s, err := p.Send(t.Context(), r)
	if err != nil {
		return result{err: err}
	}
	defer s.Close()
	out.stream = s
	for {
		f, err := s.Next()
		if err != nil {
			if err != io.EOF {
				out.err = err
			}
			return out
		}
		out.bytes += string(f.Bytes)
		if f.Usage != nil {
			out.usage = *f.Usage
		}
		f.Bytes = nil
		out.last, out.kinds = f, append(out.kinds, f.Kind)
	}
}

func wantError(t testing.TB, err error, class providers.Class) *providers.Error {
	t.Helper()
	var e *providers.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v (%T), want an *Error", err, err)
	}
	if e.Class != class {
		t.Errorf("class %s, want %s: %v", e.Class, class, err)
	}
	return e
}

// chunk is a frame that brings an event.
func chunk(data string) []byte {
	payload, err := json.Marshal(map[string]any{"bytes": []byte(data), "p": "abcdefgh"})
	if err != nil {
		panic(err)
	}
	return encoded(payload, ":message-type", "event", ":event-type", "chunk", ":content-type", "application/json")
}

// exception is a frame that ends a stream.
func exception(name, payload string) []byte {
	return encoded([]byte(payload), ":message-type", "exception", ":exception-type", name, ":content-type", "application/json")
}

func encoded(payload []byte, headers ...string) []byte {
	m := eventstream.Message{Payload: payload}
	for i := 0; i < len(headers); i += 2 {
		m.Headers.Set(headers[i], eventstream.StringValue(headers[i+1]))
	}
	var b bytes.Buffer
	if err := eventstream.NewEncoder().Encode(&b, m); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// The events of an answer, as Bedrock sends them.
const (
	started  = `{"type":"message_start","message":{"id":"msg_bdrk_1","usage":{"input_tokens":5,"output_tokens":1}}}`
	text0    = `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`
	delta0   = `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"grün / \u00e9"}}`
	stop0    = `{"type":"content_block_stop","index":0}`
	finished = `{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":2}}`
	stopped  = `{"type":"message_stop"}`
	metrics  = `,"amazon-bedrock-invocationMetrics":{"inputTokenCount":7,"outputTokenCount":9,"invocationLatency":50,"firstByteLatency":5,"cacheReadInputTokenCount":3,"cacheWriteInputTokenCount":4}}`
	measured = `{"type":"message_stop"` + metrics
)

// wire joins the frames of events.
func wire(datas ...string) (all []byte) {
	for _, data := range datas {
		all = append(all, chunk(data)...)
	}
	return all
}

// sseOf is what the Messages API sends for the same events.
func sseOf(datas ...string) (all string) {
	for _, data := range datas {
		var e struct{ Type string }
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			panic(err)
		}
		all += "event: " + e.Type + "\ndata: " + data + "\n\n"
	}
	return all
}

// streams answers with the pieces of an event stream, each sent by itself.
func streams(pieces ...[]byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", eventStream)
		w.WriteHeader(http.StatusOK)
		for _, piece := range pieces {
			w.Write(piece)
			w.(http.Flusher).Flush()
		}
	}
}

func answers(status int, exception, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Amzn-Requestid", "6057a502-9591-4fef-a7a6-b143043a161b")
		if exception != "" {
			w.Header().Set("X-Amzn-Errortype", exception+":http://internal.amazon.com/coral/com.amazon.bedrock/")
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

const wholeMessage = `{"model":"claude-sonnet-4-5-20250929","id":"msg_bdrk_1","type":"message","role":"assistant","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","usage":{"input_tokens":5,"output_tokens":2}}`

func TestStreamIsTheAPIs(t *testing.T) {
	all := []string{started, text0, delta0, delta0, stop0, finished}
	s := serve(t, streams(wire(append(all, measured)...)))
	got := send(t, s.provider(t), request(t, smallBody, true))
	if want := sseOf(append(all, stopped)...); got.err != nil || got.bytes != want {
		t.Fatalf("got %q, %v, want %q", got.bytes, got.err, want)
	}
	if got.last.Kind != providers.End || got.usage != (providers.Usage{Input: 5, Output: 2}) {
		t.Errorf("last frame %+v, usage %+v", got.last, got.usage)
	}
	if h := got.stream.Header; h.Get("Content-Type") != "text/event-stream" {
		t.Errorf("header %v", h)
	}
}

// What the events do not say of tokens, the service's own count does.
func TestMetricsCountWhereEventsDoNot(t *testing.T) {
	s := serve(t, streams(wire(`{"type":"message_start","message":{}}`, text0, delta0, stop0, `{"type":"message_delta","delta":{}}`, measured)))
	got := send(t, s.provider(t), request(t, smallBody, true))
	if want := (providers.Usage{Input: 7, Output: 9, CacheRead: 3, CacheWrite: 4}); got.err != nil || got.usage != want {
		t.Errorf("usage %+v, %v, want %+v", got.usage, got.err, want)
	}
	if strings.Contains(got.bytes, "amazon") {
		t.Errorf("the client is told of the service: %q", got.bytes)
	}
}

func TestWholeAnswer(t *testing.T) {
	s := serve(t, answers(200, "", wholeMessage))
	got := send(t, s.provider(t), request(t, smallBody, false))
	if got.err != nil || got.bytes != wholeMessage || got.usage != (providers.Usage{Input: 5, Output: 2}) {
		t.Fatalf("got %q, %+v, %v", got.bytes, got.usage, got.err)
	}
	if h := got.stream.Header; h.Get("Request-Id") != "6057a502-9591-4fef-a7a6-b143043a161b" || h.Get("X-Amzn-Requestid") != "" {
		t.Errorf("header %v", h)
	}
}

// A client that leaves ends the exchange, also in the middle of a frame.
func TestClientLeaves(t *testing.T) {
	left := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		streams(wire(started, text0, delta0), chunk(delta0)[:20])(w, r)
		<-r.Context().Done()
		close(left)
	})
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := s.provider(t).Send(ctx, request(t, smallBody, true))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for got := ""; !strings.Contains(got, "content_block_delta"); {
		f, err := stream.Next()
		if err != nil {
			t.Fatal(err)
		}
		got += string(f.Bytes)
	}
	cancel()
	<-left
	for err == nil {
		_, err = stream.Next()
	}
	wantError(t, err, providers.ClassCanceled)
}

// An answer may begin before the whole request has been read.
func TestAnswerBeforeTheEndOfTheRequest(t *testing.T) {
	begun, size := make(chan struct{}), make(chan int64, 1)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		streams(wire(started, text0, delta0))(w, r)
		<-begun
		n, _ := io.Copy(io.Discard, r.Body)
		size <- n
		w.Write(wire(stop0, finished, stopped))
	}))
	t.Cleanup(up.Close)
	p := newProvider(t, config.Provider{Endpoint: up.URL, Auth: config.AuthBearer})
	const large = 16 << 20 // more than sockets hold
	s, err := p.Send(t.Context(), request(t, strings.Replace(smallBody, "hi", strings.Repeat("x", large), 1), true))
	if err != nil {
		t.Fatal(err)
	}
	close(begun)
	defer s.Close()
	for f := (providers.Frame{}); f.Kind != providers.End; {
		if f, err = s.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if n := <-size; n < large {
		t.Errorf("%d bytes arrived", n)
	}
}

func TestNothingListens(t *testing.T) {
	s := serve(t, nil)
	s.Close()
	e := wantError(t, send(t, s.provider(t), request(t, smallBody, true)).err, providers.ClassConnect)
	if e.Provider != "up" || e.Model != "claude-sonnet-4-5" {
		t.Errorf("error %+v", e)
	}
}

// A kept-alive connection that turns out to be dead is replaced, unseen.
func TestDeadConnectionIsReplaced(t *testing.T) {
	var seen sync.Map // of addresses
	var dropped atomic.Int64
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if _, kept := seen.Swap(r.RemoteAddr, true); !kept || dropped.Load() > 0 {
			answers(200, "", wholeMessage)(w, r)
			return
		}
		dropped.Add(1)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		conn.Close()
	})
	p := s.provider(t)
	for range 100 { // whether a connection is kept in time for the next request is the transport's affair
		if got := send(t, p, request(t, smallBody, false)); got.err != nil || got.bytes != wholeMessage {
			t.Fatalf("got %q, %v", got.bytes, got.err)
		}
		if dropped.Load() > 0 {
			break
		}
	}
	last := s.requests()
	if n := len(last); dropped.Load() != 1 || last[n-1].body != last[n-2].body {
		t.Errorf("%d connections dropped, %d requests", dropped.Load(), n)
	}
}
