//go:build unix

package cli

import (
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"anyproxy/internal/simulator"
)

// TestHangup runs in a process of its own without a controlling terminal, so
// that it is the same wherever the tests are run.
func TestHangup(t *testing.T) {
	if os.Getenv("ANYPROXY_TEST_HANGUP") == "" {
		c := exec.Command(os.Args[0], "-test.run=^TestHangup$", "-test.v")
		c.Env = append(os.Environ(), "ANYPROXY_TEST_HANGUP=1")
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	a, b := upstream(t, simulator.Always(good)), upstream(t, simulator.Always(good))
	file := configFile(t, "", a)
	p := start(t, nil, "-config", file)
	hangUp := func(want string) {
		t.Helper()
		n := strings.Count(p.errw.String(), want)
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		eventually(t, want, func() bool { return strings.Count(p.errw.String(), want) > n })
	}
	provider := func() string {
		res, _ := p.post(t, ask(true))
		return res.Header.Get("X-Anyproxy-Provider")
	}
	text := strings.NewReplacer("  a:", "  renamed:", "provider: a", "provider: renamed", a.URL(), b.URL())
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := provider(); got != "a" {
		t.Fatalf("served by %q", got)
	}
	if err := os.WriteFile(file, []byte("providers: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	hangUp("reload refused")
	if got := provider(); got != "a" {
		t.Errorf("after a bad file served by %q", got)
	}
	if err := os.WriteFile(file, []byte(text.Replace(string(old))), 0o600); err != nil {
		t.Fatal(err)
	}
	hangUp("configuration applied")
	if got := provider(); got != "renamed" || len(b.Requests()) != 1 {
		t.Errorf("after a good file served by %q", got)
	}
}

// TestHangupOfATerminalEndsNothingUnderNohup has a terminal as its controlling
// one, and the signal ignored since before the start.
func TestHangupOfATerminalEndsNothingUnderNohup(t *testing.T) {
	if os.Getenv("ANYPROXY_TEST_NOHUP") == "" {
		runOnTerminal(t, "^TestHangupOfATerminalEndsNothingUnderNohup$", "ANYPROXY_TEST_NOHUP=1")
		return
	}
	signal.Ignore(syscall.SIGHUP)
	p := start(t, nil, "-config", configFile(t, "", upstream(t, simulator.Always(good))))
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	select {
	case code := <-p.exit:
		p.exit <- code
		t.Errorf("exit code %d: %s", code, p.errw.String())
	case <-time.After(300 * time.Millisecond):
	}
}

// TestHangupOfATerminalEnds has a terminal as its controlling one.
func TestHangupOfATerminalEnds(t *testing.T) {
	if signal.Ignored(syscall.SIGHUP) {
		t.Skip("NOT TESTED: SIGHUP is ignored here, as under nohup, and stays so")
	}
	if os.Getenv("ANYPROXY_TEST_TTY") == "" {
		runOnTerminal(t, "^TestHangupOfATerminalEnds$", "ANYPROXY_TEST_TTY=1")
		return
	}
	p := start(t, nil, "-config", configFile(t, "", upstream(t, simulator.Always(good))))
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	code := <-p.exit
	p.exit <- code
	if code != 0 || !strings.Contains(p.errw.String(), "draining") {
		t.Errorf("exit code %d: %s", code, p.errw.String())
	}
}
