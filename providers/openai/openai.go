// Package openai speaks to upstreams of the OpenAI chat completions format, of
// which there are many dialects, and gives their answers in the format of the
// Anthropic Messages API.
//
// A conversion carries what both formats can say and names the rest in
// Stream.Degraded; what would change the meaning is refused before any upstream
// is asked. Text is carried as the escaped JSON string that it is. Answers are
// put together by a composer, which gives blocks in the order and grammar that
// clients rely on, whatever the upstream's habits, and never an end that the
// upstream did not reach.
//
// What a target is like is known from its host and model name, and learnt from
// its refusals: a request that was refused for a field of the converter's own
// making is sent once more without it, and so are all that follow.
//
// A Provider is safe for concurrent use.
package openai

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"anyproxy/config"
	"anyproxy/providers"
	"anyproxy/providers/credential"
	"anyproxy/providers/upstream"
)

// Provider is one configured account at one endpoint.
type Provider struct {
	*upstream.Client
	address address
	azure   bool
	traits  trait
	models  map[string]*config.Model // by the upstream's name; "" is for all others
	targets sync.Map                 // *target by model
	seals   *seals                   // nil where tool calls have none
}

var _ providers.Provider = (*Provider)(nil)

// New prepares a provider; no connection is made yet. It refuses an endpoint, a
// certificate file or a pin that it cannot use. models are those of the whole
// configuration.
func New(cfg config.Provider, models []config.Model, key credential.Source) (*Provider, error) {
	base, err := upstream.BaseURL(cfg.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("provider %s: endpoint: %w", cfg.Name, err)
	}
	client, err := upstream.New(cfg, key)
	if err != nil {
		return nil, err
	}
	p := &Provider{Client: client, address: addressOf(base, cfg.APIVersion), traits: traitsOf(base),
		azure: cfg.APIVersion != "" || isAzure(base.Hostname()), models: map[string]*config.Model{}}
	if p.traits.has(signedCalls) {
		p.seals = new(seals)
	}
	for i := range models {
		m := &models[i]
		if m.Provider == cfg.Name && p.models[m.Name] == nil {
			p.models[m.Name] = m
		}
	}
	return p, nil
}

// mostLessons bounds how often a request is made again: a picky upstream names
// one field at a time.
const mostLessons = 4

// Send makes one attempt. A refusal of what the conversion added by itself is
// not told: the request is made again without it.
func (p *Provider) Send(ctx context.Context, r *providers.Request) (*providers.Stream, error) {
	t := p.target(r.Model)
	c := conversions.Get().(*conversion)
	defer c.release()
	most := int64(0)
	for lessons := 0; ; lessons++ {
		c.begin(t, p.seals, r, most)
		if err := c.convert(r); err != nil {
			return nil, p.invalid(r, err)
		}
		if r.Endpoint == providers.CountTokens {
			return counted(t.estimate(r.Body.Bytes()), c.lost), nil
		}
		s, said, err := p.exchange(ctx, r, c)
		if err == nil {
			return s, nil
		}
		l, ok := c.lesson(&said)
		if !ok || lessons == mostLessons {
			return nil, err
		}
		t.learn(l)
		if l.limit > 0 {
			most = l.limit
		}
	}
}

// Preview tells what Send would send as things are known now, but for the key.
func (p *Provider) Preview(r *providers.Request) (providers.Preview, error) {
	c := conversions.Get().(*conversion)
	defer c.release()
	c.begin(p.target(r.Model), p.seals, r, 0)
	if err := c.convert(r); err != nil {
		return providers.Preview{}, p.invalid(r, err)
	}
	return providers.Preview{Header: p.header(r, config.Secret{}), Body: slices.Clone(c.out), Lost: c.lost}, nil
}

func (p *Provider) target(model string) *target {
	if t, ok := p.targets.Load(model); ok {
		return t.(*target)
	}
	m := p.models[model]
	if m == nil {
		m = p.models[""]
	}
	t, _ := p.targets.LoadOrStore(model, newTarget(model, p.traits, m))
	return t.(*target)
}

// invalid is the refusal of a request that was not sent.
func (p *Provider) invalid(r *providers.Request, err error) error {
	return &providers.Error{
		Provider: p.Name, Model: r.Model, Status: http.StatusBadRequest, Class: providers.ClassInvalid,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: errorBody(http.StatusBadRequest, err.Error()),
	}
}

// exchange sends a converted request. What the upstream said against it comes
// beside the error.
func (p *Provider) exchange(ctx context.Context, r *providers.Request, c *conversion) (*providers.Stream, complaint, error) {
	x, err := p.Begin(ctx, r.Model)
	if err != nil {
		return nil, complaint{}, err
	}
	sent := providers.NewBody(c.out, upstream.Recycle)
	c.out = nil
	req := &http.Request{Method: http.MethodPost, URL: p.address.of(r.Model), Header: p.header(r, x.Key)}
	if req.Host = req.URL.Host; req.Header.Get("Host") != "" {
		req.Host = req.Header.Get("Host") // the transport sends no other
	}
	res, err := x.Do(req, sent, [3][]byte{sent.Bytes()})
	sent.Release()
	if err != nil {
		return nil, complaint{}, err
	}
	return c.accept(answer{x.Take(res), p.reply(r, c)}, r.Stream)
}

// reply is what the answer to a request needs to know of it.
func (p *Provider) reply(r *providers.Request, c *conversion) reply {
	t := c.target
	out := reply{model: r.Model, names: c.names, target: t, seals: p.seals}
	if estimate := t.observable(r.Body.Bytes()); estimate > 0 {
		out.learn = func(u providers.Usage) { t.observe(estimate, u) }
	}
	return out
}

// header builds the upstream's header. Of the client's nothing is needed.
func (p *Provider) header(r *providers.Request, key config.Secret) http.Header {
	h := http.Header{
		"Content-Type":    {"application/json"},
		"Accept":          {"application/json"},
		"Accept-Encoding": {"identity"}, // we read the answer, so it must come unpacked
		"User-Agent":      {"anyproxy"},
		// Without a value it is not sent: it tells the transport that the request
		// may go out again when a kept-alive connection turns out to be dead.
		"Idempotency-Key": nil,
	}
	if r.Stream {
		h["Accept"] = []string{"text/event-stream"}
	}
	upstream.Trace(h, r.Header)
	for name, value := range p.Headers {
		h[name] = []string{value.Reveal()}
	}
	p.authorize(h, r.Auth, key.Reveal())
	return h
}

// authorize shows the upstream the provider's key, or the client's own
// credential where the provider is configured to pass it through.
func (p *Provider) authorize(h http.Header, client providers.ClientAuth, key string) {
	const token = "eyJ" // opens the tokens of Microsoft Entra, which are no keys
	switch {
	case p.Auth == config.AuthNone:
	case p.Auth == config.AuthPassthrough:
		if client.Authorization != "" {
			h["Authorization"] = []string{client.Authorization}
		} else if client.APIKey != "" {
			h["Authorization"] = []string{"Bearer " + client.APIKey}
		}
	case p.azure && !strings.HasPrefix(key, token):
		h["Api-Key"] = []string{key}
	default:
		if p.Auth == config.AuthAPIKey || p.Auth == config.AuthBoth {
			h["X-Api-Key"] = []string{key}
		}
		if p.Auth != config.AuthAPIKey {
			h["Authorization"] = []string{"Bearer " + key}
		}
	}
}
