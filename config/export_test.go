package config

import "reflect"

// ParseDocument is Load without a file.
func ParseDocument(data []byte, getenv func(string) string) *Document {
	return parse("f.yaml", data, getenv, false)
}

// Settle is how long a file must be left alone to count as saved.
const Settle = settle

// Choices are the values of each type that has a closed set of them.
var Choices = map[reflect.Type][]string{
	reflect.TypeFor[ProviderType](): words(providerTypes),
	reflect.TypeFor[Auth]():         words(auths),
	reflect.TypeFor[Billing]():      words(billings),
	reflect.TypeFor[Policy]():       words(policies),
	reflect.TypeFor[Prefer]():       words(preferences),
	reflect.TypeFor[OnExceeded]():   words(exceedings),
	reflect.TypeFor[Bodies]():       words(bodies),
}

func words[T ~string](values []T) (out []string) {
	for _, v := range values {
		out = append(out, string(v))
	}
	return out
}

// Defaults are the configuration of an empty file, with one provider, model and
// client key that say nothing.
func Defaults() *Config {
	c := &Config{Providers: make([]Provider, 1), Models: make([]Model, 1), APIKeys: make([]ClientKey, 1)}
	applyDefaults(c, nil, func(string) string { return "" })
	return c
}

// ValueText is a value as a file would give it.
func ValueText(v reflect.Value) string { return valueText(v) }
