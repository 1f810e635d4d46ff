package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"anyproxy/metrics/ledger"

	"github.com/charmbracelet/x/ansi"
)

// usageDay is the last one of aLedger.
var usageDay = time.Date(2026, 11, 26, 18, 0, 0, 0, time.UTC)

// aLedger is a state folder of a week's work.
func aLedger(t testing.TB) (env map[string]string) {
	t.Helper()
	dir := t.TempDir()
	folder := filepath.Join(dir, "anyproxy", "ledger")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	targets := []struct {
		provider, model, key string
		row                  ledger.Row
	}{
		{"anthropic", "claude-sonnet-4-5-20250929", "laptop", ledger.Row{Input: 1200, Output: 900, CacheRead: 91_000, CacheWrite: 2500, Cost: 0.0537}},
		{"bedrock", "anthropic.claude-opus-4-1-20250805-v1:0", "ci", ledger.Row{Input: 40_000, Output: 2100, Cost: 0.7575}},
		{"zai", "glm-4.6", "laptop", ledger.Row{Input: 30_000, Output: 1500, CacheRead: 9000, Subscription: true}},
		{"local", "qwen3-coder", "", ledger.Row{Input: 8000, Output: 700, Unpriced: true, Estimated: true}},
	}
	for back := range 7 {
		day := usageDay.AddDate(0, 0, -back)
		var text bytes.Buffer
		enc := json.NewEncoder(&text)
		put := func(r ledger.Row) {
			if err := enc.Encode(r); err != nil {
				t.Fatal(err)
			}
		}
		put(ledger.Row{V: 1, Kind: ledger.KindStart, Time: day})
		for i := range 10 + 15*((back*5)%7) {
			target := targets[min((i*i+back)%7, len(targets)-1)]
			if back == 0 && target.row.Unpriced { // the last day is known exactly
				target = targets[0]
			}
			r := target.row
			r.V, r.Time, r.Provider, r.Model, r.Key = 1, day, target.provider, target.model, target.key
			r.Kind, r.RequestID, r.Session, r.Outcome, r.StatusCode = ledger.KindAttempt, fmt.Sprint("req_", i), fmt.Sprintf("session-%d-of-day-%d", i%9, back), "ok", 200
			put(r)
			put(ledger.Row{V: 1, Kind: ledger.KindRequest, Time: day, Provider: r.Provider, Model: r.Model, Key: r.Key, Session: r.Session, Outcome: "ok"})
		}
		if err := os.WriteFile(filepath.Join(folder, day.Format(time.DateOnly)+".jsonl"), text.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return stateIn(dir)
}

// usageOf runs the command away from any configuration.
func usageOf(t testing.TB, env map[string]string, now time.Time, out io.Writer, args ...string) (code int, errw string) {
	t.Helper()
	var e bytes.Buffer
	code = callAt(t, now, usageCommand(), env, nil, out, &e, args...)
	return code, e.String()
}

// callOn calls a command on the day of aLedger.
func callOn(t testing.TB, m command, env map[string]string, in io.Reader, out, errw io.Writer, args ...string) int {
	t.Helper()
	return callAt(t, usageDay, m, env, in, out, errw, args...)
}

func callAt(t testing.TB, now time.Time, m command, env map[string]string, in io.Reader, out, errw io.Writer, args ...string) int {
	t.Helper()
	getenv := func(k string) string { return env[k] }
	return m.do(t.Context(), &call{args: args, getenv: getenv, now: func() time.Time { return now }, in: in, out: out, errw: newStderr(errw, getenv)})
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	goldenIn(t, "usage", name, got)
}

func goldenIn(t *testing.T, folder, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", folder, name)
	if *update {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(got), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

func TestUsageInAPipe(t *testing.T) {
	t.Chdir(t.TempDir()) // no config.yaml
	env := aLedger(t)
	back := chdirBack(t)
	for name, args := range map[string][]string{
		"pipe-day.txt":      nil,
		"pipe-provider.txt": {"-by", "provider"},
		"pipe-model.txt":    {"--by", "model", "--days", "2"},
		"pipe-key.txt":      {"-by=key", "-days=3"},
		"pipe-session.txt":  {"-by", "session"},
		"pipe-today.txt":    {"-days", "1"},
		"pipe-day.json":     {"-json", "-days", "2"},
		"pipe-key.json":     {"-json", "-by", "key", "-days", "1"},
	} {
		var out bytes.Buffer
		code, errw := usageOf(t, env, usageDay, &out, args...)
		if code != 0 || errw != "" {
			t.Errorf("%s: exit code %d, %s", name, code, errw)
		}
		if strings.ContainsAny(out.String(), "\x1b█") {
			t.Errorf("%s: a bar or a colour in a pipe", name)
		}
		back(func() { golden(t, name, out.String()) })
	}
}

// chdirBack runs something in the folder of the package.
func chdirBack(t *testing.T) func(func()) {
	t.Helper()
	return func(f func()) {
		here, err := os.Getwd()
		if err == nil {
			err = os.Chdir(packageFolder)
		}
		if err != nil {
			t.Fatal(err)
		}
		f()
		if err := os.Chdir(here); err != nil {
			t.Fatal(err)
		}
	}
}

var packageFolder = func() string { dir, _ := os.Getwd(); return dir }()

func TestUsageOnNarrowTerminals(t *testing.T) {
	env := aLedger(t)
	folder, err := usageFolder("", func(k string) string { return env[k] })
	if err != nil {
		t.Fatal(err)
	}
	for _, by := range []ledger.By{ledger.ByDay, ledger.ByModel} {
		r, err := folder.ReadReport(by, 7, usageDay, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, width := range []int{120, 80, 60, 40, 20} {
			got := usageTable{report: r, sheet: sheet{width: width}}.String()
			golden(t, fmt.Sprintf("%s-%d.txt", by, width), got)
			for line := range strings.Lines(got) {
				if w := ansi.StringWidth(strings.TrimSuffix(line, "\n")); w > width && width >= 40 {
					t.Errorf("%d cells on a terminal of %d: %s", w, width, line)
				}
			}
		}
		golden(t, fmt.Sprintf("%s-colour.txt", by), usageTable{report: r, sheet: sheet{width: 80, colour: true}}.String())
	}
}

func TestUsageOfHostileNames(t *testing.T) {
	r := &ledger.Report{By: ledger.ByModel, Rows: []ledger.Usage{
		{Name: "\x1b]0;owned\x07\u202emodel", Totals: ledger.Totals{Requests: 1}},
		{Name: strings.Repeat("長", 100), Totals: ledger.Totals{Requests: 1}},
	}}
	got := usageTable{report: r, sheet: sheet{width: 60}}.String()
	if strings.ContainsAny(got, "\x1b\x07\u202e") {
		t.Errorf("%q", got)
	}
	for line := range strings.Lines(got) {
		if w := ansi.StringWidth(strings.TrimSuffix(line, "\n")); w > 60 {
			t.Errorf("%d cells: %s", w, line)
		}
	}
}

func TestUsageCalls(t *testing.T) {
	t.Chdir(t.TempDir())
	empty := t.TempDir()
	blocked := filepath.Join(empty, "anyproxy-file")
	none := writeFile(t, "none.yaml", "providers: {a: {endpoint: 'https://a.example', auth: none}}\nmodels: [{name: m, provider: a}]\nstate: {path: none}\n")
	elsewhere := writeFile(t, "else.yaml", "providers: {a: {endpoint: 'https://a.example', auth: none}}\nmodels: [{name: m, provider: a}]\nstate: {path: "+empty+"}\n")
	bad := writeFile(t, "bad.yaml", "providers: 3\n")
	file := writeFile(t, "ledger", "")
	if err := os.MkdirAll(filepath.Join(blocked, "anyproxy"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file, filepath.Join(blocked, "anyproxy", "ledger")); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		env  map[string]string
		code int
		out  string
		errw string // a part
	}{
		"nothing yet":         {nil, stateIn(empty), 0, "Nothing was asked for in the last 7 days, 2026-11-20 to 2026-11-26. The ledger is in " + empty + "/anyproxy/ledger.\n", ""},
		"nothing today":       {[]string{"-days", "1"}, stateIn(empty), 0, "Nothing was asked for today, 2026-11-26. The ledger is in " + empty + "/anyproxy/ledger.\n", ""},
		"another folder":      {[]string{"-config", elsewhere}, nil, 0, "Nothing was asked for in the last 7 days, 2026-11-20 to 2026-11-26. The ledger is in " + empty + "/ledger.\n", ""},
		"nothing is kept":     {[]string{"-config", none}, nil, 1, "", "anyproxy: error: nothing is kept: state.path is none\nanyproxy: hint: "},
		"no such file":        {[]string{"-config", "nowhere.yaml"}, nil, 1, "", "nowhere.yaml"},
		"a bad file":          {[]string{"-config", bad}, nil, 1, "", "anyproxy: hint: anyproxy validate"},
		"no home":             {nil, nil, 1, "", "neither XDG_STATE_HOME nor HOME is set"},
		"no folder":           {nil, stateIn(blocked), 1, "", "read the ledger: "},
		"an argument":         {[]string{"today"}, nil, 2, "", `unexpected argument "today"`},
		"an unknown flag":     {[]string{"-weeks", "2"}, nil, 2, "", "flag provided but not defined: -weeks\nanyproxy: hint: anyproxy usage -help"},
		"no days":             {[]string{"-days", "0"}, nil, 2, "", "-days is 0, not a number from 1 to 400"},
		"too many days":       {[]string{"-days", "401"}, nil, 2, "", "-days is 401"},
		"by something else":   {[]string{"-by", "moon"}, nil, 2, "", `-by is "moon", not day, provider, model, key or session`},
		"an empty -config":    {[]string{"-config", ""}, nil, 2, "", "it is empty; name a file, or leave the flag out"},
		"nothing yet in JSON": {[]string{"-json"}, stateIn(empty), 0, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			code, errw := usageOf(t, c.env, usageDay, &out, c.args...)
			if code != c.code || !strings.Contains(errw, c.errw) || c.errw == "" && errw != "" {
				t.Errorf("exit code %d, stderr %q", code, errw)
			}
			if strings.Contains(name, "JSON") {
				var got usageJSON
				if err := json.Unmarshal(out.Bytes(), &got); err != nil || got.Rows == nil || got.V != 1 {
					t.Errorf("%v: %s", err, out.String())
				}
			} else if out.String() != c.out {
				t.Errorf("stdout %q", out.String())
			}
		})
	}
}

// TestUsageWhileAProxyRuns goes through Run, as a person's shell does.
func TestUsageWhileAProxyRuns(t *testing.T) {
	t.Chdir(t.TempDir())
	env := stateIn(t.TempDir())
	p := start(t, env, "-config", costlyFile(t, "", upstream(t, nil), upstream(t, nil)))
	p.post(t, ask(true), "X-Claude-Code-Session-Id", "a-session")
	var out bytes.Buffer
	eventually(t, "its request", func() bool {
		out.Reset()
		code := Run(t.Context(), []string{"usage", "-by", "session"}, func(k string) string { return env[k] }, untouchable(t), &out, io.Discard)
		return code == 0 && strings.Contains(out.String(), "a-session         1")
	})
}
