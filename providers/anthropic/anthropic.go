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
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"

	"anyproxy/config"
	"anyproxy/providers"
	"anyproxy/providers/credential"
	"anyproxy/providers/messages"
	"anyproxy/providers/upstream"
)

// Provider is one configured account at one endpoint.
type Provider struct {
	*upstream.Client
	// Mixed says that histories may hold answers which providers of other formats
	// have made, so that every request has to be looked into. It is to be set
	// before the first Send.
	Mixed bool

	urls   [2]url.URL // by providers.Endpoint
	models url.URL    // the list of them
	// unsigned is set once an answer has brought thinking without a signature:
	// then this upstream takes it back.
	unsigned atomic.Bool
}

var _ providers.Provider = (*Provider)(nil)

// New prepares a provider; no connection is made yet. It refuses an endpoint,
// a certificate file or a pin that it cannot use.
func New(cfg config.Provider, key credential.Source) (*Provider, error) {
	base, err := upstream.BaseURL(cfg.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("provider %s: endpoint: %w", cfg.Name, err)
	}
	client, err := upstream.New(cfg, key)
	if err != nil {
		return nil, err
	}
	base = upstream.WithoutVersion(base)
	return &Provider{Client: client, models: *base.JoinPath("/v1/models"), urls: [...]url.URL{
		providers.Messages:    *base.JoinPath(providers.Messages.Path()),
		providers.CountTokens: *base.JoinPath(providers.CountTokens.Path()),
	}}, nil
}

// Send makes one attempt.
func (p *Provider) Send(ctx context.Context, r *providers.Request) (*providers.Stream, error) {
	x, err := p.Begin(ctx, r.Model)
	if err != nil {
		return nil, err
	}
	res, err := x.Do(p.request(x, r), r.Body, p.splice(r))
	if err != nil {
		return nil, err
	}
	return messages.Accept(x.Take(res), r.Endpoint, r.Stream, &p.unsigned)
}

// Preview tells what Send would send, but for the key.
func (p *Provider) Preview(r *providers.Request) (providers.Preview, error) {
	parts := p.splice(r)
	return providers.Preview{Header: p.header(http.Header{}, r, config.Secret{}), Body: bytes.Join(parts[:], nil)}, nil
}
