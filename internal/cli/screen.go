package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"anyproxy/internal/contain"
	"anyproxy/proxy"
	"anyproxy/tui"

	"github.com/muesli/cancelreader"
)

// startScreen shows the dashboard, or tells as lines what happens, where the
// flags ask for it. The channel gets how that ended and is then closed, so that
// whoever looks later does not wait; without a screen it gets nothing.
func (p *program) startScreen(ctx context.Context, in io.Reader, do tui.Actions) <-chan error {
	screen := make(chan error, 1)
	show := p.runScreen
	switch {
	case p.flags.plain:
		show = p.plainScreen
	case !p.flags.tui:
		return screen
	}
	go func() {
		defer close(screen)
		var err error
		defer func() { screen <- err }()
		defer contain.Error(p.logger, "dashboard", &err)
		err = show(ctx, in, do)
	}()
	return screen
}

// plainScreen tells as lines what happens; the log would tell it again.
func (p *program) plainScreen(ctx context.Context, in io.Reader, do tui.Actions) error {
	p.logTo.Set(io.Discard)
	return tui.Plain(ctx, p.screenOptions(in, do))
}

// leaveScreen waits for the screen to end, but not for long: a blocked terminal
// must not keep the proxy from ending.
func (p *program) leaveScreen(screen <-chan error) {
	if !p.flags.tui && !p.flags.plain {
		return
	}
	select {
	case <-screen:
	case <-time.After(2 * time.Second):
	}
}

// runScreen shows the dashboard until the person quits, which is nil, or it
// fails. Who detaches gets the log instead, and the dashboard back with Enter.
func (p *program) runScreen(ctx context.Context, in io.Reader, do tui.Actions) error {
	for {
		err := p.dashboard(ctx, in, do)
		if !errors.Is(err, tui.ErrDetached) {
			return err
		}
		p.logTo.Set(p.errw.raw)
		fmt.Fprintln(p.out, "anyproxy serves on. Enter brings the dashboard back, ctrl+c ends anyproxy.")
		if err := waitForEnter(ctx, in); err != nil {
			return err
		}
	}
}

// dashboard shows the screen while it lasts. Nothing else may write to the
// terminal meanwhile.
func (p *program) dashboard(ctx context.Context, in io.Reader, do tui.Actions) error {
	p.logTo.Set(io.Discard)
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	// A stop from outside would stop the proxy with the screen.
	defer onSuspend(func() { leave(tui.ErrDetached) })()
	return tui.Run(ctx, p.screenOptions(in, do))
}

func (p *program) screenOptions(in io.Reader, do tui.Actions) tui.Options {
	return tui.Options{Source: p.proxy, Logs: p.ring, Actions: do, ReadOnly: p.flags.readOnly, In: in, Out: p.out, Getenv: p.getenv,
		ASCII: p.flags.ascii, NoMotion: p.flags.noMotion, Now: time.Now}
}

// waitForEnter returns nil when a line has been typed. A job in the background
// must not read from the terminal: that is an error then, and not a stop of the
// whole process.
func waitForEnter(ctx context.Context, in io.Reader) error {
	keyboard, ok := in.(*os.File)
	if !ok {
		return errors.New("there is no keyboard to bring the dashboard back")
	}
	ignoreBackgroundReads()
	keys, err := cancelreader.NewReader(keyboard)
	if err != nil {
		return fmt.Errorf("wait for the dashboard to be called back: %w", err)
	}
	defer keys.Close()
	defer context.AfterFunc(ctx, func() { keys.Cancel() })()
	if _, err = bufio.NewReader(keys).ReadString('\n'); err != nil {
		return fmt.Errorf("wait for the dashboard to be called back: %w", err)
	}
	return nil
}

// asked is a signal that the person at the dashboard gives.
type asked string

func (a asked) Signal()        {}
func (a asked) String() string { return string(a) }

// operator does what the person at the dashboard asks for.
type operator struct {
	proxy   *proxy.Server
	reload  *reloader
	signals chan<- os.Signal
}

func (o operator) Hold(provider string) error   { return o.proxy.Hold(provider) }
func (o operator) Return(provider string) error { return o.proxy.Return(provider) }
func (o operator) Reset(provider string) error  { return o.proxy.Reset(provider) }

func (o operator) Probe(ctx context.Context, provider string) (time.Duration, error) {
	return o.proxy.Probe(ctx, provider)
}

func (o operator) Apply(review string) error  { return o.reload.Apply(review) }
func (o operator) Reject(review string) error { return o.reload.Reject(review) }

// Drain asks as a signal does: one lets running requests end, a second ends
// them at once.
func (o operator) Drain(now bool) {
	n := 1
	if now {
		n = 2
	}
	for range n {
		select {
		case o.signals <- asked("quit at the dashboard"):
		default: // as many wait as can change anything
		}
	}
}
