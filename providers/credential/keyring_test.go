package credential

import (
	"errors"
	"strings"
	"testing"

	gokeyring "github.com/zalando/go-keyring"

	"anyproxy/config"
)

func TestKeyring(t *testing.T) {
	gokeyring.MockInit()
	ref := config.SecretRef{Kind: config.SecretKeyring, Name: "anyproxy/me/too"}
	if err := gokeyring.Set("anyproxy", "me/too", "from-the-keyring"); err != nil {
		t.Fatal(err)
	}
	h := &heard{}
	src, err := testVault(t, h).Resolve(ref, "p")
	if err != nil {
		t.Fatal(err)
	}
	got, err := src.Secret(t.Context())
	if err != nil || got.Reveal() != "from-the-keyring" || !h.hides("from-the-keyring") {
		t.Errorf("%q, %v", got.Reveal(), err)
	}
	// A refused one is looked up again.
	if err := gokeyring.Set("anyproxy", "me/too", "another-one"); err != nil {
		t.Fatal(err)
	}
	if !Renew(t.Context(), src, got) {
		t.Error("the new value is not seen")
	}
	if got, _ := src.Secret(t.Context()); got.Reveal() != "another-one" {
		t.Errorf("%q", got.Reveal())
	}
}

func TestKeyringThatIsNotThere(t *testing.T) {
	gokeyring.MockInit()
	ref := config.SecretRef{Kind: config.SecretKeyring, Name: "anyproxy/nobody"}
	ask := func() string {
		src, err := testVault(t, nil).Resolve(ref, "p")
		if err != nil {
			t.Fatal(err)
		}
		_, err = src.Secret(t.Context())
		return err.Error()
	}
	if got := ask(); !strings.Contains(got, "keyring anyproxy/nobody: it has no such entry") {
		t.Error(got)
	}
	gokeyring.MockInitWithError(errors.New("dbus: DBUS_SESSION_BUS_ADDRESS is not set"))
	defer gokeyring.MockInit()
	if got := ask(); !strings.Contains(got, "no keyring can be reached from here") || !strings.Contains(got, "use file: or cmd:") {
		t.Error(got)
	}
}
