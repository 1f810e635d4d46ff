package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"anyproxy/config"
)

// untouchable fails a test that reads from it.
func untouchable(t *testing.T) io.Reader {
	return iotest.ErrReader(errors.New(t.Name() + ": standard input was read"))
}

// validated runs validate beside a file of that text and returns what it says.
func validated(t *testing.T, env map[string]string, text string, mode os.FileMode) (code int, out, errw string) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := errors.Join(os.WriteFile("f.yaml", []byte(text), mode), os.Chmod("f.yaml", mode)); err != nil {
		t.Fatal(err)
	}
	var o, e bytes.Buffer
	code = Run(t.Context(), []string{"validate", "--offline", "--config", "f.yaml"}, func(k string) string { return env[k] }, untouchable(t), &o, &e)
	return code, o.String(), e.String()
}

// TestValidateSaysWhatIsWrong compares the whole standard error for each of
// config's bad files with the problems and warnings that are expected there.
func TestValidateSaysWhatIsWrong(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(repository, "config", "testdata", "problems", "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	env := map[string]string{"KEY": "sk-from-the-environment", "OTHER": "sk-another", "BLANK": "  ", "BROKEN": "sk-with-a\nline-break",
		"HOOK": "https://hooks.example.com/T0/B0", "NOT_A_URL": "hooks.example.com"}
	bad := 0
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range problemCases(string(data)) {
			t.Run(filepath.Base(path)+"/"+c.name, func(t *testing.T) {
				code, _, errw := validated(t, env, c.text, 0o600)
				wantCode, wantText := expected(c.want)
				bad += wantCode
				if code != wantCode || errw != wantText {
					t.Errorf("exit code %d, want %d; stderr:\n%swant:\n%s", code, wantCode, errw, wantText)
				}
			})
		}
	}
	if bad < 60 {
		t.Errorf("only %d bad files", bad)
	}
}

type problemCase struct{ name, text, want string }

// problemCases reads "-- name --", a file, "-- want --", the lines, and so on.
func problemCases(data string) (cases []problemCase) {
	var into *string
	for line := range strings.Lines(data) {
		name, mark := strings.CutPrefix(strings.TrimSpace(line), "-- ")
		name, closed := strings.CutSuffix(name, " --")
		switch {
		case !mark || !closed:
			*into += line
		case name == "want":
			into = &cases[len(cases)-1].want
		default:
			cases = append(cases, problemCase{name: name})
			into = &cases[len(cases)-1].text
		}
	}
	return cases
}

// expected is the exit code and the standard error for the lines of a problems
// file: "warning: " before a warning, "  | " before an excerpt.
func expected(lines string) (code int, errw string) {
	var warnings, problems strings.Builder
	n := 0
	into := &problems
	for line := range strings.Lines(lines) {
		excerpt, isExcerpt := strings.CutPrefix(line, "  | ")
		warning, isWarning := strings.CutPrefix(line, "warning: ")
		switch {
		case isExcerpt:
			into.WriteString("    " + excerpt)
		case isWarning:
			into = &warnings
			into.WriteString("anyproxy: warning: " + warning)
		case strings.TrimSpace(line) != "":
			into = &problems
			into.WriteString("  " + line)
			n++
		}
	}
	if n == 0 {
		return 0, warnings.String()
	}
	return 1, warnings.String() + "anyproxy: error: f.yaml has " + count(n, "problem") + "\n" + problems.String() +
		"anyproxy: hint: example.config.yaml explains every key\n"
}

func TestValidateFilesThatAreNoText(t *testing.T) {
	good := "providers: {a: {endpoint: 'https://a.example', apiKey: sk-literal}}\nmodels: [{name: m, provider: a}]\n"
	problem := func(text string) string {
		return "anyproxy: error: f.yaml has 1 problem\n  f.yaml:" + text + "\nanyproxy: hint: example.config.yaml explains every key\n"
	}
	bomb := good + "allowedHosts: &a [" + strings.Repeat("x, ", 500) + "x]\nlog: &b [" + strings.Repeat("*a, ", 500) + "*a]\nlol: [" + strings.Repeat("*b, ", 500) + "*b]\n"
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		code int
		errw string
	}{
		"good":                           {good, 0o600, 0, ""},
		"readable by others with a key":  {good, 0o644, 0, "anyproxy: warning: f.yaml:1:56: a secret stands in this file and others may read it; chmod 600 it, or use env.NAME\n    providers: {a: {endpoint: … apiKey: …\n                                        ^\n"},
		"readable by others without one": {strings.Replace(good, "sk-literal", "env.KEY", 1), 0o644, 0, ""},
		"keys without effect":            {strings.Replace(good, "provider: a}", "provider: a, maxOutput: 900}", 1), 0o600, 0, "anyproxy: warning: models[].maxOutput has an effect at providers of type openai only: a/m (tier 1, weight 1)\n"},
		"thinking has an effect":         {strings.Replace(good, "provider: a}", "provider: a, thinking: true}", 1), 0o600, 0, ""},
		"a budget without prices":        {good + "budget: {daily: 5}\n", 0o600, 0, "anyproxy: warning: budget: no price is known for a/m (tier 1, weight 1): what they cost is not counted\n"},
		"empty":                          {"", 0o600, 1, problem("1:1: the file is empty")},
		"binary":                         {"\x7fELF\x02\x01\x01\x00", 0o600, 1, problem("1:1: a control character (U+007F)")},
		"NUL":                            {good + "\x00", 0o600, 1, problem("3:1: a control character (U+0000)")},
		"UTF-16":                         {"\xff\xfel\x00", 0o600, 1, problem("1:1: not UTF-8 text")},
		"Latin-1":                        {"# gr\xfc\xdf\n", 0o600, 1, problem("1:5: not UTF-8 text")},
		"larger than any configuration":  {good + strings.Repeat("#", config.MaxFile), 0o600, 1, problem("1:1: the file is larger than 1 MiB")},
		"a bomb of aliases": {bomb, 0o600, 1, "anyproxy: error: f.yaml has 3 problems\n" +
			"  f.yaml:3:15: allowedHosts: YAML anchors are not supported; a value that begins with & must be quoted\n" +
			"  f.yaml:4:6: log: YAML anchors are not supported; a value that begins with & must be quoted\n" +
			"  f.yaml:5:1: lol: unknown key; did you mean log?\n" +
			"anyproxy: hint: example.config.yaml explains every key\n"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errw := validated(t, map[string]string{"KEY": "sk-from-the-environment"}, c.text, c.mode)
			if code != c.code || errw != c.errw {
				t.Errorf("exit code %d, want %d; stderr:\n%swant:\n%s", code, c.code, errw, c.errw)
			}
			if want := "f.yaml is in order: 1 provider, 1 model\n"; code == 0 && out != want || code != 0 && out != "" {
				t.Errorf("stdout %q", out)
			}
		})
	}
}

func TestValidateWhatCannotBeRead(t *testing.T) {
	t.Chdir(t.TempDir())
	loop := "loop.yaml"
	if err := errors.Join(os.Mkdir("folder.yaml", 0o700), os.Symlink(loop, loop)); err != nil {
		t.Fatal(err)
	}
	const hint = "anyproxy: hint: name a configuration file that exists with -config FILE, or leave it out to use the keys in the environment\n"
	for file, want := range map[string]string{
		"nowhere.yaml": "open nowhere.yaml: no such file or directory",
		"folder.yaml":  "read folder.yaml: is a directory",
		loop:           "open loop.yaml: too many levels of symbolic links",
	} {
		var out, errw bytes.Buffer
		code := Run(t.Context(), []string{"validate", "-config", file}, func(string) string { return "" }, untouchable(t), &out, &errw)
		if want = "anyproxy: error: read config: " + want + "\n" + hint; code != 1 || errw.String() != want || out.Len() > 0 {
			t.Errorf("exit code %d; stderr:\n%swant:\n%s", code, errw.String(), want)
		}
	}
}

func TestValidateCalls(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("other.yaml", []byte("providers: {a: {endpoint: 'https://a.example', auth: none}}\nmodels: [{name: m, provider: a}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		env  map[string]string
		code int
		out  string
		errw string
	}{
		"the environment":   {nil, nil, 0, "environment is in order: 1 provider, 1 model\n", ""},
		"a broken variable": {nil, map[string]string{"ANTHROPIC_API_KEY": "a\nb"}, 1, "", "anyproxy: hint: correct or unset the variables that are named\n"},
		"CONFIG_PATH":       {nil, map[string]string{"CONFIG_PATH": "other.yaml"}, 0, "other.yaml is in order: 1 provider, 1 model\n", ""},
		"a flag before it":  {[]string{"-config=other.yaml"}, map[string]string{"CONFIG_PATH": "none.yaml"}, 0, "other.yaml is in order: 1 provider, 1 model\n", ""},
		"an argument":       {[]string{"other.yaml"}, nil, 2, "", "anyproxy: error: unexpected argument \"other.yaml\"\nanyproxy: hint: anyproxy validate -help tells how it is called\n"},
		"an unknown flag":   {[]string{"-listen", "x"}, nil, 2, "", "anyproxy: error: flag provided but not defined: -listen\nanyproxy: hint: anyproxy validate -help tells how it is called\n"},
		"an empty flag":     {[]string{"-config", ""}, nil, 2, "", "anyproxy: error: invalid value \"\" for flag -config: it is empty; name a file, or leave the flag out\nanyproxy: hint: anyproxy validate -help tells how it is called\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errw bytes.Buffer
			code := Run(t.Context(), append([]string{"validate", "-offline"}, c.args...), func(k string) string { return c.env[k] }, untouchable(t), &out, &errw)
			if code != c.code || out.String() != c.out || !strings.HasSuffix(errw.String(), c.errw) || c.errw == "" && errw.Len() > 0 {
				t.Errorf("exit code %d, stdout %q, stderr %q", code, out.String(), errw.String())
			}
		})
	}
	if err := os.Rename("other.yaml", defaultConfig); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if code := Run(t.Context(), []string{"validate", "-offline"}, func(string) string { return "" }, untouchable(t), &out, io.Discard); code != 0 || out.String() != fmt.Sprintf("%s is in order: 1 provider, 1 model\n", defaultConfig) {
		t.Errorf("without a flag: exit code %d, %q", code, out.String())
	}
}
