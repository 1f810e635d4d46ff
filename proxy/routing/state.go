package routing

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// upstreamsKept bounds a State where clients can make up model names.
	upstreamsKept = 4096
	// aliasesKept does the same for names that no alias covers.
	aliasesKept = 1024
)

// State is what is known about upstreams and sessions. It outlives a Router:
// names of providers, endpoints and models tie it to the next one's targets.
type State struct {
	changed  atomic.Uint64 // see breaker.changed
	sessions sessions
	retries  retryBudget

	mu        sync.Mutex
	upstreams map[upstreamKey]*upstream
	accounts  map[accountKey]*account
	byAlias   map[string]*answers
	epoch     atomic.Uint64 // counts when upstreams were forgotten
}

type accountKey struct{ provider, endpoint string }

type upstreamKey struct {
	accountKey
	model string
}

// NewState returns a State that knows nothing.
func NewState() *State {
	return &State{upstreams: map[upstreamKey]*upstream{}, accounts: map[accountKey]*account{}, byAlias: map[string]*answers{}}
}

func (s *State) upstream(key upstreamKey, now time.Time) *upstream {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.upstreams[key]; u != nil {
		return u
	}
	if len(s.upstreams) >= upstreamsKept {
		s.forgetLocked()
	}
	u := &upstream{key: key, account: s.accountLocked(key.accountKey)}
	u.changed = &s.changed
	u.meter.known = now
	s.upstreams[key] = u
	return u
}

func (s *State) accountLocked(key accountKey) *account {
	a := s.accounts[key]
	if a == nil {
		a = &account{}
		a.changed = &s.changed
		s.accounts[key] = a
	}
	return a
}

// forgetLocked makes room: upstreams without requests in flight go.
func (s *State) forgetLocked() {
	for key, u := range s.upstreams {
		if u.pend.Load() == 0 {
			delete(s.upstreams, key)
		}
	}
	s.epoch.Add(1)
}

// answers is a running mean of how many tokens an answer of an alias has.
type answers struct {
	mu        sync.Mutex
	at        time.Time
	tokens, n float64
}

func (s *State) answers(alias string) *answers {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.byAlias[alias]
	if a == nil {
		if len(s.byAlias) >= aliasesKept {
			clear(s.byAlias)
		}
		a = &answers{}
		s.byAlias[alias] = a
	}
	return a
}

func (a *answers) fadeLocked(now time.Time) {
	if d := now.Sub(a.at); d > 0 {
		f := left(d, outputTau)
		a.tokens, a.n, a.at = a.tokens*f, a.n*f, now
	}
}

func (a *answers) add(now time.Time, tokens float64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fadeLocked(now)
	a.tokens += tokens
	a.n++
}

// mean is clamped so that a burst of tiny or huge answers does not make the
// choice one of waits or of speeds alone.
func (a *answers) mean(now time.Time) float64 {
	const least, most = 64, 1024
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fadeLocked(now)
	return min(max((a.tokens+priorOutputs*unknownOutput)/(a.n+priorOutputs), least), most)
}
