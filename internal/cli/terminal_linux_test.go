package cli

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"anyproxy/internal/noprobe/ptytest"
)

// runOnTerminal runs one test in a process whose controlling terminal is a new one.
func runOnTerminal(t *testing.T, pattern, env string) {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run="+pattern, "-test.v")
	c.Env = append(os.Environ(), env, "TERM=xterm-256color")
	if out := string(ptytest.Output(t, c)); !strings.Contains(out, "PASS") {
		t.Fatal(out)
	}
}
