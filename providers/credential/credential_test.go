package credential

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"anyproxy/config"
)

func getenv(name string) string { return map[string]string{"KEY": "from-env"}[name] }

func TestResolve(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	write(t, path, "from-file\n", time.Now())
	for _, tt := range []struct {
		name string
		ref  config.SecretRef
		want string
	}{
		{"none", config.SecretRef{}, ""},
		{"literal", config.SecretRef{Kind: config.SecretLiteral, Literal: config.NewSecret("lit")}, "lit"},
		{"env", config.SecretRef{Kind: config.SecretEnv, Name: "KEY"}, "from-env"},
		{"file", config.SecretRef{Kind: config.SecretFile, Name: path}, "from-file"},
	} {
		src, err := testVault(t, nil).Resolve(tt.ref, "p")
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if got, err := src.Secret(context.Background()); got.Reveal() != tt.want || err != nil {
			t.Errorf("%s: %d characters, %v; want %q", tt.name, len(got.Reveal()), err, tt.want)
		}
	}
}

func TestResolveRefuses(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"empty": "", "newline": "\n", "two-lines": "hunter2\nhunter2\n", "control": "hunter2\x1b", "large": strings.Repeat("hunter2", 10_000),
	} {
		write(t, filepath.Join(dir, name), text, time.Now())
	}
	inDir := func(name string) config.SecretRef {
		return config.SecretRef{Kind: config.SecretFile, Name: filepath.Join(dir, name)}
	}
	for _, tt := range []struct {
		ref  config.SecretRef
		want string // part of the error
	}{
		{config.SecretRef{Kind: config.SecretEnv, Name: "MISSING"}, "environment variable MISSING"},
		{inDir("absent"), "absent"}, {inDir("empty"), "empty"}, {inDir("newline"), "empty"},
		{inDir("two-lines"), "more than one line"}, {inDir("control"), "control character"}, {inDir("large"), "64 KiB"}, {inDir(""), "read secret"},
		{config.SecretRef{Kind: config.SecretRandom}, "client keys"},
		{config.SecretRef{Kind: config.SecretPool, Pool: []config.SecretRef{{Kind: config.SecretEnv, Name: "KEY"}, {Kind: config.SecretEnv, Name: "MISSING"}}}, "key 2: environment variable MISSING"},
		{config.SecretRef{Kind: config.SecretOAuth, OAuth: &config.OAuth{RefreshToken: config.SecretRef{Kind: config.SecretEnv, Name: "MISSING"}}}, "refreshToken: environment variable MISSING"},
	} {
		_, err := testVault(t, nil).Resolve(tt.ref, "p")
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Resolve(%v) = %v, want an error with %q", tt.ref, err, tt.want)
		}
	}
}

func TestFileIsReadAgainWhenItChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	write(t, path, "one-11", day)
	src, err := testVault(t, nil).Resolve(config.SecretRef{Kind: config.SecretFile, Name: path}, "p")
	if err != nil {
		t.Fatal(err)
	}
	expect := func(want string) {
		t.Helper()
		if got, err := src.Secret(context.Background()); got.Reveal() != want || err != nil {
			t.Errorf("got %q, %v; want %q", got.Reveal(), err, want)
		}
	}
	expect("one-11")
	write(t, path, "two-22", day)
	expect("one-11") // same time, same size: not read
	write(t, path, "two-22", day.Add(time.Second))
	expect("two-22")
	write(t, path, "three\r\n", day.Add(time.Second))
	expect("three")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := src.Secret(context.Background()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("removed file: %v, want ErrNotExist", err)
	}
	write(t, path, "four", day.Add(2*time.Second))
	expect("four")
}

// write makes a file whose modification time is at.
func write(t *testing.T, path, text string, at time.Time) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}
