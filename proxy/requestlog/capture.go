package requestlog

import (
	"fmt"

	"anyproxy/config"
)

// CaptureLimit is how many bytes of an answer a Capture keeps: more than a long
// answer has, and a bound for one that never ends.
const CaptureLimit = 1 << 20

// Capture gathers an answer's body while it is relayed, for Attempt. It belongs
// to one goroutine. A nil *Capture gathers nothing.
type Capture struct {
	buf  []byte
	more int64 // bytes beyond CaptureLimit
}

// Capture returns a new Capture, nil when the log keeps no bodies.
func (l *Log) Capture() *Capture {
	if l == nil || l.opts.Bodies == config.BodiesNone {
		return nil
	}
	return new(Capture)
}

// Append copies p to the end.
func (c *Capture) Append(p []byte) {
	if c == nil {
		return
	}
	n := min(len(p), CaptureLimit-len(c.buf))
	c.buf = append(c.buf, p[:n]...)
	c.more += int64(len(p) - n)
}

// Bytes returns what was gathered, with a note at the end when that is not all.
func (c *Capture) Bytes() []byte {
	if c == nil {
		return nil
	}
	if c.more == 0 {
		return c.buf
	}
	return fmt.Appendf(c.buf[:len(c.buf):len(c.buf)], "\n[%d more bytes are not in the log]", c.more)
}
