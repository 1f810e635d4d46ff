package credential

import (
	"testing"
	"time"

	"anyproxy/config"
)

func TestPool(t *testing.T) {
	literal := func(s string) config.SecretRef {
		return config.SecretRef{Kind: config.SecretLiteral, Literal: config.NewSecret(s)}
	}
	src, err := testVault(t, nil).Resolve(config.SecretRef{Kind: config.SecretPool, Pool: []config.SecretRef{literal("key-a"), literal("key-b"), literal("key-c")}}, "p")
	if err != nil || Pending(src) {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	src.(*pool).now = func() time.Time { return now }
	turns := func(n int) (shown string) {
		for range n {
			s, err := src.Secret(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			shown += s.Reveal()[4:]
		}
		return shown
	}
	expect := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("shown in turn: %s, want %s", got, want)
		}
	}
	expect(turns(6), "abcabc")
	if !Renew(t.Context(), src, config.NewSecret("key-b")) {
		t.Error("there are two others")
	}
	expect(turns(6), "accacc")
	if !Spare(src, config.NewSecret("key-c"), 10*time.Second) {
		t.Error("there is one other")
	}
	expect(turns(3), "aaa")
	if Spare(src, config.NewSecret("key-a"), 20*time.Second) {
		t.Error("there is no other")
	}
	expect(turns(3), "ccc") // the one that comes back first
	now = now.Add(20 * time.Second)
	expect(turns(6), "accacc")
	now = now.Add(refusedPause)
	expect(turns(3), "abc")
	if Spare(fixed{config.NewSecret("key-a")}, config.NewSecret("key-a"), time.Second) {
		t.Error("one key has no other")
	}
}
