// Package tui is the dashboard: what the proxy does, seen live in a terminal.
//
// It pulls. Four times a second while a request runs, once a second otherwise,
// it asks its Source for a metrics.Snapshot, repaints the panes whose content
// changed and hands Bubble Tea the finished text. Every figure on the screen is
// a field of the Snapshot; the dashboard computes only layout. The proxy never
// calls into it, so that a slow, blocked or closed terminal costs no request
// anything.
//
// One model owns size, focus and mode. A pane is a function of the model that
// paints a region of the canvas; the canvas holds cells and turns changed rows
// into text. Whatever another program wrote (names, models, errors) passes
// clean once, when it arrives.
//
// Everything runs on the goroutine of Run; nothing here is safe for concurrent
// use but Run itself with separate terminals.
package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"anyproxy/metrics"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/term"
)

// Source is where the figures come from. Snapshot returns the state now with
// the events after since. It is called from one goroutine and must not block.
type Source interface {
	Snapshot(since uint64) metrics.Snapshot
}

// Logs is where the lines of the log come from: those after since, oldest
// first. It is called like a Source.
type Logs interface {
	Lines(since uint64) []metrics.LogLine
}

// Actions is what a person at the screen can do. Each runs on a goroutine of
// its own and may take its time; an error is told in the footer.
type Actions interface {
	Hold(provider string) error   // leave it out until Return
	Return(provider string) error // end a Hold
	// Probe sends one tiny request and tells how long the answer took.
	Probe(ctx context.Context, provider string) (time.Duration, error)
	Reset(provider string) error // forget breaker and measurements
	// Apply and Reject answer the metrics.Review of that ID, and fail when it is
	// no longer the one that waits.
	Apply(review string) error
	Reject(review string) error
	// Drain ends the program when running requests have ended, or at once. The
	// screen stays until the context of Run ends.
	Drain(now bool)
}

// Options of Run.
type Options struct {
	Source  Source  // required
	Logs    Logs    // nil = no log to show
	Actions Actions // nil = a screen that can only be left
	// ReadOnly leaves all actions out but the end of the program.
	ReadOnly bool
	// Folder is where exports are written; "" = the working directory.
	Folder string
	// In and Out are the terminal; nil means os.Stdin and os.Stdout. Where Out
	// is no terminal the size is 80x24.
	In  io.Reader
	Out io.Writer
	// Getenv is asked for NO_COLOR, TERM, COLORTERM, COLORFGBG, WT_SESSION and
	// the locale; nil means os.Getenv.
	Getenv func(string) string
	// ASCII draws with ASCII signs only. It is on by itself in a locale that is
	// not UTF-8 and on the Linux console.
	ASCII bool
	// NoMotion stills what moves without telling anything.
	NoMotion bool
	// Now is the clock of hints and of the time zone; nil means time.Now.
	Now func() time.Time
}

// PanicError is a panic inside the dashboard. The terminal is restored when Run
// returns it, and the rest of the program is unharmed.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("dashboard panicked: %v", e.Value) }

// CanShow reports whether in and out are a terminal that the dashboard can use.
// A dumb one cannot place the cursor.
func CanShow(in io.Reader, out io.Writer, getenv func(string) string) bool {
	i, ok := in.(*os.File)
	if !ok || !term.IsTerminal(i.Fd()) {
		return false
	}
	o, ok := out.(*os.File)
	return ok && term.IsTerminal(o.Fd()) && getenv("TERM") != "dumb"
}

// ErrTerminalGone means that the terminal hung up.
var ErrTerminalGone = errors.New("the terminal is gone")

// ErrDetached means that the person has left the dashboard and not the program.
var ErrDetached = errors.New("detached")

const (
	framesPerSecond = 20
	defaultWidth    = 80
	defaultHeight   = 24
	// farewell is how long Run waits for a terminal that takes no output
	// before it returns without it.
	farewell = 2 * time.Second
)

// Run shows the dashboard until the user quits, which is nil, or ctx ends,
// which is ctx's error, or ErrDetached where that is the cause. Other errors are ErrDetached, a *PanicError,
// ErrTerminalGone or a terminal that cannot be used; the caller can go on
// without a screen. The terminal is restored in every case.
func Run(ctx context.Context, o Options) error {
	o = o.withDefaults()
	m := newModel(o)
	m.resize(terminalSize(o.Out))
	g := &guard{model: m}
	defer restoreModes(o.In)()

	running, stop := context.WithCancel(ctx)
	defer stop()
	m.ctx = running
	out := newScreenWriter(o.Out)
	m.terminal = out
	p := tea.NewProgram(g,
		tea.WithInput(hangupReader(o.In)), tea.WithOutput(out.forProgram()),
		tea.WithAltScreen(), tea.WithReportFocus(), tea.WithFPS(framesPerSecond),
		tea.WithoutSignalHandler())
	ran := make(chan error, 1)
	go func() {
		_, err := p.Run()
		ran <- err
	}()
	err := await(ctx, p, ran)
	stop()
	switch {
	case errors.Is(err, errBlocked):
		return fmt.Errorf("close the dashboard: %w: %w", context.Cause(ctx), err)
	case m.panicked != nil:
		return m.panicked
	case err != nil:
		return fmt.Errorf("run the dashboard: %w", err)
	case m.detached && ctx.Err() == nil, errors.Is(context.Cause(ctx), ErrDetached):
		return ErrDetached
	}
	return ctx.Err()
}

var errBlocked = errors.New("the terminal takes no output")

// await returns what the program ended with. When ctx ends it asks the program
// to quit, which draws a last frame and restores the terminal.
func await(ctx context.Context, p *tea.Program, ran <-chan error) error {
	select {
	case err := <-ran:
		return err
	case <-ctx.Done():
	}
	// Quit blocks while the program's loop is inside a write.
	go p.Quit()
	late := time.NewTimer(farewell)
	defer late.Stop()
	select {
	case err := <-ran:
		return err
	case <-late.C:
		p.Kill() // frees the goroutine in Quit; the one in the write stays there
		return errBlocked
	}
}

func (o Options) withDefaults() Options {
	if o.In == nil {
		o.In = os.Stdin
	}
	if o.Out == nil {
		o.Out = os.Stdout
	}
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// guard keeps a panic of the model from reaching Bubble Tea, which would print
// it over the terminal that other parts of the program still write to.
type guard struct{ model *model }

func (g *guard) Init() (cmd tea.Cmd) {
	defer g.recover(&cmd)
	return g.model.Init()
}

func (g *guard) Update(msg tea.Msg) (next tea.Model, cmd tea.Cmd) {
	next = g
	defer g.recover(&cmd)
	return g, g.model.Update(msg)
}

// View returns text that Update made.
func (g *guard) View() string { return g.model.view }

func (g *guard) recover(cmd *tea.Cmd) {
	if v := recover(); v != nil {
		g.model.panicked = &PanicError{Value: v, Stack: debug.Stack()}
		*cmd = tea.Quit
	}
}

// hangupReader makes the end of a terminal's input an error: a read from a
// terminal that hung up returns EOF, after which Bubble Tea would go on
// painting for nobody.
func hangupReader(in io.Reader) io.Reader {
	if f, ok := in.(*os.File); ok && term.IsTerminal(f.Fd()) {
		return ttyReader{f}
	}
	return in
}

type ttyReader struct{ *os.File }

func (r ttyReader) Read(b []byte) (int, error) {
	n, err := r.File.Read(b)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrTerminalGone, hideEOF(err))
	}
	return n, err
}

// hideEOF keeps errors.Is(err, io.EOF) false, which Bubble Tea takes for an
// orderly end.
func hideEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("end of input")
	}
	return err
}

// restoreModes returns a func that sets the terminal's modes back to what they
// are now, also when Bubble Tea hangs in a write and cannot.
func restoreModes(in io.Reader) func() {
	f, ok := in.(*os.File)
	if !ok {
		return func() {}
	}
	state, err := term.GetState(f.Fd())
	if err != nil {
		return func() {}
	}
	return func() { _ = term.Restore(f.Fd(), state) }
}

// terminalSize returns 80x24 for what has no size.
func terminalSize(out io.Writer) (w, h int) {
	if f, ok := out.(*os.File); ok {
		if w, h, err := term.GetSize(f.Fd()); err == nil && w > 0 && h > 0 {
			return w, h
		}
	}
	return defaultWidth, defaultHeight
}
