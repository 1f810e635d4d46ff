package upstream

import (
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// headers keeps those of requests that have been written.
var headers = sync.Pool{New: func() any { return make(http.Header) }}

// TakeHeader gives an empty header for the request, which Do takes back.
func (x *Exchange) TakeHeader() http.Header {
	x.taken = true
	return headers.Get().(http.Header)
}

// dropHeader lets go what a request's header holds, and the header itself where
// nobody else has it.
func (x *Exchange) dropHeader(h http.Header) {
	const usual = 64 // a table that has grown does not shrink
	keep := x.taken && len(h) <= usual
	clear(h)
	if keep {
		headers.Put(h)
	}
}

// notForClients are the headers that concern the upstream's connection or its
// encoding of the body, its cookies and its host, and a wait in milliseconds,
// which would bypass the bound on the one in seconds.
var notForClients = []string{
	"Alt-Svc", "Retry-After-Ms",
	"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade", "Set-Cookie", "Set-Cookie2", "Content-Length", "Content-Encoding",
}

// EndToEnd takes what is not the client's out of a response's header.
func EndToEnd(h http.Header) http.Header {
	for _, name := range ConnectionTokens(h) {
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

// ConnectionTokens are the names of headers that are meant for this hop only
// (RFC 9110, section 7.6.1).
func ConnectionTokens(h http.Header) (names []string) {
	for _, line := range h["Connection"] {
		for token := range strings.SplitSeq(line, ",") {
			if token = strings.TrimSpace(token); token != "" && !strings.EqualFold(token, "keep-alive") {
				names = append(names, http.CanonicalHeaderKey(token))
			}
		}
	}
	return names
}

// Trace passes on which trace a client's request belongs to (W3C Trace Context).
func Trace(to, from http.Header) {
	for _, name := range []string{"Traceparent", "Tracestate"} {
		if v := from[name]; len(v) > 0 {
			to[name] = v
		}
	}
}

// ContentType is the media type of an answer, without its parameters.
func ContentType(h http.Header) string {
	kind, _, _ := mime.ParseMediaType(h.Get("Content-Type")) // known even where a parameter is malformed
	return kind
}

// IsJSON reports whether a media type is one of JSON texts.
func IsJSON(kind string) bool { return kind == "application/json" || strings.HasSuffix(kind, "+json") }

// redirectHost names the host that a redirect points to and no more: paths and
// queries may hold credentials.
func redirectHost(h http.Header) string {
	u, err := url.Parse(h.Get("Location"))
	if err != nil || u.Host == "" {
		return "the same host"
	}
	return "host " + fmt.Sprintf("%.255q", u.Host)
}
