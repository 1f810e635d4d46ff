package redact_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"anyproxy/internal/redact"
)

const (
	key   = "local-upstream-key-0001"
	other = `odd/"key"\<&>+value`
)

func TestConfiguredSecretsAreReplaced(t *testing.T) {
	quoted := func(s string) string {
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	unquoted := func(s string) string { q := quoted(s); return q[1 : len(q)-1] }
	r := redact.New(key, other)
	for name, text := range map[string]string{
		"plain":               key,
		"base64":              base64.StdEncoding.EncodeToString([]byte(key)),
		"base64 unpadded":     base64.RawStdEncoding.EncodeToString([]byte(other)),
		"base64url":           base64.URLEncoding.EncodeToString([]byte(other)),
		"base64url unpadded":  base64.RawURLEncoding.EncodeToString([]byte(other)),
		"in JSON":             unquoted(other),
		"in JSON in JSON":     unquoted(unquoted(other)),
		"three times in JSON": unquoted(unquoted(unquoted(other))),
		"slash escaped":       `odd\/\"key\"\\<&>+value`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, around := range [][2]string{{"", ""}, {"a ", " b"}, {"x", "y"}, {`{"k":"`, `"}`}} {
				got := r.String(around[0] + text + around[1])
				if want := around[0] + redact.Dots + around[1]; got != want {
					t.Errorf("%q, want %q", got, want)
				}
			}
		})
	}
}

func TestLongestSecretFirst(t *testing.T) {
	r := redact.New("abcdefgh", "abcdefghijkl", "efghijklmnop")
	if got := r.String("<abcdefghijklmnop> abcdefgh"); got != "<"+redact.Dots+"mnop> "+redact.Dots {
		t.Error(got)
	}
}

func TestShortValuesAreIgnored(t *testing.T) {
	const text = "a test is a test, 1234567"
	if got := redact.New("", "test", "1234567").String(text); got != text {
		t.Error(got)
	}
}

func TestNothingFoundReturnsTheSameBytes(t *testing.T) {
	b := []byte("no secret in here, only the word key-0001")
	if got := redact.New(key).Bytes(b); &got[0] != &b[0] {
		t.Error("a copy was made")
	}
	if got := redact.New(key).Bytes(nil); got != nil {
		t.Errorf("nil became %q", got)
	}
}

func TestInputIsNeverChanged(t *testing.T) {
	b := []byte("x " + key + " y")
	redact.New(key).Bytes(b)
	if string(b) != "x "+key+" y" {
		t.Errorf("%q", b)
	}
}

func TestSetReplacesTheValues(t *testing.T) {
	r := redact.New("first-secret")
	r.Set("second-secret")
	if got := r.String("first-secret second-secret"); got != "first-secret "+redact.Dots {
		t.Error(got)
	}
}

func TestSetWhileInUse(t *testing.T) {
	r := redact.New(key)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 50 {
				r.Set(key, fmt.Sprintf("another-key-%d-%d", i, j))
				if got := r.String("<" + key + ">"); got != "<"+redact.Dots+">" {
					t.Error(got)
				}
			}
		})
	}
	wg.Wait()
}

func TestKnownShapes(t *testing.T) {
	r := redact.New()
	for _, secret := range []string{
		"sk-ant-api03-" + strings.Repeat("aB3_x-", 15) + "AA",
		"sk-ant-oat01-abcdefghij",
		"sk-" + strings.Repeat("aB3d", 12),
		"sk-proj-" + strings.Repeat("Ab_c9", 3) + strings.Repeat("xYz12", 8),
		"sk-deepseek0123456789abcdef",
		"sk-or-v1-" + strings.Repeat("0123456789abcdef", 4),
		"AKIAIOSFODNN7EXAMPLE",
		"ASIAIOSFODNN7EXAMPLE",
	} {
		for _, around := range [][2]string{{"", ""}, {"invalid key: ", "."}, {`{"k":"`, `"}`}, {`text\n`, `\n`}, {`key=\u003c`, `\u003E`}, {"'", "' was refused"}} {
			if got, want := r.String(around[0]+secret+around[1]), around[0]+redact.Dots+around[1]; got != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
	}
	for in, want := range map[string]string{
		"Authorization: Bearer eyJhbGciOi.J9eyJz-dWIi_x1":    "Authorization: Bearer " + redact.Dots,
		"two: sk-ant-api03-abcdefghij,AKIAIOSFODNN7EXAMPLE":  "two: " + redact.Dots + "," + redact.Dots,
		"Credential=AKIAIOSFODNN7EXAMPLE/20260101/us-west-2": "Credential=" + redact.Dots + "/20260101/us-west-2",
		`"bearer 0123456789abcdef"`:                          `"bearer ` + redact.Dots + `"`,
	} {
		if got := r.String(in); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestOrdinaryTextStays(t *testing.T) {
	r := redact.New(key)
	for _, text := range []string{
		"pip install sk-learn", "sk-learn-contrib-and-other-long-names", `class="sk-toggleable__content-arrow-fitted"`,
		"sk-container-id-1 sk-estimator-doc-link", "sk-...", "export KEY=sk-ant-...", "sk-your-key",
		"task-0123456789abcdef0123456789", "risk-abcdefghijklmnop12345", "disk-by-uuid-0123456789abcdef0123",
		"Bearer authentication/authorization", "Bearer $TOKEN", "Bearer tokens are opaque", "the bearer of this letter",
		"forbearer 2", "AKIA", "AKIA is a prefix", "akiaiosfodnn7example", "xAKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE1",
		"EURASIAN", "ASIA PACIFIC 2026 REVENUES", "", "sk-", "Bearer ",
	} {
		if got := r.String(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestHeaderAllowList(t *testing.T) {
	r := redact.New(key)
	for _, name := range []string{"content-type", "Content-Length", "USER-AGENT", "anthropic-version", "anthropic-beta",
		"request-id", "retry-after", "anthropic-ratelimit-unified-reset", "x-stainless-os", "x-app",
		"x-claude-code-session-id", "x-anyproxy-provider", "date", "server"} {
		if got := r.Header(name, "v"); got != "v" {
			t.Errorf("%s: %q", name, got)
		}
	}
	for _, name := range []string{"authorization", "X-Api-Key", "x-anyproxy-key", "Cookie", "set-cookie", "proxy-authorization",
		"x-amz-security-token", "api-key", "x-unknown", "x-forwarded-for", "anthropic-organization-id", ""} {
		if got := r.Header(name, "v"); got != redact.Dots {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := r.Header("User-Agent", "tool/"+key); got != "tool/"+redact.Dots {
		t.Errorf("a secret in a shown header: %q", got)
	}
}

func TestWriter(t *testing.T) {
	var buf bytes.Buffer
	w := redact.New(key).Writer(&buf)
	line := "level=INFO key=" + key + "\n"
	if n, err := w.Write([]byte(line)); n != len(line) || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if buf.String() != "level=INFO key="+redact.Dots+"\n" {
		t.Errorf("%q", buf.String())
	}
	if n, err := redact.New(key).Writer(broken{}).Write([]byte(line)); n != 0 || !errors.Is(err, errBroken) {
		t.Errorf("%d, %v", n, err)
	}
}

var errBroken = errors.New("broken")

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errBroken }

// FuzzRedact: wherever a secret stands, in whichever encoding, it does not come through.
func FuzzRedact(f *testing.F) {
	f.Add(key, "before ", " after")
	f.Add(other, `{"a":"`, `"}`)
	f.Add("aaaaaaaa", "aaa", "aaaaaaaaaaaa")
	f.Add("sk-ant-1", "sk-ant-sk-", "0123456789")
	f.Fuzz(func(t *testing.T, secret, before, after string) {
		if len(secret) < redact.MinLength || strings.ContainsAny(secret, redact.Dots) {
			return // ignored by promise; or could be put together from the dots themselves
		}
		if len(secret) > 200 || len(before)+len(after) > 4000 {
			return // no key is that long; the search is quadratic in it
		}
		r := redact.New(secret)
		line, err := json.Marshal(before + secret + after)
		if err != nil {
			t.Fatal(err)
		}
		forms := []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret))}
		for _, form := range forms {
			if got := r.String(before + form + after); strings.Contains(got, form) {
				t.Errorf("%q survives in %q", form, got)
			}
		}
		if !utf8.ValidString(secret) {
			return // JSON cannot carry it
		}
		var decoded string
		if err := json.Unmarshal(r.Bytes(line), &decoded); err == nil && strings.Contains(decoded, secret) {
			t.Errorf("%q survives in JSON: %q", secret, decoded)
		}
	})
}

func BenchmarkBytes(b *testing.B) {
	values := make([]string, 10)
	for i := range values {
		values[i] = fmt.Sprintf("upstream-%d-key/%032x+", i, i)
	}
	r := redact.New(values...)
	code := []byte(strings.Repeat(`{\"type\":\"text\",\"text\":\"func main() { task-list; return nil } // risk-free\"},`, 1<<20/80))
	for name, size := range map[string]int{"2KB": 2 << 10, "100KB": 100 << 10, "32MB": 32 << 20} {
		b.Run(name, func(b *testing.B) {
			body := bytes.Repeat(code, size/len(code)+1)[:size]
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				r.Bytes(body)
			}
		})
	}
}
