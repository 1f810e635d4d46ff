package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"anyproxy/internal/redact"
	"anyproxy/internal/simulator"
	"anyproxy/metrics"
	"anyproxy/metrics/ledger"
	"anyproxy/providers/credential"
	"anyproxy/proxy"
	"anyproxy/proxy/routing"
)

// keyBench serves a configuration of client keys alone, on a clock of its own
// where it is made in a bubble of synctest.
type keyBench struct {
	t       *testing.T
	vault   *credential.Vault
	built   *built
	server  *proxy.Server
	keys    *keyFollower
	notices []credential.Notice
}

func newKeyBench(t *testing.T, keys string) *keyBench {
	t.Helper()
	b := &keyBench{t: t, keys: &keyFollower{logger: slog.New(slog.DiscardHandler)}}
	b.keys.tell = func(n credential.Notice) { b.notices = append(b.notices, n) }
	b.vault = credential.NewVault(credential.Options{Tell: b.keys.tell})
	t.Cleanup(b.vault.Close)
	b.built = b.build(keys, nil)
	b.keys.serves(b.built)
	b.server = proxy.New(b.built.runtime, proxy.Options{Recorder: metrics.New(time.Now), Logger: b.keys.logger, Redact: redact.New()})
	return b
}

func (b *keyBench) build(keys string, before *built) *built {
	b.t.Helper()
	doc, err := parseText("test", `
providers: {a: {endpoint: "http://127.0.0.1:1", apiKey: upstream-key-of-a}}
models: [{alias: "claude-*", provider: a}]
apiKeys:
`+keys, func(string) string { return "" })
	if err == nil && len(doc.Problems) > 0 {
		err = doc.Problems
	}
	if err != nil {
		b.t.Fatal(err)
	}
	built, err := build(b.t.Context(), doc.Config, before, routing.NewState(), b.vault, b.keys.logger, none, time.Now)
	if err != nil {
		b.t.Fatal(err)
	}
	return built
}

// valid lists which of the keys are.
func (b *keyBench) valid(keys ...string) (valid string) {
	for _, key := range keys {
		r := httptest.NewRequest("GET", "/v1/models", nil)
		r.Header.Set("X-Api-Key", key)
		w := httptest.NewRecorder()
		if b.server.ServeHTTP(w, r); w.Code == http.StatusOK {
			valid += key + " "
		}
	}
	return strings.TrimSpace(valid)
}

func TestClientKeysFollowTheirSources(t *testing.T) {
	dir := t.TempDir()
	file, printed := filepath.Join(dir, "key"), filepath.Join(dir, "printed")
	keep := func(path, text string) {
		t.Helper()
		save(t, path, text)
	}
	keep(file, "file-1\n")
	keep(printed, "cmd-1\n")
	all := []string{"file-1", "file-2", "file-3", "cmd-1", "cmd-2", "cmd-3", "fixed"}
	synctest.Test(t, func(t *testing.T) {
		b := newKeyBench(t, fmt.Sprintf(`
  - {name: f, key: "file:%s"}
  - {name: c, key: {cmd: [/bin/cat, %s], ttl: 1h}}
  - {name: l, key: fixed}
`, file, printed))
		expect := func(when, want string) {
			t.Helper()
			b.keys.look(t.Context())
			synctest.Wait()          // for what was begun in the background
			b.keys.look(t.Context()) // has what that has found
			if got := b.valid(all...); got != want {
				t.Errorf("%s: valid are %s, want %s", when, got, want)
			}
		}
		expect("at first", "file-1 cmd-1 fixed")
		fingerprint := b.built.labels.Keys["f"]

		keep(file, "file-2\n")
		keep(printed, "cmd-2\n")
		expect("both replaced", "file-2 cmd-1 fixed")
		if now := b.built.labels.Keys["f"]; now == fingerprint || now != credential.Fingerprint("file-2") {
			t.Errorf("rows of the ledger say %s", now)
		}
		time.Sleep(time.Hour)
		expect("its ttl is over", "file-2 cmd-2 fixed")

		if err := errors.Join(os.Remove(file), os.Remove(printed)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		for range 5 {
			expect("neither can be read", "file-2 cmd-2 fixed")
		}
		if len(b.notices) != 2 || !slices.ContainsFunc(b.notices, func(n credential.Notice) bool {
			return n.Owner == "apiKeys/f" && strings.Contains(n.Text, "no such file") && strings.HasSuffix(n.Text, "the last value stays valid")
		}) {
			t.Errorf("told: %+v", b.notices)
		}

		keep(file, "file-3\n")
		keep(printed, "cmd-3\n")
		time.Sleep(time.Minute) // the longest that a command that fails is left alone
		expect("both are back", "file-3 cmd-3 fixed")
	})
}

// A configuration that waits to be approved is built with the values of then.
func TestClientKeysGoOnInTheNextConfiguration(t *testing.T) {
	file := writeFile(t, "key", "file-1")
	keys := fmt.Sprintf("  - {name: f, key: \"file:%s\"}\n", file)
	b := newKeyBench(t, keys)
	waits := b.build(keys+"  - {name: l, key: fixed}\n", b.built)
	save(t, file, "file-2-that-is-longer")
	b.keys.look(t.Context())
	if got := b.valid("file-1", "file-2-that-is-longer", "fixed"); got != "file-2-that-is-longer" {
		t.Errorf("before: %s", got)
	}
	b.keys.serves(waits)
	b.server.Apply(waits.runtime)
	if got := b.valid("file-1", "file-2-that-is-longer", "fixed"); got != "file-2-that-is-longer fixed" {
		t.Errorf("at once: %s", got)
	}
	save(t, file, "file-3")
	b.keys.look(t.Context())
	if got := b.valid("file-2-that-is-longer", "file-3"); got != "file-3" {
		t.Errorf("after: %s", got)
	}
	// Now the file is gone: a reload goes on with what is known.
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	last := b.build(keys, waits)
	b.keys.serves(last)
	b.server.Apply(last.runtime)
	if got := b.valid("file-3", "fixed"); got != "file-3" {
		t.Errorf("without the file: %s", got)
	}
}

// A client key that is replaced on disk while requests run: the old one is good
// until the new one is, and nobody needs to do anything.
func TestClientKeyIsRotatedWhileItServes(t *testing.T) {
	dir := t.TempDir()
	key := writeFile(t, "key", "client-key-of-old\n")
	slow := simulator.Answer{Blocks: []simulator.Block{simulator.Text(strings.Repeat("word ", 200))}, Rate: 400}
	a := upstream(t, simulator.Always(slow))
	p := start(t, stateIn(dir), "-config", configFile(t, fmt.Sprintf("apiKeys: [{name: ci, key: \"file:%s\"}]\n", key), a))
	running := make(chan int)
	go func() {
		res, _ := p.post(t, ask(true), "X-Api-Key", "client-key-of-old")
		running <- res.StatusCode
	}()
	eventually(t, "the request to run", func() bool { return a.Active() > 0 })
	save(t, key, "client-key-of-new\n")
	status := func(key string) int {
		req, err := http.NewRequest("GET", p.base+"/v1/models", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Api-Key", key)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	eventually(t, "the new key", func() bool {
		before := status("client-key-of-old")
		after := status("client-key-of-new")
		if before != 200 && after != 200 {
			t.Fatalf("neither key is valid: %d, %d", before, after)
		}
		return after == 200
	})
	if got := status("client-key-of-old"); got != 401 {
		t.Errorf("the old key gets %d", got)
	}
	if got := <-running; got != 200 {
		t.Errorf("the request that ran ends with %d", got)
	}
	p.end(t)
	rows := ofKind(ledgerRows(t, dir), ledger.KindCredential)
	if len(rows) != 1 || rows[0].Key != "ci" || rows[0].Provider != "" || rows[0].Outcome != "renewed" || rows[0].KeySHA256 != credential.Fingerprint("client-key-of-new") {
		t.Errorf("the ledger has %+v", rows)
	}
	p.silentAbout(t, []byte(fmt.Sprint(rows)), "client-key-of-old", "client-key-of-new")
}
