package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"anyproxy/internal/redact"
	"anyproxy/metrics"
	"anyproxy/proxy/replay"
	"anyproxy/proxy/requestlog"

	"github.com/charmbracelet/x/ansi"
)

// replayFiles is a folder with a configuration, new.yaml, and a log that another
// one has made: a is down for a while, and b stands in.
func replayFiles(t testing.TB) (log string) {
	t.Helper()
	log = filepath.Join(t.TempDir(), "requests.jsonl")
	l, err := requestlog.Open(requestlog.Options{Path: log, Redact: redact.New()})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		at := usageDay.Add(time.Duration(i) * 20 * time.Second)
		rec := metrics.RequestRecord{ID: fmt.Sprintf("req_%d", i), Time: at, Model: []string{"claude-opus-4-1", "claude-haiku-4-5"}[i%2], Stream: true,
			Session: fmt.Sprintf("session-%d", i%7), Phase: metrics.PhaseOK, Status: 200, Decision: metrics.Decision{Alias: "claude-*"}}
		served := "a"
		if i >= 80 && i < 120 {
			rec.Decision.Attempts = append(rec.Decision.Attempts, metrics.AttemptRecord{Provider: "a", Model: rec.Model, Start: at,
				Duration: 100 * time.Millisecond, Status: 529, Outcome: "overloaded"})
			at, served = at.Add(100*time.Millisecond), "b"
		}
		took := time.Duration(2+i%5) * time.Second
		rec.Tokens = metrics.Tokens{Input: 2000, Output: int64(100 + i), CacheRead: 30_000, CacheWrite: 500}
		rec.Cost = 0.02
		rec.Decision.Attempts = append(rec.Decision.Attempts, metrics.AttemptRecord{Provider: served, Model: rec.Model, Start: at, Duration: took,
			TTFT: 600 * time.Millisecond, TPS: float64(100+i) / (took.Seconds() - .6), Tokens: rec.Tokens, Cost: rec.Cost, Status: 200, Outcome: metrics.OutcomeOK})
		rec.TTFT, rec.Duration = at.Add(600*time.Millisecond).Sub(rec.Time), at.Add(took).Sub(rec.Time)
		l.Request(&rec, nil, nil)
	}
	if err := l.Close(t.Context()); err != nil || l.Dropped() > 0 {
		t.Fatalf("%v, %d lines lost", err, l.Dropped())
	}
	t.Chdir(filepath.Dir(log))
	const config = `providers:
  b: {endpoint: "https://b.example", apiKey: a-key-of-the-test}
  c: {endpoint: "https://c.example", apiKey: a-key-of-the-test}
models:
  - {alias: "claude-*", provider: b, weight: 2, price: {input: 1, output: 5, cacheRead: 0.1, cacheWrite: 1.25}}
  - {alias: "claude-haiku*", provider: c, name: small, price: {input: 0.1, output: 0.5}}
`
	if err := os.WriteFile("new.yaml", []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return log
}

// fits holds that no line is wider than the terminal.
func fits(t *testing.T, text string, width int) {
	t.Helper()
	for line := range strings.Lines(text) {
		if w := ansi.StringWidth(strings.TrimRight(line, "\r\n")); w > width {
			t.Errorf("%d cells on a terminal of %d: %s", w, width, line)
		}
	}
}

// replayOf replays the files.
func replayOf(t *testing.T) *replay.Report {
	t.Helper()
	log := replayFiles(t)
	file, err := os.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	trace := replay.New()
	if err := trace.Read(t.Context(), "requests.jsonl", file, nil); err != nil {
		t.Fatal(err)
	}
	trace.Settle()
	doc, err := loadConfig(flags{config: "new.yaml"}, os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	setup := replaySetup(doc.Config)
	setup.Seed, setup.Zone, setup.Assumed = 1, time.UTC, replay.Assumed{TPS: assumedTPS, TTFT: assumedTTFT}
	r, err := trace.Replay(t.Context(), setup, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestReplayOnNarrowTerminals(t *testing.T) {
	back := chdirBack(t)
	r := replayOf(t)
	back(func() {
		for _, width := range []int{0, 160, 120, 80, 60, 40} {
			got := replayText{sheet: sheet{width: width}, report: r, config: "new.yaml"}.String()
			goldenIn(t, "replay", fmt.Sprintf("%d.txt", width), got)
			if width > 0 {
				fits(t, got, width)
			}
		}
		goldenIn(t, "replay", "colour.txt", replayText{sheet: sheet{width: 80, colour: true}, report: r, config: "new.yaml"}.String())
	})
}

func TestReplayOfHostileNames(t *testing.T) {
	const owned = "\x1b]0;owned\x07\u202ename"
	shares := []replay.Shares{{Upstream: replay.Upstream{Provider: owned, Model: strings.Repeat("長", 100)}, Happened: 1, Would: 3, Assumed: true}}
	r := &replay.Report{Upstreams: shares, Models: []replay.Model{{Asked: owned, Requests: 3, Elsewhere: 2, Upstreams: shares}},
		Happened: replay.Sums{Requests: 3, Answered: 1}, Would: replay.Sums{Requests: 3, Answered: 3},
		Reading: replay.Reading{Broken: 9, First: []replay.Broken{{File: owned, Line: 1, Why: owned}}}}
	got := replayText{sheet: sheet{width: 60}, report: r, config: owned}.String()
	if strings.ContainsAny(got, "\x1b\x07\u202e") {
		t.Errorf("%q", got)
	}
	fits(t, got, 60)
}

// TestReplayForPrograms: what -json prints is what docs/replay.md names.
func TestReplayForPrograms(t *testing.T) {
	back := chdirBack(t)
	log := replayFiles(t)
	var out, errw bytes.Buffer
	if code := callOn(t, replayCommand(), nil, nil, &out, &errw, "-json", log, "-config", "new.yaml"); code != exitDone || errw.Len() > 0 {
		t.Fatalf("exit code %d, %s", code, errw.String())
	}
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	back(func() {
		guide := pageNamed(t, "replay.md")
		for name, value := range got {
			fields, _ := value.(map[string]any)
			if !strings.Contains(guide, "`"+name+"`") && name != "v" {
				t.Errorf("docs/replay.md does not name %s", name)
			}
			for field := range fields {
				if (name == "happened" || name == "would_have") && !strings.Contains(guide, "`"+field+"`") {
					t.Errorf("docs/replay.md does not name %s", field)
				}
			}
		}
	})
}
