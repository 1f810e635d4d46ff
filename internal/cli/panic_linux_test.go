package cli

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/term"

	"anyproxy/internal/noprobe/ptytest"
	"anyproxy/internal/simulator"
)

// odd is a signal over which the program breaks.
type odd struct{}

func (odd) Signal()        {}
func (odd) String() string { panic("at a loss with " + planted) }

// TestAPanicGivesTheTerminalBack breaks the program's main goroutine while the
// dashboard has the terminal, in a process of its own, which must end as if it
// had been told to: with 1, and the terminal as it was.
func TestAPanicGivesTheTerminalBack(t *testing.T) {
	const inChild = "ANYPROXY_TEST_PANIC"
	if os.Getenv(inChild) == "" {
		runOnTerminal(t, "^TestAPanicGivesTheTerminalBack$", inChild+"=1")
		return
	}
	p := &onScreen{t: t, exit: make(chan int, 1)}
	p.master, p.slave = ptytest.Open(t, 120, 36)
	read := p.reading()
	before, err := term.GetState(p.slave.Fd())
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"TERM": "xterm-256color", "LANG": "C.UTF-8"}
	file := configFile(t, "state: {path: none}\n", upstream(t, simulator.Always(good)))
	signals := make(chan os.Signal, 2)
	go func() {
		code := 0
		defer func() { p.exit <- code }()
		getenv := func(k string) string { return env[k] }
		errw := newStderr(&p.errw, getenv)
		errw.hide(planted)
		defer internalError(errw, &code)
		program, end := newProgram(time.Now, flags{config: file, listen: "127.0.0.1:0", tui: true}, getenv, p.slave, errw)
		defer end()
		if err := program.prepare(t.Context(), signals); err != nil {
			t.Error(err)
			return
		}
		_ = program.run(t.Context(), signals, p.slave)
	}()
	p.wait("Providers")
	if during, err := term.GetState(p.slave.Fd()); err != nil || *during == *before {
		t.Fatalf("the dashboard has not taken the terminal: %v", err)
	}
	signals <- odd{}
	p.ends(exitFailed)
	after, err := term.GetState(p.slave.Fd())
	if err != nil || *after != *before {
		t.Errorf("the terminal's modes are %+v, they were %+v: %v", after, before, err)
	}
	_ = p.slave.Close()
	<-read
	if out := p.screen.String(); strings.LastIndex(out, "\x1b[?25h") < strings.LastIndex(out, "\x1b[?25l") {
		t.Error("the cursor stays hidden")
	}
	if said := p.errw.String(); !strings.Contains(said, "anyproxy: error: internal error: at a loss with ••••••") || !strings.Contains(said, "cli.odd.String") ||
		strings.Contains(said+p.screen.String(), planted) {
		t.Errorf("it said %s", said)
	}
}
