package config_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"anyproxy/config"
)

func aValue(string) string { return "a-value" }

// edited sets contexts in a text.
func edited(t *testing.T, text string, contexts map[int]int) (string, error) {
	t.Helper()
	doc := config.ParseDocument([]byte(text), aValue)
	if len(doc.Problems) > 0 {
		t.Fatal(doc.Problems)
	}
	out, err := doc.WithContexts(contexts, aValue)
	return string(out), err
}

func TestEditKeepsAllElse(t *testing.T) {
	data, err := os.ReadFile("testdata/edits/comments.yaml")
	if err != nil {
		t.Fatal(err)
	}
	contexts := map[int]int{0: 200_000, 1: 131_072, 2: 8192, 3: 4096, 4: 5, 5: 6, 6: 7, 7: 8}
	got, err := edited(t, string(data), contexts)
	if err != nil {
		t.Fatal(err)
	}
	golden := "testdata/edits/comments.want"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || got != string(want) {
		t.Errorf("%v; got:\n%s", err, got)
	}
	if again, err := edited(t, got, contexts); err != nil || again != got {
		t.Errorf("%v; the same contexts again make:\n%s", err, again)
	}
	if same, err := edited(t, string(data), nil); err != nil || same != string(data) {
		t.Errorf("%v; no contexts make:\n%s", err, same)
	}
}

func TestEditForms(t *testing.T) {
	const providers = "providers: {a: {endpoint: 'https://a.example', auth: none}}\n"
	for name, c := range map[string]struct{ text, want string }{
		"Windows":              {"\ufeff" + strings.ReplaceAll(providers, "\n", "\r\n") + "models:\r\n- provider: a\r\n  name: m\r\n", "\ufeff" + strings.ReplaceAll(providers, "\n", "\r\n") + "models:\r\n- provider: a\r\n  context: 7\r\n  name: m\r\n"},
		"no end of line":       {providers + "models:\n- name: m\n  provider: a", providers + "models:\n- name: m\n  provider: a\n  context: 7"},
		"on one line":          {providers + "models: [{name: m, provider: a}]", providers + "models: [{name: m, provider: a, context: 7}]"},
		"under spec":           {"spec:\n  providers: {a: {endpoint: 'https://a.example', auth: none}}\n  models:\n  - provider: a\n    name: m\n", "spec:\n  providers: {a: {endpoint: 'https://a.example', auth: none}}\n  models:\n  - provider: a\n    context: 7\n    name: m\n"},
		"JSON":                 {`{"providers": {"a": {"endpoint": "https://a.example", "auth": "none"}}, "models": [{"name": "m", "provider": "a"}]}`, `{"providers": {"a": {"endpoint": "https://a.example", "auth": "none"}}, "models": [{"name": "m", "provider": "a", "context": 7}]}`},
		"old Mac's line ends":  {strings.ReplaceAll(providers, "\n", "\r") + "models:\r- {name: m, provider: a, context: 1}\r", strings.ReplaceAll(providers, "\n", "\r") + "models:\r- {name: m, provider: a, context: 7}\r"},
		"odd line breaks":      {providers + "# a\u2028# b\u0085models: [{name: m, provider: a, context: 1}]\n", providers + "# a\u2028# b\u0085models: [{name: m, provider: a, context: 7}]\n"},
		"a comment right away": {providers + "models:\n- name: m\n  provider: a #\n", providers + "models:\n- name: m\n  provider: a #\n  context: 7\n"},
		"a document's marks":   {"---\n" + providers + "models:\n- name: m\n  provider: a\n...\n", "---\n" + providers + "models:\n- name: m\n  provider: a\n  context: 7\n...\n"},
	} {
		if got, err := edited(t, c.text, map[int]int{0: 7}); err != nil || got != c.want {
			t.Errorf("%s: %v; got:\n%q", name, err, got)
		}
	}
}

func TestEditRefusesWhatItCannotDo(t *testing.T) {
	const providers = "providers: {a: {endpoint: 'https://a.example', auth: none}}\n"
	for name, text := range map[string]string{
		"a block scalar":       providers + "models:\n- name: m\n  provider: |-\n    a\n",
		"a folded scalar":      providers + "models:\n- name: m\n  provider: >-\n    a\n",
		"an escape":            providers + "models:\n- name: m\n  provider: \"\\x61\"\n",
		"keys with a question": providers + "models:\n- ? name\n  : m\n  ? provider\n  : a\n",
	} {
		got, err := edited(t, text, map[int]int{0: 7})
		if err == nil || got != "" || !strings.Contains(err.Error(), "models[0]: the context cannot be set in place; set it by hand, context: 7") {
			t.Errorf("%s: %v; got:\n%s", name, err, got)
		}
	}
}

func FuzzEdit(f *testing.F) {
	files, err := filepath.Glob("testdata/*/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, 8192)
	}
	f.Fuzz(func(t *testing.T, data []byte, n int) {
		doc := config.ParseDocument(data, aValue)
		if doc.Config == nil || n < 1 {
			return
		}
		contexts := map[int]int{}
		for i := range doc.Config.Models {
			contexts[i] = n
		}
		text, err := doc.WithContexts(contexts, aValue)
		if err != nil {
			return
		}
		again := config.ParseDocument(text, aValue)
		if again.Config == nil {
			t.Fatalf("%v in\n%s", again.Problems, text)
		}
		for i, m := range again.Config.Models {
			if m.Context != n {
				t.Errorf("models[%d]: %d, want %d in\n%s", i, m.Context, n, text)
			}
		}
		if bytes.Count(text, []byte("#")) != bytes.Count(data, []byte("#")) {
			t.Errorf("a comment is lost, or new, in\n%s", text)
		}
		if same, err := again.WithContexts(contexts, aValue); err != nil || string(same) != string(text) {
			t.Errorf("%v; the same contexts again make:\n%s", err, same)
		}
	})
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real.yaml"), filepath.Join(dir, "link.yaml")
	if err := os.WriteFile(real, []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(real, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real.yaml", link); err != nil {
		t.Skip("NOT TESTED: symbolic links, as there are none:", err)
	}
	if err := config.WriteFile(link, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(link)
	data, _ := os.ReadFile(real)
	mode, _ := os.Stat(real)
	if err != nil || info.Mode()&os.ModeSymlink == 0 || string(data) != "new" || mode.Mode().Perm() != 0o640 {
		t.Errorf("%v, %q, link %v, mode %v", err, data, info.Mode(), mode.Mode())
	}
	fresh := filepath.Join(dir, "fresh.yaml")
	if err := config.WriteFile(fresh, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if mode, _ := os.Stat(fresh); mode.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", mode.Mode())
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "dangling")); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{dir, filepath.Join(dir, "dangling"), filepath.Join(dir, "no", "folder"), os.DevNull} {
		if err := config.WriteFile(bad, []byte("new"), 0o600); err == nil || !strings.HasPrefix(err.Error(), "write config: ") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}
