package config_test

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"anyproxy/config"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// environment is what every test file may refer to.
var environment = map[string]string{
	"KEY":       "sk-from-the-environment",
	"OTHER":     "sk-another",
	"EMPTY":     "",
	"BLANK":     "  ",
	"BROKEN":    "sk-with-a\nline-break",
	"HOOK":      "https://hooks.example.com/T0/B0",
	"NOT_A_URL": "hooks.example.com",
}

func getenv(name string) string { return environment[name] }

// a case is a config, in a file of differences a second one, and the lines that
// must come of it.
type testCase struct{ name, yaml, to, want string }

// readCases reads "-- name --", the YAML, perhaps "-- to --" and another,
// "-- want --", the lines, and so on.
func readCases(t *testing.T, path string) []testCase {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var cases []testCase
	var into *string
	for line := range strings.Lines(string(data)) {
		name, mark := strings.CutPrefix(strings.TrimSpace(line), "-- ")
		name, closed := strings.CutSuffix(name, " --")
		switch {
		case mark && closed && name == "to":
			into = &cases[len(cases)-1].to
		case mark && closed && name == "want":
			into = &cases[len(cases)-1].want
		case mark && closed:
			cases = append(cases, testCase{name: name})
			into = &cases[len(cases)-1].yaml
		default:
			*into += line
		}
	}
	return cases
}

// report is what a user would read about a config.
func report(t *testing.T, yaml string) string {
	t.Helper()
	c, warnings, err := config.Parse("f.yaml", []byte(yaml), getenv)
	var b strings.Builder
	list := func(prefix string, ps config.Problems) {
		for _, p := range ps {
			b.WriteString(prefix + p.String() + "\n")
			if p.Excerpt != "" {
				b.WriteString("  | " + strings.ReplaceAll(p.Excerpt, "\n", "\n  | ") + "\n")
			}
		}
	}
	list("warning: ", warnings)
	if err != nil {
		var problems config.Problems
		if !errors.As(err, &problems) || len(problems) == 0 || c != nil {
			t.Fatalf("error %v is no Problems, or there is a config too", err)
		}
		list("", problems)
	} else if c == nil {
		t.Fatal("neither config nor error")
	}
	return b.String()
}

// TestProblems holds the exact text, line and column of everything that can be
// wrong with a file.
func TestProblems(t *testing.T) {
	compareCases(t, "testdata/problems/*.txt", func(t *testing.T, c testCase) string { return report(t, c.yaml) })
}

// compareCases holds what comes of each case of some files.
func compareCases(t *testing.T, pattern string, outcome func(t *testing.T, c testCase) string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, path := range files {
		var out strings.Builder
		for _, c := range readCases(t, path) {
			got := outcome(t, c)
			out.WriteString("-- " + c.name + " --\n" + c.yaml)
			if c.to != "" {
				out.WriteString("-- to --\n" + c.to)
			}
			out.WriteString("-- want --\n" + got)
			if *update {
				continue
			}
			t.Run(filepath.Base(path)+"/"+c.name, func(t *testing.T) {
				if got != c.want {
					t.Errorf("got:\n%swant:\n%s", got, c.want)
				}
			})
		}
		if *update {
			if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestGood compares whole configurations, defaults filled in, as JSON.
func TestGood(t *testing.T) {
	files, err := filepath.Glob("testdata/good/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			c, warnings, err := config.Parse("f.yaml", data, getenv)
			if err != nil || len(warnings) > 0 {
				t.Fatalf("error %v, warnings %v", err, warnings)
			}
			got, err := json.MarshalIndent(c, "", "\t")
			if err != nil {
				t.Fatal(err)
			}
			golden := strings.TrimSuffix(path, ".yaml") + ".json"
			if *update {
				if err := os.WriteFile(golden, append(got, '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || string(want) != string(got)+"\n" {
				t.Errorf("%s (%v) differs from:\n%s", golden, err, got)
			}
		})
	}
}
