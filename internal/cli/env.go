package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path"
	"slices"
	"strings"
)

// shells are those that env writes for.
var shells = []string{"bash", "zsh", "fish"}

func envCommand() command {
	return command{
		name: "env", about: "print the variables that Claude Code needs to use the proxy",
		usage: `anyproxy env prints the variables with which Claude Code uses the proxy, a
client key among them.

  eval "$(anyproxy env)"                  bash, zsh
  anyproxy env | source                   fish

Usage: anyproxy env [-config FILE] [-shell SHELL]

`,
		prepare: func(c *call, set *flag.FlagSet) func(context.Context) int {
			file := addConfigFlag(c, set)
			shell := set.String("shell", "", "write for `SHELL`: bash, zsh or fish (default $SHELL)")
			return func(ctx context.Context) int { return printEnv(ctx, c, file, *shell) }
		},
	}
}

func printEnv(ctx context.Context, c *call, file *configFlag, shell string) int {
	m := envCommand()
	if shell == "" {
		if shell = path.Base(c.getenv("SHELL")); shell != "fish" {
			shell = "bash" // and all others that know export
		}
	} else if !slices.Contains(shells, shell) {
		return c.misused(&m, fmt.Errorf("-shell %q is none of %s", shell, strings.Join(shells, ", ")))
	}
	doc, err := soundConfig(file.file(), c.getenv)
	if err != nil {
		return c.failed(err)
	}
	key, err := anyKey(ctx, doc.Config, c.getenv)
	if errors.Is(err, errNoKey) {
		err = hinted(err, "give apiKeys a key of its own, for example env.ANYPROXY_KEY")
	}
	if err != nil {
		return c.failed(err)
	}
	base, running := c.whereServed(ctx, doc, file.file())
	if !running {
		fmt.Fprintln(c.errw, "anyproxy: nothing serves yet at", base)
	}
	var text strings.Builder
	for _, v := range clientEnv(doc.Config, base, key, c.getenv) {
		if shell == "fish" {
			fmt.Fprintf(&text, "set -gx %s %s;\n", v.name, fishQuoted(v.value))
		} else {
			fmt.Fprintf(&text, "export %s=%s\n", v.name, shQuoted(v.value))
		}
	}
	return c.answered(text.String())
}

// shQuoted is a word of POSIX shells: between quotes nothing has a meaning.
func shQuoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// fishQuoted is a word of fish, where a backslash means something in quotes
// before a quote and itself.
func fishQuoted(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
