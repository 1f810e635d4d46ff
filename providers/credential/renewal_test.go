package credential

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"anyproxy/config"
)

// An audit is told of every time that a source was asked, with what came of it
// and never with a value.
func TestRenewalsAreToldForTheAudit(t *testing.T) {
	h := &heard{}
	v := testVault(t, h)
	get := func(ref config.SecretRef, owner string) Source {
		t.Helper()
		src, err := v.Resolve(ref, owner)
		if err != nil {
			t.Fatal(err)
		}
		src.Secret(t.Context()) // it may fail, which is told
		return src
	}
	expect := func(format string, args ...any) {
		t.Helper()
		if got, want := h.renewals(), fmt.Sprintf(format, args...); got != want {
			t.Errorf("got:\n%swant:\n%s", got, want)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.renewed = nil
	}

	command := sh(t, "echo value-1")
	get(command, "p")
	get(command, "q") // has what p has got
	get(sh(t, "echo sealed >&2; exit 1"), "p")
	expect("p cmd sh renewed %s\np cmd sh not_renewed \n", Fingerprint("value-1"))

	path := filepath.Join(t.TempDir(), "key")
	write(t, path, "one", time.Unix(1, 0))
	file := get(config.SecretRef{Kind: config.SecretFile, Name: path}, "p")
	expect("")
	write(t, path, "one", time.Unix(2, 0)) // touched
	file.Secret(t.Context())
	write(t, path, "two", time.Unix(3, 0))
	file.Secret(t.Context())
	expect("p file %s renewed %s\n", path, Fingerprint("two"))

	s := startTokens(t, time.Hour)
	host, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	ref, path := inFile(t, "refresh-000")
	get(s.ref(ref), "p")
	expect("p file:%s written_back %s\np oauth at %s renewed %s\n", path, Fingerprint("refresh-001"), host.Host, Fingerprint("access-001"))
	get(s.ref(config.SecretRef{Kind: config.SecretLiteral, Literal: config.NewSecret("refresh-001")}), "q")
	expect("q the configuration not_written %s\nq oauth at %s renewed %s\n", Fingerprint("refresh-002"), host.Host, Fingerprint("access-002"))
	get(s.ref(ref), "p") // holds a token that has been used elsewhere, and has one that is good
	expect("")
	if err := os.WriteFile(path, []byte("refresh-000"), 0o600); err != nil {
		t.Fatal(err)
	}
	v.Keep()
	get(s.ref(ref), "p")
	expect("p oauth at %s not_renewed \n", host.Host)
}
