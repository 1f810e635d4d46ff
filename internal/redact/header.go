package redact

import (
	"net/http"
	"strings"
)

// shown are the headers whose values may be read by whoever reads the log.
var shown = map[string]bool{
	"Accept": true, "Accept-Encoding": true, "Accept-Language": true, "Age": true, "Allow": true,
	"Cache-Control": true, "Cf-Cache-Status": true, "Cf-Ray": true, "Connection": true,
	"Content-Encoding": true, "Content-Length": true, "Content-Type": true, "Date": true,
	"Anthropic-Beta": true, "Anthropic-Version": true, "Anthropic-Dangerous-Direct-Browser-Access": true,
	"Host": true, "Request-Id": true, "X-Request-Id": true, "Retry-After": true, "Retry-After-Ms": true,
	"Server": true, "Transfer-Encoding": true, "User-Agent": true, "Vary": true, "Via": true,
	"X-App": true, "X-Should-Retry": true,
}

// shownFamilies are beginnings of such headers' names.
var shownFamilies = []string{
	"Anthropic-Ratelimit-", "X-Ratelimit-", "X-Stainless-", "X-Claude-Code-", "X-Anyproxy-",
}

// Header returns what may be shown of a header's value: dots, unless its name
// is known to carry no secret. name may be written in any case.
func (r *Redactor) Header(name, value string) string {
	if !HeaderShown(name) {
		return Dots
	}
	return r.String(value)
}

// HeaderShown reports whether a header is known to carry no secret by its name,
// which may be written in any case. Its value may hold one all the same.
func HeaderShown(name string) bool {
	name = http.CanonicalHeaderKey(name)
	if name == "X-Anyproxy-Key" { // a client's
		return false
	}
	if shown[name] {
		return true
	}
	for _, family := range shownFamilies {
		if strings.HasPrefix(name, family) {
			return true
		}
	}
	return false
}
