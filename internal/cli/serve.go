package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"anyproxy/internal/contain"
	"anyproxy/tui"
)

// pulseEvery is less than the timers that every request sets: those of the
// server, and the watch over its upstream. One that is due before all others
// makes the runtime wake the thread that waits for the network, for it to wait
// less long: two system calls and a task switch for each request. With a timer
// of the program's own that is due sooner, no request's is.
const pulseEvery = time.Second

// serve runs the proxy until a signal comes, ctx ends or the dashboard is left.
func serve(ctx context.Context, f flags, getenv func(string) string, in io.Reader, out io.Writer, errw *stderr) error {
	return serveBy(ctx, time.Now, f, getenv, in, out, errw)
}

// serveFor serves as long as use runs, which is told when the address is taken.
func serveFor(ctx context.Context, f flags, getenv func(string) string, in io.Reader, out io.Writer, errw *stderr, use func(context.Context, *program) error) error {
	signals := make(chan os.Signal, 2) // whoever uses it gets them
	p, end := newProgram(time.Now, f, getenv, out, errw)
	defer end()
	p.plain = true // nobody but this machine reads along, and no certificate is for its address
	if err := p.prepare(ctx, signals); err != nil || p.proxy == nil {
		return err
	}
	serving, stop := context.WithCancel(ctx)
	defer stop()
	served := make(chan error, 1)
	go func() {
		defer stop() // without its proxy a client is of no use
		var err error
		defer func() { served <- err }()
		defer contain.Error(p.logger, "proxy", &err)
		err = p.run(serving, signals, in)
	}()
	err := use(serving, p)
	stop()
	return errors.Join(err, <-served)
}

// serveBy is serve with the clock by which answers are measured and upstreams
// are chosen.
func serveBy(ctx context.Context, now func() time.Time, f flags, getenv func(string) string, in io.Reader, out io.Writer, errw *stderr) error {
	signals := make(chan os.Signal, 2)
	terminal := hasTerminal()
	signal.Notify(signals, signalsOf(terminal)...)
	signal.Ignore(syscall.SIGPIPE) // whoever reads the log may end before the requests do
	defer signal.Stop(signals)

	if f.tui && !tui.CanShow(in, out, getenv) {
		f.tui = false
		fmt.Fprintln(errw, "anyproxy: this is no terminal that can show the dashboard; serving without it")
	}
	p, end := newProgram(now, f, getenv, out, errw)
	defer end()
	p.terminal = terminal
	if err := p.prepare(ctx, signals); err != nil || p.proxy == nil {
		return err
	}
	p.greet()
	return p.run(ctx, signals, in)
}

// run serves until something ends it, then drains.
func (p *program) run(ctx context.Context, signals chan os.Signal, in io.Reader) error {
	base, interrupt := context.WithCancelCause(context.Background())
	defer interrupt(nil)
	server := newServer(p.proxy)
	server.HTTP.BaseContext = func(net.Listener) context.Context { return base }
	server.HTTP.ErrorLog = slog.NewLogLogger(p.logger.Handler(), slog.LevelDebug) // broken clients, mostly
	server.Panicked = func(v any) { contain.Told(p.logger, "panic in the server", v) }
	failed := make(chan error, len(p.listen))
	for _, l := range p.listen {
		go func() {
			var err error
			defer func() { failed <- err }()
			defer contain.Error(p.logger, "listener", &err)
			err = server.Serve(l)
		}()
	}

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var parts sync.WaitGroup
	key, c := p.built.firstKey, p.doc.Config
	parts.Go(func() { p.world.live(ctx, "http://"+p.listen[0].Addr().String(), key, c, p.logger) })
	parts.Go(func() {
		defer contain.Panic(p.logger, "alerts")
		p.alerts.Run(ctx)
	})
	reload := newReloader(p, in)
	parts.Go(func() {
		defer contain.Panic(p.logger, "reload")
		reload.run(ctx)
	})
	unfollow := apart(ctx, p.logger, p.keys.run)                   // a file system that hangs must not keep the program from ending
	saving, stopSaving := context.WithCancel(context.Background()) // to the end of the drain
	saved := make(chan struct{})
	go func() {
		defer close(saved)
		p.saved.run(saving)
	}()
	// The screen stays to the end of the drain.
	watched, unwatch := context.WithCancel(context.Background())
	defer unwatch()
	screen := p.startScreen(watched, in, operator{p.proxy, reload, signals})
	defer func() {
		if v := recover(); v != nil { // the terminal is given back before anything is written to it
			_ = server.Close()
			unwatch()
			p.leaveScreen(screen)
			panic(v)
		}
	}()

	served := 0
	err := p.wait(ctx, reload, signals, screen, failed, &served)
	stop()
	parts.Wait()
	unfollow()
	p.drain(server, interrupt, signals)
	stopSaving()
	<-saved
	unwatch()
	p.leaveScreen(screen)
	p.announce(p.late)
	if p.world == nil { // how a simulation ends is nobody's news
		p.logTo.Set(p.errw.raw)
	}
	for ; served < len(p.listen); served++ {
		<-failed
	}
	if p.log != nil {
		closing, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err = errors.Join(err, p.log.Close(closing))
	}
	return err
}

// wait returns when the program is to end: nil when somebody wants it to.
func (p *program) wait(ctx context.Context, reload *reloader, signals <-chan os.Signal, screen <-chan error, failed <-chan error, served *int) error {
	pulse := time.NewTicker(pulseEvery)
	defer pulse.Stop()
	for {
		select {
		case <-pulse.C:
		case <-ctx.Done():
			return nil
		case sig := <-signals:
			if sig == syscall.SIGHUP && !p.terminal {
				reload.hangUp()
				continue
			}
			p.logger.Info("signal received, draining", "signal", sig.String())
			return nil
		case err := <-screen:
			p.logTo.Set(p.errw.raw)
			if err == nil {
				return nil // the person has quit
			}
			p.logger.Error("the dashboard has failed, serving goes on without it", "error", err)
			if fault, ok := errors.AsType[*tui.PanicError](err); ok {
				p.logger.Error("where it failed", "stack", string(fault.Stack))
			}
			p.flags.tui, screen = false, nil
			reload.screenFailed()
		case err := <-failed:
			*served++
			return fmt.Errorf("serve: %w", err)
		}
	}
}
