//go:build unix

package cli

import (
	"os/signal"
	"syscall"
)

// ignoreBackgroundReads makes a read from the terminal by a job in the
// background an error. The system would stop the whole proxy instead.
func ignoreBackgroundReads() { signal.Ignore(syscall.SIGTTIN) }
