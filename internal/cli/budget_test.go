package cli

import (
	"strings"
	"testing"

	"anyproxy/internal/simulator"
)

// costly is an answer of 1000 input and 1000 output tokens: with prices of $1000
// a million, two dollars.
var costly = simulator.Answer{Blocks: good.Blocks, Usage: simulator.Usage{Input: 1000, Output: 1000}}

func TestSpentBudgets(t *testing.T) {
	const price = ", price: {input: 1000, output: 1000}}"
	for name, c := range map[string]struct {
		extra  string // of the file
		limits string // of provider a
		key    string
		want   string // provider or status of four requests in turn
	}{
		"of a provider":                  {"", ", dailyBudget: 3", "", "a a b b"},
		"of everybody":                   {"budget: {daily: 5}\n", "", "", "a a a 429"},
		"that only warns":                {"budget: {daily: 5, onExceeded: warn}\n", "", "", "a a a a"},
		"of a provider, that only warns": {"budget: {onExceeded: warn}\n", ", dailyBudget: 3", "", "a a a a"},
		"of a key, that only warns":      {"budget: {onExceeded: warn}\napiKeys: [{name: ci, key: ci-client-key, dailyBudget: 3}]\n", "", "ci-client-key", "a a a a"},
		"of a key":                       {"apiKeys: [{name: ci, key: ci-client-key, dailyBudget: 3}]\n", "", "ci-client-key", "a a 429 429"},
		"of a subscription":              {"budget: {daily: 5}\n", ", billing: subscription", "", "a a a a"},
		"of every provider ":             {"", ", dailyBudget: 1", "", "a b b b"},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := upstream(t, simulator.Always(costly)), upstream(t, simulator.Always(costly))
			file := configFile(t, c.extra, a, b)
			edit(t, file, "tier: 1}", "tier: 1"+price, "apiKey: upstream-key-of-a", "apiKey: upstream-key-of-a"+c.limits)
			p := start(t, nil, "-config", file)
			var got []string
			for range 4 {
				res, body := p.post(t, ask(true), "X-Api-Key", c.key)
				if res.StatusCode == 200 {
					got = append(got, res.Header.Get("X-Anyproxy-Provider"))
					continue
				}
				got = append(got, res.Status[:3])
				if !strings.Contains(string(body), "rate_limit_error") || !strings.Contains(string(body), "budget") || res.Header.Get("Retry-After") == "" {
					t.Errorf("%d, retry after %q: %s", res.StatusCode, res.Header.Get("Retry-After"), body)
				}
			}
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("answered by %s, want %s", s, c.want)
			}
			if told := strings.Contains(p.errw.String(), "msg=budget"); told != (name != "of a subscription") {
				t.Errorf("told of the limit: %v\n%s", told, p.errw.String())
			}
		})
	}
}

func TestABudgetWithoutPricesIsCalledOne(t *testing.T) {
	file := configFile(t, "budget: {daily: 5}\n", upstream(t, nil), upstream(t, nil))
	edit(t, file, `alias: "claude-*", provider: b`, `alias: "claude-*", name: glm-4.6, provider: b`)
	p := start(t, nil, "-config", file)
	eventually(t, "the warning", func() bool {
		return strings.Contains(p.errw.String(), "no price is known for b/glm-4.6 (tier 2, weight 1): what they cost is not counted")
	})
}
