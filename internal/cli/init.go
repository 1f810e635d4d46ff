package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"

	"anyproxy/internal/logging"
)

func initCommand() command {
	return command{
		name: "init", about: "write a configuration from the keys in the environment",
		usage: `anyproxy init looks for keys in the environment, asks which of them to use, and
writes a configuration with a comment on everything. Keys stay where they are:
the file names their variables.

  anyproxy init                           ask, then write config.yaml
  anyproxy init -yes                      take the usual answers
  anyproxy init -config work.yaml         write another file

A file that exists is replaced only when you say so. The usual answers never
send what is meant for Claude to somebody else.

Usage: anyproxy init [-config FILE] [-yes]

Exit codes: 0 written, 1 not written, 2 called wrongly.

`,
		prepare: func(c *call, set *flag.FlagSet) func(context.Context) int {
			file := addConfigFlag(c, set)
			set.Lookup("config").Usage = "`FILE` to write (env CONFIG_PATH; default config.yaml)"
			yes := set.Bool("yes", false, "ask nothing: take the usual answers, replace no file")
			return func(ctx context.Context) int { return initConfig(ctx, c, file.file(), *yes) }
		},
	}
}

// errNotAsked is that of questions without a terminal.
var errNotAsked = errors.New("there is no terminal to ask on")

func initConfig(ctx context.Context, c *call, path string, yes bool) int {
	if path == "" {
		path = defaultConfig
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	talk := &interview{}
	if !yes {
		var end func()
		if talk, end = newInterview(ctx, c); talk == nil {
			m := initCommand()
			complain(c.errw, hinted(errNotAsked, "anyproxy "+m.name+" -yes takes the usual answers"))
			return exitUsage
		}
		defer end()
	}
	err := writeConfig(talk, path, c.getenv)
	switch {
	case errors.Is(err, fs.ErrExist):
		err = hinted(fmt.Errorf("%s exists and stays as it is", path), "move it away, or write another one with -config FILE")
	case errors.Is(err, errInputEnded):
		err = errors.New("no answer, so nothing is written")
	}
	if err != nil {
		return c.failed(err)
	}
	fmt.Fprint(logging.Clean(c.out), afterInit(path, c.getenv("CONFIG_PATH")))
	return exitDone
}

// writeConfig asks, and writes what was answered when all of it is known.
func writeConfig(talk *interview, path string, getenv func(string) string) error {
	path, exists, err := place(path)
	if err != nil {
		return err
	}
	if exists {
		replace, err := talk.yes(path+" exists. Replace it?", false)
		if err != nil {
			return err
		}
		if !replace {
			return fs.ErrExist
		}
	}
	d, err := agree(talk, getenv)
	if err != nil {
		return err
	}
	text := d.text()
	doc, err := parseText(path, text, getenv)
	if err == nil {
		err = explain(doc, "correct or unset the variables that are named")
	}
	if err != nil {
		return fmt.Errorf("nothing is written: %w", err)
	}
	if exists {
		return replaceFile(path, []byte(text))
	}
	return createFile(path, text)
}

// place is where a file really is, behind links, and whether there is one.
func place(path string) (real string, exists bool, err error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return path, false, nil
	}
	if err == nil && info.Mode()&fs.ModeSymlink != 0 {
		link := path
		if path, err = filepath.EvalSymlinks(link); err == nil {
			info, err = os.Stat(path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return "", false, hinted(fmt.Errorf("%s is a symbolic link that leads nowhere: %w", link, err), "remove it, or write another file with -config FILE")
		}
	}
	if err != nil {
		return "", false, err
	}
	if !info.Mode().IsRegular() {
		return "", false, hinted(fmt.Errorf("%s is no regular file", path), "name a file with -config FILE")
	}
	return path, true, nil
}

// createFile writes a file that must not be there, and leaves none that is not whole.
func createFile(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		_ = os.Remove(path) // what could not be written is of no use
	}
	return err
}

// afterInit says what to do with the file. usual is what is read without a flag,
// "" for config.yaml.
func afterInit(path, usual string) string {
	flag, note := " -config "+shellWord(path), ""
	switch {
	case path == usual:
		flag = ""
	case path == defaultConfig && usual == "":
		flag, note = "", "\nanyproxy reads it when it starts in this folder. Elsewhere say -config FILE, or\nset CONFIG_PATH.\n"
	}
	return fmt.Sprintf(`%[1]s is written. Next:

  Claude Code through it         anyproxy run%[2]s -- claude
  or the proxy, with dashboard   anyproxy -tui%[2]s
    and a claude beside it       eval "$(anyproxy env%[2]s)" && claude
  after a change of the file     anyproxy validate%[2]s
`, path, flag) + note
}

// shellWord is s as a person would type it.
func shellWord(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return shQuoted(s)
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./][A-Za-z0-9_./-]*$`)
