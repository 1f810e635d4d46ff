// Package messages reads answers in the format of the Anthropic Messages API,
// streamed or whole, whoever gives them: only whole events that follow the
// grammar of a message stream get through, and only whole bodies.
//
// All that it returns belongs to one goroutine.
package messages

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"sync/atomic"

	"anyproxy/internal/jsonscan"
	"anyproxy/providers"
	"anyproxy/providers/upstream"
)

// maxDepth bounds how deep an answer's JSON may be nested.
const maxDepth = upstream.MaxDepth

// An answer is an upstream's response to a request of one endpoint.
type answer struct {
	upstream.Answer
	endpoint providers.Endpoint
	unsigned *atomic.Bool // see Accept
}

// Accept looks at the head of an upstream's response to a request of the given
// endpoint and makes a Stream or an Error of it. stream says that one was asked
// for. unsigned, unless nil, is set when thinking comes without a signature.
func Accept(res upstream.Answer, endpoint providers.Endpoint, stream bool, unsigned *atomic.Bool) (*providers.Stream, error) {
	a := answer{res, endpoint, unsigned}
	frames, err := a.frames(stream)
	if err != nil {
		a.Res.Body.Close()
		return nil, err
	}
	limits := a.Limits()
	return &providers.Stream{Status: a.Res.StatusCode, Header: upstream.EndToEnd(a.Res.Header), Limits: limits, Frames: frames}, nil
}

func (a answer) frames(stream bool) (providers.Frames, error) {
	if err := a.Check(); err != nil {
		return nil, err
	}
	kind := upstream.ContentType(a.Res.Header)
	switch {
	case a.Res.StatusCode >= 400:
		return nil, a.refused()
	case stream && kind == "text/event-stream":
		return newStream(a), nil
	case !stream && upstream.IsJSON(kind):
		return &message{answer: a}, nil
	case upstream.IsJSON(kind):
		return nil, a.unstreamed()
	default:
		return nil, a.Unusable("content type %.40q", kind)
	}
}

// refused reads an answer with an error status.
func (a answer) refused() *providers.Error {
	e := a.Refused(a.Res.StatusCode)
	body, left := a.ErrorBody(e)
	switch {
	case left != nil:
		return left
	case IsError(body), e.Class == providers.ClassInvalid && jsonscan.Valid(body, maxDepth) == nil:
		// What is about the client's request reaches it as it is, whatever its shape.
		e.Header, e.Body = upstream.EndToEnd(a.Res.Header), body
	case e.Err == nil && len(body) > 0:
		e.Err = errors.New(upstream.Excerpt(body))
	}
	return e
}

// unstreamed is the failure of a JSON answer to a request for a stream: what
// it says when it is an error, else that it came.
func (a answer) unstreamed() *providers.Error {
	body, err := a.ReadError()
	if err != nil {
		return a.Fail(providers.ClassBroken, fmt.Errorf("read answer: %w", err))
	}
	if IsError(body) {
		return a.told(body)
	}
	return a.Unusable("JSON instead of a stream")
}

// told makes an Error of an error that came with status 200, as the whole
// answer or as an event: its type stands for a status.
func (a answer) told(body []byte) *providers.Error {
	e := a.Refused(statusOf(errorType(body)))
	h := make(http.Header)
	maps.Copy(h, upstream.EndToEnd(a.Res.Header))
	h.Set("Content-Type", "application/json")
	if body = a.Redact(body); IsError(body) {
		e.Header, e.Body = h, bytes.Clone(body)
	}
	return e
}

// statusOf gives the status that an error type stands for
// (docs.anthropic.com/en/api/errors).
func statusOf(errorType string) int {
	switch errorType {
	case "invalid_request_error":
		return http.StatusBadRequest
	case "authentication_error":
		return http.StatusUnauthorized
	case "billing_error":
		return http.StatusPaymentRequired
	case "permission_error":
		return http.StatusForbidden
	case "not_found_error":
		return http.StatusNotFound
	case "request_too_large":
		return http.StatusRequestEntityTooLarge
	case "rate_limit_error":
		return http.StatusTooManyRequests
	case "timeout_error":
		return http.StatusGatewayTimeout
	case "overloaded_error":
		return 529
	default:
		return http.StatusInternalServerError
	}
}
