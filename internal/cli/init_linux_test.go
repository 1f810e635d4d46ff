package cli

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"anyproxy/internal/noprobe/ptytest"
)

// initRun is `anyproxy init` on a terminal of its own, in dir.
type initRun struct {
	*typist
	cmd *exec.Cmd
}

func startInit(t *testing.T, bin, dir string, env ...string) *initRun {
	t.Helper()
	master, slave := ptytest.Open(t, 80, 24)
	a := &initRun{&typist{t: t, master: master, screen: &safeBuffer{}}, exec.Command(bin, "init")}
	a.cmd.Dir, a.cmd.Env = dir, append([]string{"TERM=xterm"}, env...)
	a.cmd.Stdin, a.cmd.Stdout, a.cmd.Stderr = slave, slave, slave
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true} // so that ctrl+c is a signal
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	var copied sync.WaitGroup
	copied.Go(func() { _, _ = io.Copy(a.screen, master) })
	t.Cleanup(func() {
		_ = a.cmd.Process.Kill() // a test that failed has left it
		copied.Wait()
	})
	return a
}

func (a *initRun) presses(key string) {
	a.t.Helper()
	if _, err := io.WriteString(a.master, key); err != nil {
		a.t.Fatal(err)
	}
}

func (a *initRun) ends(code int) {
	a.t.Helper()
	err := a.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || a.cmd.ProcessState.ExitCode() != code {
		a.t.Errorf("it ended with %v, want %d:\n%s", err, code, a.screen.String())
	}
}

// TestInitAsks is a person who leaves twice, then answers, and then thinks again.
func TestInitAsks(t *testing.T) {
	bin, dir := theProgram(t), t.TempDir()
	file := filepath.Join(dir, "config.yaml")
	empty := func() {
		t.Helper()
		if list, err := os.ReadDir(dir); err != nil || len(list) > 0 {
			t.Fatalf("something is left: %v %v", list, err)
		}
	}
	env := []string{"ANTHROPIC_API_KEY=key-one", "CLAUDE_CODE_OAUTH_TOKEN=key-two", "ZAI_API_KEY=key-three", "AWS_REGION=eu-west-1"}

	a := startInit(t, bin, dir, env...)
	a.reads("Number? [1] ")
	a.presses("\x03")
	a.ends(exitFailed)
	empty()

	a = startInit(t, bin, dir, env...)
	a.reads("Number? [1] ")
	a.types("1")
	a.reads("Bedrock when Anthropic cannot answer? [Y/n] ")
	a.presses("\x04") // the end of the input
	a.reads("nothing is written")
	a.ends(exitFailed)
	empty()

	a = startInit(t, bin, dir, env...)
	a.reads("Number? [1] ")
	a.types("9")
	a.reads("a number from 1 to 4")
	a.reads("Number? [1] ")
	a.types("2")
	a.reads("[Y/n] ")
	a.types("perhaps")
	a.reads("y for yes, n for no")
	a.reads("[Y/n] ")
	a.types("n")
	a.reads(`ZAI_API_KEY is set. Use Z.ai, for "glm-*"? [Y/n] `)
	a.types("")
	a.reads("source code go there then. [y/N] ")
	a.types("YES")
	a.reads("With which of its models? [glm-4.6] ")
	a.types("glm 9")
	a.reads("one word, please")
	a.types("glm-9")
	a.reads("anyproxy run -- claude")
	a.ends(exitDone)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"apiKey:   env.CLAUDE_CODE_OAUTH_TOKEN", `{name: "glm-9", alias: "claude-*", provider: zai, tier: 2}`, `{alias: "glm-*", provider: zai}`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is not in\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "bedrock") || strings.Contains(string(text), "key-") {
		t.Errorf("what nobody wanted is in\n%s", text)
	}

	a = startInit(t, bin, dir)
	a.reads("config.yaml exists. Replace it? [y/N] ")
	a.types("")
	a.ends(exitFailed)
	if now, err := os.ReadFile(file); err != nil || string(now) != string(text) {
		t.Fatalf("it was replaced: %v\n%s", err, now)
	}
	a = startInit(t, bin, dir)
	a.reads("config.yaml exists. Replace it? [y/N] ")
	a.types("y")
	a.ends(exitDone)
	if now, err := os.ReadFile(file); err != nil || !strings.Contains(string(now), "auth:     passthrough") {
		t.Errorf("it was not replaced: %v\n%s", err, now)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
		t.Errorf("more than the file is left: %v %v", list, err)
	}
}
