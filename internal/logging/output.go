package logging

import (
	"bytes"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Switch is a writer whose target can be changed while it is used: nothing may
// write to the terminal while the dashboard has it.
type Switch struct{ target atomic.Pointer[io.Writer] }

// NewSwitch returns a Switch to w.
func NewSwitch(w io.Writer) *Switch {
	s := new(Switch)
	s.Set(w)
	return s
}

// Set sends every later Write to w. It does not wait for one that is under way.
func (s *Switch) Set(w io.Writer) { s.target.Store(&w) }

func (s *Switch) Write(p []byte) (int, error) { return (*s.target.Load()).Write(p) }

// AsyncLines is how many lines wait for a writer that is held up, a terminal
// stopped with ctrl+s for instance, before more are dropped.
const AsyncLines = 1024

// Async takes lines without ever blocking and writes them from a goroutine of
// its own, so that a blocked terminal cannot hold up a request. It is safe for
// concurrent use. Close ends it.
type Async struct {
	w       io.Writer // gets one or more whole lines at a time
	lines   chan []byte
	done    chan struct{}
	dropped atomic.Int64

	mu     sync.RWMutex // against Close
	closed bool
}

// NewAsync starts writing to w.
func NewAsync(w io.Writer) *Async {
	a := &Async{w: w, lines: make(chan []byte, AsyncLines), done: make(chan struct{})}
	go a.run()
	return a
}

func (a *Async) run() {
	defer close(a.done)
	var batch []byte
	for line := range a.lines {
		batch = append(batch[:0], line...)
		for waiting := len(a.lines); waiting > 0; waiting-- {
			batch = append(batch, <-a.lines...)
		}
		a.put(batch)
	}
}

// put writes, or loses what it should: there is nowhere else to say it.
func (a *Async) put(batch []byte) {
	defer func() {
		if recover() != nil {
			a.dropped.Add(int64(bytes.Count(batch, []byte("\n"))))
		}
	}()
	_, _ = a.w.Write(batch)
}

// Write queues a copy of p. What does not fit is dropped and counted.
func (a *Async) Write(p []byte) (int, error) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if !a.closed {
		select {
		case a.lines <- append([]byte(nil), p...):
			return len(p), nil
		default:
		}
	}
	a.dropped.Add(1)
	return len(p), nil
}

// Dropped is the number of lines that were not written.
func (a *Async) Dropped() int64 { return a.dropped.Load() }

// Close writes what is queued, for at most the given time.
func (a *Async) Close(atMost time.Duration) {
	a.mu.Lock()
	if !a.closed {
		a.closed = true
		close(a.lines)
	}
	a.mu.Unlock()
	select {
	case <-a.done:
	case <-time.After(atMost):
	}
}
