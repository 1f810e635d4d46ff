package front

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"
)

// A request is a head that has been taken apart. It speaks of memory that is read into
// again, of which fill makes a copy.
type request struct {
	text    []byte // which offsets are into
	end     int    // of the head
	method  string
	target  span
	host    span
	length  int64 // of the body
	close   bool
	lines   [maxLines]line
	n       int // of lines
	hasHost bool
	hasLen  bool
	hasConn bool
}

type span struct{ from, to uint16 }

// A line is a field of the header.
type line struct{ name, value span }

// maxLines is more than what clients of an API send.
const maxLines = 48

// methods are the usual ones.
var methods = [...]string{http.MethodPost, http.MethodGet, http.MethodHead}

const version = " HTTP/1.1"

// parse takes the head apart that b begins with, and returns its length: 0 while there is
// only the beginning of it. It is not ok as soon as it is not usual. What is not said here
// to be usual is not: all of it is net/http's to judge, and what is read here net/http
// reads in the same way (FuzzRequest). Names are brought to their canonical form in b.
func (q *request) parse(b []byte) (n int, ok bool) {
	*q = request{text: b}
	first := bytes.IndexByte(b, '\n')
	if first < 0 {
		return 0, len(b) == 0 || strings.IndexByte("GHP", b[0]) >= 0
	}
	if !q.start(b[:first]) {
		return 0, false
	}
	for i := first + 1; ; {
		length := bytes.IndexByte(b[i:], '\n')
		switch {
		case length < 0:
			return 0, true
		case length == 1 && b[i] == '\r':
			if !q.hasHost || (q.length > 0) != (q.method == http.MethodPost) {
				return 0, false
			}
			q.end = i + 2
			return q.end, true
		case length < 1 || b[i+length-1] != '\r' || !q.field(i, i+length-1):
			return 0, false
		}
		i += length + 1
	}
}

// start takes the first line apart, which ends with a carriage return.
func (q *request) start(b []byte) bool {
	b, ok := bytes.CutSuffix(b, []byte(version+"\r"))
	if !ok {
		return false
	}
	for _, method := range methods {
		if n := len(method); len(b) > n && b[n] == ' ' && string(b[:n]) == method {
			q.method, q.target = method, span{uint16(n + 1), uint16(len(b))}
			return isTarget(b[n+1:])
		}
	}
	return false
}

// isTarget reports whether a request's target is a path, perhaps with a query, in which
// every byte stands for itself (RFC 3986, 2.3).
func isTarget(b []byte) bool {
	if len(b) == 0 || b[0] != '/' || len(b) > 1 && b[1] == '/' {
		return false
	}
	path, query, asked := bytes.Cut(b, []byte("?"))
	if asked && len(query) == 0 {
		return false
	}
	for _, c := range path {
		if !is(c, unreserved) && c != '/' {
			return false
		}
	}
	for _, c := range query {
		if !is(c, unreserved) && c != '=' && c != '&' {
			return false
		}
	}
	return true
}

// field takes the line of the header apart that stands in text from i to end.
func (q *request) field(i, end int) bool {
	if q.n == maxLines {
		return false
	}
	b, start := q.text, i
	for upper := true; i < end && b[i] != ':'; i++ {
		c := b[i]
		switch {
		case !is(c, token):
			return false
		case upper && 'a' <= c && c <= 'z':
			b[i] = c - ('a' - 'A')
		case !upper && 'A' <= c && c <= 'Z':
			b[i] = c + ('a' - 'A')
		}
		upper = c == '-'
	}
	if i == end || i == start {
		return false
	}
	name := span{uint16(start), uint16(i)}
	for i++; i < end && b[i] == ' '; i++ {
	}
	for end > i && b[end-1] == ' ' {
		end--
	}
	for _, c := range b[i:end] {
		if c < ' ' || c > '~' {
			return false
		}
	}
	q.lines[q.n] = line{name, span{uint16(i), uint16(end)}}
	q.n++
	return q.known(b[start:name.to], b[i:end])
}

// known obeys a field that says something about the connection, the body or who is
// asked.
func (q *request) known(name, value []byte) bool {
	switch string(name) {
	case "Host":
		q.n-- // net/http keeps it out of the header
		again := q.hasHost
		q.host, q.hasHost = q.lines[q.n].value, true
		return !again && isHost(value)
	case "Content-Length":
		again := q.hasLen
		q.hasLen = true
		for _, c := range value {
			if c < '0' || c > '9' {
				return false
			}
			q.length = 10*q.length + int64(c-'0')
		}
		return !again && 0 < len(value) && len(value) < 16 && q.length > 0
	case "Connection":
		again := q.hasConn
		q.hasConn = true
		q.close = strings.EqualFold(string(value), "close")
		return !again && (q.close || strings.EqualFold(string(value), "keep-alive"))
	case "Transfer-Encoding", "Trailer", "Expect", "Upgrade", "Pragma":
		return false
	}
	return true
}

// isHost reports whether a Host is a name or an address with, perhaps, a port.
func isHost(b []byte) bool {
	for _, c := range b {
		if !is(c, unreserved) && c != ':' && c != '[' && c != ']' {
			return false
		}
	}
	return len(b) > 0
}

// fill makes r the request that the head describes, but for its body.
func (q *request) fill(r *http.Request) {
	text := string(q.text[:q.end])
	r.Method, r.RequestURI, r.Host = q.method, q.target.of(text), q.host.of(text)
	r.ContentLength, r.Close = q.length, q.close
	path, query, _ := strings.Cut(r.RequestURI, "?")
	r.URL = &url.URL{Path: path, RawQuery: query}
	r.Header = make(http.Header, q.n)
	values := make([]string, q.n)
	for i, l := range q.lines[:q.n] {
		name, one := l.name.of(text), values[i:i+1:i+1]
		one[0] = l.value.of(text)
		if earlier, ok := r.Header[name]; ok {
			one = append(earlier, one[0])
		}
		r.Header[name] = one
	}
	q.text = nil
}

func (s span) of(text string) string { return text[s.from:s.to] }

// Kinds of bytes.
const (
	unreserved = 1 << iota // RFC 3986, 2.3
	token                  // RFC 9110, 5.6.2
)

var kinds = func() (k [256]byte) {
	for c := range k {
		switch {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', strings.IndexByte("-._~", byte(c)) >= 0:
			k[c] = unreserved | token
		case strings.IndexByte("!#$%&'*+^`|", byte(c)) >= 0:
			k[c] = token
		}
	}
	return k
}()

func is(c byte, kind byte) bool { return kinds[c]&kind != 0 }
