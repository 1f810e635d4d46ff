package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"anyproxy/internal/simulator"
)

// stateIn is an environment in which state is kept in dir.
func stateIn(dir string) map[string]string { return map[string]string{"XDG_STATE_HOME": dir} }

func TestWhatIsKnownSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	a := upstream(t, simulator.Sequence(faulty(simulator.RateLimited(time.Hour)), good))
	b := upstream(t, simulator.Always(good))
	config := configFile(t, "", a, b)
	file := filepath.Join(dir, "anyproxy", "routing.json")

	first := start(t, stateIn(dir), "-config", config)
	if res, _ := first.post(t, ask(true), "X-Claude-Code-Session-Id", "a-session"); res.Header.Get("X-Anyproxy-Provider") != "b" {
		t.Fatalf("answered by %s", res.Header.Get("X-Anyproxy-Provider"))
	}
	if code := first.end(t); code != 0 {
		t.Fatalf("exit code %d: %s", code, first.errw.String())
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	data, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(data), "a-session") || strings.Contains(string(data), "upstream-key") {
		t.Errorf("%v, or it holds what it must not: %s", err, data)
	}
	var left []string
	entries, err := os.ReadDir(filepath.Dir(file))
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if want := []string{"ledger", "lock", "routing.json"}; err != nil || !slices.Equal(left, want) {
		t.Errorf("%v, %q are left", err, left)
	}

	second := start(t, stateIn(dir), "-config", config)
	res, _ := second.post(t, ask(true), "X-Claude-Code-Session-Id", "a-session")
	if got := res.Header; got.Get("X-Anyproxy-Provider") != "b" || got.Get("X-Anyproxy-Attempts") != "1" || got.Get("X-Anyproxy-Session") != "kept" {
		t.Errorf("after the restart by %s in %s attempts, session %s: the Retry-After or the session is forgotten",
			got.Get("X-Anyproxy-Provider"), got.Get("X-Anyproxy-Attempts"), got.Get("X-Anyproxy-Session"))
	}
	if !strings.Contains(res.Header.Get("X-Anyproxy-Route"), "a t1 w=0 cooling") {
		t.Errorf("route %s", res.Header.Get("X-Anyproxy-Route"))
	}
}

func TestStateThatCannotBeKept(t *testing.T) {
	blocked := filepath.Join(t.TempDir(), "a-file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	garbage := t.TempDir()
	if err := os.MkdirAll(filepath.Join(garbage, "anyproxy"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(garbage, "anyproxy", "routing.json"), []byte(`{"version":1,"upstreams":[{"fast":{"seconds":-1}}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		env     map[string]string
		extra   string
		warning string // "" = none
	}{
		"a place that cannot be written": {stateIn(blocked), "", "kept in memory only"},
		"nowhere":                        {nil, "", "neither XDG_STATE_HOME nor HOME is set"},
		"garbage":                        {stateIn(garbage), "", "measured afresh"},
		"told to keep nothing":           {stateIn(blocked), "state: {path: none}\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, c.env, "-config", configFile(t, c.extra, upstream(t, simulator.Always(good)), upstream(t, simulator.Always(good))))
			if res, body := p.post(t, ask(true)); res.StatusCode != 200 {
				t.Errorf("%d %s", res.StatusCode, body)
			}
			if code := p.end(t); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if told := p.errw.String(); c.warning == "" && strings.Contains(told, "what ") || !strings.Contains(told, c.warning) {
				t.Errorf("want a warning %q: %s", c.warning, told)
			}
		})
	}
	if data, err := os.ReadFile(filepath.Join(garbage, "anyproxy", "routing.json")); err != nil || !strings.Contains(string(data), `"provider":"a"`) {
		t.Errorf("garbage was not replaced: %v %s", err, data)
	}
}

func TestStateFolder(t *testing.T) {
	for _, c := range []struct{ path, xdg, home, want string }{
		{"", "/x", "/h", "/x/anyproxy"},
		{"", "", "/h", "/h/.local/state/anyproxy"},
		{"", "relative", "/h", "/h/.local/state/anyproxy"}, // the XDG specification has them ignored
		{"~/s", "/x", "/h", "/h/s"},
		{"/s", "", "", "/s"},
		{"none", "/x", "/h", ""},
	} {
		env := map[string]string{"XDG_STATE_HOME": c.xdg, "HOME": c.home}
		if got, err := stateFolder(c.path, func(k string) string { return env[k] }); err != nil || got != c.want {
			t.Errorf("%+v: %q, %v", c, got, err)
		}
	}
	if _, err := stateFolder("~/s", none); err == nil {
		t.Error("a home that nobody knows is no error")
	}
}

func TestDemoKeepsNothing(t *testing.T) {
	dir := t.TempDir()
	p := start(t, stateIn(dir), "-demo")
	p.post(t, ask(true), "X-Api-Key", "k")
	p.end(t)
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("%v, %d files", err, len(left))
	}
}

func TestThresholdFlagBeatsTheFile(t *testing.T) {
	file := configFile(t, "routing: {tpsThreshold: 10}\n", upstream(t, nil))
	for args, want := range map[string]float64{"": 10, "-tps-threshold=0": 0, "-tps-threshold=25": 25} {
		f, err := parseFlags(append([]string{"-config", file}, strings.Fields(args)...), none)
		if err != nil {
			t.Fatal(err)
		}
		if doc, err := loadConfig(f, none); err != nil || doc.Config.Routing.TPSThreshold != want {
			t.Errorf("%q: %v, threshold %v, want %v", args, err, doc.Config.Routing.TPSThreshold, want)
		}
	}
	var out, errw safeBuffer
	for _, bad := range []string{"-1", "NaN", "fast"} {
		if code := Run(t.Context(), []string{"-tps-threshold", bad}, none, strings.NewReader(""), &out, &errw); code != 2 {
			t.Errorf("%s: exit code %d", bad, code)
		}
	}
}
