package logging

import (
	"io"
	"sync"
	"sync/atomic"
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

// RingLen is the number of lines that a Ring keeps.
const RingLen = 1000

// Ring keeps the last RingLen lines that were written to it. The zero Ring is
// empty and ready; it is safe for concurrent use.
type Ring struct {
	mu    sync.Mutex
	lines []string
	next  int // where the next line goes once lines is full
}

// Write takes p as one line.
func (r *Ring) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.lines) < RingLen {
		r.lines = append(r.lines, string(p))
	} else {
		r.lines[r.next] = string(p)
		r.next = (r.next + 1) % RingLen
	}
	return len(p), nil
}

// Lines returns what is kept, oldest first, each line with its newline.
func (r *Ring) Lines() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append(append(make([]string, 0, len(r.lines)), r.lines[r.next:]...), r.lines[:r.next]...)
}
