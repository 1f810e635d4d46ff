package cli

import (
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"sync"
	"testing"

	"anyproxy/internal/grammar"
	"anyproxy/internal/simulator"
)

// A pool of connections that have gone dead without a word costs one request its
// patience, and none that comes after it; also where all share one connection.
func TestPoolThatDiedSilently(t *testing.T) {
	const pooled = 8
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			var running sync.WaitGroup
			running.Add(pooled)
			u := upstream(t, func(n int, _ *simulator.Received) simulator.Answer {
				if n < pooled { // all at a time, so that each has a connection
					running.Done()
					running.Wait()
				}
				return good
			})
			server := httptest.NewUnstartedServer(u)
			server.EnableHTTP2 = http2
			server.StartTLS()
			t.Cleanup(server.Close)
			ca := writeFile(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
			w, endpoint := newCable(t, server.URL)
			p := start(t, nil, "-config", writeFile(t, "config.yaml", fmt.Sprintf(`
providers: {a: {endpoint: %q, apiKey: upstream-key-of-a, http2: %v, tls: {ca: %q}, timeouts: {firstByte: 3s, idle: 3s}}}
models: [{alias: "claude-*", provider: a}]
retry: {cooldown: 1ms}
`, endpoint, http2, ca)))
			var all sync.WaitGroup
			for range pooled {
				all.Go(func() { p.post(t, ask(true)) })
			}
			all.Wait()
			if n := w.connections(); n != pooled && !http2 {
				t.Fatalf("%d connections for %d requests", n, pooled)
			}
			w.sever()
			w.mend() // those that come after it are well
			failed := 0
			for i := range 2 * pooled {
				res, body := p.post(t, ask(true))
				if res.StatusCode == 504 {
					failed++
					continue
				}
				if m, err := check(true, body); err != nil || res.StatusCode != 200 || m.End != grammar.Complete {
					t.Fatalf("%d: %d %v %s", i, res.StatusCode, err, body)
				}
			}
			if failed > 1 { // none where a slow machine has left the pool empty
				t.Errorf("%d requests have waited in vain, want one at most", failed)
			}
		})
	}
}
