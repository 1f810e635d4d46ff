package credential

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// heard is what a vault has said.
type heard struct {
	mu      sync.Mutex
	notices []Notice
	hidden  []string
	renewed []Renewal
}

// renewals are told in a line each: the owner, the source, the outcome and the
// fingerprint.
func (h *heard) renewals() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var b strings.Builder
	for _, r := range h.renewed {
		fmt.Fprintln(&b, r.Owner, r.Source, r.Outcome, r.Fingerprint)
	}
	return b.String()
}

func (h *heard) texts() (all []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range h.notices {
		all = append(all, n.Text)
	}
	return all
}

func (h *heard) hides(value string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Contains(h.hidden, value)
}

// testVault is closed when the test ends. What it says goes to h, which may be
// nil, and must hold nothing that it hides.
func testVault(t testing.TB, h *heard, change ...func(*Options)) *Vault {
	t.Helper()
	if h == nil {
		h = &heard{}
	}
	o := Options{Getenv: getenv,
		Hide: func(values ...string) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.hidden = append(h.hidden, values...)
		},
		Tell: func(n Notice) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.notices = append(h.notices, n)
		},
		Renewed: func(r Renewal) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.renewed = append(h.renewed, r)
		}}
	for _, c := range change {
		c(&o)
	}
	v := NewVault(o)
	t.Cleanup(func() {
		v.Close()
		for _, n := range h.notices {
			for _, secret := range h.hidden {
				if len(secret) > 4 && strings.Contains(n.Text, secret) {
					t.Errorf("%q says %q", n.Text, secret)
				}
			}
		}
	})
	return v
}
