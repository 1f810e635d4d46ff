package routing

// Forget forgets what is known about a provider: its breakers close, and what
// was measured is gone. Attempts under way report to what is no longer asked.
func (s *State) Forget(provider string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.upstreams {
		if key.provider == provider {
			delete(s.upstreams, key)
		}
	}
	for key := range s.accounts {
		if key.provider == provider {
			delete(s.accounts, key)
		}
	}
	s.epoch.Add(1)
}
