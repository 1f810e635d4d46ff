package openai

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"anyproxy/config"
	"anyproxy/providers"
	"anyproxy/providers/credential"
	"anyproxy/providers/upstream"
)

func TestAddress(t *testing.T) {
	for _, tt := range []struct{ endpoint, version, want string }{
		{"https://api.openai.com", "", "https://api.openai.com/v1/chat/completions"},
		{"https://api.openai.com/", "", "https://api.openai.com/v1/chat/completions"},
		{"https://api.openai.com/v1", "", "https://api.openai.com/v1/chat/completions"},
		{"https://api.openai.com/v1/", "", "https://api.openai.com/v1/chat/completions"},
		{"https://api.groq.com/openai/v1", "", "https://api.groq.com/openai/v1/chat/completions"},
		{"https://openrouter.ai/api", "", "https://openrouter.ai/api/v1/chat/completions"},
		{"https://api.perplexity.ai/chat/completions", "", "https://api.perplexity.ai/chat/completions"},
		{"https://generativelanguage.googleapis.com/v1beta/openai/", "", "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions"},
		{"https://api.z.ai/api/paas/v4", "", "https://api.z.ai/api/paas/v4/chat/completions"},
		{"http://localhost:11434/a%2Fb", "", "http://localhost:11434/a%2Fb/v1/chat/completions"},
		{"https://x.openai.azure.com", "2024-10-21", "https://x.openai.azure.com/openai/deployments/my%20model%2F1/chat/completions?api-version=2024-10-21"},
		{"https://x.openai.azure.com/openai/", "2024-10-21", "https://x.openai.azure.com/openai/deployments/my%20model%2F1/chat/completions?api-version=2024-10-21"},
		{"https://x.openai.azure.com/openai/deployments/fixed", "2024-10-21", "https://x.openai.azure.com/openai/deployments/fixed/chat/completions?api-version=2024-10-21"},
		{"https://x.openai.azure.com/openai/v1", "preview", "https://x.openai.azure.com/openai/v1/chat/completions?api-version=preview"},
		{"https://x.openai.azure.com", "", "https://x.openai.azure.com/openai/v1/chat/completions"},
	} {
		base, err := upstream.BaseURL(tt.endpoint)
		if err != nil {
			t.Fatal(err)
		}
		a := addressOf(base, tt.version)
		if got := a.of("my model/1").String(); got != tt.want {
			t.Errorf("%s with %q: %s, want %s", tt.endpoint, tt.version, got, tt.want)
		}
	}
}

func TestHeader(t *testing.T) {
	var seen shared[*http.Request]
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.set(r)
		answers(200, jsonType, choice(`{"content":"x"}`, `"stop"`))(w, r)
	}))
	t.Cleanup(up.Close)
	client := http.Header{"Authorization": {"Bearer sk-client"}, "X-Api-Key": {"sk-client"}, "Anthropic-Version": {"2023-06-01"}, "Anthropic-Beta": {"x"},
		"User-Agent": {"claude-cli"}, "X-Stainless-Lang": {"js"}, "Cookie": {"a=b"}, "X-Anyproxy-Provider": {"up"}, "X-Claude-Code-Session-Id": {"s"}}
	own := providers.ClientAuth{APIKey: "sk-own"}
	for _, tt := range []struct {
		name string
		cfg  config.Provider
		key  string
		auth providers.ClientAuth
		want map[string]string
	}{
		{"bearer", config.Provider{Auth: config.AuthBearer}, "k1", own, map[string]string{"Authorization": "Bearer k1"}},
		{"x-api-key", config.Provider{Auth: config.AuthAPIKey}, "k1", own, map[string]string{"X-Api-Key": "k1"}},
		{"both", config.Provider{Auth: config.AuthBoth}, "k1", own, map[string]string{"X-Api-Key": "k1", "Authorization": "Bearer k1"}},
		{"none", config.Provider{Auth: config.AuthNone}, "", own, map[string]string{}},
		{"passed through", config.Provider{Auth: config.AuthPassthrough}, "", own, map[string]string{"Authorization": "Bearer sk-own"}},
		{"passed through as it is", config.Provider{Auth: config.AuthPassthrough}, "", providers.ClientAuth{Authorization: "Bearer sk-own"}, map[string]string{"Authorization": "Bearer sk-own"}},
		{"Azure", config.Provider{Auth: config.AuthBearer, APIVersion: "2024-10-21"}, "k1", own, map[string]string{"Api-Key": "k1"}},
		{"Azure with Entra", config.Provider{Auth: config.AuthBearer, APIVersion: "2024-10-21"}, "eyJ0.x.y", own, map[string]string{"Authorization": "Bearer eyJ0.x.y"}},
		{"headers of the configuration", config.Provider{Auth: config.AuthBearer, Headers: map[string]config.Secret{"x-title": config.NewSecret("anyproxy"), "user-agent": config.NewSecret("me")}}, "k1", own,
			map[string]string{"Authorization": "Bearer k1", "X-Title": "anyproxy", "User-Agent": "me"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Name, tt.cfg.Endpoint = "up", up.URL
			src, err := credential.NewVault(credential.Options{Getenv: os.Getenv}).Resolve(config.SecretRef{Kind: config.SecretLiteral, Literal: config.NewSecret(tt.key)}, "up")
			if err != nil {
				t.Fatal(err)
			}
			p, err := New(tt.cfg, nil, src)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			r := newRequest(t, smallBody, "gpt-4o")
			r.Header, r.RawQuery, r.Auth = client, "beta=true", tt.auth
			if _, res := send(t, p, r); res.err != nil {
				t.Fatal(res.err)
			}
			want := map[string]string{"Content-Type": jsonType, "Accept": jsonType, "Accept-Encoding": "identity", "User-Agent": "anyproxy"}
			for name, value := range tt.want {
				want[name] = value
			}
			got := seen.get().Header.Clone()
			got.Del("Content-Length")
			for name := range got {
				if got.Get(name) != want[name] {
					t.Errorf("%s: %s, want %q", name, got.Get(name), want[name])
				}
				delete(want, name)
			}
			if len(want) > 0 || strings.Contains(seen.get().URL.RawQuery, "beta") {
				t.Errorf("missing %v; asked for %s", want, seen.get().URL)
			}
		})
	}
}

func TestNewRefusesWhatItCannotUse(t *testing.T) {
	for _, cfg := range []config.Provider{
		{Endpoint: "ftp://x"}, {Endpoint: "https://user:secret@x"}, {Endpoint: "https://x?secret=1"}, {Endpoint: "::"},
		{Endpoint: "https://x", TLS: config.TLS{MinVersion: "1.1"}},
	} {
		if p, err := New(cfg, nil, nil); err == nil || p != nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, %v", cfg.Endpoint, p, err)
		}
	}
}

func TestCountTokens(t *testing.T) {
	// Nobody listens: what is counted is counted here.
	p := newProvider(t, config.Provider{Endpoint: "http://127.0.0.1:1"})
	count := func(over string) (n int64) {
		t.Helper()
		r := newRequest(t, merged(t, over), "m")
		r.Endpoint = providers.CountTokens
		s, got := send(t, p, r)
		if got.err != nil {
			t.Fatal(got.err)
		}
		if _, err := fmt.Sscanf(got.bytes, `{"input_tokens":%d}`, &n); err != nil || s.Status != 200 || s.Header.Get("Content-Type") != jsonType {
			t.Fatalf("%d %v %s", s.Status, s.Header, got.bytes)
		}
		return n
	}
	small := count(`{"max_tokens":null}`)
	if small < 1 || small > 50 {
		t.Errorf("a greeting has %d tokens", small)
	}
	if n := count(`{"messages":[{"role":"user","content":"` + strings.Repeat("word ", 800) + `"}]}`); n < 900 || n > 1100 {
		t.Errorf("4000 letters have %d tokens", n)
	}
	image := `{"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"` + strings.Repeat("A", 400_000) + `"}}]}]}`
	if n := count(image); n < 1600 || n > 1700 {
		t.Errorf("an image has %d tokens", n)
	}
	if n := count(`{` + tools + `}`); n <= small {
		t.Errorf("tools have no tokens")
	}
	r := newRequest(t, `{"model":"m","messages":[]}`, "m")
	r.Endpoint = providers.CountTokens
	_, got := send(t, p, r)
	wantError(t, got.err, providers.ClassInvalid)
}

func TestCorrectionIsLearnt(t *testing.T) {
	var prompt shared[int]
	p := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", jsonType)
		fmt.Fprintf(w, `{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":%d,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":900}}}`, prompt.get())
	})
	body := merged(t, `{"messages":[{"role":"user","content":"`+strings.Repeat("word ", 1600)+`"}]}`)
	ask := func(body string, tokens int) float64 {
		t.Helper()
		prompt.set(tokens)
		if _, got := send(t, p, newRequest(t, body, "m")); got.err != nil {
			t.Fatal(got.err)
		}
		return p.Corrections()["m"]
	}
	if c := ask(smallBody, 5000); c != 0 {
		t.Errorf("learnt %v from a short request", c)
	}
	if c := ask(body, 900); c != 0 {
		t.Errorf("learnt %v from a prompt of 900 tokens", c)
	}
	if c := ask(body, 3000); c < 1.4 || c > 1.6 {
		t.Errorf("2000 estimated, 3000 counted: %v", c)
	}
	for range 40 {
		ask(body, 1_000_000)
	}
	if c := p.Corrections()["m"]; c < 1.99 || c > 2 {
		t.Errorf("a ratio of 500 gives %v, want the limit", c)
	}
	for range 40 {
		ask(body, 1001)
	}
	if c := p.Corrections()["m"]; c < 0.49 || c > 0.52 {
		t.Errorf("half as many as estimated: %v", c)
	}
	r := newRequest(t, body, "m")
	r.Endpoint = providers.CountTokens
	if _, got := send(t, p, r); !strings.HasPrefix(got.bytes, `{"input_tokens":10`) {
		t.Errorf("counts %s", got.bytes)
	}
}
