package proxy

import (
	"context"
	"sync/atomic"
	"time"

	"anyproxy/providers"
)

// watch cancels an attempt that stays silent for too long. It costs one atomic
// store per read and one timer per attempt: the timer looks, when it fires,
// how long the silence really is, and goes to sleep for the rest.
type watch struct {
	cancel context.CancelCauseFunc
	timer  *time.Timer
	start  time.Time
	last   atomic.Int64 // of the last byte, ns since start
	limit  atomic.Int64 // ns; 0 = none
}

// newWatch watches from now on with the given limit.
func newWatch(cancel context.CancelCauseFunc, limit time.Duration) *watch {
	w := &watch{cancel: cancel, start: time.Now()}
	w.limit.Store(int64(limit))
	w.timer = time.AfterFunc(limit, w.check)
	return w
}

func (w *watch) check() {
	limit := time.Duration(w.limit.Load())
	quiet := time.Since(w.start) - time.Duration(w.last.Load())
	if quiet >= limit {
		w.cancel(providers.ErrTimeout)
		return
	}
	w.timer.Reset(limit - quiet)
}

// heard says that the upstream has sent something.
func (w *watch) heard(at time.Time) { w.last.Store(int64(at.Sub(w.start))) }

// setLimit changes the limit from now on.
func (w *watch) setLimit(at time.Time, limit time.Duration) {
	w.heard(at)
	w.limit.Store(int64(limit))
	w.timer.Reset(limit)
}

func (w *watch) stop() { w.timer.Stop() }
