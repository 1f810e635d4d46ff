// Package bedrock speaks to Claude on AWS Bedrock.
//
// A request is the client's own but for what Bedrock calls otherwise or does
// not know; the SDK finds the endpoint, signs and sends it. An answer is
// unpacked into the one that the Messages API would have given, and checked by
// the same code: events out of the frames of an event stream, exceptions into
// errors of the API.
//
// What a model refuses that no request needs, betas and fields, is learnt and
// left out from then on. A Provider is safe for concurrent use.
package bedrock

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"anyproxy/config"
	"anyproxy/internal/jsonscan"
	"anyproxy/internal/redact"
	"anyproxy/providers"
	"anyproxy/providers/credential"
	"anyproxy/providers/messages"
	"anyproxy/providers/upstream"
)

// Provider is one configured account in one region.
type Provider struct {
	*upstream.Client
	account account
	learnt  knowledge
}

var _ providers.Provider = (*Provider)(nil)

// New prepares a provider; no connection is made yet. key is a Bedrock API key
// where cfg.Auth is bearer, and not used elsewhere. It refuses a certificate
// file or a pin that it cannot use; AWS settings that cannot be read are Check's
// to tell, and every Send's.
func New(cfg config.Provider, key credential.Source) (*Provider, error) {
	signed := cfg
	if cfg.Auth != config.AuthBearer {
		signed.Auth = config.AuthNone // no key of ours, the SDK signs
	}
	client, err := upstream.New(signed, key)
	if err != nil {
		return nil, err
	}
	return &Provider{Client: client, account: account{cfg: cfg}}, nil
}

// OnRenewal has tell called each time that AWS credentials are asked for, as an
// audit wants it. It must be called before all else, or not at all.
func (p *Provider) OnRenewal(tell func(credential.Renewal)) { p.account.tell = tell }

// Check looks for the AWS credentials, and says what is wrong with them. It takes as long as ctx allows.
func (p *Provider) Check(ctx context.Context) error {
	s, err := p.account.session(ctx)
	if err == nil {
		_, err = s.retrieve(ctx)
	}
	if err != nil {
		return errors.New(forOperators(err.Error()))
	}
	return nil
}

// Unapplied names the switches in AWS's own settings that are without effect
// because an endpoint is given. It is known once Check has been called.
func (p *Provider) Unapplied() []string {
	if s := p.account.current.Load(); s != nil {
		return s.unapplied
	}
	return nil
}

// Send makes one attempt.
func (p *Provider) Send(ctx context.Context, r *providers.Request) (*providers.Stream, error) {
	x, err := p.Begin(ctx, r.Model)
	if err != nil {
		return nil, err
	}
	c := &call{p: p, Exchange: x, ctx: ctx, req: r}
	if err := c.prepare(); err != nil {
		return nil, err
	}
	res, err := c.invoke()
	if err != nil {
		return nil, err
	}
	return c.accept(res)
}

// A call is one attempt.
type call struct {
	*upstream.Exchange
	p   *Provider
	ctx context.Context
	req *providers.Request

	session  *session
	signed   aws.Credentials // what signs the request
	model    string          // Bedrock's name of it
	plan     plan
	body     []byte
	degraded []string
}

// prepare gets the credentials and puts the request as Bedrock wants it.
func (c *call) prepare() (err error) {
	if c.session, err = c.p.account.session(c.ctx); err == nil {
		c.signed, err = c.session.retrieve(c.ctx)
	}
	if err != nil {
		return c.Fail(providers.ClassCredential, errors.New(forOperators(err.Error())))
	}
	c.model = modelID(c.req.Model, c.session.region)
	if c.req.Endpoint == providers.CountTokens {
		if id := foundationID(c.model); id != "" {
			c.model = id
		}
	}
	return c.put()
}

// put makes the body that the model is sent.
func (c *call) put() error {
	body := bytes.TrimLeft(c.req.Body.Bytes(), " \t\r\n")
	if err := jsonscan.Valid(body, upstream.MaxDepth); err != nil || body[0] != '{' {
		return c.invalid(errors.New("request body is no JSON object"))
	}
	lost, others, err := serverTools(body)
	if err != nil {
		return c.invalid(err)
	}
	c.plan = c.p.learnt.plan(c.subject(), c.req.Header, body)
	if !others {
		c.plan.cut = append(c.plan.cut, "tools", "tool_choice")
	}
	c.convert(body, lost)
	return nil
}

// invalid is the failure of a request that Bedrock would refuse.
func (c *call) invalid(err error) error {
	e := c.Fail(providers.ClassInvalid, err)
	e.Status = http.StatusBadRequest
	return e
}

// Preview tells what Send would send as things are known now.
func (p *Provider) Preview(r *providers.Request) (providers.Preview, error) {
	x, err := (&upstream.Client{Name: p.Name, Auth: config.AuthNone}).Begin(context.Background(), r.Model)
	if err != nil {
		return providers.Preview{}, err
	}
	c := &call{Exchange: x, p: p, req: r, model: r.Model}
	if err := c.put(); err != nil {
		return providers.Preview{}, err
	}
	return providers.Preview{Body: c.body, Lost: c.degraded}, nil
}

// convert makes Bedrock's body of the client's, without the tools that are lost.
func (c *call) convert(body []byte, lostTools []string) {
	c.degraded = slices.Clone(c.plan.lost)
	rules := cuts(c.plan.cut...)
	if len(lostTools) > 0 {
		tools := rules.child("tools")
		tools.child("*")
		tools.without = runsOnServers
		for _, name := range lostTools {
			c.degraded = append(c.degraded, lostTool(name))
		}
	}
	cut := func(name string) {
		if !slices.Contains(ours, name) && !slices.Contains(c.degraded, name) && !slices.Contains(scopes, name) {
			c.degraded = append(c.degraded, name)
		}
	}
	head := append(make([]byte, 0, len(body)+256), '{')
	head = append(head, version...)
	if len(c.plan.betas) > 0 {
		betas, _ := json.Marshal(c.plan.betas) // strings always marshal
		head = append(append(head, `,"anthropic_beta":`...), betas...)
	}
	if c.req.Endpoint == providers.CountTokens && member(body, "max_tokens") == nil {
		head = append(head, `,"max_tokens":1`...) // the format needs one
	}
	begin := len(head)
	head = edit(head, body, rules, cut)
	if head[begin+1] == '}' {
		head[begin] = ' '
	} else {
		head[begin] = ','
	}
	c.body = head
}

// accept makes of Bedrock's answer the Messages API's, and has that checked.
func (c *call) accept(res *http.Response) (*providers.Stream, error) {
	var said string
	var unpacked *events
	switch {
	case res.StatusCode >= 400:
		said = translated(res, redact.New(c.signed.SecretAccessKey, c.signed.SessionToken, c.Key.Reveal()))
	case upstream.ContentType(res.Header) == eventStream:
		unpacked = &events{body: res.Body}
		res.Body = unpacked
		res.Header.Set("Content-Type", "text/event-stream")
	case c.req.Endpoint == providers.CountTokens:
		counted(res)
	}
	withoutAWS(res.Header)
	s, err := messages.Accept(c.Take(res), c.req.Endpoint, c.req.Stream, nil)
	if err != nil {
		return nil, c.refused(err, said)
	}
	s.Degraded, s.Billed = c.degraded, c.model
	if unpacked != nil {
		s.Frames = &metered{Frames: s.Frames, events: unpacked, call: c}
	} else {
		c.proven()
		s.Frames = discreet{s.Frames}
	}
	return s, nil
}

// subject is what the call can teach about.
func (c *call) subject() string { return subject(c.model, c.req.Endpoint) }

// proven learns from an answer that has content. That a stream has begun is none:
// a refusal can be the first thing in it.
func (c *call) proven() { c.p.learnt.proven(c.subject(), c.plan) }

// refused completes a failure: with what AWS said to the operator, and with
// whether another attempt would be another request.
func (c *call) refused(err error, said string) error {
	var e *providers.Error
	if !errors.As(err, &e) {
		return err
	}
	e.Body = withoutAccount(e.Body)
	if said != "" {
		c.learn(e, said)
	}
	return e
}

// learn completes a failure of which AWS has said something.
func (c *call) learn(e *providers.Error, said string) {
	e.Err = errors.New(said + c.advice(said, e.Status))
	if (e.Class == providers.ClassInvalid || e.Class == providers.ClassCredential) && modelless(said) {
		e.Class = providers.ClassNoModel
		if e.Status == http.StatusBadRequest { // as the Messages API says it
			e.Status, e.Body = http.StatusNotFound, errorBody(http.StatusNotFound, said)
		}
		return
	}
	switch {
	case c.req.Endpoint == providers.CountTokens && uncounted(said):
		// As from an upstream without that endpoint: whatever the account may
		// not, it may send messages.
		e.Class, e.Status, e.Body = providers.ClassInvalid, http.StatusNotFound, errorBody(http.StatusNotFound, said)
	case e.Class == providers.ClassCredential && denied(said) && c.signed.CanExpire:
		// Others would be for the same role, which may not.
	case e.Class == providers.ClassCredential:
		e.Renewed = e.Renewed || c.p.account.renew(c.ctx, c.session, c.signed)
	case e.Class == providers.ClassInvalid:
		e.Renewed = c.p.learnt.refused(c.subject(), c.plan, said, time.Now())
	}
}
