package ledger

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"

	"anyproxy/internal/contain"
)

const (
	// sumEvery is how often today is summed up: a start reads what has come since.
	sumEvery = time.Minute
	// keepSums is how many days sums are kept: a year, and the month that is compared with it.
	keepSums = 400
)

// restore lets the accounts go on with what earlier runs have spent today.
func (j *Journal) restore(today string) {
	if j.o.Accounts == nil {
		return
	}
	s, _, err := j.o.Folder.load(today, nil)
	if err != nil {
		j.o.Logger.Warn("what was spent today is not known", "folder", string(j.o.Folder), "error", err)
	}
	if s.skipped > 0 {
		j.o.Logger.Warn("lines of the ledger are damaged and not counted", "day", today, "lines", s.skipped)
	}
	mine := *s
	mine.paces = maps.Clone(s.paces)
	j.tally.start(today, &mine)
	if before, _, err := j.o.Folder.load(dayBefore(today), nil); err == nil {
		s.followed(before)
	}
	j.o.Accounts.goOn(s)
}

func dayBefore(day string) string {
	t, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return day
	}
	return t.AddDate(0, 0, -1).Format(time.DateOnly)
}

// keep is the keeper: it sums up and tidies until the Journal is closed, and
// once more when all is written.
func (j *Journal) keep(today string) {
	defer close(j.kept)
	func() {
		defer contain.Panic(j.o.Logger, "ledger of the month")
		j.month(today)
	}()
	j.tidy(true)
	tick := time.NewTicker(sumEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			j.tidy(false)
		case <-j.ending:
			<-j.written
			j.tidy(false)
			return
		}
	}
}

// month books what was spent on the other days of the month.
func (j *Journal) month(today string) {
	days, err := j.o.Folder.days(rowsSuffix, sumSuffix)
	if err != nil || j.o.Accounts == nil {
		return // a folder that cannot be read has been told of
	}
	for _, day := range days {
		if day[:len("2006-01")] != today[:len("2006-01")] || day == today || j.isEnding() {
			continue
		}
		if s, _, err := j.o.Folder.load(day, nil); err == nil {
			j.o.Accounts.goOnWithMonth(day, s)
		}
	}
}

func (j *Journal) isEnding() bool {
	select {
	case <-j.ending:
		return true
	default:
		return false
	}
}

// tidy sums up the days whose files have grown and removes what is too old. In
// its first round it looks into all sums, later only at their times.
func (j *Journal) tidy(first bool) {
	defer contain.Panic(j.o.Logger, "sums of the ledger")
	if !j.o.Owns() {
		return
	}
	today := dayOf(j.o.Now())
	days, err := j.o.Folder.days(rowsSuffix)
	for _, day := range days {
		if err == nil {
			err = j.sumUp(day, day < today, first)
		}
	}
	if err == nil {
		err = j.expire(today)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		j.o.Logger.Debug("the ledger is not summed up", "error", err)
	}
}

// sumUp keeps the sum of a day. over says that the day has ended.
func (j *Journal) sumUp(day string, over, look bool) error {
	if over && !look && j.o.Folder.summed(day) {
		return nil
	}
	if over { // no other run will mend it
		if f, err := j.o.Folder.open(day, 0); err == nil {
			_ = f.Close() // nothing but a newline was written
		}
	}
	return j.tally.save(j.o.Folder, day, look)
}

// summed reports, without reading either, whether a sum is younger than its
// day's file.
func (f Folder) summed(day string) bool {
	s, err := os.Stat(f.sum(day))
	if err != nil {
		return false
	}
	rows, err := os.Stat(f.rows(day))
	return err == nil && s.ModTime().After(rows.ModTime())
}

// expire removes day files and sums that are kept no longer. A day file goes
// first, and only when there is its sum.
func (j *Journal) expire(today string) error {
	t, err := time.Parse(time.DateOnly, today)
	if err != nil {
		return err
	}
	keep := max(j.o.KeepDays, 1)
	err = j.expireFiles(rowsSuffix, dayOf(t.AddDate(0, 0, 1-keep)), func(day string) bool {
		_, fresh, err := j.o.Folder.load(day, nil)
		return err == nil && fresh
	})
	if err != nil {
		return err
	}
	return j.expireFiles(sumSuffix, dayOf(t.AddDate(0, 0, 1-max(keep, keepSums))), func(string) bool { return true })
}

// expireFiles removes the files of the days before oldest that may go.
func (j *Journal) expireFiles(suffix, oldest string, mayGo func(day string) bool) error {
	days, err := j.o.Folder.days(suffix)
	for _, day := range days {
		if err != nil || day >= oldest {
			break
		}
		if mayGo(day) {
			err = os.Remove(filepath.Join(string(j.o.Folder), day+suffix))
		}
	}
	return err
}
