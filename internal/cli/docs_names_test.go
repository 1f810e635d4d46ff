package cli

import (
	"encoding/json"
	"flag"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"anyproxy/internal/simulator"
	"anyproxy/providers"
	"anyproxy/proxy/requestlog"
)

// sources are the program's own Go files, as one text.
func sources(t testing.TB) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(repository, func(path string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && (name == ".git" || name == "node_modules" || name == "testdata" || name == "simulator" || name == "bench" || name == "e2e"):
			return fs.SkipDir
		case strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go"):
			text, err := os.ReadFile(path)
			b.Write(text)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// allOf are the different texts that the first group of a pattern matches.
func allOf(pattern, text string) []string {
	found := map[string]bool{}
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		found[m[len(m)-1]] = true
	}
	return slices.Sorted(maps.Keys(found))
}

// everything is the whole documentation as one text.
func everything(t testing.TB) string {
	var b strings.Builder
	for _, p := range documentation(t) {
		b.WriteString(p.text)
	}
	return b.String()
}

func pageNamed(t testing.TB, name string) string {
	t.Helper()
	for _, p := range documentation(t) {
		if p.name == name {
			return p.text
		}
	}
	t.Fatalf("there is no page %s", name)
	return ""
}

// TestFlagsAreDocumented looks for each flag of each command in the command's
// section of commands.md or in a page of its own, and for each flag that the
// documentation names in the program.
func TestFlagsAreDocumented(t *testing.T) {
	guide := pageNamed(t, "commands.md")
	sections := map[string]string{}
	for _, s := range strings.Split(guide, "\n## ")[1:] {
		name, text, _ := strings.Cut(s, "\n")
		sections[strings.ToLower(name)] = text
	}
	for _, p := range documentation(t) {
		sections[strings.TrimSuffix(p.name, ".md")] += p.text
	}
	exist := map[string]bool{"h": true, "help": true}
	check := func(section string, set *flag.FlagSet) {
		set.VisitAll(func(f *flag.Flag) {
			exist[f.Name] = true
			if !regexp.MustCompile("`-" + f.Name + `\b`).MatchString(sections[section]) {
				t.Errorf("commands.md does not explain -%s under %s", f.Name, section)
			}
		})
	}
	var f flags
	check("serve", f.set())
	for _, m := range commands() {
		if sections[m.name] == "" {
			t.Errorf("commands.md has no section %s", m.name)
		}
		set, _ := m.flagSet(&call{getenv: func(string) string { return "" }})
		check(m.name, set)
	}
	for _, name := range allOf("`--?([a-z][a-z-]+)[`= ]", everything(t)) {
		if !exist[name] && !slices.Contains(foreignFlags, name) {
			t.Errorf("the documentation names the flag -%s, which no command has", name)
		}
	}
}

// foreignFlags are other programs': the go command's, servers', and those of internal/bench.
var foreignFlags = []string{"trimpath", "ldflags", "base", "jinja", "port", "enable-auto-tool-choice", "tool-call-parser", "update", "race", "c"}

// TestVariablesAreDocumented compares the environment variables that the program
// reads, sets or hands on with those that the documentation names.
func TestVariablesAreDocumented(t *testing.T) {
	program, text := sources(t), everything(t)
	used := slices.Concat([]string{"LC_ALL", "LC_CTYPE", "LANG", "HTTPS_PROXY"},
		allOf(`(?i:getenv|lookupenv)\("([A-Z][A-Z_]+)"\)`, program),
		allOf(`\bset\("([A-Z][A-Z_]+)", `, program),
		allOf(`variable\{"([A-Z][A-Z_]+)"`, program),
		allOf(`\{"([A-Z]+_API_KEY)", "`, program))
	if len(used) < 25 {
		t.Errorf("found only %q", used)
	}
	for _, name := range used {
		if name != "HOME" && !regexp.MustCompile("[` ]"+name+`\b`).MatchString(text) {
			t.Errorf("the documentation does not name the variable %s", name)
		}
	}
	for _, name := range allOf("`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)[`=]", text) {
		if !strings.Contains(program, name) && !slices.Contains(foreignVariables, name) {
			t.Errorf("the documentation names the variable %s, which the program does not know", name)
		}
	}
}

// foreignVariables are read by others: the AWS SDK, Go, Claude Code, servers.
var foreignVariables = []string{
	"API_TIMEOUT_MS", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "NODE_EXTRA_CA_CERTS", "OLLAMA_CONTEXT_LENGTH",
	"AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT",
}

func TestHeadersAreDocumented(t *testing.T) {
	used := allOf(`"((?i:x-anyproxy-[a-z-]+[a-z]))"`, sources(t))
	for i := range used {
		used[i] = strings.ToLower(used[i])
	}
	guide := pageNamed(t, "api.md")
	for _, name := range used {
		if !strings.Contains(guide, "`"+name) {
			t.Errorf("api.md does not explain %s", name)
		}
	}
	for _, name := range allOf(`\b(x-anyproxy-[a-z-]+[a-z])`, everything(t)) {
		if !slices.Contains(used, name) {
			t.Errorf("the documentation names the header %s, which there is not", name)
		}
	}
}

func TestPathsAreDocumented(t *testing.T) {
	server, err := os.ReadFile(filepath.Join(repository, "proxy", "server.go"))
	if err != nil {
		t.Fatal(err)
	}
	served := allOf(`(?m)^\t"(/[^"]*)": +\{methods`, string(server))
	_, table, _ := strings.Cut(pageNamed(t, "api.md"), "## Paths")
	table, _, _ = strings.Cut(table, "\n\n\"Key\"")
	told := allOf("`(?:[A-Z]+ )?(/[a-z0-9_/]*)(?:\\{id\\})?`", table)
	if len(served) < 8 || !slices.Equal(served, told) {
		t.Errorf("api.md tells of %q, served are %q", told, served)
	}
}

func TestMetricsInTheDocumentationExist(t *testing.T) {
	p := start(t, nil, "-config", configFile(t, "budget: {daily: 5}\n", upstream(t, simulator.Always(good))))
	p.post(t, ask(true))
	_, body := p.get(t, "/metrics")
	for _, name := range allOf(`\b((?:anyproxy|gen_ai)_[a-z_]*[a-z])\b`, everything(t)) {
		if !strings.Contains(body, "\n"+name) && name != "gen_ai_token_type" {
			t.Errorf("the documentation names the metric %s, which there is not", name)
		}
	}
}

// TestKeysInTheDocumentationExist looks up the configuration's keys that are
// named elsewhere in config.md, whose tables are held to the types.
func TestKeysInTheDocumentationExist(t *testing.T) {
	keys := allOf("(?m)^\\| `([a-z][^`]+)` \\|", pageNamed(t, "config.md"))
	first := map[string]bool{}
	for i, key := range keys {
		keys[i] = strings.NewReplacer("[]", "", "NAME.", "").Replace(key)
		for _, part := range strings.Split(keys[i], ".") {
			first[part] = true
		}
	}
	found := 0
	for _, p := range documentation(t) {
		for _, name := range allOf("`([a-z][A-Za-z]*(?:\\[\\])?(?:\\.[A-Za-z0-9*]+(?:\\[\\])?)+)[`:]", p.text) {
			plain := strings.NewReplacer("[]", "", "NAME.", "", "*.", "").Replace(name)
			head, _, _ := strings.Cut(plain, ".")
			if !first[head] || slices.Contains(noKeys, name) || p.name == "migrating.md" && head == "auth" {
				continue
			}
			found++
			if !slices.ContainsFunc(keys, func(k string) bool { return strings.HasSuffix("."+k, "."+plain) || strings.HasPrefix(k+".", plain+".") }) {
				t.Errorf("%s names the key %s, which there is not", p.name, name)
			}
		}
	}
	if found < 40 {
		t.Errorf("found only %d", found)
	}
}

// noKeys look like keys.
var noKeys = []string{"routing.json", "providers.Provider"}

// TestErrorsAreDocumented compares the table of errors with the program's.
func TestErrorsAreDocumented(t *testing.T) {
	told := map[int]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| (\\d{3}(?:, \\d{3})*) \\| `(\\w+)` \\|").FindAllStringSubmatch(pageNamed(t, "api.md"), -1) {
		for _, status := range strings.Split(m[1], ", ") {
			n, err := strconv.Atoi(status)
			if err != nil {
				t.Fatal(err)
			}
			told[n] = m[2]
		}
	}
	for _, status := range []int{400, 401, 402, 403, 404, 405, 408, 413, 415, 429, 500, 502, 503, 504, 529} {
		if want := providers.ErrorType(status); told[status] != want {
			t.Errorf("api.md says that %d is %q, it is %s", status, told[status], want)
		}
	}
	guide := pageNamed(t, "monitoring.md")
	for c := providers.ClassInvalid; c <= providers.ClassNoModel; c++ {
		if c != providers.ClassCanceled && !regexp.MustCompile(`\b`+c.String()+`\b`).MatchString(guide) {
			t.Errorf("monitoring.md does not name the error type %s", c)
		}
	}
}

func TestFieldsAreDocumented(t *testing.T) {
	log := pageNamed(t, "monitoring.md")
	typ := reflect.TypeFor[requestlog.Entry]()
	for i := range typ.NumField() {
		if name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ","); !strings.Contains(log, "`"+name+"`") {
			t.Errorf("monitoring.md does not explain the field %s of the request log", name)
		}
	}

	file := writeFile(t, "config.yaml", "providers: {an-upstream: {endpoint: \"http://127.0.0.1:1\", auth: none}}\nmodels: [{name: a-model, provider: an-upstream, context: 9}]\n")
	p := start(t, nil, "-config", file)
	guide := pageNamed(t, "api.md")
	for _, path := range []string{"/", "/health", "/v1/models"} {
		_, body := p.get(t, path)
		var answer any
		if err := json.Unmarshal([]byte(body), &answer); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for _, field := range fieldsOf(answer) {
			if field != "an-upstream" && !strings.Contains(guide, `"`+field+`"`) {
				t.Errorf("api.md does not show the field %s of %s", field, path)
			}
		}
	}
	for _, page := range documentation(t) {
		for _, b := range page.blocks("json") {
			if !json.Valid([]byte(b.text)) {
				t.Errorf("%s is no JSON", b.where)
			}
		}
	}
}

// fieldsOf are the names of fields anywhere in a JSON value.
func fieldsOf(v any) (names []string) {
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			names = append(append(names, name), fieldsOf(inner)...)
		}
	case []any:
		for _, inner := range v {
			names = append(names, fieldsOf(inner)...)
		}
	}
	return names
}

// TestTroubleIsInTheProgramsWords looks up what the README quotes.
func TestTroubleIsInTheProgramsWords(t *testing.T) {
	program := sources(t)
	_, table, _ := strings.Cut(pageNamed(t, "README.md"), "## Trouble")
	table, _, _ = strings.Cut(table, "\n## ")
	quoted := 0
	for _, said := range allOf("(?m)^\\| (.*?) \\|", table) {
		for _, span := range allOf("`([^`]+)`", said) {
			for _, piece := range regexp.MustCompile(`…|"|--profile|127[0-9.:]+`).Split(span, -1) {
				piece = strings.Trim(piece, " :")
				if len(piece) < 8 || slices.Contains(foreignWords, piece) {
					continue
				}
				quoted++
				if !strings.Contains(program, piece) {
					t.Errorf("the program does not say %q", piece)
				}
			}
		}
	}
	if quoted < 8 {
		t.Errorf("found only %d words of the program's", quoted)
	}
}

// foreignWords are said by the system and by AWS.
var foreignWords = []string{"address already in use", "is not authorized to perform: bedrock:InvokeModel"}
