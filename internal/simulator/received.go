package simulator

import (
	"net/http"
	"slices"
	"sync"
	"time"
)

// Received is one request as it came. It is read-only.
type Received struct {
	Time   time.Time
	Method string
	Path   string
	Query  string
	Header http.Header
	Body   []byte

	ask func() Ask
}

// Ask is what the request asks for; the zero Ask when it is no model request.
func (r *Received) Ask() Ask {
	if r.ask == nil {
		return Ask{}
	}
	return r.ask()
}

// ring keeps the newest requests.
type ring struct {
	mu   sync.Mutex
	keep int
	kept []*Received // oldest first
}

func (r *ring) add(rec *Received) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept = append(r.kept, rec)
	if over := len(r.kept) - r.keep; over > 0 {
		r.kept = slices.Delete(r.kept, 0, over)
	}
}

func (r *ring) all() []*Received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.kept)
}
