package openai

import "sync"

// maxSeals bounds, in bytes, what is kept of tool calls' seals.
const maxSeals = 16 << 20

// seals keeps what Gemini attaches to a tool call and wants back with it in the
// history, where the Messages API has no place for it
// (ai.google.dev/gemini-api/docs/thought-signatures). It forgets the oldest, and
// all of it on a restart: the call then goes back without. A nil one keeps
// nothing.
type seals struct {
	mu    sync.Mutex
	byID  map[string][]byte // JSON; guarded by mu, like what follows
	order []string          // ids, oldest first
	size  int
}

func (s *seals) keep(id string, seal []byte) {
	if s == nil || len(seal) == 0 || len(seal) > maxSeals {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID == nil {
		s.byID = map[string][]byte{}
	}
	if s.byID[id] == nil {
		s.order = append(s.order, id)
	}
	s.size += len(seal) - len(s.byID[id])
	s.byID[id] = seal
	for s.size > maxSeals {
		s.size -= len(s.byID[s.order[0]])
		delete(s.byID, s.order[0])
		s.order = s.order[1:]
	}
}

// of is a call's seal, nil when there is none.
func (s *seals) of(id string) []byte {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byID[id]
}
