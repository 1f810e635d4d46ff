package credential

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"anyproxy/config"
)

// sh is a command line for a shell, which stands in for any program.
func sh(t *testing.T, script string, args ...string) config.SecretRef {
	t.Helper()
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip("NOT TESTED: commands, because there is no /bin/sh")
	}
	return config.SecretRef{Kind: config.SecretCommand, TTL: time.Hour, Command: append([]string{"/bin/sh", "-c", script, "sh"}, args...)}
}

func TestCommand(t *testing.T) {
	h := &heard{}
	src, err := testVault(t, h).Resolve(sh(t, "echo from-the-manager"), "p")
	if err != nil || !Pending(src) {
		t.Fatal(err)
	}
	got, err := src.Secret(t.Context())
	if err != nil || got.Reveal() != "from-the-manager" || !h.hides("from-the-manager") {
		t.Errorf("%q, %v", got.Reveal(), err)
	}
}

func TestCommandsThatFail(t *testing.T) {
	for name, tt := range map[string]struct {
		ref    config.SecretRef
		want   string
		absent string
	}{
		"exit code":             {sh(t, "echo vault is sealed >&2; exit 3"), "cmd sh: exit status 3: vault is sealed", ""},
		"nothing":               {sh(t, "true"), "empty", ""},
		"two lines":             {sh(t, "echo hunter22; echo hunter22"), "more than one line", "hunter22"},
		"too much":              {sh(t, "head -c 70000 /dev/zero | tr '\\0' a"), "more than 64 KiB", "aaaa"},
		"a secret in its error": {sh(t, `echo hunter22; echo "hunter22 and $1 are wrong" >&2; exit 1`, "argument-secret"), "••••••", "hunter22"},
		"no such program":       {config.SecretRef{Kind: config.SecretCommand, Command: []string{"no-such-program-here", "argument-secret"}}, "no such program", "argument-secret"},
	} {
		t.Run(name, func(t *testing.T) {
			h := &heard{}
			src, err := testVault(t, h).Resolve(tt.ref, "p")
			if err != nil {
				t.Fatal(err)
			}
			_, err = src.Secret(t.Context())
			if err == nil || !strings.Contains(err.Error(), tt.want) || tt.absent != "" && strings.Contains(err.Error(), tt.absent) || strings.Contains(err.Error(), "argument-secret") {
				t.Errorf("%v", err)
			}
			src.Secret(t.Context()) // is not asked again so soon
			if n := h.notices; len(n) != 1 || !n[0].Failed || n[0].Owner != "p" {
				t.Errorf("%+v", n)
			}
		})
	}
}

// What a command has started ends with it, and it is over when its time is.
func TestCommandEndsWithTheVault(t *testing.T) {
	done := filepath.Join(t.TempDir(), "begun")
	v := NewVault(Options{})
	src, err := v.Resolve(sh(t, `: > "$1"; sleep 1000 | sleep 1000`, done), "p")
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() { _, err := src.Secret(t.Context()); failed <- err }()
	for _, err := os.Stat(done); err != nil; _, err = os.Stat(done) {
		time.Sleep(time.Millisecond)
	}
	v.Close()
	if err := <-failed; err == nil {
		t.Error("no error")
	}
}

func TestCommandIsSharedAndKept(t *testing.T) {
	count := filepath.Join(t.TempDir(), "count")
	ref := sh(t, `echo x >> "$1"; echo value-1`, count)
	v := testVault(t, nil)
	for _, owner := range []string{"a", "b", "a"} {
		src, err := v.Resolve(ref, owner)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := src.Secret(t.Context()); err != nil {
			t.Fatal(err)
		}
		v.Keep(src)
	}
	if got, err := os.ReadFile(count); err != nil || string(got) != "x\n" {
		t.Errorf("it ran %d times, %v", strings.Count(string(got), "x"), err)
	}
	v.Keep()
	src, _ := v.Resolve(ref, "a")
	src.Secret(t.Context())
	if got, _ := os.ReadFile(count); string(got) != "x\nx\n" {
		t.Errorf("what nobody needed was kept: %q", got)
	}
}
