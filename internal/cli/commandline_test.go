package cli

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"anyproxy/config"
)

// run runs a command line that must end by itself.
func run(t *testing.T, env map[string]string, args ...string) (code int, out, errw string) {
	t.Helper()
	t.Chdir(t.TempDir()) // no config.yaml
	var o, e bytes.Buffer
	code = Run(context.Background(), args, func(k string) string { return env[k] }, strings.NewReader(""), &o, &e)
	return code, o.String(), e.String()
}

func TestWrongCallsAndStartUpProblems(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := taken.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	bad := writeFile(t, "bad.yaml", "providers:\n  a: {endpont: x}\nmodels: []\n")
	keyless := writeFile(t, "ok.yaml", "providers: {a: {endpoint: \"http://127.0.0.1:1\", auth: none}}\nmodels: [{alias: m, provider: a}]\n")

	free := freePort(t)
	loop := writeFile(t, "loop.yaml", "providers: {a: {endpoint: \"http://localhost:"+free+"\", auth: none}}\nmodels: [{alias: m, provider: a}]\n")

	for name, c := range map[string]struct {
		args []string
		env  map[string]string
		code int
		says []string
	}{
		"its own endpoint":   {[]string{"-config", loop, "-listen", "127.0.0.1:" + free}, nil, 1, []string{"provider a: its endpoint is where anyproxy itself listens", "hint"}},
		"unknown flag":       {[]string{"-lissten", "x"}, nil, 2, []string{"anyproxy: error: flag provided but not defined: -lissten", "anyproxy: hint: anyproxy -help"}},
		"argument":           {[]string{"serve"}, nil, 2, []string{`unexpected argument "serve"`, "hint"}},
		"no port":            {[]string{"-listen", "localhost"}, nil, 2, []string{`-listen "localhost" is not host:port`, "hint"}},
		"port out of range":  {[]string{"-listen", "127.0.0.1:70000"}, nil, 2, []string{"0 to 65535"}},
		"PORT is no number":  {nil, map[string]string{"PORT": "http"}, 2, []string{`PORT is "http"`, "hint"}},
		"empty -config":      {[]string{"-config", ""}, nil, 2, []string{"-config is empty"}},
		"port in use":        {[]string{"-listen", addr}, nil, 1, []string{"anyproxy: error: -listen: listen on " + addr, "address already in use", "anyproxy: hint: another program"}},
		"PORT in use":        {nil, map[string]string{"PORT": port}, 1, []string{"PORT: listen on " + addr, "hint"}},
		"no such file":       {[]string{"-config", "nowhere.yaml"}, nil, 1, []string{"anyproxy: error: ", "nowhere.yaml"}},
		"CONFIG_PATH":        {nil, map[string]string{"CONFIG_PATH": "elsewhere.yaml"}, 1, []string{"elsewhere.yaml"}},
		"bad file":           {[]string{"-config", bad}, nil, 1, []string{"anyproxy: error: " + bad + " has ", bad + ":2:7: providers.a.endpont", "endpoint", "anyproxy: hint: "}},
		"open to the world":  {[]string{"-config", keyless, "-listen", "0.0.0.0:0"}, nil, 1, []string{"no client key is configured", "hint: set apiKeys"}},
		"log cannot be made": {[]string{"-config", keyless, "-listen", "127.0.0.1:0", "-log-file", keyless + "/x.jsonl"}, nil, 1, []string{"request log", "hint"}},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, errw := run(t, c.env, c.args...)
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			for _, want := range c.says {
				if !strings.Contains(errw, want) {
					t.Errorf("stderr does not say %q:\n%s", want, errw)
				}
			}
		})
	}
}

func TestVersion(t *testing.T) {
	if code, out, _ := run(t, nil, "-version"); code != 0 || !strings.HasPrefix(out, "anyproxy ") {
		t.Errorf("-version: %d %q", code, out)
	}
}

// TestWithoutAFile holds who gets which models by the environment alone.
func TestWithoutAFile(t *testing.T) {
	for name, c := range map[string]struct {
		env  map[string]string
		want []string // provider auth key models tier
	}{
		"nothing":      {nil, []string{"anthropic passthrough - claude-* 1"}},
		"key":          {map[string]string{"ANTHROPIC_API_KEY": "k", "CLAUDE_CODE_OAUTH_TOKEN": "t"}, []string{"anthropic  env.ANTHROPIC_API_KEY claude-* 1"}},
		"login":        {map[string]string{"CLAUDE_CODE_OAUTH_TOKEN": "t"}, []string{"anthropic bearer env.CLAUDE_CODE_OAUTH_TOKEN claude-* 1"}},
		"AWS region":   {map[string]string{"AWS_REGION": "eu-west-1"}, []string{"anthropic passthrough - claude-* 1", "bedrock * - claude-* 2"}},
		"AWS profile":  {map[string]string{"AWS_PROFILE": "p"}, []string{"anthropic passthrough - claude-* 1", "bedrock * - claude-* 2"}},
		"foreign keys": {map[string]string{"ZAI_API_KEY": "z", "OPENAI_API_KEY": "o"}, []string{"anthropic passthrough - claude-* 1", "openai bearer env.OPENAI_API_KEY gpt-*,o1*,o3*,o4*,chatgpt-* 1", "zai  env.ZAI_API_KEY glm-* 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			getenv := func(k string) string { return c.env[k] }
			doc, err := loadConfig(flags{}, getenv)
			if err != nil || doc.Name != "environment" || doc.Config == nil {
				t.Fatalf("%+v: %v", doc, err)
			}
			cfg := doc.Config
			if len(cfg.Models) != len(c.want) {
				t.Fatalf("%d models: %+v", len(cfg.Models), cfg.Models)
			}
			for i, m := range cfg.Models {
				p := cfg.Provider(m.Provider)
				auth, key := string(p.Auth), p.APIKey.String()
				if p.Type == config.Bedrock {
					auth = "*"
				}
				if key == "" {
					key = "-"
				}
				got := strings.Join([]string{p.Name, auth, key, strings.Join(m.Alias, ","), string(rune('0' + m.Tier))}, " ")
				if got != c.want[i] {
					t.Errorf("%q, want %q", got, c.want[i])
				}
			}
		})
	}
}

// repository is the top of the source tree; tests change the folder.
var repository = func() string {
	dir, err := os.Getwd() // of the test binary's start
	if err != nil {
		panic(err)
	}
	return filepath.Join(dir, "..", "..")
}()
