package proxy

import (
	"context"
	"sync/atomic"
	"time"

	"anyproxy/providers"
)

// watch cancels an attempt that stays silent for too long, or that has not
// committed when its request's time is up. It costs one atomic store per read
// and one timer per attempt: the timer looks, when it fires, how long the
// silence really is, and goes to sleep for the rest.
type watch struct {
	start    time.Time
	last     atomic.Int64 // of the last byte, ns since start
	silence  atomic.Int64 // the longest that is allowed, ns
	deadline atomic.Int64 // ns since start; 0 = none
	stopped  atomic.Bool
	cancel   context.CancelCauseFunc
	timer    *time.Timer
}

// begin watches from now on. timeLeft is until when the attempt must have committed.
func (w *watch) begin(cancel context.CancelCauseFunc, silence, timeLeft time.Duration) {
	w.cancel, w.start = cancel, time.Now()
	w.silence.Store(int64(silence))
	w.deadline.Store(int64(max(timeLeft, 1)))
	w.timer = time.AfterFunc(time.Hour, w.check)
	w.timer.Reset(min(silence, timeLeft)) // it may fire at once, and must find itself stored
}

func (w *watch) check() {
	if w.stopped.Load() {
		return
	}
	now := time.Since(w.start)
	rest := time.Duration(w.silence.Load()+w.last.Load()) - now
	if deadline := time.Duration(w.deadline.Load()); deadline > 0 {
		rest = min(rest, deadline-now)
	}
	if rest <= 0 {
		w.cancel(providers.ErrTimeout)
		return
	}
	w.timer.Reset(min(rest, time.Duration(w.silence.Load()))) // a pause may end before that
}

// heard says that the upstream has sent something.
func (w *watch) heard(at time.Time) { w.last.Store(int64(at.Sub(w.start))) }

// pause says that it is not the upstream's turn, until it is heard again.
func (w *watch) pause() { w.last.Store(int64(aLongTime)) }

// aLongTime is longer than any request, and can be added to.
const aLongTime = 1000 * time.Hour

// setSilence changes the limit: the upstream has just been heard.
func (w *watch) setSilence(limit time.Duration) {
	w.heard(time.Now())
	w.silence.Store(int64(limit))
	w.check()
}

// committed takes the request's deadline away: only silence ends it now.
func (w *watch) committed() { w.deadline.Store(0) }

func (w *watch) stop() {
	w.stopped.Store(true)
	w.timer.Stop()
}
