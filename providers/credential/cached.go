package credential

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"anyproxy/config"
	"anyproxy/internal/contain"
)

const (
	// renewAhead is how long before its end a value is renewed, give or take
	// renewJitter; one that lives shorter is renewed in the last fifth of its life.
	renewAhead  = 5 * time.Minute
	renewJitter = 30 * time.Second
	renewPart   = 5
	// A source that fails is asked again after retryFirst, and each time after
	// twice as long, up to retryMost.
	retryFirst = time.Second
	retryMost  = time.Minute
	// forceEvery is the least time between two renewals of values that upstreams
	// have refused: an account that is closed does not open by asking.
	forceEvery = 10 * time.Second
)

// A fetcher asks for a value.
type fetcher interface {
	// fetch returns a new value. life is how long it is good for, 0 = for ever,
	// and fresh how long it need not be asked for again, 0 = as life says.
	fetch(ctx context.Context) (value string, life, fresh time.Duration, err error)
	// limit bounds a fetch.
	limit() time.Duration
	String() string // for people
}

// errForGood marks a failure that will not pass by itself.
var errForGood = errors.New("it will not pass by itself")

// cached is what a fetcher gave, as long as it is good.
type cached struct {
	vault *Vault
	fetcher
	current atomic.Pointer[held]

	mu       sync.Mutex // guards what follows
	owners   []string
	running  *flight // the fetch that is under way
	failures int     // in a row
	failed   error   // the last one
	again    time.Time
	forced   time.Time // when a refused value was renewed last
}

// held is a value with its times, on the wall clock.
type held struct {
	value config.Secret
	renew time.Time // from then on it is renewed while it serves; zero = never
	end   time.Time // zero = it has none
}

// flight is a fetch that others may wait for.
type flight struct {
	done chan struct{}
	err  error
}

func (c *cached) own(owner string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Contains(c.owners, owner) {
		c.owners = append(c.owners, owner)
	}
}

// Secret gives the value at once while it is good, and has it renewed in time.
func (c *cached) Secret(ctx context.Context) (config.Secret, error) {
	h := c.current.Load()
	now := c.vault.o.Now()
	if h != nil && (h.end.IsZero() || now.Before(h.end)) {
		if !h.renew.IsZero() && !now.Before(h.renew) {
			c.start(now, h)
		}
		return h.value, nil
	}
	return c.wait(ctx, c.start(now, h))
}

// wait waits for a fetch, as long as the caller has time.
func (c *cached) wait(ctx context.Context, f *flight) (config.Secret, error) {
	select {
	case <-f.done:
	case <-ctx.Done():
		return config.Secret{}, fmt.Errorf("%s: %w", c, context.Cause(ctx))
	}
	if f.err != nil {
		return config.Secret{}, fmt.Errorf("%s: %w", c, f.err)
	}
	return c.current.Load().value, nil
}

// renew asks for another value, unless there is one already. One that is refused
// as soon as it has come is not asked for again.
func (c *cached) renew(ctx context.Context, refused config.Secret) bool {
	h := c.current.Load()
	if h != nil && h.value.Reveal() != refused.Reveal() {
		return true
	}
	now := c.vault.o.Now()
	c.mu.Lock()
	early := c.running == nil && !c.forced.IsZero() && now.Sub(c.forced) < forceEvery
	if !early && c.running == nil {
		c.forced = now
	}
	c.mu.Unlock()
	if early {
		return false
	}
	value, err := c.wait(ctx, c.start(now, h))
	return err == nil && value.Reveal() != refused.Reveal()
}

// start begins a fetch, unless one is under way, or has ended since the caller
// looked at what it saw. After a failure there is a pause, in which the failure
// stands for its repetition.
func (c *cached) start(now time.Time, saw *held) *flight {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.running != nil:
		return c.running
	case c.current.Load() != saw:
		return landed(nil)
	case now.Before(c.again):
		return landed(c.failed)
	case c.vault.ctx.Err() != nil:
		return landed(context.Canceled)
	}
	c.running = &flight{done: make(chan struct{})}
	c.vault.work.Go(c.fly)
	return c.running
}

// landed is a flight that is over.
func landed(err error) *flight {
	f := &flight{done: make(chan struct{}), err: err}
	close(f.done)
	return f
}

// fly makes the fetch.
func (c *cached) fly() {
	ctx, cancel := context.WithTimeout(c.vault.ctx, c.limit())
	defer cancel()
	began := time.Now()
	value, life, fresh, err := c.fetched(ctx)
	took := time.Since(began)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("no answer within %s", c.limit())
	}
	now := c.vault.o.Now()
	if err == nil {
		c.vault.o.Hide(value)
		c.current.Store(newHeld(value, now, life, fresh))
	}
	c.account(value, took, err)
	c.land(now, err)
}

// account tells of a fetch for the audit.
func (c *cached) account(value string, took time.Duration, err error) {
	r, ok := Asked(c.String(), value, took, err)
	if !ok {
		return
	}
	c.mu.Lock()
	owners := slices.Clone(c.owners)
	c.mu.Unlock()
	for _, r.Owner = range owners {
		c.vault.o.Renewed(r)
	}
}

// fetched is fetch, whose panic is a failure like any other.
func (c *cached) fetched(ctx context.Context) (value string, life, fresh time.Duration, err error) {
	defer contain.Error(c.vault.o.Logger, "credential", &err)
	return c.fetch(ctx)
}

// newHeld decides when a value is renewed.
func newHeld(value string, now time.Time, life, fresh time.Duration) *held {
	h := &held{value: config.NewSecret(value)}
	if life > 0 {
		h.end = now.Add(life).Round(0)
		ahead := renewAhead + time.Duration((2*rand.Float64()-1)*float64(renewJitter))
		h.renew = h.end.Add(-min(ahead, life/renewPart))
	}
	if fresh > 0 {
		h.renew = now.Add(fresh).Round(0)
	}
	return h
}

// replace takes over a value that has been stored where it came from.
func (c *cached) replace(value string) {
	h := *c.current.Load() // there is one: it has been traded in
	h.value = config.NewSecret(value)
	c.current.Store(&h)
}

// land tells those who wait how the fetch has ended.
func (c *cached) land(now time.Time, err error) {
	c.mu.Lock()
	f, owners := c.running, slices.Clone(c.owners)
	c.running, c.failed = nil, err
	told := ""
	if err == nil {
		c.failures, c.again = 0, time.Time{}
	} else if !errors.Is(err, context.Canceled) {
		wait := retryMost
		if c.failures < 6 && !errors.Is(err, errForGood) {
			wait = retryFirst << c.failures
		}
		c.failures++
		c.again = now.Add(wait)
		told = fmt.Sprintf("%s: %s", c, err)
		if h := c.current.Load(); h != nil && (h.end.IsZero() || now.Before(h.end)) {
			told += "; the old value serves"
			if !h.end.IsZero() {
				told += " until " + h.end.Local().Format(time.TimeOnly)
			}
		}
	}
	again := c.failures > 1 && c.failures%10 != 0 // a source that stays away is told of now and then
	c.mu.Unlock()
	if told != "" && !again {
		for _, owner := range owners {
			c.vault.o.Tell(Notice{Owner: owner, Text: told, Failed: true})
		}
	}
	f.err = err
	close(f.done)
}
