package routing

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
)

const (
	savedVersion = 1
	// What has not been touched for so long has faded to nothing.
	savedUpstreamFor = 5 * slowTau
	savedSessionFor  = 24 * time.Hour
	// longestPause bounds what is believed of a breaker in a file.
	longestPause = 8 * 24 * time.Hour
)

// saved is a State as it outlives the program. It names providers, endpoints
// and models, and no session: of those it has hashes.
type saved struct {
	Version   int             `json:"version"`
	At        time.Time       `json:"at"`
	Upstreams []savedUpstream `json:"upstreams"`
	Accounts  []savedAccount  `json:"accounts"`
	Answers   []savedAnswers  `json:"answers"`
	Sessions  []savedSession  `json:"sessions"`
}

type savedUpstream struct {
	Provider string       `json:"provider"`
	Endpoint string       `json:"endpoint"`
	Model    string       `json:"model"`
	Fast     savedAverage `json:"fast"`
	Slow     savedAverage `json:"slow"`
	Failed   float64      `json:"failed"`
	Attempts float64      `json:"attempts"`
	Lost     float64      `json:"lost_seconds"`
	FailedAt time.Time    `json:"failed_at,omitzero"` // what the three before were counted until
	Last     time.Time    `json:"last_failure,omitzero"`
	Sampled  time.Time    `json:"sampled,omitzero"`
	Short    float64      `json:"shortfall"`
	Breaker  savedBreaker `json:"breaker,omitzero"`
}

type savedAverage struct {
	At      time.Time `json:"at,omitzero"`
	Tokens  float64   `json:"tokens"`
	Seconds float64   `json:"seconds"`
	LnTTFT  float64   `json:"ln_ttft"`
	TTFTs   float64   `json:"ttfts"`
}

type savedBreaker struct {
	Opened  time.Time `json:"opened,omitzero"`
	Until   time.Time `json:"until,omitzero"`
	Stated  bool      `json:"stated,omitempty"`
	Refused bool      `json:"refused,omitempty"`
	Strikes int       `json:"strikes,omitempty"`
	Closed  time.Time `json:"closed,omitzero"`
}

type savedAccount struct {
	Provider string       `json:"provider"`
	Endpoint string       `json:"endpoint"`
	Breaker  savedBreaker `json:"breaker"`
}

type savedAnswers struct {
	Alias  string    `json:"alias"`
	At     time.Time `json:"at"`
	Tokens float64   `json:"tokens"`
	N      float64   `json:"n"`
}

type savedSession struct {
	Key      sessionKey `json:"key,string"`
	Upstream int        `json:"upstream"` // index into Upstreams
	Home     int        `json:"home"`     // the same, -1 = none
	Used     time.Time  `json:"used"`
}

// Save gives what is known in a form that Restore takes.
func (s *State) Save(now time.Time) ([]byte, error) {
	out := saved{Version: savedVersion, At: now}
	index := map[*upstream]int{}
	s.mu.Lock()
	for _, u := range s.upstreams {
		index[u] = len(out.Upstreams)
		out.Upstreams = append(out.Upstreams, u.save())
	}
	for key, a := range s.accounts {
		out.Accounts = append(out.Accounts, savedAccount{key.provider, key.endpoint, a.save()})
	}
	for alias, a := range s.byAlias {
		a.mu.Lock()
		out.Answers = append(out.Answers, savedAnswers{alias, a.at, a.tokens, a.n})
		a.mu.Unlock()
	}
	s.mu.Unlock()
	s.sessions.each(func(key sessionKey, b binding) {
		i, ok := index[b.upstream]
		if !ok || now.Sub(b.used) > savedSessionFor {
			return
		}
		home, ok := index[b.home]
		if !ok {
			home = -1
		}
		out.Sessions = append(out.Sessions, savedSession{key, i, home, b.used})
	})
	return json.Marshal(out)
}

func (u *upstream) save() savedUpstream {
	u.mu.Lock()
	defer u.mu.Unlock()
	m := &u.meter
	average := func(a *average) savedAverage {
		return savedAverage{a.at, a.tokens, a.seconds, a.lnTTFT, a.ttfts}
	}
	return savedUpstream{Provider: u.key.provider, Endpoint: u.key.endpoint, Model: u.key.model,
		Fast: average(&m.fast), Slow: average(&m.slow),
		Failed: m.failures.failed, Attempts: m.failures.attempts, Lost: m.failures.lost, FailedAt: m.failures.at, Last: m.failures.last,
		Sampled: m.sampled, Short: m.shortfall, Breaker: u.breaker.save()}
}

func (b *breaker) save() savedBreaker {
	b.mu.Lock()
	defer b.mu.Unlock()
	return savedBreaker{b.opened, b.until, b.stated, b.refused, b.strikes, b.closed}
}

// Restore fills a State that knows nothing yet with what another one had saved.
// What has faded since then is left out. When the data are not what Save gives,
// nothing is restored.
func (s *State) Restore(data []byte, now time.Time) error {
	var in saved
	if err := json.Unmarshal(data, &in); err != nil {
		return fmt.Errorf("routing state: %w", err)
	}
	if err := in.check(now); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	upstreams := make([]*upstream, len(in.Upstreams))
	for i := range in.Upstreams {
		upstreams[i] = s.restoreLocked(&in.Upstreams[i], now)
	}
	for _, a := range in.Accounts {
		s.accountLocked(accountKey{a.Provider, a.Endpoint}).restore(a.Breaker)
	}
	for _, a := range in.Answers {
		s.byAlias[a.Alias] = &answers{at: a.At, tokens: a.Tokens, n: a.N}
	}
	for _, b := range in.Sessions {
		if u := upstreams[b.Upstream]; u != nil && now.Sub(b.Used) <= savedSessionFor {
			next := binding{upstream: u, used: b.Used}
			if b.Home >= 0 {
				next.home = upstreams[b.Home]
			}
			s.sessions.put(b.Key, next)
		}
	}
	return nil
}

func (s *State) restoreLocked(in *savedUpstream, now time.Time) *upstream {
	touched := later(later(in.Slow.At, in.Sampled), in.Breaker.Until)
	if now.Sub(touched) > savedUpstreamFor {
		return nil
	}
	average := func(a savedAverage) average { return average{a.At, a.Tokens, a.Seconds, a.LnTTFT, a.TTFTs} }
	key := upstreamKey{accountKey{in.Provider, in.Endpoint}, in.Model}
	u := &upstream{key: key, account: s.accountLocked(key.accountKey), meter: meter{
		fast: average(in.Fast), slow: average(in.Slow), known: now, sampled: in.Sampled, shortfall: in.Short,
		failures: failures{in.FailedAt, in.Failed, in.Attempts, in.Lost, in.Last}}}
	u.changed = &s.changed
	u.breaker.restore(in.Breaker)
	s.upstreams[key] = u
	return u
}

func (b *breaker) restore(in savedBreaker) {
	if in.Refused {
		return // a key that was refused is why people restart: it is tried at once
	}
	b.opened, b.until, b.stated, b.refused, b.strikes, b.closed = in.Opened, in.Until, in.Stated, in.Refused, in.Strikes, in.Closed
}

var errSaved = errors.New("routing state: holds what cannot be")

// check finds what no State can have saved: it would be believed for ever.
func (in *saved) check(now time.Time) error {
	if in.Version != savedVersion {
		return fmt.Errorf("routing state: version %d, this program writes %d", in.Version, savedVersion)
	}
	if len(in.Upstreams) > upstreamsKept || len(in.Accounts) > upstreamsKept || len(in.Answers) > aliasesKept || len(in.Sessions) > 2*sessionsKept {
		return fmt.Errorf("%w: too much of it", errSaved)
	}
	ok := true
	amount := func(values ...float64) {
		for _, v := range values {
			ok = ok && v >= 0 && v < math.MaxFloat32
		}
	}
	past := func(times ...time.Time) {
		for _, t := range times {
			ok = ok && !t.After(now.Add(time.Minute)) // clocks are corrected by seconds
		}
	}
	breaker := func(b savedBreaker) {
		past(b.Opened, b.Closed)
		ok = ok && b.Strikes >= 0 && b.Until.Before(now.Add(longestPause)) && b.Opened.IsZero() == b.Until.IsZero()
	}
	for _, u := range in.Upstreams {
		for _, a := range [...]savedAverage{u.Fast, u.Slow} {
			amount(a.Tokens, a.Seconds, a.TTFTs)
			ok = ok && math.Abs(a.LnTTFT) <= 20*max(a.TTFTs, 0)+1e-6 // no wait of years
			past(a.At)
		}
		amount(u.Failed, u.Attempts, u.Lost, u.Short)
		ok = ok && u.Failed <= u.Attempts+1e-6
		past(u.FailedAt, u.Last, u.Sampled)
		breaker(u.Breaker)
	}
	for _, a := range in.Accounts {
		breaker(a.Breaker)
	}
	for _, a := range in.Answers {
		amount(a.Tokens, a.N)
		past(a.At)
	}
	for _, b := range in.Sessions {
		ok = ok && b.Upstream >= 0 && b.Upstream < len(in.Upstreams) && b.Home >= -1 && b.Home < len(in.Upstreams)
		past(b.Used)
	}
	if !ok {
		return errSaved
	}
	return nil
}
