package openai

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

// A request that goes out again, as its kept-alive connection was dead, is the
// same request: its buffer is nobody else's before the answer has begun.
func TestDeadConnectionIsReplaced(t *testing.T) {
	var mu sync.Mutex
	var seen = map[string]bool{} // addresses
	var bodies []string
	var dropped atomic.Int64
	p := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		kept := seen[r.RemoteAddr]
		seen[r.RemoteAddr] = true
		bodies = append(bodies, string(body))
		mu.Unlock()
		if !kept || dropped.Load() > 0 {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, choice(`{"content":"hi"}`, `"stop"`))
			return
		}
		dropped.Add(1)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		conn.Close()
	})
	for range 100 { // whether a connection is kept in time for the next request is the transport's affair
		if _, got := send(t, p, newRequest(t, `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hello"}]}`, "m")); got.err != nil {
			t.Fatal(got.err)
		}
		if dropped.Load() > 0 {
			break
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if n := len(bodies); dropped.Load() != 1 || n < 3 || bodies[n-1] != bodies[n-2] {
		t.Errorf("%d connections dropped, %q", dropped.Load(), bodies)
	}
}
