package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"anyproxy/config"
	"anyproxy/providers"
	"anyproxy/providers/credential"
	"anyproxy/providers/upstream/http1"
)

// An Exchange is one attempt, from the request to the end of its answer.
type Exchange struct {
	*Client
	Model string
	Key   config.Secret // what the upstream is shown; empty where its auth sends none

	ctx   context.Context
	over  *transport
	taken bool        // the request's header is ours
	plain *http1.Body // the answer's, nil where it came over net/http
}

// Begin starts an attempt: it takes the key. Every failure of the Exchange is
// an *providers.Error in the name of the Client and model.
func (c *Client) Begin(ctx context.Context, model string) (*Exchange, error) {
	x := &Exchange{Client: c, Model: model, ctx: ctx, over: c.transport.Load()}
	key, err := c.secret(ctx)
	if err != nil {
		return nil, x.Fail(providers.ClassCredential, err)
	}
	x.Key = key
	return x, nil
}

// Do sends a request, of which it takes the method, URL, host and header, with a
// body in parts, which lie in kept or in memory that is never changed. The caller
// holds kept meanwhile. The header must not be used behind it.
func (x *Exchange) Do(head *http.Request, kept *providers.Body, parts [3][]byte) (*http.Response, error) {
	if x.over.reaches(head.URL) {
		return x.send(head, kept, parts)
	}
	return x.sendOver(head, kept, parts)
}

// send makes the exchange over a connection of our own.
func (x *Exchange) send(head *http.Request, kept *providers.Body, parts [3][]byte) (*http.Response, error) {
	r := http1.Request{Method: head.Method, URL: head.URL, Host: head.Host, Header: head.Header, Body: parts, Held: kept}
	res, err := x.over.own.Do(x.ctx, &r)
	x.dropHeader(head.Header)
	if err != nil {
		return nil, x.unanswered(r.Sent, err)
	}
	x.plain, _ = res.Body.(*http1.Body)
	return res, nil
}

// unanswered is the failure of a request without an answer.
func (x *Exchange) unanswered(sent bool, err error) *providers.Error {
	if sent {
		return x.Fail(providers.ClassBroken, err)
	}
	return x.Fail(providers.ClassConnect, err)
}

// Fail makes an error of a failure without an answer. When the attempt has
// been cancelled, that is the failure, whatever it led to.
func (x *Exchange) Fail(class providers.Class, err error) *providers.Error {
	if x.ctx.Err() != nil {
		cause := context.Cause(x.ctx)
		class = providers.ClassCanceled
		if errors.Is(cause, providers.ErrTimeout) || errors.Is(cause, context.DeadlineExceeded) {
			class = providers.ClassTimeout
			x.distrust(x.over)
		}
		if !errors.Is(err, cause) {
			err = fmt.Errorf("%w: %w", cause, err)
		}
	}
	return &providers.Error{Provider: x.Name, Model: x.Model, Class: class, Err: err}
}

// renewed reports whether the key's source has another value than the one that
// the upstream was shown and has refused. It may ask for one.
func (x *Exchange) renewed() bool {
	if x.key == nil || x.Key.Empty() {
		return false
	}
	return credential.Renew(x.ctx, x.key, x.Key)
}

// spare reports whether there is another key than the one whose rate limit is
// used up for that long.
func (x *Exchange) spare(wait time.Duration) bool {
	return x.key != nil && !x.Key.Empty() && credential.Spare(x.key, x.Key, wait)
}

// Redact replaces, in an answer that is an error, the credentials that the
// upstream was shown. The client's own may be quoted to the client.
func (x *Exchange) Redact(b []byte) []byte {
	key := x.Key.Reveal()
	if key == "" && len(x.Headers) == 0 {
		return b
	}
	return x.redactorOf(key).Bytes(b)
}

// redactHeader does the same for the headers of any answer: nobody expects a
// key there, and no byte of them is the model's.
func (x *Exchange) redactHeader(h http.Header) {
	key := x.Key.Reveal()
	if key == "" && len(x.Headers) == 0 {
		return
	}
	r := x.redactorOf(key)
	for _, values := range h {
		for i, v := range values {
			values[i] = r.String(v)
		}
	}
}
