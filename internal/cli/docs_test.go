package cli

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"anyproxy/internal/simulator"
)

// The documentation is held to the program: what it shows is loaded, parsed and
// run, what it names exists, and what exists is named.

// page is a file of the documentation.
type page struct{ name, text string }

func documentation(t testing.TB) (pages []page) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(repository, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(names, filepath.Join(repository, "README.md")) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, page{filepath.Base(name), string(text)})
	}
	if len(pages) < 10 {
		t.Fatalf("found only %d pages", len(pages))
	}
	return pages
}

var fenced = regexp.MustCompile("(?ms)^ *```(\\w+)( \\w+)?\n(.*?)^ *```$")

// block is a fenced block. Behind the language may stand whose it is, such as
// prometheus; with none it is anyproxy's or the shell's.
type block struct{ where, owner, text string }

// blocks are the page's blocks in a language.
func (p page) blocks(language string) (list []block) {
	for _, m := range fenced.FindAllStringSubmatchIndex(p.text, -1) {
		if p.text[m[2]:m[3]] != language {
			continue
		}
		b := block{where: fmt.Sprintf("%s:%d", p.name, strings.Count(p.text[:m[6]], "\n")+1), text: p.text[m[6]:m[7]]}
		if m[4] >= 0 {
			b.owner = strings.TrimSpace(p.text[m[4]:m[5]])
		}
		list = append(list, b)
	}
	return list
}

func TestDocumentedConfigurationsLoad(t *testing.T) {
	loaded := 0
	for _, p := range documentation(t) {
		for _, b := range p.blocks("yaml") {
			if b.owner != "" {
				continue
			}
			loaded++
			if problems := whatIsWrongWith(t, whole(b.text)); problems != "" {
				t.Errorf("%s: %s", b.where, problems)
			}
		}
	}
	if loaded < 20 {
		t.Errorf("found only %d configurations", loaded)
	}
	if whatIsWrongWith(t, whole("models:\n  - {alias: a, provider: x, wieght: 1}\n")) == "" {
		t.Error("a mistake in a part is not seen")
	}
}

// whatIsWrongWith loads a configuration with every variable set that it names.
func whatIsWrongWith(t *testing.T, text string) string {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("config.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	getenv := func(name string) string {
		if strings.Contains(text, "env."+name) {
			return "https://example.com/" + name // fit for a webhook, and for a key
		}
		return ""
	}
	doc, err := loadConfig(flags{config: "config.yaml"}, getenv)
	if err == nil {
		err = explain(doc, "")
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

var (
	topKey   = regexp.MustCompile(`(?m)^(providers|models|spec):`)
	usesName = regexp.MustCompile(`\bprovider: ([\w.-]+)`)
	defines  = regexp.MustCompile(`(?m)^  ([\w.-]+): *\{`)
)

// whole completes a part of a configuration: providers that nobody uses get a
// model, models whose providers are elsewhere get these.
func whole(text string) string {
	has := map[string]bool{}
	for _, m := range topKey.FindAllStringSubmatch(text, -1) {
		has[m[1]] = true
	}
	if has["spec"] {
		return text
	}
	names, from := map[string]bool{}, usesName
	if has["providers"] {
		from = defines
	}
	for _, m := range from.FindAllStringSubmatch(text, -1) {
		names[m[1]] = true
	}
	if len(names) == 0 {
		names["any"] = true
	}
	var b strings.Builder
	b.WriteString(text)
	if !has["providers"] {
		b.WriteString("\nproviders:\n")
		for name := range names {
			fmt.Fprintf(&b, "  %s: {endpoint: \"http://127.0.0.1:9\", auth: none}\n", name)
		}
	}
	if !has["models"] {
		b.WriteString("\nmodels:\n")
		for name := range names {
			fmt.Fprintf(&b, "  - {alias: \"claude-*\", provider: %s}\n", name)
		}
	}
	return b.String()
}

// shellCommands are the simple commands of a script, as far as documentation
// writes one: words, quotes, comments, continued lines, pipes, lists,
// substitutions and redirections, whose files are left out.
func shellCommands(script string) (list [][]string) {
	var words []string
	var word strings.Builder
	var inWord, toFile bool
	endWord := func() {
		if inWord && !toFile {
			words = append(words, word.String())
		}
		toFile = toFile && !inWord
		word.Reset()
		inWord = false
	}
	endCommand := func() {
		endWord()
		for len(words) > 0 && regexp.MustCompile(`^[A-Z_]+=`).MatchString(words[0]) {
			words = words[1:]
		}
		if len(words) > 0 {
			list = append(list, words)
		}
		words, toFile = nil, false
	}
	s := strings.NewReplacer("\\\n", " ", `"$(`, "\n", `)"`, "\n", "$(", "\n", "<(", "\n").Replace(script)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\'' || c == '"':
			inWord = true
			n := strings.IndexByte(s[i+1:], c)
			if n < 0 {
				n = len(s) - i - 1
			}
			word.WriteString(s[i+1 : min(i+1+n, len(s))])
			i += n + 1
		case c == '#' && !inWord:
			if n := strings.IndexByte(s[i:], '\n'); n >= 0 {
				i += n - 1
			} else {
				i = len(s)
			}
		case strings.IndexByte("\n;|&)", c) >= 0:
			endCommand()
		case c == '>' || c == '<':
			endWord()
			toFile = true
		case c == ' ' || c == '\t':
			endWord()
		default:
			inWord = true
			word.WriteByte(c)
		}
	}
	endCommand()
	return list
}

func TestShellCommands(t *testing.T) {
	for script, want := range map[string]string{
		"go run . -tui  # see it\n":                  "[[go run . -tui]]",
		"go build . && ./anyproxy run -- claude\n":   "[[go build .] [./anyproxy run -- claude]]",
		"A=1 B=2 claude 'a b' \"c\"":                 "[[claude a b c]]",
		`eval "$(anyproxy env)"`:                     "[[eval] [anyproxy env]]",
		"source <(anyproxy completion bash) # here":  "[[source] [anyproxy completion bash]]",
		"anyproxy x > ~/a | jq .b; curl \\\n -s a":   "[[anyproxy x] [jq .b] [curl -s a]]",
		"# only a comment\n\nanyproxy -listen 'a#b'": "[[anyproxy -listen a#b]]",
	} {
		if got := fmt.Sprint(shellCommands(script)); got != want {
			t.Errorf("%q: got %s, want %s", script, got, want)
		}
	}
}

// others are the programs besides anyproxy that the documentation calls.
var others = []string{"aws", "chmod", "cp", "curl", "docker", "eval", "export", "git", "goreleaser", "grep", "jq", "journalctl", "kill", "mkdir", "sha256sum", "source", "systemctl", "tar", ".ci/run", ".ci/dashboard"}

// ours are the arguments of a call of this program, ok when it is one.
func ours(words []string) (args []string, ok bool) {
	switch {
	case words[0] == "anyproxy" || words[0] == "./anyproxy":
		return words[1:], true
	case len(words) > 2 && slices.Equal(words[:3], []string{"go", "run", "."}):
		return words[3:], true
	}
	return nil, false
}

// wrongCall is what the program would say of a call before it does anything.
func wrongCall(args []string) error {
	var m *command
	if len(args) > 0 {
		m = findCommand(args[0])
	}
	if m == nil {
		_, err := parseFlags(args, func(string) string { return "" })
		return err
	}
	c := &call{args: args[1:], getenv: func(string) string { return "" }}
	set, _ := m.flagSet(c)
	if err := m.parse(set, c); err != nil {
		return err
	}
	if (len(c.args) > 0) != (m.takes != "") && !strings.HasPrefix(m.takes, "[") {
		return fmt.Errorf("%s takes %q, not %q", m.name, m.takes, c.args)
	}
	return nil
}

// documentedCalls are the calls of this program in the blocks for a shell.
func documentedCalls(t *testing.T) (calls map[string][]string) {
	calls = map[string][]string{}
	for _, p := range documentation(t) {
		for _, b := range p.blocks("sh") {
			for _, words := range shellCommands(b.text) {
				if args, ok := ours(words); ok {
					calls[b.where+": "+strings.Join(words, " ")] = args
				} else if err := known(words); err != nil {
					t.Errorf("%s: %s: %v", b.where, strings.Join(words, " "), err)
				}
			}
		}
	}
	return calls
}

// known reports what is wrong with a call of another program.
func known(words []string) error {
	if words[0] == "go" {
		for _, w := range words[1:] {
			if dir := strings.TrimSuffix(w, "/..."); strings.HasPrefix(dir, "./") {
				if _, err := os.Stat(filepath.Join(repository, dir)); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if !slices.Contains(others, words[0]) {
		return fmt.Errorf("what is it?")
	}
	if strings.HasPrefix(words[0], ".") {
		_, err := os.Stat(filepath.Join(repository, words[0]))
		return err
	}
	return nil
}

// spanCall matches calls in running text. Words in capitals stand for a value.
var spanCall = regexp.MustCompile("`((?:\\./)?anyproxy (?:-|[a-z])[^`…]*)`")

func TestDocumentedCallsAreRight(t *testing.T) {
	calls := documentedCalls(t)
	if len(calls) < 15 {
		t.Errorf("found only %d calls", len(calls))
	}
	for _, p := range documentation(t) {
		for _, m := range spanCall.FindAllStringSubmatch(p.text, -1) {
			for _, words := range shellCommands(m[1]) {
				if args, ok := ours(words); ok {
					calls[p.name+": "+m[1]] = args
				}
			}
		}
	}
	for what, args := range calls {
		if err := wrongCall(args); err != nil && err != flag.ErrHelp {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, bad := range []string{"usage -day 1", "stauts", "status now", "-tiu", "completion", "env -shell"} {
		if wrongCall(strings.Fields(bad)) == nil {
			t.Errorf("%s is taken for a right call", bad)
		}
	}
}

// TestDocumentedCallsRun runs every call of the blocks, each in a folder with a
// configuration and beside a claude that does nothing. What would ask on a
// terminal takes the usual answers.
func TestDocumentedCallsRun(t *testing.T) {
	config, err := os.ReadFile(configFile(t, "", upstream(t, simulator.Always(good))))
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "claude"), []byte("#!/bin/sh\nexit 0\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	for what, args := range documentedCalls(t) {
		t.Run(what, func(t *testing.T) { runDocumented(t, args, config) })
	}
}

// loggedRequest is a request log of one line.
const loggedRequest = `{"timestamp":"2026-01-02T03:04:05Z","direction":"request","model":"claude-sonnet-4-5","success":true,"decision":{"attempts":[]}}` + "\n"

func runDocumented(t *testing.T, args []string, config []byte) {
	var m *command
	if len(args) > 0 {
		m = findCommand(args[0])
	}
	home, file := t.TempDir(), "config.yaml"
	if i := slices.Index(args, "-config"); i >= 0 {
		file = args[i+1]
	}
	t.Chdir(t.TempDir())
	env := map[string]string{"HOME": home, "XDG_STATE_HOME": filepath.Join(home, "state"), "PORT": "0"}
	if m != nil && m.name == "init" || slices.Contains(args, "-probe") {
		args = append(slices.Clone(args), "-yes")
	}
	if m == nil || m.name != "init" {
		if err := os.WriteFile(file, config, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if m != nil && m.name == "replay" {
		if err := os.WriteFile("requests.jsonl", []byte(loggedRequest), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if m != nil && m.name == "status" {
		start(t, env, "-config", file)
	}
	var out, errw safeBuffer
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	exit := make(chan int, 1)
	go func() {
		exit <- Run(ctx, args, func(k string) string { return env[k] }, strings.NewReader(""), &out, &errw)
	}()
	if m == nil && !slices.Contains(args, "-version") {
		eventually(t, "the program to serve", func() bool { return len(exit) > 0 || served.MatchString(out.String()) })
		stop()
	}
	if code := <-exit; code != exitDone {
		t.Errorf("exit code %d\n%s%s", code, out.String(), errw.String())
	}
}
