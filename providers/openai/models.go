package openai

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"anyproxy/config"
	"anyproxy/providers"
	"anyproxy/providers/listing"
)

// ErrDeployments is why Azure is not asked: its list has the models that could be
// deployed, and requests name deployments.
var ErrDeployments = errors.New("the list of Azure has models, not the deployments that requests name")

// Models asks the upstream for the models that it has.
func (p *Provider) Models(ctx context.Context) (list listing.List, err error) {
	if p.azure || p.address.deployment || strings.Contains(p.address.url.Path, "/deployments/") {
		return list, ErrDeployments
	}
	body, err := p.Get(ctx, func(key config.Secret) (*http.Request, error) {
		u := p.address.list()
		return &http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: p.header(&providers.Request{}, key)}, nil
	})
	if err != nil {
		return list, err
	}
	list.Payloads = [][]byte{body}
	page, err := listing.Parse(body)
	list.Models = page.Models
	return list, err
}

// list is where the models are listed: beside the chat completions.
func (a *address) list() *url.URL {
	u := a.url
	u.RawPath = strings.TrimSuffix(u.RawPath, completions) + "/models"
	u.Path = strings.TrimSuffix(u.Path, completions) + "/models"
	return &u
}
