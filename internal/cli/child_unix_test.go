//go:build unix

package cli

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"anyproxy/internal/simulator"
)

// childEnds is the signal that a waiting child obeys.
const childEnds = syscall.SIGTERM

func TestRunHandsSignalsOn(t *testing.T) {
	t.Setenv(childsTask, "wait")
	file := configFile(t, "state: {path: none}\n", upstream(t, simulator.Always(good)))
	var out, errw safeBuffer
	code := make(chan int, 1)
	go func() {
		code <- Run(t.Context(), []string{"run", "-config", file, "--", os.Args[0]}, func(string) string { return "" }, strings.NewReader(""), &out, &errw)
	}()
	eventually(t, "the child", func() bool { return strings.Contains(out.String(), "ready") })
	// An interrupt of a terminal reaches the child by itself: here it must end nobody.
	for _, sig := range []syscall.Signal{syscall.SIGINT, childEnds} {
		if err := syscall.Kill(os.Getpid(), sig); err != nil {
			t.Fatal(err)
		}
	}
	if got := <-code; got != 42 || errw.String() != "" {
		t.Errorf("exit code %d, stderr %q", got, errw.String())
	}
}

func TestRunTellsOfADeathAsAShellDoes(t *testing.T) {
	file := configFile(t, "state: {path: none}\n", upstream(t, simulator.Always(good)))
	if code, _, _ := runChild(t, nil, "", "-config", file, "--", "sh", "-c", "kill -9 $$"); code != 128+9 {
		t.Errorf("exit code %d", code)
	}
}
