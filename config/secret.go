package config

import (
	"fmt"
	"log/slog"
	"time"
)

// dots is what a secret prints as.
const dots = "••••••"

// Secret is a string that prints as dots everywhere: with every fmt verb, as
// JSON, text and YAML, and in slog. Only Reveal gives its value.
//
// The value stands behind a pointer because fmt calls no method of a value in
// an unexported field, nor for %p: it would print a plain string. So two
// Secrets are compared by what Reveal returns, not with ==.
type Secret struct{ value *string }

// NewSecret wraps a value.
func NewSecret(v string) Secret { return Secret{&v} }

// Reveal returns the value, for the one place that sends it.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// Empty reports whether there is no value.
func (s Secret) Empty() bool { return s.Reveal() == "" }

func (s Secret) String() string {
	if s.Empty() {
		return ""
	}
	return dots
}

// Format hides the value from every verb, %q, %x and %#v included.
func (s Secret) Format(f fmt.State, _ rune)   { fmt.Fprint(f, s.String()) }
func (s Secret) GoString() string             { return s.String() }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(s.String()) }
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + s.String() + `"`), nil }
func (s Secret) MarshalYAML() (any, error)    { return s.String(), nil }

// SecretKind is where a secret's value comes from.
type SecretKind uint8

const (
	SecretNone    SecretKind = iota // not given
	SecretLiteral                   // the value stands in the file
	SecretEnv                       // env.NAME
	SecretFile                      // file:PATH
	SecretCommand                   // cmd:… or {cmd: […]}
	SecretKeyring                   // keyring:SERVICE/USER
	SecretOAuth                     // {oauth: {…}}
	SecretRandom                    // $RANDOM_KEY: fresh at each start; client keys only
	SecretPool                      // a list of the others
)

// SecretRef says where a secret's value comes from. Resolving it is the work of
// providers/credential; only a literal carries its value. It prints as String
// does, since a command's arguments may hold a secret too.
type SecretRef struct {
	Kind    SecretKind
	Literal Secret        // SecretLiteral
	Name    string        // SecretEnv: the variable; SecretFile: the path; SecretKeyring: SERVICE/USER, no slash in SERVICE
	Command []string      // SecretCommand: argv, no shell
	TTL     time.Duration // SecretCommand: how long a value serves; default 1h
	OAuth   *OAuth        // SecretOAuth
	Pool    []SecretRef   // SecretPool
	Pos     Pos
}

// OAuth is a refreshable token.
type OAuth struct {
	TokenURL     string    `yaml:"tokenUrl"`
	ClientID     string    `yaml:"clientId"`
	RefreshToken SecretRef `yaml:"refreshToken"`
}

// String names the source without the value: env.NAME, file:PATH, dots for a literal.
func (r SecretRef) String() string {
	switch r.Kind {
	case SecretEnv:
		return "env." + r.Name
	case SecretFile:
		return "file:" + r.Name
	case SecretKeyring:
		return "keyring:" + r.Name
	case SecretCommand:
		return "cmd:" + dots // its arguments may hold a secret
	case SecretOAuth:
		return "oauth"
	case SecretRandom:
		return "$RANDOM_KEY"
	case SecretPool:
		return fmt.Sprintf("pool of %d", len(r.Pool))
	case SecretLiteral:
		return r.Literal.String()
	default:
		return ""
	}
}

// Format keeps a command's arguments from the verbs that would print the fields.
func (r SecretRef) Format(f fmt.State, _ rune)   { fmt.Fprint(f, r.String()) }
func (r SecretRef) LogValue() slog.Value         { return slog.StringValue(r.String()) }
func (r SecretRef) MarshalText() ([]byte, error) { return []byte(r.String()), nil }
func (r SecretRef) MarshalYAML() (any, error)    { return r.String(), nil }
