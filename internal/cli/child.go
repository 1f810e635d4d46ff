package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// What a shell answers for a command that is not there or is no program.
const (
	exitNotFound  = 127
	exitNoProgram = 126
)

// childLogName is the log of the proxies that live as long as their child, and
// childLogSize where it begins anew, in bytes.
const (
	childLogName = "run.log"
	childLogSize = 1 << 20
)

var errNoKey = errors.New("no client key is known that may ask for every model: one that is made at the proxy's start, or is limited to models, cannot be used")

func runCommand() command {
	return command{
		name: "run", about: "run a program through the proxy", takes: "[flags] -- COMMAND",
		usage: `anyproxy run runs a program, such as Claude Code, with its requests going
through anyproxy: one that serves the same configuration already, or one of its
own that ends with the program.

  anyproxy run -- claude                  Claude Code
  anyproxy run -- claude -p "say hi"      with arguments of its own
  anyproxy run -demo -- claude            through simulated providers

Usage: anyproxy run [flags] -- COMMAND [ARGUMENT]...

The exit code is the program's; 127 when there is no such program.

`,
		prepare: func(c *call, set *flag.FlagSet) func(context.Context) int {
			r := &childRun{call: c, config: addConfigFlag(c, set)}
			set.StringVar(&r.logFile, "log-file", "", "write the request log, JSON Lines, of a proxy of its own to `FILE`")
			set.BoolVar(&r.own, "own", false, "use a proxy of its own, also when one serves already")
			set.BoolVar(&r.demo, "demo", false, "through simulated providers; needs no key")
			return r.run
		},
	}
}

// childRun is one `anyproxy run`.
type childRun struct {
	*call
	config    *configFlag
	logFile   string
	own, demo bool
}

// run runs the program and returns its exit code.
func (r *childRun) run(ctx context.Context) int {
	m := findCommand("run")
	if len(r.args) == 0 {
		return r.misused(m, errors.New("no program is named"))
	}
	path, err := exec.LookPath(r.args[0])
	if err != nil {
		complain(r.errw, hinted(fmt.Errorf("cannot run %s: %w", r.args[0], errors.Unwrap(err)), "name a program that is installed, for example: anyproxy run -- claude"))
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
			return exitNotFound
		}
		return exitNoProgram
	}
	f := flags{config: r.config.file(), logFile: r.logFile, demo: r.demo, listen: "127.0.0.1:0", listenFrom: "run"}
	if r.demo && !r.config.given {
		f.config = ""
	}
	if !r.own && !r.demo && r.logFile == "" {
		if vars, ok := r.running(ctx, f); ok {
			return r.child(ctx, path, vars)
		}
	}
	return r.ownProxy(ctx, path, f)
}

// running are the variables to use a proxy that serves the configuration already.
func (r *childRun) running(ctx context.Context, f flags) (vars []variable, ok bool) {
	doc, err := loadConfig(f, r.getenv)
	if err != nil || len(doc.Problems) > 0 {
		return nil, false // what is wrong is told when a proxy of its own is started
	}
	folder, err := stateFolder(doc.Config.State.Path, r.getenv)
	if err != nil {
		return nil, false
	}
	p, ok := findRunning(ctx, folder, configID(f.config))
	if !ok {
		return nil, false
	}
	key, err := anyKey(ctx, doc.Config, r.getenv)
	if err != nil {
		return nil, false
	}
	return clientEnv(doc.Config, p.URL, key, r.getenv), true
}

// ownProxy runs the program beside a proxy of its own.
func (r *childRun) ownProxy(ctx context.Context, path string, f flags) int {
	log := &laterFile{}
	defer log.Close()
	code := exitFailed
	err := serveFor(ctx, f, quieter(r.getenv), r.in, r.out, r.errw, func(ctx context.Context, p *program) error {
		log.open(p.folder)
		p.logTo.Set(log)
		code = r.child(ctx, path, clientEnv(p.doc.Config, localURL(p.scheme(), p.listen[0].Addr()), p.built.firstKey, r.getenv))
		p.logTo.Set(r.errw.raw)
		r.sayWhatHappened(p, log.path)
		return nil
	})
	if err != nil {
		return r.failed(err)
	}
	return code
}

// sayWhatHappened tells, once the terminal is free again, what the program may
// have noticed. All that went well is nobody's news.
func (r *childRun) sayWhatHappened(p *program, log string) {
	s := p.rec.Snapshot(^uint64(0))
	if p.world != nil || s.Failed == 0 && s.Saved == 0 {
		return
	}
	text := fmt.Sprintf("anyproxy: %s answered, %d of them after a fallback, %d failed", count(int(s.OK), "request"), s.Saved, s.Failed)
	if log != "" {
		text += "; " + log + " tells why"
	}
	fmt.Fprintln(r.errw, text)
}

// quieter raises the level of the log that nobody watches.
func quieter(getenv func(string) string) func(string) string {
	return func(name string) string {
		if v := getenv(name); name != "LOG_LEVEL" || v != "" {
			return v
		}
		return "WARN"
	}
}

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
