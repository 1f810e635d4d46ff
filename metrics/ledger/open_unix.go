//go:build unix

package ledger

import (
	"errors"
	"fmt"
	"syscall"
)

// openFlags: a link put in a day file's place must not turn its rows into
// another file, and to open a pipe must not take for ever.
const openFlags = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// explain says what the system's error does not.
func explain(err error) error {
	if errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.EMLINK) { // FreeBSD says EMLINK
		return fmt.Errorf("%w (a symbolic link is not followed)", err)
	}
	return err
}
