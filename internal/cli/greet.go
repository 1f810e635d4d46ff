package cli

import (
	"fmt"
	"io"
	"strings"

	"anyproxy/config"
	"anyproxy/internal/logging"
)

// greet says where the proxy is and how to use it.
func (p *program) greet() {
	c := p.doc.Config
	p.announce(p.built.announce)
	if p.flags.tui {
		return
	}
	base := p.scheme() + p.listen[0].Addr().String()
	var text strings.Builder // written at once: who reads the address has read the rest
	fmt.Fprintf(&text, "anyproxy %s serves %s (configuration: %s)\n\n", Version(), base, p.doc.Name)
	for _, m := range c.Models {
		fmt.Fprintf(&text, "  %-40s → %s\n", modelNames(m), describeTarget(m))
	}
	if len(c.APIKeys) == 0 {
		text.WriteString("\nNo client keys are configured: whoever is on this machine may use it.\n")
	}
	fmt.Fprintf(&text, "\n%s\n", howToConnect(c, base, p.flags.demo))
	_, _ = io.WriteString(logging.Clean(p.out), text.String())
}

// announce tells fresh client keys.
func (p *program) announce(keys []string) {
	out := logging.Clean(p.errw.raw) // which redacts nothing
	for _, key := range keys {
		fmt.Fprintln(out, key)
	}
}

func modelNames(m config.Model) string {
	names := append([]string{}, m.Alias...)
	if m.Name != "" {
		names = append(names, m.Name)
	}
	return strings.Join(names, ", ")
}

func describeTarget(m config.Model) string {
	s := m.Provider
	if m.Name != "" {
		s += "/" + m.Name
	}
	return fmt.Sprintf("%s (tier %d, weight %g)", s, m.Tier, m.Weight)
}

// howToConnect is what a person pastes next.
func howToConnect(c *config.Config, base string, demo bool) string {
	key := "any-value"
	if len(c.APIKeys) > 0 {
		key = "YOUR-CLIENT-KEY"
	}
	claude := fmt.Sprintf("  ANTHROPIC_BASE_URL=%s ANTHROPIC_API_KEY=%s claude\n", base, key)
	if usesLogin(c) {
		claude = fmt.Sprintf("  ANTHROPIC_BASE_URL=%s claude     # with your own login or key\n", base)
	}
	model := "claude-sonnet-4-5"
	if demo {
		claude = strings.TrimSuffix(claude, "\n") + "     # answered by the simulation\n"
	}
	return "Claude Code:\n" + claude + "curl:\n" + fmt.Sprintf(
		"  curl -N %s/v1/messages -H 'x-api-key: %s' -H 'anthropic-version: 2023-06-01' -H 'content-type: application/json' \\\n"+
			"    -d '{\"model\":%q,\"max_tokens\":64,\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}'\n", base, key, model)
}

func usesLogin(c *config.Config) bool {
	for _, p := range c.Providers {
		if p.Auth == config.AuthPassthrough {
			return true
		}
	}
	return false
}
