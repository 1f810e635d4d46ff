//go:build unix

package requestlog

import (
	"errors"
	"fmt"
	"syscall"
)

// openFlags: a link put in the log's place must not turn its lines into another
// file, and a pipe without a reader must not hold up the start.
const openFlags = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// explain says what the system's error does not.
func explain(err error) error {
	switch {
	case errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.EMLINK): // FreeBSD says EMLINK
		return fmt.Errorf("%w (a symbolic link is not followed)", err)
	case errors.Is(err, syscall.ENXIO):
		return fmt.Errorf("%w (nobody reads this pipe)", err)
	default:
		return err
	}
}
