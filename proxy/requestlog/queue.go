package requestlog

import (
	"sync"
	"sync/atomic"
)

// What waits for the writer is bounded by number and by memory.
const (
	queueEntries = 1024
	queueBytes   = 64 << 20
)

type item struct {
	entry Entry
	size  int64 // bytes that were reserved for it
}

// queue is between the requests and the writer. Its one lock is held for a few
// instructions and never across I/O or a copy of a body.
type queue struct {
	dropped atomic.Int64
	wake    chan struct{} // holds a token when there may be something to do

	mu      sync.Mutex
	items   []item
	spare   []item // the writer's last batch, to be used again
	entries int    // reserved and not released
	bytes   int64
	closed  bool
}

func newQueue() *queue { return &queue{wake: make(chan struct{}, 1)} }

// reserve makes room for an entry, or counts it as dropped. Whoever reserves pushes.
func (q *queue) reserve(size int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.entries >= queueEntries || q.bytes+size > queueBytes {
		q.dropped.Add(1)
		return false
	}
	q.entries++
	q.bytes += size
	return true
}

func (q *queue) push(it item) {
	q.mu.Lock()
	q.items = append(q.items, it)
	q.mu.Unlock()
	q.signal()
}

// release gives an entry's room back when it is no longer held.
func (q *queue) release(size int64) {
	q.mu.Lock()
	q.entries--
	q.bytes -= size
	q.mu.Unlock()
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
// everything reserved has been yielded. A batch is valid until the next one.
func (q *queue) batches(yield func([]item) bool) {
	for {
		batch, end := q.take()
		if end || len(batch) > 0 && !yield(batch) {
			return
		}
		if len(batch) == 0 {
			<-q.wake
		}
	}
}

func (q *queue) take() (batch []item, end bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	batch = q.items
	q.items, q.spare = q.spare[:0], batch
	return batch, q.closed && q.entries == 0
}
