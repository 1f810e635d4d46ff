package tui

import (
	"io"
	"os"
	"sync"
)

// screenWriter is the way to the terminal. Bubble Tea writes each frame in one
// piece, so that a sequence of ours can go between two of them.
type screenWriter struct {
	mu  sync.Mutex
	out io.Writer
	buf []byte
}

func newScreenWriter(out io.Writer) *screenWriter { return &screenWriter{out: out} }

// Terminals that know synchronized output (private mode 2026) show what is
// between the two at once; others ignore both.
const (
	beginFrame = "\x1b[?2026h"
	endFrame   = "\x1b[?2026l"
)

// Write writes a frame.
func (w *screenWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = append(append(append(w.buf[:0], beginFrame...), b...), endFrame...)
	if _, err := w.out.Write(w.buf); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Escape sends a sequence between two frames. It blocks as long as the terminal
// takes no output.
func (w *screenWriter) Escape(seq string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := io.WriteString(w.out, seq)
	return err
}

// forProgram is what Bubble Tea writes to: a file where it is one, because it
// asks a file for the size of its terminal.
func (w *screenWriter) forProgram() io.Writer {
	if f, ok := w.out.(*os.File); ok {
		return screenFile{f, w}
	}
	return w
}

// screenFile is a terminal that is written through a screenWriter.
type screenFile struct {
	*os.File
	w *screenWriter
}

func (f screenFile) Write(b []byte) (int, error) { return f.w.Write(b) }
