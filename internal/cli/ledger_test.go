package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"anyproxy/internal/simulator"
	"anyproxy/metrics/ledger"
)

// costlyFile is a configuration of two providers whose answers cost two dollars
// each where their upstream gives costly.
func costlyFile(t testing.TB, extra string, ups ...*simulator.Upstream) string {
	t.Helper()
	file := configFile(t, extra, ups...)
	edit(t, file, "tier: 1}", "tier: 1, price: {input: 1000, output: 1000}}", "tier: 2}", "tier: 2, price: {input: 1000, output: 1000}}")
	return file
}

// ledgerRows reads all that the ledger of a state folder holds.
func ledgerRows(t testing.TB, state string) (rows []ledger.Row) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(state, "anyproxy", "ledger", "*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(files)
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			var r ledger.Row
			if err := json.Unmarshal([]byte(line), &r); err == nil {
				rows = append(rows, r)
			} else if strings.HasSuffix(line, "}\n") {
				t.Errorf("%v: %s", err, line)
			}
		}
	}
	return rows
}

func ofKind(rows []ledger.Row, kind ledger.Kind) []ledger.Row {
	return slices.DeleteFunc(slices.Clone(rows), func(r ledger.Row) bool { return r.Kind != kind })
}

func TestBudgetsGoOnAfterARestart(t *testing.T) {
	dir := t.TempDir()
	a, b := upstream(t, simulator.Always(costly)), upstream(t, simulator.Always(costly))
	file := costlyFile(t, "budget: {daily: 5}\napiKeys: [{name: ci, key: ci-client-key, dailyBudget: 3}, {name: me, key: my-client-key}]\n", a, b)
	want := [][]string{{"ci a", "ci a"}, {"ci 429", "me a"}, {"ci 429", "me 429"}}
	for run, asked := range want {
		p := start(t, stateIn(dir), "-config", file)
		for _, w := range asked {
			key := map[string]string{"ci": "ci-client-key", "me": "my-client-key"}[w[:2]]
			res, body := p.post(t, ask(true), "X-Api-Key", key)
			got := res.Header.Get("X-Anyproxy-Provider")
			if res.StatusCode != 200 {
				got = res.Status[:3]
			}
			if got != w[3:] {
				t.Errorf("run %d: %s gets %s, want %s: %s", run, w[:2], got, w[3:], body)
			}
		}
		p.end(t)
	}
	var spent float64
	rows := ledgerRows(t, dir)
	for _, r := range ofKind(rows, ledger.KindAttempt) {
		spent += r.Cost
		if r.Input != 1000 || r.Output != 1000 || len(r.KeySHA256) != 8 || r.Outcome != "ok" || r.Path != "/v1/messages" {
			t.Errorf("%+v", r)
		}
	}
	if spent != 6 {
		t.Errorf("$%v in the rows, want $6", spent)
	}
	for kind, want := range map[ledger.Kind]int{ledger.KindStart: 3, ledger.KindStop: 3, ledger.KindRequest: 6} {
		if n := len(ofKind(rows, kind)); n != want {
			t.Errorf("%d rows of %s, want %d", n, kind, want)
		}
	}
	files, _ := filepath.Glob(filepath.Join(dir, "anyproxy", "ledger", "*"))
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil || strings.Contains(string(data), "client-key") || strings.Contains(string(data), "upstream-key") || strings.Contains(string(data), "say hi") {
			t.Errorf("%v, or %s holds what it must not: %s", err, file, data)
		}
	}
}

// TestTwoProgramsOnOneFolder: the second keeps to itself what it learns, says
// so, and its rows stand beside those of the first; it takes over at the end.
func TestTwoProgramsOnOneFolder(t *testing.T) {
	dir := t.TempDir()
	a, b := upstream(t, simulator.Always(costly)), upstream(t, simulator.Always(costly))
	file := costlyFile(t, "", a, b)
	first := start(t, stateIn(dir), "-config", file)
	routing := filepath.Join(dir, "anyproxy", "routing.json")
	eventually(t, "the first to save", func() bool { _, err := os.Stat(routing); return err == nil })
	second := start(t, stateIn(dir), "-config", file)
	eventually(t, "the warning", func() bool {
		return strings.Contains(second.errw.String(), "another anyproxy saves its state in this folder")
	})
	for range 5 {
		first.post(t, ask(true))
		second.post(t, ask(false))
	}
	before, err := os.Stat(routing)
	if err != nil {
		t.Fatal(err)
	}
	second.end(t)
	if after, err := os.Stat(routing); err != nil || !os.SameFile(before, after) {
		t.Errorf("the second has replaced the state of the first: %v", err)
	}
	first.end(t)
	if after, err := os.Stat(routing); err != nil || os.SameFile(before, after) {
		t.Errorf("the first has not saved: %v", err)
	}
	if n := len(ofKind(ledgerRows(t, dir), ledger.KindAttempt)); n != 10 {
		t.Errorf("%d rows of attempts, want 10", n)
	}
	if strings.Contains(first.errw.String(), "another anyproxy") {
		t.Error(first.errw.String())
	}
}

// TestReloadsAreWrittenDown: what became of each change, and who decided.
func TestReloadsAreWrittenDown(t *testing.T) {
	dir := t.TempDir()
	a, b := upstream(t, simulator.Always(good)), upstream(t, simulator.Always(good))
	file := configFile(t, "", a, b)
	p := start(t, stateIn(dir), "-config", file, "-watch", "-yes")
	edit(t, file, "tier: 1", "teir: 1")
	eventually(t, "the refusal", func() bool { return strings.Contains(p.errw.String(), "reload refused") })
	edit(t, file, "teir: 1", "tier: 3")
	eventually(t, "the reload", func() bool { return strings.Contains(p.errw.String(), "configuration applied") })
	p.end(t)
	rows := ofKind(ledgerRows(t, dir), ledger.KindConfig)
	if len(rows) != 2 {
		t.Fatalf("%+v", rows)
	}
	if r := rows[0]; r.Outcome != "invalid" || len(r.SHA256) != 64 || r.By != "" || r.File != file {
		t.Errorf("%+v", r)
	}
	if r := rows[1]; r.Outcome != "applied" || len(r.SHA256) != 64 || r.By != "-yes" || r.File != file {
		t.Errorf("%+v", r)
	}
}

// TestWhoDecidesIsWrittenDown: the dashboard, the prompt or a signal.
func TestWhoDecidesIsWrittenDown(t *testing.T) {
	dir := t.TempDir()
	file := configFile(t, "state: {path: "+filepath.Join(dir, "anyproxy")+"}\n", upstream(t, simulator.Always(good)), upstream(t, simulator.Always(good)))
	t.Run("a life", func(t *testing.T) { // at whose end all rows are written
		v := live(t, anyPort, "-config", file, "-watch")
		eventually(t, "the watch", func() bool { return v.proxy.Snapshot(0).Watching })
		edit(t, file, "tier: 1", "tier: 3")
		first := v.review(t, nil)
		if err := v.Reject(first.Hash); err != nil {
			t.Fatal(err)
		}
		edit(t, file, "tier: 3", "tier: 4")
		second := v.review(t, first)
		if err := v.Apply(second.Hash); err != nil {
			t.Fatal(err)
		}
		edit(t, file, "tier: 4", "tier: 5")
		third := v.review(t, second)
		if err := v.answered(t.Context(), third.Hash, true); err != nil {
			t.Fatal(err)
		}
		v.hangUp()
		eventually(t, "the reload", func() bool { return v.reloads().Applied == 3 })
		if err := v.proxy.Hold("a"); err != nil {
			t.Fatal(err)
		}
	})
	var got []string
	rows := ledgerRows(t, dir)
	for _, r := range ofKind(rows, ledger.KindConfig) {
		got = append(got, r.Outcome+" by "+r.By)
	}
	if want := []string{"rejected by dashboard", "applied by dashboard", "applied by prompt", "applied by signal"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if held := ofKind(rows, ledger.KindOperator); len(held) != 1 || held[0].Provider != "a" || !strings.HasPrefix(held[0].Text, "held") {
		t.Errorf("%+v", held)
	}
}

func TestKeepDays(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "anyproxy", "ledger")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	name := func(back int) string {
		return filepath.Join(folder, time.Now().AddDate(0, 0, -back).Format(time.DateOnly)+".jsonl")
	}
	for _, back := range []int{1, 3, 10} {
		if err := os.WriteFile(name(back), []byte(`{"v":1,"kind":"stop"}`+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	start(t, stateIn(dir), "-config", configFile(t, "state: {keepDays: 3}\n", upstream(t, nil)))
	eventually(t, "old files to go", func() bool { _, err := os.Stat(name(3)); return err != nil })
	for back, want := range map[int]bool{0: true, 1: true, 3: false, 10: false} {
		if _, err := os.Stat(name(back)); (err == nil) != want {
			t.Errorf("the file of %d days ago: %v", back, err)
		}
	}
}
