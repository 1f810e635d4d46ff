package price

import (
	"strings"
	"testing"
)

// FuzzOf asks for the price of any name: there is one exactly where the table
// has a name for it, which begins the model's own; it is what it was a moment
// ago; and a seller never makes one of a model that is not known.
func FuzzOf(f *testing.F) {
	for model, endpoint := range map[string]string{
		"claude-sonnet-4-5-20250929": "https://api.anthropic.com", "us.anthropic.claude-opus-4-6-v1:0": "", "anthropic/claude-sonnet-4.5": "https://openrouter.ai/api",
		"arn:aws:bedrock:us-east-1:1:inference-profile/eu.anthropic.claude-3-haiku-20240307-v1:0": "%zz", "gpt-5.1-codex-max": "https://api.openai.com",
		"groq/openai/gpt-oss-20b": "https://api.groq.com", "glm-4.6": "https://API.Z.AI:443/api", "gpt-4o-audio": "\x00", "models/\xff": "//",
	} {
		f.Add(model, endpoint)
	}
	f.Fuzz(func(t *testing.T, model, endpoint string) {
		name, rates := Name(model), Of(model)
		if (name != "") != (rates != nil) || !strings.HasPrefix(normal(model), name) {
			t.Fatalf("%q is %q in the table, with the price %v", model, name, rates)
		}
		if rates == nil {
			if At(endpoint, model) != nil {
				t.Fatalf("%q has a price at %q only", model, endpoint)
			}
			return
		}
		if Name(name) != name {
			t.Errorf("%q is in the table as %q, and that as %q", model, name, Name(name))
		}
		if rates.Input < 0 || rates.Output < 0 || *rates != *Of(model) {
			t.Errorf("%q costs %+v", model, *rates)
		}
	})
}
