package cli

import (
	"net"
	"os/exec"
	"strings"
	"testing"

	"anyproxy/internal/simulator"
)

func TestClientEnv(t *testing.T) {
	const anthropic = "providers: {a: {endpoint: 'https://a.example', auth: none}}\n"
	const login = "providers: {a: {endpoint: 'https://a.example', auth: passthrough}}\n"
	const model = "models: [{alias: 'claude-*', provider: a}]\n"
	usual := "ANTHROPIC_BASE_URL=http://p CLAUDE_CODE_ENABLE_FINE_GRAINED_TOOL_STREAMING=1 ENABLE_TOOL_SEARCH=true"
	for name, tt := range map[string]struct {
		text, key string
		env       map[string]string
		want      string
	}{
		"no key":            {anthropic + model, "", nil, strings.Replace(usual, " ", " ANTHROPIC_AUTH_TOKEN=anyproxy ", 1)},
		"a key":             {anthropic + model, "k", nil, strings.Replace(usual, " ", " ANTHROPIC_AUTH_TOKEN=k ", 1)},
		"a login":           {login + model, "", nil, usual},
		"a login and a key": {login + model, "k", map[string]string{"ANTHROPIC_CUSTOM_HEADERS": "x-a: b"}, strings.Replace(usual, " ", " ANTHROPIC_CUSTOM_HEADERS=x-a: b\nx-anyproxy-key: k ", 1)},
		"the person's own": {login + model, "", map[string]string{"ENABLE_TOOL_SEARCH": "false", "CLAUDE_CODE_ENABLE_FINE_GRAINED_TOOL_STREAMING": "0"},
			"ANTHROPIC_BASE_URL=http://p"},
		"another format": {"providers: {a: {type: openai, endpoint: 'http://127.0.0.1:1', auth: none}}\n" + model, "k", nil,
			"ANTHROPIC_BASE_URL=http://p ANTHROPIC_AUTH_TOKEN=k CLAUDE_CODE_ENABLE_FINE_GRAINED_TOOL_STREAMING=1"},
		"a small window":      {login + "models: [{alias: 'claude-*', provider: a, context: 131072}]\n", "", nil, usual + " CLAUDE_CODE_AUTO_COMPACT_WINDOW=131072"},
		"a tiny window":       {login + "models: [{alias: 'claude-*', provider: a, context: 32000}]\n", "", nil, usual + " CLAUDE_CODE_AUTO_COMPACT_WINDOW=100000"},
		"one window is large": {login + "models: [{alias: 'claude-*', provider: a, context: 32000}, {name: m, alias: 'claude-*', provider: a, context: 200000}]\n", "", nil, usual},
		"a proxy outwards":    {login + model, "", map[string]string{"HTTPS_PROXY": "http://x", "NO_PROXY": "y"}, usual + " NO_PROXY=y,127.0.0.1,localhost no_proxy=127.0.0.1,localhost"},
	} {
		t.Run(name, func(t *testing.T) {
			doc, err := parseText("test", tt.text, func(string) string { return "" })
			if err != nil || len(doc.Problems) > 0 {
				t.Fatal(err, doc.Problems)
			}
			var got []string
			for _, v := range clientEnv(doc.Config, "http://p", tt.key, func(k string) string { return tt.env[k] }) {
				got = append(got, v.name+"="+v.value)
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("%q, want %q", strings.Join(got, " "), tt.want)
			}
		})
	}
}

func TestEnv(t *testing.T) {
	file := writeFile(t, "config.yaml", "listen: 127.0.0.1:1\nstate: {path: none}\napiKeys: [\"it's $HOME \\\\ a key\"]\nproviders: {a: {endpoint: 'https://a.example', auth: none}}\nmodels: [{name: m, provider: a}]\n")
	code, out, errw := run(t, nil, "env", "-config", file)
	if code != 0 || errw != "anyproxy: nothing serves yet at http://127.0.0.1:1\n" {
		t.Fatalf("exit code %d, stderr %q", code, errw)
	}
	if sh, err := exec.LookPath("sh"); err == nil { // the shell itself says what it understood
		got, err := exec.Command(sh, "-c", out+`printf '%s|%s' "$ANTHROPIC_BASE_URL" "$ANTHROPIC_AUTH_TOKEN"`).CombinedOutput()
		if want := `http://127.0.0.1:1|it's $HOME \ a key`; err != nil || string(got) != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
	if _, out, _ := run(t, map[string]string{"SHELL": "/usr/bin/fish"}, "env", "-config", file); !strings.Contains(out, `set -gx ANTHROPIC_AUTH_TOKEN 'it\'s $HOME \\ a key';`) {
		t.Errorf("for fish: %s", out)
	}
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"-shell", "tcsh"}, exitUsage, `-shell "tcsh" is none of bash, zsh, fish`},
		{[]string{"-config", writeFile(t, "c.yaml", "apiKeys: [$RANDOM_KEY]\nproviders: {a: {endpoint: 'https://a.example', auth: none}}\nmodels: [{name: m, provider: a}]\n")}, exitFailed, "no client key is known"},
		{[]string{"-config", writeFile(t, "c.yaml", "nonsense")}, exitFailed, "has 1 problem"},
	} {
		if code, out, errw := run(t, nil, append([]string{"env"}, tt.args...)...); code != tt.code || out != "" || !strings.Contains(errw, tt.want) {
			t.Errorf("%v: exit code %d, stdout %q, stderr %q", tt.args, code, out, errw)
		}
	}
}

func TestStatus(t *testing.T) {
	env := map[string]string{"HOME": t.TempDir()}
	bad := simulator.Always(simulator.Answer{Faults: []simulator.Fault{simulator.RateLimited(40e9)}})
	file := configFile(t, "", upstream(t, bad), upstream(t, simulator.Always(good)))
	p := start(t, env, "-config", file)
	p.post(t, ask(true))
	code, out, errw := run(t, env, "status", "-config", file)
	lines := strings.Split(out, "\n")
	if code != 0 || errw != "" || len(lines) != 6 || lines[0] != p.base+": degraded, 1 of 2 providers can be asked" ||
		!strings.HasPrefix(lines[2], "PROVIDER  STATE") || !strings.HasPrefix(lines[3], "a         cooling  –      100.0 %  ") || !strings.HasSuffix(lines[3], "s") ||
		!strings.HasPrefix(lines[4], "b         ready") {
		t.Errorf("exit code %d, stderr %q\n%s", code, errw, out)
	}
	if _, out, _ := run(t, env, "status", "-json", "-config", file); !strings.Contains(out, `"healthy_providers":1`) || strings.Count(out, "\n") != 1 {
		t.Errorf("%s", out)
	}
	p.end(t)
	code, out, errw = run(t, map[string]string{"HOME": env["HOME"], "PORT": freePort(t)}, "status", "-config", file)
	if code != exitFailed || out != "" || !strings.Contains(errw, "nobody listens there\nanyproxy: hint: start one") {
		t.Errorf("nothing serves: exit code %d, stdout %q, stderr %q", code, out, errw)
	}
}

func TestStatusOfSomethingElse(t *testing.T) {
	up := upstream(t, simulator.Always(good))
	port := up.URL()[strings.LastIndex(up.URL(), ":")+1:]
	code, _, errw := run(t, map[string]string{"PORT": port}, "status")
	if code != exitFailed || !strings.Contains(errw, errNoAnyproxy.Error()) {
		t.Errorf("exit code %d, %s", code, errw)
	}
}

func TestStatusOfWhatHangs(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // connections come about, and nobody reads
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	code, _, errw := run(t, map[string]string{"PORT": port}, "status")
	want := "anyproxy: error: http://127.0.0.1:" + port + ": no answer within 2s\nanyproxy: hint: look whether it hangs, and start it again\n"
	if code != exitFailed || errw != want {
		t.Errorf("exit code %d, %q, want %q", code, errw, want)
	}
}
