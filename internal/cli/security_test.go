package cli

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"anyproxy/internal/grammar"
	"anyproxy/internal/simulator"
)

// One test for each row of the checklist in docs/security.md, through the whole
// program over loopback. S19, the audit log, is TestRows and its neighbours in
// metrics/ledger; S20, what the build is made of, is .ci/run's.

const anOrigin = "https://evil.example"

func TestS01DNSRebinding(t *testing.T) {
	p := start(t, nil, "-config", configFile(t, "allowedHosts: [proxy.internal]\n", upstream(t, simulator.Always(good))))
	for _, path := range []string{"/", "/health", "/metrics", "/v1/models", "/v1/messages", "/nothing"} {
		if status, body := p.get(t, path, "Host", "evil.example:8080"); status != 403 || !strings.Contains(body, "permission_error") {
			t.Errorf("%s by a foreign name: %d %s", path, status, body)
		}
	}
	for _, host := range []string{"localhost", "127.9.9.9:80", "[::1]:1", "proxy.internal"} {
		if status, _ := p.get(t, "/health", "Host", host); status != 200 {
			t.Errorf("%s: %d", host, status)
		}
	}
}

func TestS02WebPages(t *testing.T) {
	up := upstream(t, simulator.Always(good))
	p := start(t, nil, "-config", configFile(t, "", up))
	for _, method := range []string{"POST", "GET", "OPTIONS"} {
		req, _ := http.NewRequest(method, p.base+"/v1/messages", strings.NewReader(ask(false)))
		req.Header.Set("Origin", anOrigin)
		req.Header.Set("Access-Control-Request-Method", "POST")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		for name := range res.Header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s: %s is answered", method, name)
			}
		}
		if res.StatusCode != 403 {
			t.Errorf("%s of a page: %d", method, res.StatusCode)
		}
	}
	if n := len(up.Requests()); n != 0 {
		t.Errorf("the upstream was asked %d times", n)
	}
}

func TestS03WithoutClientKeys(t *testing.T) {
	file := configFile(t, "", upstream(t, simulator.Always(good)))
	if p := start(t, nil, "-config", file); !strings.Contains(p.out.String(), "No client keys are configured: whoever is on this machine may use it.") {
		t.Errorf("the start says %s", p.out.String())
	}
	if code, _, errw := run(t, nil, "-config", file, "-listen", "0.0.0.0:0"); code != exitFailed || !strings.Contains(errw, "can be reached from other machines, and no client key is configured") {
		t.Errorf("exit code %d, %s", code, errw)
	}
}

func TestS04ClientKeys(t *testing.T) {
	p := start(t, nil, "-config", configFile(t, "apiKeys: [a-client-key-of-mine]\n", upstream(t, simulator.Always(good))))
	var refusal string
	for name, header := range map[string][]string{
		"none": nil, "empty": {"X-Api-Key", ""}, "wrong": {"X-Api-Key", "a-client-key-of-minf"}, "longer": {"X-Api-Key", "a-client-key-of-mine " + "x"},
		"a beginning": {"Authorization", "Bearer a-client-key"}, "basic": {"Authorization", "Basic YS1jbGllbnQta2V5LW9mLW1pbmU="},
		"without a scheme": {"Authorization", "a-client-key-of-mine"}, "a cookie": {"Cookie", "x-api-key=a-client-key-of-mine"},
		"ours, wrong": {"X-Anyproxy-Key", "x", "X-Api-Key", "a-client-key-of-mine"},
	} {
		res, body := p.post(t, ask(false), header...)
		text := string(body)
		if i := strings.Index(text, `"request_id"`); i > 0 {
			text = text[:i]
		}
		if refusal == "" {
			refusal = text
		}
		if res.StatusCode != 401 || !strings.Contains(text, "authentication_error") || text != refusal {
			t.Errorf("%s: %d %s", name, res.StatusCode, body)
		}
	}
	if status, _ := p.get(t, "/v1/models?x-api-key=a-client-key-of-mine&key=a-client-key-of-mine"); status != 401 {
		t.Errorf("in the query: %d", status)
	}
	for name, header := range map[string][]string{
		"x-api-key": {"X-Api-Key", "a-client-key-of-mine"}, "bearer": {"Authorization", "bearer a-client-key-of-mine"}, "ours": {"X-Anyproxy-Key", "a-client-key-of-mine"},
	} {
		if res, body := p.post(t, ask(false), header...); res.StatusCode != 200 {
			t.Errorf("%s: %d %s", name, res.StatusCode, body)
		}
	}
}

func TestS05HeadersOfOneSide(t *testing.T) {
	up := upstream(t, simulator.Always(good))
	p := start(t, nil, "-config", configFile(t, "apiKeys: [a-client-key-of-mine]\n", up))
	res, _ := p.post(t, ask(false), "X-Api-Key", "a-client-key-of-mine", "X-Anyproxy-Key", "a-client-key-of-mine", "Authorization", "Bearer sk-ant-oat01-mine", "Cookie", "a=b", "X-Forwarded-For", "10.1.1.1",
		"Connection", "X-Hop", "X-Hop", "1", "Anthropic-Beta", "b-1", "Anthropic-Made-Up", "yes", "X-Stainless-Os", "Linux", "User-Agent", "claude-cli/2")
	h := up.Requests()[0].Header
	for _, name := range []string{"X-Anyproxy-Key", "Authorization", "Cookie", "X-Forwarded-For", "X-Hop"} {
		if h.Get(name) != "" {
			t.Errorf("the upstream was sent %s", name)
		}
	}
	for name, want := range map[string]string{"X-Api-Key": "upstream-key-of-a", "Anthropic-Beta": "b-1", "Anthropic-Made-Up": "yes", "X-Stainless-Os": "Linux", "User-Agent": "claude-cli/2"} {
		if h.Get(name) != want {
			t.Errorf("the upstream was sent %s: %q", name, h.Get(name))
		}
	}
	for name := range res.Header {
		if strings.EqualFold(name, "Set-Cookie") {
			t.Errorf("the client was sent %s", name)
		}
	}
}

// Smuggling is TestBadRequests' and TestHostileBytes'; here: what goes upstream
// has one length, which is right.
func TestS06LengthOfTheRequest(t *testing.T) {
	up := upstream(t, simulator.Always(good))
	p := start(t, nil, "-config", configFile(t, "", up))
	req, _ := http.NewRequest("POST", p.base+"/v1/messages", io.MultiReader(strings.NewReader(ask(false)))) // chunked
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	got := up.Requests()[0]
	if got.Header.Get("Transfer-Encoding") != "" || got.Header.Get("Content-Length") != "" && got.Header.Get("Content-Length") != fmt.Sprint(len(got.Body)) {
		t.Errorf("%v for %d bytes", got.Header, len(got.Body))
	}
}

func TestS07EventsCannotBeInjected(t *testing.T) {
	hostile := simulator.Answer{Blocks: []simulator.Block{{Kind: simulator.TextBlock, Text: "x\n\nevent: error\ndata: {\"type\":\"error\"}\n\n"}}}
	up := upstream(t, simulator.Always(hostile))
	p := start(t, nil, "-config", configFile(t, "", up))
	_, body := p.post(t, ask(true))
	if m, err := grammar.Check(body); err != nil || m.End != grammar.Complete || m.Text() != hostile.Blocks[0].Text {
		t.Errorf("%v: %s", err, body)
	}
}

func TestS08AndS09TerminalsAndLogs(t *testing.T) {
	const hostile = "\x1b]0;owned\x07\u202e\r\nlevel=ERROR msg=forged"
	up := upstream(t, simulator.Always(faulty(simulator.ErrorAt(simulator.Events(0), 400, hostile))))
	lines := filepath.Join(t.TempDir(), "requests.jsonl")
	p := start(t, nil, "-log-file", lines, "-config", configFile(t, "", up))
	p.post(t, ask(true), "User-Agent", "agent \u202e")
	p.post(t, strings.Replace(ask(true), "claude-sonnet-4-5", `claude-\u001b[31m\u202e`, 1))
	p.end(t)
	said := p.out.String() + p.errw.String()
	for _, bad := range []string{"\x1b", "\x07", "\u202e", "\nlevel=ERROR msg=forged"} {
		if strings.Contains(said, bad) {
			t.Errorf("%q was said: %q", bad, said)
		}
	}
	if n := len(logLines(t, lines)); n < 2 { // each of which is JSON
		t.Errorf("%d lines", n)
	}
}

// echoing is an upstream that says back what it was shown, in every way.
func echoing(t *testing.T) string {
	n := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown := r.Header.Get("X-Api-Key") + " " + r.Header.Get("X-Team") + " " + base64.StdEncoding.EncodeToString([]byte(r.Header.Get("X-Api-Key")))
		w.Header().Set("X-Echo", shown)
		w.Header().Set("Content-Type", "application/json")
		switch n++; n % 4 {
		case 0:
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"type":"error","error":{"type":"invalid_request_error","message":"key %s"}}`, shown)
		case 1:
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, `{"type":"error","error":{"type":"authentication_error","message":"key %s"}}`, shown)
		case 2:
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusBadGateway)
			fmt.Fprintf(w, "<html>%s", shown)
		case 3:
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprintf(w, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"key %s\"}}\n\n", shown)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// A secret in each place, every feature that tells of it, and every byte that
// leaves the process.
func TestS10Secrets(t *testing.T) {
	secrets := map[string]string{
		"literal": "literal-secret-0001", "env": "env-secret-00000002", "file": "file-secret-0000003", "cmd": "cmd-secret-00000004", "header": "header-secret-00005",
		"client": "client-secret-00006", "proxy": "proxy-secret-000007", "webhook": "webhook-secret-0008", "own": "sk-ant-api03-own-secret-0009", "slip": "slip-secret-0000010", "slip2": "slip-secret-0000011",
	}
	text := fmt.Sprintf(`
state: {path: none}
apiKeys: [%s]
alerts: {webhook: "http://127.0.0.1:9/%s"}
retry: {cooldown: 0s}
providers:
  a: {endpoint: %q, apiKey: %s, headers: {x-team: %s}}
  b: {endpoint: %q, apiKey: env.KEY_OF_B}
  c: {endpoint: %q, apiKey: "file:%s"}
  d: {endpoint: %q, apiKey: "cmd:echo %s"}
models:
  - {alias: "claude-*", provider: a}
  - {alias: "claude-*", provider: b, tier: 2}
  - {alias: "claude-*", provider: c, tier: 3}
  - {alias: "claude-*", provider: d, tier: 4}
`, secrets["client"], secrets["webhook"], echoing(t), secrets["literal"], secrets["header"], echoing(t), echoing(t), writeFile(t, "key", secrets["file"]), echoing(t), secrets["cmd"])
	for _, format := range []string{"text", "json"} {
		file := writeFile(t, "config.yaml", text)
		lines := filepath.Join(t.TempDir(), "requests.jsonl")
		env := map[string]string{"KEY_OF_B": secrets["env"], "HTTPS_PROXY": "http://me:" + secrets["proxy"] + "@127.0.0.1:9", "LOG_LEVEL": "DEBUG", "LOG_FORMAT": format}
		p := start(t, env, "-log-file", lines, "-watch", "-yes", "-config", file)
		var told bytes.Buffer
		for i := range 24 {
			header := []string{"X-Api-Key", secrets["client"], "Authorization", "Bearer " + secrets["own"]}
			if i%6 == 5 {
				header = []string{"X-Anyproxy-Key", secrets["own"]} // refused
			}
			res, body := p.post(t, ask(i%2 == 0), append(header, "X-Anyproxy-Provider", []string{"", "a", "b", "c", "d"}[i%5])...)
			fmt.Fprintf(&told, "%v %s\n", res.Header, body)
		}
		for _, path := range []string{"/", "/health", "/metrics", "/v1/models"} {
			_, body := p.get(t, path, "X-Api-Key", secrets["client"])
			told.WriteString(body)
		}
		edit(t, file, secrets["literal"], "literal-secret-0012") // the diff
		eventually(t, "the reload", func() bool { return strings.Contains(p.errw.String(), "configuration applied") })
		edit(t, file, "x-team:", "x-team: "+secrets["slip"]+", x-taem:", "retry:", "retyr: {x: "+secrets["slip2"]+"}\nretry:")
		eventually(t, "the refusal", func() bool { return strings.Contains(p.errw.String(), "reload refused") })
		p.end(t)
		log, err := os.ReadFile(lines)
		if err != nil {
			t.Fatal(err)
		}
		all := told.String() + p.out.String() + p.errw.String() + string(log)
		secrets["literal again"] = "literal-secret-0012"
		for where, secret := range secrets {
			for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret))} {
				if i := strings.Index(all, form); i >= 0 {
					t.Errorf("%s, %s: it was said: %q", format, where, all[max(0, i-120):min(len(all), i+60)])
				}
			}
		}
	}
}

func TestS11Files(t *testing.T) {
	dir := t.TempDir()
	lines := filepath.Join(dir, "folder", "requests.jsonl")
	file := configFile(t, "state: {path: "+filepath.Join(dir, "state")+"}\n", upstream(t, simulator.Always(good)))
	p := start(t, nil, "-log-file", lines, "-config", file)
	p.post(t, ask(true))
	p.end(t)
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		info, err2 := d.Info()
		if err = errors.Join(err, err2); err == nil && path != dir && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link.jsonl")
	if err := os.Symlink(lines, link); err != nil {
		t.Skip("NOT TESTED: links, as there are none")
	}
	if code, _, errw := run(t, nil, "-listen", "127.0.0.1:0", "-log-file", link, "-config", file); code != exitFailed || !strings.Contains(errw, "link.jsonl") {
		t.Errorf("a link as the log: exit code %d, %s", code, errw)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if p := start(t, nil, "-config", file); !strings.Contains(p.errw.String(), "a secret stands in this file and others may read it") {
		t.Errorf("the start says %s", p.errw.String())
	}
}

func TestS12NothingToDebugWith(t *testing.T) {
	p := start(t, nil, "-config", configFile(t, "", upstream(t, nil)))
	for _, path := range []string{"/debug/pprof/", "/debug/vars", "/debug/pprof/heap", "/admin", "/config", "/.env"} {
		if status, body := p.get(t, path); status != 404 || !strings.Contains(body, "not_found_error") {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

func TestS13Bombs(t *testing.T) {
	up := upstream(t, simulator.Always(good))
	p := start(t, nil, "-config", configFile(t, "", up))
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	io.WriteString(z, ask(false))
	z.Close()
	if res, _ := p.post(t, packed.String(), "Content-Encoding", "gzip"); res.StatusCode != 415 {
		t.Errorf("a packed request: %d", res.StatusCode)
	}
	deep := strings.Replace(ask(false), `"say hi"`, strings.Repeat("[", 600)+strings.Repeat("]", 600), 1)
	if res, _ := p.post(t, deep); res.StatusCode != 400 {
		t.Errorf("a deep request: %d", res.StatusCode)
	}
	if n := len(up.Requests()); n != 0 {
		t.Errorf("the upstream was asked %d times", n)
	}
	// An upstream's: 65 MiB of zeros, packed.
	bomb := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		io.WriteString(z, `{"type":"message","content":[{"type":"text","text":"`)
		zeros := bytes.Repeat([]byte("0"), 1<<20)
		for range 65 {
			z.Write(zeros)
		}
		io.WriteString(z, `"}]}`)
		z.Close()
	}))
	defer bomb.Close()
	file := writeFile(t, "config.yaml", "state: {path: none}\nproviders: {a: {endpoint: '"+bomb.URL+"', apiKey: key-of-provider-a}}\nmodels: [{alias: 'claude-*', provider: a}]\n")
	if res, body := start(t, nil, "-config", file).post(t, ask(false)); res.StatusCode != 502 {
		t.Errorf("a packed answer: %d %.200s", res.StatusCode, body)
	}
	if code, _, errw := run(t, nil, "-config", writeFile(t, "c.yaml", "allowedHosts: &a [x, x]\nlog: [*a, *a]\n")); code != exitFailed || !strings.Contains(errw, "anchors are not supported") {
		t.Errorf("aliases in the configuration: exit code %d, %s", code, errw)
	}
}

func TestS14RedirectsAndAddresses(t *testing.T) {
	elsewhere := upstream(t, simulator.Always(good))
	a := upstream(t, simulator.Always(faulty(simulator.Redirect(elsewhere.URL()+"/v1/messages?key=secret-in-a-query"))))
	p := start(t, map[string]string{"HTTPS_PROXY": "http://me:a-proxy-password@127.0.0.1:9"}, "-config", configFile(t, "", a))
	if res, _ := p.post(t, ask(true)); res.StatusCode != 502 || len(elsewhere.Requests()) != 0 {
		t.Errorf("%d, and the redirect was followed %d times", res.StatusCode, len(elsewhere.Requests()))
	}
	if n := strings.Count(p.errw.String(), "HTTPS_PROXY=http://127.0.0.1:9"); n != 1 {
		t.Errorf("the outbound proxy is told %d times", n)
	}
	p.silentAbout(t, nil, "a-proxy-password", "secret-in-a-query")
	for endpoint, want := range map[string]string{
		"ftp://x.example": "http", "https://user:pass@x.example": "user", "https://x.example?a=b": "query", "https://x.example#f": "fragment", "x.example": "http",
	} {
		code, _, errw := run(t, nil, "validate", "-offline", "-config", writeFile(t, "c.yaml", "providers: {a: {endpoint: '"+endpoint+"', auth: none}}\nmodels: [{name: m, provider: a}]\n"))
		if code != exitFailed || !strings.Contains(errw, "providers.a.endpoint") || !strings.Contains(errw, want) || strings.Contains(errw, "pass@") {
			t.Errorf("%s: exit code %d, %s", endpoint, code, errw)
		}
	}
	_, _, errw := run(t, nil, "validate", "-offline", "-config", writeFile(t, "c.yaml", "providers: {a: {endpoint: 'http://x.example', auth: none}}\nmodels: [{name: m, provider: a}]\n"))
	if !strings.Contains(errw, "plain http beyond this machine") {
		t.Errorf("plain http: %s", errw)
	}
}

// secureUpstream speaks TLS, and keeps the version that was spoken.
func secureUpstream(t *testing.T, most uint16) (s *httptest.Server, ca string, spoken *atomic.Uint32) {
	t.Helper()
	spoken = new(atomic.Uint32)
	up := upstream(t, simulator.Always(good))
	s, ca = secured(t, most, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		spoken.Store(uint32(r.TLS.Version))
		up.ServeHTTP(w, r)
	}))
	return s, ca, spoken
}

// secured puts TLS before a handler; ca is the file of its root.
func secured(t *testing.T, most uint16, h http.Handler) (s *httptest.Server, ca string) {
	t.Helper()
	s = httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{MaxVersion: most}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s, writeFile(t, "ca.pem", pemOf(s.Certificate().Raw))
}

func pemOf(der []byte) string {
	text := base64.StdEncoding.EncodeToString(der)
	var b strings.Builder
	b.WriteString("-----BEGIN CERTIFICATE-----\n")
	for ; len(text) > 64; text = text[64:] {
		b.WriteString(text[:64] + "\n")
	}
	return b.String() + text + "\n-----END CERTIFICATE-----\n"
}

func TestS15AndS16TLSOfProviders(t *testing.T) {
	s, ca, spoken := secureUpstream(t, tls.VersionTLS13)
	old, oldCA, oldSpoken := secureUpstream(t, tls.VersionTLS12)
	sum := sha256.Sum256(s.Certificate().RawSubjectPublicKeyInfo)
	right, wrong := "sha256/"+base64.StdEncoding.EncodeToString(sum[:]), "sha256/"+base64.StdEncoding.EncodeToString(make([]byte, 32))
	for name, tt := range map[string]struct {
		endpoint, tls string
		status        int
		said          string
	}{
		"a known root":       {s.URL, "ca: " + ca, 200, ""},
		"an unknown root":    {s.URL, "minVersion: '1.3'", 502, "certificate"},
		"TLS 1.2":            {old.URL, "ca: " + oldCA, 502, "protocol version"},
		"TLS 1.2, asked for": {old.URL, "ca: " + oldCA + ", minVersion: '1.2'", 200, "TLS 1.2 is weaker"},
		"a pinned key":       {s.URL, "ca: " + ca + ", pins: ['" + wrong + "', '" + right + "']", 200, ""},
		"no pinned key":      {s.URL, "ca: " + ca + ", pins: ['" + wrong + "', '" + strings.Replace(wrong, "AAAA", "BAAA", 1) + "']", 502, "no certificate of the chain has a pinned key"},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, nil, "-config", writeFile(t, "config.yaml", fmt.Sprintf("state: {path: none}\nproviders: {a: {endpoint: %q, apiKey: key-of-provider-a, tls: {%s}}}\nmodels: [{alias: 'claude-*', provider: a}]\n", tt.endpoint, tt.tls)))
			if res, body := p.post(t, ask(true)); res.StatusCode != tt.status {
				t.Errorf("%d %s", res.StatusCode, body)
			}
			eventually(t, "the log", func() bool { return strings.Contains(p.errw.String(), tt.said) })
		})
	}
	if spoken.Load() != tls.VersionTLS13 || oldSpoken.Load() != tls.VersionTLS12 {
		t.Errorf("spoken: %x and %x", spoken.Load(), oldSpoken.Load())
	}
	code, _, errw := run(t, nil, "validate", "-offline", "-config", writeFile(t, "c.yaml", "providers: {a: {endpoint: 'https://x.example', auth: none, tls: {pins: ['"+right+"']}}}\nmodels: [{name: m, provider: a}]\n"))
	if code != exitFailed || !strings.Contains(errw, "needs at least 2 pins") {
		t.Errorf("one pin: exit code %d, %s", code, errw)
	}
}

// S17 is the sum of the others; here: what is not there is told in the API's shape.
func TestS17UnknownPaths(t *testing.T) {
	p := start(t, nil, "-config", configFile(t, "", upstream(t, nil)))
	for _, path := range []string{"/v1/complete", "/v2/messages", "/v1/messages/batches", "/v1//messages", "/../etc/passwd", "/v1/messages/"} {
		if status, body := p.get(t, path); status != 404 || !strings.Contains(body, `"type":"error"`) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

func TestS18ForcedProviders(t *testing.T) {
	up := upstream(t, simulator.Always(good))
	p := start(t, nil, "-config", configFile(t, "", up))
	for _, name := range []string{"b", "A", "../a", "http://evil.example", strings.Repeat("x", 5000), "a\u202e"} {
		res, body := p.post(t, ask(false), "X-Anyproxy-Provider", name)
		if res.StatusCode != 400 || !strings.Contains(string(body), "invalid_request_error") || len(body) > 1000 || strings.Contains(string(body), "\u202e") {
			t.Errorf("%.20q: %d %.300s", name, res.StatusCode, body)
		}
	}
	if n := len(up.Requests()); n != 0 {
		t.Errorf("the upstream was asked %d times", n)
	}
}

func TestS21StrictConfiguration(t *testing.T) {
	text := "providers: {a: {endpoint: 'https://x.example', apiKey: sk-secret-of-mine, apiKye: sk-secret-of-mine}}\n" +
		"models: [{name: m, provider: a, weight: .nan}]\nretry: {maxDelay: 5}\nmodels: []\n---\na: b\n"
	code, _, errw := run(t, nil, "validate", "-offline", "-config", writeFile(t, "c.yaml", text))
	if code != exitFailed || strings.Contains(errw, "sk-secret-of-mine") {
		t.Errorf("exit code %d, %s", code, errw)
	}
	text = strings.ReplaceAll(strings.ReplaceAll(text, "models: []\n", ""), "---\na: b\n", "")
	code, _, errw = run(t, nil, "validate", "-offline", "-config", writeFile(t, "c.yaml", text))
	for _, want := range []string{"c.yaml:1:", "did you mean apiKey?", "models[0].weight", "retry.maxDelay"} {
		if code != exitFailed || !strings.Contains(errw, want) || strings.Contains(errw, "sk-secret-of-mine") {
			t.Errorf("%s: exit code %d, %s", want, code, errw)
		}
	}
}
