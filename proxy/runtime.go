package proxy

import (
	"sync"
	"sync/atomic"

	"anyproxy/config"
	"anyproxy/metrics"
	"anyproxy/providers"
	"anyproxy/proxy/routing"
)

// Runtime is a configuration ready to serve: providers built, keys resolved.
// Once it is applied nothing of it changes but the values of client keys.
type Runtime struct {
	Config    *config.Config
	providers map[string]upstream
	router    *routing.Router // made when it is applied
	routing   routing.Options
	state     *routing.State
	keys      atomic.Pointer[clientKeys]
	infos     []metrics.ProviderInfo
	// priced holds *metrics.Rates by provider and model.
	priced       sync.Map
	pricedModels atomic.Int64
}

// upstream is a usable provider.
type upstream struct {
	providers.Provider
	config *config.Provider
}

// Wiring is what a Runtime is built from.
type Wiring struct {
	Config *config.Config
	// Providers holds all that are configured, by name.
	Providers map[string]providers.Provider
	Keys      []Key
	State     *routing.State
	Routing   routing.Options
}

// NewRuntime builds a Runtime.
func NewRuntime(w Wiring) *Runtime {
	rt := &Runtime{Config: w.Config, state: w.State, routing: w.Routing, providers: map[string]upstream{}}
	for i := range w.Config.Providers {
		p := &w.Config.Providers[i]
		if impl := w.Providers[p.Name]; impl != nil {
			rt.providers[p.Name] = upstream{impl, p}
		}
		rt.infos = append(rt.infos, providerInfo(w.Config, p))
	}
	rt.keys.Store(newClientKeys(w.Keys))
	return rt
}

// Planned returns a Runtime that tells how it would choose and what that would
// cost, and cannot serve: it has no providers and no keys.
func Planned(c *config.Config) *Runtime {
	rt := &Runtime{Config: c, state: routing.NewState(), routing: RoutingOptions(c), providers: map[string]upstream{}}
	for i := range c.Providers {
		rt.providers[c.Providers[i].Name] = upstream{config: &c.Providers[i]}
	}
	return rt
}

// RoutingOptions are what a configuration says about the choice of upstreams.
func RoutingOptions(c *config.Config) routing.Options {
	o := routing.Options{
		Threshold: c.Routing.TPSThreshold, Affinity: c.Routing.Affinity, Switchback: c.Routing.Switchback,
		Cooldown: c.Retry.Cooldown, MaxRetryAfter: c.Retry.MaxRetryAfter,
		Retry: routing.Retry{Same: c.Retry.RetrySameProvider, Max: c.Retry.MaxRetries, Initial: c.Retry.InitialDelay,
			MaxDelay: c.Retry.MaxDelay, Multiplier: c.Retry.BackoffMultiplier},
	}
	switch c.Routing.Prefer {
	case config.PreferBalanced:
		o.PriceExponent = 0.5
	case config.PreferCost:
		o.PriceExponent = 2
	}
	if c.Routing.Policy == config.PolicyPriority {
		o.Policy = routing.Priority
	}
	return o
}

// Shares tells how the new traffic for a model would be shared out if rt served
// now, as far as upstreams are known. It need not have been applied.
func (rt *Runtime) Shares(model string) []routing.Share {
	return routing.New(rt.Targets(), rt.state, rt.routing).Shares(model)
}

// Targets are what the configuration gives to choose from, without the models of
// providers that cannot be used.
func (rt *Runtime) Targets() []routing.Target {
	var out []routing.Target
	for _, m := range rt.Config.Models {
		up, ok := rt.providers[m.Provider]
		if !ok {
			continue
		}
		out = append(out, routing.Target{
			Provider: m.Provider, Endpoint: up.config.Endpoint, Model: m.Name,
			Aliases: m.Alias, Weight: m.Weight, Tier: m.Tier,
			MaxConcurrent: up.config.MaxConcurrent, Context: m.Context, Native: up.config.Type == config.Anthropic,
			Lacks: routing.Needs{Images: without(m.Capabilities.Images), PDF: without(m.Capabilities.PDF),
				Thinking: without(m.Capabilities.Thinking), Tools: without(m.Capabilities.Tools)},
			Price: rt.blended(m.Provider, up.config.Billing),
		})
	}
	return out
}

// without reports whether something is configured not to be there.
func without(capability *bool) bool { return capability != nil && !*capability }

// inputShare is how many tokens of input come on one of output when prices are
// compared.
const inputShare = 3

// blended gives what a token of a model costs on the whole, nil when nobody has
// said.
func (rt *Runtime) blended(provider string, billing config.Billing) func(model string) *float64 {
	return func(model string) *float64 {
		cost := 0.0
		if billing != config.BillingSubscription { // which costs nothing per token
			r := rt.rates(provider, model, model)
			if r == nil {
				return nil
			}
			cost = (inputShare*r.Input + r.Output) / (inputShare + 1)
		}
		return &cost
	}
}

func providerInfo(c *config.Config, p *config.Provider) metrics.ProviderInfo {
	info := metrics.ProviderInfo{Name: p.Name, Type: string(p.Type), Endpoint: p.Endpoint}
	for _, m := range c.Models {
		if m.Provider != p.Name {
			continue
		}
		info.Weight = max(info.Weight, m.Weight)
		if info.Tier == 0 || m.Tier < info.Tier {
			info.Tier = m.Tier
		}
	}
	return info
}
