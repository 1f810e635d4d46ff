package credential

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"anyproxy/internal/redact"
)

const (
	commandTime = 10 * time.Second
	// commandGrace is how long the pipes of a command that has ended may stay
	// open: somebody that it started may have them.
	commandGrace = time.Second
	maxOutput    = 64 << 10
	maxComplaint = 4 << 10
)

// command is a secret that a program prints: a password manager, usually.
type command struct {
	argv []string
	ttl  time.Duration
}

func (c *command) limit() time.Duration { return commandTime }

// String names the program and none of its arguments: a secret may be among them.
func (c *command) String() string { return "cmd " + filepath.Base(c.argv[0]) }

// fetch runs the program without a shell. Its value is used for the ttl, and
// beyond it while the program fails. Whatever goes wrong, none of those that it
// has started stays; after a success those may that have left its pipes, as the
// agent of a password manager does.
func (c *command) fetch(ctx context.Context) (value string, life, fresh time.Duration, err error) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	out, complaint := &capped{most: maxOutput, full: end}, &capped{most: maxComplaint}
	cmd := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = out, complaint, commandGrace
	inGroup(cmd)
	err = cmd.Run()
	if err != nil && cmd.Process != nil {
		endGroup(cmd)
	}
	switch {
	case out.over:
		return "", 0, 0, errors.New("it printed more than 64 KiB")
	case errors.Is(err, exec.ErrNotFound):
		return "", 0, 0, errors.New("there is no such program in PATH")
	case err != nil && !errors.Is(err, exec.ErrWaitDelay): // which it has ended before, well
		return "", 0, 0, c.failure(err, out, complaint)
	}
	value, err = oneLine(out.text)
	return value, 0, c.ttl, err
}

// failure is the program's own complaint, where it made one. It may quote a
// secret that is not known yet: one that the program has printed.
func (c *command) failure(err error, out, complaint *capped) error {
	var exit *exec.ExitError
	var start *exec.Error
	switch {
	case errors.As(err, &exit):
		err = errors.New(exit.ProcessState.String())
	case errors.As(err, &start):
		err = start.Err
	}
	text := strings.Join(strings.Fields(strings.ToValidUTF8(string(complaint.text), "")), " ")
	if text == "" {
		return err
	}
	secrets := append(strings.Fields(string(out.text)), c.argv[1:]...)
	return fmt.Errorf("%w: %.300s", err, redact.New(secrets...).String(text))
}

// capped keeps the beginning of what is written.
type capped struct {
	text []byte
	most int
	over bool
	full func() // is called when there is more than that; may be nil
}

func (c *capped) Write(p []byte) (int, error) {
	room := c.most - len(c.text)
	c.over = c.over || len(p) > room
	c.text = append(c.text, p[:min(len(p), room)]...)
	if c.over && c.full != nil {
		c.full()
	}
	return len(p), nil
}
