package anthropic

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"anyproxy/config"
	"anyproxy/providers"
	"anyproxy/providers/upstream"
)

// tlsUpstream serves over TLS at most of the given version and gives the
// config of a provider that trusts it.
func tlsUpstream(t *testing.T, maxVersion uint16) (*httptest.Server, config.Provider) {
	t.Helper()
	up := httptest.NewUnstartedServer(answers(200, jsonType(), wholeMessage))
	up.TLS = &tls.Config{MaxVersion: maxVersion}
	up.EnableHTTP2 = true
	up.Config.ErrorLog = log.New(io.Discard, "", 0)
	up.StartTLS()
	t.Cleanup(up.Close)
	return up, trusting(t, up)
}

// trusting is the config of a provider that trusts up.
func trusting(t *testing.T, up *httptest.Server) config.Provider {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: up.Certificate().Raw})
	if err := os.WriteFile(file, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	return config.Provider{Endpoint: up.URL, TLS: config.TLS{CA: file}}
}

func TestTLS(t *testing.T) {
	up, trusted := tlsUpstream(t, 0)
	hash := sha256.Sum256(up.Certificate().RawSubjectPublicKeyInfo)
	pin := "sha256/" + base64.StdEncoding.EncodeToString(hash[:])
	other := "sha256/" + base64.StdEncoding.EncodeToString(make([]byte, 32))
	_, old := tlsUpstream(t, tls.VersionTLS12)
	var unknown *tls.CertificateVerificationError
	for _, tt := range []struct {
		name  string
		cfg   config.Provider
		setup func(*config.Provider)
		check func(error) bool // nil: it must work
	}{
		{"trusted", trusted, func(*config.Provider) {}, nil},
		{"not trusted", trusted, func(c *config.Provider) { c.TLS.CA = "" }, func(err error) bool { return errors.As(err, &unknown) }},
		{"pinned", trusted, func(c *config.Provider) { c.TLS.Pins = []string{other, pin} }, nil},
		{"pinned to others", trusted, func(c *config.Provider) { c.TLS.Pins = []string{other, other} }, func(err error) bool { return errors.Is(err, upstream.ErrPin) }},
		{"pinned, not trusted", trusted, func(c *config.Provider) { c.TLS.CA, c.TLS.Pins = "", []string{pin, other} }, func(err error) bool { return errors.As(err, &unknown) }},
		{"TLS 1.2 refused", old, func(*config.Provider) {}, func(err error) bool { return strings.Contains(err.Error(), "version") }},
		{"TLS 1.2 allowed", old, func(c *config.Provider) { c.TLS.MinVersion = "1.2" }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.setup(&tt.cfg)
			_, got := send(t, newProvider(t, tt.cfg, testKey), plainRequest(t))
			if tt.check == nil {
				if got.err != nil || got.bytes != wholeMessage {
					t.Errorf("%q, %v", got.bytes, got.err)
				}
				return
			}
			if e := wantError(t, got.err, providers.ClassConnect); !tt.check(e) {
				t.Errorf("error %v", e)
			}
		})
	}
}

func TestHTTPVersion(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		var proto string
		up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			proto = r.Proto
			streamed(fixture(t, "tool"))(w, r)
		}))
		up.EnableHTTP2 = true
		up.StartTLS()
		t.Cleanup(up.Close)
		cfg := trusting(t, up)
		cfg.HTTP2 = http2
		_, got := send(t, newProvider(t, cfg, testKey), newRequest(t, oddBody(`"m"`, 100_000), "other", true))
		if got.err != nil || got.bytes != fixture(t, "tool") {
			t.Fatalf("http2 %v: %d bytes, %v", http2, len(got.bytes), got.err)
		}
		if want := map[bool]string{false: "HTTP/1.1", true: "HTTP/2.0"}[http2]; proto != want {
			t.Errorf("http2 %v: %s, want %s", http2, proto, want)
		}
	}
}

func TestNothingSentIsToldFromSomethingSent(t *testing.T) {
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	// raw is an upstream that reads a request and then does f.
	raw := func(f func(c net.Conn)) string {
		up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			hijack(t, w, f)
		}))
		t.Cleanup(up.Close)
		return up.URL
	}
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	for _, tt := range []struct {
		name, endpoint string
		want           providers.Class
	}{
		{"connection refused", "http://" + dead.Addr().String(), providers.ClassConnect},
		{"no such host", "http://no..host", providers.ClassConnect},
		{"TLS to a plain port", strings.Replace(plain.URL, "http:", "https:", 1), providers.ClassConnect},
		{"hang-up", raw(func(net.Conn) {}), providers.ClassBroken},
		{"reset", raw(func(c net.Conn) { c.(*net.TCPConn).SetLinger(0) }), providers.ClassBroken},
		{"garbage", raw(func(c net.Conn) { io.WriteString(c, "\x00\x01 not HTTP at all\r\n\r\n") }), providers.ClassBroken},
		{"half a header", raw(func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Ty") }), providers.ClassBroken},
		{"1.5 MB header", raw(func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 1_500_000)+"\r\n\r\n")
		}), providers.ClassBroken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := newProvider(t, config.Provider{Endpoint: tt.endpoint}, testKey).Send(t.Context(), streamRequest(t))
			if e := wantError(t, err, tt.want); e.Status != 0 || e.Err == nil || e.Body != nil {
				t.Errorf("%+v", e)
			}
		})
	}
}

func TestKeyThatNoHeaderCanHold(t *testing.T) {
	up := newEcho(t)
	_, err := newProvider(t, config.Provider{Endpoint: up.URL}, testKey+"\n").Send(t.Context(), streamRequest(t))
	wantError(t, err, providers.ClassConnect)
}

// An answer may come while the body is still on its way; the body is given
// back all the same.
func TestAnswerBeforeTheBodyIsRead(t *testing.T) {
	p := serve(t, func(w http.ResponseWriter, r *http.Request) {
		hijack(t, w, func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 66\r\n\r\n"+
				`{"type":"error","error":{"type":"request_too_large","message":""}}`)
			_, _ = io.Copy(io.Discard, bufio.NewReader(c)) // so that no reset overtakes the answer
		})
	})
	_, err := p.Send(t.Context(), newRequest(t, oddBody(`"m"`, 4_000_000), "other", true))
	if e := wantError(t, err, providers.ClassInvalid); e.Status != 413 || e.Body == nil {
		t.Errorf("%+v", e)
	}
}
