package cli

import (
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/charmbracelet/x/ansi"

	"anyproxy/internal/noprobe/ptytest"
)

// TestZshCompletes types into a zsh on a terminal: its completion works nowhere else.
func TestZshCompletes(t *testing.T) {
	zsh, err := exec.LookPath("zsh")
	if err != nil {
		t.Skip("NOT TESTED: completion, because there is no zsh")
	}
	dir, path := completionFolder(t), theProgramIn(t)
	master, slave := ptytest.Open(t, 200, 50)
	cmd := exec.Command(zsh, "-f", "-i")
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + path, "HOME=" + dir, "TERM=dumb", "PS1=% "}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	who := &typist{t: t, master: master, screen: &safeBuffer{}}
	var copied sync.WaitGroup
	copied.Go(func() { _, _ = io.Copy(who.screen, master) })
	defer func() {
		_ = cmd.Process.Kill() // its state is of no interest
		_ = cmd.Wait()
		copied.Wait()
	}()
	press := func(keys string) {
		t.Helper()
		if _, err := io.WriteString(master, keys); err != nil {
			t.Fatal(err)
		}
	}

	// What a tab makes of the line goes through a widget that prints it.
	who.types(`autoload -U compinit && compinit -u -D; source <(anyproxy completion zsh); unsetopt beep; setopt no_auto_menu; zstyle ':completion:*' list-colors; echo rea''dy`)
	who.reads("ready\r\n")
	who.types(`show-line() { print -r -- "<$BUFFER>" }; zle -N show-line; bindkey '^O' show-line; LISTMAX=1000; echo bou''nd`)
	who.reads("bound\r\n")
	for typed, want := range map[string]string{
		"anyproxy va":                         "anyproxy validate ",
		"anyproxy -log":                       "anyproxy -log-file ",
		"anyproxy run -ow":                    "anyproxy run -own ",
		"anyproxy completion z":               "anyproxy completion zsh ",
		"anyproxy help sta":                   "anyproxy help status ",
		"anyproxy env -shell f":               "anyproxy env -shell fish ",
		"anyproxy usage -by se":               "anyproxy usage -by session ",
		"anyproxy status -config my":          `anyproxy status -config my\ config.yaml `,
		"anyproxy run -- printen":             "anyproxy run -- printenv ",
		"anyproxy run -- cat my":              `anyproxy run -- cat my\ config.yaml `,
		"anyproxy validate -dump-provider an": "anyproxy validate -dump-provider anthropic ",
		`anyproxy validate -config my\ config.yaml -dump-provider be`: `anyproxy validate -config my\ config.yaml -dump-provider beta-2 `,
		"anyproxy usage -days ":                 "anyproxy usage -days ",
		"anyproxy -config my\\ config.yaml -no": `anyproxy -config my\ config.yaml -no-motion `,
	} {
		press(typed + "\t\x0f")
		shown := who.reads(">\r\n")
		got := shown[strings.LastIndex(shown, "<")+1 : len(shown)-len(">\r\n")]
		if got = ansi.Strip(got); got != want {
			t.Errorf("%q completes to %q, want %q", typed, got, want)
		}
		press("\x15") // ctrl+u clears the line
	}

	// All that there is, with what it is about.
	for _, name := range append([]string{""}, commandNames()...) {
		if len(flagsOf(name, "-")) == 0 {
			continue
		}
		press(strings.TrimSpace("anyproxy "+name) + " -\t\x0f")
		shown := who.reads(">\r\n")
		for _, flag := range flagsOf(name, "-") {
			if !strings.Contains(shown, flag) {
				t.Errorf("%q: %s is not in\n%s", name, flag, shown)
			}
		}
		press("\x15")
	}
}
