package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"time"

	"anyproxy/config"
	"anyproxy/providers"
	"anyproxy/providers/credential"
)

// An Exchange is one attempt, from the request to the end of its answer.
type Exchange struct {
	*Client
	Model string
	Key   config.Secret // what the upstream is shown; empty where its auth sends none

	ctx   context.Context
	over  *http.Transport
	trace httptrace.ClientTrace
	taken bool  // the request's header is ours
	conn  *conn // the answer's connection where it is a plain one of ours, else nil
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

// blank is what requests are made from: a context is set by copying only.
var blank = http.Request{Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}

// Do sends a request, of which it takes the method, URL, host and header, with
// the given body, which it closes, whatever happens. The header must not be used
// behind it.
func (x *Exchange) Do(head *http.Request, body *Body) (*http.Response, error) {
	body.onRepeat = x.over.CloseIdleConnections // where one is dead all are suspect: the repetition gets a fresh one
	req := blank.WithContext(x.traced(x.ctx, body))
	req.Method, req.URL, req.Host, req.Header = head.Method, head.URL, head.Host, head.Header
	req.Body, req.GetBody, req.ContentLength = body, body.again, body.size
	res, err := x.over.RoundTrip(req)
	body.settle()
	switch {
	case err == nil:
		if body.written() { // the transport keeps the request to the end of its answer, which may take minutes
			x.dropHeader(req.Header)
		}
		return res, nil
	case body.sent():
		return nil, x.Fail(providers.ClassBroken, err)
	default:
		return nil, x.Fail(providers.ClassConnect, err)
	}
}

// traced has the transport tell which connection the exchange got, before it
// is written to.
func (x *Exchange) traced(ctx context.Context, b *Body) context.Context {
	x.trace.GotConn = func(info httptrace.GotConnInfo) {
		if x.conn, _ = info.Conn.(*conn); x.conn != nil { // TLS and HTTP/2 have theirs above it
			x.conn.body = b
		}
	}
	return httptrace.WithClientTrace(ctx, &x.trace)
}

// waiting reports whether the next read of the answer's body surely finds more
// of it without waiting. It is asked between two reads of the body, before its
// end. What is ahead may be no more than the end of a chunk and half the head of
// the next: reading those would wait for the rest, and keep back what has come.
func (x *Exchange) waiting() bool {
	if x.conn == nil {
		return false
	}
	ahead := x.conn.ahead
	for range 2 {
		i := bytes.IndexByte(ahead, '\n')
		if i < 0 {
			return false
		}
		ahead = ahead[i+1:]
	}
	return len(ahead) >= 2
}

// Unwatched says that the end of the answer's body is read, or may be, before
// that of what is made of it: its connection may be another exchange's from then
// on, and must not be looked at.
func (x *Exchange) Unwatched() { x.conn = nil }

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
