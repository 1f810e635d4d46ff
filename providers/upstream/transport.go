package upstream

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"anyproxy/config"
	"anyproxy/internal/quiet"
	"anyproxy/providers/upstream/http1"
)

const (
	tlsHandshakeTimeout = 5 * time.Second
	idleConnTimeout     = 90 * time.Second
	maxIdleConns        = 64
	maxHeaderBytes      = 256 << 10
)

// A transport is the connections to one provider: our own for HTTP/1.1, which is
// the default, as one dead connection must not end all streams; net/http's for
// HTTP/2, through a proxy, to names that need Punycode, and for what is asked beside
// the way of requests.
type transport struct {
	own *http1.Pool // nil with HTTP/2
	net *http.Transport
	// asked is the last address of which it is known how it is reached: almost always
	// the only one.
	asked atomic.Pointer[route]
}

// route says whether a connection of our own leads to an address.
type route struct {
	scheme, host string
	direct       bool
}

func newTransport(cfg config.Provider) (*transport, error) {
	tlsConfig, err := newTLS(cfg.TLS)
	if err != nil {
		return nil, err
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(cfg.HTTP2)
	dial := quiet.Dial(newDialer(cfg.Timeouts.Connect).DialContext)
	t := &transport{net: &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dial,
		TLSClientConfig:        tlsConfig,
		TLSHandshakeTimeout:    tlsHandshakeTimeout,
		Protocols:              protocols,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: probeAfter, PingTimeout: lifeless - probeAfter},
		DisableCompression:     true,
		MaxIdleConnsPerHost:    maxIdleConns,
		IdleConnTimeout:        idleConnTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}}
	if !cfg.HTTP2 {
		t.own = &http1.Pool{Dial: dial, TLS: tlsConfig, HandshakeTime: tlsHandshakeTimeout,
			MaxIdle: maxIdleConns, IdleTime: idleConnTimeout, MaxHead: maxHeaderBytes}
	}
	return t, nil
}

// reaches reports whether a connection of our own leads to u.
func (t *transport) reaches(u *url.URL) bool {
	if t.own == nil {
		return false
	}
	r := t.asked.Load()
	if r == nil || r.scheme != u.Scheme || r.host != u.Host {
		proxy, err := t.net.Proxy(&http.Request{URL: u})
		plain := strings.IndexFunc(u.Host, func(c rune) bool { return c > unicode.MaxASCII }) < 0
		r = &route{scheme: u.Scheme, host: u.Host, direct: proxy == nil && err == nil && plain}
		t.asked.Store(r)
	}
	return r.direct
}

// closeIdle closes the connections that nobody uses.
func (t *transport) closeIdle() {
	t.net.CloseIdleConnections()
	if t.own != nil {
		t.own.CloseIdle()
	}
}

func newTLS(cfg config.TLS) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS13}
	switch cfg.MinVersion {
	case "", "1.3":
	case "1.2":
		c.MinVersion = tls.VersionTLS12
	default:
		return nil, fmt.Errorf("minVersion %q: want 1.2 or 1.3", cfg.MinVersion)
	}
	if cfg.CA != "" {
		roots, err := rootsWith(cfg.CA)
		if err != nil {
			return nil, err
		}
		c.RootCAs = roots
	}
	if len(cfg.Pins) > 0 {
		pins, err := parsePins(cfg.Pins)
		if err != nil {
			return nil, err
		}
		c.VerifyConnection = pins.verify
	}
	return c, nil
}

// rootsWith adds the certificates of a PEM file to the system's.
func rootsWith(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("ca: system roots: %w", err)
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca: no certificate in %s", file)
	}
	return roots, nil
}

// pins are SHA-256 hashes of public keys, of which a chain must hold one.
type pins [][sha256.Size]byte

// ErrPin is a certificate chain without a pinned key.
var ErrPin = errors.New("no certificate of the chain has a pinned key")

// parsePins reads pins written as sha256/BASE64 of the SubjectPublicKeyInfo,
// as in RFC 7469.
func parsePins(texts []string) (pins, error) {
	var out pins
	for _, text := range texts {
		coded, ok := strings.CutPrefix(text, "sha256/")
		hash, err := base64.StdEncoding.DecodeString(coded)
		if !ok || err != nil || len(hash) != sha256.Size {
			return nil, fmt.Errorf("pins: %q: want sha256/ and 32 bytes in base64", text)
		}
		out = append(out, [sha256.Size]byte(hash))
	}
	return out, nil
}

func (p pins) verify(state tls.ConnectionState) error {
	for _, chain := range state.VerifiedChains {
		for _, cert := range chain {
			if slices.Contains(p, sha256.Sum256(cert.RawSubjectPublicKeyInfo)) {
				return nil
			}
		}
	}
	return ErrPin
}
