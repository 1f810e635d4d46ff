package cli

import (
	"slices"
	"sync"

	"anyproxy/internal/redact"
)

// maxHidden bounds the secrets that are looked for: tokens come and go while
// the program runs, and those of last week are worth nothing any more. The first
// half, the configuration's own among them, stays.
const maxHidden = 4000

// hiddenSecrets are all secrets that have been in use, the old ones too: running
// requests may still tell of them.
type hiddenSecrets struct {
	mu     sync.Mutex
	known  map[string]bool
	values []string // in the order in which they came
}

// add takes secrets in, and has r look for them.
func (h *hiddenSecrets) add(r *redact.Redactor, secrets []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.known == nil {
		h.known = map[string]bool{}
	}
	news := false
	for _, s := range secrets {
		if s == "" || h.known[s] {
			continue
		}
		h.known[s], news = true, true
		h.values = append(h.values, s)
		if len(h.values) > maxHidden {
			delete(h.known, h.values[maxHidden/2])
			h.values = slices.Delete(h.values, maxHidden/2, maxHidden/2+1)
		}
	}
	if news {
		r.Set(h.values...)
	}
}
