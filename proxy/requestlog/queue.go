package requestlog

import (
	"sync"
	"sync/atomic"
	"time"
)

// What waits for the writer is bounded by number and by memory.
const (
	queueLines = 1024
	queueBytes = 64 << 20
)

// The writer is woken when there is enough for it to do, or when the first line
// has waited for gatherFor: to wake it costs more than a line does. It is also
// about what a kill can cost.
const (
	gatherFor   = 100 * time.Millisecond
	gatherLines = queueLines / 8
	gatherBytes = 256 << 10
)

// queue is between the requests and the writer. Its one lock is held for a few
// instructions and never across I/O or a copy of a body.
type queue struct {
	dropped atomic.Int64
	wake    chan struct{} // holds a token when there may be something to do

	mu      sync.Mutex
	waiting []*line
	ready   int64   // bytes of waiting
	spare   []*line // the writer's last batch, to be used again
	lines   int     // reserved and not released
	bytes   int64
	closed  bool
}

func newQueue() *queue { return &queue{wake: make(chan struct{}, 1)} }

// reserve makes room for a line of about size bytes, or counts it as dropped.
// Whoever reserves pushes.
func (q *queue) reserve(size int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.lines >= queueLines || q.bytes+size > queueBytes {
		q.dropped.Add(1)
		return false
	}
	q.lines++
	q.bytes += size
	return true
}

// push queues a line for which reserved bytes were.
func (q *queue) push(l *line, reserved int64) {
	l.size = int64(len(l.text))
	q.mu.Lock()
	before := q.enoughLocked()
	q.waiting = append(q.waiting, l)
	q.ready += l.size
	q.bytes += l.size - reserved
	signal := len(q.waiting) == 1 || q.enoughLocked() && !before || q.closed
	q.mu.Unlock()
	if signal {
		q.signal()
	}
}

func (q *queue) enoughLocked() bool {
	return len(q.waiting) >= gatherLines || q.ready >= gatherBytes
}

// release gives a line's room back when it is no longer held.
func (q *queue) release(size int64) {
	q.mu.Lock()
	q.lines--
	q.bytes -= size
	last := q.closed && q.lines == 0
	q.mu.Unlock()
	if last { // the writer may be waiting for it
		q.signal()
	}
}

func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// batches yields all that waits, again and again, until the queue is closed and
// everything reserved has been yielded and released. A batch is valid until the next one.
func (q *queue) batches(yield func([]*line) bool) {
	for !q.ended() {
		<-q.wake
		q.gather()
		if batch := q.take(); len(batch) > 0 && !yield(batch) {
			return
		}
	}
}

func (q *queue) ended() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed && q.lines == 0
}

// gather waits for lines that can be written with the first.
func (q *queue) gather() {
	q.mu.Lock()
	enough := q.enoughLocked() || q.closed
	q.mu.Unlock()
	if enough {
		return
	}
	wait := time.NewTimer(gatherFor)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-q.wake:
	}
}

func (q *queue) take() []*line {
	q.mu.Lock()
	defer q.mu.Unlock()
	batch := q.waiting
	q.waiting, q.spare, q.ready = q.spare[:0], batch, 0
	return batch
}
