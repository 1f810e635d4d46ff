//go:build !linux && !darwin

package upstream

import "time"

// boundUnacknowledged leaves it to the limits on silence.
func boundUnacknowledged(uintptr, time.Duration) {}
