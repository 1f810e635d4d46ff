package replay_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"anyproxy/metrics"
	"anyproxy/proxy/replay"
	"anyproxy/proxy/requestlog"
	"anyproxy/proxy/routing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// asked is one request of a log to be written.
type asked struct {
	at      time.Duration // since noon
	session string
	model   string // "" = m
	forced  string
	status  metrics.Phase // "" = ok where the last attempt is
	took    time.Duration // "" = that of the attempts
	tries   []try
}

// try is one attempt of it. Attempts follow each other without a pause.
type try struct {
	provider string
	model    string // "" = m
	outcome  string // "" = ok
	reason   string
	ttft     time.Duration
	tps      float64
	took     time.Duration // 0 = by ttft, tps and tokens
	tokens   metrics.Tokens
	cost     float64
	included bool
}

// good is an answer of 100 tokens to a prompt of 1000 in two seconds and a half.
func good(provider string) try {
	return try{provider: provider, ttft: 500 * time.Millisecond, tps: 50, tokens: metrics.Tokens{Input: 1000, Output: 100}}
}

func bad(provider, outcome string) try {
	return try{provider: provider, outcome: outcome, took: 100 * time.Millisecond}
}

// record is the request as the proxy records it.
func (a asked) record(i int) metrics.RequestRecord {
	rec := metrics.RequestRecord{ID: fmt.Sprintf("req_%d", i), Time: noon.Add(a.at), Method: "POST", Path: "/v1/messages", Model: or(a.model, "m"),
		Stream: true, Session: a.session, Phase: metrics.PhaseFailed, Status: 502, Decision: metrics.Decision{Alias: "*", Forced: a.forced}}
	at := rec.Time
	for _, t := range a.tries {
		r := metrics.AttemptRecord{Provider: t.provider, Model: or(t.model, "m"), Start: at, Duration: t.took, TTFT: t.ttft, TPS: t.tps, Tokens: t.tokens,
			Cost: t.cost, Included: t.included, Outcome: or(t.outcome, metrics.OutcomeOK), Reason: t.reason}
		if r.Duration == 0 {
			r.Duration = t.ttft + time.Duration(float64(t.tokens.Output)/t.tps*float64(time.Second))
		}
		if r.Outcome == metrics.OutcomeOK {
			rec.Phase, rec.Status = metrics.PhaseOK, 200
		}
		if t.ttft > 0 {
			rec.TTFT = at.Add(t.ttft).Sub(rec.Time)
		}
		rec.Cost += t.cost
		rec.Tokens, rec.TPS = t.tokens, t.tps
		at = at.Add(r.Duration)
		rec.Decision.Attempts = append(rec.Decision.Attempts, r)
	}
	rec.Duration = at.Sub(rec.Time)
	if a.took > 0 {
		rec.Duration = a.took
	}
	if a.status != "" {
		rec.Phase = a.status
	}
	return rec
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// write writes the requests with the proxy's own request log.
func write(t testing.TB, all []asked) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "requests.jsonl")
	log, err := requestlog.Open(requestlog.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range all {
		rec := a.record(i)
		for n, try := range rec.Decision.Attempts {
			log.Attempt(&rec, n+1, &try, nil, []byte(`{"type":"message"}`))
		}
		log.Request(&rec, map[string][]string{"X-Claude-Code-Agent-Id": {"an-agent"}}, []byte(`{"messages":[{"role":"user","content":"\"decision\":{}"}]}`))
		if i%500 == 499 { // its queue is bounded, and drops what does not fit
			waitFor(t, log, path, i+1)
		}
	}
	if err := log.Close(context.Background()); err != nil || log.Dropped() > 0 {
		t.Fatalf("%v, %d lines lost", err, log.Dropped())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// waitFor waits until the requests are in the file.
func waitFor(t testing.TB, log *requestlog.Log, path string, requests int) {
	t.Helper()
	for {
		data, err := os.ReadFile(path)
		if err != nil || log.Dropped() > 0 {
			t.Fatalf("%v, %d lines lost", err, log.Dropped())
		}
		if bytes.Count(data, []byte(`"direction":"request"`)) >= requests {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// read makes a trace of logs.
func read(t testing.TB, logs ...[]byte) *replay.Trace {
	t.Helper()
	trace := replay.New()
	for i, log := range logs {
		if err := trace.Read(context.Background(), fmt.Sprintf("log%d", i), bytes.NewReader(log), nil); err != nil {
			t.Fatal(err)
		}
	}
	trace.Settle()
	return trace
}

// setup is a configuration with the providers, in one tier, of equal weight.
func setup(providers ...string) *replay.Setup {
	s := &replay.Setup{Providers: map[string]replay.Provider{}, Deadline: 5 * time.Minute, Seed: 1, Zone: time.UTC,
		Assumed: replay.Assumed{TPS: 60, TTFT: time.Second},
		Options: routing.Options{Affinity: time.Hour, Switchback: 5 * time.Minute, Cooldown: 5 * time.Second, MaxRetryAfter: time.Hour},
		Rates: func(string, string, bool) (*metrics.Rates, bool) {
			return &metrics.Rates{Input: 1, Output: 10, CacheRead: .1, CacheWrite: 1.25}, false
		},
		Judge: func(outcome string) replay.Judgement {
			verdict, ok := map[string]routing.Verdict{"ok": routing.Good, "rate_limited": routing.Capacity, "server_error": routing.Faulty,
				"connect": routing.Unreached, "timeout": routing.Late, "broken": routing.Faulty, "canceled": routing.Neutral, "invalid_request": routing.Neutral}[outcome]
			if !ok && outcome != "" {
				panic("nobody has written the outcome " + outcome)
			}
			return replay.Judgement{Verdict: verdict, Fallback: verdict != routing.Neutral}
		}}
	for i, p := range providers {
		s.Targets = append(s.Targets, routing.Target{Provider: p, Aliases: []string{"*"}, Weight: 1, Tier: i + 1, Native: true})
		s.Providers[p] = replay.Provider{FirstByte: time.Minute, Total: 10 * time.Minute, Native: true}
	}
	return s
}

// level puts all targets into one tier.
func level(s *replay.Setup) *replay.Setup {
	for i := range s.Targets {
		s.Targets[i].Tier = 1
	}
	return s
}

// play replays the requests.
func play(t testing.TB, s *replay.Setup, all []asked) *replay.Report {
	t.Helper()
	r, err := read(t, write(t, all)).Replay(context.Background(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// would is how many requests the provider would have answered.
func would(r *replay.Report, provider string) (n int64) {
	for _, s := range r.Upstreams {
		if s.Provider == provider {
			n += s.Would
		}
	}
	return n
}

// every makes n requests, one each period.
func every(period time.Duration, n int, make func(i int) asked) []asked {
	all := slices.Grow([]asked(nil), n)
	for i := range n {
		a := make(i)
		a.at = time.Duration(i) * period
		all = append(all, a)
	}
	return all
}
