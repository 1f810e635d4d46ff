package cli

import (
	"os/exec"
	"path/filepath"
	"testing"

	"anyproxy/internal/noprobe/ptytest"
)

// TestBinaryAsksTheTerminalNothing builds the program and runs it on a terminal
// that never answers: linking Bubble Tea must not make it wait for one.
func TestBinaryAsksTheTerminalNothing(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "anyproxy")
	build := exec.Command("go", "build", "-o", bin, ".")
	build.Dir = repository
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out := ptytest.Output(t, exec.Command(bin, "-version"))
	if q := ptytest.Questions(out); len(q) > 0 {
		t.Errorf("it asked %q", q)
	}
}
