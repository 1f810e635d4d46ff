// Package cli is the command line: it reads flags and environment, wires the
// packages together and runs them until a signal, an error or the dashboard's
// end stops the program.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	_ "anyproxy/internal/noprobe" // before Bubble Tea's init, which would ask the terminal for its colours and wait
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// failure is an error with advice for the person at the terminal.
type failure struct {
	err  error
	hint string
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func hinted(err error, hint string) error { return &failure{err, hint} }

// Run runs anyproxy with the given arguments (without the program's name) and
// returns its exit code. It ends when ctx does.
func Run(ctx context.Context, args []string, getenv func(string) string, in io.Reader, out, stderr io.Writer) (code int) {
	errw := newStderr(stderr, getenv)
	defer internalError(errw, &code)
	if len(args) > 0 {
		if m := findCommand(args[0]); m != nil {
			return m.do(ctx, &call{args: args[1:], getenv: getenv, now: time.Now, in: in, out: out, errw: errw})
		}
	}
	f, err := parseFlags(args, getenv)
	switch {
	case errors.Is(err, flag.ErrHelp):
		writeHelp(out)
		return exitDone
	case err != nil:
		complain(errw, err)
		return exitUsage
	case f.version:
		fmt.Fprintln(out, "anyproxy", thisOrigin())
		return exitDone
	}
	if err := serve(ctx, f, getenv, in, out, errw); err != nil {
		complain(errw, err)
		return exitFailed
	}
	return exitDone
}
