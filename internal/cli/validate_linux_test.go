package cli

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"anyproxy/internal/noprobe/ptytest"
	"anyproxy/internal/simulator"
)

// TestProbeAsksFirst has a person at a terminal who agrees, who does not, who
// leaves, and who waits until the program is ended.
func TestProbeAsksFirst(t *testing.T) {
	for name, c := range map[string]struct {
		keys string // "" = the program is ended
		sent bool
		code int
		want string
	}{
		"yes":        {"yes\n", true, 0, "PROBED"},
		"y":          {"Y\n", true, 0, "PROBED"},
		"no":         {"n\n", false, 0, "no target was asked"},
		"enter":      {"\n", false, 0, "no target was asked"},
		"ctrl+d":     {"\x04", false, 0, "no target was asked"},
		"a sentence": {"yes, please\nno\n", false, 0, "no target was asked"},
		"the end":    {"", false, 1, "context canceled"},
	} {
		t.Run(name, func(t *testing.T) {
			u := upstream(t, simulator.Always(good))
			path := filepath.Join(t.TempDir(), "f.yaml")
			if err := os.WriteFile(path, []byte("providers: {p: {endpoint: '"+u.URL()+"', apiKey: env.KEY}}\nmodels: [{name: claude-opus-4-1, provider: p}]\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			master, slave := ptytest.Open(t, 80, 24)
			who := &typist{t: t, master: master, screen: &safeBuffer{}}
			var copied sync.WaitGroup
			copied.Go(func() { _, _ = io.Copy(who.screen, master) })
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			exit := make(chan int, 1)
			getenv := func(name string) string { return map[string]string{"KEY": upstreamsKey42}[name] }
			go func() {
				exit <- Run(ctx, []string{"validate", "-config", path, "-probe"}, getenv, slave, slave, slave)
			}()
			asked := who.reads("Send? [y/N] ")
			if !strings.Contains(asked, "asking 1 provider for models") || !strings.Contains(asked, "1 request of about 500 tokens will be sent, for at most $0.03. ") {
				t.Errorf("the terminal shows %q", asked)
			}
			if c.keys == "" {
				stop()
			} else if _, err := io.WriteString(master, c.keys); err != nil {
				t.Fatal(err)
			}
			code := <-exit
			shown := who.reads(c.want)
			slave.Close()
			copied.Wait()
			sent := 0
			for _, r := range u.Requests() {
				if r.Method == "POST" {
					sent++
				}
			}
			if code != c.code || (sent > 0) != c.sent {
				t.Errorf("exit code %d, %d requests; the terminal shows %q", code, sent, shown)
			}
		})
	}
}
