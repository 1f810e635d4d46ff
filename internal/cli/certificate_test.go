package cli

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"anyproxy/internal/grammar"
	"anyproxy/internal/simulator"
)

// writeCertificate makes one for this machine that names itself, and returns
// what trusts it.
func writeCertificate(t testing.TB, folder, name string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	save(t, filepath.Join(folder, "cert.pem"), string(cert))
	save(t, filepath.Join(folder, "key.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret})))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return pool
}

// clientOf trusts the pool, and opens a connection for each request.
func clientOf(t testing.TB, pool *x509.CertPool, change func(*tls.Config)) *http.Client {
	settings := &tls.Config{RootCAs: pool}
	if change != nil {
		change(settings)
	}
	transport := &http.Transport{TLSClientConfig: settings, DisableKeepAlives: true, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func tlsConfig(folder, more string) string {
	return fmt.Sprintf("tls: {cert: %s/cert.pem, key: %s/key.pem%s}\n", folder, folder, more)
}

func startTLS(t *testing.T, folder, more string) *running {
	t.Helper()
	p := start(t, nil, "-config", configFile(t, "state: {path: none}\n"+tlsConfig(folder, more), upstream(t, simulator.Always(good))))
	return p
}

func TestClientsSpeakTLS(t *testing.T) {
	folder := t.TempDir()
	pool := writeCertificate(t, folder, "first")
	p := startTLS(t, folder, "")
	if !strings.HasPrefix(p.base, "https://127.0.0.1:") || !strings.Contains(p.out.String(), "ANTHROPIC_BASE_URL="+p.base) {
		t.Fatalf("the start says %s", p.out.String())
	}
	res, err := clientOf(t, pool, nil).Post(p.base+"/v1/messages", "application/json", strings.NewReader(ask(true)))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if m, bad := grammar.Check(body); err != nil || bad != nil || m.End != grammar.Complete || res.Proto != "HTTP/1.1" || res.TLS.Version != tls.VersionTLS13 {
		t.Errorf("%s, TLS %x, %v %v: %s", res.Proto, res.TLS.Version, err, bad, body)
	}
	if _, err := clientOf(t, pool, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }).Get(p.base + "/health"); err == nil {
		t.Error("TLS 1.2 is spoken")
	}
	plain, err := http.Get(strings.Replace(p.base, "https", "http", 1) + "/health")
	if err != nil || plain.StatusCode != 400 {
		t.Errorf("plain http: %v, %v", plain, err)
	}
	if err == nil {
		plain.Body.Close()
	}
	old := startTLS(t, folder, `, minVersion: "1.2"`)
	res, err = clientOf(t, pool, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }).Get(old.base + "/health")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
}

// A certificate that is renewed on disk is used without a restart; one that
// cannot be used is told, and the old one stays.
func TestCertificateIsReplaced(t *testing.T) {
	folder := t.TempDir()
	writeCertificate(t, folder, "first")
	p := startTLS(t, folder, "")
	name := func() (cn string) {
		c, err := tls.Dial("tcp", strings.TrimPrefix(p.base, "https://"), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	if got := name(); got != "first" {
		t.Errorf("it is %s", got)
	}
	save(t, filepath.Join(folder, "cert.pem"), "no certificate")
	eventually(t, "the warning", func() bool {
		return name() == "first" && strings.Contains(p.errw.String(), "the listener's new certificate cannot be used, the old one stays")
	})
	writeCertificate(t, folder, "second")
	eventually(t, "the new certificate", func() bool { return name() == "second" })
}

func TestCertificatesThatAreNone(t *testing.T) {
	folder := t.TempDir()
	writeCertificate(t, folder, "first")
	for name, prepare := range map[string]func() (file string){
		"no such file": func() string { return tlsConfig("/none", "") },
		"another's key": func() string {
			other := t.TempDir()
			writeCertificate(t, other, "other")
			return fmt.Sprintf("tls: {cert: %s/cert.pem, key: %s/key.pem}\n", folder, other)
		},
		"no key": func() string {
			other := t.TempDir()
			save(t, filepath.Join(other, "key.pem"), "no key")
			return fmt.Sprintf("tls: {cert: %s/cert.pem, key: %s/key.pem}\n", folder, other)
		},
	} {
		code, _, errw := run(t, nil, "-listen", "127.0.0.1:0", "-config", configFile(t, prepare(), upstream(t, nil)))
		if code != exitFailed || !strings.Contains(errw, "anyproxy: error: tls: ") || !strings.Contains(errw, "key.pem") && !strings.Contains(errw, "cert.pem") {
			t.Errorf("%s: exit code %d, %s", name, code, errw)
		}
	}
	if err := os.Chmod(filepath.Join(folder, "key.pem"), 0o644); err != nil {
		t.Fatal(err)
	}
	p := startTLS(t, folder, "")
	if !strings.Contains(p.errw.String(), "others can read the key of the listener's certificate") {
		t.Errorf("the start says %s", p.errw.String())
	}
}

func TestOwnListenerIsNoProviderOverTLS(t *testing.T) {
	folder, port := t.TempDir(), freePort(t)
	writeCertificate(t, folder, "first")
	file := writeFile(t, "config.yaml", tlsConfig(folder, "")+"providers: {a: {endpoint: 'https://localhost:"+port+"', apiKey: key-of-a}}\nmodels: [{alias: 'claude-*', provider: a}]\n")
	code, _, errw := run(t, nil, "-listen", "127.0.0.1:"+port, "-config", file)
	if code != exitFailed || !strings.Contains(errw, "its endpoint is where anyproxy itself listens") {
		t.Errorf("exit code %d, %s", code, errw)
	}
}

// A proxy that is started for one program speaks plainly to it.
func TestRunSpeaksPlainly(t *testing.T) {
	folder := t.TempDir()
	writeCertificate(t, folder, "first")
	file := configFile(t, "state: {path: none}\n"+tlsConfig(folder, ""), upstream(t, simulator.Always(good)))
	if code, out, errw := runChild(t, nil, "ask", "-config", file, "--", os.Args[0]); code != 7 || !strings.HasPrefix(out, "200 a http://127.0.0.1:") {
		t.Errorf("exit code %d, %q, %q", code, out, errw)
	}
}
