package logging_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"anyproxy/internal/logging"
	"anyproxy/internal/redact"
)

func ringLogger(t *testing.T, level string) (*slog.Logger, *logging.Ring, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	hide := redact.New(key)
	log, _ := logging.New(&out, level, "", hide)
	ring := logging.NewRing(log.Handler(), hide)
	return slog.New(ring), ring, &out
}

func TestRingKeepsWhatIsLogged(t *testing.T) {
	log, ring, out := ringLogger(t, "")
	log.Debug("not at this level")
	log.Info("started")
	log.With("provider", "zai").WithGroup("g").Warn("fallback", "why", "429 rate limit", "key", key)
	lines := ring.Lines(0)
	if len(lines) != 2 {
		t.Fatalf("%d lines: %+v", len(lines), lines)
	}
	want := []string{"INFO started", `WARN fallback provider=zai g.why="429 rate limit" g.key="` + redact.Dots + `"`}
	for i, line := range lines {
		if got := line.Level + " " + line.Text; got != want[i] || line.Seq != uint64(i+1) || line.Time.IsZero() {
			t.Errorf("line %d is %+v, want %s", i, line, want[i])
		}
	}
	if n := strings.Count(out.String(), "\n"); n != 2 {
		t.Errorf("%d lines were passed on:\n%s", n, out)
	}
}

func TestRingGivesEachLineOnce(t *testing.T) {
	log, ring, _ := ringLogger(t, "")
	var since uint64
	for round := range 3 {
		for i := range 5 {
			log.Info(fmt.Sprint(round, i))
		}
		lines := ring.Lines(since)
		if len(lines) != 5 || lines[0].Text != fmt.Sprint(round, 0) {
			t.Fatalf("round %d: %+v", round, lines)
		}
		since = lines[4].Seq
	}
	if lines := ring.Lines(since); lines != nil {
		t.Errorf("lines again: %+v", lines)
	}
}

func TestRingForgetsTheOldest(t *testing.T) {
	log, ring, _ := ringLogger(t, "")
	for i := range logging.RingLines + 10 {
		log.Info(fmt.Sprint(i))
	}
	lines := ring.Lines(3)
	if len(lines) != logging.RingLines || lines[0].Text != "10" || lines[len(lines)-1].Text != fmt.Sprint(logging.RingLines+9) {
		t.Errorf("%d lines from %q", len(lines), lines[0].Text)
	}
}

func TestRingIsSafeForConcurrentUse(t *testing.T) {
	log, ring, _ := ringLogger(t, "")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 100 {
				log.With("i", i).Info("x")
				ring.Lines(0)
			}
		})
	}
	wg.Wait()
	for i, line := range ring.Lines(0) {
		if line.Seq != uint64(i+1) || !strings.HasPrefix(line.Text, "x i=") {
			t.Fatalf("line %d is %+v", i, line)
		}
	}
}
