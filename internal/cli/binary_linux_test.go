package cli

import (
	"os/exec"
	"testing"

	"anyproxy/internal/noprobe/ptytest"
)

// TestBinaryAsksTheTerminalNothing builds the program and runs it on a terminal
// that never answers: linking Bubble Tea must not make it wait for one.
func TestBinaryAsksTheTerminalNothing(t *testing.T) {
	out := ptytest.Output(t, exec.Command(theProgram(t), "-version"))
	if q := ptytest.Questions(out); len(q) > 0 {
		t.Errorf("it asked %q", q)
	}
}
