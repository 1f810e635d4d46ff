package ledger

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"anyproxy/metrics"
)

const (
	// gatherFor is how long rows wait for others to be written with them, and so
	// about what a kill can cost. Power that fails can cost syncEvery besides.
	gatherFor = 100 * time.Millisecond
	syncEvery = time.Second
	// retryEvery is how long a disk that takes nothing is left alone.
	retryEvery = time.Second
	// maxQueued rows wait for the writer, and maxPending bytes of lines for the disk.
	maxQueued  = 16 << 10
	maxPending = 4 << 20
	keepQueue  = 4 << 10 // rows: the room of a storm is given back
	keepRoom   = 1 << 20 // bytes, likewise
)

// Options of a Journal.
type Options struct {
	Folder Folder // made with mode 0700, its files with 0600
	// KeepDays is how many day files are kept, that of today among them. Sums
	// are kept for more than a year.
	KeepDays int
	Now      func() time.Time // the wall clock; nil = time.Now
	// Owns reports whether this program may sum up and remove day files: of
	// several on one folder, one. nil = it may.
	Owns func() bool
	// Redact replaces secrets in what comes from outside; nil = nothing is.
	Redact func(string) string
	Logger *slog.Logger // gets a warning when rows cannot be kept; nil = none
	// Accounts goes on where earlier runs have ended.
	Accounts *Ledger
}

// Journal writes rows. It never stands in a request's way: rows go through a
// bounded queue to one goroutine, and those for which there is no room are
// dropped and counted. A nil *Journal is one that keeps nothing.
type Journal struct {
	o      Options
	labels atomic.Pointer[Labels]

	mu      sync.Mutex
	queued  []Row
	closed  bool
	dropped atomic.Int64

	wake    chan struct{} // a row is queued
	ending  chan struct{} // closed by Close
	written chan struct{} // closed when the writer has ended
	kept    chan struct{} // closed when the keeper has
	tally   tally         // the writer's and the keeper's

	// What follows belongs to the writer.
	appender appender
	spare    []Row // that were queued before, for their room
	pending  []lines
	size     int    // bytes of pending
	room     []byte // of lines that are written
	failed   error  // that the disk takes nothing has been told
	told     int64  // dropped rows that have been
	retryAt  time.Time
	unsynced bool // that has been told of
}

// lines wait to be written into a day's file.
type lines struct {
	day  string
	text []byte
	done int // bytes of text that are written
}

// Labels are what rows say and records do not.
type Labels struct {
	Keys map[string]string // by the client key's name, the first 8 hex digits of its SHA-256
}

// Open reads what has been spent into o.Accounts and starts to write. What goes
// wrong is told and costs no more than what could not be kept.
func Open(o Options) *Journal {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Owns == nil {
		o.Owns = func() bool { return true }
	}
	if o.Redact == nil {
		o.Redact = func(s string) string { return s }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	j := &Journal{o: o, wake: make(chan struct{}, 1), ending: make(chan struct{}), written: make(chan struct{}), kept: make(chan struct{}),
		appender: appender{folder: o.Folder}}
	j.labels.Store(&Labels{})
	today := dayOf(o.Now())
	if err := j.appender.ensure(today); err != nil {
		j.fail(err)
	} else if err := o.Folder.tighten(); err != nil {
		o.Logger.Warn("others may look into the ledger's folder", "folder", string(o.Folder), "error", err)
	}
	j.restore(today)
	go j.write()
	go j.keep(today)
	return j
}

// SetLabels says what the rows from now on say.
func (j *Journal) SetLabels(l Labels) {
	if j != nil {
		j.labels.Store(&l)
	}
}

// Dropped is the number of rows that were lost so far.
func (j *Journal) Dropped() int64 {
	if j == nil {
		return 0
	}
	return j.dropped.Load()
}

// AttemptEnded implements metrics.Observer.
func (j *Journal) AttemptEnded(r *metrics.RequestRecord, n int, a *metrics.AttemptRecord) {
	l := j.labels.Load()
	j.push(Row{Kind: KindAttempt, Time: a.Start.Add(a.Duration), RequestID: r.ID, Attempt: n,
		Session: r.Session, Key: r.Key, KeySHA256: l.Keys[r.Key], Method: r.Method, Path: r.Path, Asked: r.Model,
		Provider: a.Provider, Model: a.Model, Outcome: a.Outcome, StatusCode: a.Status, Stream: r.Stream,
		Duration: a.Duration.Seconds(), TTFT: a.TTFT.Seconds(),
		Input: a.Tokens.Input, Output: a.Tokens.Output, CacheRead: a.Tokens.CacheRead, CacheWrite: a.Tokens.CacheWrite,
		CacheWrite1h: a.Tokens.CacheWrite1h, Reasoning: a.Tokens.Reasoning, Estimated: a.Tokens.Estimated,
		Cost: finite(a.Cost), Unpriced: a.Unpriced, Subscription: a.Included})
}

// RequestEnded implements metrics.Observer.
func (j *Journal) RequestEnded(r *metrics.RequestRecord) {
	row := Row{Kind: KindRequest, Time: r.Time.Add(r.Duration), RequestID: r.ID, Attempts: len(r.Decision.Attempts),
		Session: r.Session, Key: r.Key, KeySHA256: j.labels.Load().Keys[r.Key], Method: r.Method, Path: r.Path, Asked: r.Model,
		Outcome: string(r.Phase), StatusCode: r.Status, Stream: r.Stream, Duration: r.Duration.Seconds(), TTFT: r.TTFT.Seconds()}
	if n := len(r.Decision.Attempts); n > 0 {
		row.Provider, row.Model = r.Decision.Attempts[n-1].Provider, r.Decision.Attempts[n-1].Model
	}
	j.push(row)
}

// Happened implements metrics.Observer. An upstream's own words are left out:
// they may quote what it was sent.
func (j *Journal) Happened(e *metrics.Event) {
	row := Row{Time: e.Time, RequestID: e.Request, Provider: e.Provider, Model: e.Model}
	switch e.Kind {
	case metrics.EventOperator:
		row.Kind, row.Text = KindOperator, e.Text
	case metrics.EventBudget:
		row.Kind, row.Text = KindBudget, e.Text
	case metrics.EventCredential:
		if e.Request == "" { // the program's own, which has rows with more in them
			return
		}
		row.Kind, row.Outcome = KindCredential, "refused"
	default:
		return
	}
	j.push(row)
}

// Note writes a row of the program's own. Its time is filled in where absent.
func (j *Journal) Note(r Row) {
	if j == nil {
		return
	}
	if r.Time.IsZero() {
		r.Time = j.o.Now()
	}
	j.push(r)
}

// push queues a row.
func (j *Journal) push(r Row) {
	j.mu.Lock()
	if j.closed || len(j.queued) >= maxQueued {
		j.mu.Unlock()
		j.dropped.Add(1)
		return
	}
	j.queued = append(j.queued, r)
	first := len(j.queued) == 1
	j.mu.Unlock()
	if first {
		select {
		case j.wake <- struct{}{}:
		default: // it is awake
		}
	}
}

// Close writes what is queued, and sums it up. When ctx ends first the rest is
// left to itself: a disk that hangs must not keep the program from ending.
func (j *Journal) Close(ctx context.Context) error {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	already := j.closed
	j.closed = true
	j.mu.Unlock()
	if !already {
		close(j.ending)
	}
	select {
	case <-j.kept:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close ledger: %w", ctx.Err())
	}
}
