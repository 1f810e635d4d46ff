package cli

import (
	"flag"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
)

// TestHelpFitsATerminal reads the help of everything: on standard output, in 80
// columns, with each flag and the same by each way to ask.
func TestHelpFitsATerminal(t *testing.T) {
	for _, name := range append([]string{""}, commandNames()...) {
		var text string
		for i, args := range [][]string{{name, "-h"}, {name, "-help"}, {name, "--help"}, {"help", name}} {
			code, out, errw := run(t, nil, strings.Fields(strings.Join(args, " "))...)
			if code != exitDone || errw != "" {
				t.Fatalf("%q: exit code %d, %s", args, code, errw)
			}
			if i == 0 {
				text = out
			} else if out != text {
				t.Errorf("%q says something else than %s -h", args, name)
			}
		}
		for line := range strings.Lines(text) {
			if line = strings.TrimSuffix(line, "\n"); ansi.StringWidth(line) > helpWidth || line != strings.TrimRight(line, " ") {
				t.Errorf("%s -h: %d cells, or blanks at its end: %q", name, ansi.StringWidth(line), line)
			}
		}
		for _, flag := range flagsOf(name, "\n  -") {
			if !strings.Contains(text, flag) {
				t.Errorf("%s -h: nothing of %s", name, flag)
			}
		}
		if name == "" {
			for _, command := range commandNames() {
				if !strings.Contains(text, "\n  "+command+" ") {
					t.Errorf("-h: nothing of %s", command)
				}
			}
		}
		if !strings.Contains(text, "\n  anyproxy "+name) && !strings.Contains(text, "(anyproxy "+name) {
			t.Errorf("%s -h has no example", name)
		}
		if !strings.Contains(text, "Usage: anyproxy "+name) {
			t.Errorf("%s -h does not say how it is called", name)
		}
	}
}

func TestFlagsInHelp(t *testing.T) {
	set := flag.NewFlagSet("", flag.ContinueOnError)
	set.Bool("a", false, "on or off")
	set.Bool("b", true, "off or on")
	set.Int("count", 7, "how `MANY`")
	set.Duration("d", 0, "how long")
	set.String("file", "", strings.Repeat("words ", 20))
	var b strings.Builder
	writeFlags(&b, set)
	const want = `  -a            on or off
  -b            off or on (default true)
  -count MANY   how MANY (default 7)
  -d duration   how long
  -file string  words words words words words words words words words words
                words words words words words words words words words words
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}
