package cli

import (
	"bytes"
	"strings"
	"sync/atomic"
	"testing"

	"anyproxy/internal/simulator"
)

// breaking is an environment in which to ask for a variable panics while it is
// broken, with a secret in the panic's text.
type breaking struct {
	name   string
	broken atomic.Bool
	values map[string]string
}

func (b *breaking) getenv(name string) string {
	if name == b.name && b.broken.Load() {
		panic("at a loss with " + planted)
	}
	return b.values[name]
}

func breakingAt(name string) *breaking {
	b := &breaking{name: name, values: map[string]string{"ANTHROPIC_AUTH_TOKEN": planted, "FINE": "a-key-of-this-provider"}}
	b.broken.Store(true)
	return b
}

// A configuration over which the program breaks costs the reload alone, and the
// next one is taken.
func TestAPanicInAReloadCostsTheReload(t *testing.T) {
	a, b := upstream(t, simulator.Always(good)), upstream(t, simulator.Always(good))
	file := configFile(t, "state: {path: none}\n", a)
	env := breakingAt("ODD")
	p := startIn(t, env.getenv, "-config", file, "-watch", "-yes")
	edit(t, file, "upstream-key-of-a", "env.ODD")
	eventually(t, "the panic to be told", func() bool { return strings.Contains(p.errw.String(), "a part of the program has failed") })
	if res, body := p.post(t, ask(true)); res.StatusCode != 200 {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	if _, body := p.get(t, "/metrics"); !strings.Contains(body, "\nanyproxy_panics_total ") || strings.Contains(body, "\nanyproxy_panics_total 0") {
		t.Error("it is not counted")
	}
	edit(t, file, "env.ODD", "env.FINE", a.URL(), b.URL())
	eventually(t, "the next reload", func() bool { return strings.Contains(p.errw.String(), "configuration applied") })
	if p.post(t, ask(true)); len(b.Requests()) != 1 {
		t.Error("the next configuration does not serve")
	}
	if code := p.end(t); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	log := p.errw.String()
	for _, want := range []string{"part=reload", `panic="at a loss with ••••••"`, "(*breaking).getenv"} {
		if !strings.Contains(log, want) {
			t.Errorf("%q is not in %s", want, log)
		}
	}
	p.silentAbout(t, nil, planted)
}

// Nothing serves yet: the program ends with an error, on whichever goroutine it
// breaks.
func TestAPanicAtTheStartEndsTheProgram(t *testing.T) {
	file := writeFile(t, "config.yaml", "providers: {a: {endpoint: 'http://127.0.0.1:9', apiKey: env.ODD}}\nmodels: [{alias: 'claude-*', provider: a}]\n")
	for name, c := range map[string]struct {
		variable string
		args     []string
	}{
		"while the file is read":     {"ODD", nil},
		"on the main goroutine":      {"XDG_STATE_HOME", nil},
		"in a command":               {"SHELL", []string{"env"}},
		"in a command, file is read": {"ODD", []string{"validate"}},
	} {
		t.Run(name, func(t *testing.T) {
			env := breakingAt(c.variable)
			env.values["ODD"] = "a-key-of-this-provider"
			var out, errw bytes.Buffer
			code := Run(t.Context(), append(c.args, "-config", file), env.getenv, strings.NewReader(""), &out, &errw)
			if said := errw.String(); code != exitFailed || !strings.Contains(said, "anyproxy: error: ") || !strings.Contains(said, "internal error: at a loss with ••••••") ||
				!strings.Contains(said, "(*breaking).getenv") || strings.Contains(out.String()+said, planted) {
				t.Errorf("exit code %d: %s%s", code, out.String(), said)
			}
		})
	}
}
