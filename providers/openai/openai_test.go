package openai

import (
	"context"
	"encoding/json"
	"flag"
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

	"go.uber.org/goleak"

	"anyproxy/config"
	"anyproxy/internal/jsonscan"
	"anyproxy/providers"
	"anyproxy/providers/credential"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

const testKey = "sk-proj-upstreamKey1234567890"

// newProvider makes a provider whose connections are gone when the test ends.
func newProvider(t testing.TB, cfg config.Provider, models ...config.Model) *Provider {
	t.Helper()
	cfg.Name, cfg.Type = "up", config.OpenAI
	if cfg.Auth == "" {
		cfg.Auth = config.AuthBearer
	}
	cfg.Timeouts.Connect = 5 * time.Second
	src, err := credential.NewVault(credential.Options{Getenv: os.Getenv}).Resolve(config.SecretRef{Kind: config.SecretLiteral, Literal: config.NewSecret(testKey)}, "up")
	if err != nil {
		t.Fatal(err)
	}
	for i := range models {
		models[i].Provider = "up"
	}
	p, err := New(cfg, models, src)
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
	return newProvider(t, config.Provider{Endpoint: up.URL})
}

// newRequest asks model for what body says.
func newRequest(t testing.TB, body, model string) *providers.Request {
	t.Helper()
	r := &providers.Request{Header: http.Header{"Content-Type": {"application/json"}}, Model: model}
	o, err := jsonscan.OpenObject([]byte(body), 0, maxDepth)
	for err == nil && o.Next() {
		switch {
		case jsonscan.Is(o.Key, "model"):
			r.ModelAt = providers.Span(o.Val)
			r.Asked, _ = jsonscan.Unquote(o.Raw())
		case jsonscan.Is(o.Key, "stream"):
			r.Stream = string(o.Raw()) == "true"
		}
	}
	r.Body = countedBody(t, []byte(body))
	return r
}

// countedBody fails the test if, at its end, not every reference that was taken
// of the body has been given back.
func countedBody(t testing.TB, data []byte) *providers.Body {
	var times atomic.Int32
	b := providers.NewBody(data, func([]byte) { times.Add(1) })
	t.Cleanup(func() {
		b.Release()
		if n := times.Load(); n != 1 {
			t.Errorf("the request body has been released %d times", n)
		}
	})
	return b
}

const (
	smallBody  = `{"model":"claude-sonnet-4-5","max_tokens":100,"messages":[{"role":"user","content":"hi"}]}`
	streamBody = `{"model":"claude-sonnet-4-5","max_tokens":100,"stream":true,"messages":[{"role":"user","content":"hi"}]}`
)

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
		if f.Err != nil {
			r.err = f.Err
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
	got := read(s)
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	return s, got
}

// wantError fails the test unless err is a failure of the class.
func wantError(t testing.TB, err error, class providers.Class) *providers.Error {
	t.Helper()
	e, ok := err.(*providers.Error)
	if !ok {
		t.Fatalf("error %v, want a %v", err, class)
	}
	if e.Class != class || e.Provider != "up" {
		t.Fatalf("%v of %s (%v), want a %v", e.Class, e.Provider, e, class)
	}
	return e
}

// answers is an upstream that gives one answer.
func answers(status int, kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// converted is body as it is sent to model, decoded, and what was lost.
func converted(t testing.TB, p *Provider, body, model string) (sent map[string]any, lost []string, err error) {
	t.Helper()
	raw, lost, err := convertedText(t, p, body, model)
	if err != nil {
		return nil, nil, err
	}
	d := json.NewDecoder(strings.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&sent); err != nil {
		t.Fatalf("sent no JSON: %v\n%s", err, raw)
	}
	return sent, lost, nil
}

func convertedText(t testing.TB, p *Provider, body, model string) (string, []string, error) {
	t.Helper()
	r := newRequest(t, body, model)
	c := conversions.Get().(*conversion)
	defer c.release()
	c.begin(p.target(model), p.seals, r, 0)
	if err := c.convert(r); err != nil {
		return "", nil, err
	}
	return string(c.out), c.lost, nil
}

// archive is a file of named sections, in the txtar format: -- name --.
type archive struct {
	comment  string
	names    []string
	sections map[string]string
}

func readArchive(t testing.TB, file string) *archive {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	a := &archive{sections: map[string]string{}}
	section := ""
	for line := range strings.SplitAfterSeq(string(data), "\n") {
		if name, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "-- "); ok && strings.HasSuffix(name, " --") {
			section = strings.TrimSuffix(name, " --")
			a.names = append(a.names, section)
			a.sections[section] = ""
			continue
		}
		if section == "" {
			a.comment += line
		} else {
			a.sections[section] += line
		}
	}
	return a
}

func (a *archive) write(t testing.TB, file string) {
	t.Helper()
	var b strings.Builder
	b.WriteString(a.comment)
	for _, name := range a.names {
		b.WriteString("-- " + name + " --\n" + a.sections[name])
	}
	if err := os.WriteFile(filepath.Join("testdata", file), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func contextWithCause(t testing.TB) (context.Context, context.CancelCauseFunc) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	t.Cleanup(func() { cancel(nil) })
	return ctx, cancel
}

// shared is a value that a server's goroutine writes and a test reads.
type shared[T any] struct {
	mu sync.Mutex
	v  T
}

func (s *shared[T]) set(v T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.v = v
}

func (s *shared[T]) get() T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.v
}
