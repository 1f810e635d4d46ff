package requestlog_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"

	"anyproxy/config"
	"anyproxy/internal/redact"
	"anyproxy/metrics"
	"anyproxy/proxy/requestlog"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const key = "local-upstream-key-0001"

var came = time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)

// saved is a request that one upstream refused and the next one answered.
func saved() *metrics.RequestRecord {
	attempts := []metrics.AttemptRecord{{
		Provider: "zai", Model: "glm-4.6", Start: came.Add(time.Millisecond), Duration: 40 * time.Millisecond,
		Status: 429, Outcome: "rate_limited", Reason: "too many requests",
	}, {
		Provider: "anthropic", Model: "claude-sonnet-4-5", Start: came.Add(42 * time.Millisecond), Duration: 2 * time.Second,
		TTFT: 350 * time.Millisecond, TPS: 78.5, Tokens: metrics.Tokens{Input: 12, Output: 130, CacheRead: 4000, CacheWrite: 70},
		Status: 200, Outcome: "ok", Cost: 0.0034,
	}}
	return &metrics.RequestRecord{
		ID: "req_01", Time: came, Method: "POST", Path: "/v1/messages", Model: "claude-sonnet", Stream: true, Session: "s-1",
		Phase: metrics.PhaseOK, Status: 200, Duration: 2042 * time.Millisecond, TTFT: 392 * time.Millisecond, TPS: 78.5,
		Tokens: attempts[1].Tokens, Cost: 0.0034,
		Decision: metrics.Decision{
			Alias:      "claude-*",
			Candidates: []metrics.Candidate{{Provider: "zai", Model: "glm-4.6", Tier: 1, Weight: 5}, {Provider: "anthropic", Model: "claude-sonnet-4-5", Tier: 1, Weight: 1}},
			Attempts:   attempts,
		},
	}
}

// exhausted is the same request when the second upstream fails too.
func exhausted() *metrics.RequestRecord {
	rec := saved()
	rec.Phase, rec.Status, rec.Error = metrics.PhaseFailed, 502, "no upstream answered"
	rec.TTFT, rec.TPS, rec.Tokens = 0, 0, metrics.Tokens{}
	a := &rec.Decision.Attempts[1]
	*a = metrics.AttemptRecord{Provider: a.Provider, Model: a.Model, Start: a.Start, Duration: a.Duration, Outcome: "connect", Reason: "connection refused"}
	return rec
}

func clientHeader() http.Header {
	return http.Header{
		"Content-Type": {"application/json"}, "User-Agent": {"claude-cli/2"}, "Anthropic-Beta": {"a-1", "b-2"},
		"X-Api-Key": {"client-key-000001"}, "Authorization": {"Bearer client-key-000001"}, "Cookie": {"c=1"},
	}
}

// numbered writes a line that can be told by its number.
func numbered(l *requestlog.Log, n int, body string) {
	l.Attempt(&metrics.RequestRecord{}, n, &metrics.AttemptRecord{}, nil, []byte(body))
}

func path(t testing.TB) string { return filepath.Join(t.TempDir(), "requests.jsonl") }

func open(t testing.TB, o requestlog.Options) *requestlog.Log {
	t.Helper()
	l, err := requestlog.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, l) })
	return l
}

func closed(t testing.TB, l *requestlog.Log) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

// entries decodes a file that must be sound JSON Lines.
func entries(t testing.TB, name string) []requestlog.Entry {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > 0 && b[len(b)-1] != '\n' {
		t.Fatalf("%s does not end in a newline", name)
	}
	var out []requestlog.Entry
	for line := range bytes.Lines(b) {
		var e requestlog.Entry
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("%s: %v in %.200q", name, err, line)
		}
		out = append(out, e)
	}
	return out
}

// eventually polls: the writer is another goroutine and tells nobody when it is done.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never came: %s", what)
		}
	}
}

func TestLines(t *testing.T) {
	name := path(t)
	l := open(t, requestlog.Options{Path: name, Redact: redact.New(key)})
	rec := saved()
	l.Attempt(rec, 1, &rec.Decision.Attempts[0], http.Header{"Retry-After": {"7"}, "Set-Cookie": {"a=b"}}, []byte(`{"type":"error"}`))
	l.Attempt(rec, 2, &rec.Decision.Attempts[1], http.Header{"Request-Id": {"up-1"}}, []byte("event: message_stop\ndata: {}\n\n"))
	l.Request(rec, clientHeader(), []byte(`{"model":"claude-sonnet", "n": 12345678901234567890}`))
	rec = exhausted()
	l.Attempt(rec, 2, &rec.Decision.Attempts[1], nil, nil)
	l.Request(rec, nil, nil)
	l.Request(&metrics.RequestRecord{ID: "req_02", Time: came, Model: "gpt-9", Phase: metrics.PhaseCanceled, TPS: math.Inf(1)}, nil, nil)
	closed(t, l)

	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "lines.golden")
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestBodiesByMode(t *testing.T) {
	for mode, want := range map[config.Bodies][]string{
		"":                  {"answer1", "answer2", "asked", "answer2", "asked", "asked"},
		config.BodiesAll:    {"answer1", "answer2", "asked", "answer2", "asked", "asked"},
		config.BodiesErrors: {"answer1", "", "", "answer2", "asked", ""},
		config.BodiesNone:   {"", "", "", "", "", ""},
	} {
		t.Run(string(mode), func(t *testing.T) {
			name := path(t)
			l := open(t, requestlog.Options{Path: name, Bodies: mode})
			ok, failed, left := saved(), exhausted(), saved()
			left.Phase = metrics.PhaseCanceled
			l.Attempt(ok, 1, &ok.Decision.Attempts[0], nil, []byte("answer1"))
			l.Attempt(ok, 2, &ok.Decision.Attempts[1], nil, []byte("answer2"))
			l.Request(ok, nil, []byte("asked"))
			l.Attempt(failed, 2, &failed.Decision.Attempts[1], nil, []byte("answer2"))
			l.Request(failed, nil, []byte("asked"))
			l.Request(left, nil, []byte("asked"))
			closed(t, l)
			var got []string
			for _, e := range entries(t, name) {
				got = append(got, e.Body)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%q, want %q", got, want)
			}
			if c := l.Capture(); (c == nil) != (mode == config.BodiesNone) {
				t.Errorf("capture: %v", c)
			}
		})
	}
}

func TestBodyMayBeReusedAtOnce(t *testing.T) {
	name := path(t)
	l := open(t, requestlog.Options{Path: name})
	body := []byte("first")
	for _, text := range []string{"first", "other", "third"} {
		copy(body, text)
		l.Request(saved(), nil, body)
	}
	copy(body, "later")
	closed(t, l)
	for i, e := range entries(t, name) {
		if want := []string{"first", "other", "third"}[i]; e.Body != want {
			t.Errorf("line %d: %q", i, e.Body)
		}
	}
}

// TestSecretsStayOut puts a secret into every field that foreign text can reach.
func TestSecretsStayOut(t *testing.T) {
	const odd = `quoted "\ key/0002`
	name := path(t)
	l := open(t, requestlog.Options{Path: name, Redact: redact.New(key, odd)})
	inJSON, err := json.Marshal(map[string]string{"text": odd, "b64": base64.StdEncoding.EncodeToString([]byte(odd))})
	if err != nil {
		t.Fatal(err)
	}
	inJSONInJSON, err := json.Marshal(map[string]string{"tool_result": string(inJSON)})
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{key, odd} {
		rec := exhausted()
		rec.Model, rec.Path, rec.Session, rec.Error = secret, "/v1/messages?k="+secret, secret, "refused "+secret
		rec.Decision.Alias, rec.Decision.Candidates[0].Skipped = secret, secret
		a := rec.Decision.Attempts[0]
		a.Reason, rec.Decision.Attempts[0].Reason = "key "+secret, secret
		header := http.Header{"User-Agent": {secret}, "X-Api-Key": {secret}, "Anthropic-Version": {secret, secret}}
		for _, body := range []string{secret, string(inJSON), string(inJSONInJSON), "data: " + string(inJSON)} {
			l.Request(rec, header, []byte(body))
			l.Attempt(rec, 1, &a, header, []byte(body))
		}
	}
	closed(t, l)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"0001", "0002", "quoted", base64.StdEncoding.EncodeToString([]byte(odd))[:12]} {
		if i := bytes.Index(b, []byte(part)); i >= 0 {
			t.Errorf("%q in %q", part, b[max(0, i-60):i+60])
		}
	}
	if got := entries(t, name); len(got) != 16 || l.Dropped() != 0 {
		t.Errorf("%d lines, %d dropped", len(got), l.Dropped())
	}
}

// TestSecretThatIsNewWhenTheLineIsWritten stays out of lines that were found
// clean before it was known: a client can tell of a key that is then configured.
func TestSecretThatIsNewWhenTheLineIsWritten(t *testing.T) {
	name := path(t)
	synctest.Test(t, func(t *testing.T) { // so that the writer waits for more lines until the log is closed
		r := redact.New(key)
		l := open(t, requestlog.Options{Path: name, Redact: r})
		const next = "local-upstream-key-0002"
		l.Request(saved(), nil, []byte("put "+next+" into the configuration"))
		r.Set(key, next)
		closed(t, l)
		if got := entries(t, name); len(got) != 1 || got[0].Body != "put "+redact.Dots+" into the configuration" {
			t.Errorf("%+v", got)
		}
	})
}

// TestRedactionKeepsTheLineReadable: a secret may look like the log's own syntax
// or be a placeholder that is one of its words.
func TestRedactionKeepsTheLineReadable(t *testing.T) {
	name := path(t)
	l := open(t, requestlog.Options{Path: name, Redact: redact.New(`","direction":"`, "provider", `"success":true`)})
	rec := saved()
	rec.Error = "no provider"
	l.Request(rec, nil, []byte(`{"provider":1}`))
	closed(t, l)
	got := entries(t, name)
	if len(got) != 1 || l.Dropped() != 0 {
		t.Fatalf("%d lines, %d dropped", len(got), l.Dropped())
	}
	if e := got[0]; e.Direction != "request" || e.Provider != "anthropic" || !e.Success || e.Error != "no "+redact.Dots || e.Body != `{"`+redact.Dots+`":1}` {
		t.Errorf("%+v", e)
	}
}

func TestFileIsPrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED: modes, because there are no permission bits")
	}
	dir := t.TempDir()
	name := filepath.Join(dir, "deep", "er", "requests.jsonl")
	open(t, requestlog.Options{Path: name})
	old := filepath.Join(dir, "old.jsonl")
	if err := os.WriteFile(old, []byte("{}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	l := open(t, requestlog.Options{Path: old})
	l.Request(saved(), nil, nil)
	closed(t, l)
	for file, want := range map[string]os.FileMode{name: 0o600, filepath.Dir(name): 0o700, filepath.Join(dir, "deep"): 0o700, old: 0o600} {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s: %o, want %o", file, info.Mode().Perm(), want)
		}
	}
	if got := entries(t, old); len(got) != 2 {
		t.Errorf("%d lines: what was there must stay", len(got))
	}
}

func TestSymbolicLinkIsRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED: links, which need a privilege here")
	}
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "requests.jsonl")
	if err := os.WriteFile(target, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if _, err := requestlog.Open(requestlog.Options{Path: link}); err == nil || !strings.Contains(err.Error(), "symbolic link") {
		t.Errorf("%v", err)
	}
	if b, err := os.ReadFile(target); err != nil || string(b) != "precious" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestRotation(t *testing.T) {
	for _, keep := range []int{0, 1, 3} {
		t.Run(fmt.Sprint(keep), func(t *testing.T) {
			name := path(t)
			l := open(t, requestlog.Options{Path: name, MaxSize: 2000, Keep: keep})
			const lines = 40
			for i := range lines {
				numbered(l, i+1, strings.Repeat("x", 300))
			}
			numbered(l, lines+1, strings.Repeat("y", 5000)) // larger than a file may be
			closed(t, l)
			last := lines + 1
			for _, file := range files(name, keep) {
				got := entries(t, file)
				if len(got) == 0 {
					t.Fatalf("%s is empty", file)
				}
				for i := len(got) - 1; i >= 0; i, last = i-1, last-1 {
					if got[i].AttemptNumber != last {
						t.Fatalf("%s: line %d where %d should be", file, got[i].AttemptNumber, last)
					}
				}
				if info, err := os.Stat(file); err != nil || info.Size() > 2000 && len(got) > 1 || info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
					t.Errorf("%s: %v, %v", file, info, err)
				}
			}
			if found, _ := filepath.Glob(name + "*"); len(found) != keep+1 || l.Dropped() != 0 {
				t.Errorf("%q, %d dropped", found, l.Dropped())
			}
		})
	}
}

// files names the newest file first.
func files(name string, keep int) []string {
	out := []string{name}
	for i := range keep {
		out = append(out, fmt.Sprintf("%s.%d", name, i+1))
	}
	return out
}

func TestRotationLosesNothing(t *testing.T) {
	name := path(t)
	l := open(t, requestlog.Options{Path: name, MaxSize: 4000, Keep: 1000})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				l.Request(saved(), clientHeader(), []byte("body"))
			}
		})
	}
	wg.Wait()
	closed(t, l)
	all, err := filepath.Glob(name + "*")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, file := range all {
		n += len(entries(t, file))
	}
	if n != 400 || len(all) < 50 {
		t.Errorf("%d lines in %d files", n, len(all))
	}
}

func TestRotationThatFailsGoesOnInTheSameFile(t *testing.T) {
	name := path(t)
	// A folder that is not empty cannot be replaced by a file.
	if err := os.MkdirAll(filepath.Join(name+".1", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	var out syncBuffer
	l := open(t, requestlog.Options{Path: name, MaxSize: 1000, Keep: 1, Logger: slog.New(slog.NewTextHandler(&out, nil))})
	for i := range 20 {
		numbered(l, i+1, strings.Repeat("x", 300))
	}
	closed(t, l)
	if got := entries(t, name); len(got) != 20 || l.Dropped() != 0 {
		t.Errorf("%d lines, %d dropped", len(got), l.Dropped())
	}
	if n := strings.Count(out.String(), "cannot rotate"); n != 1 {
		t.Errorf("%d warnings: %s", n, out.String())
	}
}

func TestFileMovedAwayIsMadeAnew(t *testing.T) {
	name := path(t)
	l := open(t, requestlog.Options{Path: name})
	written := func(file string, n int) func() bool {
		return func() bool { b, _ := os.ReadFile(file); return bytes.Count(b, []byte("\n")) == n }
	}
	l.Request(saved(), nil, nil)
	eventually(t, "the first line", written(name, 1))
	if err := os.Rename(name, name+".moved"); err != nil {
		t.Fatal(err)
	}
	l.Request(saved(), nil, nil)
	eventually(t, "a line in a new file", written(name, 1))
	if err := os.RemoveAll(filepath.Dir(name)); err != nil {
		t.Fatal(err)
	}
	l.Request(saved(), nil, nil)
	eventually(t, "a line in a new folder", written(name, 1))
	if l.Dropped() != 0 {
		t.Errorf("%d dropped", l.Dropped())
	}
}

// TestLossIsReportedAndHealed: a link in the file's place makes it unwritable for
// every user, and going away it makes it writable again.
func TestLossIsReportedAndHealed(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED: links, which need a privilege here")
	}
	name := path(t)
	var out syncBuffer
	var clock fakeClock
	l := open(t, requestlog.Options{Path: name, Now: clock.now, Logger: slog.New(slog.NewTextHandler(&out, nil))})
	if err := os.Rename(name, name+".old"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", name); err != nil {
		t.Fatal(err)
	}
	lose := func(total int64) {
		l.Request(saved(), nil, nil)
		eventually(t, "a lost line", func() bool { return l.Dropped() == total })
	}
	warnings := func() int { return strings.Count(out.String(), "lines lost") }
	lose(1)
	eventually(t, "the first warning", func() bool { return warnings() == 1 })
	lose(2)
	lose(3) // the writer has done with line 2, its report included, before it lost this one
	if warnings() != 1 {
		t.Errorf("more than one warning in a minute: %s", out.String())
	}
	clock.add(time.Minute)
	lose(4)
	eventually(t, "the second warning", func() bool { return warnings() == 2 })
	if !strings.Contains(out.String(), "lines=3") || !strings.Contains(out.String(), "symbolic link") {
		t.Errorf("%s", out.String())
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	l.Request(saved(), nil, nil)
	closed(t, l)
	if got := entries(t, name); len(got) != 1 || l.Dropped() != 4 {
		t.Errorf("%d lines, %d dropped", len(got), l.Dropped())
	}
}

func TestFullDisk(t *testing.T) {
	const full = "/dev/full"
	if _, err := os.Stat(full); err != nil {
		t.Skipf("NOT TESTED: a full disk, because there is no %s", full)
	}
	var out syncBuffer
	l := open(t, requestlog.Options{Path: full, MaxSize: 1000, Logger: slog.New(slog.NewTextHandler(&out, nil))})
	for range 50 {
		l.Request(saved(), nil, []byte("body"))
	}
	closed(t, l)
	if l.Dropped() != 50 || !strings.Contains(out.String(), "no space left") {
		t.Errorf("%d dropped: %s", l.Dropped(), out.String())
	}
	if info, err := os.Stat(full); err != nil || info.Mode().IsRegular() || info.Mode().Perm() == 0o600 {
		t.Errorf("the device was changed: %v, %v", info, err)
	}
}

func TestOffAndClosed(t *testing.T) {
	var off *requestlog.Log
	off.Request(saved(), nil, nil)
	off.Attempt(saved(), 1, &metrics.AttemptRecord{}, nil, nil)
	c := off.Capture()
	c.Append([]byte("x"))
	if c.Bytes() != nil || off.Dropped() != 0 || off.Close(context.Background()) != nil {
		t.Error("a log that is off did something")
	}
	name := path(t)
	l := open(t, requestlog.Options{Path: name})
	closed(t, l)
	closed(t, l)
	l.Request(saved(), nil, nil)
	if got := entries(t, name); len(got) != 0 || l.Dropped() != 1 {
		t.Errorf("%d lines, %d dropped", len(got), l.Dropped())
	}
}

func TestConcurrentWritesKeepEveryLine(t *testing.T) {
	name := path(t)
	l := open(t, requestlog.Options{Path: name})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 50 {
				l.Request(&metrics.RequestRecord{ID: fmt.Sprintf("%d-%d", g, i)}, clientHeader(), bytes.Repeat([]byte("b"), i*100))
			}
		})
	}
	wg.Wait()
	closed(t, l)
	seen := make(map[string]bool)
	for _, e := range entries(t, name) {
		seen[e.RequestID] = true
	}
	if len(seen) != 400 || l.Dropped() != 0 {
		t.Errorf("%d lines, %d dropped", len(seen), l.Dropped())
	}
}

func TestCaptureIsBounded(t *testing.T) {
	l := open(t, requestlog.Options{Path: path(t)})
	c := l.Capture()
	c.Append([]byte("event: "))
	c.Append([]byte("ping\n\n"))
	if got := string(c.Bytes()); got != "event: ping\n\n" {
		t.Errorf("%q", got)
	}
	chunk := bytes.Repeat([]byte("x"), 100_000)
	for range 20 {
		c.Append(chunk)
	}
	for range 2 { // Bytes can be asked again
		got := c.Bytes()
		note := fmt.Sprintf("\n[%d more bytes are not in the log]", 13+20*len(chunk)-requestlog.CaptureLimit)
		if len(got) != requestlog.CaptureLimit+len(note) || !bytes.HasSuffix(got, []byte(note)) {
			t.Errorf("%d bytes, ending in %q", len(got), got[len(got)-50:])
		}
	}
}

// TestNoHalfSecretAtTheEndOfALongAnswer moves a secret over the place where an
// answer is cut, byte by byte.
func TestNoHalfSecretAtTheEndOfALongAnswer(t *testing.T) {
	l := open(t, requestlog.Options{Path: path(t), Redact: redact.New(key)})
	text := bytes.Repeat([]byte("of the stream "), requestlog.CaptureLimit/14+1)
	for before := range len(key) + 2 {
		c := l.Capture()
		c.Append(text[:requestlog.CaptureLimit-before])
		c.Append([]byte(key))
		c.Append(text[:20_000])
		clean := redact.New(key).Bytes(c.Bytes())
		if part := key[:4]; bytes.Contains(clean, []byte(part)) {
			t.Fatalf("%q with %d bytes before the cut: %.80q", part, before, clean[bytes.Index(clean, []byte(part)):])
		}
		if len(clean) < requestlog.CaptureLimit-20_000 {
			t.Errorf("only %d bytes are left", len(clean))
		}
		c.Release()
	}
}

func TestCaptureIsUsedAgain(t *testing.T) {
	l := open(t, requestlog.Options{Path: path(t)})
	for range 3 {
		c := l.Capture()
		if got := c.Bytes(); len(got) != 0 {
			t.Fatalf("%q is left of another answer", got)
		}
		c.Append([]byte("an answer"))
		c.Release()
	}
}

// FuzzLine: whatever a body and an error hold, the file is sound JSON Lines, the
// body comes back, and the secret does not.
func FuzzLine(f *testing.F) {
	f.Add(key, `{"text":"`, `"}`)
	f.Add(`a "quoted\ key`, "data: ", "\n\n")
	f.Add("\x10esponse", "\\", "") // a match that begins inside an escape
	f.Add("n-local-key", "\n-local-key ", "")
	f.Add("response", "\xff\u2028", "\x00\x1b")
	name := path(f)
	f.Fuzz(func(t *testing.T, secret, before, after string) {
		if len(secret) < redact.MinLength || len(secret) > 200 || !utf8.ValidString(secret) || strings.ContainsAny(secret, redact.Dots) {
			return // not a key
		}
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		l := open(t, requestlog.Options{Path: name, Redact: redact.New(secret)})
		rec := exhausted()
		rec.Error = before + secret + after
		l.Request(rec, nil, []byte(before+secret+after))
		l.Request(rec, nil, []byte(before))
		closed(t, l)
		got := entries(t, name)
		if len(got) != 2 {
			t.Errorf("%d lines, %d dropped", len(got), l.Dropped())
		}
		for _, e := range got {
			if strings.Contains(e.Body, secret) || strings.Contains(e.Error, secret) {
				t.Errorf("%q survives in %q", secret, e.Body)
			}
		}
		if clean := redact.New(secret).String(before); len(got) == 2 && clean == before && utf8.ValidString(before) && got[1].Body != before {
			t.Errorf("%q became %q", before, got[1].Body)
		}
	})
}

type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

type fakeClock struct {
	mu     sync.Mutex
	offset time.Duration
}

func (c *fakeClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return came.Add(c.offset)
}

func (c *fakeClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}

// The benchmarks write to the null device: a disk's speed is not ours.
func benchmarkLog(b *testing.B, bodies config.Bodies) *requestlog.Log {
	return open(b, requestlog.Options{Path: os.DevNull, Bodies: bodies, Redact: redact.New(key)})
}

// BenchmarkRequest is what a line costs the request that it tells of. What the
// writer does not keep up with is dropped.
func BenchmarkRequest(b *testing.B) {
	body := bytes.Repeat([]byte(`{"text":"func main() {}\n"},`), 100_000/27)
	for _, bodies := range []config.Bodies{config.BodiesNone, config.BodiesAll} {
		b.Run(string(bodies), func(b *testing.B) {
			l := benchmarkLog(b, bodies)
			rec, header := saved(), clientHeader()
			b.ReportAllocs()
			for b.Loop() {
				l.Request(rec, header, body)
			}
			b.ReportMetric(float64(l.Dropped())/float64(b.N), "dropped/op")
		})
	}
}

// BenchmarkLine is the whole cost of a line, the writer's included.
func BenchmarkLine(b *testing.B) {
	for _, size := range []int{0, 2_000, 100_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			body := bytes.Repeat([]byte(`{"text":"func main() {}\n"},`), size/27)
			l := benchmarkLog(b, config.BodiesAll)
			rec, header := saved(), clientHeader()
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				l.Request(rec, header, body)
				if n++; n%100 == 0 { // before the queue is full
					closed(b, l)
					l = benchmarkLog(b, config.BodiesAll)
				}
			}
			closed(b, l)
			if l.Dropped() > 0 {
				b.Fatalf("%d dropped", l.Dropped())
			}
		})
	}
}

// A line over which the writer breaks is lost, counted and told; later ones are
// written.
func TestAPanicCostsALineAndNotTheLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "requests.jsonl")
	var said bytes.Buffer
	broken := true
	l, err := requestlog.Open(requestlog.Options{Path: path, MaxSize: 1, Keep: 3, Logger: slog.New(slog.NewTextHandler(&said, nil)), Now: func() time.Time {
		if broken { // while the second line asks whether to rotate
			broken = false
			panic("at a loss")
		}
		return time.Now()
	}})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		numbered(l, n, "")
	}
	if err := l.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) != 2 || l.Dropped() != 1 || !strings.Contains(said.String(), `part="request log" panic="at a loss"`) {
		t.Errorf("%v: %q, %d dropped: %s", err, files, l.Dropped(), said.String())
	}
}
