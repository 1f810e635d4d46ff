// Package upstream is what all providers share that speak HTTP: a Client is a
// pool of connections and the credentials of one account, an Exchange is one
// attempt with it, an Answer and its Events are what comes back.
//
// It knows no format: which requests are made and what an answer says is the
// business of the packages that use it. What it does with care is the rest: the
// account's key in no error, the whole body out of its one buffer, nothing of
// one hop's headers on the next, and a failure told for what it is.
//
// A Client is safe for concurrent use. All else belongs to one goroutine.
package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"anyproxy/config"
	"anyproxy/internal/redact"
	"anyproxy/providers/credential"
)

// Client makes exchanges with one configured account.
type Client struct {
	Name string
	Auth config.Auth
	// Headers are added to every request, by canonical name. Read-only.
	Headers map[string]config.Secret

	key       credential.Source
	transport atomic.Pointer[transport]
	redactor  atomic.Pointer[keyRedactor]
}

// New prepares a Client; no connection is made yet. It refuses a certificate
// file or a pin that it cannot use. key may be nil where the auth sends none.
func New(cfg config.Provider, key credential.Source) (*Client, error) {
	transport, err := newTransport(cfg)
	if err != nil {
		return nil, fmt.Errorf("provider %s: tls: %w", cfg.Name, err)
	}
	headers := make(map[string]config.Secret, len(cfg.Headers))
	for name, value := range cfg.Headers {
		headers[http.CanonicalHeaderKey(name)] = value
	}
	c := &Client{Name: cfg.Name, Auth: cfg.Auth, Headers: headers, key: key}
	c.transport.Store(transport)
	return c, nil
}

// Close closes the idle connections. Streams that are being read go on.
func (c *Client) Close() error {
	c.transport.Load().closeIdle()
	return nil
}

// distrust gives up the connections of a transport on one of which nothing came
// in time: a network that loses everything tells none of them. The one connection
// of HTTP/2 may still have streams, and cannot be told apart: there the requests
// to come get a transport of their own.
func (c *Client) distrust(t *transport) {
	if t.own == nil {
		c.transport.CompareAndSwap(t, &transport{net: t.net.Clone()})
	}
	t.closeIdle()
}

// BaseURL parses an endpoint.
func BaseURL(endpoint string) (*url.URL, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, errors.New("not a URL") // url.Error would quote it
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("want http:// or https:// and a host")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("must have no user, query or fragment")
	}
	return u, nil
}

// WithoutVersion is the base of the paths below it, which begin with /v1: one
// at the endpoint's own end is theirs.
func WithoutVersion(u *url.URL) *url.URL {
	path := strings.TrimSuffix(strings.TrimRight(u.EscapedPath(), "/"), "/v1")
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/"}).JoinPath(path)
}

// secret is the account's own key, empty where its auth sends none.
func (c *Client) secret(ctx context.Context) (config.Secret, error) {
	if c.Auth == config.AuthPassthrough || c.Auth == config.AuthNone {
		return config.Secret{}, nil
	}
	return c.key.Secret(ctx)
}

// keyRedactor replaces one key and the configured headers.
type keyRedactor struct {
	key string
	*redact.Redactor
}

func (c *Client) redactorOf(key string) *keyRedactor {
	r := c.redactor.Load()
	if r == nil || r.key != key {
		values := []string{key}
		for _, v := range c.Headers {
			values = append(values, v.Reveal())
		}
		r = &keyRedactor{key, redact.New(values...)}
		c.redactor.Store(r)
	}
	return r
}
