package requestlog

import (
	"fmt"
	"sync"

	"anyproxy/config"
	"anyproxy/internal/redact"
)

const (
	// CaptureLimit is how many bytes of an answer a Capture keeps: more than a
	// long answer has, and a bound for one that never ends.
	CaptureLimit = 1 << 20
	// cutMargin is more than a secret has in any of the forms in which it is found.
	cutMargin = 8 << 10
)

// Capture gathers an answer's body while it is relayed, for Attempt. It belongs
// to one goroutine. A nil *Capture gathers nothing.
type Capture struct {
	redact *redact.Redactor
	buf    []byte // up to cutMargin bytes more than CaptureLimit
	more   int64  // bytes beyond buf
}

var captures = sync.Pool{New: func() any { return new(Capture) }}

// Capture returns a Capture, nil when the log keeps no bodies.
func (l *Log) Capture() *Capture {
	if l == nil || l.opts.Bodies == config.BodiesNone {
		return nil
	}
	c := captures.Get().(*Capture)
	*c = Capture{redact: l.opts.Redact, buf: c.buf[:0]}
	return c
}

// Release gives the Capture back, which is not used any more, nor what Bytes has returned.
func (c *Capture) Release() {
	if c != nil && cap(c.buf) <= keepBuffer {
		captures.Put(c)
	}
}

// Append copies p to the end.
func (c *Capture) Append(p []byte) {
	if c == nil {
		return
	}
	n := min(len(p), CaptureLimit+cutMargin-len(c.buf))
	c.buf = append(c.buf, p[:n]...)
	c.more += int64(len(p) - n)
}

// Bytes returns what was gathered, with a note at the end when that is not all.
func (c *Capture) Bytes() []byte {
	if c == nil {
		return nil
	}
	if len(c.buf) <= CaptureLimit {
		return c.buf
	}
	n := c.cut()
	return fmt.Appendf(c.buf[:n:n], "\n[%d more bytes are not in the log]", c.more+int64(len(c.buf)-n))
}

// cut is how many bytes go into the log: CaptureLimit, or less where a secret is
// near, which would otherwise be cut in two and not be found.
func (c *Capture) cut() int {
	for n := CaptureLimit; n > 0; n -= cutMargin {
		near := c.buf[n-cutMargin : min(n+cutMargin, len(c.buf))]
		if clean := c.redact.Bytes(near); &clean[0] == &near[0] {
			return n
		}
	}
	return 0
}
