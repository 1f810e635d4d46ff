package routing

import (
	"math"
	"sync"
	"time"
)

// upstreamsKept bounds a State where clients can make up model names.
const upstreamsKept = 4096

// State is what is known about upstreams. It outlives a Router: names of
// providers, endpoints and models tie it to the next one's targets.
type State struct {
	mu        sync.Mutex
	upstreams map[upstreamKey]*upstream
	accounts  map[accountKey]*breaker
}

type accountKey struct{ provider, endpoint string }

type upstreamKey struct {
	accountKey
	model string
}

// NewState returns a State that knows nothing.
func NewState() *State {
	return &State{upstreams: map[upstreamKey]*upstream{}, accounts: map[accountKey]*breaker{}}
}

// upstream is one model of one provider. account is shared with the provider's
// other models: it breaks when the provider cannot be reached or refuses its key.
type upstream struct {
	breaker
	account *breaker
	ttft    ttft
}

func (s *State) upstream(provider, endpoint, model string) *upstream {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := upstreamKey{accountKey{provider, endpoint}, model}
	if u := s.upstreams[key]; u != nil {
		return u
	}
	if len(s.upstreams) >= upstreamsKept {
		clear(s.upstreams)
	}
	account := s.accounts[key.accountKey]
	if account == nil {
		account = &breaker{}
		s.accounts[key.accountKey] = account
	}
	u := &upstream{account: account}
	s.upstreams[key] = u
	return u
}

// readyAt is when the upstream may be asked, in the past when it may be now.
func (u *upstream) readyAt(now time.Time) time.Time {
	_, own, _ := u.view(now)
	_, account, _ := u.account.view(now)
	if account.After(own) {
		return account
	}
	return own
}

// phase is the worse of the upstream's own and its account's.
func (u *upstream) phase(now time.Time) phase {
	own, _, _ := u.view(now)
	account, _, _ := u.account.view(now)
	if own == open || account == open {
		return open
	}
	return max(own, account)
}

// Standing is how a provider stands as a whole.
type Standing struct {
	// RetryAt is when the last of its pauses ends, zero when none runs.
	RetryAt  time.Time
	Out      bool // nothing of it is available
	HalfOpen bool // a pause is over and nothing has succeeded since
	Refused  bool // its key was refused
}

// Provider tells how a provider stands now.
func (s *State) Provider(name, endpoint string, now time.Time) Standing {
	s.mu.Lock()
	var models []*upstream
	for key, u := range s.upstreams {
		if key.accountKey == (accountKey{name, endpoint}) {
			models = append(models, u)
		}
	}
	account := s.accounts[accountKey{name, endpoint}]
	s.mu.Unlock()

	var st Standing
	out := 0
	for _, u := range models {
		if st.include(&u.breaker, now) == open {
			out++
		}
	}
	st.Out = out > 0 && out == len(models)
	if account != nil && st.include(account, now) == open {
		st.Out = true
	}
	return st
}

func (st *Standing) include(b *breaker, now time.Time) phase {
	p, until, refused := b.view(now)
	switch {
	case p == halfOpen:
		st.HalfOpen = true
	case p == open && until.After(st.RetryAt):
		st.RetryAt = until
	}
	st.Refused = st.Refused || p == open && refused
	return p
}

// ttft is a running mean of ln(time to first token), decayed with ttftTau.
type ttft struct {
	mu   sync.Mutex
	sum  float64 // of ln seconds
	n    float64
	last time.Time
}

const (
	ttftTau = 2 * time.Hour
	// ttftEvidence is how many samples it takes to say what is usual.
	ttftEvidence = 5
	// An answer that has not begun after patience times its usual time, and
	// leastPatience, is given up while another upstream stands by.
	patience      = 6
	leastPatience = 15 * time.Second
)

func (t *ttft) decayLocked(now time.Time) {
	f := math.Exp(-float64(now.Sub(t.last)) / float64(ttftTau))
	t.sum, t.n, t.last = t.sum*f, t.n*f, now
}

func (t *ttft) add(now time.Time, d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.decayLocked(now)
	t.sum += math.Log(max(d.Seconds(), 0.001))
	t.n++
}

// limit is how long to wait for response headers, at most the configured time.
func (t *ttft) limit(now time.Time, configured time.Duration) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.decayLocked(now)
	if t.n < ttftEvidence {
		return configured
	}
	usual := time.Duration(math.Exp(t.sum/t.n) * float64(time.Second))
	return min(max(patience*usual, leastPatience), configured)
}
