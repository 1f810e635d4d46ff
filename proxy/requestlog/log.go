// Package requestlog writes what was asked, what was answered and why it went
// where it went, as JSON Lines.
//
// There is one line of direction "request" for each client request, with what
// the client was told, and one of direction "response" for each attempt, with
// what the upstream answered. Lines of one request share request_id. An attempt's
// line is written when it ends and the request's line after the last of them, so
// a file is in the order of endings; timestamp is when the request came or the
// answer ended. Field names and meanings are those of anthropic-proxy
// (github.com/anthaathi/anthropic-proxy, requestlog/logger.go), so that its
// viewers work; body is therefore a string, also when it holds JSON.
//
// The log never stands in a request's way: lines go through a bounded queue to
// one goroutine, which takes the secrets out of those that may have some and writes
// many at a time, and what does not fit or cannot be written is dropped and counted.
// A Log is safe for concurrent use, and a nil *Log is one that is off.
package requestlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"anyproxy/config"
	"anyproxy/internal/contain"
	"anyproxy/internal/redact"
	"anyproxy/metrics"
)

// reportEvery is the least time between two warnings about lost lines, and
// between two tries to rotate after one has failed.
const reportEvery = time.Minute

const (
	// usualSize is about how many bytes a line takes besides its body.
	usualSize = 2 << 10
	// flushSize is how many bytes of lines are written at once.
	flushSize = 256 << 10
	// keepBuffer is the largest buffer that is kept to be used again.
	keepBuffer = 1 << 20
)

var errAborted = errors.New("the log was closed before they were written")

// Options of a Log.
type Options struct {
	Path    string           // created with mode 0600, its folder with 0700; a symbolic link is refused
	Bodies  config.Bodies    // "" = all
	MaxSize int64            // a line that would make the file larger than this many bytes opens a new one; 0 = no limit
	Keep    int              // rotated files kept, as Path.1 (the newest) to Path.Keep
	Redact  *redact.Redactor // nil = known shapes only
	Now     func() time.Time // nil = time.Now; for the intervals above, entries bring their own times
	Logger  *slog.Logger     // gets a warning when lines are lost; nil = none
}

// Log is an open request log.
type Log struct {
	opts  Options
	queue *queue
	file  file
	done  chan struct{} // closed when the writer has ended

	// What follows belongs to the writer.
	buf      []byte // whole lines that wait for flush
	rotateAt time.Time
	reported int64 // losses that a warning has told of
	reportAt time.Time
	lastErr  error
}

// Open opens or creates the file and starts the writer. Close ends it.
func Open(o Options) (*Log, error) {
	if o.Redact == nil {
		o.Redact = redact.New()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Log{opts: o, queue: newQueue(), file: file{path: o.Path}, done: make(chan struct{})}
	if err := l.file.open(); err != nil {
		return nil, fmt.Errorf("open request log: %w", err)
	}
	go l.run()
	return l, nil
}

// Request writes a request's line. It is called once, when the request has
// ended. header are the client's. Nothing of what it is given is kept.
func (l *Log) Request(rec *metrics.RequestRecord, header http.Header, body []byte) {
	if l == nil {
		return
	}
	e := requestEntry(rec)
	l.push(&e, header, l.kept(body, rec.Phase == metrics.PhaseFailed))
}

// Attempt writes the line of the nth attempt (from 1) of rec when it has ended.
// header and body are the upstream's answer, as in Request; for a stream the
// body is what a Capture holds.
func (l *Log) Attempt(rec *metrics.RequestRecord, n int, a *metrics.AttemptRecord, header http.Header, body []byte) {
	if l == nil {
		return
	}
	e := attemptEntry(rec, n, a)
	l.push(&e, header, l.kept(body, a.Outcome != outcomeOK && a.Outcome != outcomeCanceled))
}

// Dropped is the number of lines that were lost so far: the queue was full, or
// the file could not be written.
func (l *Log) Dropped() int64 {
	if l == nil {
		return 0
	}
	return l.queue.dropped.Load()
}

// Close writes what is queued and closes the file. When ctx ends first, the rest
// is given up and counted as dropped, and the error is ctx's. Entries that come
// later are dropped. Close may be called again.
func (l *Log) Close(ctx context.Context) error {
	if l == nil {
		return nil
	}
	l.queue.close()
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		l.file.abort()
		return fmt.Errorf("close request log: %w", ctx.Err())
	}
}

// KeepsBodies reports whether Request and Attempt may want bodies.
func (l *Log) KeepsBodies() bool { return l != nil && l.opts.Bodies != config.BodiesNone }

// kept returns body when the mode keeps it for a line that failed or not.
func (l *Log) kept(body []byte, failed bool) []byte {
	if l.opts.Bodies == config.BodiesNone || l.opts.Bodies == config.BodiesErrors && !failed {
		return nil
	}
	return body
}

// push queues a line of e. It is encoded here, where the body lies, rather than
// by the writer: that saves a copy of it, and what else is kept for so long. That
// it is clean is found here too, nearly always, while the processor has it at hand.
func (l *Log) push(e *Entry, header http.Header, body []byte) {
	reserved := int64(usualSize + len(body))
	if !l.queue.reserve(reserved) {
		return
	}
	next := lines.Get().(*line)
	if !l.contained(func() {
		next.append(e, header, body)
		next.secrets = l.opts.Redact.Find(next.text)
	}) {
		l.queue.release(reserved)
		l.queue.dropped.Add(1)
		return
	}
	l.queue.push(next, reserved)
}

// run writes until the queue is closed and empty.
func (l *Log) run() {
	defer close(l.done)
	defer l.file.close()
	for batch := range l.queue.batches {
		for i, next := range batch {
			l.write(next)
			batch[i] = nil // the batch is used again
		}
		l.contained(l.flush)
		l.contained(func() { l.report(false) })
	}
	l.contained(func() { l.report(true) })
}

var errBroken = errors.New("internal error, the log has its place")

// write writes a line, or loses it.
func (l *Log) write(next *line) {
	if !l.contained(func() { l.add(next) }) {
		l.lose(1, errBroken)
	}
	l.queue.release(next.size)
	next.recycle()
}

// contained reports whether do has gone well.
func (l *Log) contained(do func()) (ok bool) {
	defer contain.Panic(l.opts.Logger, "request log")
	do()
	return true
}

// add puts a line behind those that wait, and makes room for it in the file.
func (l *Log) add(next *line) {
	if l.file.aborted.Load() {
		l.lose(1, errAborted)
		return
	}
	text := []byte(next.text)
	if !l.opts.Redact.Clean(next.secrets) {
		var err error
		if text, err = redactLine(text, l.opts.Redact); err != nil {
			l.lose(1, err)
			return
		}
	}
	if len(l.buf) > 0 && len(l.buf)+len(text) > flushSize {
		l.flush()
	}
	if l.opts.MaxSize > 0 && l.file.size+int64(len(l.buf)+len(text)) > l.opts.MaxSize {
		l.flush()
		l.rotate(l.opts.MaxSize - int64(len(text)))
	}
	l.buf = append(l.buf, text...)
}

// flush writes the lines that wait. Those that cannot be written are lost; the
// next flush tries again with the file opened afresh.
func (l *Log) flush() {
	if len(l.buf) == 0 {
		return
	}
	if n, err := l.file.write(l.buf); err != nil {
		l.lose(bytes.Count(l.buf[n:], []byte("\n")), err)
	}
	if l.buf = l.buf[:0]; cap(l.buf) > keepBuffer {
		l.buf = nil
	}
}

// rotate opens a new file if this one has more than room bytes. Where that cannot
// be done the lines go on into this one.
func (l *Log) rotate(room int64) {
	now := l.opts.Now()
	if now.Before(l.rotateAt) {
		return
	}
	if err := l.file.rotate(room, l.opts.Keep); err != nil {
		l.rotateAt = now.Add(reportEvery)
		l.opts.Logger.Warn("request log: cannot rotate, going on in the same file", "file", l.opts.Path, "error", err)
	}
}

func (l *Log) lose(lines int, err error) {
	l.queue.dropped.Add(int64(lines))
	if err != nil {
		l.lastErr = err
	}
}

// report tells the operator of losses, once in reportEvery or at the end.
func (l *Log) report(last bool) {
	lost, now := l.queue.dropped.Load(), l.opts.Now()
	if lost == l.reported || !last && now.Before(l.reportAt) {
		return
	}
	reason := "the file is written more slowly than lines come"
	if l.lastErr != nil {
		reason = l.lastErr.Error()
	}
	l.opts.Logger.Warn("request log: lines lost", "file", l.opts.Path, "lines", lost-l.reported, "error", reason)
	l.reported, l.reportAt, l.lastErr = lost, now.Add(reportEvery), nil
}
