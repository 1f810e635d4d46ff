package credential

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"anyproxy/config"
)

const (
	// refusedPause is how long a key is left out that an upstream refuses, as
	// long as a provider is that has no other.
	refusedPause = time.Minute
	// limitedPause is how long one is left out that has used up its limit, where
	// the upstream does not say.
	limitedPause = 30 * time.Second
)

// pool is several keys of one account that take turns. One that is refused, or
// has used up its rate limit, is left out for a while; when all are, the one
// that comes back first is shown.
type pool struct {
	keys []*pooled
	turn atomic.Uint32
	now  func() time.Time
}

type pooled struct {
	Source

	mu    sync.Mutex
	shown string    // the value it gave last
	until time.Time // left out until then
}

// Secret gives the next key's value.
func (p *pool) Secret(ctx context.Context) (config.Secret, error) {
	n := len(p.keys)
	first := int(p.turn.Add(1)-1) % n
	now := p.now()
	var soonest *pooled
	var wait time.Duration
	var failed error
	for i := range n {
		k := p.keys[(first+i)%n]
		if left := k.outFor(now); left > 0 {
			if soonest == nil || left < wait {
				soonest, wait = k, left
			}
			continue
		}
		value, err := k.give(ctx)
		if err == nil {
			return value, nil
		}
		failed = err
	}
	if soonest != nil {
		value, err := soonest.give(ctx)
		if err == nil || failed == nil {
			return value, err
		}
	}
	return config.Secret{}, failed
}

func (k *pooled) give(ctx context.Context) (config.Secret, error) {
	value, err := k.Source.Secret(ctx)
	if err == nil {
		k.mu.Lock()
		k.shown = value.Reveal()
		k.mu.Unlock()
	}
	return value, err
}

// outFor is how long the key is still left out.
func (k *pooled) outFor(now time.Time) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.until.Sub(now)
}

// renew leaves the refused key out, unless it has another value by now.
func (p *pool) renew(ctx context.Context, refused config.Secret) bool {
	if k := p.of(refused); k != nil && Renew(ctx, k.Source, refused) {
		return true
	}
	return p.leaveOut(refused, refusedPause)
}

// leaveOut leaves a key out, and reports whether another is in.
func (p *pool) leaveOut(value config.Secret, wait time.Duration) bool {
	if wait <= 0 {
		wait = limitedPause
	}
	now, others := p.now(), false
	for _, k := range p.keys {
		k.mu.Lock()
		if k.shown == value.Reveal() {
			if until := now.Add(wait); until.After(k.until) {
				k.until = until
			}
		} else if !k.until.After(now) {
			others = true
		}
		k.mu.Unlock()
	}
	return others
}

// of is the key that gave the value last.
func (p *pool) of(value config.Secret) *pooled {
	for _, k := range p.keys {
		k.mu.Lock()
		is := k.shown == value.Reveal()
		k.mu.Unlock()
		if is {
			return k
		}
	}
	return nil
}
