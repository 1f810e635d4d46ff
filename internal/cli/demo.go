package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"anyproxy/config"
	"anyproxy/internal/simulator"
	"anyproxy/internal/simulator/sessions"
	"anyproxy/proxy/routing"
)

// demo is the world of -demo: simulated providers, and clients that use the
// proxy as anybody would, through its listener.
type demo struct {
	day *simulator.Day
}

// daySeed makes every demo tell the same story.
const daySeed = 1

func startDemo(ctx context.Context) (*demo, error) {
	day, err := simulator.StartDay(ctx, simulator.DayOptions{Seed: daySeed})
	if err != nil {
		return nil, fmt.Errorf("start the simulated providers: %w", err)
	}
	return &demo{day}, nil
}

func (d *demo) close() {
	if d != nil {
		d.day.Close()
	}
}

// configText is the configuration of a demo without a file.
func (d *demo) configText() string {
	var providers, models strings.Builder
	for _, p := range d.day.Providers {
		fmt.Fprintf(&providers, "  %s: {type: anthropic, endpoint: %q, apiKey: %s}\n", p.Name, p.URL, simulatedKey)
		fmt.Fprintf(&models, "  - {alias: \"claude-*\", provider: %s, weight: %g, tier: %d}\n", p.Name, p.Weight, p.Tier)
	}
	return "providers:\n" + providers.String() + "models:\n" + models.String()
}

// load reads the configuration: the world's own, or the one that the flags name
// with simulated providers in it. Without a world it is that one itself.
func (d *demo) load(f flags, getenv func(string) string) (*config.Document, error) {
	switch {
	case d == nil:
		return loadConfig(f, getenv)
	case f.config == "":
		return parseText("demo", d.configText(), getenv)
	}
	doc, err := loadConfig(f, anyValue(getenv))
	if err == nil && doc.Config != nil {
		d.simulate(doc.Config)
	}
	return doc, err
}

const simulatedKey = "simulated-key"

// simulate puts simulated upstreams in the place of a file's providers: their
// keys and endpoints are not used, so that a configuration can be tried without
// cost.
func (d *demo) simulate(c *config.Config) {
	for i := range c.Providers {
		p := &c.Providers[i]
		p.Type, p.Endpoint = config.Anthropic, d.day.Providers[i%len(d.day.Providers)].URL
		p.Auth, p.APIKey = config.AuthAPIKey, config.SecretRef{Kind: config.SecretLiteral, Literal: config.NewSecret(simulatedKey)}
		p.TLS, p.HTTP2, p.Headers = config.TLS{}, false, nil
	}
}

// anyValue stands in for the environment of a simulated configuration: whatever
// it asks for is there.
func anyValue(getenv func(string) string) func(string) string {
	return func(name string) string {
		if v := getenv(name); v != "" {
			return v
		}
		return simulatedKey
	}
}

// runClients keeps simulated sessions busy until ctx ends.
func (d *demo) runClients(ctx context.Context, base, key string, c *config.Config) {
	if d == nil {
		return
	}
	sessions.Run(ctx, sessions.Options{BaseURL: base, APIKey: key, Models: clientModels(c), Think: 1500 * time.Millisecond})
}

// clientModels are the usual models that the configuration serves, and its own
// names.
func clientModels(c *config.Config) []string {
	var out []string
	for _, usual := range []string{"claude-sonnet-4-5", "claude-sonnet-4-5", "claude-opus-4-1", "claude-haiku-4-5"} {
		for _, m := range c.Models {
			if anyMatch(m.Alias, usual) {
				out = append(out, usual)
				break
			}
		}
	}
	for _, m := range c.Models {
		if m.Name != "" && len(m.Alias) == 0 {
			out = append(out, m.Name)
		}
	}
	return out
}

func anyMatch(patterns []string, name string) bool {
	for _, p := range patterns {
		if routing.Match(p, name) {
			return true
		}
	}
	return false
}
