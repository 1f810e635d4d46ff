package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"anyproxy/internal/simulator"
)

// quickly is how many times faster than real these tests let everything go:
// the clock by which the program measures and chooses, and the upstreams.
const quickly = 40

// quickClock runs quickly.
func quickClock() func() time.Time {
	began := time.Now()
	return func() time.Time { return began.Add(quickly * time.Since(began)) }
}

// quick is a whole program on a quick clock, with providers over loopback.
type quick struct {
	*running
	now   func() time.Time
	began time.Time
}

func startQuick(t *testing.T, config string) *quick {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	q := &quick{running: &running{stop: stop, exit: make(chan int, 1)}, now: quickClock()}
	f := flags{config: writeFile(t, "config.yaml", config), listen: "127.0.0.1:0"}
	go func() {
		code := 0
		if err := serveBy(ctx, q.now, f, none, strings.NewReader(""), &q.out, newStderr(&q.errw, none)); err != nil {
			code = 1
		}
		q.exit <- code
	}()
	t.Cleanup(func() { q.end(t) })
	eventually(t, "the program to serve", func() bool {
		if m := served.FindStringSubmatch(q.out.String()); m != nil {
			q.base = m[1]
		}
		return q.base != ""
	})
	q.began = q.now()
	return q
}

// elapsed is how late it is for the program.
func (q *quick) elapsed() time.Duration { return q.now().Sub(q.began) }

// until waits for a time of the program's.
func (q *quick) until(at time.Duration) { time.Sleep((at - q.elapsed()) / quickly) }

// paced is an upstream whose speed and mood can be changed.
type paced struct {
	*simulator.Upstream
	tps        atomic.Int64
	overloaded atomic.Bool
}

func startPaced(t *testing.T, tps int64) *paced {
	p := &paced{}
	p.tps.Store(tps)
	text := strings.Repeat("some words ", 110) // 303 tokens
	p.Upstream = upstream(t, func(int, *simulator.Received) simulator.Answer {
		a := simulator.Answer{Blocks: []simulator.Block{simulator.Text(text)}, TTFT: 500 * time.Millisecond / quickly,
			Rate: float64(p.tps.Load()) * quickly, DeltaTokens: 10}
		if p.overloaded.Load() {
			a.Faults = []simulator.Fault{simulator.Overloaded()}
		}
		return a
	})
	return p
}

// turnOf is a request of a session: a person's, or the answer to a tool call.
func turnOf(toolResult bool) string {
	last := `{"role":"user","content":"go on"}`
	if toolResult {
		last = `{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"done"}]}`
	}
	return `{"model":"claude-sonnet-4-5","max_tokens":1000,"stream":true,"messages":[{"role":"user","content":"begin"},` +
		`{"role":"assistant","content":[{"type":"tool_use","id":"toolu_1","name":"Bash","input":{}}]},` + last + `]}`
}

// sample is where one new session went.
type sample struct {
	at time.Duration
	by string
}

// TestASlowProviderLosesNewSessions lets a provider fall from 80 to 15 tokens a
// second in the middle of traffic, and recover. The timeline is printed.
func TestASlowProviderLosesNewSessions(t *testing.T) {
	if testing.Short() {
		t.Skip("NOT TESTED with -short: it takes a quarter of a minute")
	}
	const (
		slows    = 60 * time.Second
		recovers = 180 * time.Second
		ends     = 600 * time.Second
		bin      = 30 * time.Second
		every    = 650 * time.Millisecond
	)
	a, b := startPaced(t, 80), startPaced(t, 75)
	p := startQuick(t, fmt.Sprintf("state: {path: none}\nproviders:\n  a: {endpoint: %q, apiKey: k}\n  b: {endpoint: %q, apiKey: k}\n"+
		"models:\n  - {alias: \"claude-*\", provider: a}\n  - {alias: \"claude-*\", provider: b}\n", a.URL(), b.URL()))
	var mu sync.Mutex
	var samples []sample
	var running sync.WaitGroup
	speeds := map[time.Duration]string{}
	for n := 0; p.elapsed() < ends; n++ {
		at := p.elapsed()
		switch {
		case at >= recovers:
			a.tps.Store(80)
		case at >= slows:
			a.tps.Store(15)
		}
		if _, known := speeds[at.Truncate(bin)]; !known {
			speeds[at.Truncate(bin)] = p.speeds(t)
		}
		running.Go(func() {
			res, _ := p.post(t, turnOf(false), "X-Claude-Code-Session-Id", fmt.Sprint("session-", n))
			mu.Lock()
			defer mu.Unlock()
			samples = append(samples, sample{at, res.Header.Get("X-Anyproxy-Provider")})
		})
		p.until(time.Duration(n+1) * every)
	}
	running.Wait()

	share := func(from, to time.Duration) (part float64, n int) {
		for _, s := range samples {
			if s.at >= from && s.at < to {
				n++
				if s.by == "a" {
					part++
				}
			}
		}
		return part / max(float64(n), 1), n
	}
	var line strings.Builder
	fmt.Fprintf(&line, "a falls from 80 to 15 tok/s at %v and recovers at %v; b has 75\n   time  new sessions  to a          speed as it is known at the start\n", slows, recovers)
	for at := time.Duration(0); at < ends; at += bin {
		part, n := share(at, at+bin)
		fmt.Fprintf(&line, "  %4.0fs  %12d  %3.0f %% %-6s  %s\n", at.Seconds(), n, 100*part, strings.Repeat("#", int(part*10+0.5)), speeds[at])
	}
	t.Log(line.String())
	before, _ := share(0, slows)
	during, _ := share(slows+time.Minute, recovers)
	after, _ := share(ends-time.Minute, ends)
	if before < 0.25 || during > 0.15 || after < 0.2 {
		t.Errorf("share of new sessions: %.2f before, %.2f a minute into the slow time, %.2f at the end", before, during, after)
	}
}

// speeds is what the program knows of the providers' speeds.
func (q *quick) speeds(t *testing.T) string {
	res, err := http.Get(q.base + "/health")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var h struct {
		Providers map[string]struct{ TPS float64 }
	}
	if err := json.NewDecoder(res.Body).Decode(&h); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("a %3.0f, b %3.0f tok/s", h.Providers["a"].TPS, h.Providers["b"].TPS)
}

// TestASessionSurvivesA529AndReturns follows one session through an outage of
// its provider. The timeline is printed.
func TestASessionSurvivesA529AndReturns(t *testing.T) {
	a, b := startPaced(t, 80), startPaced(t, 75)
	p := startQuick(t, fmt.Sprintf("state: {path: none}\nrouting: {switchback: 60s}\nproviders:\n  a: {endpoint: %q, apiKey: k}\n  b: {endpoint: %q, apiKey: k}\n"+
		"models:\n  - {alias: \"claude-*\", provider: a}\n  - {alias: \"claude-*\", provider: b, tier: 2}\n", a.URL(), b.URL()))
	var line strings.Builder
	turn := func(session string, toolResult bool) *http.Response {
		t.Helper()
		at := p.elapsed()
		res, _ := p.post(t, turnOf(toolResult), "X-Claude-Code-Session-Id", session)
		h := res.Header
		fmt.Fprintf(&line, "  %4.0fs  %-7s tool result %-5v → %s in %s attempts, session %q, tried %q\n         %s\n", at.Seconds(), session, toolResult,
			h.Get("X-Anyproxy-Provider"), h.Get("X-Anyproxy-Attempts"), h.Get("X-Anyproxy-Session"), h.Get("X-Anyproxy-Tried"), h.Get("X-Anyproxy-Route"))
		if res.StatusCode != 200 {
			t.Fatalf("%s: status %d\n%s", session, res.StatusCode, line.String())
		}
		return res
	}
	expect := func(res *http.Response, provider, session string) {
		t.Helper()
		if got := res.Header.Get("X-Anyproxy-Provider"); got != provider || !strings.HasPrefix(res.Header.Get("X-Anyproxy-Session"), session) {
			t.Errorf("answered by %s, session %q; want %s, %q\n%s", got, res.Header.Get("X-Anyproxy-Session"), provider, session, line.String())
		}
	}
	expect(turn("S", false), "a", "new")
	expect(turn("S", true), "a", "kept")
	a.overloaded.Store(true)
	expect(turn("S", true), "b", "kept") // unseen: a's 529 is healed within the request
	failed := p.elapsed()
	expect(turn("S", true), "b", "kept") // there it is now
	a.overloaded.Store(false)
	eventually(t, "a to answer again", func() bool {
		return turn(fmt.Sprint("new-", p.elapsed().Nanoseconds()), false).Header.Get("X-Anyproxy-Provider") == "a"
	})
	if p.elapsed()-failed < 50*time.Second { // else the machine is too slow to tell
		if got := turn("S", true).Header.Get("X-Anyproxy-Provider"); got != "b" && p.elapsed()-failed < 60*time.Second {
			t.Errorf("the session went back at once, to %s", got)
		}
	}
	p.until(failed + 65*time.Second)
	if at := p.elapsed() - failed; at < 110*time.Second {
		if got := turn("S", true).Header.Get("X-Anyproxy-Provider"); got != "b" && p.elapsed()-failed < 120*time.Second {
			t.Errorf("the session went back in the middle of a turn, to %s", got)
		}
	}
	expect(turn("S", false), "a", "returned from b")
	expect(turn("S", true), "a", "kept")
	t.Log("a is overloaded from the third turn on; switchback 60s\n" + line.String())
}
