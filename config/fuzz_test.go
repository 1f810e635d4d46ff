package config_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"anyproxy/config"
)

// FuzzParse feeds any bytes. Nothing may panic; each problem has a place and a
// reason; a secret, wherever it stands in the file, is in no problem; a
// configuration that passes keeps its promises.
func FuzzParse(f *testing.F) {
	for _, seed := range seeds(f, "testdata/*/*.[ty]*", example) {
		f.Add(seed)
	}
	for _, place := range []string{"", "- ", "? ", "*", "&", "!", "providers: {", "apiKeys: {", "auth: ", "listen: '", "a: |\n  ", "{a: b}: "} {
		f.Add([]byte(place + marker))
		f.Add([]byte(place + marker + ": " + marker))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, warnings, err := config.Parse("f.yaml", data, getenv)
		var problems config.Problems
		if err != nil && !errors.As(err, &problems) {
			t.Fatalf("error %v of type %T", err, err)
		}
		if (c == nil) != (len(problems) > 0) {
			t.Fatalf("config %v, problems %v", c, problems)
		}
		for _, p := range slices.Concat(problems, warnings) {
			if p.File == "" || p.Line < 1 || p.Col < 1 || p.Reason == "" {
				t.Errorf("incomplete problem %+v", p)
			}
			if text := p.String() + p.Excerpt; strings.Contains(text, marker) {
				t.Errorf("a secret in %s", text)
			}
		}
		if c != nil {
			sound(t, c)
		}
	})
}

// seeds are the configurations in the test files, with the marker for a secret.
func seeds(f *testing.F, pattern string, more ...string) (all [][]byte) {
	f.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, path := range append(files, more...) {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for part := range bytes.SplitSeq(data, []byte("\n-- ")) {
			if _, after, found := bytes.Cut(part, []byte(" --\n")); found {
				part = after
			}
			all = append(all, bytes.ReplaceAll(part, []byte("sk-secret"), []byte(marker)))
		}
	}
	return all
}

// FuzzDiff compares any two sound configurations. No secret may show; a
// configuration has no difference to itself; the way back has as many
// differences, with what was added removed; the lines of the text come in
// order and are all there.
func FuzzDiff(f *testing.F) {
	all := seeds(f, "testdata/[dg]*/*.[ty]*")
	for i, seed := range all {
		f.Add(seed, all[(i+1)%len(all)])
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, from, to []byte) {
		a, b := document(string(from)), document(string(to))
		if a.Config == nil || b.Config == nil {
			return
		}
		if same := config.Diff(a.Config, a.Config); len(same) != 0 {
			t.Errorf("to itself: %v", same)
		}
		there, back := config.Diff(a.Config, b.Config), config.Diff(b.Config, a.Config)
		if count(there, config.Added) != count(back, config.Removed) || count(there, config.Removed) != count(back, config.Added) {
			t.Errorf("there %v, back %v", there, back)
		}
		for _, c := range there {
			if c.Path == "" || c.Secret && c.Old+c.New != "" || strings.Contains(fmt.Sprint(c), marker) {
				t.Errorf("bad change %+v", c)
			}
		}
		last := config.Line{}
		for _, l := range config.TextDiff(a, b) {
			if l.Old == 0 && l.New == 0 || l.Old > 0 && l.Old <= last.Old || l.New > 0 && l.New <= last.New || strings.Contains(l.Text, marker) {
				t.Errorf("bad line %+v behind %+v", l, last)
			}
			last = config.Line{Old: max(l.Old, last.Old), New: max(l.New, last.New)}
		}
	})
}

// count counts the changes of a kind. A secret and a text can come and go at
// different places of a list that is compared pair by pair, so only whole
// entries count.
func count(changes []config.Change, kind config.ChangeKind) (n int) {
	for _, c := range changes {
		if c.Kind == kind && strings.HasSuffix(c.Path, "]") {
			n++
		}
	}
	return n
}

// sound checks what others rely on.
func sound(t *testing.T, c *config.Config) {
	if len(c.Providers) == 0 || len(c.Models) == 0 || len(c.APIKeys) == 0 && !config.Loopback(c.Listen) {
		t.Errorf("incomplete: %+v", c)
	}
	for _, p := range c.Providers {
		if p.Name == "" || p.Type != config.Bedrock && p.Endpoint == "" || p.Pos.Line < 1 ||
			min(p.Timeouts.Connect, p.Timeouts.FirstByte, p.Timeouts.Idle, p.Timeouts.Total) <= 0 {
			t.Errorf("provider %+v", p)
		}
		if needsKey := p.Type != config.Bedrock && p.Auth != config.AuthPassthrough && p.Auth != config.AuthNone; needsKey && p.APIKey.Kind == config.SecretNone {
			t.Errorf("provider %s without a key", p.Name)
		}
	}
	for _, m := range c.Models {
		if c.Provider(m.Provider) == nil || m.Name == "" && len(m.Alias) == 0 || !(m.Weight > 0) || m.Tier < 1 || m.Pos.Line < 1 {
			t.Errorf("model %+v", m)
		}
	}
	for _, k := range c.APIKeys {
		if k.Name == "" || k.Key.Kind == config.SecretNone || k.Key.Kind == config.SecretPool {
			t.Errorf("client key %+v", k)
		}
	}
}
