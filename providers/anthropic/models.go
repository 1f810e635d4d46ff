package anthropic

import (
	"context"
	"net/http"
	"net/url"

	"anyproxy/config"
	"anyproxy/providers"
	"anyproxy/providers/listing"
)

const (
	// apiVersion is the one whose shapes are read here
	// (platform.claude.com/docs/en/api/versioning).
	apiVersion = "2023-06-01"
	// pageSize is the most that one page may have
	// (platform.claude.com/docs/en/api/models/list).
	pageSize = "1000"
	// mostPages bounds a list that never ends.
	mostPages = 20
)

// Models asks the upstream for the models that it has, page by page.
func (p *Provider) Models(ctx context.Context) (listing.List, error) {
	var list listing.List
	query := url.Values{"limit": {pageSize}}
	for range mostPages {
		body, err := p.Get(ctx, func(key config.Secret) (*http.Request, error) { return p.listRequest(query, key), nil })
		if err != nil {
			return list, err
		}
		list.Payloads = append(list.Payloads, body)
		page, err := listing.Parse(body)
		if err != nil {
			return list, err
		}
		list.Models = append(list.Models, page.Models...)
		if !page.More || page.Last == query.Get("after_id") {
			break
		}
		query.Set("after_id", page.Last)
	}
	return list, nil
}

func (p *Provider) listRequest(query url.Values, key config.Secret) *http.Request {
	client := &providers.Request{Header: http.Header{"Anthropic-Version": {apiVersion}, "Accept": {"application/json"}, "User-Agent": {"anyproxy"}}}
	u := p.models
	u.RawQuery = query.Encode()
	req := &http.Request{Method: http.MethodGet, URL: &u, Host: u.Host, Header: p.header(http.Header{}, client, key)}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
	}
	return req
}
