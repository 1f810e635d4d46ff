package providers

import "errors"

// ErrTimeout is the cancellation cause of an attempt that missed a deadline:
// a Provider whose context ends with it in its cause's chain reports
// ClassTimeout, so that a silent upstream is told from a client that left.
var ErrTimeout = errors.New("upstream missed its deadline")
