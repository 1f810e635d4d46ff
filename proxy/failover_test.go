package proxy_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"anyproxy/metrics"
)

// whole is the answer of healthy, byte for byte.
var whole = strings.Join(sseText, "")

func TestFailureBeforeContentIsHealedUnseen(t *testing.T) {
	hang := func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for name, h := range map[string]http.HandlerFunc{
		"429":                 status(429, "Retry-After", "7"),
		"500":                 status(500),
		"503":                 status(503),
		"529":                 status(529),
		"408":                 status(408),
		"401 of our key":      status(401),
		"402 of our account":  status(402),
		"403 of our key":      status(403),
		"HTML 502":            func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(502); fmt.Fprint(w, "<html>bad</html>") },
		"reset":               reset,
		"garbage":             raw("\x16\x03\x01 not http\r\n\r\n"),
		"hang before headers": hang,
		"hang after headers":  func(w http.ResponseWriter, r *http.Request) { sendSSE(w, sseText[0]); <-r.Context().Done() },
		"empty 200":           func(w http.ResponseWriter, r *http.Request) {},
		"HTML 200":            func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "<html>hello</html>") },
		"JSON error in a 200": func(w http.ResponseWriter, r *http.Request) { status(200)(w, r) },
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.example/", http.StatusTemporaryRedirect)
		},
		"error event first":               func(w http.ResponseWriter, r *http.Request) { sendSSE(w, errorEvent) },
		"error event after ping":          func(w http.ResponseWriter, r *http.Request) { sendSSE(w, sseText[1], errorEvent) },
		"error event after message_start": func(w http.ResponseWriter, r *http.Request) { sendSSE(w, sseText[0], sseText[2], errorEvent) },
		"cut before content":              cut(sseText[:3]...),
		"end before content":              func(w http.ResponseWriter, r *http.Request) { sendSSE(w, sseText[:3]...) },
		"half an event":                   cut(sseText[0], sseText[3][:40]),
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newUpstream(t, h), newUpstream(t, healthy)
			p := newHarness(t, strings.Replace(two, "apiKey: upstream-secret}", "apiKey: upstream-secret, timeouts: {firstByte: 300ms, idle: 300ms}}", 1),
				map[string]*upstream{"a": a, "b": b})
			got := p.ask(t)
			if got.status != 200 || got.body != whole || got.err != nil {
				t.Fatalf("status %d, body %q, %v", got.status, got.body, got.err)
			}
			for header, want := range map[string]string{"X-Anyproxy-Provider": "b", "X-Anyproxy-Model": "claude-x",
				"X-Anyproxy-Attempts": "2", "X-Anyproxy-Fallback-Exhausted": "", "Retry-After": "", "Location": ""} {
				if v := got.header.Get(header); v != want {
					t.Errorf("%s = %q, want %q", header, v, want)
				}
			}
			s := p.snapshot(t)
			if s.OK != 1 || s.Saved != 1 || s.Failed != 0 || s.Providers[0].Failed != 1 || s.Providers[1].OK != 1 {
				t.Errorf("counted: %+v", s)
			}
			if !slices.ContainsFunc(s.Events, func(e metrics.Event) bool {
				return e.Kind == metrics.EventFallback && e.Provider == "a" && e.To == "b" && e.Text != ""
			}) {
				t.Errorf("no fallback event: %+v", s.Events)
			}
			attempts := s.Requests[0].Decision.Attempts
			if len(attempts) != 2 || attempts[0].Outcome == "ok" || attempts[0].Reason == "" || attempts[1].Outcome != "ok" {
				t.Errorf("attempts: %+v", attempts)
			}
		})
	}
}

// The headers of a stream are there before its content. When that does not come,
// none of them may be left in whatever is answered instead.
func TestHeadersOfAFailedAttemptAreForgotten(t *testing.T) {
	dies := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Of-A", "yes")
		cut(sseText[0])(w, r)
	}
	for name, b := range map[string]http.HandlerFunc{
		"the next answers": healthy, "the next dies, too": cut(sseText[0]), "the next refuses": status(400), "the next has no capacity": status(529),
	} {
		t.Run(name, func(t *testing.T) {
			p := newHarness(t, two, map[string]*upstream{"a": newUpstream(t, dies), "b": newUpstream(t, b)})
			got := p.ask(t)
			if got.header.Get("X-Of-A") != "" || got.header.Get("X-Anyproxy-Request-Id") == "" {
				t.Errorf("%d with %v", got.status, got.header)
			}
		})
	}
}

func TestRefusedConnectionIsHealed(t *testing.T) {
	a, b := newUpstream(t, healthy), newUpstream(t, healthy)
	p := newHarness(t, two, map[string]*upstream{"a": a, "b": b})
	a.Close()
	if got := p.ask(t); got.body != whole || got.header.Get("X-Anyproxy-Provider") != "b" {
		t.Fatalf("got %+v", got)
	}
}

func TestNonStreamBreakIsHealed(t *testing.T) {
	a := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", fmt.Sprint(len(plainAnswer)))
		fmt.Fprint(w, plainAnswer[:40])
		panic(http.ErrAbortHandler)
	})
	b := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, plainAnswer)
	})
	p := newHarness(t, two, map[string]*upstream{"a": a, "b": b})
	got := p.do(t, "POST", "/v1/messages", plainRequest)
	if got.status != 200 || got.body != plainAnswer || got.header.Get("X-Anyproxy-Attempts") != "2" {
		t.Fatalf("got %+v", got)
	}
	if rec := p.snapshot(t).Requests[0]; rec.Tokens.Output != 3 || rec.Tokens.Input != 12 || rec.Stream {
		t.Errorf("record: %+v", rec)
	}
}

func TestFailureAfterContentIsOneErrorEvent(t *testing.T) {
	for name, c := range map[string]struct {
		h    http.HandlerFunc
		want string // the message of the error
	}{
		"cut":              {cut(sseText[:5]...), "broke off"},
		"end without stop": {func(w http.ResponseWriter, r *http.Request) { sendSSE(w, sseText[:5]...) }, "broke off"},
		"half an event":    {cut(append(slices.Clone(sseText[:4]), sseText[4][:50])...), "broke off"},
		"its own error": {func(w http.ResponseWriter, r *http.Request) {
			sendSSE(w, append(slices.Clone(sseText[:4]), errorEvent)...)
		}, "Overloaded"},
		"silence":           {func(w http.ResponseWriter, r *http.Request) { sendSSE(w, sseText[:4]...); <-r.Context().Done() }, "no answer in time"},
		"bad JSON":          {cut(append(slices.Clone(sseText[:4]), "event: content_block_delta\ndata: {\"type\":\n\n")...), "broke off"},
		"its own, together": {func(w http.ResponseWriter, r *http.Request) { sendSSE(w, strings.Join(sseText[:4], "")+errorEvent) }, "Overloaded"},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newUpstream(t, c.h), newUpstream(t, healthy)
			p := newHarness(t, strings.Replace(two, "apiKey: upstream-secret}", "apiKey: upstream-secret, timeouts: {idle: 300ms}}", 1),
				map[string]*upstream{"a": a, "b": b})
			got := p.ask(t)
			if got.status != 200 || got.err != nil {
				t.Fatalf("status %d, %v", got.status, got.err)
			}
			sent := strings.Join(sseText[:4], "")
			if !strings.HasPrefix(got.body, sent) {
				t.Fatalf("what came before the failure is missing: %q", got.body)
			}
			events := got.events()
			if n := strings.Count(got.body, "event: error\n"); n != 1 || events[len(events)-1] != "error" {
				t.Errorf("%d error events, the last event is %s, want one at the end: %q", n, events[len(events)-1], got.body)
			}
			if !strings.Contains(got.body, c.want) || strings.Contains(got.body, "message_stop") {
				t.Errorf("the end is %q, want %q", got.body[len(sent):], c.want)
			}
			if len(b.requests()) != 0 {
				t.Error("a second provider was asked after content")
			}
			s := p.snapshot(t)
			if s.Failed != 1 || s.OK != 0 || s.Requests[0].Error == "" || s.Providers[0].Failed != 1 {
				t.Errorf("counted: ok %d failed %d %+v", s.OK, s.Failed, s.Requests[0])
			}
		})
	}
}

func TestClientsFaultIsReturnedAsItIs(t *testing.T) {
	for _, code := range []int{400, 404, 413, 422} {
		a, b := newUpstream(t, status(code, "X-Should-Retry", "false")), newUpstream(t, healthy)
		p := newHarness(t, two, map[string]*upstream{"a": a, "b": b})
		for range 6 {
			got := p.ask(t)
			if got.status != code || got.body != fmt.Sprintf(`{"type":"error","error":{"type":"some_error","message":"told by the upstream %d"}}`, code) {
				t.Fatalf("%d: got %+v", code, got)
			}
			if got.header.Get("X-Should-Retry") != "false" || got.header.Get("X-Anyproxy-Fallback-Exhausted") != "" {
				t.Errorf("%d: headers %v", code, got.header)
			}
		}
		if len(b.requests()) != 0 || p.snapshot(t).Providers[0].Failed != 0 {
			t.Errorf("%d: held against the provider", code)
		}
	}
}

func TestExhausted(t *testing.T) {
	for name, c := range map[string]struct {
		a, b   http.HandlerFunc
		status int
		kind   string
		body   string // part of the message
		retry  string
	}{
		"429 before 500":          {status(500), status(429, "Retry-After", "17"), 429, "some_error", "upstream 429", "17"},
		"sooner 429":              {status(429, "Retry-After", "30"), status(429, "Retry-After", "4"), 429, "some_error", "upstream 429", "4"},
		"529 before 500":          {status(500), status(529), 529, "some_error", "upstream 529", ""},
		"retry-after is capped":   {status(429, "Retry-After", "3000"), status(429, "Retry-After", "4000"), 429, "some_error", "upstream 429", "60"},
		"5xx before a cut":        {reset, status(500), 500, "some_error", "upstream 500", ""},
		"no upstream's word":      {reset, reset, 502, "api_error", "broke off", ""},
		"HTML":                    {status(500), func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503); fmt.Fprint(w, "<p>no") }, 503, "overloaded_error", "provider b answered 503", ""},
		"both refuse our key":     {status(401), status(403), 403, "permission_error", "refused its configured key: told by the upstream", ""},
		"our account is unpaid":   {status(402), status(402), 402, "some_error", "upstream 402", ""},
		"a refused key and a 500": {status(401), status(500), 500, "some_error", "upstream 500", ""},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newUpstream(t, c.a), newUpstream(t, c.b)
			p := newHarness(t, two, map[string]*upstream{"a": a, "b": b})
			got := p.ask(t)
			kind, message := got.errorType()
			if got.status != c.status || kind != c.kind || !strings.Contains(message, c.body) {
				t.Errorf("got %d %s %q, want %d %s %q", got.status, kind, message, c.status, c.kind, c.body)
			}
			if got.header.Get("X-Anyproxy-Fallback-Exhausted") != "true" || got.header.Get("X-Anyproxy-Attempts") != "2" {
				t.Errorf("headers: %v", got.header)
			}
			if retry := got.header.Get("Retry-After"); c.retry != "" && retry != c.retry {
				t.Errorf("Retry-After %q, want %q", retry, c.retry)
			}
			if s := p.snapshot(t); s.Failed != 1 || s.Requests[0].Status != c.status {
				t.Errorf("recorded: %+v", s.Requests[0])
			}
		})
	}
}

func TestUpstreamKeyIsNotQuoted(t *testing.T) {
	quoting := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(400)
		fmt.Fprintf(w, `{"type":"error","error":{"type":"invalid_request_error","message":"bad key %s"}}`, r.Header.Get("X-Api-Key"))
	}
	p := newHarness(t, one, map[string]*upstream{"a": newUpstream(t, quoting)})
	if got := p.ask(t); strings.Contains(got.body, "upstream-secret") || !strings.Contains(got.body, "bad key") {
		t.Errorf("got %q", got.body)
	}
}

func TestCoolingProviderIsNotAsked(t *testing.T) {
	a, b := newUpstream(t, status(429, "Retry-After", "60")), newUpstream(t, healthy)
	p := newHarness(t, two, map[string]*upstream{"a": a, "b": b})
	for range 5 {
		if got := p.ask(t); got.status != 200 {
			t.Fatalf("got %+v", got)
		}
	}
	if n := len(a.requests()); n != 1 {
		t.Errorf("the cooling provider was asked %d times, want once", n)
	}
	s := p.snapshot(t)
	if s.Providers[0].State != metrics.StateCooling || time.Until(s.Providers[0].RetryAt) < 55*time.Second {
		t.Errorf("state %s until %v", s.Providers[0].State, s.Providers[0].RetryAt)
	}
	if got := p.do(t, "GET", "/health", ""); got.status != 200 || !strings.Contains(got.body, `"status":"degraded"`) {
		t.Errorf("health: %+v", got)
	}
}

func TestAllCoolingStillAsks(t *testing.T) {
	broken := true
	flaky := func(w http.ResponseWriter, r *http.Request) {
		if broken {
			status(529)(w, r)
			return
		}
		healthy(w, r)
	}
	a, b := newUpstream(t, flaky), newUpstream(t, status(529))
	p := newHarness(t, two, map[string]*upstream{"a": a, "b": b})
	if got := p.ask(t); got.status != 529 {
		t.Fatalf("got %+v", got)
	}
	if got := p.do(t, "GET", "/health", ""); got.status != 503 {
		t.Errorf("health with everything cooling: %+v", got)
	}
	broken = false
	if got := p.ask(t); got.status != 200 || got.body != whole {
		t.Fatalf("with everything cooling nobody was asked: %+v", got)
	}
	if s := p.snapshot(t); s.Providers[0].State != metrics.StateReady {
		t.Errorf("after an answer the provider is %s", s.Providers[0].State)
	}
}

func TestClientThatLeavesCancelsTheUpstream(t *testing.T) {
	gone := make(chan struct{})
	a := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		sendSSE(w, sseText[:4]...)
		<-r.Context().Done()
		close(gone)
	})
	p := newHarness(t, two, map[string]*upstream{"a": a, "b": newUpstream(t, healthy)})
	ctx, cancel := context.WithCancel(t.Context())
	r, _ := http.NewRequestWithContext(ctx, "POST", p.URL+"/v1/messages", strings.NewReader(streamRequest))
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = res.Body.Read(make([]byte, 10))
	cancel()
	_ = res.Body.Close()
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		t.Fatal("the upstream's request goes on")
	}
	s := p.snapshot(t)
	if s.Canceled != 1 || s.Failed != 0 || s.Providers[0].Failed != 0 || s.Requests[0].Phase != metrics.PhaseCanceled {
		t.Errorf("counted: %+v", s)
	}
	if s.Requests[0].Tokens.Output == 0 {
		t.Error("what the client got before it left is not counted")
	}
}

func TestForcedProvider(t *testing.T) {
	a, b := newUpstream(t, status(500)), newUpstream(t, healthy)
	p := newHarness(t, two+"  - {name: other, provider: b}\n", map[string]*upstream{"a": a, "b": b})
	if got := p.ask(t, "X-Anyproxy-Provider", "b"); got.status != 200 || got.header.Get("X-Anyproxy-Attempts") != "1" {
		t.Errorf("b: %+v", got)
	}
	if got := p.ask(t, "X-Anyproxy-Provider", "a"); got.status != 500 || got.header.Get("X-Anyproxy-Attempts") != "1" {
		t.Errorf("a: %+v", got)
	}
	for _, c := range []struct{ provider, model string }{{"nobody\x7f", "claude-x"}, {"a", "other"}} {
		got := p.do(t, "POST", "/v1/messages", strings.Replace(plainRequest, "claude-x", c.model, 1), "X-Anyproxy-Provider", strings.Trim(c.provider, "\x7f"))
		kind, message := got.errorType()
		if got.status != 400 || kind != "invalid_request_error" || !strings.Contains(message, c.model) || !strings.Contains(message, strings.Trim(c.provider, "\x7f")) {
			t.Errorf("%v: got %d %q", c, got.status, got.body)
		}
	}
}

func TestUnknownModelNamesItself(t *testing.T) {
	a := newUpstream(t, healthy)
	p := newHarness(t, one, map[string]*upstream{"a": a})
	got := p.do(t, "POST", "/v1/messages", strings.Replace(plainRequest, "claude-x", "gpt-5", 1))
	if kind, message := got.errorType(); got.status != 404 || kind != "not_found_error" || !strings.Contains(message, "gpt-5") {
		t.Errorf("got %+v", got)
	}
	if len(a.requests()) != 0 {
		t.Error("an upstream was asked")
	}
}

func TestCountTokensIsForwardedAndNotCounted(t *testing.T) {
	counting := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"input_tokens":%d}`, len(r.URL.Path))
	}
	a, b := newUpstream(t, status(429)), newUpstream(t, counting)
	p := newHarness(t, two, map[string]*upstream{"a": a, "b": b})
	got := p.do(t, "POST", "/v1/messages/count_tokens?beta=true", `{"model":"claude-x","stream":true,"messages":[]}`)
	if got.status != 200 || got.body != `{"input_tokens":25}` {
		t.Fatalf("got %+v", got)
	}
	if u := b.requests()[0].URL; u.Path != "/v1/messages/count_tokens" || u.RawQuery != "beta=true" {
		t.Errorf("asked %s", u)
	}
	if s := p.snapshot(t); s.OK != 0 || len(s.Requests) != 0 {
		t.Errorf("counted as a model request: %+v", s)
	}
}

func TestOneModelsCooldownLeavesTheProviderHealthy(t *testing.T) {
	a := newUpstream(t, func(w http.ResponseWriter, r *http.Request) { status(429, "Retry-After", "600")(w, r) })
	p := newHarness(t, two, map[string]*upstream{"a": a, "b": newUpstream(t, healthy)})
	p.ask(t, "X-Anyproxy-Provider", "b")
	p.do(t, "POST", "/v1/messages", strings.Replace(streamRequest, "claude-x", "claude-y", 1)) // a's claude-x is well
	p.do(t, "POST", "/v1/messages/count_tokens", plainRequest)
	got := p.do(t, "GET", "/health", "")
	if got.status != 200 || !strings.Contains(got.body, `"healthy_providers":2`) || !strings.Contains(got.body, `"state":"partly"`) {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestErrorsOfOtherShapesReachTheClient(t *testing.T) {
	for _, body := range []string{`{"detail":"max_tokens too big"}`, `{"error":{"message":"Insufficient","code":"30001"}}`} {
		a := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, body)
		})
		p := newHarness(t, two, map[string]*upstream{"a": a, "b": newUpstream(t, healthy)})
		if got := p.ask(t); got.status != 400 || got.body != body {
			t.Errorf("got %d %s, want %s", got.status, got.body, body)
		}
	}
	a := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, `{"message":"tenant\u001b is asleep, key upstream-secret"}`)
	})
	p := newHarness(t, two, map[string]*upstream{"a": a, "b": newUpstream(t, healthy)})
	p.ask(t)
	why := p.snapshot(t).Requests[0].Decision.Attempts[0].Reason
	if !strings.Contains(why, "is asleep") || strings.Contains(why, "upstream-secret") || strings.ContainsRune(why, 0x1b) {
		t.Errorf("the operator is told %q", why)
	}
}

func TestDeadlineIsNoExhaustion(t *testing.T) {
	a, b := newUpstream(t, func(w http.ResponseWriter, r *http.Request) { sendSSE(w); <-r.Context().Done() }), newUpstream(t, healthy)
	p := newHarness(t, two+"routing: {deadline: 200ms}\n", map[string]*upstream{"a": a, "b": b})
	got := p.ask(t)
	if kind, _ := got.errorType(); got.status != 504 || kind != "timeout_error" || got.header.Get("X-Anyproxy-Fallback-Exhausted") != "" {
		t.Errorf("%d %s %v", got.status, got.body, got.header)
	}
}

func TestDeadKeptConnectionsCostOneRepetition(t *testing.T) {
	var posts atomic.Int64
	var dying atomic.Bool
	var together sync.WaitGroup
	together.Add(8)
	a := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if dying.Load() {
			posts.Add(1)
			reset(w, r)
			return
		}
		together.Done()
		together.Wait() // so that there are eight connections
		healthy(w, r)
	})
	p := newHarness(t, two, map[string]*upstream{"a": a, "b": newUpstream(t, healthy)})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { p.ask(t) })
	}
	wg.Wait()
	dying.Store(true)
	if got := p.ask(t); got.status != 200 || got.header.Get("X-Anyproxy-Provider") != "b" {
		t.Errorf("got %+v", got)
	}
	if n := posts.Load(); n > 2 {
		t.Errorf("one attempt was sent %d times", n)
	}
}
