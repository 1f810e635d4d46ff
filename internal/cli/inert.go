package cli

import (
	"slices"
	"strings"

	"anyproxy/config"
	"anyproxy/metrics/price"
)

// inertWarning tells of a key that is set where it has no effect: nobody must
// believe in a limit that is not kept.
func inertWarning(c *config.Config) []string {
	for _, m := range c.Models {
		if p := c.Provider(m.Provider); m.MaxOutput != 0 && p != nil && p.Type != config.OpenAI {
			return []string{"models[].maxOutput has an effect at providers of type openai only: " + describeTarget(m)}
		}
	}
	return nil
}

// unpriced tells of limits that cannot be kept because a model has no price.
func unpriced(c *config.Config) []string {
	limited := c.Budget.Daily > 0 || slices.ContainsFunc(c.APIKeys, func(k config.ClientKey) bool { return k.DailyBudget > 0 })
	var names []string
	for _, m := range c.Models {
		p := c.Provider(m.Provider)
		if m.Price == nil && p != nil && p.Billing != config.BillingSubscription && (limited || p.DailyBudget > 0) && !usualPrice(m, p) {
			names = append(names, describeTarget(m))
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []string{"budget: no price is known for " + strings.Join(names, ", ") + ": what they cost is not counted"}
}

// usualPrice reports whether the table of prices knows what a model costs. One
// without a name stands for whatever is asked for: of Claude's it knows.
func usualPrice(m config.Model, p *config.Provider) bool {
	if p.Auth == config.AuthNone {
		return false
	}
	if m.Name != "" {
		return price.At(p.Endpoint, m.Name) != nil
	}
	return !slices.ContainsFunc(m.Alias, func(a string) bool { return !strings.HasPrefix(a, "claude") })
}
