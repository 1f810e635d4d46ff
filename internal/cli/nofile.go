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
	add := func(a account, more string) {
		var entry []string
		for _, s := range a.settings {
			entry = append(entry, s.key+": "+s.value)
		}
		fmt.Fprintf(&providers, "  %s: {%s}\n", a.name, strings.Join(entry, ", "))
		fmt.Fprintf(&models, "  - {alias: %s, provider: %s%s}\n", a.models, a.name, more)
	}
	add(claudeAccounts(getenv)[0], "")
	if a, ok := bedrockAccount(getenv); ok {
		add(a, ", tier: 2")
	}
	for _, a := range foreignAccounts(getenv) {
		add(a, "")
	}
	return "providers:\n" + providers.String() + "models:\n" + models.String()
}
