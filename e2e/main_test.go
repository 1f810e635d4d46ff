//go:build e2e && unix

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// Set once by TestMain.
var (
	binary  string  // anyproxy, freshly built
	clients install // the real clients
	missing error   // why there are none
)

var skipped atomic.Int32

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "anyproxy-e2e-")
	if err != nil {
		return fail("make a folder", err)
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "anyproxy")
	if out, err := exec.Command("go", "build", "-o", binary, "..").CombinedOutput(); err != nil {
		return fail("build anyproxy", fmt.Errorf("%w\n%s", err, out))
	}
	clients, missing, err = installClients()
	if err != nil {
		return fail("install the clients", err)
	}
	code := m.Run()
	if n := skipped.Load(); n > 0 {
		fmt.Printf("\ne2e: %d SCENARIOS SKIPPED: %v\n\n", n, missing)
	}
	return code
}

func fail(doing string, err error) int {
	fmt.Fprintf(os.Stderr, "e2e: %s: %v\n", doing, err)
	return 1
}

// needClients skips a scenario on a machine that cannot have the clients.
func needClients(t *testing.T) {
	t.Helper()
	if missing != nil {
		skipped.Add(1)
		t.Skipf("NOT TESTED: clients, because there are none: %v", missing)
	}
}
