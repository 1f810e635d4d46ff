//go:build e2e && unix

package e2e

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"anyproxy/internal/simulator"
)

// runsProxy makes the client one that `anyproxy run` starts, with a proxy of its
// own before a provider that is down and one that answers.
func runsProxy(t *testing.T) (c *client, second *simulator.Upstream) {
	t.Helper()
	first := startUpstream(t, simulator.Conversation(simulator.Answer{Faults: []simulator.Fault{simulator.Overloaded()}}))
	second = startUpstream(t, simulator.Conversation(simulator.Answer{}))
	config := filepath.Join(t.TempDir(), "config.yaml")
	text := "apiKeys: [" + clientKey + "]\n" + twoProviders(first.URL(), second.URL())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c = newClient(t, "")
	c.through = []string{binary, "run", "-config", config, "--"}
	return c, second
}

// What the client prints is JSON, line by line: a word of the proxy's own in
// between would not be.
func TestRunClaudeCode(t *testing.T) {
	needClients(t)
	c, second := runsProxy(t)
	turns["tool"].check(t, c)
	checkRequests(t, "second", second, turns["tool"].asks, turns["tool"].asks)
}

// TestRunClaudeCodeOnATerminal has a person type to Claude Code that `anyproxy
// run` started, resize the terminal, and leave.
func TestRunClaudeCodeOnATerminal(t *testing.T) {
	needClients(t)
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Skip("NOT TESTED: a terminal, because there is no tmux")
	}
	c, second := runsProxy(t)
	home := t.TempDir()
	knowsItsUser(t, home, c.workdir)
	ended := filepath.Join(home, "ended")
	script := "cd " + c.workdir + " && " + strings.Join(append(c.through, clients.claude), " ") + "; echo $? >" + ended
	// On a terminal the client looks for updates and plugins: it gets nowhere.
	const nowhere = "http://127.0.0.1:9"
	term := startTmux(t, home, append(c.environ(nowhere), "HOME="+home), script)

	term.shows("❯")
	term.types("say hi")
	term.shows("You said: say hi")
	checkRequests(t, "second", second, 1, 3) // the client may ask for a title besides
	term.tmux("resize-window", "-x", "80", "-y", "24")
	term.types("say bye")
	term.shows("You said: say bye")
	term.types("/exit")
	term.eventually("the program's end", func() bool {
		_, err := os.Stat(ended)
		return err == nil
	})
	if code, err := os.ReadFile(ended); err != nil || string(code) != "0\n" {
		t.Errorf("%v: exit code %q", err, code)
	}
}

// knowsItsUser writes what Claude Code remembers of somebody who has used it in
// the folder before, so that it asks nothing at its start.
func knowsItsUser(t *testing.T, home, folder string) {
	t.Helper()
	text, err := json.Marshal(map[string]any{
		"hasCompletedOnboarding": true, "theme": "dark", "numStartups": 9, "bypassPermissionsModeAccepted": true,
		"projects": map[string]any{folder: map[string]any{"hasTrustDialogAccepted": true, "hasCompletedProjectOnboarding": true}},
	})
	if err := errors.Join(err, os.WriteFile(filepath.Join(home, ".claude.json"), text, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// terminal is a tmux of the test's own.
type terminal struct {
	t      *testing.T
	socket string
}

// startTmux runs a shell's script in a terminal of 120x36.
func startTmux(t *testing.T, dir string, env []string, script string) *terminal {
	t.Helper()
	term := &terminal{t, filepath.Join(dir, "tmux.sock")}
	cmd := exec.Command("tmux", "-S", term.socket, "-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "36", "sh", "-c", script)
	cmd.Env = append(env, "TERM=xterm-256color")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("tmux: %v\n%s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("tmux", "-S", term.socket, "kill-server").Run() }) // it has ended where all went well
	return term
}

func (m *terminal) tmux(args ...string) string {
	m.t.Helper()
	out, err := exec.Command("tmux", append([]string{"-S", m.socket}, args...)...).CombinedOutput()
	if err != nil {
		m.t.Fatalf("tmux %s: %v\n%s", args[0], err, out)
	}
	return string(out)
}

// types sends a line as a person does: the return key comes when the words are there.
func (m *terminal) types(line string) {
	m.t.Helper()
	m.tmux("send-keys", "-l", line)
	m.shows(line)
	m.tmux("send-keys", "Enter")
}

// shows waits until the screen holds the text.
func (m *terminal) shows(text string) {
	m.t.Helper()
	m.eventually(text, func() bool { return strings.Contains(m.tmux("capture-pane", "-p"), text) })
}

func (m *terminal) eventually(what string, holds func() bool) {
	m.t.Helper()
	for limit := time.Now().Add(clientTimeout); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(limit) {
			m.t.Fatalf("waited for %s; the screen is:\n%s", what, m.tmux("capture-pane", "-p"))
		}
	}
}
