package ledger

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// appender writes to the day files. Its methods belong to one goroutine.
//
// Several programs may append to the same file: each write is one call with
// O_APPEND, so the lines of both stay whole.
type appender struct {
	folder Folder
	day    string
	f      *os.File // nil = to be opened
	info   os.FileInfo
	dirty  bool // written since the last sync
}

// write appends whole lines to a day's file and returns how many of the bytes
// need not be written again. After an error the file is opened afresh.
func (a *appender) write(day string, lines []byte) (n int, err error) {
	if err = a.ensure(day); err != nil {
		return 0, err
	}
	n, err = a.f.Write(lines)
	a.dirty = a.dirty || n > 0
	if err == nil {
		return n, nil
	}
	a.close()
	if n < len(lines) && lines[n] == '\n' { // only the end of a line is missing, and mend writes that
		return n + 1, err
	}
	return bytes.LastIndexByte(lines[:n], '\n') + 1, err
}

// ensure opens the day's file when it is not open, or when another one or none
// stands in its place.
func (a *appender) ensure(day string) error {
	if a.f != nil && a.day == day {
		now, err := os.Lstat(a.f.Name())
		gone := errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
		if err == nil && os.SameFile(now, a.info) || err != nil && !gone {
			return nil // where nobody can tell the open file is still good
		}
	}
	err := a.sync()
	a.close()
	return errors.Join(err, a.open(day))
}

func (a *appender) open(day string) (err error) {
	if a.f, err = a.folder.open(day, os.O_CREATE); err != nil {
		return err
	}
	if a.info, err = a.f.Stat(); err != nil {
		a.close()
	}
	a.day = day
	return err
}

// open opens a day's file to append to it, at the start of a line. Nobody but
// its owner may read it afterwards.
func (f Folder) open(day string, flag int) (*os.File, error) {
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(f.rows(day), os.O_RDWR|os.O_APPEND|flag|openFlags, 0o600)
	if err != nil {
		return nil, explain(err)
	}
	info, err := file.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = &fs.PathError{Op: "open", Path: file.Name(), Err: errors.New("it is no regular file")}
	case info.Mode().Perm() != 0o600:
		err = file.Chmod(0o600)
	}
	if err == nil {
		err = mend(file, info.Size())
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// mend ends a line that a crash has torn. It stays, and is no row where it is
// not whole but for its end. Nothing is cut off: another program may just be
// writing there.
func mend(f *os.File, size int64) error {
	if size == 0 {
		return nil
	}
	var last [1]byte
	_, err := f.ReadAt(last[:], size-1)
	if err == nil && last[0] != '\n' {
		_, err = f.Write([]byte{'\n'})
	}
	return err
}

// sync has the disk keep what was written.
func (a *appender) sync() error {
	if a.f == nil || !a.dirty {
		return nil
	}
	a.dirty = false
	return a.f.Sync()
}

func (a *appender) close() {
	if a.f != nil {
		_ = a.f.Close() // every line went by write(2), which has told its errors
	}
	a.f = nil
}

// tighten takes away what others may do with a folder that was there before.
func (f Folder) tighten() error {
	info, err := os.Stat(string(f))
	if err != nil || info.Mode().Perm()&0o077 == 0 {
		return err
	}
	return os.Chmod(string(f), 0o700)
}
