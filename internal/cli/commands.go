package cli

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"
)

// call is one call of the program: what it was given.
type call struct {
	args   []string // without the names of the program and the command
	getenv func(string) string
	now    func() time.Time
	in     io.Reader
	out    io.Writer
	errw   *stderr
}

// command is a first word that means something else than to serve.
type command struct {
	name  string
	about string // in the list of commands
	usage string // what -help says before the flags
	// prepare declares the command's flags and returns what it does when they
	// have been read.
	prepare func(c *call, set *flag.FlagSet) func(ctx context.Context) int
	// takes says what may stand after the flags; "" is nothing.
	takes string
	// files is set when these are files. Flags may then stand behind them.
	files bool
}

// commands are in the order in which help lists them.
func commands() []command {
	return []command{runCommand(), initCommand(), validateCommand(), usageCommand(), replayCommand(), statusCommand(), envCommand(), completionCommand(), helpCommand()}
}

// findCommand returns the command of that name, nil for none.
func findCommand(name string) *command {
	for _, c := range commands() {
		if c.name == name {
			return &c
		}
	}
	return nil
}

// flagSet is the command's flags and what it does with them.
func (m *command) flagSet(c *call) (*flag.FlagSet, func(context.Context) int) {
	set := flag.NewFlagSet("anyproxy "+m.name, flag.ContinueOnError)
	set.SetOutput(io.Discard)
	return set, m.prepare(c, set)
}

// do reads the flags and runs the command.
func (m *command) do(ctx context.Context, c *call) int {
	set, run := m.flagSet(c)
	err := m.parse(set, c)
	if errors.Is(err, flag.ErrHelp) {
		m.writeHelp(c)
		return exitDone
	}
	if err == nil && m.takes == "" && set.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", set.Arg(0))
	}
	if err != nil {
		return c.misused(m, err)
	}
	return run(ctx)
}

// parse reads the flags. What is left of the call's arguments stands for none.
func (m *command) parse(set *flag.FlagSet, c *call) error {
	args, files := c.args, []string(nil)
	for {
		if err := set.Parse(args); err != nil {
			return err
		}
		rest := set.Args()
		ended := len(rest) < len(args) && args[len(args)-len(rest)-1] == "--"
		if !m.files || len(rest) == 0 || ended {
			c.args = append(files, rest...)
			return nil
		}
		files, args = append(files, rest[0]), rest[1:]
	}
}

// misused complains of a call that was wrong.
func (c *call) misused(m *command, err error) int {
	complain(c.errw, hinted(err, "anyproxy "+m.name+" -help tells how it is called"))
	return exitUsage
}

// answered prints what was asked for, all of it or the call has failed.
func (c *call) answered(text string) int {
	if _, err := io.WriteString(c.out, text); err != nil {
		return c.failed(err)
	}
	return exitDone
}

// failed complains of what went wrong.
func (c *call) failed(err error) int {
	complain(c.errw, err)
	return exitFailed
}

// configFlag is -config of a command: empty where the keys in the environment
// stand in for a file.
type configFlag struct {
	path   string
	given  bool
	getenv func(string) string
}

func addConfigFlag(c *call, set *flag.FlagSet) *configFlag {
	f := &configFlag{getenv: c.getenv}
	set.Func("config", "configuration `FILE` (env CONFIG_PATH; default config.yaml if it exists, else the keys in the environment)", func(v string) error {
		if v == "" {
			return errors.New("it is empty; name a file, or leave the flag out")
		}
		f.path, f.given = v, true
		return nil
	})
	return f
}

// file is the file to read, "" for none.
func (f *configFlag) file() string {
	if f.given {
		return f.path
	}
	return usualConfig(f.getenv)
}

// printJSON prints what -json asks for.
func printJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
