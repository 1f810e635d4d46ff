package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os/exec"
)

// What a shell answers for a command that is not there or is no program.
const (
	exitNotFound  = 127
	exitNoProgram = 126
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
