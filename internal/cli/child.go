package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// childLogName is the log of the proxies that live as long as their child, and
// childLogSize where it begins anew, in bytes.
const (
	childLogName = "run.log"
	childLogSize = 1 << 20
)

// child runs the program with the variables, hands on the signals that are
// meant for it, and returns its exit code.
func (r *childRun) child(ctx context.Context, path string, vars []variable) int {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, slices.Concat(handedOn, shared)...) // not ignored: the child would inherit that
	defer signal.Stop(signals)

	cmd := exec.CommandContext(ctx, path, r.args[1:]...)
	cmd.Args[0] = r.args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = r.in, r.out, r.errw.raw
	cmd.Env = childEnv(os.Environ(), vars)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		complain(r.errw, fmt.Errorf("cannot run %s: %w", r.args[0], err))
		return exitNoProgram
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // its state tells how it ended
	}()
	for {
		select {
		case sig := <-signals:
			if slices.Contains(handedOn, sig) {
				_ = cmd.Process.Signal(sig) // it may have ended
			}
		case <-ended:
			return codeOf(cmd.ProcessState)
		}
	}
}

// childEnv puts the variables in the place of those of the same name. Where a
// token is given a key beside it would only be a conflict.
func childEnv(env []string, vars []variable) []string {
	gone := map[string]bool{}
	for _, v := range vars {
		gone[v.name] = true
		if v.name == "ANTHROPIC_AUTH_TOKEN" {
			gone["ANTHROPIC_API_KEY"] = true
		}
	}
	env = slices.DeleteFunc(slices.Clone(env), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return gone[name]
	})
	for _, v := range vars {
		env = append(env, v.name+"="+v.value)
	}
	return env
}

// laterFile is a log that is opened when it is known where; what comes before
// is dropped.
type laterFile struct {
	path string
	file *os.File
}

// open appends to the log in folder, "" for none. A log that cannot be had is
// no reason not to run.
func (l *laterFile) open(folder string) {
	if folder == "" {
		return
	}
	path := filepath.Join(folder, childLogName)
	if info, err := os.Lstat(path); err == nil && (!info.Mode().IsRegular() || info.Size() > childLogSize) {
		_ = os.Remove(path) // what cannot be removed cannot be opened either, below
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return
	}
	if file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err == nil {
		l.path, l.file = path, file
	}
}

func (l *laterFile) Write(p []byte) (int, error) {
	if l.file == nil {
		return len(p), nil
	}
	return l.file.Write(p)
}

func (l *laterFile) Close() {
	if l.file != nil {
		_ = l.file.Close() // nobody could do anything about it
	}
}
