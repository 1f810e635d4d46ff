// Package contain keeps a panic to the part of the program in which it happens.
//
// A goroutine that panics ends the whole process, with a dump on standard error
// that nothing redacts, on a terminal that the dashboard may still have. So
// every goroutine that the program starts defers one of these functions: its
// part of the program fails, which is logged with the stack and counted, and
// requests go on.
//
// Goroutines of libraries cannot be reached, nor can what the runtime ends the
// process for by itself: two writers of one map, a stack or memory that is
// exhausted.
package contain

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
)

var count atomic.Int64

// Count is how many panics were contained since the process began.
func Count() int64 { return count.Load() }

// Panic logs a panic of a part of the program. It is deferred directly:
//
//	defer contain.Panic(logger, "ledger")
func Panic(logger *slog.Logger, part string) {
	if v := recover(); v != nil {
		tell(logger, part, v)
	}
}

// Error does the same, and makes the panic the error of whoever defers it.
func Error(logger *slog.Logger, part string, err *error) {
	if v := recover(); v != nil {
		tell(logger, part, v)
		*err = fmt.Errorf("%s: internal error: %v", part, v)
	}
}

// Told counts and logs what a caller has recovered by itself.
func Told(logger *slog.Logger, message string, v any, more ...any) {
	count.Add(1)
	logger.Error(message, append(more, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))...)
}

func tell(logger *slog.Logger, part string, v any) {
	Told(logger, "a part of the program has failed, the rest goes on", v, "part", part)
}
