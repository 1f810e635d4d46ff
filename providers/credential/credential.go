// Package credential gets the values of secrets from where the configuration
// says they are: the file itself, the environment, or a file of their own.
//
// A Source is safe for concurrent use. No error of this package holds a value.
package credential

import (
	"context"
	"errors"
	"fmt"

	"anyproxy/config"
)

// A Source gives a secret's current value.
type Source interface {
	// Secret returns a value that is not empty, or an error that names the source.
	Secret(ctx context.Context) (config.Secret, error)
}

// ErrUnsupported is a form of secret that this version cannot resolve.
var ErrUnsupported = errors.New("this version cannot resolve it")

// Resolve returns the source that ref describes. Environment variables are
// read at once, through getenv, and a file a first time, so that what is
// missing shows at start. A ref that gives nothing resolves to an empty secret.
func Resolve(ref config.SecretRef, getenv func(string) string) (Source, error) {
	switch ref.Kind {
	case config.SecretNone:
		return fixed{}, nil
	case config.SecretLiteral:
		return fixed{ref.Literal}, nil
	case config.SecretEnv:
		v := getenv(ref.Name)
		if v == "" {
			return nil, fmt.Errorf("environment variable %s is not set or empty", ref.Name)
		}
		return fixed{config.NewSecret(v)}, nil
	case config.SecretFile:
		f := &file{path: ref.Name}
		if _, err := f.Secret(context.Background()); err != nil {
			return nil, err
		}
		return f, nil
	default:
		return nil, fmt.Errorf("secret of the form %s: %w; use a value, env.NAME or file:PATH", form(ref.Kind), ErrUnsupported)
	}
}

func form(k config.SecretKind) string {
	switch k {
	case config.SecretCommand:
		return "cmd:"
	case config.SecretKeyring:
		return "keyring:"
	case config.SecretOAuth:
		return "oauth"
	case config.SecretRandom:
		return "$RANDOM_KEY"
	default:
		return "list"
	}
}

// fixed is a value that does not change.
type fixed struct{ value config.Secret }

func (f fixed) Secret(context.Context) (config.Secret, error) { return f.value, nil }
