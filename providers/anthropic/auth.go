package anthropic

import (
	"net/http"
	"slices"
	"strings"

	"anyproxy/config"
	"anyproxy/providers"
)

const (
	betaHeader = "Anthropic-Beta"
	// oauthBeta is the beta without which the API refuses an OAuth token.
	oauthBeta = "oauth-2025-04-20"
	// oauthPrefix opens the tokens that `claude setup-token` gives.
	oauthPrefix = "sk-ant-oat"
)

// authorize shows the upstream the provider's key, or the client's own
// credential where the provider is configured to pass it through.
func (p *Provider) authorize(h http.Header, client providers.ClientAuth, key string) {
	auth := p.Auth
	if auth == "" {
		auth = config.AuthAPIKey
		if strings.HasPrefix(key, oauthPrefix) {
			auth = config.AuthBearer
		}
	}
	switch auth {
	case config.AuthAPIKey:
		setCredential(h, key, "")
	case config.AuthBearer:
		setCredential(h, "", "Bearer "+key)
	case config.AuthBoth:
		setCredential(h, key, "Bearer "+key)
	case config.AuthPassthrough:
		setCredential(h, client.APIKey, client.Authorization)
	}
	if auth != config.AuthAPIKey && strings.HasPrefix(key, oauthPrefix) {
		addBeta(h, oauthBeta)
	}
}

func setCredential(h http.Header, apiKey, authorization string) {
	if apiKey != "" {
		h["X-Api-Key"] = []string{apiKey}
	}
	if authorization != "" {
		h["Authorization"] = []string{authorization}
	}
}

// addBeta adds those of a comma-separated list of betas that h has not, behind
// the client's own, which stay as they are.
func addBeta(h http.Header, list string) {
	for beta := range strings.SplitSeq(list, ",") {
		if beta = strings.TrimSpace(beta); beta == "" || hasBeta(h, beta) {
			continue
		}
		lines := slices.Clone(h[betaHeader]) // the slice is the client's
		if len(lines) == 0 {
			lines = []string{beta}
		} else {
			lines[len(lines)-1] += "," + beta
		}
		h[betaHeader] = lines
	}
}

func hasBeta(h http.Header, beta string) bool {
	for _, line := range h[betaHeader] {
		for have := range strings.SplitSeq(line, ",") {
			if strings.TrimSpace(have) == beta {
				return true
			}
		}
	}
	return false
}
