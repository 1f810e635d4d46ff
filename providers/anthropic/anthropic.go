// Package anthropic speaks to upstreams of the Anthropic Messages API.
//
// It is a pass-through: the client's body goes out byte for byte but for the
// value of "model", and the answer's events come back as they arrived. What
// the package adds is that nothing broken gets through: only whole events that
// follow the grammar of a message stream, and only whole non-stream bodies.
//
// A Provider keeps a pool of warm connections of its own and is safe for
// concurrent use.
package anthropic

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"

	"anyproxy/config"
	"anyproxy/internal/redact"
	"anyproxy/providers"
	"anyproxy/providers/credential"
)

// Provider is one configured account at one endpoint.
type Provider struct {
	name      string
	auth      config.Auth
	headers   map[string]config.Secret // by canonical name
	key       credential.Source
	urls      [2]url.URL // by providers.Endpoint
	transport *http.Transport
	redactor  atomic.Pointer[keyRedactor]
}

var _ providers.Provider = (*Provider)(nil)

// New prepares a provider; no connection is made yet. It refuses an endpoint,
// a certificate file or a pin that it cannot use.
func New(cfg config.Provider, key credential.Source) (*Provider, error) {
	base, err := baseURL(cfg.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("provider %s: endpoint: %w", cfg.Name, err)
	}
	transport, err := newTransport(cfg)
	if err != nil {
		return nil, fmt.Errorf("provider %s: tls: %w", cfg.Name, err)
	}
	headers := make(map[string]config.Secret, len(cfg.Headers))
	for name, value := range cfg.Headers {
		headers[http.CanonicalHeaderKey(name)] = value
	}
	return &Provider{
		name: cfg.Name, auth: cfg.Auth, headers: headers, key: key, transport: transport,
		urls: [...]url.URL{
			providers.Messages:    *base.JoinPath(providers.Messages.Path()),
			providers.CountTokens: *base.JoinPath(providers.CountTokens.Path()),
		},
	}, nil
}

// Close closes the idle connections. Streams that are being read go on.
func (p *Provider) Close() error {
	p.transport.CloseIdleConnections()
	return nil
}

// baseURL parses an endpoint. A /v1 at its end is part of the paths below it.
func baseURL(endpoint string) (*url.URL, error) {
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
	path := strings.TrimSuffix(strings.TrimRight(u.EscapedPath(), "/"), "/v1")
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/"}).JoinPath(path), nil
}

// Send makes one attempt.
func (p *Provider) Send(ctx context.Context, r *providers.Request) (*providers.Stream, error) {
	x := &exchange{p: p, ctx: ctx, model: r.Model, endpoint: r.Endpoint}
	key, err := p.secret(ctx)
	if err != nil {
		return nil, x.fail(providers.ClassCredential, err)
	}
	x.key = key
	req, body := p.request(r, key)
	req = req.WithContext(x.traced(ctx, body))
	res, err := p.transport.RoundTrip(req)
	body.settle()
	if err != nil {
		if !body.sent() {
			return nil, x.fail(providers.ClassConnect, err)
		}
		return nil, x.fail(providers.ClassBroken, err)
	}
	return x.accept(res, r.Stream)
}

// secret is the provider's own key, empty where its auth sends none.
func (p *Provider) secret(ctx context.Context) (config.Secret, error) {
	if p.auth == config.AuthPassthrough || p.auth == config.AuthNone {
		return config.Secret{}, nil
	}
	return p.key.Secret(ctx)
}

// renewed reports whether the key's source gives another value than the one
// that the upstream was shown.
func (x *exchange) renewed() bool {
	now, err := x.p.secret(x.ctx)
	return err == nil && now.Reveal() != x.key.Reveal()
}

// An exchange is one attempt, from the request to the end of its answer.
type exchange struct {
	p        *Provider
	ctx      context.Context
	model    string
	endpoint providers.Endpoint
	key      config.Secret // what the upstream was shown

	trace httptrace.ClientTrace
	conn  *conn // the answer's connection where it is a plain one of ours, else nil
}

// fail makes an error of a failure without an answer. When the attempt has
// been cancelled, that is the failure, whatever it led to.
func (x *exchange) fail(class providers.Class, err error) *providers.Error {
	if x.ctx.Err() != nil {
		cause := context.Cause(x.ctx)
		class = providers.ClassCanceled
		if errors.Is(cause, providers.ErrTimeout) || errors.Is(cause, context.DeadlineExceeded) {
			class = providers.ClassTimeout
		}
		if !errors.Is(err, cause) {
			err = fmt.Errorf("%w: %w", cause, err)
		}
	}
	return &providers.Error{Provider: x.p.name, Model: x.model, Class: class, Err: err}
}

// keyRedactor replaces one key and the configured headers.
type keyRedactor struct {
	key string
	*redact.Redactor
}

// redact replaces, in an answer that is an error, the credentials that the
// upstream was shown. The client's own may be quoted to the client.
func (x *exchange) redact(b []byte) []byte {
	key := x.key.Reveal()
	if key == "" && len(x.p.headers) == 0 {
		return b
	}
	return x.redactor(key).Bytes(b)
}

// redactHeader does the same for the headers of any answer: nobody expects a
// key there, and no byte of them is the model's.
func (x *exchange) redactHeader(h http.Header) {
	key := x.key.Reveal()
	if key == "" && len(x.p.headers) == 0 {
		return
	}
	r := x.redactor(key)
	for _, values := range h {
		for i, v := range values {
			values[i] = r.String(v)
		}
	}
}

func (x *exchange) redactor(key string) *keyRedactor {
	r := x.p.redactor.Load()
	if r == nil || r.key != key {
		values := []string{key}
		for _, v := range x.p.headers {
			values = append(values, v.Reveal())
		}
		r = &keyRedactor{key, redact.New(values...)}
		x.p.redactor.Store(r)
	}
	return r
}
