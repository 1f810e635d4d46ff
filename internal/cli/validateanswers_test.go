package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"anyproxy/config"
	"anyproxy/internal/simulator"
)

// validate runs the command on a configuration, without a terminal.
func validate(t *testing.T, yaml string, env map[string]string, args ...string) (code int, out, errw string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f.yaml")
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	getenv := func(name string) string {
		if v, ok := env[name]; ok {
			return v
		}
		return os.Getenv(name)
	}
	var o, e bytes.Buffer
	code = Run(t.Context(), append([]string{"validate", "-config", path}, args...), getenv, untouchable(t), &o, &e)
	return code, o.String(), strings.ReplaceAll(e.String(), path, "f.yaml")
}

const upstreamsKey42 = "sk-ant-api03-theUpstreamsKey0123456789"

// one is a configuration with one provider and a model m of it.
func one(provider string) string {
	return "providers: {p: {" + provider + "}}\nmodels: [{name: m, provider: p}]\n"
}

func TestValidateSaysWhatAProviderAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		code   int
		state  listState
		errw   string // a part
	}{
		"a list":                  {200, `{"data":[{"id":"m","max_input_tokens":100}]}`, 0, listListed, ""},
		"a refused key":           {401, `{"error":{"message":"invalid x-api-key ` + upstreamsKey42 + `"}}`, 1, listRefused, "anyproxy: error: provider p refuses its key: status 401: invalid x-api-key ••••••\nanyproxy: hint: set another apiKey"},
		"a login's token":         {401, `{"error":{"message":"OAuth authentication is currently not supported."}}`, 0, listForbidden, "could not be checked: status 401: OAuth"},
		"a key with few rights":   {403, `{"error":{"message":"Missing scopes: api.model.read"}}`, 0, listForbidden, "could not be checked: status 403: Missing scopes"},
		"no list":                 {404, `404 page not found`, 0, listNone, "cannot be checked, it has no list of them: status 404"},
		"no list, as it says":     {405, ``, 0, listNone, "cannot be checked, it has no list of them: status 405"},
		"a web page":              {200, `<html>`, 0, listNone, "it has no list of them: the answer is no list of models"},
		"an overload":             {529, `{"error":{"message":"Overloaded"}}`, 0, listUnreachable, "could not be checked: status 529: Overloaded"},
		"something for terminals": {500, `{"error":{"message":"\u001b[2J\u202edone\u009b1m"}}`, 0, listUnreachable, "status 500: \ufffd[2J\ufffddone\ufffd1m"},
		"names for terminals":     {200, `{"data":[{"id":"m\u001b"}]}`, 0, listListed, "nearest: m\ufffd"},
	} {
		t.Run(name, func(t *testing.T) {
			up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				io.WriteString(w, c.body)
			}))
			defer up.Close()
			yaml := one("endpoint: '" + up.URL + "', apiKey: env.KEY")
			env := map[string]string{"KEY": upstreamsKey42}
			code, out, errw := validate(t, yaml, env)
			if code != c.code || !strings.Contains(errw, c.errw) || c.errw == "" && errw != "" {
				t.Errorf("exit code %d, want %d; stderr:\n%s", code, c.code, errw)
			}
			if strings.Contains(out+errw, upstreamsKey42) || strings.ContainsAny(out+errw, "\x1b\u009b\u202e") {
				t.Errorf("told:\n%s%s", out, errw)
			}
			code, out, _ = validate(t, yaml, env, "-json")
			var doc validateJSON
			if err := json.Unmarshal([]byte(out), &doc); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if code != c.code || doc.Valid != (c.code == 0) || doc.Providers[0].List != c.state || len(doc.Targets) != 1 {
				t.Errorf("exit code %d, %+v", code, doc)
			}
		})
	}
}

// TestValidateWaitsForNobody has a provider that takes a request and never answers.
func TestValidateWaitsForNobody(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	up := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stop }))
	defer up.Close()
	defer close(stop)
	code, out, errw := validate(t, one("endpoint: '"+up.URL+"', auth: none"), nil)
	if code != 0 || !strings.Contains(errw, "no answer within 3s") || !strings.Contains(out, "unreachable") {
		t.Errorf("exit code %d; stderr:\n%sstdout:\n%s", code, errw, out)
	}
}

func TestValidateWithoutACredential(t *testing.T) {
	up := httptest.NewServer(http.NotFoundHandler())
	defer up.Close()
	code, _, errw := validate(t, one("endpoint: '"+up.URL+"', apiKey: 'cmd:false'"), nil)
	if code != 0 || !strings.Contains(errw, "anyproxy: warning: provider p: its models could not be checked: ") || strings.Count(errw, "\n") != 1 {
		t.Errorf("exit code %d; stderr:\n%s", code, errw)
	}
}

// TestValidateTriesEveryKeyOfAPool has an upstream that takes some of the keys.
func TestValidateTriesEveryKeyOfAPool(t *testing.T) {
	for name, c := range map[string]struct {
		taken string // words of the keys that are
		code  int
		errw  string
	}{
		"all":    {"one two three", 0, ""},
		"one":    {"two", 0, "anyproxy: warning: provider p: key 1, from env.KEY1: status 401: no\nanyproxy: warning: provider p: key 3, from env.KEY3: status 401: no\n"},
		"none":   {"", 1, "anyproxy: error: provider p refuses its key: status 401: no"},
		"two":    {"one three", 0, "anyproxy: warning: provider p: key 2, from env.KEY2: status 401: no\n"},
		"absent": {"down", 0, "anyproxy: warning: provider p: its models could not be checked: status 500"},
	} {
		up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			word := strings.TrimPrefix(r.Header.Get("X-Api-Key"), "a-key-of-the-pool-")
			switch {
			case c.taken == "down":
				w.WriteHeader(http.StatusInternalServerError)
			case strings.Contains(c.taken, word):
				io.WriteString(w, `{"data":[{"id":"m"}]}`)
			default:
				w.WriteHeader(http.StatusUnauthorized)
				io.WriteString(w, `{"error":{"message":"no"}}`)
			}
		}))
		defer up.Close()
		code, _, errw := validate(t, one("endpoint: '"+up.URL+"', apiKey: [env.KEY1, env.KEY2, env.KEY3]"),
			map[string]string{"KEY1": "a-key-of-the-pool-one", "KEY2": "a-key-of-the-pool-two", "KEY3": "a-key-of-the-pool-three"})
		if code != c.code || !strings.HasPrefix(errw, c.errw) || c.errw == "" && errw != "" {
			t.Errorf("%s: exit code %d; stderr:\n%s", name, code, errw)
		}
	}
}

// TestValidateSignsItsQuestions has the upstream check AWS's signature.
func TestValidateSignsItsQuestions(t *testing.T) {
	exportAWSKey(t)
	for name, secret := range map[string]string{"listed": awsSecret, "another secret": "other"} {
		u, err := simulator.Start(t.Context(), simulator.Options{AWS: awsAccount(simulator.AWSKey{Secret: secret, Token: awsToken}),
			Models: []string{"us.anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic.claude-opus-4-6-v1"}})
		if err != nil {
			t.Fatal(err)
		}
		defer u.Close()
		yaml := "providers:\n" + bedrockProvider("b", u) + "models:\n" +
			"  - {name: claude-sonnet-4-5, provider: b}\n  - {name: claude-opus-4-9, provider: b}\n  - {name: 'arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/x', provider: b}\n"
		code, out, errw := validate(t, yaml, nil)
		want := "provider b does not list claude-opus-4-9; nearest: anthropic.claude-opus-4-6-v1"
		if secret != awsSecret {
			want = "could not be checked: status 403: The request signature we calculated does not match"
		}
		if code != 0 || !strings.Contains(errw, want) || strings.Contains(errw, awsSecret) || strings.Contains(errw, awsToken) {
			t.Errorf("%s: exit code %d; stderr:\n%sstdout:\n%s", name, code, errw, out)
		}
	}
}

func TestValidateAsksAtTheSameTime(t *testing.T) {
	const n = 5
	all := make(chan struct{}, n)
	met := make(chan struct{})
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		all <- struct{}{}
		if len(all) == n {
			close(met)
		}
		select {
		case <-met:
			io.WriteString(w, `{"data":[{"id":"m"}]}`)
		case <-r.Context().Done():
		}
	}))
	defer up.Close()
	var yaml strings.Builder
	yaml.WriteString("providers:\n")
	for i := range n {
		fmt.Fprintf(&yaml, "  p%d: {type: openai, endpoint: %q, auth: none}\n", i, up.URL)
	}
	yaml.WriteString("models:\n")
	for i := range n {
		fmt.Fprintf(&yaml, "  - {name: m, provider: p%d}\n", i)
	}
	if code, _, errw := validate(t, yaml.String(), nil); code != 0 || errw != "" {
		t.Errorf("exit code %d; stderr:\n%s", code, errw)
	}
}

func TestFamilies(t *testing.T) {
	for name, want := range map[string]string{
		"claude-sonnet-4-5": "claude", "us.anthropic.claude-3-haiku-20240307-v1:0": "claude", "gpt-4o": "gpt", "openai/gpt-oss-120b": "gpt", "o3": "gpt", "openai/o4-mini": "gpt",
		"glm-4.6": "glm", "z-ai/glm-4.6": "glm", "Qwen/Qwen3-Coder": "qwen", "models/gemini-2.5-pro": "gemini", "my-deployment": "", "o": "", "opus": "",
	} {
		if got := familyOf(&config.Model{Name: name}); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// TestFeaturesFollowTheConversion holds that what a table says is what a request
// would be degraded by.
func TestFeaturesFollowTheConversion(t *testing.T) {
	b := &built{instances: map[string]*instance{}}
	doc, err := parseText("f.yaml", "providers: {o: {type: openai, endpoint: 'https://api.openai.com', auth: none}}\nmodels: [{name: gpt-4o, provider: o}, {name: gpt-5, provider: o, capabilities: {images: false}}]\n", os.Getenv)
	if err = errors.Join(err, explain(doc, "")); err != nil {
		t.Fatal(err)
	}
	i, err := b.instance(t.Context(), doc.Config, doc.Config.Providers[0], nil, os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	defer i.impl.Close()
	judged := judge(doc.Config, []*polled{{provider: &doc.Config.Providers[0], State: listNone}}, map[string]*instance{"o": i})
	got := map[string]feature{}
	for _, target := range judged {
		for _, f := range target.features {
			got[target.model.Name+" "+f.Name] = f
		}
	}
	for name, want := range map[string]bool{"gpt-4o thinking": false, "gpt-5 thinking": true, "gpt-4o images": true, "gpt-5 images": false, "gpt-4o tools": true, "gpt-4o betas": false} {
		if f := got[name]; f.Carried != want || want == (f.Why != "") {
			t.Errorf("%s: %+v", name, f)
		}
	}
	if lost := got["gpt-4o cache_control"].Lost; len(lost) != 1 || lost[0] != "cache_control" {
		t.Errorf("lost %q", lost)
	}
}
