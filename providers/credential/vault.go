package credential

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"anyproxy/config"
)

// Options of a Vault. All may be left out.
type Options struct {
	// Getenv gives the value of an environment variable.
	Getenv func(string) string
	// Hide is told every value before it is used for the first time, so that it
	// can be kept out of what is written.
	Hide func(values ...string)
	// Tell is told what an operator should know.
	Tell func(Notice)
	// Renewed is told what an audit asks for: each Renewal, once for every owner.
	Renewed func(Renewal)
	// Logger is told of panics; nil = none.
	Logger *slog.Logger
	// Now is the wall clock: the ends of tokens are told in its time.
	Now func() time.Time
	// Client makes the requests to token endpoints; default one with TLS 1.3 and
	// the proxies that the environment names, which follows no redirects.
	Client *http.Client
}

// A Notice is something that an operator should know about a source.
type Notice struct {
	Owner  string // who has it: a provider's name
	Text   string // without the value
	Failed bool   // the value could not be got or renewed
}

// Vault resolves references and holds what must be asked for.
type Vault struct {
	o      Options
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu   sync.Mutex
	held map[string]*cached // by what they ask, guarded by mu
}

// NewVault returns an empty Vault. Close ends it.
func NewVault(o Options) *Vault {
	if o.Getenv == nil {
		o.Getenv = func(string) string { return "" }
	}
	if o.Hide == nil {
		o.Hide = func(...string) {}
	}
	if o.Tell == nil {
		o.Tell = func(Notice) {}
	}
	if o.Renewed == nil {
		o.Renewed = func(Renewal) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Client == nil {
		o.Client = tokenClient()
	}
	v := &Vault{o: o, held: map[string]*cached{}}
	v.ctx, v.cancel = context.WithCancel(context.Background())
	return v
}

// Renewed tells of a credential that somebody else has asked for.
func (v *Vault) Renewed(r Renewal) { v.o.Renewed(r) }

// Close gives up what is being asked for, and waits for its end.
func (v *Vault) Close() {
	v.cancel()
	v.work.Wait()
	v.o.Client.CloseIdleConnections()
}

// Resolve returns the source that ref describes, for owner. What can be read at
// once is: the environment, and a file a first time, so that what is missing
// shows at the start. A ref that gives nothing resolves to an empty secret.
func (v *Vault) Resolve(ref config.SecretRef, owner string) (Source, error) {
	switch ref.Kind {
	case config.SecretNone:
		return fixed{}, nil
	case config.SecretLiteral:
		return v.fixed(ref.Literal.Reveal()), nil
	case config.SecretEnv:
		value := v.o.Getenv(ref.Name)
		if value == "" {
			return nil, fmt.Errorf("environment variable %s is not set or empty", ref.Name)
		}
		return v.fixed(value), nil
	case config.SecretFile:
		f := &file{path: ref.Name, vault: v, owner: owner}
		if _, err := f.Secret(context.Background()); err != nil {
			return nil, err
		}
		return f, nil
	case config.SecretCommand:
		return v.cached(strings.Join(append([]string{"cmd"}, ref.Command...), "\x00"), owner, func() fetcher {
			return &command{argv: ref.Command, ttl: ref.TTL}
		}), nil
	case config.SecretKeyring:
		return v.cached("keyring\x00"+ref.Name, owner, func() fetcher { return newKeyring(ref.Name, v.o.Logger) }), nil
	case config.SecretOAuth:
		return v.oauth(ref.OAuth, owner)
	case config.SecretPool:
		return v.pool(ref.Pool, owner)
	default:
		return nil, errors.New("$RANDOM_KEY is for client keys")
	}
}

func (v *Vault) fixed(value string) Source {
	v.o.Hide(value)
	return fixed{config.NewSecret(value)}
}

// cached gives the source of that identity, which is made where there is none
// yet. All providers that ask the same share it: a token that is spent by its
// use must not be used twice.
func (v *Vault) cached(identity, owner string, made func() fetcher) *cached {
	sum := sha256.Sum256([]byte(identity))
	v.mu.Lock()
	defer v.mu.Unlock()
	c := v.held[string(sum[:])]
	if c == nil {
		c = &cached{vault: v, fetcher: made()}
		v.held[string(sum[:])] = c
	}
	c.own(owner)
	return c
}

// Keep forgets what none of the sources in use needs.
func (v *Vault) Keep(used ...Source) {
	needed := map[*cached]bool{}
	for len(used) > 0 {
		s := used[len(used)-1]
		used = used[:len(used)-1]
		switch s := s.(type) {
		case *cached:
			needed[s] = true
			if o, is := s.fetcher.(*oauth); is {
				used = append(used, o.refresh)
			}
		case *pool:
			for _, k := range s.keys {
				used = append(used, k.Source)
			}
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for id, c := range v.held {
		if !needed[c] {
			delete(v.held, id)
		}
	}
}

func (v *Vault) oauth(o *config.OAuth, owner string) (Source, error) {
	refresh, err := v.Resolve(o.RefreshToken, owner)
	if err != nil {
		return nil, fmt.Errorf("refreshToken: %w", err)
	}
	from := o.RefreshToken.String()
	switch o.RefreshToken.Kind {
	case config.SecretLiteral:
		from = o.RefreshToken.Literal.Reveal()
	case config.SecretCommand:
		from = strings.Join(o.RefreshToken.Command, "\x00")
	}
	identity := strings.Join([]string{"oauth", o.TokenURL, o.ClientID, from}, "\x00")
	return v.cached(identity, owner, func() fetcher {
		return &oauth{url: o.TokenURL, client: o.ClientID, refresh: refresh, kept: o.RefreshToken, vault: v, owner: owner}
	}), nil
}

func (v *Vault) pool(refs []config.SecretRef, owner string) (Source, error) {
	p := &pool{now: time.Now}
	for i, ref := range refs {
		s, err := v.Resolve(ref, owner)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		p.keys = append(p.keys, &pooled{Source: s})
	}
	return p, nil
}
