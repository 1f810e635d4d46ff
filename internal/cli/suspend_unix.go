//go:build unix

package cli

import (
	"os"
	"os/signal"
	"syscall"
)

// onSuspend calls do instead of stopping the process when it is asked to stop
// (SIGTSTP), until the returned func is called.
func onSuspend(do func()) (stop func()) {
	signals, over := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, syscall.SIGTSTP)
	go func() {
		select {
		case <-signals:
			do()
		case <-over:
		}
	}()
	return func() {
		signal.Stop(signals)
		close(over)
	}
}
