package config

import (
	"encoding/base64"
	"slices"
	"strings"
	"time"
)

// validator finds what is well formed and still wrong. A value that could not
// be read is not judged again.
type validator struct {
	*decoder
	c    *Config
	root Pos // where the keys at the top begin
}

// check reports a value of the file that is not in order.
func (v *validator) check(field any, ok bool, format string, args ...any) {
	if at, given := v.at[field]; given && at.ok && !ok {
		v.report(at, format, args...)
	}
}

// readable reports whether a value is the default or was understood.
func (v *validator) readable(field any) bool {
	at, given := v.at[field]
	return !given || at.ok
}

func (v *validator) warn(at place, format string, args ...any) {
	v.warnings.add(at.Pos, at.key, format, args...)
}

func checkOneOf[T ~string](v *validator, field *T, values []T) bool {
	known := slices.Contains(values, *field)
	words := make([]string, len(values))
	for i, w := range values {
		words[i] = string(w)
	}
	v.check(field, known, "must be one of %s%s", strings.Join(words, ", "), found(string(*field)))
	return known
}

func notNegative[T int | float64 | Duration](v *validator, fields ...*T) {
	for _, f := range fields {
		v.check(f, *f >= 0, "must not be negative")
	}
}

func positive[T int | float64 | Duration | Size](v *validator, fields ...*T) {
	for _, f := range fields {
		v.check(f, *f > 0, "must be more than 0")
	}
}

// validate checks the whole configuration, its defaults filled in.
func (v *validator) validate() {
	v.listen()
	v.clientKeys()
	v.providers()
	v.models()
	v.policies()
	v.rest()
}

func (v *validator) listen() {
	c := v.c
	if problem := checkListen(c.Listen); problem != "" {
		v.check(&c.Listen, false, "%s", problem)
	} else if len(c.APIKeys) == 0 && !Loopback(c.Listen) && v.readable(&c.APIKeys) {
		v.check(&c.Listen, false, "can be reached from beyond this machine, so apiKeys must say who may use it")
	}
	t := &c.TLS
	v.minVersion(&t.MinVersion)
	switch {
	case t.Cert == "" && t.Key != "":
		v.check(&t.Key, false, "needs cert beside it")
	case t.Cert != "" && t.Key == "":
		v.check(&t.Cert, false, "needs key beside it")
	}
	for i := range c.AllowedHosts {
		h := &c.AllowedHosts[i]
		v.check(h, isHostName(*h) || isAddress(*h), "must be a host name, without scheme, port or path")
	}
}

func (v *validator) clientKeys() {
	first := map[string]int{}
	for i := range v.c.APIKeys {
		k := &v.c.APIKeys[i]
		at := v.placeOf(k)
		if v.at.given(k) && at.ok && !v.at.given(&k.Key) {
			v.report(at, "needs a key")
		}
		v.check(&k.Name, validName.MatchString(k.Name), "a name is 1 to 64 of A-Z a-z 0-9 . _ -")
		notNegative(v, &k.DailyBudget)
		if line, twice := first[k.Name]; twice && v.readable(&k.Name) {
			v.report(at, "has the name of the key in line %d", line)
			continue
		}
		first[k.Name] = at.Line
	}
}

// placeOf is the mapping of a client key, or the text that stands for one.
func (v *validator) placeOf(k *ClientKey) place {
	if at, mapping := v.at[k]; mapping {
		return at
	}
	return v.at[&k.Key]
}

func (v *validator) providers() {
	c := v.c
	if len(c.Providers) == 0 && v.readable(&c.Providers) {
		v.required(&c.Providers, "providers")
	}
	used := map[string]bool{}
	for i := range c.Models {
		used[c.Models[i].Provider] = true
	}
	for i := range c.Providers {
		p := &c.Providers[i]
		if at := v.at[p]; at.ok {
			v.provider(p, place{Pos: p.Pos, key: at.key})
			if !used[p.Name] && len(c.Models) > 0 {
				v.warn(place{Pos: p.Pos, key: at.key}, "no model uses this provider")
			}
		}
	}
}

// required reports a key at the top that is missing or empty.
func (v *validator) required(field any, key string) {
	at, given := v.at[field]
	if !given {
		at = place{Pos: v.root, key: key}
	}
	v.report(at, "is required and must not be empty")
}

// provider checks one provider; at is where its name stands.
func (v *validator) provider(p *Provider, at place) {
	if checkOneOf(v, &p.Type, providerTypes) {
		v.byType(p, at)
	}
	if v.at.given(&p.Endpoint) {
		v.endpoint(p)
	}
	if p.Billing != "" || v.at.given(&p.Billing) {
		checkOneOf(v, &p.Billing, billings)
	}
	notNegative(v, &p.MaxConcurrent)
	notNegative(v, &p.DailyBudget)
	positive(v, &p.Timeouts.Connect, &p.Timeouts.FirstByte, &p.Timeouts.Idle, &p.Timeouts.Total)
	v.tls(&p.TLS)
}

// byType checks what depends on the type.
func (v *validator) byType(p *Provider, at place) {
	if p.Type == Bedrock {
		v.region(p, at)
		v.check(&p.Auth, p.Auth == AuthBearer && v.at.given(&p.APIKey), "must be bearer, with an apiKey, for type bedrock; without both its requests are signed with AWS credentials")
	} else {
		v.auth(p, at)
		v.noEffect(p, &p.Region, &p.Profile, &p.RoleARN)
		if !v.at.given(&p.Endpoint) {
			v.report(at, "needs an endpoint; there is no default, so that a slip sends no key elsewhere")
		}
	}
	if p.Type != OpenAI {
		v.noEffect(p, &p.APIVersion)
	}
}

func (v *validator) noEffect(p *Provider, fields ...*string) {
	for _, f := range fields {
		if at := v.at[f]; at.ok {
			v.warn(at, "has no effect for type %s", p.Type)
		}
	}
}

func (v *validator) endpoint(p *Provider) {
	if !v.readable(&p.Endpoint) {
		return
	}
	at := v.at[&p.Endpoint]
	u, problem := parseEndpoint(p.Endpoint)
	switch {
	case problem != "":
		v.report(at, "%s", problem)
	case isOwnListener(u, v.c.Listen):
		v.report(at, "is the address that this proxy listens on")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		v.warn(at, "plain http beyond this machine: keys and prompts travel unencrypted")
	}
}

func (v *validator) auth(p *Provider, at place) {
	if !v.readable(&p.Auth) || p.Auth != "" && !checkOneOf(v, &p.Auth, auths) {
		return
	}
	key, hasKey := v.at[&p.APIKey]
	switch needsKey := p.Auth != AuthPassthrough && p.Auth != AuthNone; {
	case needsKey && !hasKey:
		v.report(at, "needs an apiKey, or auth: passthrough (the client's own credential) or auth: none")
	case !needsKey && key.ok:
		v.warn(key, "is not used with auth: %s", p.Auth)
	case key.ok:
		v.keys(p, key, p.APIKey)
	}
}

// keys looks at the values that are known without asking anybody.
func (v *validator) keys(p *Provider, at place, r SecretRef) {
	value, from := r.Literal.Reveal(), "the value"
	switch r.Kind {
	case SecretPool:
		for _, one := range r.Pool {
			v.keys(p, at, one)
		}
		return
	case SecretEnv:
		value, from = v.getenv(r.Name), "the environment variable "+r.Name
	case SecretLiteral:
	default:
		return
	}
	if value == "" {
		return // told already
	}
	problem, warning := CheckKey(value, p, time.Now())
	if problem != "" {
		v.report(at, "%s %s", from, problem)
	} else if warning != "" {
		v.warn(at, "%s %s", from, warning)
	}
}

func (v *validator) region(p *Provider, at place) {
	if field, given := v.at[&p.Region]; given {
		at = field
		if !field.ok {
			return
		}
	}
	switch {
	case p.Region == "" && !v.at.given(&p.Profile) && v.getenv("AWS_PROFILE") == "":
		v.report(at, "needs a region: set region here, AWS_REGION or AWS_DEFAULT_REGION, or a profile that has one")
	case p.Region != "" && !validRegion.MatchString(p.Region):
		v.report(at, "the region must be a name such as us-west-2")
	}
}

func (v *validator) tls(t *TLS) {
	v.minVersion(&t.MinVersion)
	v.check(&t.Pins, len(t.Pins) != 1, "needs at least 2 pins, since servers change their keys")
	for i := range t.Pins {
		v.check(&t.Pins[i], isPin(t.Pins[i]), "must be sha256/ and the base64 of 32 bytes")
	}
}

func (v *validator) minVersion(version *string) {
	v.check(version, *version == "1.2" || *version == "1.3", "must be 1.2 or 1.3%s", found(*version))
	if at := v.at[version]; at.ok && *version == "1.2" {
		v.warn(at, "TLS 1.2 is weaker than the default 1.3")
	}
}

func isPin(s string) bool {
	hash, is := strings.CutPrefix(s, "sha256/")
	sum, err := base64.StdEncoding.DecodeString(hash)
	return is && err == nil && len(sum) == 32
}

func (v *validator) models() {
	c := v.c
	if len(c.Models) == 0 && v.readable(&c.Models) {
		v.required(&c.Models, "models")
	}
	names := make([]string, len(c.Providers))
	for i, p := range c.Providers {
		names[i] = p.Name
	}
	first := map[[3]string]int{}
	for i := range c.Models {
		m := &c.Models[i]
		if at := v.at[m]; at.ok {
			v.model(m, at, names)
			v.repeated(m, at, first)
		}
	}
}

func (v *validator) model(m *Model, at place, providers []string) {
	if !v.at.given(&m.Provider) {
		v.report(at, "needs a provider")
	}
	if v.readable(&v.c.Providers) && len(providers) > 0 && !slices.Contains(providers, m.Provider) {
		v.check(&m.Provider, false, "is not a provider of this file%s", suggestName(m.Provider, providers))
	}
	if !v.at.given(&m.Name) && len(m.Alias) == 0 && v.readable(&m.Alias) {
		v.report(at, "needs a name, an alias, or both")
	}
	v.check(&m.Weight, m.Weight >= 0, "must not be negative; 0 counts as 1")
	v.check(&m.Tier, m.Tier >= 1, "must be at least 1")
	positive(v, &m.Context, &m.MaxOutput)
	if p := m.Price; p != nil {
		notNegative(v, &p.Input, &p.Output, &p.CacheRead, &p.CacheWrite, &p.CacheWrite1h)
	}
	if t, of := m.Thinking, m.Capabilities.Thinking; t != nil && of != nil && *t != *of {
		v.check(&m.Thinking, false, "contradicts capabilities.thinking")
	}
}

// repeated reports an entry whose name, provider and one alias an earlier one
// has too: of two weights neither would be the right one.
func (v *validator) repeated(m *Model, at place, first map[[3]string]int) {
	if m.Name == "" && len(m.Alias) == 0 || !v.readable(&m.Name) || !v.readable(&m.Alias) || !v.readable(&m.Provider) {
		return
	}
	aliases := m.Alias
	if len(aliases) == 0 {
		aliases = StringList{""}
	}
	for _, a := range aliases {
		id := [3]string{m.Name, m.Provider, a}
		if line, twice := first[id]; twice {
			v.report(at, "the same name, provider and alias as in line %d", line)
			return
		}
		first[id] = at.Line
	}
}

func (v *validator) policies() {
	r, t, b, a := &v.c.Routing, &v.c.Retry, &v.c.Budget, &v.c.Alerts
	checkOneOf(v, &r.Policy, policies)
	checkOneOf(v, &r.Prefer, preferences)
	notNegative(v, &r.TPSThreshold)
	notNegative(v, &r.Affinity, &r.Switchback)
	positive(v, &r.Deadline)

	notNegative(v, &t.MaxRetries)
	notNegative(v, &t.InitialDelay, &t.MaxDelay, &t.Cooldown, &t.MaxRetryAfter)
	v.check(&t.BackoffMultiplier, t.BackoffMultiplier >= 1, "must be at least 1")
	v.delays(t)

	notNegative(v, &b.Daily)
	v.check(&b.AlertAt, b.AlertAt >= 0 && b.AlertAt <= 100, "must be a percentage, 0 to 100")
	checkOneOf(v, &b.OnExceeded, exceedings)

	v.webhook(&a.Webhook)
	v.check(&a.FallbackRate, a.FallbackRate >= 0 && a.FallbackRate <= 1, "must be a share, 0 to 1")
	notNegative(v, &a.P95Latency)
}

// delays reports the later of the two keys, or the only one that is given.
func (v *validator) delays(t *Retry) {
	if t.InitialDelay <= t.MaxDelay || t.InitialDelay < 0 || t.MaxDelay < 0 || !v.readable(&t.InitialDelay) || !v.readable(&t.MaxDelay) {
		return
	}
	if v.at.given(&t.InitialDelay) {
		v.check(&t.InitialDelay, false, "%v is more than maxDelay, %v%s", t.InitialDelay, t.MaxDelay, v.byDefault(&t.MaxDelay))
	} else {
		v.check(&t.MaxDelay, false, "%v is less than initialDelay, %v%s", t.MaxDelay, t.InitialDelay, v.byDefault(&t.InitialDelay))
	}
}

func (v *validator) byDefault(field any) string {
	if v.at.given(field) {
		return ""
	}
	return " by default"
}

// webhook checks a URL that can be known without asking a command or a file.
func (v *validator) webhook(r *SecretRef) {
	text := r.Literal.Reveal()
	switch r.Kind {
	case SecretEnv:
		text = v.getenv(r.Name)
	case SecretPool, SecretOAuth:
		v.check(r, false, "must be one URL")
		return
	case SecretLiteral:
	default:
		return
	}
	if !strings.HasPrefix(text, "https://") && !strings.HasPrefix(text, "http://") {
		v.check(r, false, "must be a URL that begins with https:// or http://")
	}
}

func (v *validator) rest() {
	c := v.c
	notNegative(v, &c.DrainTimeout)
	checkOneOf(v, &c.Log.Bodies, bodies)
	positive(v, &c.Log.MaxSize)
	notNegative(v, &c.Log.Keep)
	positive(v, &c.State.KeepDays)
}

// suggestName is suggest for names that the user has chosen.
func suggestName(name string, known []string) string {
	shown := make([]string, len(known))
	for i, k := range known {
		shown[i] = nameOf(k)
	}
	return found(name) + suggest(name, "there are", shown)
}
