package cli

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"anyproxy/internal/simulator"
)

// TestS10SecretsOnScreensAndInFiles goes on where TestS10Secrets ends: through
// the whole dashboard, the other commands, alerts, renewals and a panic, with
// every secret in its place and upstreams that say them all back; then it reads
// every byte that a terminal, a client or a webhook was sent, and every file.
func TestS10SecretsOnScreensAndInFiles(t *testing.T) {
	dir := t.TempDir() // of all that the program writes
	t.Chdir(dir)
	secrets := map[string]string{
		"literal": "literal-secret-of-a-01", "new literal": "literal-secret-of-a-02", "env": "env-secret-of-b-000001", "file": "file-secret-of-c-00001", "cmd": "cmd-secret-of-d-000001",
		"header": "header-secret-000001", "new header": "header-secret-000002", "client": "client-secret-000001", "second client": "client-secret-000002", "webhook": "webhook-secret-00001",
		"own": "sk-ant-api03-own-secret-000001", "slip": "slip-secret-00000001", "panic": "panic-secret-0000001",
		"refresh": "refresh-token-number-0", "refreshed": "refresh-token-number-1", "access": "access-token-number-0", "AWS": awsSecret, "AWS session": awsToken,
	}
	given := t.TempDir() // of all that the program is given
	keep := func(name, text string) string {
		path := filepath.Join(given, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	told := startHook(t)
	tokens := httptest.NewServer(&tokenEndpoint{refresh: secrets["refresh"], ends: map[string]time.Time{}})
	t.Cleanup(tokens.Close)
	good := simulator.Answer{Blocks: []simulator.Block{{Kind: simulator.TextBlock, Text: "you showed " + secrets["env"]}}}
	file := keep("config.yaml", fmt.Sprintf(`
apiKeys: [%s, {name: second, key: %s}]
alerts: {webhook: %q, fallbackRate: 0.01}
budget: {daily: 0.01, onExceeded: warn}
retry: {cooldown: 0s}
providers:
  a: {endpoint: %q, apiKey: %s, headers: {x-team: %s}}
  c: {endpoint: %q, apiKey: "file:%s"}
  d: {endpoint: %q, apiKey: "cmd:echo %s"}
  e: {type: openai, endpoint: %q, auth: bearer, apiKey: {oauth: {tokenUrl: "%s/token", clientId: me, refreshToken: "file:%s"}}}
  f: {type: bedrock, region: us-west-2, endpoint: %q}
  b: {endpoint: %q, apiKey: env.KEY_OF_B}
models:
  - {alias: "claude-*", provider: a, price: {input: 1000, output: 1000}}
  - {alias: "claude-*", provider: c, tier: 2}
  - {alias: "claude-*", provider: d, tier: 3}
  - {name: m, alias: "claude-*", provider: e, tier: 4}
  - {name: anthropic.claude-sonnet-4-5, alias: "claude-*", provider: f, tier: 5}
  - {alias: "claude-*", provider: b, tier: 6, price: {input: 1000, output: 1000}}
`, secrets["client"], secrets["second client"], told.URL+"/"+secrets["webhook"], echoing(t), secrets["literal"], secrets["header"],
		echoing(t), keep("key", secrets["file"]), echoing(t), secrets["cmd"], echoing(t), tokens.URL, keep("refresh", secrets["refresh"]),
		echoing(t), upstream(t, simulator.Always(good)).URL()))
	exportAWSKey(t)
	env := &breaking{name: "ODD", values: map[string]string{"KEY_OF_B": secrets["env"], "XDG_STATE_HOME": dir, "HOME": dir, "LOG_LEVEL": "DEBUG", "TERM": "xterm-256color", "LANG": "C.UTF-8",
		"AWS_ACCESS_KEY_ID": awsKeyID, "AWS_SECRET_ACCESS_KEY": awsSecret, "AWS_SESSION_TOKEN": awsToken, "ANTHROPIC_AUTH_TOKEN": secrets["panic"], "PANIC": secrets["panic"]}}

	p := startOnScreenIn(t, env.getenv, "-tui", "-config", file, "-log-file", filepath.Join(dir, "requests.jsonl"))
	var said bytes.Buffer // to clients and by commands
	send := func(body, key, provider string) {
		req, err := http.NewRequest("POST", p.base+"/v1/messages", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{"X-Anyproxy-Key": key, "Authorization": "Bearer " + secrets["own"], "X-Anyproxy-Provider": provider, "User-Agent": "agent " + secrets["own"]} {
			if value != "" {
				req.Header.Set(name, value)
			}
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		answer, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		// An answer with status 200 is the client's, whatever it quotes.
		if fmt.Fprintf(&said, "%v\n", res.Header); res.StatusCode != http.StatusOK {
			said.Write(answer)
		}
	}
	for i, provider := range []string{"", "a", "b", "c", "d", "e", "f", "a", "c", "d", "e", "f", "", "nobody " + secrets["own"]} {
		for _, stream := range []bool{true, false} {
			send(ask(stream), []string{secrets["client"], secrets["second client"]}[i%2], provider)
		}
	}
	send(ask(true), secrets["own"], "")
	for _, misplaced := range []string{secrets["own"], secrets["literal"], strings.Repeat("x", 90) + secrets["literal"]} {
		send(strings.Replace(ask(true), "claude-sonnet-4-5", misplaced, 1), secrets["client"], "")
	}
	for _, path := range []string{"/", "/health", "/metrics", "/v1/models", "/v1/models/claude-sonnet-4-5", "/nothing?key=" + secrets["client"]} {
		res, err := http.Get(p.base + path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(&said, res.Body)
		if err = errors.Join(err, res.Body.Close()); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "an alert", func() bool { return told.told("spent") })

	// Every screen, its details, what it copies and writes, and its help.
	for _, screen := range []string{"1", "2", "3", "4", "5", "6"} {
		p.show(map[string]string{"1": "Providers", "2": "Providers", "3": "Requests", "4": "Events", "5": "Config", "6": "Log"}[screen], screen)
		for _, key := range []string{"\r", "j", "\r", "G", "d", "E", "m", "m", "?"} {
			p.press(key)
			time.Sleep(30 * time.Millisecond) // a person's; whether the screen has followed is seen at the end
		}
	}
	p.show("It is sent one tiny request", "2", "p")
	p.press("y")

	// A change with secrets on both sides, applied; slips; a panic.
	edit(t, file, secrets["literal"], secrets["new literal"], secrets["header"], secrets["new header"])
	p.wait("c review")
	p.press("c")
	p.wait("apiKey")
	p.press("d")
	eventually(t, "the answer to count", func() bool {
		p.press("y")
		return strings.Contains(ansi.Strip(p.screen.String()), "applied")
	})
	send(ask(false), secrets["client"], "a")
	sound, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	edit(t, file, "retry:", "retyr: "+secrets["slip"]+"\nretry:", "x-team:", "x-taem: "+secrets["slip"]+", x-team:")
	eventually(t, "the problems", func() bool { return strings.Contains(ansi.Strip(p.screen.String()), "retyr") })
	p.press("5d")
	env.broken.Store(true)
	save(t, file, strings.ReplaceAll(string(sound), "env.KEY_OF_B", "env.ODD"))
	p.press("6")
	eventually(t, "the panic", func() bool {
		return strings.Contains(ansi.Strip(p.screen.String()), "a part of the program has failed")
	})
	save(t, file, string(sound))
	env.broken.Store(false)

	// The commands, with the proxy at work.
	broken := keep("broken.yaml", strings.ReplaceAll(string(sound), "retry:", "retyr: "+secrets["slip"]+"\nretry:"))
	for _, args := range [][]string{{"validate", "-config", file}, {"validate", "-config", broken}, {"-config", broken}, {"status", "-config", file}, {"status", "-json", "-config", file},
		{"usage", "-config", file}, {"usage", "-by", "key", "-config", file}, {"usage", "-by", "session", "-json", "-config", file}, {"replay", filepath.Join(dir, "requests.jsonl"), "-config", file},
		{"replay", "-config", file, filepath.Join(dir, "requests.jsonl")}, {"run", "-config", broken, "--", "true"}, {"run", "-own", "-config", file, "--", "true"}, {"env", "-config", broken}} {
		var out, errw safeBuffer // a child writes there, too
		code := Run(t.Context(), args, env.getenv, strings.NewReader(""), &out, &errw)
		fmt.Fprintf(&said, "%q: %d\n%s%s\n", args, code, out.String(), errw.String())
	}
	p.press("q")
	p.ends(exitDone)

	screen := p.screen.String()
	sources := map[string]string{"the clients and commands": said.String(), "the screen": screen, "the screen's text": ansi.Strip(screen), "standard error": p.errw.String(), "the webhook": strings.Join(told.texts, "\n")}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		sources[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"requests.jsonl", "routing.json", ".jsonl"} {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(sources)), func(name string) bool { return strings.Contains(name, want) }) {
			t.Errorf("no %s was written", want)
		}
	}
	for where, text := range sources {
		t.Logf("%s: %d bytes", where, len(text))
		for name, secret := range secrets {
			for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret))} {
				if i := strings.Index(text, form); i >= 0 {
					t.Errorf("%s, %s: it was said: %q", where, name, text[max(i-160, 0):min(i+60, len(text))])
				}
			}
		}
	}
}
