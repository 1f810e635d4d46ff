package cli

import (
	"context"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"anyproxy/internal/noprobe/ptytest"
	"anyproxy/internal/simulator"
)

// TestKnownRateReadsTheSameEverywhere sends a stream of a known rate through the
// listener of a program whose dashboard is on a terminal, and reads the rate
// off the screen, the Snapshot (by way of /health) and the request log.
func TestKnownRateReadsTheSameEverywhere(t *testing.T) {
	const rate, tokens = 80, 480 // six seconds
	a := upstream(t, simulator.Always(simulator.Answer{
		Blocks: []simulator.Block{simulator.Text(strings.Repeat("word ", tokens*4/5))}, Rate: rate, TTFT: 50 * time.Millisecond}))
	logFile := filepath.Join(t.TempDir(), "requests.jsonl")
	port := freePort(t)
	base := "http://127.0.0.1:" + port

	master, slave := ptytest.Open(t, 120, 36)
	var screen safeBuffer
	go func() { _, _ = io.Copy(&screen, master) }() // ends when the terminal is closed
	ctx, stop := context.WithCancel(context.Background())
	exit := make(chan int, 1)
	var errw safeBuffer
	go func() {
		exit <- Run(ctx, []string{"-tui", "-config", configFile(t, "", a), "-listen", "127.0.0.1:" + port, "-log-file", logFile},
			func(k string) string { return map[string]string{"TERM": "xterm-256color", "LANG": "C.UTF-8"}[k] }, slave, slave, &errw)
	}()
	eventually(t, "the first picture", func() bool { return strings.Contains(ansi.Strip(screen.String()), "Providers") })

	// What the client sees is the truth: a slow machine slows everything alike.
	began := time.Now()
	res, err := http.Post(base+"/v1/messages", "application/json", strings.NewReader(ask(true)))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	done := make(chan time.Duration)
	go func() {
		first, err := res.Body.Read(make([]byte, 1))
		start := time.Now()
		_, _ = io.Copy(io.Discard, res.Body)
		if first == 0 || err != nil {
			start = began
		}
		done <- time.Since(start)
	}()
	var shown, health []float64
	var took time.Duration
	for took == 0 {
		select {
		case took = <-done:
		case <-time.After(250 * time.Millisecond):
			if time.Since(began) > 3500*time.Millisecond { // past the window over which "now" is taken
				shown = append(shown, lastRate(screen.String()))
				health = append(health, healthRate(t, base))
			}
		}
	}
	truth := tokens / took.Seconds()
	stop()
	<-exit
	_ = slave.Close()
	near := func(what string, got float64) {
		t.Helper()
		if math.Abs(got-truth) > 0.1*truth {
			t.Errorf("%s: %.1f tok/s, the client saw %.1f", what, got, truth)
		}
	}
	near("screen", median(shown))
	near("Snapshot", median(health))
	logged := 0
	for _, line := range logLines(t, logFile) {
		if tps, ok := line["tps"].(float64); ok {
			logged++
			near("log, "+line["direction"].(string), tps)
		}
	}
	if logged != 2 {
		t.Errorf("%d lines of the log tell a speed, want the attempt's and the request's", logged)
	}
}

var rateOnScreen = regexp.MustCompile(`([0-9]+(?:\.[0-9])?) tok/s`)

// lastRate is the rate that was painted last.
func lastRate(screen string) float64 {
	all := rateOnScreen.FindAllStringSubmatch(ansi.Strip(screen), -1)
	if len(all) == 0 {
		return 0
	}
	f, _ := strconv.ParseFloat(all[len(all)-1][1], 64)
	return f
}

func healthRate(t *testing.T, base string) float64 {
	t.Helper()
	res, err := http.Get(base + "/health")
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
	return h.Providers["a"].TPS
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	return v[len(v)/2]
}
