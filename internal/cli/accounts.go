package cli

// account is a provider that the environment has the means for.
type account struct {
	name     string // of the provider
	title    string // as people call it
	found    string // the variable that says so; "" for the login of Claude Code itself
	settings []setting
	models   string // aliases of what it is asked for, as YAML
	stand    substitute
}

// setting is one line of a provider's entry: a key and its value, as YAML.
type setting struct{ key, value string }

// substitute is the model of a provider that may answer in Claude's place, with its
// limits in tokens; 0 is not known.
type substitute struct {
	model              string
	context, maxOutput int
}

const claudeModels = `"claude-*"`

// claudeAccounts are the ways to Anthropic, the best one first. The last one,
// passing on the credential of the client, is always there.
func claudeAccounts(getenv func(string) string) (list []account) {
	add := func(title, found string, settings ...setting) {
		settings = append([]setting{{"type", "anthropic"}, {"endpoint", "https://api.anthropic.com"}}, settings...)
		list = append(list, account{name: "anthropic", title: title, found: found, settings: settings, models: claudeModels})
	}
	if name := "ANTHROPIC_API_KEY"; getenv(name) != "" {
		add("the key "+name, name, setting{"apiKey", "env." + name})
	}
	if name := "CLAUDE_CODE_OAUTH_TOKEN"; getenv(name) != "" {
		add("the login "+name, name, setting{"auth", "bearer"}, setting{"apiKey", "env." + name})
	}
	add("the login or key that each Claude Code sends itself", "", setting{"auth", "passthrough"})
	return list
}

// bedrockAccount is Bedrock where the environment speaks of AWS. Region, profile
// and credentials are left to the environment.
func bedrockAccount(getenv func(string) string) (a account, ok bool) {
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"} {
		if getenv(name) != "" {
			return account{name: "bedrock", title: "AWS Bedrock", found: name, settings: []setting{{"type", "bedrock"}}, models: claudeModels}, true
		}
	}
	return account{}, false
}

// foreignAccounts are the providers of other models whose keys are there.
func foreignAccounts(getenv func(string) string) (list []account) {
	for _, a := range foreign {
		if getenv(a.found) != "" {
			list = append(list, account{name: a.name, title: a.title, found: a.found, models: a.models, stand: a.stand,
				settings: []setting{{"type", a.format}, {"endpoint", a.endpoint}, {"apiKey", "env." + a.found}}})
		}
	}
	return list
}

// foreign has the endpoints, models and limits that the providers' own
// documentation names; docs/providers.md has the same as recipes.
var foreign = []struct {
	found, name, title, format, endpoint, models string
	stand                                        substitute
}{
	{"OPENAI_API_KEY", "openai", "OpenAI", "openai", "https://api.openai.com", `["gpt-*", "o1*", "o3*", "o4*", "chatgpt-*"]`, substitute{"gpt-5.1", 272_000, 128_000}},
	{"OPENROUTER_API_KEY", "openrouter", "OpenRouter", "openai", "https://openrouter.ai/api", `"*/*"`, substitute{"moonshotai/kimi-k2-0905", 262_144, 32_768}},
	{"GROQ_API_KEY", "groq", "Groq", "openai", "https://api.groq.com/openai", `["llama-*", "groq/*"]`, substitute{"openai/gpt-oss-120b", 131_072, 65_536}},
	{"DEEPSEEK_API_KEY", "deepseek", "DeepSeek", "openai", "https://api.deepseek.com", `"deepseek-*"`, substitute{"deepseek-v4-pro", 1_000_000, 0}},
	{"ZAI_API_KEY", "zai", "Z.ai", "anthropic", "https://api.z.ai/api/anthropic", `"glm-*"`, substitute{"glm-4.6", 200_000, 0}},
}
