package cli

import (
	"os"
	"os/signal"
	"syscall"
)

// signalsOf are the signals that are obeyed. That the terminal is gone is none
// where nohup has taken care that it ends nothing.
func signalsOf(terminal bool) []os.Signal {
	if terminal && signal.Ignored(syscall.SIGHUP) {
		return []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	}
	return []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP}
}

// hasTerminal reports whether this process has a controlling terminal.
func hasTerminal() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	return tty.Close() == nil
}
