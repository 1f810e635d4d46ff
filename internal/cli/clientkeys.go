package cli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"anyproxy/config"
	"anyproxy/metrics/ledger"
	"anyproxy/providers/credential"
	"anyproxy/proxy"
)

const (
	// clientKeyOwner is, before its name, who has a client key. No provider's name
	// has a slash.
	clientKeyOwner = "apiKeys/"
	// followEvery is how often the sources of client keys are looked at: about as
	// long as whoever has replaced a key needs to use it.
	followEvery = time.Second
	// failsBefore is how often in a row a source fails before it is told. A file
	// that is being written anew can be found empty once.
	failsBefore = 2
)

// clientKeyOf is the name of the client key that is the owner of a credential.
func clientKeyOf(owner string) (name string, ok bool) {
	return strings.CutPrefix(owner, clientKeyOwner)
}

// sourced is a client key whose source may have another value some day. It goes
// on in the next configuration where its source is the same.
type sourced struct {
	name   string
	ref    config.SecretRef
	source credential.Source
	value  atomic.Pointer[config.Secret]
	failed int // how often in a row: the follower's
}

// clientKey resolves a client key. A fresh one stays what it is as long as the
// program runs.
func (b *built) clientKey(ctx context.Context, k config.ClientKey, before *built) (proxy.Key, error) {
	key := proxy.Key{Name: k.Name, Models: k.Models, DailyBudget: k.DailyBudget}
	if k.Key.Kind == config.SecretRandom {
		known := false
		if key.Value, known = before.random[k.Name]; !known {
			key.Value = config.NewSecret(randomKey())
			b.announce = append(b.announce, fmt.Sprintf("client key %s: %s", k.Name, key.Value.Reveal()))
		}
		b.random[k.Name] = key.Value
	} else {
		s, err := b.sourcedKey(ctx, k, before.sourced[k.Name])
		if err != nil {
			return key, err
		}
		key.Value = *s.value.Load()
	}
	b.secrets = append(b.secrets, key.Value.Reveal())
	return key, nil
}

// sourcedKey gets a client key from its source, unless that is followed already.
func (b *built) sourcedKey(ctx context.Context, k config.ClientKey, before *sourced) (*sourced, error) {
	if before != nil && reflect.DeepEqual(before.ref, k.Key) {
		b.sourced[k.Name] = before
		return before, nil
	}
	source, err := b.vault.Resolve(k.Key, clientKeyOwner+k.Name)
	if err != nil {
		return nil, err
	}
	value, err := source.Secret(ctx)
	if err != nil {
		return nil, err
	}
	s := &sourced{name: k.Name, ref: k.Key, source: source}
	s.value.Store(&value)
	b.sourced[k.Name] = s
	return s, nil
}

// keyFollower gives the configuration that serves the values that the sources of
// its client keys have by now. Requests wait for none of it: until a new value
// has been read the last one is valid, however long that takes.
type keyFollower struct {
	journal *ledger.Journal // nil = none
	tell    func(credential.Notice)
	logger  *slog.Logger

	mu   sync.Mutex
	runs *built
}

// serves says which configuration serves from now on. What was found since it was
// built it takes over.
func (f *keyFollower) serves(b *built) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.runs = b
	for _, s := range b.sourced {
		b.setKey(s)
	}
	f.journal.SetLabels(b.labels)
}

// setKey gives the runtime the value that a source gave last.
func (b *built) setKey(s *sourced) {
	value := *s.value.Load()
	fingerprint := credential.Fingerprint(value.Reveal())
	if b.labels.Keys[s.name] == fingerprint {
		return
	}
	b.runtime.SetKey(s.name, value)
	b.labels.Keys = maps.Clone(b.labels.Keys)
	b.labels.Keys[s.name] = fingerprint
}

// run follows until ctx ends.
func (f *keyFollower) run(ctx context.Context) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f.look(ctx)
		}
	}
}

// look asks every source once.
func (f *keyFollower) look(ctx context.Context) {
	f.mu.Lock()
	sources := f.runs.sourced
	f.mu.Unlock()
	for _, s := range sources {
		value, err := s.source.Secret(ctx)
		switch {
		case err != nil:
			f.failed(s, err)
		case value.Reveal() != s.value.Load().Reveal():
			s.value.Store(&value)
			f.logger.Info("client key has a new value", "key", s.name)
			fallthrough
		default:
			s.failed = 0
			f.found(s)
		}
	}
}

// found has the configuration that serves know a value, if the key is its own.
func (f *keyFollower) found(s *sourced) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.runs.sourced[s.name] == s {
		f.runs.setKey(s)
		f.journal.SetLabels(f.runs.labels)
	}
}

// failed tells, once, that a key can no longer be read.
func (f *keyFollower) failed(s *sourced, err error) {
	if s.failed++; s.failed == failsBefore && !errors.Is(err, context.Canceled) {
		f.tell(credential.Notice{Owner: clientKeyOwner + s.name, Text: err.Error() + "; the last value stays valid", Failed: true})
	}
}

func randomKey() string {
	var b [20]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return "ak-" + hex.EncodeToString(b[:])
}
