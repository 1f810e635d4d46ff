//go:build e2e && unix

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"anyproxy/internal/shapes"
	"anyproxy/internal/simulator"
)

// shapesDir is where package shapes embeds its files from.
const shapesDir = "../internal/shapes/testdata"

// TestRecordShapes replaces the shapes by what the clients send today.
func TestRecordShapes(t *testing.T) {
	if os.Getenv("ANYPROXY_E2E_RECORD") == "" {
		t.Skip("NOT TESTED: nothing is; it records only with ANYPROXY_E2E_RECORD=1")
	}
	if missing != nil {
		t.Fatalf("no clients: %v", missing)
	}
	if err := os.RemoveAll(shapesDir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(shapesDir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"plain", "tool", "thinking", "parallel"} {
		record(t, name, func(c *client) {
			if s := c.claude(turns[name].prompt); s.IsError {
				t.Errorf("%s: %+v", name, s)
			}
		})
	}
	record(t, "sdk", func(c *client) {
		if f := c.finalMessage("say hi"); f.Error != nil {
			t.Errorf("sdk: %+v", f.Error)
		}
	})
}

// record keeps each request that comes in during run as a shape of that name.
func record(t *testing.T, name string, run func(*client)) {
	t.Helper()
	upstream := startUpstream(t, simulator.Conversation(simulator.Answer{}))
	target, err := url.Parse(upstream.URL())
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var seen []shapes.Shape
	forward := httputil.NewSingleHostReverseProxy(target)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("record: %v", err)
		}
		mu.Lock()
		seen = append(seen, shapes.Shape{Name: fmt.Sprintf("%s-%d", name, len(seen)+1), Method: r.Method, Path: r.RequestURI, Header: r.Header.Clone(), Body: body})
		mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		forward.ServeHTTP(w, r)
	}))
	defer front.Close()
	run(newClient(t, front.URL))
	if len(seen) == 0 {
		t.Errorf("%s: nothing came", name)
	}
	for _, s := range seen {
		scrubbed, err := shapes.Scrub(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(shapesDir, s.Name+".http"), scrubbed.Marshal(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
