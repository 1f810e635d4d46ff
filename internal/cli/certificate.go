package cli

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	"anyproxy/config"
)

// certificateEvery is how often it is looked whether a certificate was replaced.
const certificateEvery = time.Second

// certificate is that of the listener. It is read again when its files change;
// what cannot be used then does not take the place of what can.
type certificate struct {
	files  config.ServerTLS
	logger *slog.Logger
	now    func() time.Time

	mu     sync.Mutex
	inUse  *tls.Certificate
	looked time.Time
	stamp  [2]stamp
}

// stamp tells one version of a file from another.
type stamp struct {
	modified time.Time
	size     int64
}

// loadCertificate reads it for the first time.
func loadCertificate(files config.ServerTLS, logger *slog.Logger) (*certificate, error) {
	c := &certificate{files: files, logger: logger, now: time.Now}
	stamp, err := c.stampNow()
	if err == nil {
		c.stamp, c.looked = stamp, c.now()
		err = c.read()
	}
	if err != nil {
		return nil, hinted(fmt.Errorf("tls: %w", err), "tls.cert and tls.key name a certificate with its chain, and its key, as PEM files")
	}
	if info, err := os.Stat(files.Key); err == nil && info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows" {
		logger.Warn("others can read the key of the listener's certificate; chmod 600 it", "file", files.Key)
	}
	return c, nil
}

func (c *certificate) stampNow() (s [2]stamp, err error) {
	for i, name := range []string{c.files.Cert, c.files.Key} {
		info, err := os.Stat(name)
		if err != nil {
			return s, err
		}
		s[i] = stamp{info.ModTime(), info.Size()}
	}
	return s, nil
}

func (c *certificate) read() error {
	pair, err := tls.LoadX509KeyPair(c.files.Cert, c.files.Key)
	if err != nil {
		var path *os.PathError
		if !errors.As(err, &path) {
			err = fmt.Errorf("%s and %s: %w", c.files.Cert, c.files.Key, err)
		}
		return err
	}
	c.inUse = &pair
	return nil
}

// get is tls.Config's GetCertificate.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.looked) >= certificateEvery {
		c.looked = now
		c.look()
	}
	return c.inUse, nil
}

func (c *certificate) look() {
	stamp, err := c.stampNow()
	if err == nil && stamp == c.stamp {
		return
	}
	if err == nil {
		c.stamp = stamp // one that cannot be used is told once
		if err = c.read(); err == nil {
			c.logger.Info("the listener's certificate was replaced", "file", c.files.Cert)
			return
		}
	}
	c.logger.Warn("the listener's new certificate cannot be used, the old one stays", "error", err)
}

// secured has the listeners speak TLS, and HTTP/1.1 in it: a client's many
// streams must not end with one connection.
func (c *certificate) secured(listeners []net.Listener) (out []net.Listener) {
	settings := &tls.Config{GetCertificate: c.get, MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}}
	if c.files.MinVersion == "1.2" {
		settings.MinVersion = tls.VersionTLS12
	}
	for _, l := range listeners {
		out = append(out, tls.NewListener(l, settings))
	}
	return out
}
