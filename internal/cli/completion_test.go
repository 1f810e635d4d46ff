package cli

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestCompletionScripts(t *testing.T) {
	for _, shell := range shells {
		code, script, errw := run(t, nil, "completion", shell)
		if code != 0 || errw != "" {
			t.Fatalf("%s: exit code %d, %s", shell, code, errw)
		}
		if path, err := exec.LookPath(shell); err == nil {
			cmd := exec.Command(path, "-n")
			cmd.Stdin = strings.NewReader(script)
			if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("%s does not understand it: %v %s", shell, err, out)
			}
		}
	}
	for _, args := range [][]string{nil, {"tcsh"}, {"bash", "zsh"}, {"-providers", "bash"}} {
		if code, out, _ := run(t, nil, append([]string{"completion"}, args...)...); code != exitUsage || out != "" {
			t.Errorf("%v: exit code %d, %q", args, code, out)
		}
	}
}

func TestCompletionKnowsTheProviders(t *testing.T) {
	if code, out, errw := run(t, map[string]string{"ZAI_API_KEY": "z"}, "completion", "-providers"); code != exitDone || out != "anthropic\nzai\n" {
		t.Errorf("without a file: %d %q %s", code, out, errw)
	}
	if code, out, errw := run(t, nil, "completion", "-providers", "-config", "none.yaml"); code != exitFailed || out != "" {
		t.Errorf("without the file: %d %q %s", code, out, errw)
	}
}

// completionFolder has what is completed: a configuration, a file and a folder
// with a blank in their names, and an anyproxy that knows the providers.
func completionFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"my config.yaml": "providers: {alpha: {endpoint: \"http://127.0.0.1:9\", auth: none}, beta-2: {endpoint: \"http://127.0.0.1:8\", auth: none}}\nmodels: [{alias: x, provider: alpha}, {alias: x, provider: beta-2}]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "other folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "status"), 0o700); err != nil { // named like a command
		t.Fatal(err)
	}
	return dir
}

// flagsOf are a command's as they are typed; the proxy's for "".
func flagsOf(name, dashes string) (names []string) {
	add := func(f *flag.Flag) { names = append(names, dashes+f.Name) }
	if name == "" {
		new(flags).set().VisitAll(add)
		return names
	}
	set, _ := findCommand(name).flagSet(&call{getenv: func(string) string { return "" }})
	set.VisitAll(add)
	return names
}

// completionCase is what is typed, the last word begun, and what must be proposed.
type completionCase struct {
	typed []string
	want  []string
}

// completionCases are the same for all shells. Every flag of every command is in them.
func completionCases() (list []completionCase) {
	add := func(want []string, typed ...string) { list = append(list, completionCase{typed, want}) }
	add(commandNames(), "")
	add([]string{"status"}, "st")
	add(flagsOf("", "-"), "-")
	for _, name := range commandNames() {
		if names := flagsOf(name, "-"); len(names) > 0 {
			add(names, name, "-")
		}
	}
	add(shells, "completion", "")
	add([]string{"zsh"}, "completion", "z")
	add(commandNames(), "help", "")
	add(shells, "env", "-shell", "")
	add([]string{"day", "key", "model", "provider", "session"}, "usage", "-by", "")
	add(nil, "usage", "-days", "")
	add(nil, "status", "")
	add([]string{"-seed"}, "replay", "x.jsonl", "-se")
	add([]string{"anthropic"}, "validate", "-dump-provider", "an")
	return list
}

// theProgramIn puts the program into a folder of its own and returns a PATH that
// begins with it.
func theProgramIn(t *testing.T) (path string) {
	t.Helper()
	return filepath.Dir(theProgram(t)) + string(os.PathListSeparator) + os.Getenv("PATH")
}

func TestBashCompletes(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("NOT TESTED: completion, because there is no bash")
	}
	dir, path := completionFolder(t), theProgramIn(t)
	_, script, _ := run(t, nil, "completion", "bash")
	cases := completionCases()
	add := func(want []string, typed ...string) { cases = append(cases, completionCase{typed, want}) }
	add([]string{"--log-file"}, "--log")
	add([]string{"my config.yaml"}, "replay", "my")
	add(flagsOf("env", "--"), "env", "--")
	add([]string{"my config.yaml"}, "status", "-config", "my")
	add([]string{"my config.yaml"}, "--config", "=", "my")
	add([]string{"my config.yaml", "other folder", "status"}, "-config", "=")
	add([]string{"alpha", "beta-2"}, "validate", "-config", "my config.yaml", "-dump-provider", "")
	add([]string{"alpha"}, "validate", "--config", "=", "my config.yaml", "--dump-provider", "=", "a")
	add([]string{"printenv", "printf"}, "run", "-config", "x", "--", "prin")
	add([]string{"my config.yaml"}, "run", "--", "cat", "my")
	text := "set -u\n" + script
	for _, c := range cases {
		words := append([]string{"anyproxy"}, c.typed...)
		quoted := make([]string, len(words))
		for i, w := range words {
			quoted[i] = shQuoted(w)
		}
		text += fmt.Sprintf("COMP_WORDS=(%s) COMP_CWORD=%d; _anyproxy; printf '%%s\\n' ${COMPREPLY[@]+\"${COMPREPLY[@]}\"}; echo %s\n", strings.Join(quoted, " "), len(words)-1, endOfCase)
	}
	checkCompletions(t, cases, dir, path, bash, "--norc", "-c", text)
}

const endOfCase = "==="

// checkCompletions runs a shell that prints what it proposes for each case, and
// endOfCase after it.
func checkCompletions(t *testing.T, cases []completionCase, dir, path, shell string, args ...string) {
	t.Helper()
	cmd := exec.Command(shell, args...)
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + path, "HOME=" + dir}
	out, err := cmd.CombinedOutput()
	found := strings.Split(string(out), endOfCase+"\n")
	if err != nil || len(found) != len(cases)+1 {
		t.Fatalf("%v, %d cases of %d\n%s", err, len(found)-1, len(cases), out)
	}
	for i, c := range cases {
		var got []string
		for line := range strings.Lines(found[i]) {
			if word, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t"); word != "" { // fish tells what it is about, too
				got = append(got, strings.ReplaceAll(word, `\ `, " "))
			}
		}
		slices.Sort(got)
		if got, want := slices.Compact(got), slices.Sorted(slices.Values(c.want)); !slices.Equal(got, want) {
			t.Errorf("%q completes to %q, want %q", c.typed, got, want)
		}
	}
}

func TestFishCompletes(t *testing.T) {
	fish, err := exec.LookPath("fish")
	if err != nil {
		t.Skip("NOT TESTED: completion, because there is no fish")
	}
	dir, path := completionFolder(t), theProgramIn(t)
	_, script, _ := run(t, nil, "completion", "fish")
	cases := completionCases()
	add := func(want []string, typed ...string) { cases = append(cases, completionCase{typed, want}) }
	add([]string{"my config.yaml"}, "status", "-config", "my")
	add([]string{"my config.yaml"}, "replay", "my")
	add([]string{"alpha", "beta-2"}, "validate", "-config", `my\ config.yaml`, "-dump-provider", "")
	add([]string{"printenv", "printf"}, "run", "--", "prin")
	text := script
	for _, c := range cases {
		text += "complete -C " + fishQuoted("anyproxy "+strings.Join(c.typed, " ")) + "; echo " + endOfCase + "\n"
	}
	checkCompletions(t, cases, dir, path, fish, "--no-config", "-c", text)
}
