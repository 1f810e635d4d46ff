package noprobe_test

import (
	"os"
	"os/exec"
	"testing"

	_ "anyproxy/internal/noprobe"
	"anyproxy/internal/noprobe/ptytest"
	_ "anyproxy/tui" // links Bubble Tea as the program does
)

// TestNothingIsAskedAtStart starts this test binary, with all its init
// functions, on a terminal that does not answer.
func TestNothingIsAskedAtStart(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	out := ptytest.Output(t, cmd)
	if asked := ptytest.Questions(out); len(asked) > 0 {
		t.Errorf("the terminal was asked %q", asked)
	}
}
