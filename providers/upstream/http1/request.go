package http1

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// A Request is what Do sends. Its body is in memory, in parts that are not copied.
type Request struct {
	Method string
	URL    *url.URL // http or https
	Host   string   // "" = the URL's
	// Header is sent as it is, but for the headers that say where the request goes
	// and how long it is; Connection is the caller's business. It is not used behind Do.
	Header http.Header
	Body   [3][]byte
	// Held keeps Body: it is retained as long as it is being written, which may be
	// longer than Do.
	Held Holder

	// Sent is set when any of the request may have reached the server.
	Sent bool
}

// A Holder is memory that is counted.
type Holder interface {
	Retain()
	Release()
}

// size is that of the body.
func (r *Request) size() int { return len(r.Body[0]) + len(r.Body[1]) + len(r.Body[2]) }

// heads keeps the buffers of heads.
var heads = sync.Pool{New: func() any { return new(make([]byte, 0, headSize)) }}

// headSize is the usual room for a head, and for what comes with one; maxKept is
// the largest buffer that is kept.
const (
	headSize = 4 << 10
	maxKept  = 32 << 10
)

func freeHead(b *[]byte) {
	if cap(*b) <= maxKept {
		*b = (*b)[:0]
		heads.Put(b)
	}
}

// head is the request up to its body, to be given to freeHead.
func (r *Request) head() (*[]byte, error) {
	p := heads.Get().(*[]byte)
	b, err := r.appendHead(*p)
	*p = b
	if err != nil {
		freeHead(p)
		return nil, err
	}
	return p, nil
}

func (r *Request) appendHead(b []byte) ([]byte, error) {
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	if at := strings.IndexByte(host, '%'); at >= 0 && host[0] == '[' { // a zone means nothing elsewhere (RFC 6874, section 1)
		host = host[:at] + host[max(strings.IndexByte(host, ']'), at):]
	}
	target := r.URL.RequestURI()
	if !visible(r.Method) || !isValue(target) || strings.ContainsAny(target, " \t") || !visible(host) {
		return b, errors.New("method, path or host of the request: not sendable")
	}
	b = append(append(b, r.Method...), ' ')
	b = append(b, target...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, host...)
	b = append(b, "\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(r.size()), 10)
	b = append(b, "\r\n"...)
	for name, values := range r.Header {
		switch name {
		case "Host", "Content-Length", "Transfer-Encoding", "Trailer":
			continue
		}
		if !isToken(name) {
			return b, fmt.Errorf("header %q of the request: not a name", name)
		}
		for _, v := range values {
			if !isValue(v) {
				return b, fmt.Errorf("header %s of the request: not a value", name) // which may be a secret
			}
			b = append(append(b, name...), ": "...)
			b = append(append(b, v...), "\r\n"...)
		}
	}
	return append(b, "\r\n"...), nil
}

// visible reports whether s is a word of visible ASCII.
func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s != ""
}

// tokens are the characters of names (RFC 9110, section 5.6.2).
var tokens = func() (set [256]bool) {
	for _, c := range "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" {
		set[c] = true
	}
	return set
}()

func isToken(s string) bool {
	for i := range len(s) {
		if !tokens[s[i]] {
			return false
		}
	}
	return s != ""
}

// isValue reports whether s may be a header's value (RFC 9110, section 5.5).
func isValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
