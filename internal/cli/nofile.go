package cli

import (
	"fmt"
	"strings"
)

// configFromKeys writes the configuration that stands in for a file: Claude's
// models go to Anthropic with the user's own key or login, and every other
// provider whose key is in the environment serves only the models of its own
// name. Source code must not go to a provider because its key happens to be
// exported.
func configFromKeys(getenv func(string) string) string {
	var providers, models strings.Builder
	switch {
	case getenv("ANTHROPIC_API_KEY") != "":
		fmt.Fprintf(&providers, "  anthropic: {type: anthropic, endpoint: %s, apiKey: env.ANTHROPIC_API_KEY}\n", anthropicEndpoint)
	case getenv("CLAUDE_CODE_OAUTH_TOKEN") != "":
		fmt.Fprintf(&providers, "  anthropic: {type: anthropic, endpoint: %s, auth: bearer, apiKey: env.CLAUDE_CODE_OAUTH_TOKEN}\n", anthropicEndpoint)
	default:
		fmt.Fprintf(&providers, "  anthropic: {type: anthropic, endpoint: %s, auth: passthrough}\n", anthropicEndpoint)
	}
	models.WriteString("  - {alias: \"claude-*\", provider: anthropic}\n")

	if getenv("AWS_REGION") != "" || getenv("AWS_DEFAULT_REGION") != "" || getenv("AWS_PROFILE") != "" {
		providers.WriteString("  bedrock: {type: bedrock}\n") // region and profile come from the environment, too
		models.WriteString("  - {alias: \"claude-*\", provider: bedrock, tier: 2}\n")
	}
	for _, k := range foreignKeys {
		if getenv(k.env) != "" {
			fmt.Fprintf(&providers, "  %s: {type: %s, endpoint: %s, apiKey: env.%s}\n", k.name, k.format, k.endpoint, k.env)
			fmt.Fprintf(&models, "  - {alias: [%s], provider: %s}\n", k.models, k.name)
		}
	}
	return "providers:\n" + providers.String() + "models:\n" + models.String()
}

const anthropicEndpoint = "https://api.anthropic.com"

// foreignKeys are the other providers that a key in the environment stands for,
// with the endpoints that their documentation names.
var foreignKeys = []struct{ env, name, format, endpoint, models string }{
	{"OPENAI_API_KEY", "openai", "openai", "https://api.openai.com", `"gpt-*", "o1*", "o3*", "o4*", "chatgpt-*"`},
	{"OPENROUTER_API_KEY", "openrouter", "openai", "https://openrouter.ai/api", `"*/*"`},
	{"GROQ_API_KEY", "groq", "openai", "https://api.groq.com/openai", `"llama-*", "groq/*"`},
	{"DEEPSEEK_API_KEY", "deepseek", "openai", "https://api.deepseek.com", `"deepseek-*"`},
	{"ZAI_API_KEY", "zai", "anthropic", "https://api.z.ai/api/anthropic", `"glm-*"`},
}
