package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"anyproxy/internal/grammar"
	"anyproxy/internal/simulator"
	"anyproxy/metrics/ledger"
	"anyproxy/providers/credential"
)

// guardedUpstream answers those who show what good says is good.
func guardedUpstream(t testing.TB, good func(token string) bool) (endpoint string, refused *atomic.Int64) {
	t.Helper()
	to, err := url.Parse(upstream(t, simulator.Always(simulator.Answer{Blocks: []simulator.Block{{Kind: simulator.TextBlock, Text: "hello"}}})).URL())
	if err != nil {
		t.Fatal(err)
	}
	refused = new(atomic.Int64)
	next := httputil.NewSingleHostReverseProxy(to)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "); !good(token) {
			refused.Add(1)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, `{"type":"error","error":{"type":"authentication_error","message":"invalid bearer token %s"}}`, token)
			return
		}
		next.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, refused
}

// tokenEndpoint gives out access tokens that live for one second, each for a
// refresh token that is good once.
type tokenEndpoint struct {
	mu      sync.Mutex
	refresh string
	ends    map[string]time.Time
	given   []string
}

const tokenLife = time.Second

func (e *tokenEndpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if r.FormValue("refresh_token") != e.refresh {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":"invalid_grant"}`)
		return
	}
	access := fmt.Sprintf("access-token-number-%d", len(e.given))
	e.refresh = fmt.Sprintf("refresh-token-number-%d", len(e.given)+1)
	e.given = append(e.given, access, e.refresh)
	e.ends[access] = time.Now().Add(tokenLife)
	fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":%d,"refresh_token":%q}`, access, int(tokenLife.Seconds()), e.refresh)
}

// good allows for the time that a request takes to arrive.
func (e *tokenEndpoint) good(token string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	end, known := e.ends[token]
	return known && time.Now().Before(end.Add(tokenLife/2))
}

// Tokens that live one second under load: no request fails, no token is said.
func TestOAuthUnderLoad(t *testing.T) {
	endpoint := &tokenEndpoint{refresh: "refresh-token-number-0", ends: map[string]time.Time{}}
	tokens := httptest.NewServer(endpoint)
	t.Cleanup(tokens.Close)
	up, _ := guardedUpstream(t, endpoint.good)
	kept := writeFile(t, "refresh", endpoint.refresh)
	log := filepath.Join(t.TempDir(), "requests.jsonl")
	dir := t.TempDir()
	p := start(t, stateIn(dir), "-log-file", log, "-config", writeFile(t, "config.yaml", fmt.Sprintf(`
providers: {a: {endpoint: %q, auth: bearer, apiKey: {oauth: {tokenUrl: "%s/token", clientId: c, refreshToken: "file:%s"}}}}
models: [{alias: "claude-*", provider: a}]
`, up, tokens.URL, kept)))
	var all sync.WaitGroup
	var failed, asked atomic.Int64
	for began := time.Now(); time.Since(began) < 3*tokenLife; time.Sleep(10 * time.Millisecond) {
		for range 5 {
			all.Go(func() {
				asked.Add(1)
				res, body := p.post(t, ask(true))
				if m, err := grammar.Check(body); res.StatusCode != 200 || err != nil || m.End != grammar.Complete {
					failed.Add(1)
					t.Errorf("%d %v %s", res.StatusCode, err, body)
				}
			})
		}
	}
	all.Wait()
	endpoint.mu.Lock()
	defer endpoint.mu.Unlock()
	if len(endpoint.given) < 4 || failed.Load() > 0 {
		t.Errorf("%d of %d requests failed, %d tokens were given out", failed.Load(), asked.Load(), len(endpoint.given)/2)
	}
	p.end(t)
	if b, err := os.ReadFile(kept); err != nil || strings.TrimSpace(string(b)) != endpoint.refresh {
		t.Errorf("the file has %q, %v, want %q", b, err, endpoint.refresh)
	}
	said, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	var audited []string
	for _, r := range ofKind(ledgerRows(t, dir), ledger.KindCredential) {
		audited = append(audited, r.Outcome+" "+r.KeySHA256)
		said = fmt.Append(said, r)
	}
	var want []string
	for i := 0; i < len(endpoint.given); i += 2 { // also of the one that the start has asked for
		want = append(want, "written_back "+credential.Fingerprint(endpoint.given[i+1]), "renewed "+credential.Fingerprint(endpoint.given[i]))
	}
	if !slices.Equal(audited, want) {
		t.Errorf("the ledger has %q, want %q", audited, want)
	}
	p.silentAbout(t, said, endpoint.given...)
}

// A key that cannot be had at the start is told, and others serve until it can.
func TestKeyThatComesLater(t *testing.T) {
	up, _ := guardedUpstream(t, func(token string) bool { return token == "key-of-the-manager" })
	lock := filepath.Join(t.TempDir(), "unlocked")
	p := start(t, nil, "-config", writeFile(t, "config.yaml", fmt.Sprintf(`
state: {path: none}
providers:
  a: {endpoint: %q, auth: bearer, apiKey: {cmd: [/bin/sh, -c, 'test -e "$1" || { echo the vault is locked >&2; exit 1; }; echo key-of-the-manager', sh, %s]}}
  b: {endpoint: %q, apiKey: key-of-b}
models: [{alias: "claude-*", provider: a}, {alias: "claude-*", provider: b, tier: 2}]
`, up, lock, upstream(t, simulator.Always(good)).URL())))
	eventually(t, "what the start says of it", func() bool {
		return strings.Contains(p.errw.String(), "the vault is locked; until there is one its requests go elsewhere")
	})
	if res, body := p.post(t, ask(true)); res.Header.Get("X-Anyproxy-Provider") != "b" {
		t.Errorf("%d %v %s", res.StatusCode, res.Header, body)
	}
	if err := os.WriteFile(lock, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the key", func() bool { // its source is asked again after a second, its provider only when it is meant
		res, _ := p.post(t, ask(true), "X-Anyproxy-Provider", "a")
		return res.StatusCode == 200
	})
	p.silentAbout(t, nil, "key-of-the-manager")
}

// A key that is replaced on disk is used without a restart, one that is refused
// costs one repetition.
func TestReplacedKeyOfTheSameTime(t *testing.T) {
	var now atomic.Pointer[string]
	use := func(key string) { now.Store(&key) }
	use("first-key-of-mine")
	up, refused := guardedUpstream(t, func(token string) bool { return token == *now.Load() })
	file := writeFile(t, "key", "first-key-of-mine")
	p := start(t, nil, "-config", writeFile(t, "config.yaml", fmt.Sprintf(`
state: {path: none}
providers: {a: {endpoint: %q, auth: bearer, apiKey: "file:%s"}}
models: [{alias: "claude-*", provider: a}]
`, up, file)))
	p.post(t, ask(true))
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	// Of the same length and the same time, in the same file.
	if err := os.WriteFile(file, []byte("other-key-of-mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	use("other-key-of-mine")
	if res, body := p.post(t, ask(true)); res.StatusCode != 200 || res.Header.Get("X-Anyproxy-Attempts") != "2" || refused.Load() != 1 {
		t.Errorf("%d, %s attempts, %d refused: %s", res.StatusCode, res.Header.Get("X-Anyproxy-Attempts"), refused.Load(), body)
	}
	p.silentAbout(t, nil, "first-key-of-mine", "other-key-of-mine")
}

// The keys of a pool take turns; one that has used up its limit is left out, and
// the client does not notice.
func TestPoolOfKeys(t *testing.T) {
	var mu sync.Mutex
	shown := map[string]int{}
	limited := "key-b-of-mine"
	to := upstream(t, simulator.Always(good))
	target, _ := url.Parse(to.URL())
	next := httputil.NewSingleHostReverseProxy(target)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		key := r.Header.Get("X-Api-Key")
		shown[key]++
		is := key == limited
		mu.Unlock()
		if is {
			w.Header().Set("Retry-After", "30")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		next.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	p := start(t, nil, "-config", writeFile(t, "config.yaml", fmt.Sprintf(`
state: {path: none}
providers: {a: {endpoint: %q, apiKey: [key-a-of-mine, key-b-of-mine, key-c-of-mine]}}
models: [{alias: "claude-*", provider: a}]
`, s.URL)))
	for range 9 {
		if res, body := p.post(t, ask(true)); res.StatusCode != 200 {
			t.Errorf("%d %s", res.StatusCode, body)
		}
	}
	if shown["key-a-of-mine"]+shown["key-c-of-mine"] != 9 || shown["key-b-of-mine"] != 1 {
		t.Errorf("%v", shown)
	}
}
