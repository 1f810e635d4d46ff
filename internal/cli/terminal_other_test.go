//go:build unix && !linux

package cli

import "testing"

func runOnTerminal(t *testing.T, _, _ string) {
	t.Helper()
	t.Skip("NOT TESTED: a terminal, as pseudo-terminals are opened on Linux only")
}
