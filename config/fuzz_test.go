package config_test

import (
	"bytes"
	"errors"
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
	files, err := filepath.Glob("testdata/*/*.[ty]*")
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, path := range append(files, example) {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for seed := range bytes.SplitSeq(data, []byte("-- want --")) {
			if _, after, found := bytes.Cut(seed, []byte(" --\n")); found {
				seed = after
			}
			f.Add(bytes.ReplaceAll(seed, []byte("sk-secret"), []byte(marker)))
		}
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
