// Package credential gets the values of secrets from where the configuration
// says they are: the file itself, the environment, a file of their own, a
// command, the system's keyring, or a token endpoint (OAuth 2.0).
//
// What must be asked for is asked for once, for all who wait, and again before
// it expires; the old value serves meanwhile. A Vault holds what has been got,
// so that a changed configuration asks for nothing anew.
//
// Everything here is safe for concurrent use. No error and no notice of this
// package holds a value.
package credential

import (
	"context"
	"time"

	"anyproxy/config"
)

// A Source gives a secret's current value.
type Source interface {
	// Secret returns a value that is not empty, or an error that names the source.
	Secret(ctx context.Context) (config.Secret, error)
}

// A renewer is a Source that may have another value when one is refused.
type renewer interface {
	// renew looks for another value than the refused one.
	renew(ctx context.Context, refused config.Secret) bool
}

// Renew reports whether the source gives another value by now than the one that
// an upstream has refused. Where a source can be asked for one, it is.
func Renew(ctx context.Context, s Source, refused config.Secret) bool {
	if r, ok := s.(renewer); ok {
		return r.renew(ctx, refused)
	}
	return gives(ctx, s, refused)
}

// gives reports whether the source gives another value than the refused one.
func gives(ctx context.Context, s Source, refused config.Secret) bool {
	now, err := s.Secret(ctx)
	return err == nil && now.Reveal() != refused.Reveal()
}

// Spare reports whether the source has another value to show while one has used
// up its rate limit, which it is left alone for.
func Spare(s Source, limited config.Secret, wait time.Duration) bool {
	p, ok := s.(*pool)
	return ok && p.leaveOut(limited, wait)
}

// Pending reports whether a source must ask somebody for its value, who may
// fail or take long.
func Pending(s Source) bool {
	switch s := s.(type) {
	case *cached:
		return true
	case *pool:
		for _, one := range s.keys {
			if Pending(one.Source) {
				return true
			}
		}
	}
	return false
}

// fixed is a value that does not change.
type fixed struct{ value config.Secret }

func (f fixed) Secret(context.Context) (config.Secret, error) { return f.value, nil }
