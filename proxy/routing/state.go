package routing

import (
	"fmt"
	"sync"
	"time"

	"anyproxy/metrics"
)

const (
	// strikesToCool is how many failures in a row, of a kind that says nothing
	// about capacity, pause an upstream.
	strikesToCool = 3
	// credentialCooldown is how long a provider whose key was refused is left alone.
	credentialCooldown = time.Minute
	// upstreamsKept bounds the State where clients can make up model names.
	upstreamsKept = 4096
)

// State is what is known about upstreams. It outlives a Router: names of
// providers, endpoints and models tie it to the next one's targets.
type State struct {
	mu        sync.Mutex
	upstreams map[[3]string]*upstream
	accounts  map[[2]string]*pause
}

// NewState returns a State that knows nothing.
func NewState() *State {
	return &State{upstreams: map[[3]string]*upstream{}, accounts: map[[2]string]*pause{}}
}

// pause is a time until which something is left out.
type pause struct {
	mu      sync.Mutex
	since   time.Time // when it was imposed
	until   time.Time
	reason  string
	strikes int  // failures in a row
	refused bool // the account's key was refused
}

// upstream is one model of one provider; its provider's own pause is shared
// with its other models.
type upstream struct {
	pause
	account *pause
}

func (s *State) upstream(provider, endpoint, model string) *upstream {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := [3]string{provider, endpoint, model}
	if u := s.upstreams[key]; u != nil {
		return u
	}
	if len(s.upstreams) >= upstreamsKept {
		clear(s.upstreams)
	}
	account := s.accounts[[2]string{provider, endpoint}]
	if account == nil {
		account = &pause{}
		s.accounts[[2]string{provider, endpoint}] = account
	}
	u := &upstream{account: account}
	s.upstreams[key] = u
	return u
}

func (p *pause) get() (until time.Time, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.until, p.reason
}

// readyAt is when the upstream may be asked, in the past when it may be now.
func (u *upstream) readyAt() time.Time {
	own, _ := u.get()
	account, _ := u.account.get()
	if account.After(own) {
		return account
	}
	return own
}

// Verdict is what an outcome means for the upstream's standing.
type Verdict uint8

const (
	Good      Verdict = iota // it answered
	Neutral                  // the client left, or the request itself was at fault
	Capacity                 // 429, 503, 529: it asks to be left alone
	Faulty                   // 5xx, a broken answer, silence
	Unreached                // the connection failed: all the provider's models suffer
	Refused                  // the provider's key was refused
)

// Result is how an attempt on a Pick ended.
type Result struct {
	Verdict    Verdict
	Started    time.Time     // when the attempt was sent
	RetryAfter time.Duration // the upstream's own word, 0 = none
	Reason     string        // in words, for people
}

// Report tells how an attempt on p ended. The returned events, none or one,
// are for the operator.
func (p Pick) Report(res Result) []metrics.Event {
	now := p.r.o.Now()
	switch res.Verdict {
	case Good:
		return p.good(res.Started)
	case Neutral:
		return nil
	}
	if p.alone {
		return nil
	}
	switch res.Verdict {
	case Capacity:
		return p.cool(&p.upstream.pause, now, p.r.pauseFor(res.RetryAfter), res.Reason)
	case Unreached:
		return p.cool(p.upstream.account, now, p.r.o.Cooldown, res.Reason)
	case Refused:
		events := p.cool(p.upstream.account, now, credentialCooldown, res.Reason)
		p.upstream.account.refuse()
		return events
	default:
		if p.upstream.strike() < strikesToCool {
			return nil
		}
		return p.cool(&p.upstream.pause, now, p.r.pauseFor(res.RetryAfter), res.Reason)
	}
}

func (r *Router) pauseFor(retryAfter time.Duration) time.Duration {
	if retryAfter <= 0 {
		return r.o.Cooldown
	}
	return min(retryAfter, r.o.MaxRetryAfter)
}

func (p *pause) refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused = true
}

func (p *pause) strike() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.strikes++
	return p.strikes
}

// cool pauses what is at fault. A pause is never shortened, and one that
// several requests run into together is told once.
func (p Pick) cool(what *pause, now time.Time, d time.Duration, reason string) []metrics.Event {
	what.mu.Lock()
	defer what.mu.Unlock()
	running := what.until.After(now)
	if until := now.Add(d); until.After(what.until) {
		what.since, what.until, what.reason = now, until, reason
	}
	if running || d <= 0 {
		return nil
	}
	return []metrics.Event{{Kind: metrics.EventCooldown, Provider: p.Provider, Model: p.Model, For: d,
		Text: fmt.Sprintf("out for %s, %s", d.Round(time.Second), reason)}}
}

// good ends every pause that was imposed before the attempt was sent: an
// upstream that has answered since is well. One that was imposed while a long
// answer was on its way stands.
func (p Pick) good(started time.Time) []metrics.Event {
	own, account := p.upstream.clear(started), p.upstream.account.clear(started)
	if !own && !account {
		return nil
	}
	return []metrics.Event{{Kind: metrics.EventReturn, Provider: p.Provider, Model: p.Model, Text: "answers again"}}
}

// clear reports whether there was a pause to end.
func (p *pause) clear(started time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.since.After(started) {
		return false
	}
	was := !p.until.IsZero()
	p.since, p.until, p.reason, p.strikes, p.refused = time.Time{}, time.Time{}, "", 0, false
	return was
}

// Standing is how a provider stands as a whole.
type Standing struct {
	RetryAt time.Time // when the last of its pauses ends, zero when there is none
	Reason  string
	Out     bool // nothing of it is available now
	Refused bool // its key was refused
}

// Provider tells how a provider stands now.
func (s *State) Provider(name, endpoint string, now time.Time) Standing {
	s.mu.Lock()
	var models []*upstream
	for key, u := range s.upstreams {
		if key[0] == name && key[1] == endpoint {
			models = append(models, u)
		}
	}
	account := s.accounts[[2]string{name, endpoint}]
	s.mu.Unlock()

	var st Standing
	if account != nil {
		if until, reason := account.get(); until.After(now) {
			st = Standing{RetryAt: until, Reason: reason, Out: true, Refused: account.isRefused()}
		}
	}
	out := 0
	for _, u := range models {
		until, reason := u.get()
		if !until.After(now) {
			continue
		}
		out++
		if until.After(st.RetryAt) {
			st.RetryAt, st.Reason = until, reason
		}
	}
	st.Out = st.Out || out > 0 && out == len(models)
	return st
}

func (p *pause) isRefused() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refused
}
