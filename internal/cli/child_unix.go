//go:build unix

package cli

import (
	"os"
	"syscall"
)

// handedOn are the signals that are the child's to obey.
var handedOn = []os.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2}

// shared are those that a terminal sends to the child as well, and one that
// must not end the proxy.
var shared = []os.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGPIPE}

// codeOf is a process's exit code as a shell tells it.
func codeOf(state *os.ProcessState) int {
	if w, ok := state.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int(w.Signal())
	}
	return state.ExitCode()
}
