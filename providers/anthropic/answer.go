package anthropic

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"anyproxy/internal/jsonscan"
	"anyproxy/providers"
	"anyproxy/providers/ratelimit"
)

const (
	maxErrorBody = 1 << 20
	maxAnswer    = 64 << 20
	// maxDepth bounds how deep an answer's JSON may be nested.
	maxDepth = 512
)

// An answer is an upstream's response, unpacked.
type answer struct {
	*exchange
	res  *http.Response
	body io.Reader // nil when its encoding is none of ours
}

// accept looks at the head of a response and makes a Stream or an Error of it.
func (x *exchange) accept(res *http.Response, stream bool) (*providers.Stream, error) {
	a := answer{x, res, decoded(res)}
	if _, packed := a.body.(*gunzip); packed {
		x.conn = nil // its end is read before that of what it unpacks to: the connection may be another's by then
	}
	x.redactHeader(res.Header)
	frames, err := a.frames(stream)
	if err != nil {
		res.Body.Close()
		return nil, err
	}
	return &providers.Stream{Status: res.StatusCode, Header: endToEnd(res.Header), Limits: ratelimit.Read(res.Header, time.Now()), Frames: frames}, nil
}

func (a answer) frames(stream bool) (providers.Frames, error) {
	kind := contentType(a.res.Header)
	switch {
	case a.res.StatusCode >= 600:
		return nil, a.unusable("status %d", a.res.StatusCode)
	case a.res.StatusCode >= 400:
		return nil, a.refused()
	case a.res.StatusCode >= 300:
		return nil, a.unusable("redirect to %s", redirectHost(a.res.Header))
	case a.res.StatusCode < 200:
		return nil, a.unusable("no final answer")
	case a.body == nil:
		return nil, a.unusable("content encoding %.40q", a.res.Header.Get("Content-Encoding"))
	case stream && kind == "text/event-stream":
		return newStream(a), nil
	case !stream && isJSON(kind):
		return &message{answer: a}, nil
	case isJSON(kind):
		return nil, a.unstreamed()
	default:
		return nil, a.unusable("content type %.40q", kind)
	}
}

// unusable is an answer that is none.
func (a answer) unusable(format string, args ...any) *providers.Error {
	e := a.fail(providers.ClassBadResponse, fmt.Errorf(format, args...))
	e.Status = a.res.StatusCode
	return e
}

// refused reads an answer with an error status. When the status is there it is
// the failure, even if the rest does not come; only a client that has left
// matters more.
func (a answer) refused() *providers.Error {
	status := a.res.StatusCode
	e := &providers.Error{
		Provider: a.p.name, Model: a.model, Status: status, Class: providers.ClassOf(status),
		RetryAfter: ratelimit.RetryAfter(a.res.Header, status, time.Now()), Limits: ratelimit.Read(a.res.Header, time.Now()),
	}
	e.Renewed = e.Class == providers.ClassCredential && a.renewed()
	body, err := a.readError()
	if err != nil {
		e.Err = fmt.Errorf("read error body: %w", err)
		if gone := a.fail(e.Class, err); gone.Class == providers.ClassCanceled {
			return gone
		}
	}
	body = a.redact(body)
	switch {
	case isError(body), e.Class == providers.ClassInvalid && jsonscan.Valid(body, maxDepth) == nil:
		// What is about the client's request reaches it as it is, whatever its shape.
		e.Header, e.Body = endToEnd(a.res.Header), body
	case err == nil && len(body) > 0:
		e.Err = errors.New(excerpt(body))
	}
	return e
}

// excerpt is the beginning of an error body that no client could read, for the
// operator: on one line, without what a terminal would obey.
func excerpt(body []byte) string {
	const longest = 200
	text := strings.Join(strings.Fields(strings.ToValidUTF8(string(body[:min(len(body), 4*longest)]), "")), " ")
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return fmt.Sprintf("%q", text)
}

// unstreamed is the failure of a JSON answer to a request for a stream: what
// it says when it is an error, else that it came.
func (a answer) unstreamed() *providers.Error {
	body, err := a.readError()
	if err != nil {
		return a.fail(providers.ClassBroken, fmt.Errorf("read answer: %w", err))
	}
	if isError(body) {
		return a.told(body)
	}
	return a.unusable("JSON instead of a stream")
}

// readError reads a body that should be a short error. One that is longer than
// maxErrorBody is not an error that a client can use.
func (a answer) readError() ([]byte, error) {
	if a.body == nil {
		return nil, nil
	}
	b, err := io.ReadAll(io.LimitReader(a.body, maxErrorBody+1))
	if err != nil || len(b) > maxErrorBody {
		return nil, err
	}
	return b, nil
}

// told makes an Error of an error that came with status 200, as the whole
// answer or as an event: its type stands for a status.
func (a answer) told(body []byte) *providers.Error {
	status := statusOf(errorType(body))
	h := make(http.Header)
	maps.Copy(h, endToEnd(a.res.Header))
	h.Set("Content-Type", "application/json")
	e := &providers.Error{
		Provider: a.p.name, Model: a.model, Status: status, Class: providers.ClassOf(status),
		RetryAfter: ratelimit.RetryAfter(h, status, time.Now()),
	}
	if body = a.redact(body); isError(body) {
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

// decoded is the body as it was before encoding: gzip may come although only
// identity was asked for.
func decoded(res *http.Response) io.Reader {
	switch coding := strings.Join(res.Header.Values("Content-Encoding"), ","); strings.ToLower(strings.TrimSpace(coding)) {
	case "", "identity":
		return res.Body
	case "gzip", "x-gzip":
		return &gunzip{body: res.Body}
	default:
		return nil
	}
}

// gunzip unpacks a body, starting with the first Read: the head of the packed
// data comes when the upstream has something to say.
type gunzip struct {
	body io.Reader
	z    *gzip.Reader
}

func (g *gunzip) Read(p []byte) (int, error) {
	if g.z == nil {
		z, err := gzip.NewReader(g.body)
		if err != nil {
			return 0, fmt.Errorf("gzip: %w", err)
		}
		g.z = z
	}
	return g.z.Read(p)
}

// notForClients are the headers that concern the upstream's connection or its
// encoding of the body, its cookies and its host, and a wait in milliseconds,
// which would bypass the bound on the one in seconds.
var notForClients = []string{
	"Alt-Svc", "Retry-After-Ms",
	"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade", "Set-Cookie", "Set-Cookie2", "Content-Length", "Content-Encoding",
}

// endToEnd takes what is not the client's out of a response's header.
func endToEnd(h http.Header) http.Header {
	for _, name := range connectionTokens(h) {
		delete(h, name)
	}
	for _, name := range notForClients {
		delete(h, name)
	}
	for name := range h { // another anyproxy's word is not ours, and no web page is a client
		if strings.HasPrefix(name, "X-Anyproxy-") || strings.HasPrefix(name, "Access-Control-") {
			delete(h, name)
		}
	}
	return h
}

func contentType(h http.Header) string {
	kind, _, _ := mime.ParseMediaType(h.Get("Content-Type")) // known even where a parameter is malformed
	return kind
}

func isJSON(kind string) bool { return kind == "application/json" || strings.HasSuffix(kind, "+json") }

// redirectHost names the host that a redirect points to and no more: paths and
// queries may hold credentials.
func redirectHost(h http.Header) string {
	u, err := url.Parse(h.Get("Location"))
	if err != nil || u.Host == "" {
		return "the same host"
	}
	return "host " + fmt.Sprintf("%.255q", u.Host)
}
