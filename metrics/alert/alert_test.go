package alert

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"anyproxy/metrics"
)

// service is a webhook without a network.
type service struct {
	mu     sync.Mutex
	texts  []string
	at     []time.Time
	answer func(n int) *http.Response // nil = 200
}

func (s *service) RoundTrip(r *http.Request) (*http.Response, error) {
	var m map[string]string
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.texts, s.at = append(s.texts, strings.TrimPrefix(m["text"], "anyproxy: ")), append(s.at, time.Now())
	if s.answer != nil {
		if res := s.answer(len(s.texts)); res != nil {
			return res, nil
		}
	}
	return answered(200), nil
}

func answered(status int, header ...string) *http.Response {
	res := &http.Response{StatusCode: status, Body: http.NoBody, Header: http.Header{}}
	for i := 0; i < len(header); i += 2 {
		res.Header.Set(header[i], header[i+1])
	}
	return res
}

// world runs an Alerter in virtual time.
type world struct {
	*service
	*Alerter
	log strings.Builder

	statesMu sync.Mutex
	states   []metrics.State
}

func (w *world) set(states ...metrics.State) {
	w.statesMu.Lock()
	defer w.statesMu.Unlock()
	w.states = states
}

func inWorld(t *testing.T, rules Rules, do func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{service: &service{}, states: []metrics.State{metrics.StateReady}}
		logger := slog.New(slog.NewTextHandler(&w.log, nil))
		post := NewPoster(logger)
		post.client.Transport = w.service
		if rules.URL == nil {
			rules.URL = func(context.Context) (string, error) { return "https://hooks.example/secret", nil }
		}
		w.Alerter = New(Options{Rules: rules, Logger: logger, Post: post, Redact: func(s string) string { return strings.ReplaceAll(s, "sk-secret", "…") },
			Snapshot: func() (s metrics.Snapshot) {
				w.statesMu.Lock()
				defer w.statesMu.Unlock()
				for i, st := range w.states {
					if st == odd {
						panic("at a loss")
					}
					s.Providers = append(s.Providers, metrics.ProviderView{Name: fmt.Sprint(i), State: st})
				}
				return s
			}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); w.Run(ctx) }()
		do(w)
		cancel()
		<-done
		if strings.Contains(w.log.String(), "hooks.example/secret") {
			t.Errorf("the log names the webhook: %s", w.log.String())
		}
	})
}

// odd is a state over which the alerter breaks.
const odd = metrics.State("odd")

// A look around that breaks is told, and the next one is taken.
func TestAPanicCostsALook(t *testing.T) {
	inWorld(t, Rules{}, func(w *world) {
		w.set(odd)
		time.Sleep(lookEvery + time.Millisecond)
		synctest.Wait()
		if !strings.Contains(w.log.String(), `part=alerts panic="at a loss"`) {
			t.Errorf("the log says %s", w.log.String())
		}
		w.set(metrics.StateReady)
		w.Happened(&metrics.Event{Kind: metrics.EventBudget, Text: "spent"})
		time.Sleep(lookEvery)
		w.expect(t, "budget: spent")
	})
}

// requests ends n requests, every nth of which fell over.
func (w *world) requests(n, fell int, latency time.Duration) {
	for i := range n {
		r := &metrics.RequestRecord{Phase: metrics.PhaseOK, Stream: true, TTFT: latency}
		r.Decision.Attempts = []metrics.AttemptRecord{{Provider: "a"}}
		if i < fell {
			r.Decision.Attempts = append(r.Decision.Attempts, metrics.AttemptRecord{Provider: "b"})
		}
		w.RequestEnded(r)
	}
}

func (w *world) expect(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	w.service.mu.Lock()
	defer w.service.mu.Unlock()
	if !slices.Equal(w.texts, want) {
		t.Errorf("told %q, want %q", w.texts, want)
	}
	w.texts = nil
}

func TestFallbacksAreToldOnceAndWhenTheyAreOver(t *testing.T) {
	inWorld(t, Rules{FallbackRate: 0.1}, func(w *world) {
		w.requests(19, 19, time.Second)
		time.Sleep(lookEvery + time.Millisecond)
		w.expect(t) // too few to say anything
		w.requests(1, 0, time.Second)
		time.Sleep(lookEvery)
		w.expect(t, "95 % of the last 20 requests fell over to another provider (limit 10 %)")
		time.Sleep(4 * time.Minute)
		w.requests(20, 5, time.Second)
		time.Sleep(lookEvery)
		w.expect(t) // once
		for range 60 {
			w.requests(20, 5, time.Second)
			time.Sleep(time.Minute)
		}
		w.expect(t, "25 % of the last 100 requests fell over to another provider (limit 10 %)") // an hour later
		w.requests(100, 0, time.Second)
		time.Sleep(lookEvery)
		w.expect(t) // 12.5 %: below the last, above the limit
		w.requests(200, 0, time.Second)
		time.Sleep(lookEvery)
		synctest.Wait()
		w.service.mu.Lock()
		defer w.service.mu.Unlock()
		if len(w.texts) != 1 || !strings.HasPrefix(w.texts[0], "resolved: ") {
			t.Errorf("told %q", w.texts)
		}
	})
}

func TestLatencyAndProviders(t *testing.T) {
	inWorld(t, Rules{P95: 5 * time.Second}, func(w *world) {
		w.requests(38, 0, time.Second)
		w.requests(2, 0, 30*time.Second)
		time.Sleep(lookEvery + time.Millisecond)
		w.expect(t) // one in twenty, and not more
		w.requests(1, 0, 30*time.Second)
		time.Sleep(lookEvery)
		w.expect(t, "one request in twenty waits 30s and longer for its first content (limit 5s)")
		time.Sleep(span + lookEvery)
		w.expect(t, "resolved: "+nothing)
		w.set(metrics.StateCooling, metrics.StateAuth)
		time.Sleep(lookEvery)
		w.expect(t, "none of the 2 providers can be asked")
		w.set(metrics.StateHalfOpen, metrics.StateAuth)
		time.Sleep(lookEvery)
		w.expect(t, "resolved: a provider can be asked again")
	})
}

func TestEvents(t *testing.T) {
	inWorld(t, Rules{}, func(w *world) {
		for _, e := range []metrics.Event{
			{Kind: metrics.EventBudget, Text: "everybody: 80 % of the daily $100.00 is spent"},
			{Kind: metrics.EventCredential, Provider: "a", Text: "401 of sk-secret"},
			{Kind: metrics.EventCredential, Provider: "a", Text: "401 again"},
			{Kind: metrics.EventConfig, Text: "config.yaml: applied, 1 change", Result: metrics.ReloadApplied},
			{Kind: metrics.EventConfig, Text: "config.yaml: 1 change to review"},
			{Kind: metrics.EventConfig, Text: "config.yaml: reload refused", Result: metrics.ReloadInvalid},
			{Kind: metrics.EventConfig, Text: "config.yaml: reload refused again", Result: metrics.ReloadInvalid},
			{Kind: metrics.EventConfig, Text: "config.yaml: rejected", Result: metrics.ReloadRejected},
			{Kind: metrics.EventConfig, Text: "config.yaml: applied, 2 changes", Result: metrics.ReloadApplied},
			{Kind: metrics.EventConfig, Text: "config.yaml: applied, 3 changes", Result: metrics.ReloadApplied},
			{Kind: metrics.EventFallback, Provider: "a"},
			{Kind: metrics.EventReturn, Provider: "b"},
			{Kind: metrics.EventReturn, Provider: "a"},
		} {
			w.Happened(&e)
		}
		w.expect(t, "budget: everybody: 80 % of the daily $100.00 is spent", "provider a: its credential fails: 401 of …",
			"configuration: config.yaml: reload refused", "resolved: configuration: config.yaml: applied, 2 changes", "resolved: provider a answers again")
	})
}

func TestWebhooksThatFail(t *testing.T) {
	budget := &metrics.Event{Kind: metrics.EventBudget, Text: "x"}
	for name, tt := range map[string]struct {
		answers []*http.Response
		waits   []time.Duration // between the tries
		failed  string
	}{
		"once":            {[]*http.Response{answered(500)}, []time.Duration{time.Second}, ""},
		"three times":     {[]*http.Response{answered(500), answered(502), answered(503)}, []time.Duration{time.Second, 4 * time.Second}, "the webhook answered 503"},
		"with a wait":     {[]*http.Response{answered(429, "Retry-After", "7")}, []time.Duration{7 * time.Second}, ""},
		"with a date":     {[]*http.Response{answered(503, "Retry-After", "Sat, 01 Jan 2000 00:00:09 GMT")}, []time.Duration{9 * time.Second}, ""},
		"with a past one": {[]*http.Response{answered(503, "Retry-After", "Fri, 31 Dec 1999 00:00:00 GMT")}, []time.Duration{time.Second}, ""},
		"with a long one": {[]*http.Response{answered(429, "Retry-After", "7000")}, []time.Duration{longestWait}, ""},
		"for good":        {[]*http.Response{answered(404)}, nil, "the webhook answered 404"},
		"by a redirect":   {[]*http.Response{answered(307, "Location", "https://elsewhere.example")}, nil, "the webhook answered 307"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, Rules{}, func(w *world) {
				w.answer = func(n int) *http.Response {
					if n <= len(tt.answers) {
						return tt.answers[n-1]
					}
					return nil
				}
				w.Happened(budget)
				time.Sleep(3 * time.Minute)
				synctest.Wait()
				w.service.mu.Lock()
				defer w.service.mu.Unlock()
				var waits []time.Duration
				for i := 1; i < len(w.at); i++ {
					waits = append(waits, w.at[i].Sub(w.at[i-1]))
				}
				if !slices.Equal(waits, tt.waits) {
					t.Errorf("waited %v, want %v", waits, tt.waits)
				}
				if failed := strings.Contains(w.log.String(), "an alert was not sent"); failed != (tt.failed != "") || !strings.Contains(w.log.String(), tt.failed) {
					t.Errorf("log: %s", w.log.String())
				}
			})
		})
	}
}

// A storm of alerts, and a webhook that hangs, hold nothing up. What is too much
// for a minute goes as one message in the next.
func TestStorm(t *testing.T) {
	inWorld(t, Rules{}, func(w *world) {
		for i := range 500 {
			w.Happened(&metrics.Event{Kind: metrics.EventBudget, Text: fmt.Sprint(i)})
			synctest.Wait()
		}
		var want []string
		for i := range perMinute {
			want = append(want, fmt.Sprint("budget: ", i))
		}
		w.expect(t, want...)
		time.Sleep(time.Minute)
		all := []string{fmt.Sprint(atOnce, " alerts")}
		for i := 500 - atOnce; i < 500; i++ {
			all = append(all, fmt.Sprint("budget: ", i))
		}
		w.expect(t, strings.Join(all, "\n"))
	})
	inWorld(t, Rules{URL: func(ctx context.Context) (string, error) { <-ctx.Done(); return "", ctx.Err() }}, func(w *world) {
		w.Happened(&metrics.Event{Kind: metrics.EventBudget, Text: "x"})
		synctest.Wait()
	})
}

// Small things that fill a minute do not hide a large one.
func TestAStormHidesNothing(t *testing.T) {
	inWorld(t, Rules{}, func(w *world) {
		for i := range perMinute {
			w.Happened(&metrics.Event{Kind: metrics.EventBudget, Text: fmt.Sprint(i)})
		}
		synctest.Wait()
		w.set(metrics.StateCooling)
		time.Sleep(2 * time.Minute)
		w.service.mu.Lock()
		defer w.service.mu.Unlock()
		if last := w.texts[len(w.texts)-1]; last != "none of the 1 providers can be asked" {
			t.Errorf("the last message is %q", last)
		}
	})
}

// A file that stays refused is told once an hour, however often it is saved.
func TestARefusedFileIsToldOnceAnHour(t *testing.T) {
	inWorld(t, Rules{}, func(w *world) {
		for i := range 60 {
			w.Happened(&metrics.Event{Kind: metrics.EventConfig, Text: fmt.Sprint("refused ", i), Result: metrics.ReloadInvalid})
			time.Sleep(90 * time.Second)
		}
		w.expect(t, "configuration: refused 0", "configuration: refused 40")
	})
}

// What an upstream says cannot move a cursor or call a whole channel.
func TestTextsAreHarmless(t *testing.T) {
	inWorld(t, Rules{}, func(w *world) {
		w.Happened(&metrics.Event{Kind: metrics.EventCredential, Provider: "a", Text: "401:\n\x1b[31mred\u202e <!channel> & \a\xff"})
		w.expect(t, "provider a: its credential fails: 401:  [31mred &lt;!channel&gt; &amp;  \ufffd")
	})
}

// What is being told when the program ends gets two seconds for it.
func TestLastWords(t *testing.T) {
	for name, c := range map[string]struct{ before, takes time.Duration }{
		"it has just happened": {0, 500 * time.Millisecond},
		"it is on its way":     {100 * time.Millisecond, 500 * time.Millisecond},
		"it takes too long":    {100 * time.Millisecond, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var delivered, cut int
				post := NewPoster(slog.New(slog.DiscardHandler))
				post.client.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
					select {
					case <-time.After(c.takes):
						delivered++
						return answered(200), nil
					case <-r.Context().Done():
						cut++
						return nil, r.Context().Err()
					}
				})
				a := New(Options{Rules: Rules{URL: func(context.Context) (string, error) { return "https://hooks.example/x", nil }}, Post: post,
					Logger: slog.New(slog.DiscardHandler), Redact: func(s string) string { return s }, Snapshot: func() metrics.Snapshot { return metrics.Snapshot{} }})
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() { defer close(done); a.Run(ctx) }()
				synctest.Wait()
				a.Happened(&metrics.Event{Kind: metrics.EventBudget, Text: "spent"})
				time.Sleep(c.before)
				began := time.Now()
				cancel()
				<-done
				if took := time.Since(began); took > lastWords {
					t.Errorf("the end takes %s", took)
				}
				if want := c.takes < lastWords; (delivered == 1) != want || (cut == 0) != want {
					t.Errorf("%d delivered, %d cut off", delivered, cut)
				}
			})
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestCheckURL(t *testing.T) {
	for webhook, good := range map[string]bool{
		"https://hooks.slack.com/services/T/B/x": true, "http://127.0.0.1:9/x": true, "http://localhost/x": true, "http://[::1]/": true,
		"http://hooks.slack.com/x": false, "ftp://x/y": false, "": false, "hooks.slack.com/x": false, "http://": false, "::": false,
	} {
		if err := CheckURL(webhook); (err == nil) != good || err != nil && strings.Contains(err.Error(), "/x") {
			t.Errorf("%q: %v", webhook, err)
		}
	}
}
