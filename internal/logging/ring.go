package logging

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"anyproxy/internal/redact"
	"anyproxy/metrics"
)

// RingLines is how many lines a Ring keeps.
const RingLines = 1000

// Ring passes records on to another handler and keeps the newest as lines, for
// a screen that looks at them from time to time. Lines are redacted; whoever
// shows them cleans them.
type Ring struct {
	next  slog.Handler // decides on levels
	lines *ringLines
	text  slog.Handler // writes the attributes into lines.buf
}

// ringLines is what a Ring shares with those that With and WithGroup make of it.
type ringLines struct {
	redact *redact.Redactor

	mu   sync.Mutex
	buf  bytes.Buffer
	kept []metrics.LogLine
	seq  uint64
}

// NewRing returns a Ring that passes records on to next.
func NewRing(next slog.Handler, r *redact.Redactor) *Ring {
	lines := &ringLines{redact: r}
	text := slog.NewTextHandler(&lines.buf, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: onlyAttrs})
	return &Ring{next, lines, text}
}

// onlyAttrs leaves out what a line has fields for.
func onlyAttrs(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
		return slog.Attr{}
	}
	return a
}

// Lines returns the lines after since, as far as they are kept, oldest first.
func (r *Ring) Lines(since uint64) []metrics.LogLine {
	l := r.lines
	l.mu.Lock()
	defer l.mu.Unlock()
	since = max(since, l.seq-uint64(len(l.kept)))
	var out []metrics.LogLine
	for n := since; n < l.seq; n++ {
		out = append(out, l.kept[n%RingLines])
	}
	return out
}

// Enabled asks the next handler.
func (r *Ring) Enabled(ctx context.Context, level slog.Level) bool { return r.next.Enabled(ctx, level) }

// Handle keeps the record and passes it on.
func (r *Ring) Handle(ctx context.Context, rec slog.Record) error {
	r.keep(ctx, rec)
	return r.next.Handle(ctx, rec)
}

func (r *Ring) keep(ctx context.Context, rec slog.Record) {
	l := r.lines
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Reset()
	if r.text.Handle(ctx, rec) != nil {
		return // a buffer takes everything
	}
	text := strings.TrimSpace(rec.Message + " " + l.buf.String())
	l.seq++
	line := metrics.LogLine{Seq: l.seq, Time: rec.Time, Level: rec.Level.String(), Text: l.redact.String(text)}
	if line.Time.IsZero() {
		line.Time = time.Now()
	}
	if len(l.kept) < RingLines {
		l.kept = append(l.kept, line)
		return
	}
	l.kept[(l.seq-1)%RingLines] = line
}

// WithAttrs implements slog.Handler.
func (r *Ring) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &Ring{r.next.WithAttrs(attrs), r.lines, r.text.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (r *Ring) WithGroup(name string) slog.Handler {
	return &Ring{r.next.WithGroup(name), r.lines, r.text.WithGroup(name)}
}
