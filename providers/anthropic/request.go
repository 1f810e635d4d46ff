package anthropic

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"anyproxy/config"
	"anyproxy/providers"
	"anyproxy/providers/upstream"
)

// request builds the upstream's request, without its body.
func (p *Provider) request(x *upstream.Exchange, r *providers.Request) *http.Request {
	u := p.urls[r.Endpoint]
	u.RawQuery = r.RawQuery
	req := &http.Request{Method: http.MethodPost, URL: &u, Host: u.Host, Header: p.header(x.TakeHeader(), r, x.Key)}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host // the transport sends no other
	}
	return req
}

// splice cuts the body into the three parts of which it goes out: what stands
// before the model's name, the name, and what stands behind it.
func (p *Provider) splice(r *providers.Request) [3][]byte {
	b := r.Body.Bytes()
	var name []byte
	if r.Model != r.Asked {
		name, _ = json.Marshal(r.Model) // a string always marshals
	}
	if p.Mixed && !p.unsigned.Load() && hasUnsigned(b) {
		if whole, ok := withoutUnsigned(r, name); ok {
			return [3][]byte{whole}
		}
	}
	if name == nil {
		return [3][]byte{b}
	}
	return [3][]byte{b[:r.ModelAt.Start], name, b[r.ModelAt.End:]}
}

// header builds the upstream's header, in h, from the client's by allow-list,
// from the provider's configuration and from its key.
func (p *Provider) header(h http.Header, r *providers.Request, key config.Secret) http.Header {
	dropped := upstream.ConnectionTokens(r.Header)
	for name, values := range r.Header {
		if passes(name) && !slices.Contains(dropped, name) {
			h[name] = values
		}
	}
	// We read the events, so they must come unpacked; and no other client's
	// name is put in the place of an absent one.
	h["Accept-Encoding"] = []string{"identity"}
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = nil
	}
	// Without a value it is not sent: it tells the transport that the request
	// may go out again when a kept-alive connection turns out to be dead.
	h["Idempotency-Key"] = nil
	for name, value := range p.Headers {
		if name == betaHeader {
			addBeta(h, value.Reveal())
		} else {
			h[name] = []string{value.Reveal()}
		}
	}
	p.authorize(h, r.Auth, key.Reveal())
	return h
}

// passes reports whether a client's header may go to an Anthropic upstream.
// anthropic-* is an open list: features travel as a header and body field in
// pairs, also those that are not known here.
func passes(name string) bool {
	switch name {
	case "Content-Type", "Accept", "User-Agent", "X-App", "Traceparent", "Tracestate":
		return true
	}
	return strings.HasPrefix(name, "Anthropic-") || strings.HasPrefix(name, "X-Stainless-") ||
		strings.HasPrefix(name, "X-Claude-Code-")
}
