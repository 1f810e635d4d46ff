package cli

import (
	"context"
	"strconv"
	"strings"

	"anyproxy/config"
	"anyproxy/providers/credential"
	"anyproxy/proxy/routing"
)

// variable is one of the environment of a client.
type variable struct{ name, value string }

// noKey is presented where no client key is asked for: Claude Code wants one.
const noKey = "anyproxy"

// someClaude is a name that Claude Code asks for when it is not told otherwise.
const someClaude = "claude-sonnet-4-5"

// clientEnv is what Claude Code needs to use the proxy at base. key is a client
// key, "" where none is asked for. What the person has set already stays, but
// for the address and the key.
func clientEnv(c *config.Config, base, key string, getenv func(string) string) []variable {
	vars := []variable{{"ANTHROPIC_BASE_URL", base}}
	switch {
	case !usesLogin(c) && key == "":
		vars = append(vars, variable{"ANTHROPIC_AUTH_TOKEN", noKey})
	case !usesLogin(c):
		vars = append(vars, variable{"ANTHROPIC_AUTH_TOKEN", key})
	case key != "": // the login goes to its provider, so the key must travel beside it
		lines := strings.TrimRight(getenv("ANTHROPIC_CUSTOM_HEADERS"), "\n")
		if lines != "" {
			lines += "\n"
		}
		vars = append(vars, variable{"ANTHROPIC_CUSTOM_HEADERS", lines + keyHeader + ": " + key})
	}
	set := func(name, value string) {
		if getenv(name) == "" {
			vars = append(vars, variable{name, value})
		}
	}
	// Claude Code leaves these out when its address is not Anthropic's.
	set("CLAUDE_CODE_ENABLE_FINE_GRAINED_TOOL_STREAMING", "1")
	if onlyAnthropic(c) {
		set("ENABLE_TOOL_SEARCH", "true")
	}
	if window := largestContext(c); window > 0 && window < usualWindow {
		set("CLAUDE_CODE_AUTO_COMPACT_WINDOW", strconv.Itoa(max(window, leastWindow)))
	}
	for _, name := range []string{"NO_PROXY", "no_proxy"} {
		if usesOutboundProxy(getenv) {
			vars = append(vars, variable{name, withLocal(getenv(name))})
		}
	}
	return vars
}

// keyHeader carries a client key beside a login of the client's own.
const keyHeader = "x-anyproxy-key"

// Claude Code compacts a conversation for a window of usualWindow tokens, and
// can be told of no less than leastWindow.
const usualWindow, leastWindow = 200_000, 100_000

// largestContext is the largest window that a Claude request may find, 0 when
// one is not known.
func largestContext(c *config.Config) int {
	largest := 0
	for _, m := range c.Models {
		if m.Name != someClaude && !matchesAny(m.Alias, someClaude) {
			continue
		}
		if m.Context == 0 {
			return 0
		}
		largest = max(largest, m.Context)
	}
	return largest
}

func matchesAny(patterns []string, model string) bool {
	for _, p := range patterns {
		if routing.Match(p, model) {
			return true
		}
	}
	return false
}

func onlyAnthropic(c *config.Config) bool {
	for _, p := range c.Providers {
		if p.Type != config.Anthropic {
			return false
		}
	}
	return true
}

func usesOutboundProxy(getenv func(string) string) bool {
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"} {
		if getenv(name) != "" {
			return true
		}
	}
	return false
}

// withLocal adds this machine to a NO_PROXY.
func withLocal(list string) string {
	const machine = "127.0.0.1,localhost"
	if list == "" {
		return machine
	}
	return list + "," + machine
}

// anyKey is a client key that may be presented to a proxy that serves c, ""
// when it asks for none. One that the proxy has made up at its start cannot be
// known.
func anyKey(ctx context.Context, c *config.Config, getenv func(string) string) (string, error) {
	if len(c.APIKeys) == 0 {
		return "", nil
	}
	vault := credential.NewVault(credential.Options{Getenv: getenv})
	defer vault.Close()
	var failed error
	for _, k := range c.APIKeys {
		if k.Key.Kind == config.SecretRandom {
			continue
		}
		key, err := newBuilt(vault).clientKey(ctx, k, &built{})
		if err == nil && len(key.Models) == 0 {
			return key.Value.Reveal(), nil
		}
		if err != nil {
			failed = err
		}
	}
	if failed == nil {
		failed = errNoKey
	}
	return "", failed
}
