package proxy_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"anyproxy/config"
	"anyproxy/internal/redact"
	"anyproxy/metrics"
	"anyproxy/providers"
	"anyproxy/proxy"
	"anyproxy/proxy/requestlog"
	"anyproxy/proxy/routing"
)

// timed is a provider on the virtual clock: it waits, then does what its turn says.
type timed struct {
	headers time.Duration
	steps   []step
}

type step struct {
	after time.Duration
	frame providers.Frame
	err   error
	panic bool
}

func (p timed) Send(ctx context.Context, _ *providers.Request) (*providers.Stream, error) {
	if err := sleep(ctx, p.headers); err != nil {
		return nil, err
	}
	return &providers.Stream{Status: 200, Header: http.Header{"Content-Type": {"text/event-stream"}, "Request-Id": {"the upstream's"}}, Frames: &timedFrames{ctx, p.steps}}, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		class := providers.ClassCanceled
		if errors.Is(context.Cause(ctx), providers.ErrTimeout) {
			class = providers.ClassTimeout
		}
		return &providers.Error{Class: class, Err: context.Cause(ctx)}
	}
}

type timedFrames struct {
	ctx   context.Context
	steps []step
}

func (f *timedFrames) Next() (providers.Frame, error) {
	if len(f.steps) == 0 {
		return providers.Frame{}, io.EOF
	}
	s := f.steps[0]
	f.steps = f.steps[1:]
	if err := sleep(f.ctx, s.after); err != nil {
		return providers.Frame{}, err
	}
	if s.panic {
		panic("a bug in a provider")
	}
	return s.frame, s.err
}

func (f *timedFrames) Close() error { return nil }

func frame(kind providers.Kind, i int) providers.Frame {
	return providers.Frame{Bytes: []byte(sseText[i]), Kind: kind}
}

// answering is a whole answer that comes after the given wait.
func answering(after time.Duration) timed {
	return timed{steps: []step{{after: after, frame: frame(providers.Preamble, 0)}, {frame: frame(providers.Content, 3)}, {frame: frame(providers.End, 7)}}}
}

// thinking sends pings while it shows nothing, for the given number of 5 s.
func thinking(n int, then ...step) timed {
	steps := []step{{frame: frame(providers.Preamble, 0)}}
	for range n {
		steps = append(steps, step{after: 5 * time.Second, frame: frame(providers.Preamble, 1)})
	}
	return timed{steps: append(steps, then...)}
}

func inVirtualTime(t *testing.T, yaml string, ps map[string]providers.Provider, test func(h http.Handler, rec *metrics.Recorder)) {
	t.Helper()
	inVirtualTimeLogged(t, yaml, ps, "", test)
}

// inVirtualTimeLogged also writes a request log, unless its path is "".
func inVirtualTimeLogged(t *testing.T, yaml string, ps map[string]providers.Provider, path string, test func(h http.Handler, rec *metrics.Recorder)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c, _, err := config.Parse("test.yaml", []byte(strings.ReplaceAll(strings.ReplaceAll(yaml, "a_URL", "http://127.0.0.1:1"), "b_URL", "http://127.0.0.1:2")),
			func(string) string { return "" })
		if err != nil {
			t.Fatal(err)
		}
		var log *requestlog.Log
		if path != "" {
			if log, err = requestlog.Open(requestlog.Options{Path: path}); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := log.Close(t.Context()); err != nil {
					t.Error(err)
				}
			}()
		}
		rec := metrics.New(time.Now)
		s := proxy.New(proxy.NewRuntime(proxy.Wiring{Config: c, Providers: ps, State: routing.NewState(),
			Routing: proxy.RoutingOptions(c)}),
			proxy.Options{Recorder: rec, Log: log, Redact: redact.New(), Logger: slog.New(slog.DiscardHandler)})
		test(s, rec)
	})
}

func post(h http.Handler, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", "/v1/messages", strings.NewReader(body)))
	return w
}

const pingEvent = "event: ping\ndata: {\"type\": \"ping\"}\n\n"

func TestSlowAnswerIsOpenedWithPings(t *testing.T) {
	broken := step{after: time.Second, err: &providers.Error{Class: providers.ClassBroken, Err: errors.New("cut")}}
	short := sseText[0] + sseText[3] + sseText[7]
	for name, c := range map[string]struct {
		a, b  timed
		pings int
		end   string // what follows the pings
		took  time.Duration
	}{
		"in time":                       {answering(14 * time.Second), answering(0), 0, short, 14 * time.Second},
		"late":                          {answering(16 * time.Second), answering(0), 1, short, 16 * time.Second},
		"very late":                     {answering(46 * time.Second), answering(0), 4, short, 46 * time.Second},
		"minutes of hidden thinking":    {thinking(36, answering(0).steps[1:]...), answering(0), 17, sseText[0] + strings.Repeat(sseText[1], 36) + sseText[3] + sseText[7], 180 * time.Second},
		"thinking, then it dies":        {thinking(8, broken), answering(3 * time.Second), 3, short, 44 * time.Second},
		"silent, then the next answers": {timed{headers: time.Hour}, answering(0), 5, short, 60 * time.Second},
		"both die after opening":        {thinking(4, broken), thinking(0, broken), 1, "event: error\n", 22 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, two, map[string]providers.Provider{"a": c.a, "b": c.b}, func(h http.Handler, rec *metrics.Recorder) {
				began := time.Now()
				w := post(h, streamRequest)
				if took := time.Since(began); took != c.took {
					t.Errorf("took %v, want %v", took, c.took)
				}
				pings := strings.Repeat(pingEvent, c.pings)
				if got := w.Body.String(); w.Code != 200 || !strings.HasPrefix(got, pings+c.end) || c.end == short && got != pings+short {
					t.Errorf("%d %q\nwant %d pings and %q", w.Code, got, c.pings, c.end)
				}
				if n := strings.Count(w.Body.String(), "event: error"); c.end == "event: error\n" && n != 1 {
					t.Errorf("%d error events", n)
				}
				head := w.Result().Header // as it was sent
				if got := head.Get("Content-Type"); !strings.HasPrefix(got, "text/event-stream") {
					t.Errorf("content type %q", got)
				}
				if upstreams := head.Get("Request-Id") != ""; upstreams != (c.pings == 0) || head.Get("X-Anyproxy-Request-Id") == "" {
					t.Errorf("header %v: it is the upstream's only where its content opens the answer", head)
				}
			})
		})
	}
}

func TestNonStreamIsNotOpened(t *testing.T) {
	late := timed{headers: 5 * time.Minute, steps: []step{{frame: providers.Frame{Bytes: []byte(plainAnswer), Kind: providers.End}}}}
	inVirtualTime(t, two, map[string]providers.Provider{"a": late, "b": late}, func(h http.Handler, _ *metrics.Recorder) {
		if w := post(h, plainRequest); w.Code != 200 || w.Body.String() != plainAnswer {
			t.Errorf("%d %q", w.Code, w.Body.String())
		}
	})
}

func TestTheRequestsDeadlineEndsTheSearch(t *testing.T) {
	silent := thinking(1000)
	inVirtualTime(t, two+"routing: {deadline: 90s}\n", map[string]providers.Provider{"a": silent, "b": silent}, func(h http.Handler, rec *metrics.Recorder) {
		began := time.Now()
		w := post(h, streamRequest)
		if took := time.Since(began); took != 90*time.Second {
			t.Errorf("took %v", took)
		}
		if !strings.Contains(w.Body.String(), "timeout_error") {
			t.Errorf("told %q", w.Body.String())
		}
		if got := rec.Snapshot(0).Requests[0]; len(got.Decision.Attempts) != 1 || got.Phase != metrics.PhaseFailed {
			t.Errorf("%+v", got)
		}
	})
}

func TestSilenceAfterContentEndsTheStream(t *testing.T) {
	stalls := timed{steps: append(answering(0).steps[:2:2], step{after: time.Hour})}
	inVirtualTime(t, two, map[string]providers.Provider{"a": stalls, "b": answering(0)}, func(h http.Handler, _ *metrics.Recorder) {
		began := time.Now()
		w := post(h, streamRequest)
		if took := time.Since(began); took != time.Minute {
			t.Errorf("took %v, want the idle limit", took)
		}
		if got := w.Body.String(); !strings.HasPrefix(got, sseText[0]+sseText[3]+"event: error\n") {
			t.Errorf("told %q", got)
		}
	})
}

func TestUsualTimeToFirstTokenShortensTheWait(t *testing.T) {
	quick := answering(2 * time.Second)
	inVirtualTime(t, two, map[string]providers.Provider{"a": &changing{first: quick, calls: 6, then: timed{headers: time.Hour}}, "b": answering(0)},
		func(h http.Handler, rec *metrics.Recorder) {
			for range 6 {
				post(h, streamRequest)
			}
			began := time.Now()
			w := post(h, streamRequest)
			if took := time.Since(began); took != 15*time.Second || !strings.HasSuffix(w.Body.String(), sseText[7]) {
				t.Errorf("took %v, want 15 s instead of the configured minute: %q", took, w.Body.String())
			}
			if p := rec.Snapshot(0).Providers[0]; p.Failed != 1 {
				t.Errorf("a: %+v", p)
			}
		})
}

// changing answers some calls in one way and the rest in another.
type changing struct {
	first, then timed
	calls       int
}

func (c *changing) Send(ctx context.Context, r *providers.Request) (*providers.Stream, error) {
	if c.calls--; c.calls >= 0 {
		return c.first.Send(ctx, r)
	}
	return c.then.Send(ctx, r)
}

func TestPanicsStayWithTheirAttempt(t *testing.T) {
	for name, c := range map[string]struct {
		a    timed
		want string
	}{
		"before content": {timed{steps: []step{{panic: true}}}, sseText[0] + sseText[3] + sseText[7]},
		"after content":  {timed{steps: append(answering(0).steps[:2:2], step{panic: true})}, sseText[0] + sseText[3] + "event: error\n"},
	} {
		inVirtualTime(t, two, map[string]providers.Provider{"a": c.a, "b": answering(0)}, func(h http.Handler, rec *metrics.Recorder) {
			if w := post(h, streamRequest); w.Code != 200 || !strings.HasPrefix(w.Body.String(), c.want) {
				t.Errorf("%s: %d %q", name, w.Code, w.Body.String())
			}
			if s := rec.Snapshot(0); s.InFlight != 0 || s.Providers[0].InFlight != 0 || s.Providers[0].Failed != 1 {
				t.Errorf("%s: %+v", name, s)
			}
		})
	}
	inVirtualTime(t, two, map[string]providers.Provider{"a": timed{steps: []step{{panic: true}}}, "b": timed{steps: []step{{panic: true}}}},
		func(h http.Handler, _ *metrics.Recorder) {
			if w := post(h, streamRequest); w.Code != 502 || !strings.Contains(w.Body.String(), "api_error") || strings.Contains(w.Body.String(), "bug") {
				t.Errorf("everybody panics: %d %q", w.Code, w.Body.String())
			}
		})
}

// buggy panics once in each attempt, and knows what became of that.
type buggy struct {
	where  string
	head   bool // the next look at the client's header panics
	ctx    context.Context
	closed int
}

func (b *buggy) Send(ctx context.Context, r *providers.Request) (*providers.Stream, error) {
	b.ctx = ctx
	if b.where == "send" {
		panic("a bug in a provider")
	}
	b.head = b.where == "head"
	s, err := timed{steps: []step{{panic: true}}}.Send(ctx, r)
	if err == nil {
		s.Frames = closing{s.Frames, &b.closed}
	}
	return s, err
}

type closing struct {
	providers.Frames
	n *int
}

func (c closing) Close() error { *c.n++; return c.Frames.Close() }

type buggyWriter struct {
	*httptest.ResponseRecorder
	*buggy
}

func (w buggyWriter) Header() http.Header {
	if w.head {
		w.head = false
		panic("a bug in the making of a head")
	}
	return w.ResponseRecorder.Header()
}

// TestPanicsLeaveNothing: wherever an attempt panics before its content it is closed,
// and the next one answers.
func TestPanicsLeaveNothing(t *testing.T) {
	for where, closed := range map[string]int{"send": 0, "head": 1, "next": 1} {
		a := &buggy{where: where}
		inVirtualTime(t, two, map[string]providers.Provider{"a": a, "b": answering(0)}, func(h http.Handler, rec *metrics.Recorder) {
			w := buggyWriter{httptest.NewRecorder(), a}
			h.ServeHTTP(w, httptest.NewRequest("POST", "/v1/messages", strings.NewReader(streamRequest)))
			if w.Code != 200 || w.Body.String() != sseText[0]+sseText[3]+sseText[7] {
				t.Errorf("%s: %d %q", where, w.Code, w.Body.String())
			}
			if s := rec.Snapshot(0); s.InFlight != 0 || s.Providers[0].InFlight != 0 || s.Providers[0].Failed != 1 {
				t.Errorf("%s: %+v", where, s)
			}
			if a.closed != closed || a.ctx.Err() == nil {
				t.Errorf("%s: closed %d times, %v", where, a.closed, a.ctx.Err())
			}
		})
	}
}

func TestPingsAreNotInTheRequestLog(t *testing.T) {
	overloaded := step{after: time.Second, frame: providers.Frame{Kind: providers.Failed, Bytes: []byte(errorEvent),
		Err: &providers.Error{Status: 529, Class: providers.ClassOverloaded, Body: []byte(`{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`)}}}
	path := filepath.Join(t.TempDir(), "log.jsonl")
	inVirtualTimeLogged(t, two, map[string]providers.Provider{"a": thinking(8, overloaded), "b": answering(20 * time.Second)}, path,
		func(h http.Handler, _ *metrics.Recorder) {
			if w := post(h, streamRequest); !strings.HasSuffix(w.Body.String(), sseText[7]) {
				t.Errorf("told %q", w.Body.String())
			}
		})
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(data), "\n")
	if !strings.Contains(lines[0], "overloaded_error") || strings.Contains(string(data), "event: ping") {
		t.Errorf("the log says\n%s", data)
	}
}

// slowReader takes its time for each write.
type slowReader struct {
	*httptest.ResponseRecorder
	pause time.Duration
}

func (w slowReader) Write(b []byte) (int, error) {
	time.Sleep(w.pause)
	return w.ResponseRecorder.Write(b)
}

func TestSlowReaderIsNotTheUpstreamsSilence(t *testing.T) {
	steady := timed{steps: []step{{frame: frame(providers.Preamble, 0)}, {frame: frame(providers.Content, 3)},
		{after: 50 * time.Second, frame: frame(providers.Content, 4)}, {after: 50 * time.Second, frame: frame(providers.End, 7)}}}
	inVirtualTime(t, two, map[string]providers.Provider{"a": steady, "b": answering(0)}, func(h http.Handler, rec *metrics.Recorder) {
		w := slowReader{httptest.NewRecorder(), 5 * time.Minute} // the idle limit is one
		h.ServeHTTP(w, httptest.NewRequest("POST", "/v1/messages", strings.NewReader(streamRequest)))
		if got := w.Body.String(); got != sseText[0]+sseText[3]+sseText[4]+sseText[7] {
			t.Errorf("told %q", got)
		}
		if p := rec.Snapshot(0).Providers[0]; p.OK != 1 || p.Failed != 0 {
			t.Errorf("a: %+v", p)
		}
	})
}
