package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"anyproxy/config"

	"gopkg.in/yaml.v3"
)

// marker stands for every secret of a test. No output may have it.
const marker = "sk-ant-api03-MARKER0123456789MARKER0123456789"

// verbs are all that fmt has, and one that it has not. The last two call no
// method of a value that they do not fit.
const verbs = "vTtbcoOdxXqUeEfFgGszpw"

// TestSecretPrintsAsDots prints a secret every way that could happen by
// accident, also from an unexported field, where fmt calls no method.
func TestSecretPrintsAsDots(t *testing.T) {
	secret := config.NewSecret(marker)
	ref := config.SecretRef{Kind: config.SecretLiteral, Literal: secret}
	command := config.SecretRef{Kind: config.SecretCommand, Command: []string{"echo", marker}}
	for name, v := range map[string]any{
		"secret":       secret,
		"pointer":      &secret,
		"literal":      ref,
		"pool":         config.SecretRef{Kind: config.SecretPool, Pool: []config.SecretRef{ref, ref}},
		"oauth":        config.SecretRef{Kind: config.SecretOAuth, OAuth: &config.OAuth{RefreshToken: ref}},
		"client key":   config.ClientKey{Key: ref},
		"provider":     config.Provider{APIKey: ref, Headers: map[string]config.Secret{"X": secret}},
		"config":       config.Config{APIKeys: []config.ClientKey{{Key: ref}}, Alerts: config.Alerts{Webhook: ref}},
		"unexported":   struct{ s config.Secret }{secret},
		"list":         []config.Secret{secret},
		"mapping":      map[string]any{"s": secret, "r": ref},
		"error":        fmt.Errorf("send %v: %w", secret, fmt.Errorf("with %s", ref)),
		"nested value": struct{ s any }{secret},
	} {
		t.Run(name, func(t *testing.T) {
			neverPrinted(t, v, verbs)
		})
	}
	// The arguments of a command are no secret by themselves, so a mistaken
	// verb may show them; whatever is meant for printing must not.
	neverPrinted(t, command, strings.TrimRight(verbs, "pw"))
	neverPrinted(t, config.Provider{APIKey: command}, strings.TrimRight(verbs, "pw"))
	if got := fmt.Sprintf("%v %s %q %x %#v", secret, secret, secret, secret, secret); strings.Count(got, "••••••") != 5 {
		t.Errorf("a secret prints as %q", got)
	}
	if got := fmt.Sprint(config.Secret{}, config.SecretRef{}); got != " " {
		t.Errorf("no secret prints as %q", got)
	}
	if secret.Reveal() != marker || secret.Empty() || !(config.Secret{}).Empty() {
		t.Error("Reveal or Empty does not tell the value")
	}
}

func neverPrinted(t *testing.T, v any, verbs string) {
	t.Helper()
	check := func(out string) {
		if hasMarker(out) {
			t.Errorf("printed as %s", out)
		}
	}
	for _, verb := range verbs {
		for _, flag := range []string{"", "+", "#", " ", "0", "-10.3"} {
			check(fmt.Sprintf("%"+flag+string(verb), v))
		}
	}
	if asJSON, err := json.Marshal(v); err == nil {
		check(string(asJSON))
	}
	if asYAML, err := yaml.Marshal(v); err == nil {
		check(string(asYAML))
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "v", v)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "v", v)
	check(log.String())
}

// hasMarker also knows the marker in hexadecimal, as %x would print it.
func hasMarker(s string) bool {
	return strings.Contains(s, marker) || strings.Contains(strings.ToLower(s), fmt.Sprintf("%x", marker))
}

// TestSecretForms reads every form that the value of a key can have.
func TestSecretForms(t *testing.T) {
	type ref = config.SecretRef
	argv := []string{"op", "read", "op://vault/item"}
	for text, want := range map[string]ref{
		`sk-literal`:                               {Kind: config.SecretLiteral, Literal: config.NewSecret("sk-literal")},
		`"with:colon"`:                             {Kind: config.SecretLiteral, Literal: config.NewSecret("with:colon")},
		`0123`:                                     {Kind: config.SecretLiteral, Literal: config.NewSecret("0123")},
		`environment`:                              {Kind: config.SecretLiteral, Literal: config.NewSecret("environment")},
		`env.KEY`:                                  {Kind: config.SecretEnv, Name: "KEY"},
		`file:/run/secrets/key`:                    {Kind: config.SecretFile, Name: "/run/secrets/key"},
		`cmd:op read op://vault/item`:              {Kind: config.SecretCommand, Command: argv, TTL: time.Hour},
		`{cmd: [op, read, "op://vault/item"]}`:     {Kind: config.SecretCommand, Command: argv, TTL: time.Hour},
		`{cmd: [echo, "a 'b' | c"], ttl: 5m}`:      {Kind: config.SecretCommand, Command: []string{"echo", "a 'b' | c"}, TTL: 5 * time.Minute},
		`keyring:anyproxy/me`:                      {Kind: config.SecretKeyring, Name: "anyproxy/me"},
		`{keyring: {service: anyproxy, user: me}}`: {Kind: config.SecretKeyring, Name: "anyproxy/me"},
		`{oauth: {tokenUrl: "https://x.example/t", clientId: 7, refreshToken: env.KEY}}`: {Kind: config.SecretOAuth, OAuth: &config.OAuth{
			TokenURL: "https://x.example/t", ClientID: "7", RefreshToken: ref{Kind: config.SecretEnv, Name: "KEY"},
		}},
		`[env.KEY, sk-literal]`: {Kind: config.SecretPool, Pool: []ref{
			{Kind: config.SecretEnv, Name: "KEY"}, {Kind: config.SecretLiteral, Literal: config.NewSecret("sk-literal")},
		}},
	} {
		t.Run(text, func(t *testing.T) {
			c := load(t, "providers: {a: {endpoint: 'https://a.example', apiKey: "+text+"}}\nmodels: [{name: m, provider: a}]\n")
			got := c.Providers[0].APIKey
			if got.Pos != (config.Pos{Line: 1, Col: 56}) {
				t.Errorf("found at %v", got.Pos)
			}
			if withoutPos(&got); !reflect.DeepEqual(got, want) {
				t.Errorf("got %v, want %v", fields(got), fields(want))
			}
		})
	}
}

func withoutPos(r *config.SecretRef) {
	r.Pos = config.Pos{}
	for i := range r.Pool {
		withoutPos(&r.Pool[i])
	}
	if r.OAuth != nil {
		withoutPos(&r.OAuth.RefreshToken)
	}
}

// fields shows what a SecretRef itself does not print.
func fields(r config.SecretRef) string {
	return fmt.Sprint(r.Kind, r.Literal.Reveal(), r.Name, r.Command, r.TTL, r.OAuth, r.Pool)
}

func TestRandomKeyAndHeaders(t *testing.T) {
	c := load(t, `
apiKeys: [$RANDOM_KEY]
providers: {a: {endpoint: 'https://a.example', auth: none, headers: {X-One: plain, X-Two: env.OTHER}}}
models: [{name: m, provider: a}]
`)
	if k := c.APIKeys[0].Key; k.Kind != config.SecretRandom || c.APIKeys[0].Name != "key-1" {
		t.Errorf("key %v of kind %d", k, k.Kind)
	}
	h := c.Providers[0].Headers
	if h["X-One"].Reveal() != "plain" || h["X-Two"].Reveal() != environment["OTHER"] || len(h) != 2 {
		t.Errorf("%d headers, %q, %q", len(h), h["X-One"].Reveal(), h["X-Two"].Reveal())
	}
}
