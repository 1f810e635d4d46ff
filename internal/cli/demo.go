package cli

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"anyproxy/config"
	"anyproxy/internal/contain"
	"anyproxy/internal/simulator"
	"anyproxy/internal/simulator/sessions"
	"anyproxy/proxy/routing"
)

// demo is the world of -demo: simulated providers, clients that use the proxy
// as anybody would, through its listener, and a person who edits the
// configuration file.
type demo struct {
	day    *simulator.Day
	folder string // of the file
	file   string // the world's own configuration
}

// daySeed makes every demo tell the same story.
const daySeed = 1

func startDemo(ctx context.Context) (*demo, error) {
	day, err := simulator.StartDay(ctx, simulator.DayOptions{Seed: daySeed})
	if err != nil {
		return nil, fmt.Errorf("start the simulated providers: %w", err)
	}
	d := &demo{day: day}
	if d.folder, err = os.MkdirTemp("", "anyproxy-demo-"); err != nil {
		d.close()
		return nil, fmt.Errorf("make room for the configuration of the simulation: %w", err)
	}
	d.file = filepath.Join(d.folder, "demo.yaml")
	if err = d.save(editions[0]); err != nil {
		d.close()
		return nil, fmt.Errorf("write the configuration of the simulation: %w", err)
	}
	return d, nil
}

func (d *demo) close() {
	if d != nil {
		d.day.Close()
		_ = os.RemoveAll(d.folder)
	}
}

// edition is a state of the file that the person saves.
type edition struct {
	at        time.Duration // since the start
	zaiWeight string
	localTier int
	budget    float64
}

// editions are what becomes of the file: a slip of the hand, then what was
// meant, later something else.
var editions = []edition{
	{zaiWeight: "3", localTier: 1, budget: 2},
	{at: 40 * time.Second, zaiWeight: "fife", localTier: 1, budget: 2},
	{at: 55 * time.Second, zaiWeight: "5", localTier: 2, budget: 3},
	{at: 4 * time.Minute, zaiWeight: "2", localTier: 1, budget: 4},
}

// edit saves the editions, each at its time.
func (d *demo) edit(ctx context.Context) error {
	began := time.Now()
	for _, e := range editions[1:] {
		wait := time.NewTimer(time.Until(began.Add(e.at)))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return nil
		}
		if err := d.save(e); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) save(e edition) error { return os.WriteFile(d.file, []byte(d.configText(e)), 0o600) }

// prices are dollars per million tokens.
var prices = map[string]string{
	"anthropic":  "{input: 3, output: 15, cacheRead: 0.3, cacheWrite: 3.75}",
	"zai":        "{input: 0.6, output: 2.2, cacheRead: 0.11}",
	"openrouter": "{input: 3, output: 15, cacheRead: 0.3, cacheWrite: 3.75}",
}

// configText is the world's own configuration.
func (d *demo) configText(e edition) string {
	var b strings.Builder
	b.WriteString("# The configuration of anyproxy -demo. Save a change: the dashboard shows it and asks.\n\nproviders:\n")
	for _, p := range d.day.Providers {
		fmt.Fprintf(&b, "  %s:\n    type: %s\n    endpoint: %s\n    apiKey: %s\n%s", p.Name, p.Type, p.URL, simulatedKey, regionOf(p))
		if prices[p.Name] == "" {
			b.WriteString("    billing: subscription\n")
		}
	}
	b.WriteString("\nmodels:\n")
	for _, p := range d.day.Providers {
		weight, tier := strconv.FormatFloat(p.Weight, 'g', -1, 64), p.Tier
		switch p.Name {
		case "zai":
			weight = e.zaiWeight
		case "local":
			tier = e.localTier
		}
		fmt.Fprintf(&b, "  - alias: \"claude-*\"\n    provider: %s\n    weight: %s\n    tier: %d\n", p.Name, weight, tier)
		if price := prices[p.Name]; price != "" {
			fmt.Fprintf(&b, "    price: %s\n", price)
		}
	}
	b.WriteString("\nrouting:\n  tpsThreshold: 30\n") // the local model has slow spells
	fmt.Fprintf(&b, "\nbudget:\n  daily: %g\n  alertAt: 50\n  onExceeded: warn\n", e.budget)
	return b.String()
}

// load reads the configuration that the flags name, with simulated providers in
// it where it is not the world's own. Without a world it is that one itself.
func (d *demo) load(f flags, getenv func(string) string) (*config.Document, error) {
	if d == nil || f.config == d.file {
		return loadConfig(f, getenv)
	}
	doc, err := loadConfig(f, anyValue(getenv))
	if err == nil && doc.Config != nil {
		d.simulate(doc.Config)
	}
	return doc, err
}

const (
	simulatedKey    = "simulated-key"
	simulatedRegion = "us-west-2"
)

// simulate puts simulated upstreams in the place of a file's providers: their
// keys and endpoints are not used, so that a configuration can be tried without
// cost.
func (d *demo) simulate(c *config.Config) {
	for i := range c.Providers {
		p := &c.Providers[i]
		stand := d.day.Providers[i%len(d.day.Providers)]
		p.Type, p.Endpoint, p.APIVersion = config.ProviderType(stand.Type), stand.URL, ""
		p.Region, p.Profile, p.RoleARN = simulatedRegion, "", ""
		p.Auth, p.APIKey = config.AuthBearer, config.SecretRef{Kind: config.SecretLiteral, Literal: config.NewSecret(simulatedKey)}
		p.TLS, p.HTTP2, p.Headers = config.TLS{}, false, nil
	}
}

// regionOf is the key that a provider of type bedrock needs besides.
func regionOf(p simulator.DayProvider) string {
	if p.Type == string(config.Bedrock) {
		return "    region: " + simulatedRegion + "\n"
	}
	return ""
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

// live runs the clients and the person until ctx ends.
func (d *demo) live(ctx context.Context, base, key string, c *config.Config, logger *slog.Logger) {
	if d == nil {
		return
	}
	var parts sync.WaitGroup
	parts.Go(func() { // a file that another one stands in for is edited in vain
		defer contain.Panic(logger, "simulation")
		if err := d.edit(ctx); err != nil {
			logger.Warn("the configuration of the simulation stays as it is", "error", err)
		}
	})
	parts.Go(func() {
		defer contain.Panic(logger, "simulation")
		d.runClients(ctx, base, key, c)
	})
	parts.Wait()
}

// runClients keeps simulated sessions busy until ctx ends.
func (d *demo) runClients(ctx context.Context, base, key string, c *config.Config) {
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
