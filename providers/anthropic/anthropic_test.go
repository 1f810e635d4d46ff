package anthropic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"anyproxy/config"
	"anyproxy/internal/jsonscan"
	"anyproxy/providers"
	"anyproxy/providers/credential"
	"anyproxy/providers/upstream"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

const testKey = "sk-ant-api03-upstreamKey1234567890"

// newProvider makes a provider whose connections are gone when the test ends.
func newProvider(t testing.TB, cfg config.Provider, key string) *Provider {
	t.Helper()
	cfg.Name = "up"
	if cfg.Timeouts.Connect == 0 {
		cfg.Timeouts.Connect = 5 * time.Second
	}
	src, err := credential.NewVault(credential.Options{Getenv: os.Getenv}).Resolve(config.SecretRef{Kind: config.SecretLiteral, Literal: config.NewSecret(key)}, "up")
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(cfg, src)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// serve starts an upstream and gives a provider for it.
func serve(t testing.TB, h http.HandlerFunc) *Provider {
	t.Helper()
	up := httptest.NewServer(h)
	t.Cleanup(up.Close)
	return newProvider(t, config.Provider{Endpoint: up.URL}, testKey)
}

// newRequest asks for model in a body that names another if renamed.
func newRequest(t testing.TB, body string, model string, stream bool) *providers.Request {
	t.Helper()
	o, err := jsonscan.OpenObject([]byte(body), 0, upstream.MaxDepth)
	if err != nil {
		t.Fatal(err)
	}
	r := &providers.Request{Header: http.Header{"Content-Type": {"application/json"}}, Model: model, Stream: stream}
	for o.Next() {
		if jsonscan.Is(o.Key, "model") {
			r.ModelAt = providers.Span(o.Val)
			r.Asked, _ = jsonscan.Unquote(o.Raw())
		}
	}
	r.Body = countedBody(t, []byte(body))
	return r
}

const smallBody = `{"model":"claude-sonnet-4-5","max_tokens":10,"messages":[{"role":"user","content":"hi"}]}`

func streamRequest(t testing.TB) *providers.Request {
	return newRequest(t, smallBody, "claude-sonnet-4-5", true)
}

func plainRequest(t testing.TB) *providers.Request {
	return newRequest(t, smallBody, "claude-sonnet-4-5", false)
}

// countedBody fails the test if, at its end, not every reference that was
// taken of the body has been given back.
func countedBody(t testing.TB, data []byte) *providers.Body {
	gone := make(chan struct{})
	var times atomic.Int32
	b := providers.NewBody(data, func([]byte) {
		times.Add(1)
		close(gone)
	})
	t.Cleanup(func() {
		b.Release()
		select {
		case <-gone:
		case <-time.After(10 * time.Second): // the transport closes it in its own time
			t.Error("the request body has not been released")
		}
	})
	return b
}

// result is all that came of an exchange.
type result struct {
	bytes  string
	frames []providers.Frame // their Bytes are gone
	usage  providers.Usage
	text   int
	err    error // nil after io.EOF
}

// read takes frames until an error.
func read(frames providers.Frames) (r result) {
	for {
		f, err := frames.Next()
		if err != nil {
			if err != io.EOF {
				r.err = err
			}
			return r
		}
		r.bytes += string(f.Bytes)
		r.text += f.Text
		if f.Usage != nil {
			r.usage = *f.Usage
		}
		f.Bytes = nil
		r.frames = append(r.frames, f)
	}
}

func (r result) last() providers.Frame {
	if len(r.frames) == 0 {
		return providers.Frame{}
	}
	return r.frames[len(r.frames)-1]
}

// send sends r and reads the answer to its end.
func send(t testing.TB, p *Provider, r *providers.Request) (*providers.Stream, result) {
	t.Helper()
	s, err := p.Send(t.Context(), r)
	if err != nil {
		return nil, result{err: err}
	}
	out := read(s)
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	return s, out
}

// wantError checks that err is an *Error of the class and gives it.
func wantError(t testing.TB, err error, class providers.Class) *providers.Error {
	t.Helper()
	var e *providers.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v, want a *providers.Error", err)
	}
	if e.Class != class || e.Provider != "up" {
		t.Fatalf("class %v, provider %q: %v; want %v", e.Class, e.Provider, e, class)
	}
	if strings.Contains(e.Error(), testKey) {
		t.Error("the error quotes the key")
	}
	return e
}

func fixture(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name + ".sse")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var fixtures = []string{"plain", "tool", "thinking", "hidden", "parallel", "crlf"}

// streamed is an upstream that streams the pieces, flushing each.
func streamed(pieces ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		for _, piece := range pieces {
			fmt.Fprint(w, piece)
			w.(http.Flusher).Flush()
		}
	}
}

func TestNewRefusesWhatItCannotUse(t *testing.T) {
	for _, tt := range []struct {
		cfg  config.Provider
		want string
	}{
		{config.Provider{}, "endpoint: want http:// or https://"},
		{config.Provider{Endpoint: "api.anthropic.com"}, "endpoint: want http:// or https://"},
		{config.Provider{Endpoint: "ftp://host"}, "endpoint: want http:// or https://"},
		{config.Provider{Endpoint: "https://"}, "endpoint: want http:// or https://"},
		{config.Provider{Endpoint: "https://user:hunter2@host"}, "endpoint: must have no user"},
		{config.Provider{Endpoint: "https://host?key=hunter2"}, "endpoint: must have no user, query"},
		{config.Provider{Endpoint: "http://hunter2\x00"}, "endpoint: not a URL"},
		{config.Provider{Endpoint: "https://host", TLS: config.TLS{MinVersion: "1.1"}}, `tls: minVersion "1.1"`},
		{config.Provider{Endpoint: "https://host", TLS: config.TLS{CA: "testdata/absent.pem"}}, "tls: ca: open testdata/absent.pem"},
		{config.Provider{Endpoint: "https://host", TLS: config.TLS{CA: "testdata/plain.sse"}}, "tls: ca: no certificate in"},
		{config.Provider{Endpoint: "https://host", TLS: config.TLS{Pins: []string{"sha256/abc="}}}, "tls: pins:"},
		{config.Provider{Endpoint: "https://host", TLS: config.TLS{Pins: []string{"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}}}, "tls: pins:"},
	} {
		tt.cfg.Name = "up"
		_, err := New(tt.cfg, nil)
		if err == nil || !strings.Contains(err.Error(), "provider up: "+tt.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("New(%q) = %v, want %q", tt.cfg.Endpoint, err, tt.want)
		}
	}
}

func TestCredentialSourceThatFails(t *testing.T) {
	missing := t.TempDir() + "/key"
	if err := os.WriteFile(missing, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	src, err := credential.NewVault(credential.Options{Getenv: os.Getenv}).Resolve(config.SecretRef{Kind: config.SecretFile, Name: missing}, "up")
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(config.Provider{Name: "up", Endpoint: "http://127.0.0.1:1"}, src)
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(missing)
	_, err = p.Send(t.Context(), streamRequest(t))
	if e := wantError(t, err, providers.ClassCredential); !errors.Is(e, os.ErrNotExist) {
		t.Errorf("cause %v, want ErrNotExist", e.Err)
	}
}

func TestCancelledAttempt(t *testing.T) {
	for _, tt := range []struct {
		cause error
		want  providers.Class
	}{
		{context.Canceled, providers.ClassCanceled},
		{providers.ErrTimeout, providers.ClassTimeout},
		{fmt.Errorf("first byte: %w", providers.ErrTimeout), providers.ClassTimeout},
		{context.DeadlineExceeded, providers.ClassTimeout},
		{errors.New("the client left"), providers.ClassCanceled},
	} {
		t.Run(tt.cause.Error(), func(t *testing.T) {
			arrived := make(chan struct{}, 2)
			p := serve(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				if r.URL.RawQuery == "answer" {
					w.Header().Set("Content-Type", "text/event-stream")
					io.WriteString(w, "event: ping\ndata: {\"type\":\"ping\"}\n\n")
					w.(http.Flusher).Flush()
				}
				arrived <- struct{}{}
				<-r.Context().Done()
			})
			t.Run("before headers", func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				go func() { <-arrived; cancel(tt.cause) }()
				_, err := p.Send(ctx, streamRequest(t))
				if e := wantError(t, err, tt.want); !errors.Is(e, tt.cause) {
					t.Errorf("chain of %v lacks the cause", e)
				}
			})
			t.Run("in the stream", func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				r := streamRequest(t)
				r.RawQuery = "answer"
				s, err := p.Send(ctx, r)
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				go func() { <-arrived; cancel(tt.cause) }()
				if e := wantError(t, read(s).err, tt.want); !errors.Is(e, tt.cause) {
					t.Errorf("chain of %v lacks the cause", e)
				}
			})
		})
	}
}
