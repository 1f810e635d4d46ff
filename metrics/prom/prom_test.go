package prom_test

import (
	"fmt"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"anyproxy/metrics"
	"anyproxy/metrics/prom"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// exporter is one with targets, and the recorder that it watches.
func exporter(targets ...prom.Target) (*prom.Exporter, *metrics.Recorder) {
	rec := metrics.New(time.Now)
	e := prom.New(prom.Options{Version: "1.2.3", Snapshot: func() metrics.Snapshot {
		s := rec.Snapshot(^uint64(0))
		s.Spend = &metrics.Spend{Today: 12, Limit: 10}
		return s
	}, Model: func(name string) string {
		if strings.HasPrefix(name, "claude-sonnet-4-5") {
			return "claude-sonnet-4-5"
		}
		if strings.HasPrefix(name, "known-") {
			return name
		}
		return ""
	}})
	e.SetTargets(targets)
	rec.Observe(e)
	var infos []metrics.ProviderInfo
	for _, t := range targets {
		if !slices.ContainsFunc(infos, func(i metrics.ProviderInfo) bool { return i.Name == t.Provider }) {
			infos = append(infos, metrics.ProviderInfo{Name: t.Provider, Weight: 2})
		}
	}
	rec.SetProviders(infos)
	return e, rec
}

// scrape gives the lines of values, by name and labels.
func scrape(t testing.TB, e *prom.Exporter) map[string]string {
	t.Helper()
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	lines := map[string]string{}
	for line := range strings.Lines(w.Body.String()) {
		if i := strings.LastIndexByte(line, ' '); !strings.HasPrefix(line, "#") {
			lines[line[:i]] = strings.TrimSpace(line[i+1:])
		}
	}
	return lines
}

func TestEveryFamilyIsThereFromTheFirstScrape(t *testing.T) {
	e, _ := exporter(prom.Target{Provider: "a", Model: "glm-4.6"}, prom.Target{Provider: "b", Aliases: []string{"claude-*"}})
	lines := scrape(t, e)
	for name, want := range map[string]string{
		`anyproxy_requests_total{alias="claude-*",outcome="failed",stream="false"}`:                        "0",
		`anyproxy_attempts_total{error_type="",model="other",outcome="ok",provider="b"}`:                   "0",
		`anyproxy_fallbacks_total{from="a",reason="rate_limited",to="b"}`:                                  "0",
		`anyproxy_fallbacks_total{from="b",reason="no_model",to="a"}`:                                      "0",
		`anyproxy_requests_total{alias="",outcome="ok",stream="true"}`:                                     "0",
		`anyproxy_attempts_total{error_type="",model="glm-4.6",outcome="ok",provider="a"}`:                 "0",
		`anyproxy_attempts_total{error_type="rate_limited",model="glm-4.6",outcome="failed",provider="a"}`: "0",
		`anyproxy_stream_aborts_total{cause="client",stage="after_content"}`:                               "0",
		`anyproxy_session_moves_total{reason="fault"}`:                                                     "0",
		`anyproxy_cost_usd_total{model="glm-4.6",provider="a"}`:                                            "0",
		`anyproxy_tokens_total{model="glm-4.6",provider="a",type="cache_write_1h"}`:                        "0",
		`gen_ai_server_request_duration_seconds_count{model="glm-4.6",provider="a"}`:                       "0",
		`gen_ai_server_time_to_first_token_seconds_bucket{model="glm-4.6",provider="a",le="0.25"}`:         "0",
		`gen_ai_server_time_per_output_token_seconds_count{model="glm-4.6",provider="a"}`:                  "0",
		`gen_ai_client_token_usage_count{gen_ai_token_type="output",model="glm-4.6",provider="a"}`:         "0",
		`anyproxy_output_tokens_per_second_count{model="glm-4.6",provider="a"}`:                            "0",
		`anyproxy_overhead_seconds_bucket{le="5e-05"}`:                                                     "0",
		`anyproxy_requests_saved_total`:                                                                    "0",
		`anyproxy_in_flight`:                                                                               "0",
		`anyproxy_provider_state{provider="a",state="ready"}`:                                              "1",
		`anyproxy_provider_state{provider="a",state="cooling"}`:                                            "0",
		`anyproxy_provider_weight{provider="a"}`:                                                           "2",
		`anyproxy_provider_tps{provider="a"}`:                                                              "0",
		`anyproxy_provider_ttft_seconds{provider="a"}`:                                                     "0",
		`anyproxy_provider_retry_at_seconds{provider="a"}`:                                                 "0",
		`anyproxy_budget_remaining_usd{provider="",scope="all"}`:                                           "-2",
		`anyproxy_spent_today_usd`:                                                                         "12",
		`anyproxy_config_reloads_total{result="invalid"}`:                                                  "0",
		`anyproxy_events_dropped_total`:                                                                    "0",
		`anyproxy_panics_total`:                                                                            "0",
		`anyproxy_log_dropped_total`:                                                                       "0",
	} {
		if got, there := lines[name]; !there || got != want {
			t.Errorf("%s is %q, want %s", name, got, want)
		}
	}
	found := strings.Join(keysOf(lines), "\n")
	for _, name := range []string{"go_goroutines", "process_resident_memory_bytes", `anyproxy_build_info{goversion="go1`} {
		if !strings.Contains(found, name) {
			t.Errorf("%s is missing", name)
		}
	}
}

func keysOf(m map[string]string) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	return keys
}

func TestWhatIsCounted(t *testing.T) {
	e, rec := exporter(prom.Target{Provider: "a", Model: "m"}, prom.Target{Provider: "b"})
	q := rec.Begin(metrics.RequestRecord{Model: "claude-sonnet-4-5", Stream: true, Session: "a-session", Key: "a-key"})
	q.Decide(metrics.Decision{Alias: "claude-*", Session: metrics.Binding{Kind: metrics.BindingMoved, Reason: "fault"}})
	q.Attempt("a", "m").End(metrics.Result{Outcome: "rate_limited", Status: 429})
	a := q.Attempt("b", "claude-sonnet-4-5-20250929")
	a.Price(&metrics.Rates{Input: 1000, Output: 10_000}, false)
	now := time.Now()
	a.Progress(metrics.Progress{At: now, Content: true, Generating: true, Text: 400})
	a.Progress(metrics.Progress{At: now.Add(time.Second), Final: true, Text: 400,
		Usage: &metrics.Tokens{Input: 1000, Output: 50, CacheRead: 24, CacheWrite: 10, CacheWrite1h: 4, Reasoning: 20}})
	q.Commit(200)
	a.End(metrics.Result{Outcome: metrics.OutcomeOK, Status: 200})
	q.Worked(time.Millisecond)
	q.End(metrics.PhaseOK, 0, "")
	q = rec.Begin(metrics.RequestRecord{Model: "made-up-by-a-client", Stream: true})
	a = q.Attempt("b", "made-up-by-a-client")
	a.Progress(metrics.Progress{At: time.Now(), Content: true, Generating: true, Text: 400})
	q.Commit(200)
	a.End(metrics.Result{Outcome: "broken"})
	q.End(metrics.PhaseFailed, 0, "broke off")

	lines := scrape(t, e)
	for name, want := range map[string]string{
		`anyproxy_requests_total{alias="claude-*",outcome="ok",stream="true"}`:                             "1",
		`anyproxy_requests_total{alias="",outcome="failed",stream="true"}`:                                 "1",
		`anyproxy_attempts_total{error_type="rate_limited",model="m",outcome="failed",provider="a"}`:       "1",
		`anyproxy_attempts_total{error_type="",model="claude-sonnet-4-5",outcome="ok",provider="b"}`:       "1",
		`anyproxy_attempts_total{error_type="broken",model="other",outcome="failed",provider="b"}`:         "1",
		`anyproxy_fallbacks_total{from="a",reason="rate_limited",to="b"}`:                                  "1",
		`anyproxy_stream_aborts_total{cause="broken",stage="after_content"}`:                               "1",
		`anyproxy_session_moves_total{reason="fault"}`:                                                     "1",
		`anyproxy_requests_saved_total`:                                                                    "1",
		`anyproxy_cost_usd_total{model="claude-sonnet-4-5",provider="b"}`:                                  "1.5",
		`anyproxy_unpriced_attempts_total{model="other",provider="b"}`:                                     "1",
		`anyproxy_tokens_total{model="claude-sonnet-4-5",provider="b",type="input"}`:                       "1000",
		`anyproxy_tokens_total{model="claude-sonnet-4-5",provider="b",type="cache_write_1h"}`:              "4",
		`gen_ai_client_token_usage_sum{gen_ai_token_type="input",model="claude-sonnet-4-5",provider="b"}`:  "1034",
		`gen_ai_client_token_usage_sum{gen_ai_token_type="output",model="claude-sonnet-4-5",provider="b"}`: "50",
		`gen_ai_server_time_to_first_token_seconds_count{model="claude-sonnet-4-5",provider="b"}`:          "1",
		`anyproxy_output_tokens_per_second_bucket{model="claude-sonnet-4-5",provider="b",le="50"}`:         "1",
		`anyproxy_overhead_seconds_bucket{le="0.001"}`:                                                     "2",
	} {
		if lines[name] != want {
			t.Errorf("%s is %q, want %s", name, lines[name], want)
		}
	}
	for name := range lines {
		if strings.Contains(name, "a-session") || strings.Contains(name, "a-key") || strings.Contains(name, "made-up") {
			t.Errorf("%s names what it must not", name)
		}
	}
}

// Whatever clients ask for and whatever fails, twenty targets have fewer than
// 5,000 series, and what is configured keeps its own.
func TestSeriesAreBounded(t *testing.T) {
	outcomes := []string{"rate_limited", "overloaded", "server_error", "credential_refused", "connect", "broken", "timeout", "bad_upstream_response", "no_model", "invalid_request"}
	for name, target := range map[string]func(i int) prom.Target{
		"five providers": func(i int) prom.Target { return prom.Target{Provider: fmt.Sprint("p", i%5), Model: fmt.Sprint("m", i)} },
		"twenty":         func(i int) prom.Target { return prom.Target{Provider: fmt.Sprint("p", i), Model: fmt.Sprint("m", i)} },
		"patterns": func(i int) prom.Target {
			return prom.Target{Provider: fmt.Sprint("p", i), Aliases: []string{"claude-*"}}
		},
		"names and the patterns": func(i int) prom.Target {
			return prom.Target{Provider: fmt.Sprint("p", i), Model: fmt.Sprint("m", i), Aliases: []string{fmt.Sprint("m", i), fmt.Sprintf("alias-%d-*", i)}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var targets []prom.Target
			for i := range 20 {
				targets = append(targets, target(i))
			}
			e, rec := exporter(targets...)
			ask := func(from prom.Target, asked, outcome string, to prom.Target) {
				q := rec.Begin(metrics.RequestRecord{Stream: true})
				q.Attempt(from.Provider, asked).End(metrics.Result{Outcome: outcome})
				q.Attempt(to.Provider, asked).End(metrics.Result{Outcome: metrics.OutcomeOK})
				q.End(metrics.PhaseOK, 200, "")
			}
			for i, from := range targets {
				for k := range 90 { // names that the table of prices knows, and made-up ones
					ask(from, fmt.Sprint("known-", k), "timeout", targets[(i+1)%20])
					ask(from, fmt.Sprint("made-up-", i, "-", k), "timeout", targets[(i+1)%20])
				}
				for _, to := range targets {
					for _, outcome := range outcomes {
						if from.Provider != to.Provider {
							ask(from, from.Model, outcome, to)
						}
					}
				}
			}
			lines := scrape(t, e)
			if n := len(lines); n >= 5000 {
				t.Errorf("%d series", n)
			} else {
				t.Logf("%d series", n)
			}
			total := 0
			for name, n := range lines {
				if strings.HasPrefix(name, "anyproxy_fallbacks_total{") {
					var v int
					if _, err := fmt.Sscan(n, &v); err != nil {
						t.Fatal(err)
					}
					total += v
				}
			}
			var want int
			for i, from := range targets {
				if from.Provider != targets[(i+1)%20].Provider {
					want += 180
				}
				for _, to := range targets {
					if from.Provider != to.Provider {
						want += len(outcomes)
					}
				}
			}
			if total != want {
				t.Errorf("%d fallbacks are counted, not %d", total, want)
			}
			// What a reload adds has a name of its own.
			e.SetTargets(append(targets, prom.Target{Provider: "new", Model: "configured"}))
			ask(prom.Target{Provider: "new"}, "configured", "broken", targets[0])
			if got := scrape(t, e)[`anyproxy_attempts_total{error_type="broken",model="configured",outcome="failed",provider="new"}`]; got != "1" {
				t.Errorf("the new target's attempts are %q", got)
			}
		})
	}
}

// Names and units are Prometheus' own: promtool would say so of others.
func TestNames(t *testing.T) {
	e, _ := exporter(prom.Target{Provider: "a", Model: "m"})
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	kinds := regexp.MustCompile(`(?m)^# TYPE ((?:anyproxy|gen_ai)_\S+) (\w+)$`).FindAllStringSubmatch(w.Body.String(), -1)
	if len(kinds) < 25 {
		t.Errorf("%d families", len(kinds))
	}
	for _, k := range kinds {
		if total := strings.HasSuffix(k[1], "_total"); total != (k[2] == "counter") {
			t.Errorf("%s is a %s", k[1], k[2])
		}
	}
}

func BenchmarkAttemptAndRequest(b *testing.B) {
	e, _ := exporter(prom.Target{Provider: "a", Model: "m"})
	r := &metrics.RequestRecord{Stream: true, Phase: metrics.PhaseOK, Overhead: time.Millisecond}
	a := &metrics.AttemptRecord{Provider: "a", Model: "m", Outcome: "ok", Duration: time.Second, TTFT: time.Second, TPS: 50,
		Tokens: metrics.Tokens{Input: 10, Output: 20, CacheRead: 30}, Cost: 0.01}
	b.ReportAllocs()
	for b.Loop() {
		e.AttemptEnded(r, 1, a)
		e.RequestEnded(r)
	}
}
