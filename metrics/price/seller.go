package price

import (
	"net/url"
	"strings"

	"anyproxy/metrics"
)

// sellers are the hosts whose prices the table has of models that others serve
// too, at prices of their own. Their names begin like this.
var sellers = []struct{ model, host string }{
	{"codestral-", "api.mistral.ai"},
	{"deepseek-", "api.deepseek.com"},
	{"devstral-", "api.mistral.ai"},
	{"glm-", "api.z.ai"},
	{"kimi-", "api.moonshot.ai"},
	{"llama-", "api.groq.com"},
	{"openai/gpt-oss-", "api.groq.com"},
	{"qwen3-coder-", "dashscope-intl.aliyuncs.com"},
}

// At returns what a model costs at an endpoint, a URL; nil = not known. What only
// its maker sells costs the same wherever it is asked for.
func At(endpoint, model string) *metrics.Rates {
	name := normal(model)
	for _, s := range sellers {
		if !strings.HasPrefix(name, s.model) {
			continue
		}
		if u, err := url.Parse(endpoint); err != nil || !strings.EqualFold(u.Hostname(), s.host) {
			return nil
		}
	}
	return Of(model)
}
