package ledger

import (
	"os"
	"sync"
)

// tally is the sum of the newest day's file, kept while the file is written, so
// that nobody need read it again. It knows which length the file must have for
// that: another length means that somebody else has written there too, or that
// something did not reach the disk, and then the file is what counts.
//
// The writer holds mu while rows are on their way to the disk.
type tally struct {
	mu  sync.Mutex
	day string
	sum *sum // nil = it is not known
}

// row adds a row that takes size bytes of its day's file. Of days that come back
// the file knows more.
func (t *tally) row(r *Row, day string, size int) {
	if day > t.day {
		t.day, t.sum = day, newSum()
	}
	if day == t.day && t.sum != nil {
		t.sum.row(r)
		t.sum.bytes += int64(size)
	}
}

// start has the tally go on from what a day's file comes to.
func (t *tally) start(day string, s *sum) {
	if day >= t.day {
		t.day, t.sum = day, s
	}
}

// covers reports whether the tally is the sum of the day's whole file.
func (t *tally) covers(f Folder, day string) bool {
	if t.day != day || t.sum == nil {
		return false
	}
	info, err := os.Lstat(f.rows(day))
	return err == nil && info.Mode().IsRegular() && info.Size() == t.sum.bytes
}

// save keeps the sum of a day: the tally where that is of use, else what the file
// comes to, from which the tally then goes on. anew says that a saved one is not to be trusted.
func (t *tally) save(f Folder, day string, anew bool) error {
	if data, ok, err := t.news(f, day, anew); ok || err != nil {
		if err == nil && data != nil {
			err = replace(f.sum(day), data)
		}
		return err
	}
	s, fresh, err := f.load(day, nil)
	if err == nil && !fresh {
		err = f.save(day, s)
	}
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.readOn(day, s, nil) == nil { // little has come meanwhile
		t.start(day, s)
	}
	return nil
}

// news is the tally as it is saved, nil when a younger one has been. ok reports
// whether it is the sum of the day's whole file.
func (t *tally) news(f Folder, day string, anew bool) (data []byte, ok bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.covers(f, day) {
		return nil, false, nil
	}
	if anew || !f.summed(day) {
		data, err = t.sum.encode(day)
	}
	return data, true, err
}
