package routing

import "time"

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
	if account != nil && st.include(&account.breaker, now) == open {
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
