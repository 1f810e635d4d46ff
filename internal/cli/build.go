package cli

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"time"

	"anyproxy/config"
	"anyproxy/metrics/alert"
	"anyproxy/metrics/ledger"
	"anyproxy/providers"
	"anyproxy/providers/anthropic"
	"anyproxy/providers/credential"
	"anyproxy/providers/openai"
	"anyproxy/proxy"
	"anyproxy/proxy/routing"
)

// built is what serves a configuration, with all the secrets in it.
type built struct {
	runtime   *proxy.Runtime
	instances map[string]*instance     // by provider
	random    map[string]config.Secret // fresh client keys, by name
	sourced   map[string]*sourced      // all other client keys, by name
	secrets   []string
	// announce are fresh client keys that must be told once.
	announce []string
	firstKey string // a client key for the demo's own clients, "" when none is needed
	labels   ledger.Labels
	warnings []string
	checks   []func(context.Context) (warnings []string) // that take time
	vault    *credential.Vault
	alerts   alert.Rules
	webhook  credential.Source // nil = none
}

// newBuilt has nothing yet, and gets its secrets from the vault.
func newBuilt(vault *credential.Vault) *built {
	return &built{vault: vault, instances: map[string]*instance{}, random: map[string]config.Secret{}, sourced: map[string]*sourced{}}
}

// instance is a provider that has been made. It has a pool of connections, so
// it serves on in the next configuration where nothing of it changes.
type instance struct {
	config config.Provider
	models []config.Model    // what of them the implementation depends on
	mixed  bool              // there are providers of other formats
	ca     [sha256.Size]byte // of the file's content
	impl   interface {
		providers.Provider
		io.Closer
	}
	secrets []string
	key     credential.Source // nil = none
}

// close gives up the instances that keep does not have; nil has none. Requests
// that are under way end as they began.
func (b *built) close(keep *built) {
	for name, i := range b.instances {
		if keep == nil || keep.instances[name] != i {
			_ = i.impl.Close() // idle connections: nothing is lost
		}
	}
}

// build makes the providers and resolves the keys of a configuration. What does
// not change it takes over from before, which may be nil.
func build(ctx context.Context, c *config.Config, before *built, state *routing.State, vault *credential.Vault, logger *slog.Logger, getenv func(string) string, now func() time.Time) (*built, error) {
	if before == nil {
		before = &built{}
	}
	b := newBuilt(vault)
	w := proxy.Wiring{Config: c, State: state,
		Providers: map[string]providers.Provider{}, Routing: proxy.RoutingOptions(c)}
	w.Routing.Now = now
	err := b.fill(ctx, &w, before, getenv)
	if err != nil {
		b.close(before)
		return nil, err
	}
	if len(w.Keys) > 0 {
		b.firstKey = w.Keys[0].Value.Reveal()
	}
	b.check(ctx, logger)
	b.labels = labels(w.Keys)
	b.warnings = append(b.warnings, inertWarning(c)...)
	b.warnings = append(b.warnings, unpriced(c)...)
	b.runtime = proxy.NewRuntime(w)
	return b, nil
}

// fill makes what the wiring needs.
func (b *built) fill(ctx context.Context, w *proxy.Wiring, before *built, getenv func(string) string) error {
	for _, p := range w.Config.Providers {
		i, err := b.instance(ctx, w.Config, p, before.instances[p.Name], getenv)
		if err != nil {
			return fmt.Errorf("provider %s: %w", p.Name, err)
		}
		b.instances[p.Name], w.Providers[p.Name] = i, i.impl
		b.secrets = append(b.secrets, i.secrets...)
	}
	var err error
	if b.alerts, err = b.alertRules(ctx, w.Config.Alerts); err != nil {
		return fmt.Errorf("alerts: webhook: %w", err)
	}
	for _, k := range w.Config.APIKeys {
		key, err := b.clientKey(ctx, k, before)
		if err != nil {
			return fmt.Errorf("apiKeys: %s: %w", k.Name, err)
		}
		w.Keys = append(w.Keys, key)
	}
	return nil
}

// instance makes a provider, or takes the one from before when it would be the
// same again.
func (b *built) instance(ctx context.Context, c *config.Config, p config.Provider, before *instance, getenv func(string) string) (*instance, error) {
	i := &instance{config: p, models: modelsOf(c, p), mixed: p.Type == config.Anthropic && mixed(c)}
	if p.TLS.CA != "" {
		pem, err := os.ReadFile(p.TLS.CA)
		if err != nil {
			return nil, fmt.Errorf("tls: ca: %w", err)
		}
		i.ca = sha256.Sum256(pem)
	}
	if before != nil && before.config.Equal(p) && before.ca == i.ca && before.mixed == i.mixed && reflect.DeepEqual(before.models, i.models) {
		return before, nil
	}
	if p.Type == config.Bedrock {
		p = withExportedKey(p, getenv)
	}
	var key credential.Source
	if p.APIKey.Kind != config.SecretNone {
		var err error
		if key, err = b.vault.Resolve(p.APIKey, p.Name); err != nil {
			return nil, err
		}
		i.key = key
		if err := b.look(ctx, p, key); err != nil {
			return nil, err
		}
	}
	for _, v := range p.Headers {
		i.secrets = append(i.secrets, v.Reveal())
	}
	var err error
	switch p.Type {
	case config.OpenAI:
		i.impl, err = openai.New(p, i.models, key)
	case config.Bedrock:
		i.impl, err = b.bedrock(ctx, p, key, getenv)
	default:
		var impl *anthropic.Provider
		if impl, err = anthropic.New(p, key); err == nil {
			impl.Mixed = i.mixed
			i.impl = impl
		}
	}
	return i, err
}

// look gets a provider's key a first time, to say what is wrong with it. What
// must be asked for may not be there: it may be when it is needed.
func (b *built) look(ctx context.Context, p config.Provider, key credential.Source) error {
	judge := func(secret config.Secret) (warnings []string, err error) {
		problem, warning := config.CheckKey(secret.Reveal(), &p, time.Now())
		if problem != "" {
			return nil, fmt.Errorf("apiKey: the value of %s %s", p.APIKey, problem)
		}
		if warning != "" {
			warnings = append(warnings, fmt.Sprintf("provider %s: apiKey: the value of %s %s", p.Name, p.APIKey, warning))
		}
		return warnings, nil
	}
	if credential.Pending(key) {
		b.checks = append(b.checks, func(ctx context.Context) []string {
			secret, err := key.Secret(ctx)
			if err == nil {
				var warnings []string
				if warnings, err = judge(secret); err == nil {
					return warnings
				}
			}
			return []string{fmt.Sprintf("provider %s: no key yet: %v; until there is one its requests go elsewhere", p.Name, err)}
		})
		return nil
	}
	secret, err := key.Secret(ctx)
	if err != nil || p.APIKey.Kind != config.SecretFile { // the others are checked with the file
		return err
	}
	warnings, err := judge(secret)
	b.warnings = append(b.warnings, warnings...)
	return err
}

// mixed reports whether a session may be served in another format at times.
func mixed(c *config.Config) bool {
	return slices.ContainsFunc(c.Providers, func(p config.Provider) bool { return p.Type == config.OpenAI })
}

// modelsOf is what the conversions of an OpenAI provider depend on.
func modelsOf(c *config.Config, p config.Provider) (models []config.Model) {
	for _, m := range c.Models {
		if m.Provider == p.Name && p.Type == config.OpenAI {
			models = append(models, config.Model{Name: m.Name, Provider: m.Provider, Context: m.Context, MaxOutput: m.MaxOutput, Capabilities: m.Capabilities})
		}
	}
	return models
}

// sources are the keys of all providers and clients.
func (b *built) sources() (all []credential.Source) {
	for _, i := range b.instances {
		all = append(all, i.key)
	}
	for _, s := range b.sourced {
		all = append(all, s.source)
	}
	return append(all, b.webhook)
}
