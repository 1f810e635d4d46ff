package cli

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// helpWidth is that of the narrowest terminal that help is written for, in cells.
const helpWidth = 80

const usage = `anyproxy stands between Claude Code and several LLM providers.

  anyproxy run -- claude   run Claude Code through it
  anyproxy -tui            serve, with the dashboard
  anyproxy -tui -demo      see it with simulated providers; needs no key
  anyproxy init            write a configuration

Usage: anyproxy [flags]
       anyproxy COMMAND [flags]

Commands:

%s
"anyproxy help COMMAND" tells more of one. Flags of the proxy:

`

func helpCommand() command {
	return command{
		name: "help", about: "tell what a command does and how it is called", takes: "[COMMAND]",
		usage: `anyproxy help tells what a command does and how it is called, as
"anyproxy COMMAND -h" does.

  anyproxy help                           all commands, and the proxy's flags
  anyproxy help run                       one of them

Usage: anyproxy help [COMMAND]

`,
		prepare: func(c *call, _ *flag.FlagSet) func(context.Context) int {
			return func(context.Context) int {
				self := helpCommand()
				switch {
				case len(c.args) == 0:
					writeHelp(c.out)
				case len(c.args) > 1:
					return c.misused(&self, fmt.Errorf("unexpected argument %q", c.args[1]))
				default:
					m := findCommand(c.args[0])
					if m == nil {
						complain(c.errw, hinted(fmt.Errorf("there is no command %q", c.args[0]), "anyproxy help lists the commands"))
						return exitUsage
					}
					m.writeHelp(c)
				}
				return exitDone
			}
		},
	}
}

// writeHelp tells what the program is, with all commands and the proxy's flags.
func writeHelp(out io.Writer) {
	var list strings.Builder
	for _, m := range commands() {
		fmt.Fprintf(&list, "  %-11s %s\n", m.name, m.about)
	}
	fmt.Fprintf(out, usage, list.String())
	var f flags
	writeFlags(out, f.set())
	fmt.Fprint(out, `
LOG_LEVEL=DEBUG|INFO|WARN|ERROR and LOG_FORMAT=text|json say what is logged on
standard error. docs/commands.md has all flags, variables and exit codes.
`)
}

// writeHelp tells what the command does and how it is called.
func (m *command) writeHelp(c *call) {
	fmt.Fprint(c.out, m.usage)
	set, _ := m.flagSet(c)
	writeFlags(c.out, set)
}

func commandNames() (names []string) {
	for _, m := range commands() {
		names = append(names, m.name)
	}
	return names
}

// writeFlags is a line or a paragraph for each flag.
func writeFlags(out io.Writer, set *flag.FlagSet) {
	column := 0
	heads, texts := []string{}, []string{}
	set.VisitAll(func(f *flag.Flag) {
		value, text := flag.UnquoteUsage(f)
		head := strings.TrimSpace("-" + f.Name + " " + value)
		switch f.DefValue {
		case "", "0", "0s", "false":
		default:
			text += " (default " + f.DefValue + ")"
		}
		heads, texts = append(heads, head), append(texts, text)
		column = max(column, len(head)+4)
	})
	for i, head := range heads {
		lines := strings.Split(ansi.Wordwrap(texts[i], helpWidth-column, ""), "\n")
		for n, line := range lines {
			if n > 0 {
				head = ""
			}
			fmt.Fprintf(out, "  %-*s%s\n", column-2, head, strings.TrimSpace(line))
		}
	}
}
