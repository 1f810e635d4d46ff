//go:build e2e && unix

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"

	"anyproxy/internal/simulator"
)

const (
	startTimeout = 20 * time.Second
	stopTimeout  = 10 * time.Second
)

// startUpstream serves script on loopback until the test ends.
func startUpstream(t *testing.T, script simulator.Script) *simulator.Upstream {
	t.Helper()
	u, err := simulator.Start(context.Background(), simulator.Options{Script: script})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.Close)
	return u
}

// upstreamKey is the key that provider is configured with.
func upstreamKey(provider string) string { return "e2e-upstream-key-" + provider }

// startProxy runs anyproxy with provider "first" in tier 1 and "second" in
// tier 2, and returns its URL.
func startProxy(t *testing.T, first, second string) string {
	t.Helper()
	return startConfigured(t, twoProviders(first, second))
}

// twoProviders configures provider "first" in tier 1 and "second" in tier 2.
func twoProviders(first, second string) string {
	return fmt.Sprintf(`providers:
  first:  {type: anthropic, endpoint: %q, apiKey: %s}
  second: {type: anthropic, endpoint: %q, apiKey: %s}
models:
  - {alias: "claude-*", provider: first, tier: 1}
  - {alias: "claude-*", provider: second, tier: 2}
`, first, upstreamKey("first"), second, upstreamKey("second"))
}

// startConfigured runs anyproxy with the given providers and models, and with
// env besides the little that all get, and returns its URL. When the test ends
// it must stop cleanly.
func startConfigured(t *testing.T, text string, env ...string) string {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yaml")
	text = "listen: 127.0.0.1:0\napiKeys: [" + clientKey + "]\n" + text
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "-config", config, "-log-file", filepath.Join(dir, "requests.jsonl"))
	cmd.Env = append([]string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "LOG_LEVEL=DEBUG"}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out := &listening{found: make(chan string, 1)}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { stopProxy(t, cmd, ended, out) })
	select {
	case url := <-out.found:
		return url
	case <-time.After(startTimeout):
		t.Fatalf("anyproxy does not say where it listens:\n%s", out)
		return ""
	}
}

func stopProxy(t *testing.T, cmd *exec.Cmd, ended <-chan error, out *listening) {
	_ = cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("anyproxy ended with %v", err)
		}
	case <-time.After(stopTimeout):
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		t.Errorf("anyproxy did not stop within %s; killed", stopTimeout)
		<-ended
	}
	if t.Failed() {
		t.Logf("anyproxy wrote:\n%s", out)
	}
}

// listening keeps a program's output and finds the URL in it.
type listening struct {
	mu    sync.Mutex
	text  bytes.Buffer
	found chan string
	done  bool
}

var listenURL = regexp.MustCompile(`http://127\.0\.0\.1:[1-9][0-9]*`)

func (l *listening) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	if url := listenURL.Find(l.text.Bytes()); url != nil && !l.done {
		l.done = true
		l.found <- string(url)
	}
	return len(p), nil
}

func (l *listening) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
