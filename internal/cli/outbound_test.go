package cli

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"anyproxy/internal/grammar"
	"anyproxy/internal/simulator"
)

// outbound is a proxy of a company's network: it alone can reach the providers,
// which nobody else's name service knows.
type outbound struct {
	*httptest.Server
	hosts map[string]string // where a name and port lead

	mu    sync.Mutex
	asked []string // "CONNECT host:port", "POST http://host/path", in order
}

const (
	outboundUser     = "somebody"
	outboundPassword = "outbound-p@ssword"
)

func startOutbound(t *testing.T) *outbound {
	t.Helper()
	o := &outbound{hosts: map[string]string{}}
	o.Server = httptest.NewServer(o)
	t.Cleanup(o.Close)
	return o
}

func (o *outbound) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	o.asked = append(o.asked, r.Method+" "+r.RequestURI)
	to := o.hosts[r.Host]
	o.mu.Unlock()
	credentials := "Basic " + base64.StdEncoding.EncodeToString([]byte(outboundUser+":"+outboundPassword))
	switch {
	case r.Header.Get("Proxy-Authorization") != credentials:
		w.WriteHeader(http.StatusProxyAuthRequired)
	case to == "":
		w.WriteHeader(http.StatusBadGateway)
	case r.Method == http.MethodConnect:
		tunnel(w, to)
	default:
		// Whole: one that is passed on while it comes can cost the answer (golang/go#40747).
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		out := r.Clone(r.Context())
		out.Body = io.NopCloser(bytes.NewReader(body))
		out.RequestURI, out.URL.Host = "", to
		out.Header.Del("Proxy-Authorization")
		res, err := http.DefaultTransport.RoundTrip(out)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer res.Body.Close()
		maps.Copy(w.Header(), res.Header)
		w.WriteHeader(res.StatusCode)
		_, _ = io.Copy(w, res.Body) // whoever breaks off is seen by the other
	}
}

// tunnel carries bytes both ways until one side ends.
func tunnel(w http.ResponseWriter, to string) {
	there, err := net.Dial("tcp", to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer there.Close()
	w.WriteHeader(http.StatusOK)
	here, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer here.Close()
	done := make(chan struct{}, 2)
	carry := func(w io.Writer, r io.Reader) {
		_, _ = io.Copy(w, r)
		done <- struct{}{}
	}
	go carry(there, buffered)
	go carry(here, there)
	<-done
	_ = there.Close()
	_ = here.Close()
	<-done
}

func (o *outbound) requests() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.asked)
}

// TestOutboundProxies runs the program as a process of its own: the proxies
// that the environment names are read once in a process.
func TestOutboundProxies(t *testing.T) {
	o := startOutbound(t)
	lead := func(name string, s *httptest.Server) { o.hosts[name+".example.com:443"] = s.Listener.Addr().String() }
	signed := bedrockUpstream(t, awsAccount(simulator.AWSKey{Secret: awsSecret, Token: awsToken}), simulator.Always(good))
	chat, err := simulator.Start(t.Context(), simulator.Options{Script: simulator.Always(good), OpenAI: &simulator.Dialect{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(chat.Close)
	anthropic := upstream(t, simulator.Always(good))
	a, ca := secured(t, tls.VersionTLS13, anthropic)
	c, _ := secured(t, tls.VersionTLS13, chat)
	b, _ := secured(t, tls.VersionTLS13, signed)
	old, _ := secured(t, tls.VersionTLS12, anthropic)
	plain := upstream(t, simulator.Always(good))
	for name, s := range map[string]*httptest.Server{"anthropic": a, "openai": c, "bedrock": b, "old": old} {
		lead(name, s)
	}
	o.hosts["plain.example.com"] = strings.TrimPrefix(plain.URL(), "http://")

	sum := sha256.Sum256(a.Certificate().RawSubjectPublicKeyInfo)
	pin := func(sum []byte) string { return "'sha256/" + base64.StdEncoding.EncodeToString(sum) + "'" }
	right, wrong, other := pin(sum[:]), pin(make([]byte, 32)), pin(append(make([]byte, 31), 1))
	rows := []struct {
		name, host, provider string
		status               int
		said                 string // in the log, of what failed
	}{
		{"anthropic", "anthropic", "apiKey: key-of-a-provider, tls: {ca: CA}", 200, ""},
		{"openai", "openai", "type: openai, apiKey: key-of-a-provider, tls: {ca: CA}", 200, ""},
		{"bedrock", "bedrock", "type: bedrock, region: us-west-2, tls: {ca: CA}", 200, ""},
		{"pinned", "anthropic", "apiKey: key-of-a-provider, tls: {ca: CA, pins: [" + wrong + ", " + right + "]}", 200, ""},
		{"old-allowed", "old", "apiKey: key-of-a-provider, tls: {ca: CA, minVersion: '1.2'}", 200, ""},
		{"unknown-root", "anthropic", "apiKey: key-of-a-provider", 502, "certificate"},
		{"old", "old", "apiKey: key-of-a-provider, tls: {ca: CA}", 502, "protocol version"},
		{"mispinned", "anthropic", "apiKey: key-of-a-provider, tls: {ca: CA, pins: [" + wrong + ", " + other + "]}", 502, "no certificate of the chain has a pinned key"},
		{"refused", "nobody", "apiKey: key-of-a-provider, tls: {ca: CA}", 502, "Bad Gateway"},
		{"direct", "direct", "apiKey: key-of-a-provider, endpoint: 'https://direct.invalid'", 502, "lookup direct.invalid"}, // NO_PROXY, and a name that nobody knows
		{"plain", "", "apiKey: key-of-a-provider, endpoint: 'http://plain.example.com'", 200, ""},
	}
	var providers, models strings.Builder
	for _, r := range rows {
		if !strings.Contains(r.provider, "endpoint:") {
			r.provider += ", endpoint: 'https://" + r.host + ".example.com'"
		}
		fmt.Fprintf(&providers, "  %s: {%s}\n", r.name, strings.ReplaceAll(r.provider, "CA}", ca+"}"))
		fmt.Fprintf(&models, "  - {alias: claude-of-%s, name: claude-sonnet-4-5, provider: %s}\n", r.name, r.name)
	}
	text := strings.ReplaceAll(providers.String(), "CA,", ca+",")
	p := startChild(t, writeFile(t, "config.yaml", "state: {path: none}\nproviders:\n"+text+"models:\n"+models.String()),
		"HTTPS_PROXY=http://"+outboundUser+":"+strings.ReplaceAll(outboundPassword, "@", "%40")+"@"+o.Listener.Addr().String(),
		"HTTP_PROXY=http://"+outboundUser+":"+strings.ReplaceAll(outboundPassword, "@", "%40")+"@"+o.Listener.Addr().String(),
		"NO_PROXY=.invalid", "AWS_ACCESS_KEY_ID="+awsKeyID, "AWS_SECRET_ACCESS_KEY="+awsSecret, "AWS_SESSION_TOKEN="+awsToken)
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			before, said := len(o.requests()), len(p.errw.String())
			res, body := p.post(t, strings.Replace(ask(true), "claude-sonnet-4-5", "claude-of-"+r.name, 1))
			if m, err := grammar.Check(body); res.StatusCode != r.status || r.status == 200 && (err != nil || m.End != grammar.Complete) {
				t.Errorf("%d %v: %s", res.StatusCode, err, body)
			}
			eventually(t, r.said, func() bool { return strings.Contains(p.errw.String()[said:], r.said) })
			want := "CONNECT " + r.host + ".example.com:443"
			if r.host == "" {
				want = "POST http://plain.example.com/v1/messages?beta=true"
			}
			asked := slices.Contains(o.requests()[before:], want)
			if asked == (r.name == "direct") {
				t.Errorf("the proxy was asked %q, want %q", o.requests()[before:], want)
			}
		})
	}
	start, _, _ := strings.Cut(p.errw.String(), "attempt")
	for _, name := range []string{"HTTPS_PROXY", "HTTP_PROXY"} {
		if told := name + "=" + o.URL; strings.Count(p.errw.String(), told) != 1 || !strings.Contains(start, told) {
			t.Errorf("%s is not told once at the start: %s", told, start)
		}
	}
	p.silentAbout(t, nil, outboundPassword, strings.ReplaceAll(outboundPassword, "@", "%40"), "key-of-a-provider", awsSecret)
	for _, u := range []*simulator.Upstream{anthropic, chat, signed, plain} {
		for _, r := range u.Requests() {
			if r.Header.Get("Proxy-Authorization") != "" {
				t.Error("a provider was sent the proxy's password")
			}
		}
	}
}

// startChild runs the program in a process of its own until the test ends, with
// more in its environment.
func startChild(t *testing.T, file string, env ...string) *running {
	t.Helper()
	r := &running{}
	c := exec.Command(os.Args[0], "-listen", "127.0.0.1:0", "-config", file)
	c.Env = append(os.Environ(), append(env, childsTask+"=anyproxy", "LOG_LEVEL=DEBUG")...)
	c.Stdout, c.Stderr = &r.out, &r.errw
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		_ = c.Process.Signal(childEnds)
		if err := c.Wait(); err != nil {
			t.Errorf("the program: %v: %s", err, r.errw.String())
		}
	})
	eventually(t, "the program to serve", func() bool {
		if m := served.FindStringSubmatch(r.out.String()); m != nil {
			r.base = m[1]
		}
		return r.base != ""
	})
	return r
}
