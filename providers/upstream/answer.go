package upstream

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"anyproxy/internal/jsonscan"
	"anyproxy/providers"
	"anyproxy/providers/ratelimit"
)

const (
	// MaxErrorBody is the size of the largest error that is read.
	MaxErrorBody = 1 << 20
	// MaxAnswer is the size of the largest answer without a stream.
	MaxAnswer = 64 << 20
	// MaxDepth bounds how deep an answer's JSON may be nested.
	MaxDepth = 512
)

// An Answer is an upstream's response, unpacked.
type Answer struct {
	*Exchange
	Res    *http.Response
	body   io.Reader // nil when its encoding is none of ours
	packed bool
	// waits takes the place of the header once that is let go.
	waits *waits
}

// waits is how long the upstream wants to be left alone with a status of 429
// or 529.
type waits struct{ limited, overloaded time.Duration }

// Settle lets the header go. A stream may take minutes, and thousands may at a time.
func (a *Answer) Settle() {
	now, h := time.Now(), a.Res.Header
	limited, overloaded := ratelimit.RetryAfter(h, http.StatusTooManyRequests, now), ratelimit.RetryAfter(h, statusOverloaded, now)
	if limited > 0 || overloaded > 0 {
		a.waits = &waits{limited, overloaded}
	}
	a.Res.Header = http.Header{} // a late error gets its own
}

// retryAfter is how long an error of that status asks for.
func (a Answer) retryAfter(status int) time.Duration {
	switch {
	case a.waits == nil:
		return ratelimit.RetryAfter(a.Res.Header, status, time.Now())
	case status == http.StatusTooManyRequests:
		return a.waits.limited
	case status == statusOverloaded:
		return a.waits.overloaded
	default:
		return 0
	}
}

// statusOverloaded is the Messages API's own.
const statusOverloaded = 529

// Take makes an Answer of a response. The credentials that the upstream was
// shown are replaced in its header.
func (x *Exchange) Take(res *http.Response) Answer {
	x.redactHeader(res.Header)
	a := Answer{Exchange: x, Res: res, body: decoded(res)}
	_, a.packed = a.body.(*gunzip)
	return a
}

// Limits is what the answer says of rate limits.
func (a Answer) Limits() providers.Limits { return ratelimit.Read(a.Res.Header, time.Now()) }

// Unusable is an answer that is none.
func (a Answer) Unusable(format string, args ...any) *providers.Error {
	e := a.Fail(providers.ClassBadResponse, fmt.Errorf(format, args...))
	e.Status = a.Res.StatusCode
	return e
}

// Check finds what no format can use: a status or an encoding that is none of
// an answer's. Error statuses pass: what they say is the format's business.
func (a Answer) Check() error {
	switch status := a.Res.StatusCode; {
	case status >= 600:
		return a.Unusable("status %d", status)
	case status >= 400:
		return nil
	case status >= 300:
		return a.Unusable("redirect to %s", redirectHost(a.Res.Header))
	case status < 200:
		return a.Unusable("no final answer")
	case status == http.StatusNoContent:
		return a.Unusable("no content") // over HTTP/2 some could come, for which our client has no room
	case a.body == nil:
		return a.Unusable("content encoding %.40q", a.Res.Header.Get("Content-Encoding"))
	}
	return nil
}

// Refused is the failure that a status stands for, the answer's own or the one
// of an error inside it.
func (a Answer) Refused(status int) *providers.Error {
	e := &providers.Error{
		Provider: a.Name, Model: a.Model, Status: status, Class: providers.ClassOf(status),
		RetryAfter: a.retryAfter(status), Limits: a.Limits(),
	}
	switch {
	case status != a.Res.StatusCode:
	case e.Class == providers.ClassCredential:
		e.Renewed = a.renewed()
	case e.Class == providers.ClassRateLimited:
		e.Renewed = a.spare(e.RetryAfter)
	}
	return e
}

// ErrorBody reads the body of an answer with an error status, for e. When the
// status is there it is the failure, even if the rest does not come; only a
// client that has left matters more, and is then what is returned.
func (a Answer) ErrorBody(e *providers.Error) (body []byte, left *providers.Error) {
	body, err := a.ReadError()
	if err != nil {
		e.Err = fmt.Errorf("read error body: %w", err)
		if gone := a.Fail(e.Class, err); gone.Class == providers.ClassCanceled {
			return nil, gone
		}
	}
	return a.Redact(body), nil
}

// ReadError reads a body that should be a short error. One that is longer than
// MaxErrorBody is not an error that a client can use.
func (a Answer) ReadError() ([]byte, error) {
	if a.body == nil {
		return nil, nil
	}
	b, err := io.ReadAll(io.LimitReader(a.body, MaxErrorBody+1))
	if err != nil || len(b) > MaxErrorBody {
		return nil, err
	}
	return b, nil
}

// Unsound is the failure of a body that is not one JSON object: a beginning of
// one was cut off, anything else was never an answer.
func (a Answer) Unsound(body []byte, err error) *providers.Error {
	if len(body) > 0 && errors.Is(err, jsonscan.ErrTruncated) {
		return a.Fail(providers.ClassBroken, fmt.Errorf("answer: %w", err))
	}
	return a.Unusable("answer: %w", err)
}

// Excerpt is the beginning of an error body that no client could read, for the
// operator: on one line, without what a terminal would obey.
func Excerpt(body []byte) string {
	const longest = 200
	text := strings.Join(strings.Fields(strings.ToValidUTF8(string(body[:min(len(body), 4*longest)]), "")), " ")
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return fmt.Sprintf("%q", text)
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
