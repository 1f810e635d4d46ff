package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"anyproxy/internal/contain"
	"anyproxy/metrics"

	"github.com/charmbracelet/x/term"
	"github.com/muesli/cancelreader"
)

// prompt asks the person at the terminal about a review, one at a time.
type prompt struct {
	in     *os.File
	out    io.Writer
	logger *slog.Logger
}

// newPrompt returns nil where nobody could see the question or answer it.
func newPrompt(in io.Reader, errw *stderr, outs []io.Writer, logger *slog.Logger) *prompt {
	keyboard, ok := in.(*os.File)
	if !ok || !term.IsTerminal(keyboard.Fd()) {
		return nil
	}
	if screen := terminalOf(outs...); screen != nil {
		return &prompt{keyboard, errw.screen(screen), logger}
	}
	return nil
}

func (p *prompt) show(text string) { fmt.Fprint(p.out, text) }

const question = "apply? y yes, n no, d details: "

// readingTime is how long a question must stand before its answer counts: keys
// pressed before it was there are about something else.
const readingTime = 300 * time.Millisecond

// decision carries out what was answered about the review of that hash.
type decision func(ctx context.Context, hash string, apply bool) error

// stoppedTerminal is how long is waited for a terminal that takes nothing,
// since ctrl+s for instance, before what it was to show is left to itself.
const stoppedTerminal = 500 * time.Millisecond

// tell shows a text without waiting for the terminal. The returned func does.
func (p *prompt) tell(ctx context.Context, text string) (stop func()) {
	return apart(ctx, p.logger, func(context.Context) { p.show(text) })
}

// apart lets f run by itself, so that a stopped terminal, or what else hangs,
// stops nothing else. The returned func ends its ctx and waits for f, but not for
// that.
func apart(ctx context.Context, logger *slog.Logger, f func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer cancel()
		defer contain.Panic(logger, "task apart")
		f(ctx)
	}()
	return func() {
		cancel()
		select {
		case <-done:
		case <-time.After(stoppedTerminal):
		}
	}
}

// ask shows a review and hands the answer to decide, once. The question ends
// when that is done, when ctx ends, or when the returned func is called, which
// waits for it as apart's does.
func (p *prompt) ask(ctx context.Context, r *metrics.Review, decide decision) (stop func()) {
	return apart(ctx, p.logger, func(ctx context.Context) {
		ignoreBackgroundReads()
		keys, err := cancelreader.NewReader(p.in)
		if err == nil {
			defer keys.Close()
			defer context.AfterFunc(ctx, func() { keys.Cancel() })()
			err = p.converse(ctx, keys, r, decide)
		}
		if err != nil && ctx.Err() == nil {
			p.logger.Warn("the changed configuration waits, no answer was read", "error", err)
		}
	})
}

// converse asks until there is an answer that counts. Reading fails when ctx ends.
func (p *prompt) converse(ctx context.Context, keys io.Reader, r *metrics.Review, decide decision) error {
	p.show(reviewText(r) + question)
	asked := time.Now()
	lines := bufio.NewReader(keys)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			p.show("\n") // the question stays open
			return err
		}
		if time.Since(asked) < readingTime {
			p.show(question)
			continue
		}
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "y", "yes":
			return p.decided(decide(ctx, r.Hash, true))
		case "n", "no":
			return p.decided(decide(ctx, r.Hash, false))
		case "d", "details":
			p.show(detailsText(r) + question)
		default:
			p.show(question)
		}
		asked = time.Now()
	}
}

// decided tells of an answer that came too late.
func (p *prompt) decided(err error) error {
	if errors.Is(err, errSuperseded) {
		p.show(err.Error() + "\n")
		return nil
	}
	return err
}
