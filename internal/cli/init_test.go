package cli

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"anyproxy/config"
)

// agreeable is a person who says yes to everything and takes what is proposed.
type agreeable struct{ bytes.Buffer }

func (a *agreeable) Read(p []byte) (int, error) {
	if bytes.HasSuffix(a.Bytes(), []byte("N] ")) {
		return copy(p, "y\n"), nil
	}
	return copy(p, "\n"), nil
}

// someKeys has a value for each variable that is looked at.
func someKeys() map[string]string {
	keys := map[string]string{"ANTHROPIC_API_KEY": "sk-ant-secret", "CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat-secret",
		"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "us-east-1", "AWS_PROFILE": `my "profile"`}
	for _, a := range foreign {
		keys[a.found] = "secret-of-" + a.name
	}
	return keys
}

// TestEveryDraftIsInOrder writes the file for every combination of variables, for
// who says nothing and for who agrees to everything.
func TestEveryDraftIsInOrder(t *testing.T) {
	keys := someKeys()
	var names []string
	for name := range keys {
		names = append(names, name)
	}
	slices.Sort(names)
	for set := range 1 << len(names) {
		env := map[string]string{}
		for i, name := range names {
			if set&(1<<i) != 0 {
				env[name] = keys[name]
			}
		}
		getenv := func(name string) string { return env[name] }
		yes := &agreeable{}
		for who, talk := range map[string]*interview{"nobody": {}, "agreeable": {bufio.NewReader(yes), yes}} {
			d, err := agree(talk, getenv)
			if err != nil {
				t.Fatalf("%v, %s: %v", env, who, err)
			}
			text := d.text()
			doc, err := parseText("config.yaml", text, getenv)
			if err != nil || len(doc.Problems)+len(doc.Warnings) > 0 {
				t.Fatalf("%v, %s: %v %v %v\n%s", env, who, err, doc.Problems, doc.Warnings, text)
			}
			if strings.Contains(text, "secret") {
				t.Fatalf("%v, %s: a secret is in\n%s", env, who, text)
			}
			checkWhoServesClaude(t, doc.Config, who == "agreeable")
			if t.Failed() {
				t.Fatalf("%v, %s:\n%s", env, who, text)
			}
		}
	}
}

// checkWhoServesClaude holds that nobody but Anthropic and Bedrock does unless
// that was agreed to, and that each is asked only when those before have failed.
func checkWhoServesClaude(t *testing.T, c *config.Config, agreed bool) {
	t.Helper()
	tier := 0
	for _, m := range c.Models {
		if !slices.Contains(m.Alias, "claude-*") {
			continue
		}
		if tier++; m.Tier != tier {
			t.Errorf("%s answers for Claude in tier %d, want %d", m.Provider, m.Tier, tier)
		}
		switch m.Provider {
		case "anthropic", "bedrock":
		default:
			if !agreed {
				t.Errorf("%s answers for Claude", m.Provider)
			}
			if m.Name == "" {
				t.Errorf("%s is asked for Claude's own name", m.Provider)
			}
		}
	}
	if tier == 0 {
		t.Error("nobody answers for Claude")
	}
}

// TestWhatADraftHasSwitchedOff switches its settings on, one by one and together.
func TestWhatADraftHasSwitchedOff(t *testing.T) {
	getenv := func(name string) string { return map[string]string{"ANYPROXY_KEY": "a-client-key"}[name] }
	d, err := agree(&interview{}, getenv)
	if err != nil {
		t.Fatal(err)
	}
	off := regexp.MustCompile(`(?m)^#([a-zA-Z]+:)`)
	found := off.FindAllString(d.text(), -1)
	if len(found) < 4 {
		t.Fatalf("only %q are switched off", found)
	}
	texts := []string{off.ReplaceAllString(d.text(), "$1")}
	for _, one := range found {
		texts = append(texts, strings.Replace(d.text(), one, one[1:], 1))
	}
	for _, text := range texts {
		if doc, err := parseText("config.yaml", text, getenv); err != nil || len(doc.Problems)+len(doc.Warnings) > 0 {
			t.Errorf("%v %v %v\n%s", err, doc.Problems, doc.Warnings, text)
		}
	}
}

// TestBedrockProfileInADraft holds that the file names no profile where the
// environment has credentials itself, over which it would win.
func TestBedrockProfileInADraft(t *testing.T) {
	for _, c := range []struct {
		more, want string
	}{
		{"", `"work"`}, {"AWS_ACCESS_KEY_ID", ""}, {"AWS_BEARER_TOKEN_BEDROCK", ""},
	} {
		env := map[string]string{"AWS_PROFILE": "work", c.more: "x"}
		d, err := agree(&interview{}, func(name string) string { return env[name] })
		if err != nil {
			t.Fatal(err)
		}
		got := regexp.MustCompile(`profile: +(.*)`).FindStringSubmatch(d.text())
		if c.want == "" && got != nil || c.want != "" && (got == nil || got[1] != c.want) {
			t.Errorf("with %q: profile %q, want %q", c.more, got, c.want)
		}
	}
}

func TestInitWritesForItsOwnerOnly(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED: modes, which are those of Unix")
	}
	code, _, errw := run(t, nil, "init", "-yes", "-config", "sub/config.yaml")
	if code != exitDone {
		t.Fatal(errw)
	}
	for name, want := range map[string]os.FileMode{"sub": 0o700 | os.ModeDir, "sub/config.yaml": 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v, want %v", name, info.Mode(), err, want)
		}
	}
}

// TestInitFollowsLinks holds that a file behind a link is asked about, and that
// a link to nowhere is told.
func TestInitFollowsLinks(t *testing.T) {
	dir := t.TempDir()
	link, there := filepath.Join(dir, "link.yaml"), filepath.Join(dir, "there.yaml")
	if err := os.Symlink(there, link); err != nil {
		t.Skipf("NOT TESTED: links, as there are none: %v", err)
	}
	if code, _, errw := run(t, nil, "init", "-yes", "-config", link); code != exitFailed || !strings.Contains(errw, "there.yaml") {
		t.Errorf("to nowhere: %d, %s", code, errw)
	}
	if err := os.WriteFile(there, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	real, exists, err := place(link)
	if want, _ := filepath.EvalSymlinks(there); err != nil || !exists || real != want {
		t.Errorf("%q, %v, %v, want %q", real, exists, err, want)
	}
}
