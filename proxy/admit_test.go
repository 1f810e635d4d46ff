package proxy_test

import (
	"net/http"
	"strings"
	"testing"
)

const keyed = one + `
apiKeys:
  - first-client-key
  - {name: ci, key: second-client-key, models: ["claude-haiku*"]}
`

func TestClientKeys(t *testing.T) {
	a := newUpstream(t, healthy)
	p := newHarness(t, keyed, map[string]*upstream{"a": a})
	for name, c := range map[string]struct {
		header []string
		status int
	}{
		"none":                   {nil, 401},
		"wrong":                  {[]string{"X-Api-Key", "first-client-keyx"}, 401},
		"prefix":                 {[]string{"X-Api-Key", "first-client"}, 401},
		"empty":                  {[]string{"X-Api-Key", ""}, 401},
		"empty bearer":           {[]string{"Authorization", "Bearer "}, 401},
		"basic":                  {[]string{"Authorization", "Basic first-client-key"}, 401},
		"the upstream's":         {[]string{"X-Api-Key", "upstream-secret"}, 401},
		"cookie":                 {[]string{"Cookie", "x-api-key=first-client-key"}, 401},
		"x-api-key":              {[]string{"X-Api-Key", "first-client-key"}, 200},
		"bearer":                 {[]string{"Authorization", "Bearer first-client-key"}, 200},
		"bearer, other case":     {[]string{"Authorization", "bearer first-client-key"}, 200},
		"both":                   {[]string{"X-Api-Key", "first-client-key", "Authorization", "Bearer first-client-key"}, 200},
		"right beside a wrong":   {[]string{"X-Api-Key", "nonsense", "Authorization", "Bearer first-client-key"}, 200},
		"a key of other models":  {[]string{"X-Api-Key", "second-client-key"}, 403},
		"the query is no header": {[]string{"X-Other", "first-client-key"}, 401},
	} {
		before := len(a.requests())
		got := p.ask(t, c.header...)
		if got.status != c.status {
			t.Errorf("%s: %d, want %d: %s", name, got.status, c.status, got.body)
		}
		kind, _ := got.errorType()
		if c.status == 401 && (kind != "authentication_error" || len(a.requests()) != before) {
			t.Errorf("%s: error %q, %d upstream requests", name, kind, len(a.requests())-before)
		}
		if c.status == 403 && kind != "permission_error" {
			t.Errorf("%s: error %q", name, kind)
		}
	}
	got := p.do(t, "POST", "/v1/messages", strings.Replace(streamRequest, "claude-x", "claude-haiku-4-5", 1), "X-Api-Key", "second-client-key")
	if got.status != 200 {
		t.Errorf("the limited key's own model: %d %s", got.status, got.body)
	}
	if rec := p.snapshot(t).Requests[0]; rec.Key != "ci" {
		t.Errorf("recorded under the key %q", rec.Key)
	}
	for _, u := range a.requests() {
		if h := u.Header.Get("X-Api-Key"); h != "upstream-secret" || u.Header.Get("Authorization") != "" {
			t.Errorf("the upstream was shown %q and %q", h, u.Header.Get("Authorization"))
		}
	}
	for _, path := range []string{"/health", "/"} {
		if got := p.do(t, "GET", path, ""); got.status != 200 {
			t.Errorf("GET %s without a key: %d", path, got.status)
		}
	}
	if got := p.do(t, "GET", "/v1/models", ""); got.status != 401 {
		t.Errorf("GET /v1/models without a key: %d", got.status)
	}
}

func TestHostsAndOrigins(t *testing.T) {
	p := newHarness(t, one+"allowedHosts: [proxy.internal]\n", map[string]*upstream{"a": newUpstream(t, healthy)})
	for _, c := range []struct {
		header, value string
		status        int
	}{
		{"Host", "localhost", 200},
		{"Host", "LOCALHOST:8080", 200},
		{"Host", "127.0.0.1:1", 200},
		{"Host", "127.7.7.7", 200},
		{"Host", "[::1]:8080", 200},
		{"Host", "proxy.internal:8080", 200},
		{"Host", "evil.example", 403},
		{"Host", "evil.example:8080", 403},
		{"Host", "127.0.0.1.evil.example", 403},
		{"Host", "localhost.evil.example", 403},
		{"Host", "10.0.0.1", 403},
		{"Host", "0.0.0.0", 403},
		{"Origin", "https://evil.example", 403},
		{"Origin", "http://localhost:3000", 403},
		{"Origin", "null", 403},
		{"Origin", "https://proxy.internal", 200},
	} {
		for _, path := range []string{"/v1/messages", "/health"} {
			method := map[string]string{"/v1/messages": "POST", "/health": "GET"}[path]
			got := p.do(t, method, path, streamRequest, c.header, c.value)
			if got.status != c.status {
				t.Errorf("%s %s with %s %s: %d, want %d", method, path, c.header, c.value, got.status, c.status)
			}
			if kind, _ := got.errorType(); c.status == 403 && kind != "permission_error" {
				t.Errorf("error %q", kind)
			}
			for name := range got.header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%s is answered", name)
				}
			}
		}
	}
	got := p.do(t, "OPTIONS", "/v1/messages", "", "Origin", "https://evil.example", "Access-Control-Request-Method", "POST")
	if got.status != 403 {
		t.Errorf("preflight: %d", got.status)
	}
}

func TestPassthroughShowsOnlyTheClientsOwnCredential(t *testing.T) {
	const yaml = `
providers:
  a: {endpoint: "a_URL", auth: passthrough}
models:
  - {alias: "claude-*", provider: a}
`
	ok := newUpstream(t, healthy)
	open := newHarness(t, yaml, map[string]*upstream{"a": ok})
	guarded := newHarness(t, yaml+"apiKeys: [our-client-key]\n", map[string]*upstream{"a": ok})
	for name, c := range map[string]struct {
		p                     *harness
		header                []string
		apiKey, authorization string
	}{
		"login":                           {open, []string{"Authorization", "Bearer sk-ant-oat-mine"}, "", "Bearer sk-ant-oat-mine"},
		"key":                             {open, []string{"X-Api-Key", "sk-ant-mine"}, "sk-ant-mine", ""},
		"login beside our key":            {guarded, []string{"Authorization", "Bearer sk-ant-oat-mine", "X-Api-Key", "our-client-key"}, "", "Bearer sk-ant-oat-mine"},
		"our key, no scheme":              {guarded, []string{"X-Api-Key", "our-client-key", "Authorization", "our-client-key"}, "", ""},
		"login beside x-anyproxy-key":     {guarded, []string{"Authorization", "Bearer sk-ant-oat-mine", "X-Anyproxy-Key", "our-client-key"}, "", "Bearer sk-ant-oat-mine"},
		"both beside x-anyproxy-key":      {guarded, []string{"Authorization", "Bearer sk-ant-oat-mine", "X-Api-Key", "sk-ant-mine", "X-Anyproxy-Key", "our-client-key"}, "sk-ant-mine", "Bearer sk-ant-oat-mine"},
		"our key twice":                   {guarded, []string{"X-Api-Key", "our-client-key", "X-Anyproxy-Key", "our-client-key"}, "", ""},
		"x-anyproxy-key that nobody asks": {open, []string{"Authorization", "Bearer sk-ant-oat-mine", "X-Anyproxy-Key", "whatever"}, "", "Bearer sk-ant-oat-mine"},
		"only our key":                    {guarded, []string{"Authorization", "Bearer our-client-key"}, "", ""},
	} {
		if got := c.p.ask(t, c.header...); got.status != 200 {
			t.Errorf("%s: %d %s", name, got.status, got.body)
			continue
		}
		all := ok.requests()
		u := all[len(all)-1]
		if u.Header.Get("X-Anyproxy-Key") != "" {
			t.Errorf("%s: our own header went on", name)
		}
		if u.Header.Get("X-Api-Key") != c.apiKey || u.Header.Get("Authorization") != c.authorization {
			t.Errorf("%s: the upstream was shown %q and %q", name, u.Header.Get("X-Api-Key"), u.Header.Get("Authorization"))
		}
	}

	if got := guarded.ask(t, "X-Api-Key", "our-client-key", "X-Anyproxy-Key", "another"); got.status != http.StatusUnauthorized {
		t.Errorf("a wrong x-anyproxy-key beside a right key: %d", got.status)
	}

	refusing := newUpstream(t, status(401))
	p := newHarness(t, strings.Replace(yaml, "models:\n", "  b: {endpoint: \"b_URL\", apiKey: upstream-secret}\nmodels:\n  - {alias: \"claude-*\", provider: b, tier: 2}\n", 1),
		map[string]*upstream{"a": refusing, "b": newUpstream(t, healthy)})
	for range 3 {
		got := p.ask(t, "X-Api-Key", "sk-ant-mine")
		if got.status != http.StatusUnauthorized || !strings.Contains(got.body, "told by the upstream 401") {
			t.Fatalf("the client's own credential was refused and it got %+v", got)
		}
	}
	if n := len(refusing.requests()); n != 3 {
		t.Errorf("asked %d times, want 3: nothing may cool", n)
	}
}
