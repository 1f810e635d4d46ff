package openai

import (
	"net/url"
	"regexp"
	"strings"
)

const completions = "/chat/completions"

// version is the version in an endpoint's path, such as /v1, Gemini's
// /v1beta/openai and z.ai's /api/paas/v4: no other is added.
var version = regexp.MustCompile(`/v\d+[a-z0-9]*(?:/openai)?$`)

// address gives the URLs of a provider's models.
type address struct {
	url        url.URL
	query      string // of every request
	deployment bool   // the path names the model: Azure's
}

// azureHosts are the domains of Azure OpenAI and of its successor.
func isAzure(host string) bool {
	host = strings.ToLower(host)
	return strings.HasSuffix(host, ".openai.azure.com") || strings.HasSuffix(host, ".cognitiveservices.azure.com") ||
		strings.HasSuffix(host, ".services.ai.azure.com")
}

// addressOf finds where the chat completions of an endpoint are. An endpoint
// that names them is used as it is, a version at its end is kept; an apiVersion
// is Azure's, whose path names the model's deployment unless it has a version.
func addressOf(base *url.URL, apiVersion string) address {
	path := strings.TrimRight(base.EscapedPath(), "/")
	a := address{url: url.URL{Scheme: base.Scheme, Host: base.Host}}
	if apiVersion != "" {
		a.query = url.Values{"api-version": {apiVersion}}.Encode()
	}
	switch {
	case strings.HasSuffix(path, completions):
	case version.MatchString(path), strings.Contains(path, "/deployments/"):
		path += completions
	case apiVersion != "":
		path = strings.TrimSuffix(path, "/openai") + "/openai/deployments/"
		a.deployment = true
	case isAzure(base.Hostname()):
		path = strings.TrimSuffix(path, "/openai") + "/openai/v1" + completions
	default:
		path += "/v1" + completions
	}
	a.url.Path, a.url.RawPath = unescaped(path), path
	a.url.RawQuery = a.query
	return a
}

// of is the URL for a model.
func (a *address) of(model string) *url.URL {
	u := a.url
	if a.deployment {
		u.RawPath += url.PathEscape(model) + completions
		u.Path += model + completions
	}
	return &u
}

func unescaped(path string) string {
	p, err := url.PathUnescape(path)
	if err != nil {
		return path // cannot be: it was escaped by net/url
	}
	return p
}
