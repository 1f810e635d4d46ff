package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"anyproxy/internal/contain"
)

// write is the writer: it gathers rows and appends them.
func (j *Journal) write() {
	defer close(j.written)
	defer j.appender.close()
	due := time.NewTicker(syncEvery) // of a sync and of another try
	defer due.Stop()
	for {
		select {
		case <-j.wake:
			j.gather()
			j.put(false)
		case <-due.C:
			if len(j.pending) > 0 {
				j.put(false)
			}
			j.sync()
		case <-j.ending:
			j.put(true)
			j.sync()
			return
		}
	}
}

// gather waits for rows that can be written with the first.
func (j *Journal) gather() {
	wait := time.NewTimer(gatherFor)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-j.ending:
	}
}

// put writes what is queued and pending.
func (j *Journal) put(last bool) {
	defer contain.Panic(j.o.Logger, "ledger")
	j.tally.mu.Lock()
	defer j.tally.mu.Unlock()
	j.encode()
	j.flush(last)
}

// encode makes lines of the rows that are queued.
func (j *Journal) encode() {
	j.mu.Lock()
	rows := j.queued
	j.queued = j.spare[:0]
	j.mu.Unlock()
	j.spare = nil
	left := len(rows)
	defer func() { j.dropped.Add(int64(left)) }() // nothing, unless there is no room or a row panics
	for i := range rows {
		if j.size >= maxPending {
			break
		}
		j.encodeRow(&rows[i])
		left--
	}
	clear(rows) // their texts belong to requests
	if cap(rows) <= keepQueue {
		j.spare = rows
	}
}

func (j *Journal) encodeRow(r *Row) {
	r.V = version
	for _, s := range []*string{&r.Session, &r.Asked, &r.Model, &r.Text} {
		*s = clip(j.o.Redact(*s))
	}
	last := j.linesOf(r.Time)
	before := len(last.text)
	last.text = appendRow(last.text, r)
	size := len(last.text) - before
	j.size += size
	j.tally.row(r, last.day, size)
}

// linesOf returns the lines that wait for the file of the day of t, behind those
// of other days that came before.
func (j *Journal) linesOf(t time.Time) *lines {
	var room [len(time.DateOnly)]byte
	day := t.AppendFormat(room[:0], time.DateOnly)
	if n := len(j.pending); n == 0 || j.pending[n-1].day != string(day) {
		j.pending = append(j.pending, lines{day: string(day), text: j.room[:0]})
		j.room = nil
	}
	return &j.pending[len(j.pending)-1]
}

// flush writes what is pending, unless the disk has just refused to take it.
func (j *Journal) flush(last bool) {
	if !last && j.failed != nil && j.o.Now().Before(j.retryAt) && j.retryAt.Sub(j.o.Now()) <= retryEvery {
		return
	}
	for len(j.pending) > 0 {
		p := &j.pending[0]
		n, err := j.appender.write(p.day, p.text[p.done:])
		j.size -= n
		if p.done += n; p.done == len(p.text) {
			if cap(p.text) <= keepRoom {
				j.room = p.text
			}
			j.pending = j.pending[1:]
		}
		if err != nil {
			j.fail(err)
			break
		}
	}
	if len(j.pending) == 0 {
		j.pending = nil
		j.well()
	}
	for _, p := range j.pending {
		if last { // nobody will try again
			j.dropped.Add(int64(bytes.Count(p.text[p.done:], []byte{'\n'})))
		}
	}
	j.tellDropped(last)
}

// sync has the disk keep what was written.
func (j *Journal) sync() {
	defer contain.Panic(j.o.Logger, "ledger")
	if err := j.appender.sync(); err != nil && !j.unsynced {
		j.unsynced = true
		j.o.Logger.Warn("rows of the ledger may not outlive a loss of power", "folder", string(j.o.Folder), "error", reason(err))
	}
}

// fail tells, once, that nothing can be written.
func (j *Journal) fail(err error) {
	if j.failed == nil {
		j.o.Logger.Warn("the ledger cannot be written: what is spent is kept in memory only", "folder", string(j.o.Folder), "error", reason(err))
	}
	j.failed, j.retryAt = err, j.o.Now().Add(retryEvery)
}

// reason leaves out what the warning says already.
func reason(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("%s: %w", path.Op, path.Err)
	}
	return err
}

// well tells, once, that it can again.
func (j *Journal) well() {
	if j.failed != nil {
		j.failed = nil
		j.o.Logger.Info("the ledger is written again", "folder", string(j.o.Folder))
		j.tellDropped(true)
	}
}

// tellDropped tells of lost rows: of the first at once, of the others in the end.
func (j *Journal) tellDropped(last bool) {
	if n := j.dropped.Load(); n > j.told && (j.told == 0 || last) {
		j.o.Logger.Warn("rows of the ledger are lost", "rows", n, "folder", string(j.o.Folder))
		j.told = n
	}
}
