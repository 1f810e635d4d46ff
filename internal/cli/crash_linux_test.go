package cli

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"anyproxy/internal/simulator"
	"anyproxy/metrics/ledger"
)

// TestKilledUnderLoad kills the program again and again in the middle of its
// work. What the request log, which is a file of its own, tells of attempts must
// stand in the ledger once, but for the last moment; the program must go on with
// exactly that sum.
func TestKilledUnderLoad(t *testing.T) {
	bin, dir := theProgram(t), t.TempDir()
	logFile := filepath.Join(dir, "requests.jsonl")
	flaky := simulator.Sequence(costly, faulty(simulator.Overloaded()), costly, costly)
	file := costlyFile(t, "retry: {cooldown: 0s}\nlog: {bodies: none}\n", upstream(t, flaky), upstream(t, simulator.Always(costly)))
	const rounds = 4
	var kills []time.Time
	for round := range rounds {
		kills = append(kills, killed(t, bin, dir, file, logFile, round))
	}

	type attempt struct {
		id string
		n  int
	}
	rows := map[attempt]ledger.Row{}
	var spent float64
	for _, r := range ofKind(ledgerRows(t, dir), ledger.KindAttempt) {
		at := attempt{r.RequestID, r.Attempt}
		if _, twice := rows[at]; twice {
			t.Errorf("%+v is there twice", at)
		}
		rows[at] = r
		spent += r.Cost
	}
	logged, lost, oldest := 0, 0, time.Duration(0)
	for _, line := range logLines(t, logFile) {
		if line["direction"] != "response" {
			continue
		}
		logged++
		n, _ := line["attempt_number"].(float64)
		id, _ := line["request_id"].(string)
		r, ok := rows[attempt{id, int(n)}]
		if ended, err := time.Parse(time.RFC3339Nano, fmt.Sprint(line["timestamp"])); err != nil {
			t.Fatal(err)
		} else if !ok {
			lost++
			oldest = max(oldest, untilKilled(ended, kills))
			continue
		}
		tokens := func(key string) float64 { v, _ := line[key].(float64); return v }
		if want := (tokens("input_tokens") + tokens("output_tokens")) / 1000; r.Cost != want || r.Provider != line["provider"] {
			t.Errorf("the log says %v of $%v, the ledger %+v", line, want, r)
		}
	}
	t.Logf("%d attempts logged, %d in the ledger, %d lost, the oldest of them %v before its kill", logged, len(rows), lost, oldest)
	if logged < 100 || len(rows) < 100 {
		t.Error("too few for a proof")
	}
	if oldest > 2*time.Second { // 200 ms is what a machine does that has time for the program
		t.Errorf("what ended %v before the kill is lost", oldest)
	}

	// The sum is between two budgets.
	for _, c := range []struct {
		more float64
		want int
	}{{-0.5, http.StatusTooManyRequests}, {0.5, http.StatusOK}} {
		budget := fmt.Sprintf("budget: {daily: %g}\nretry:", spent+c.more)
		p := start(t, stateIn(dir), "-config", writeFile(t, "next.yaml", strings.ReplaceAll(readFile(t, file), "retry:", budget)))
		if res, body := p.post(t, ask(false)); res.StatusCode != c.want {
			t.Errorf("$%g spent, %s: %d %s", spent, budget, res.StatusCode, body)
		}
		p.end(t)
	}
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// killed lets clients ask for a while, kills the program and says when: right
// after rows were written, or some answers later.
func killed(t *testing.T, bin, dir, file, logFile string, later int) time.Time {
	t.Helper()
	const clients, answers = 6, 40
	c := exec.Command(bin, "-config", file, "-listen", "127.0.0.1:0", "-log-file", logFile)
	c.Env = append(os.Environ(), "XDG_STATE_HOME="+dir, "LOG_LEVEL=ERROR")
	var out safeBuffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Process.Kill()
	var base string
	eventually(t, "the program to serve", func() bool {
		m := served.FindStringSubmatch(out.String())
		if m != nil {
			base = m[1]
		}
		return m != nil
	})
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	defer client.CloseIdleConnections()
	var wg sync.WaitGroup
	var answered atomic.Int64
	for range clients {
		wg.Go(func() {
			for {
				res, err := client.Post(base+"/v1/messages", "application/json", strings.NewReader(ask(false)))
				if err != nil {
					return // it is killed
				}
				res.Body.Close()
				answered.Add(1)
			}
		})
	}
	before := len(ledgerRows(t, dir))
	eventually(t, "rows", func() bool { return len(ledgerRows(t, dir)) > before+500 })
	then := answered.Load()
	eventually(t, "answers", func() bool { return answered.Load() >= then+int64(answers*later) })
	at := time.Now()
	if err := c.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait() // it was killed
	wg.Wait()
	return at
}

// untilKilled is how long an attempt had ended when the program was killed.
func untilKilled(ended time.Time, kills []time.Time) time.Duration {
	for _, at := range kills {
		if !ended.After(at) {
			return at.Sub(ended)
		}
	}
	return 0
}
