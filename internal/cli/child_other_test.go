//go:build !unix

package cli

import "os"

// childEnds is the signal that a waiting child obeys.
var childEnds = os.Interrupt
