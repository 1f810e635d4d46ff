package cli

import (
	"fmt"
	"io"
	"time"
)

// progress tells, on a terminal, how far something is when it takes long.
type progress struct {
	what  string    // is being done, for told
	out   io.Writer // nil = nobody looks
	began time.Time
	last  time.Time // it was told
}

// patienceOfReaders is how long nothing is told, and progressEvery how often it
// is then.
const (
	patienceOfReaders = 500 * time.Millisecond
	progressEvery     = 100 * time.Millisecond
)

// newCounted tells by numbers how far something is that is called what.
func newCounted(what string, errw io.Writer) *progress {
	p := newProgress(errw)
	p.what = what
	return p
}

func newProgress(errw io.Writer) *progress {
	p := &progress{began: time.Now()}
	if screen := terminalOf(errw); screen != nil {
		p.out = screen
	}
	return p
}

// told tells how much is done: a part of the total, or where that is 0 so many
// bytes.
func (p *progress) told(done, total int64) {
	if p.out == nil {
		return
	}
	now := time.Now()
	if now.Sub(p.began) < patienceOfReaders || now.Sub(p.last) < progressEvery {
		return
	}
	if total > 0 {
		p.say(fmt.Sprintf("%s: %d %%", p.what, min(done, total)*100/total))
	} else {
		p.say(fmt.Sprintf("%s: %d MB", p.what, done/1e6))
	}
}

// say shows a line in the place of the one before.
func (p *progress) say(text string) {
	if p.out != nil {
		p.last = time.Now()
		fmt.Fprint(p.out, "\r\x1b[K"+text)
	}
}

// done takes away what was told.
func (p *progress) done() {
	if !p.last.IsZero() {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
