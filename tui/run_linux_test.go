package tui

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"anyproxy/internal/noprobe/ptytest"
	"anyproxy/metrics"

	"github.com/charmbracelet/x/ansi"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// terminal is one that shows a dashboard on a pseudo-terminal.
type terminal struct {
	t      *testing.T
	master *os.File
	slave  *os.File
	modes  unix.Termios
	done   chan error
	read   chan struct{} // closed when the terminal's output ended

	mu  sync.Mutex
	out bytes.Buffer
}

func start(t *testing.T, ctx context.Context, src Source) *terminal {
	t.Helper()
	return startWith(t, ctx, Options{Source: src, Logs: quietLog, Actions: &recorder{}})
}

func startWith(t *testing.T, ctx context.Context, o Options) *terminal {
	t.Helper()
	master, slave := ptytest.Open(t, 120, 36)
	s := &terminal{t: t, master: master, slave: slave, done: make(chan error, 1), read: make(chan struct{})}
	s.modes = s.termios()
	go s.drain()
	go func() {
		o.In, o.Out, o.Getenv = slave, slave, func(k string) string { return trueColorEnv[k] }
		s.done <- Run(ctx, o)
	}()
	t.Cleanup(func() {
		slave.Close()
		<-s.read
	})
	return s
}

func (s *terminal) termios() unix.Termios {
	modes, err := unix.IoctlGetTermios(int(s.slave.Fd()), unix.TCGETS)
	if err != nil {
		s.t.Fatal(err)
	}
	return *modes
}

func (s *terminal) drain() {
	defer close(s.read)
	buf := make([]byte, 32<<10)
	for {
		n, err := s.master.Read(buf)
		s.mu.Lock()
		s.out.Write(buf[:n])
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (s *terminal) output() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.String()
}

// wait returns when the terminal has been sent the text.
func (s *terminal) wait(text string) {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if strings.Contains(ansi.Strip(s.output()), text) {
			return
		}
	}
	out := ansi.Strip(s.output())
	s.t.Fatalf("never shows %q; the terminal's last output is %q", text, out[max(0, len(out)-2000):])
}

func (s *terminal) press(keys string) {
	s.t.Helper()
	if _, err := io.WriteString(s.master, keys); err != nil {
		s.t.Fatal(err)
	}
}

func (s *terminal) result() error {
	s.t.Helper()
	select {
	case err := <-s.done:
		return err
	case <-time.After(time.Minute):
		s.t.Fatal("Run does not return")
		return nil
	}
}

// restored holds that the terminal is as it was before.
func (s *terminal) restored() {
	s.t.Helper()
	if s.termios() != s.modes {
		s.t.Error("the terminal's modes are not restored")
	}
	s.slave.Close()
	<-s.read
	out := s.output()
	for _, seq := range []struct{ on, off string }{
		{"\x1b[?1049h", "\x1b[?1049l"}, // alternate screen
		{"\x1b[?25l", "\x1b[?25h"},     // cursor
		{"\x1b[?1004h", "\x1b[?1004l"}, // focus reports
		{"\x1b[?2004h", "\x1b[?2004l"}, // bracketed paste
	} {
		if strings.LastIndex(out, seq.off) < strings.LastIndex(out, seq.on) {
			s.t.Errorf("%q is not undone", seq.on)
		}
	}
}

func TestRunShowsAndQuits(t *testing.T) {
	s := start(t, context.Background(), steady(busyDay()))
	s.wait("301 tok/s")
	s.wait("zai 429 → anthropic")
	s.press("q")
	s.wait("7 running:")
	s.press("d")
	if err := s.result(); !errors.Is(err, ErrDetached) {
		t.Errorf("got %v, want ErrDetached", err)
	}
	s.restored()
	if asked := ptytest.Questions([]byte(s.output())); len(asked) > 0 {
		t.Errorf("the terminal was asked %q", asked)
	}
}

func TestRunFollowsTheTerminalsSize(t *testing.T) {
	s := start(t, context.Background(), steady(idle()))
	s.wait("Throughput")
	ptytest.Resize(t, s.master, 60, 12)
	_ = unix.Kill(os.Getpid(), unix.SIGWINCH) // the kernel tells only a controlling process
	s.wait("─ Requests ─")
	s.press("q")
	if err := s.result(); err != nil {
		t.Error(err)
	}
	s.restored()
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	s := start(t, ctx, steady(busyDay()))
	s.wait("301 tok/s")
	cancel()
	if err := s.result(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	s.restored()
}

func TestRunSurvivesAPanic(t *testing.T) {
	calls := 0
	s := start(t, context.Background(), fakeSource{func(since uint64) metrics.Snapshot {
		if calls++; calls > 2 {
			panic("a fault in the dashboard")
		}
		return steady(busyDay()).Snapshot(since)
	}})
	var p *PanicError
	if err := s.result(); !errors.As(err, &p) {
		t.Fatalf("got %v, want a PanicError", err)
	}
	if p.Value != "a fault in the dashboard" || !bytes.Contains(p.Stack, []byte("pull")) {
		t.Errorf("got %v with stack %s", p.Value, p.Stack)
	}
	s.restored()
	if strings.Contains(s.output(), "fault") {
		t.Error("the panic was printed over the terminal")
	}
}

// panicky is an Actions of which one panics.
type panicky struct{ *recorder }

func (panicky) Hold(string) error { panic("a fault in an action") }

func TestRunSurvivesAPanicInAnAction(t *testing.T) {
	s := startWith(t, context.Background(), Options{Source: steady(busyDay()), Actions: panicky{&recorder{}}})
	s.wait("301 tok/s")
	s.press("Hy")
	var p *PanicError
	if err := s.result(); !errors.As(err, &p) || !bytes.Contains(p.Stack, []byte("panicky")) {
		t.Fatalf("got %v, want a PanicError", err)
	}
	s.restored()
}

func TestRunCopiesToTheTerminalsClipboard(t *testing.T) {
	s := start(t, context.Background(), steady(busyDay()))
	s.wait("301 tok/s")
	s.press("3yi")
	s.wait("id copied")
	if !strings.Contains(s.output(), "\x1b]52;c;cmVxXzAwMDAwcjIw\a") {
		t.Error("the id is not sent to the clipboard")
	}
	s.press("\x1a")
	if err := s.result(); !errors.Is(err, ErrDetached) {
		t.Errorf("ctrl+z is %v", err)
	}
	s.restored()
}

func TestRunIsLeftFromOutside(t *testing.T) {
	ctx, leave := context.WithCancelCause(context.Background())
	s := start(t, ctx, steady(busyDay()))
	s.wait("301 tok/s")
	leave(ErrDetached)
	if err := s.result(); !errors.Is(err, ErrDetached) {
		t.Errorf("got %v, want ErrDetached", err)
	}
	s.restored()
}

// TestPanicLeavesBubbleTeaAModel: without one it would panic itself.
func TestPanicLeavesBubbleTeaAModel(t *testing.T) {
	g := &guard{model: &model{}} // has no source
	next, cmd := g.Update(tickMsg{})
	if next != g || !quits(cmd) || g.model.panicked == nil {
		t.Errorf("got model %v, quits %v, panic %v", next, quits(cmd), g.model.panicked)
	}
}

func TestRunPanicAtTheFirstLook(t *testing.T) {
	s := start(t, context.Background(), fakeSource{func(uint64) metrics.Snapshot { panic("at once") }})
	var p *PanicError
	if err := s.result(); !errors.As(err, &p) {
		t.Fatalf("got %v, want a PanicError", err)
	}
	s.restored()
}

func TestRunNoticesThatTheTerminalIsGone(t *testing.T) {
	s := start(t, context.Background(), steady(busyDay()))
	s.wait("301 tok/s")
	s.master.Close()
	if err := s.result(); !errors.Is(err, ErrTerminalGone) {
		t.Errorf("got %v, want ErrTerminalGone", err)
	}
}

// stuckWriter takes output until it is told to stop.
type stuckWriter struct {
	stop, release chan struct{}
	reached       chan struct{}
	once          sync.Once
}

func (w *stuckWriter) Write(b []byte) (int, error) {
	select {
	case <-w.stop:
		w.once.Do(func() { close(w.reached) })
		<-w.release
	default:
	}
	return len(b), nil
}

func TestRunLeavesATerminalThatTakesNoOutput(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	in, keys := io.Pipe()
	out := &stuckWriter{stop: make(chan struct{}), release: make(chan struct{}), reached: make(chan struct{})}
	done := make(chan error, 1)
	s := busyDay()
	go func() {
		done <- Run(ctx, Options{Source: fakeSource{func(since uint64) metrics.Snapshot {
			s := steady(s).Snapshot(since)
			s.At = time.Now()
			return s
		}}, In: in, Out: out, Getenv: func(k string) string { return trueColorEnv[k] }})
	}()
	close(out.stop)
	<-out.reached
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the context's error", err)
		}
	case <-time.After(time.Minute):
		t.Error("Run waits for the terminal")
	}
	close(out.release)
	keys.Close()
}

func TestRunOnPipes(t *testing.T) {
	in, keys := io.Pipe()
	defer keys.Close()
	var out bytes.Buffer
	done := make(chan error, 1)
	go func() {
		done <- Run(context.Background(), Options{Source: steady(idle()), In: in, Out: &out, Getenv: func(string) string { return "" }})
	}()
	if _, err := keys.Write([]byte("q")); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
