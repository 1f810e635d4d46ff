package anthropic

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"anyproxy/config"
	"anyproxy/providers"
)

// echo is an upstream that keeps the last request and accepts it.
type echo struct {
	*httptest.Server
	// mu orders one exchange after another for the race detector, which does not
	// know that a writev happens before what is read of it.
	mu          sync.Mutex
	lastRequest *http.Request
	lastBody    []byte
}

func (e *echo) request() *http.Request {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lastRequest
}

func (e *echo) body() []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lastBody
}

func newEcho(t *testing.T) *echo {
	t.Helper()
	e := new(echo)
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		e.lastRequest = r
		e.lastBody, _ = io.ReadAll(r.Body)
		e.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"type":"message","content":[]}`)
	}))
	t.Cleanup(e.Close)
	return e
}

// oddBody is a request of about n bytes that any decoding would change.
func oddBody(model string, n int) string {
	return `{ "stream" : false,` + "\n\t" + `"metadata":{"model":"inner","user_id":"{\"model\":\"x\"}"},"big":123456789012345678901234567890,"float":1.0,"e":1E+2,` +
		`"tools":[{"name":"t","input_schema":{"properties":{"model":{"type":"string"}}}}],"esc":"\u00e9\/ \"model\":\"no\"","unknown_beta_field":{"z":1,"a":2},` +
		`"model" : ` + model + ` ,"messages":[{"role":"user","content":"` + strings.Repeat(`日本 \n\"model\": \"y\" 👋 \ud83d\ude00`, n/40) + `"}],"signature":"EqQB+/=="}`
}

func TestBodyGoesOutByteForByteButForTheModel(t *testing.T) {
	up := newEcho(t)
	p := newProvider(t, config.Provider{Endpoint: up.URL}, testKey)
	for _, n := range []int{0, 3_000, 600_000} {
		for _, tt := range []struct{ asked, model, want string }{
			{`"claude-opus-4-8"`, "claude-opus-4-8", `"claude-opus-4-8"`},
			{`"claude-\u006fpus"`, "claude-opus", `"claude-\u006fpus"`},
			{`"claude-opus-4-8"`, "a-much-longer-name-of-another-model", `"a-much-longer-name-of-another-model"`},
			{`"claude-opus-4-8"`, `m"\`, `"m\"\\"`},
		} {
			_, got := send(t, p, newRequest(t, oddBody(tt.asked, n), tt.model, false))
			if got.err != nil {
				t.Fatal(got.err)
			}
			want := oddBody(tt.want, n)
			if string(up.body()) != want {
				t.Errorf("%d bytes, %s to %s: the upstream got another body", n, tt.asked, tt.model)
			}
			if up.request().ContentLength != int64(len(want)) || up.request().TransferEncoding != nil {
				t.Errorf("content-length %d, transfer-encoding %v; want %d bytes", up.request().ContentLength, up.request().TransferEncoding, len(want))
			}
		}
	}
}

func TestURL(t *testing.T) {
	up := newEcho(t)
	for _, tt := range []struct {
		path, query, want string
		endpoint          providers.Endpoint
	}{
		{"", "", "/v1/messages", providers.Messages},
		{"/", "beta=true", "/v1/messages?beta=true", providers.Messages},
		{"/v1", "a=b&a=%20c", "/v1/messages?a=b&a=%20c", providers.Messages},
		{"/v1/", "", "/v1/messages/count_tokens", providers.CountTokens},
		{"/api/anthropic", "", "/api/anthropic/v1/messages", providers.Messages},
		{"/api/anthropic/v1/", "", "/api/anthropic/v1/messages", providers.Messages},
		{"/a%2Fb", "", "/a%2Fb/v1/messages", providers.Messages},
		{"/v1beta", "", "/v1beta/v1/messages", providers.Messages},
	} {
		p := newProvider(t, config.Provider{Endpoint: up.URL + tt.path}, testKey)
		r := plainRequest(t)
		r.Endpoint, r.RawQuery = tt.endpoint, tt.query
		if _, got := send(t, p, r); got.err != nil {
			t.Fatal(got.err)
		}
		if got := up.request().RequestURI; got != tt.want || up.request().Method != http.MethodPost {
			t.Errorf("endpoint %s: %s %s, want %s", tt.path, up.request().Method, got, tt.want)
		}
	}
}

func TestHeadersPassByAllowList(t *testing.T) {
	up := newEcho(t)
	p := newProvider(t, config.Provider{Endpoint: up.URL}, testKey)
	r := plainRequest(t)
	passed := http.Header{
		"Anthropic-Version": {"2023-06-01"}, "Anthropic-Beta": {"a-1, b-2", "c-3"}, "Anthropic-Not-Known-Yet": {"1", "2"},
		"Anthropic-Dangerous-Direct-Browser-Access": {"true"},
		"Content-Type": {"application/json"}, "Accept": {"application/json"}, "User-Agent": {"claude-cli/2.1.329 (external, sdk-cli)"},
		"X-App": {"cli"}, "X-Stainless-Lang": {"js"}, "X-Stainless-Retry-Count": {"0"},
		"X-Claude-Code-Session-Id": {"5f3c"}, "X-Claude-Code-Agent-Id": {"a1"},
	}
	r.Header = maps.Clone(passed)
	for name, value := range map[string]string{
		"X-Api-Key": "client-key", "Authorization": "Bearer client-key", "Proxy-Authorization": "Basic client-key", "Cookie": "client-key",
		"X-Forwarded-For": "10.0.0.1", "X-Forwarded-Proto": "https", "Forwarded": "for=10.0.0.1", "X-Anyproxy-Provider": "up", "Origin": "http://x",
		"Accept-Encoding": "gzip, deflate, br, zstd", "Connection": "keep-alive, x-stainless-secret, Anthropic-Hop", "Keep-Alive": "5",
		"Te": "trailers", "Upgrade": "h2c", "X-Stainless-Secret": "1", "Anthropic-Hop": "1", "Idempotency-Key": "k", "Expect": "x", "Content-Encoding": "gzip",
		"Referer": "x", "Host": "client-host", "Content-Length": "5",
	} {
		r.Header[name] = []string{value}
	}
	if _, got := send(t, p, r); got.err != nil {
		t.Fatal(got.err)
	}
	want := maps.Clone(passed)
	want["X-Api-Key"] = []string{testKey}
	want["Accept-Encoding"] = []string{"identity"}
	want["Content-Length"] = []string{fmt.Sprint(len(smallBody))}
	if got := up.request().Header; !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("upstream got\n%v\nwant\n%v", got, want)
	}
	if "http://"+up.request().Host != up.URL {
		t.Errorf("host %q, want that of %s", up.request().Host, up.URL)
	}
}

func TestAbsentUserAgentStaysAbsent(t *testing.T) {
	up := newEcho(t)
	p := newProvider(t, config.Provider{Endpoint: up.URL}, testKey)
	if _, got := send(t, p, plainRequest(t)); got.err != nil {
		t.Fatal(got.err)
	}
	if ua, ok := up.request().Header["User-Agent"]; ok {
		t.Errorf("user-agent %q, want none", ua)
	}
}

func TestConfiguredHeaders(t *testing.T) {
	up := newEcho(t)
	p := newProvider(t, config.Provider{Endpoint: up.URL, Headers: map[string]config.Secret{
		"x-tenant": config.NewSecret("t1"), "user-agent": config.NewSecret("ours"), "anthropic-beta": config.NewSecret("b-2, z-9"), "host": config.NewSecret("inner.example"),
	}}, testKey)
	r := plainRequest(t)
	betas := []string{"a-1", "b-2,c-3"}
	r.Header = http.Header{"User-Agent": {"theirs"}, "Anthropic-Beta": betas}
	if _, got := send(t, p, r); got.err != nil {
		t.Fatal(got.err)
	}
	h := up.request().Header
	if h.Get("X-Tenant") != "t1" || !slices.Equal(h["User-Agent"], []string{"ours"}) || up.request().Host != "inner.example" {
		t.Errorf("upstream got %v, host %s", h, up.request().Host)
	}
	if want := []string{"a-1", "b-2,c-3,z-9"}; !slices.Equal(h["Anthropic-Beta"], want) {
		t.Errorf("anthropic-beta %q, want %q", h["Anthropic-Beta"], want)
	}
	if betas[1] != "b-2,c-3" {
		t.Error("the client's header has been changed")
	}
}

func TestAuth(t *testing.T) {
	const oat = "sk-ant-oat01-token1234567890"
	both := providers.ClientAuth{APIKey: "client-key", Authorization: "Bearer client-token"}
	up := newEcho(t)
	for _, tt := range []struct {
		name   string
		auth   config.Auth
		key    string
		client providers.ClientAuth
		beta   string

		wantKey, wantAuthorization, wantBeta string
	}{
		{"default", "", testKey, both, "a-1", testKey, "", "a-1"},
		{"default, oauth token", "", oat, both, "a-1, b-2", "", "Bearer " + oat, "a-1, b-2," + oauthBeta},
		{"default, oauth token, no betas", "", oat, both, "", "", "Bearer " + oat, oauthBeta},
		{"default, oauth token, beta there", "", oat, both, "a-1, " + oauthBeta, "", "Bearer " + oat, "a-1, " + oauthBeta},
		{"x-api-key", config.AuthAPIKey, oat, both, "", oat, "", ""},
		{"bearer", config.AuthBearer, testKey, both, "", "", "Bearer " + testKey, ""},
		{"both", config.AuthBoth, testKey, both, "", testKey, "Bearer " + testKey, ""},
		{"passthrough", config.AuthPassthrough, testKey, both, "", "client-key", "Bearer client-token", ""},
		{"passthrough, key only", config.AuthPassthrough, testKey, providers.ClientAuth{APIKey: "client-key"}, "", "client-key", "", ""},
		{"passthrough, nothing", config.AuthPassthrough, testKey, providers.ClientAuth{}, "", "", "", ""},
		{"none", config.AuthNone, testKey, both, "a-1", "", "", "a-1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newProvider(t, config.Provider{Endpoint: up.URL, Auth: tt.auth}, tt.key)
			r := plainRequest(t)
			r.Auth = tt.client
			r.Header = http.Header{"X-Api-Key": {"proxy-key"}, "Authorization": {"Bearer proxy-key"}}
			if tt.beta != "" {
				r.Header["Anthropic-Beta"] = []string{tt.beta}
			}
			if _, got := send(t, p, r); got.err != nil {
				t.Fatal(got.err)
			}
			h := up.request().Header
			if got := h.Get("X-Api-Key"); got != tt.wantKey || len(h["X-Api-Key"]) > 1 {
				t.Errorf("x-api-key %q, want %q", h["X-Api-Key"], tt.wantKey)
			}
			if got := h.Get("Authorization"); got != tt.wantAuthorization || len(h["Authorization"]) > 1 {
				t.Errorf("authorization %q, want %q", h["Authorization"], tt.wantAuthorization)
			}
			if got := h.Get("Anthropic-Beta"); got != tt.wantBeta {
				t.Errorf("anthropic-beta %q, want %q", got, tt.wantBeta)
			}
		})
	}
}

// A kept-alive connection that the upstream has given up is no failure: the
// whole request goes out again on a new one.
func TestDeadIdleConnectionIsReplaced(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	bodies := make(chan string, 3)
	done := make(chan struct{})
	go func() {
		defer close(done)
		serveAndHangUp(l, bodies)
	}()
	p := newProvider(t, config.Provider{Endpoint: "http://" + l.Addr().String()}, testKey)
	t.Cleanup(func() { l.Close(); <-done })
	body := oddBody(`"claude-opus-4-8"`, 100_000)
	for range 2 {
		if _, got := send(t, p, newRequest(t, body, "other", false)); got.err != nil {
			t.Fatal(got.err)
		}
	}
	want := oddBody(`"other"`, 100_000)
	for i := range 3 {
		if got := <-bodies; got != want {
			t.Errorf("request %d: %d bytes, want the whole body of %d", i+1, len(got), len(want))
		}
	}
}

// serveAndHangUp answers the first request of the first connection, hangs up
// having read the second, and serves one request on the next connection.
func serveAndHangUp(l net.Listener, bodies chan<- string) {
	for _, answers := range [][]bool{{true, false}, {true}} {
		c, err := l.Accept()
		if err != nil {
			return
		}
		in := bufio.NewReader(c)
		for _, answer := range answers {
			r, err := http.ReadRequest(in)
			if err != nil {
				break
			}
			b, _ := io.ReadAll(r.Body)
			bodies <- string(b)
			if answer {
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 18\r\n\r\n"+`{"type":"message"}`)
			}
		}
		c.Close()
	}
}
