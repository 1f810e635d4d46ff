package openai

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"anyproxy/config"
)

func TestModelsAreAskedBesideTheCompletions(t *testing.T) {
	for endpoint, want := range map[string]string{
		"https://api.openai.com":                           "https://api.openai.com/v1/models",
		"https://api.openai.com/v1/":                       "https://api.openai.com/v1/models",
		"https://openrouter.ai/api/v1":                     "https://openrouter.ai/api/v1/models",
		"https://api.groq.com/openai/v1":                   "https://api.groq.com/openai/v1/models",
		"https://api.z.ai/api/coding/paas/v4":              "https://api.z.ai/api/coding/paas/v4/models",
		"https://x.example/v1beta/openai":                  "https://x.example/v1beta/openai/models",
		"https://x.example/deep/chat/completions":          "https://x.example/deep/models",
		"https://x.example/a%2Fb/v1":                       "https://x.example/a%2Fb/v1/models",
		"https://x.openai.azure.com":                       "",
		"https://x.example/openai/deployments/gpt":         "",
		"https://x.services.ai.azure.com/openai/v1":        "",
		"https://x.cognitiveservices.azure.com/openai/v1/": "",
	} {
		p, err := New(config.Provider{Name: "p", Endpoint: endpoint, Auth: config.AuthNone}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if want == "" {
			if _, err := p.Models(t.Context()); !errors.Is(err, ErrDeployments) {
				t.Errorf("%s: %v", endpoint, err)
			}
			continue
		}
		if got := p.address.list().String(); got != want {
			t.Errorf("%s: got %s, want %s", endpoint, got, want)
		}
	}
}

func TestModels(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/v1/models" || r.ContentLength != 0 {
			t.Errorf("asked %s %s", r.Method, r.URL)
		}
		io.WriteString(w, `{"data":[{"id":"m","max_model_len":8192}]}`)
	}))
	t.Cleanup(up.Close)
	u, _ := url.Parse(up.URL)
	p, err := New(config.Provider{Name: "p", Endpoint: u.String(), Auth: config.AuthNone}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	list, err := p.Models(t.Context())
	if err != nil || len(list.Models) != 1 || list.Models[0].ID != "m" || list.Models[0].Context != 8192 || len(list.Payloads) != 1 {
		t.Errorf("got %+v, %v", list, err)
	}
}
