package upstream

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"anyproxy/config"
)

const (
	tlsHandshakeTimeout = 5 * time.Second
	idleConnTimeout     = 90 * time.Second
	maxIdleConns        = 64
	maxHeaderBytes      = 256 << 10
	// These are enough where conn gathers what is read and written.
	PlainReadBuffer, PlainWriteBuffer = 1 << 10, 256
	// TLS makes a record of each write: a short request should fit in one.
	tlsReadBuffer, tlsWriteBuffer = 2 << 10, 4 << 10
)

// newTransport makes a pool of connections for one provider. HTTP/1.1 is the
// default: one dead connection must not end all streams.
func newTransport(cfg config.Provider) (*http.Transport, error) {
	tlsConfig, err := newTLS(cfg.TLS)
	if err != nil {
		return nil, err
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(cfg.HTTP2)
	t := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dial(newDialer(cfg.Timeouts.Connect)),
		TLSClientConfig:        tlsConfig,
		TLSHandshakeTimeout:    tlsHandshakeTimeout,
		Protocols:              protocols,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: probeAfter, PingTimeout: lifeless - probeAfter},
		DisableCompression:     true,
		MaxIdleConnsPerHost:    maxIdleConns,
		IdleConnTimeout:        idleConnTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		ReadBufferSize:         PlainReadBuffer,
		WriteBufferSize:        PlainWriteBuffer,
	}
	if !strings.HasPrefix(cfg.Endpoint, "http:") { // without one it is AWS's own
		t.ReadBufferSize, t.WriteBufferSize = tlsReadBuffer, tlsWriteBuffer
	}
	return t, nil
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
