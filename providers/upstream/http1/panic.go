package http1

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// panicked is a panic in a goroutine beside the request's. It ends where it belongs:
// in the request's own, whose handler logs and counts it.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("%v\n%s", p.value, p.stack) }

// carry makes an error of a panic. It is deferred directly.
func carry(err *error) {
	if v := recover(); v != nil {
		*err = &panicked{v, debug.Stack()}
	}
}

// rethrow panics where err is what carry made.
func rethrow(err error) {
	if p := (*panicked)(nil); errors.As(err, &p) {
		panic(p)
	}
}
