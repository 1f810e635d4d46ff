//go:build !unix

package cli

import "os"

// handedOn are the signals that are the child's to obey.
var handedOn []os.Signal

// shared are those that a terminal sends to the child as well.
var shared = []os.Signal{os.Interrupt}

// codeOf is a process's exit code.
func codeOf(state *os.ProcessState) int { return state.ExitCode() }
