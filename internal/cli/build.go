package cli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"anyproxy/config"
	"anyproxy/providers"
	"anyproxy/providers/anthropic"
	"anyproxy/providers/credential"
	"anyproxy/proxy"
	"anyproxy/proxy/routing"
)

// fromEnvironment names the configuration that stands in for a file.
const fromEnvironment = "environment"

// loadConfig reads the configuration that the flags name, or makes the one that
// stands in for it. name says what was read.
func loadConfig(f flags, getenv func(string) string) (c *config.Config, warnings config.Problems, name string, err error) {
	if f.config != "" {
		c, warnings, err = config.Load(f.config, getenv)
		name = f.config
	} else {
		name = fromEnvironment
		c, warnings, err = config.Parse(name, []byte(configFromKeys(getenv)), getenv)
	}
	f.override(c)
	return c, warnings, name, explain(err, name)
}

// explain turns the problems of a file into one error that lists them all.
func explain(err error, name string) error {
	var problems config.Problems
	if err == nil {
		return nil
	}
	if !errors.As(err, &problems) {
		return hinted(err, "name a configuration file that exists with -config FILE, or leave it out to use the keys in the environment")
	}
	hint := "correct the file and start again; example.config.yaml explains every key"
	if name == fromEnvironment {
		hint = "correct or unset the variables that are named"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s has %d problem", name, len(problems))
	if len(problems) != 1 {
		b.WriteByte('s')
	}
	for _, p := range problems {
		fmt.Fprintf(&b, "\n  %s", p.String())
		if p.Excerpt != "" {
			b.WriteString("\n" + indent(p.Excerpt, "    "))
		}
	}
	return hinted(errors.New(b.String()), hint)
}

func indent(text, by string) string {
	return by + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+by)
}

// built is what serves a configuration, with all the secrets in it.
type built struct {
	runtime *proxy.Runtime
	secrets []string
	// announce are fresh client keys that must be told once.
	announce []string
	firstKey string // a client key for the demo's own clients, "" when none is needed
	warnings []string
	unusable map[string]string // by provider: why it is left out
	closers  []io.Closer
}

func (b *built) close() {
	for _, c := range b.closers {
		_ = c.Close() // idle connections: nothing is lost
	}
}

// build makes the providers and resolves the keys of a configuration.
func build(ctx context.Context, c *config.Config, state *routing.State, getenv func(string) string, now func() time.Time) (*built, error) {
	b := &built{}
	b.unusable = map[string]string{}
	w := proxy.Wiring{Config: c, State: state,
		Providers: map[string]providers.Provider{}, Unusable: b.unusable, Routing: proxy.RoutingOptions(c)}
	w.Routing.Now = now
	for _, p := range c.Providers {
		impl, why, err := b.provider(ctx, p, getenv)
		if err != nil {
			b.close()
			return nil, fmt.Errorf("provider %s: %w", p.Name, err)
		}
		if why != "" {
			w.Unusable[p.Name] = why
			b.warnings = append(b.warnings, fmt.Sprintf("provider %s is left out: %s", p.Name, why))
			continue
		}
		w.Providers[p.Name] = impl
	}
	for _, k := range c.APIKeys {
		key, err := b.clientKey(ctx, k, getenv)
		if err != nil {
			b.close()
			return nil, fmt.Errorf("apiKeys: %s: %w", k.Name, err)
		}
		w.Keys = append(w.Keys, key)
		b.firstKey = w.Keys[0].Value.Reveal()
	}
	if len(w.Providers) == 0 {
		b.close()
		return nil, hinted(errors.New("no configured provider can be used: "+strings.Join(b.warnings, "; ")),
			"configure at least one provider of type anthropic")
	}
	b.warnings = append(b.warnings, inert(c)...)
	b.warnings = append(b.warnings, unpriced(c)...)
	b.runtime = proxy.NewRuntime(w)
	return b, nil
}

// provider makes the implementation of p's type. why says what this version
// cannot do, "" when it can.
func (b *built) provider(ctx context.Context, p config.Provider, getenv func(string) string) (impl providers.Provider, why string, err error) {
	if p.Type != config.Anthropic {
		return nil, fmt.Sprintf("this version does not speak the %s format", p.Type), nil
	}
	var key credential.Source
	if p.APIKey.Kind != config.SecretNone {
		if key, err = credential.Resolve(p.APIKey, getenv); err != nil {
			return nil, "", err
		}
		secret, err := key.Secret(ctx)
		if err != nil {
			return nil, "", err
		}
		b.secrets = append(b.secrets, secret.Reveal())
	}
	for _, v := range p.Headers {
		b.secrets = append(b.secrets, v.Reveal())
	}
	a, err := anthropic.New(p, key)
	if err != nil {
		return nil, "", err
	}
	b.closers = append(b.closers, a)
	return a, "", nil
}

func (b *built) clientKey(ctx context.Context, k config.ClientKey, getenv func(string) string) (proxy.Key, error) {
	key := proxy.Key{Name: k.Name, Models: k.Models, DailyBudget: k.DailyBudget}
	if k.Key.Kind == config.SecretRandom {
		key.Value = config.NewSecret(randomKey())
		b.announce = append(b.announce, fmt.Sprintf("client key %s: %s", k.Name, key.Value.Reveal()))
	} else {
		source, err := credential.Resolve(k.Key, getenv)
		if err != nil {
			return key, err
		}
		if key.Value, err = source.Secret(ctx); err != nil {
			return key, err
		}
	}
	b.secrets = append(b.secrets, key.Value.Reveal())
	return key, nil
}

func randomKey() string {
	var b [20]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return "ak-" + hex.EncodeToString(b[:])
}

// inert names the keys that a configuration sets and this version reads and
// checks without acting on them: nobody must believe in a budget that is not
// enforced.
func inert(c *config.Config) []string {
	d := config.Default()
	var keys []string
	note := func(key string, set bool) {
		if set {
			keys = append(keys, key)
		}
	}
	note("alerts", c.Alerts.FallbackRate != 0 || c.Alerts.P95Latency != 0 || c.Alerts.Webhook.Kind != config.SecretNone)
	note("state.keepDays", c.State.KeepDays != d.State.KeepDays)
	if len(keys) == 0 {
		return nil
	}
	return []string{"this version checks but does not act on: " + strings.Join(keys, ", ")}
}

// unpriced tells of limits that cannot be kept because a model has no price.
func unpriced(c *config.Config) []string {
	limited := c.Budget.Daily > 0 || slices.ContainsFunc(c.APIKeys, func(k config.ClientKey) bool { return k.DailyBudget > 0 })
	var names []string
	for _, m := range c.Models {
		p := c.Provider(m.Provider)
		if m.Price == nil && p != nil && p.Billing != config.BillingSubscription && (limited || p.DailyBudget > 0) {
			names = append(names, describeTarget(m))
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []string{"budget: no price is set for " + strings.Join(names, ", ") + ": what they cost is not counted"}
}

// outboundProxies are the addresses of the proxies that the environment names
// for outgoing requests, without their credentials, and the passwords in them.
func outboundProxies(getenv func(string) string) (shown, passwords []string) {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} {
		value := getenv(name)
		if value == "" {
			continue
		}
		u, err := url.Parse(value)
		if err != nil {
			passwords = append(passwords, value) // whatever it is, it is not to be quoted
			continue
		}
		if password, ok := u.User.Password(); ok {
			passwords = append(passwords, password, url.QueryEscape(password))
		}
		u.User = nil
		shown = append(shown, name+"="+u.String())
	}
	return shown, passwords
}
