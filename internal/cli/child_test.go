package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"anyproxy/internal/simulator"
)

// childsTask is the variable that makes the test's own program the child of
// `anyproxy run`, and says what it does.
const childsTask = "ANYPROXY_TEST_CHILD"

// beChild asks the proxy that the environment names, tells what it sees, and
// returns an exit code.
func beChild(task string) int {
	switch task {
	case "anyproxy":
		return Run(context.Background(), os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr)
	case "echo":
		in, _ := io.ReadAll(os.Stdin)
		fmt.Printf("in %q args %q key %q\n", in, os.Args[1:], os.Getenv("ANTHROPIC_API_KEY"))
		return 0
	case "wait":
		terminated := make(chan os.Signal, 1)
		signal.Notify(terminated, childEnds)
		fmt.Println("ready")
		<-terminated
		return 42
	}
	req, err := http.NewRequest("POST", os.Getenv("ANTHROPIC_BASE_URL")+"/v1/messages", strings.NewReader(ask(false)))
	if err != nil {
		return 98
	}
	req.Header.Set("Authorization", "Bearer "+os.Getenv("ANTHROPIC_AUTH_TOKEN"))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		fmt.Println(err)
		return 97
	}
	defer res.Body.Close()
	fmt.Println(res.StatusCode, res.Header.Get("X-Anyproxy-Provider"), os.Getenv("ANTHROPIC_BASE_URL"))
	return 7
}

// runChild is `anyproxy run` of the test's own program.
func runChild(t *testing.T, env map[string]string, task string, args ...string) (code int, out, errw string) {
	t.Helper()
	t.Setenv(childsTask, task)
	for name, value := range env {
		t.Setenv(name, value)
	}
	var stdout, stderr safeBuffer
	code = Run(t.Context(), append([]string{"run"}, args...), func(k string) string { return env[k] }, strings.NewReader("typed"), &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func TestRunThroughAProxyOfItsOwn(t *testing.T) {
	home := t.TempDir()
	a := upstream(t, simulator.Always(simulator.Answer{Faults: []simulator.Fault{simulator.Overloaded()}}))
	file := configFile(t, "apiKeys: [a-client-key-of-mine]\n", a, upstream(t, simulator.Always(good)))
	code, out, errw := runChild(t, map[string]string{"HOME": home, "ANTHROPIC_API_KEY": "of-the-person"}, "ask", "-config", file, "--", os.Args[0])
	if code != 7 || !strings.HasPrefix(out, "200 b http://127.0.0.1:") || strings.Count(out, "\n") != 1 {
		t.Errorf("exit code %d, stdout %q", code, out)
	}
	log := filepath.Join(home, ".local", "state", "anyproxy", childLogName)
	if want := "anyproxy: 1 request answered, 1 of them after a fallback, 0 failed; " + log + " tells why\n"; errw != want {
		t.Errorf("stderr %q, want %q", errw, want)
	}
	if text, err := os.ReadFile(log); err != nil || !bytes.Contains(text, []byte("fallback")) {
		t.Errorf("%v: the log is %q", err, text)
	}
	if left, err := os.ReadDir(filepath.Join(home, ".local", "state", "anyproxy", presenceFolder)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v, %v: it still claims to serve", left, err)
	}
}

func TestRunIsSilentWhenAllIsWell(t *testing.T) {
	file := configFile(t, "state: {path: none}\n", upstream(t, simulator.Always(good)))
	if code, _, errw := runChild(t, nil, "ask", "-config", file, "--", os.Args[0]); code != 7 || errw != "" {
		t.Errorf("exit code %d, stderr %q", code, errw)
	}
}

func TestRunHandsOver(t *testing.T) {
	file := configFile(t, "state: {path: none}\n", upstream(t, simulator.Always(good)))
	code, out, _ := runChild(t, map[string]string{"ANTHROPIC_API_KEY": "of-the-person"}, "echo", "-config", file, "--", os.Args[0], "-p", "--", "two words")
	if want := `in "typed" args ["-p" "--" "two words"] key ""` + "\n"; code != 0 || out != want {
		t.Errorf("exit code %d, %q, want %q", code, out, want)
	}
}

func TestRunUsesWhatServesAlready(t *testing.T) {
	env := map[string]string{"HOME": t.TempDir()}
	up := upstream(t, simulator.Always(good))
	file := configFile(t, "", up)
	p := start(t, env, "-config", file)
	if _, out, _ := runChild(t, env, "ask", "-config", file, "--", os.Args[0]); out != "200 a "+p.base+"\n" {
		t.Errorf("%q, want it through %s", out, p.base)
	}
	for what, args := range map[string][]string{
		"another configuration": {"-config", configFile(t, "", up), "--", os.Args[0]},
		"-own":                  {"-config", file, "-own", "--", os.Args[0]},
	} {
		if _, out, _ := runChild(t, env, "ask", args...); strings.Contains(out, p.base+"\n") || !strings.HasPrefix(out, "200 a ") {
			t.Errorf("%s: %q", what, out)
		}
	}
}

func TestWhatACrashLeavesBehindIsNotTrusted(t *testing.T) {
	env := map[string]string{"HOME": t.TempDir()}
	file := configFile(t, "", upstream(t, simulator.Always(good)))
	dead := filepath.Join(env["HOME"], ".local/state/anyproxy", presenceFolder, "1.json")
	text := fmt.Sprintf(`{"pid":1,"url":"http://127.0.0.1:%s","config":%q,"started":%q}`, freePort(t), file, time.Now().Format(time.RFC3339))
	if err := errors.Join(os.MkdirAll(filepath.Dir(dead), 0o700), os.WriteFile(dead, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := runChild(t, env, "ask", "-config", file, "--", os.Args[0]); code != 7 || !strings.HasPrefix(out, "200 a ") {
		t.Errorf("exit code %d, %q", code, out)
	}
	if _, err := os.Stat(dead); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v, want it removed", err)
	}
}

func TestRunWrongly(t *testing.T) {
	text := writeFile(t, "no-program", "text")
	for name, tt := range map[string]struct {
		args []string
		code int
		errw string
	}{
		"nothing to run":   {nil, exitUsage, "no program is named"},
		"no such program":  {[]string{"--", "no-such-program-here"}, exitNotFound, "cannot run no-such-program-here"},
		"no such file":     {[]string{"--", "./none"}, exitNotFound, "cannot run ./none"},
		"no program":       {[]string{"--", text}, exitNoProgram, "cannot run " + text},
		"an unknown flag":  {[]string{"-listen", "x"}, exitUsage, "flag provided but not defined: -listen"},
		"no configuration": {[]string{"-config", "none.yaml", "--", os.Args[0]}, exitFailed, "none.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			if code, out, errw := runChild(t, nil, "ask", tt.args...); code != tt.code || out != "" || !strings.Contains(errw, tt.errw) {
				t.Errorf("exit code %d, stdout %q, stderr %q", code, out, errw)
			}
		})
	}
}
