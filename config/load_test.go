package config_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"anyproxy/config"
)

// load parses what must be in order, without warnings.
func load(t *testing.T, yaml string) *config.Config {
	t.Helper()
	c, warnings, err := config.Parse("f.yaml", []byte(yaml), getenv)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("error %v, warnings %v", err, warnings)
	}
	return c
}

// TestSpecFormEqualsFlatForm puts the good files under spec:, or takes them
// from there, and expects the same configuration but for the places.
func TestSpecFormEqualsFlatForm(t *testing.T) {
	for _, file := range []string{"minimal", "everything"} {
		flat, err := os.ReadFile("testdata/good/" + file + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		spec := "apiVersion: v1\nkind: Config\nmetadata: {name: x}\nspec:\n" + regexp.MustCompile(`(?m)^`).ReplaceAllString(string(flat), "  ")
		one, two := load(t, string(flat)), load(t, spec)
		clearPos(reflect.ValueOf(one).Elem())
		clearPos(reflect.ValueOf(two).Elem())
		if !reflect.DeepEqual(one, two) {
			t.Errorf("%s: flat form\n%+v\nspec form\n%+v", file, one, two)
		}
	}
}

func clearPos(v reflect.Value) {
	if v.Type() == reflect.TypeFor[config.Pos]() {
		v.SetZero()
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				clearPos(v.Field(i))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			clearPos(v.Index(i))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			clearPos(v.Elem())
		}
	}
}

func TestDefaults(t *testing.T) {
	want := config.Config{
		Listen: "127.0.0.1:8080",
		TLS:    config.ServerTLS{MinVersion: "1.3"},
		Routing: config.Routing{
			Policy: "weighted", Prefer: "speed",
			Affinity: time.Hour, Switchback: 5 * time.Minute, Deadline: 10 * time.Minute,
		},
		Retry: config.Retry{
			MaxRetries: 3, InitialDelay: 100 * time.Millisecond, MaxDelay: 5 * time.Second,
			BackoffMultiplier: 2, Cooldown: 5 * time.Second, MaxRetryAfter: time.Hour,
		},
		Budget:       config.Budget{AlertAt: 80, OnExceeded: "block"},
		DrainTimeout: 30 * time.Second,
		Log:          config.Log{Bodies: "all", MaxSize: 100_000_000, Keep: 5},
		State:        config.State{KeepDays: 30},
	}
	if got := config.Default(); !reflect.DeepEqual(*got, want) {
		t.Errorf("got %+v", *got)
	}
	c := load(t, "providers: {a: {endpoint: 'https://a.example', apiKey: env.KEY}}\nmodels: [{name: m, provider: a}]\n")
	if got := c.Providers[0].Timeouts; got != (config.Timeouts{3 * time.Second, time.Minute, time.Minute, 10 * time.Minute}) {
		t.Errorf("timeouts %+v", got)
	}
	c.Providers, c.Models, c.APIKeys = nil, nil, nil
	if !reflect.DeepEqual(*c, want) {
		t.Errorf("a minimal file gives %+v", *c)
	}
}

func TestThresholdDependsOnPolicy(t *testing.T) {
	base := "providers: {a: {endpoint: 'https://a.example', apiKey: env.KEY}}\nmodels: [{name: m, provider: a}]\nrouting: "
	for routing, want := range map[string]float64{
		"{}":                                  0,
		"{policy: priority}":                  40,
		"{policy: priority, tpsThreshold: 0}": 0,
		"{policy: weighted, tpsThreshold: 9}": 9,
	} {
		if got := load(t, base+routing).Routing.TPSThreshold; got != want {
			t.Errorf("%s: threshold %v, want %v", routing, got, want)
		}
	}
}

func TestRegionOfBedrock(t *testing.T) {
	const file = "providers: {a: {type: bedrock%}}\nmodels: [{name: m, provider: a}]\n"
	for _, tc := range []struct {
		keys string
		env  map[string]string
		want string // "!" = an error that names region
	}{
		{"", nil, "!"},
		{"", map[string]string{"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-2"}, "us-east-1"},
		{"", map[string]string{"AWS_DEFAULT_REGION": "us-east-2"}, "us-east-2"},
		{", region: eu-west-1", map[string]string{"AWS_REGION": "us-east-1"}, "eu-west-1"},
		{", profile: p", nil, ""},
		{", profile: p", map[string]string{"AWS_REGION": "us-east-1"}, "us-east-1"},
		{"", map[string]string{"AWS_PROFILE": "p"}, ""},
		{"", map[string]string{"AWS_REGION": "not a region"}, "!"},
	} {
		c, _, err := config.Parse("f", []byte(strings.Replace(file, "%", tc.keys, 1)), func(name string) string { return tc.env[name] })
		switch {
		case tc.want == "!":
			if err == nil || !strings.Contains(err.Error(), "region") || !strings.HasPrefix(err.Error(), "f:1:13: providers.a: ") {
				t.Errorf("%+v: error %v", tc, err)
			}
		case err != nil || c.Providers[0].Region != tc.want:
			t.Errorf("%+v: error %v, config %+v", tc, err, c)
		}
	}
}

func TestProviderByName(t *testing.T) {
	c := load(t, "providers: {a: {endpoint: 'https://a.example', apiKey: env.KEY}}\nmodels: [{name: m, provider: a}]\n")
	if p := c.Provider("a"); p != &c.Providers[0] {
		t.Errorf("found %v", p)
	}
	if p := c.Provider("b"); p != nil {
		t.Errorf("found %v", p)
	}
}

func TestLoopback(t *testing.T) {
	for listen, want := range map[string]bool{
		"127.0.0.1:8080": true, "127.8.8.8:0": true, "[::1]:80": true, "localhost:1": true, "[::ffff:127.0.0.1]:1": true,
		":8080": false, "0.0.0.0:1": false, "[::]:1": false, "192.168.0.1:1": false, "example.com:1": false, "127.0.0.1": false,
	} {
		if got := config.Loopback(listen); got != want {
			t.Errorf("%s: %v", listen, got)
		}
	}
}

// TestBytesThatAreNoText has the cases that a text file cannot show.
func TestBytesThatAreNoText(t *testing.T) {
	good := "providers: {a: {endpoint: 'https://a.example', apiKey: env.KEY}}\nmodels: [{name: m, provider: a}]\n"
	for name, tc := range map[string]struct{ data, want string }{
		"binary":           {"\x7fELF\x02\x01\x01\x00", "f:1:1: a control character (U+007F)"},
		"NUL":              {"listen: x\n\x00", "f:2:1: a control character (U+0000)"},
		"escape sequence":  {"listen: \x1b[31mx", "f:1:9: a control character (U+001B)"},
		"Latin-1":          {"# gr\xfc\xdf\n", "f:1:5: not UTF-8 text"},
		"UTF-16":           {"\xff\xfel\x00", "f:1:1: not UTF-8 text"},
		"BOM in the midst": {"a\ufeff: b", "f:1:2: a control character (U+FEFF)"},
		"too large":        {good + strings.Repeat("#", config.MaxFile), "f:1:1: the file is larger than 1 MiB"},
		"BOM":              {"\ufeff" + good, ""},
		"CRLF":             {strings.ReplaceAll(good, "\n", "\r\n"), ""},
		"CRLF, a problem":  {strings.ReplaceAll(good+"x: y\n", "\n", "\r\n"), "f:3:1: x: unknown key"},
		"largest":          {good + strings.Repeat("#", config.MaxFile-len(good)), ""},
		"end marker":       {"---\n" + good + "...\n", ""},
	} {
		_, _, err := config.Parse("f", []byte(tc.data), getenv)
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tc.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDeepNesting has files that would exhaust a parser without limits.
func TestDeepNesting(t *testing.T) {
	for _, unit := range []string{"[", "{a: ", "{a: [", "- ", "? ", "#\n- ", "!x ", "&x ", "a: *", "\"", "'a' "} {
		_, _, err := config.Parse("f", []byte(strings.Repeat(unit, config.MaxFile/len(unit))), getenv)
		var problems config.Problems
		if !errors.As(err, &problems) || problems[0].Line < 1 {
			t.Errorf("%q: %v", unit, err)
		}
	}
}

// TestProblemText holds the form of a line for each thing that may be missing.
func TestProblemText(t *testing.T) {
	for want, p := range map[string]config.Problem{
		"f:3:4: a.b: wrong": {File: "f", Line: 3, Col: 4, Key: "a.b", Reason: "wrong"},
		"f:3:4: wrong":      {File: "f", Line: 3, Col: 4, Reason: "wrong"},
		"f: a: wrong":       {File: "f", Key: "a", Reason: "wrong"},
	} {
		if p.String() != want {
			t.Errorf("got %s, want %s", p, want)
		}
	}
}

func TestLoadFromDisk(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.yaml")
	write := func(apiKey string, mode os.FileMode) {
		t.Helper()
		text := "providers: {a: {endpoint: 'https://a.example', apiKey: " + apiKey + "}}\nmodels: [{name: m, provider: a}]\n"
		if err := errors.Join(os.WriteFile(path, []byte(text), mode), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		apiKey string
		mode   os.FileMode
		warns  bool
	}{
		{"sk-literal", 0o600, false}, {"sk-literal", 0o640, true}, {"sk-literal", 0o604, true}, {"[env.KEY, sk-literal]", 0o644, true},
		{"env.KEY, headers: {X-Key: literal}", 0o644, true}, {"env.KEY, headers: {X-Key: env.KEY}", 0o644, false},
		{"env.KEY", 0o644, false}, {"cmd:pass show x", 0o644, false},
	} {
		write(tc.apiKey, tc.mode)
		doc, err := config.Load(path, getenv)
		if err != nil || doc.Config == nil {
			t.Fatal(err)
		}
		if want := tc.warns && runtime.GOOS != "windows"; (len(doc.Warnings) == 1) != want {
			t.Errorf("%+v: warnings %v", tc, doc.Warnings)
		}
		for _, w := range doc.Warnings {
			if !strings.HasPrefix(w.String(), path+":1:") || strings.Contains(w.String(), "literal") {
				t.Error(w)
			}
		}
	}

	if _, err := config.Load(filepath.Join(dir, "none.yaml"), getenv); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if _, err := config.Load(dir, getenv); err == nil {
		t.Error("a folder can be read")
	}
	if err := os.WriteFile(path, bytes.Repeat([]byte("#"), config.MaxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if doc, err := config.Load(path, getenv); err != nil || !strings.Contains(doc.Problems.Error(), "larger than 1 MiB") {
		t.Errorf("large file: %v, %+v", err, doc)
	}
	write("env.KEY", 0o000)
	if _, err := config.Load(path, getenv); os.Getuid() > 0 && !errors.Is(err, fs.ErrPermission) {
		t.Errorf("unreadable file: %v", err)
	}
}
