package proxy_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestPaths(t *testing.T) {
	a := newUpstream(t, healthy)
	p := newHarness(t, one, map[string]*upstream{"a": a})
	for _, c := range []struct {
		method, path string
		status       int
		kind         string
		allow        string
	}{
		{"GET", "/", 200, "", ""},
		{"HEAD", "/", 200, "", ""},
		{"POST", "/", 405, "invalid_request_error", "GET, HEAD"},
		{"GET", "/health", 200, "", ""},
		{"GET", "/v1/messages", 405, "invalid_request_error", "POST"},
		{"DELETE", "/v1/messages", 405, "invalid_request_error", "POST"},
		{"GET", "/v1/messages/count_tokens", 405, "invalid_request_error", "POST"},
		{"POST", "/v1/models", 405, "invalid_request_error", "GET, HEAD"},
		{"GET", "/v1/models?limit=1000", 200, "", ""},
		{"GET", "/v1/models/", 404, "not_found_error", ""},
		{"GET", "/v1/models/none", 404, "not_found_error", ""},
		{"GET", "/v1/models/claude-opus-9", 200, "", ""}, // a pattern covers it
		{"POST", "/v1/metrics", 200, "", ""},
		{"POST", "/v1/logs", 200, "", ""},
		{"POST", "/v1/traces", 200, "", ""},
		{"HEAD", "/api/hello", 404, "", ""},
		{"POST", "/v1/complete", 404, "not_found_error", ""},
		{"POST", "/v1/messages/", 404, "not_found_error", ""},
		{"POST", "//v1/messages", 404, "not_found_error", ""},
		{"GET", "/debug/pprof/", 404, "not_found_error", ""},
	} {
		got := p.do(t, c.method, c.path, "{}")
		kind, _ := got.errorType()
		if got.status != c.status || kind != c.kind || got.header.Get("Allow") != c.allow {
			t.Errorf("%s %s: %d %q allow %q, want %d %q %q", c.method, c.path, got.status, kind, got.header.Get("Allow"), c.status, c.kind, c.allow)
		}
		if c.kind != "" && !strings.Contains(got.body, `"request_id":"req_`) {
			t.Errorf("%s %s: no request id in %s", c.method, c.path, got.body)
		}
	}
	if len(a.requests()) != 0 {
		t.Error("an upstream was asked")
	}
}

func TestModels(t *testing.T) {
	u := newUpstream(t, healthy)
	p := newHarness(t, `
providers:
  a: {endpoint: "a_URL", apiKey: upstream-secret}
  b: {endpoint: "a_URL", apiKey: upstream-secret}
models:
  - {alias: "claude-*", provider: a}
  - {name: claude-sonnet-4-5, alias: [sonnet, "claude-sonnet*"], provider: a, weight: 5, context: 200000}
  - {name: glm-4.6, alias: sonnet, provider: b, weight: 2, context: 128000}
apiKeys: [every-model-key, {name: few, key: glm-models-key, models: ["glm*"]}]
`, map[string]*upstream{"a": u})
	var page struct {
		Data []struct {
			Type, ID, DisplayName, CreatedAt string
			ContextWindow                    int `json:"context_window"`
			Providers                        []string
			Weights                          map[string]float64
		}
		HasMore bool   `json:"has_more"`
		FirstID string `json:"first_id"`
		LastID  string `json:"last_id"`
	}
	got := p.do(t, "GET", "/v1/models?limit=1000", "", "X-Api-Key", "every-model-key")
	if err := json.Unmarshal([]byte(got.body), &page); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, m := range page.Data {
		ids = append(ids, m.ID)
	}
	if strings.Join(ids, " ") != "claude-sonnet-4-5 sonnet glm-4.6" || page.FirstID != "claude-sonnet-4-5" || page.LastID != "glm-4.6" || page.HasMore {
		t.Fatalf("list %s", got.body)
	}
	sonnet := page.Data[1]
	if sonnet.Type != "model" || sonnet.ContextWindow != 128000 || strings.Join(sonnet.Providers, " ") != "a b" || sonnet.Weights["a"] != 5 || sonnet.Weights["b"] != 2 {
		t.Errorf("sonnet: %+v", sonnet)
	}
	got = p.do(t, "GET", "/v1/models", "", "X-Api-Key", "glm-models-key")
	if strings.Contains(got.body, "sonnet") || !strings.Contains(got.body, "glm-4.6") {
		t.Errorf("a key of few models sees %s", got.body)
	}
	got = p.do(t, "GET", "/v1/models/glm-4.6", "", "X-Api-Key", "every-model-key")
	if got.status != 200 || !strings.Contains(got.body, `"id":"glm-4.6"`) {
		t.Errorf("one model: %+v", got)
	}
}

func TestBadRequestsAreRefusedBeforeAnyUpstream(t *testing.T) {
	a := newUpstream(t, healthy)
	p := newHarness(t, one, map[string]*upstream{"a": a})
	deep := strings.Repeat("[", 600) + strings.Repeat("]", 600)
	for name, c := range map[string]struct {
		body   string
		header []string
		status int
		word   string
	}{
		"empty":             {"", nil, 400, "empty"},
		"text":              {"hello", nil, 400, "JSON"},
		"array":             {"[]", nil, 400, "JSON"},
		"null":              {"null", nil, 400, "JSON"},
		"cut":               {`{"model":"claude-x","messages":[`, nil, 400, "JSON"},
		"two objects":       {`{"model":"claude-x"}{}`, nil, 400, "behind"},
		"no model":          {`{"messages":[]}`, nil, 400, "model"},
		"model null":        {`{"model":null}`, nil, 400, "model"},
		"model number":      {`{"model":5}`, nil, 400, "model"},
		"model blank":       {`{"model":" "}`, nil, 400, "model"},
		"model twice":       {`{"model":"claude-x","model":"claude-y"}`, nil, 400, "twice"},
		"model in capitals": {`{"model":"claude-x","MODEL":"claude-y"}`, nil, 400, "MODEL"},
		"stream twice":      {`{"model":"claude-x","stream":true,"stream":false}`, nil, 400, "stream"},
		"gzip behind":       {streamRequest, []string{"Content-Encoding", "identity, gzip"}, 415, "content-encoding"},
		"model too long":    {`{"model":"claude-` + strings.Repeat("x", 300) + `"}`, nil, 400, "256"},
		"model escaped 2x":  {`{"model":"claude-x","m\u006fdel":"claude-y"}`, nil, 400, "twice"},
		"stream string":     {`{"model":"claude-x","stream":"yes"}`, nil, 400, "stream"},
		"too deep":          {`{"model":"claude-x","x":` + deep + `}`, nil, 400, "512"},
		"too many blocks":   {`{"messages":[{"content":[` + strings.Repeat(`{},`, 10000) + `{}]}],"model":"claude-x"}`, nil, 400, "10000 content blocks"},
		"bad message":       {`{"messages":[{"content":[{]}],"model":"claude-x"}`, nil, 400, "JSON"},
		"gzip":              {streamRequest, []string{"Content-Encoding", "gzip"}, 415, "content-encoding"},
		"unknown model":     {`{"model":"\u202enone"}`, nil, 404, "none"},
		"unfit model":       {`{"model":"claude-\u001b[31m"}`, nil, 400, "control characters"},
	} {
		got := p.do(t, "POST", "/v1/messages", c.body, c.header...)
		kind, message := got.errorType()
		if got.status != c.status || kind == "" || !strings.Contains(message, c.word) || strings.ContainsRune(message, 0x1b) {
			t.Errorf("%s: %d %s %q, want %d and %q", name, got.status, kind, message, c.status, c.word)
		}
	}
	if n := len(a.requests()); n != 0 {
		t.Errorf("an upstream was asked %d times", n)
	}
	if s := p.snapshot(t); s.Providers[0].Failed != 0 {
		t.Error("held against the provider")
	}
}

func TestTooLargeIsSaidWithoutReading(t *testing.T) {
	p := newHarness(t, one, map[string]*upstream{"a": newUpstream(t, healthy)})
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10737418240\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(string(body), "request_too_large") {
		t.Errorf("status %d, body %s", res.StatusCode, body)
	}
}

// A refusal must not wait for a body that never comes.
func TestRefusalsDoNotWaitForTheBody(t *testing.T) {
	p := newHarness(t, keyed, map[string]*upstream{"a": newUpstream(t, healthy)})
	for name, c := range map[string]struct {
		head   string
		status int
	}{
		"wrong key":     {"POST /v1/messages HTTP/1.1\r\nX-Api-Key: wrong", 401},
		"wrong host":    {"POST /v1/messages HTTP/1.1\r\nX-Host: x", 401},
		"wrong path":    {"POST /v1/nothing HTTP/1.1\r\nX-A: b", 404},
		"wrong method":  {"PUT /v1/messages HTTP/1.1\r\nX-A: b", 405},
		"encoded":       {"POST /v1/messages HTTP/1.1\r\nX-Api-Key: first-client-key\r\nContent-Encoding: br", 415},
		"too large":     {"POST /v1/messages HTTP/1.1\r\nX-Api-Key: first-client-key\r\nContent-Length: 99999999999", 413},
		"a page's call": {"POST /v1/messages HTTP/1.1\r\nOrigin: https://evil.example", 403},
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		head := c.head
		if !strings.Contains(head, "Content-Length") {
			head += "\r\nContent-Length: 100"
		}
		fmt.Fprintf(conn, "%s\r\nHost: localhost\r\n\r\n{", head)
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second)) // less than a body may take
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else {
			_ = res.Body.Close()
			if res.StatusCode != c.status || !res.Close {
				t.Errorf("%s: status %d, connection kept: %v", name, res.StatusCode, !res.Close)
			}
		}
		_ = conn.Close()
	}
}

func TestConnectionsAreKept(t *testing.T) {
	p := newHarness(t, one, map[string]*upstream{"a": newUpstream(t, healthy)})
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	for range 3 {
		fmt.Fprintf(conn, "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(streamRequest), streamRequest)
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(res.Body); err != nil || string(body) != whole || res.Close {
			t.Fatalf("%v, closed %v, %q", err, res.Close, body)
		}
	}
}
