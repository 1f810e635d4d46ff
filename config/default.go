package config

import (
	"fmt"
	"strings"
	"time"
)

// DefaultListen also takes the same port on [::1].
const DefaultListen = "127.0.0.1:8080"

// Default is the configuration of an empty file.
func Default() *Config {
	c := new(Config)
	applyDefaults(c, nil, func(string) string { return "" })
	return c
}

// applyDefaults fills in what the file does not give. A value that is given
// stays, also one that is zero.
func applyDefaults(c *Config, at places, getenv func(string) string) {
	fill(at, &c.Listen, DefaultListen)
	fill(at, &c.TLS.MinVersion, "1.3")
	fill(at, &c.DrainTimeout, 30*time.Second)

	fill(at, &c.Routing.Policy, PolicyWeighted)
	fill(at, &c.Routing.Prefer, PreferSpeed)
	if c.Routing.Policy == PolicyPriority {
		fill(at, &c.Routing.TPSThreshold, 40) // anthropic-proxy's
	}
	fill(at, &c.Routing.Affinity, time.Hour)
	fill(at, &c.Routing.Switchback, 5*time.Minute)
	fill(at, &c.Routing.Deadline, 10*time.Minute)

	fill(at, &c.Retry.MaxRetries, 3)
	fill(at, &c.Retry.InitialDelay, 100*time.Millisecond)
	fill(at, &c.Retry.MaxDelay, 5*time.Second)
	fill(at, &c.Retry.BackoffMultiplier, 2)
	fill(at, &c.Retry.Cooldown, 5*time.Second)
	fill(at, &c.Retry.MaxRetryAfter, time.Hour)

	fill(at, &c.Budget.AlertAt, 80)
	fill(at, &c.Budget.OnExceeded, BudgetBlock)

	fill(at, &c.Log.Bodies, BodiesAll)
	fill(at, &c.Log.MaxSize, 100e6)
	fill(at, &c.Log.Keep, 5)
	fill(at, &c.State.KeepDays, 30)

	for i := range c.APIKeys {
		fill(at, &c.APIKeys[i].Name, fmt.Sprintf("key-%d", i+1))
	}
	for i := range c.Providers {
		providerDefaults(&c.Providers[i], at, getenv)
	}
	for i := range c.Models {
		m := &c.Models[i]
		modelDefaults(m, at)
		if p := c.Provider(m.Provider); m.Price != nil {
			priceDefault(m.Price, p != nil && p.Type != OpenAI, at)
		}
	}
}

func fill[T any](at places, field *T, value T) {
	if !at.given(field) {
		*field = value
	}
}

func providerDefaults(p *Provider, at places, getenv func(string) string) {
	fill(at, &p.Type, Anthropic)
	billingDefault(p, at, getenv)
	fill(at, &p.TLS.MinVersion, "1.3")
	idle := 60 * time.Second
	if p.Type == OpenAI {
		idle = 300 * time.Second // no pings there
	}
	fill(at, &p.Timeouts.Connect, 3*time.Second)
	fill(at, &p.Timeouts.FirstByte, 60*time.Second)
	fill(at, &p.Timeouts.Idle, idle)
	fill(at, &p.Timeouts.Total, 10*time.Minute)
	switch {
	case p.Type == OpenAI, p.Type == Bedrock && at.given(&p.APIKey):
		fill(at, &p.Auth, AuthBearer)
	}
	if p.Type == Bedrock && p.Region == "" {
		region := getenv("AWS_REGION")
		if region == "" {
			region = getenv("AWS_DEFAULT_REGION")
		}
		fill(at, &p.Region, region)
	}
}

// billingDefault knows a login of Claude's by its token: a subscription pays for it.
func billingDefault(p *Provider, at places, getenv func(string) string) {
	key := p.APIKey.Literal.Reveal()
	if p.APIKey.Kind == SecretEnv {
		key = getenv(p.APIKey.Name)
	}
	switch {
	case p.Auth == AuthPassthrough:
	case strings.HasPrefix(key, "sk-ant-oat"):
		fill(at, &p.Billing, BillingSubscription)
	default:
		fill(at, &p.Billing, BillingTokens)
	}
}

// priceDefault derives what a price does not say of caches.
func priceDefault(p *Price, claude bool, at places) {
	read, write, hour := p.Input, p.Input, p.Input
	if claude {
		read, write, hour = p.Input/10, p.Input*1.25, p.Input*2
	}
	fill(at, &p.CacheRead, read)
	fill(at, &p.CacheWrite, write)
	fill(at, &p.CacheWrite1h, hour)
}

func modelDefaults(m *Model, at places) {
	if m.Weight == 0 {
		m.Weight = 1
	}
	fill(at, &m.Tier, 1)
	if m.Thinking != nil && m.Capabilities.Thinking == nil {
		m.Capabilities.Thinking = m.Thinking
	}
}
