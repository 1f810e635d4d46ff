package routing

import (
	"sync"
	"time"
)

// sessionsKept bounds how many sessions are remembered: at least so many of
// the newest, at most twice that.
const sessionsKept = 4096

// betweenMoves is how long a session stays where it is, whatever the speeds,
// after it has been moved for speed or load.
const betweenMoves = time.Minute

// binding ties a session to the upstream that holds its prompt cache.
type binding struct {
	upstream *upstream
	home     *upstream // where it was before a fault, nil = it is at home
	used     time.Time
	moved    time.Time // for speed or load, last
	cold     bool      // the upstream has not answered it yet
}

// sessions are the bindings by session, agent and alias, or asked model. The least used ones
// are forgotten: what was not asked for while sessionsKept others were is gone.
type sessions struct {
	mu       sync.Mutex
	new, old map[sessionKey]binding
}

// sessionKey is a hash of session, agent and alias. Two sessions with the same
// one, among a few thousand, would only share a provider.
type sessionKey uint64

const noSession sessionKey = 0

func keyOf(session, agent, alias string) sessionKey {
	if session == "" {
		return noSession
	}
	// FNV-1a. It is the same in the next run of the program, and 64 bits of it
	// take no memory for names that clients choose.
	h := uint64(14695981039346656037)
	for _, s := range [...]string{session, agent, alias} {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
		h = (h ^ 0xff) * 1099511628211 // no part of UTF-8: "a"+"bc" is not "ab"+"c"
	}
	return sessionKey(max(h, 1))
}

// find returns the binding under key, or else under main, the session's own
// for one of its agents, unless it has not been used for longer than ttl.
func (s *sessions) find(key, main sessionKey, now time.Time, ttl time.Duration) (b binding, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b, ok = s.takeLocked(key); !ok {
		b, ok = s.takeLocked(main)
		b.moved = time.Time{}
	}
	if !ok || now.Sub(b.used) > ttl {
		return binding{}, false
	}
	return b, true
}

func (s *sessions) takeLocked(key sessionKey) (b binding, ok bool) {
	if b, ok = s.new[key]; ok {
		return b, true
	}
	if b, ok = s.old[key]; ok {
		s.putLocked(key, b)
	}
	return b, ok
}

func (s *sessions) putLocked(key sessionKey, b binding) {
	if len(s.new) >= sessionsKept {
		s.old, s.new = s.new, nil
	}
	if s.new == nil {
		s.new = map[sessionKey]binding{}
	}
	s.new[key] = b
}

func (s *sessions) put(key sessionKey, b binding) {
	if key == noSession {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.putLocked(key, b)
}

// each calls f for every binding, those used last behind the others.
func (s *sessions) each(f func(sessionKey, binding)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range [...]map[sessionKey]binding{s.old, s.new} {
		for k, b := range m {
			f(k, b)
		}
	}
}
