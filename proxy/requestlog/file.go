package requestlog

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
)

// file is the log's place on disk. All but abort belongs to the writer.
type file struct {
	path    string
	f       atomic.Pointer[os.File] // nil = to be opened before the next write
	info    os.FileInfo             // what is open
	size    int64                   // bytes in it
	aborted atomic.Bool
}

// open opens the file for appending. Nobody but its owner may read it
// afterwards, also when it was there before.
func (f *file) open() error {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return err
	}
	o, err := os.OpenFile(f.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|openFlags, 0o600)
	if err != nil {
		return explain(err)
	}
	info, err := o.Stat()
	if err == nil && info.Mode().IsRegular() && info.Mode().Perm() != 0o600 {
		err = o.Chmod(0o600)
	}
	if err != nil {
		return errors.Join(err, o.Close())
	}
	f.info, f.size = info, info.Size()
	f.f.Store(o)
	if f.aborted.Load() {
		f.close()
		return os.ErrClosed
	}
	return nil
}

// write appends b, whole lines, and returns how many of its bytes stand in the
// file as whole lines. After an error the file is closed.
func (f *file) write(b []byte) (int, error) {
	if err := f.ensure(); err != nil {
		return 0, err
	}
	o := f.f.Load()
	n, err := o.Write(b)
	f.size += int64(n)
	if err == nil {
		return n, nil
	}
	whole := bytes.LastIndexByte(b[:n], '\n') + 1
	if n > whole && f.info.Mode().IsRegular() {
		// A disk that fills up cuts a line in two. Take the first half away,
		// or the next line would be glued to it.
		err = errors.Join(err, cutTail(o, int64(n-whole)))
	}
	f.close()
	return whole, err
}

// ensure opens the file when it is not open, or when another one (or none)
// stands in its place: it was moved away or removed.
func (f *file) ensure() error {
	if f.f.Load() != nil {
		now, err := os.Lstat(f.path)
		if err == nil && os.SameFile(now, f.info) {
			f.size = now.Size()
			return nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil // cannot tell: the open file is still good
		}
		f.close()
	}
	return f.open()
}

// rotate moves a file of more than room bytes from path to path.1, path.1 to
// path.2 and so on, so that keep old files remain, and opens a new one. When a
// file cannot be moved, none of the newer ones is, the old file is opened again
// and nothing is lost.
func (f *file) rotate(room int64, keep int) error {
	if err := f.ensure(); err != nil {
		return err
	}
	if f.size == 0 || f.size <= room || !f.info.Mode().IsRegular() {
		return nil
	}
	f.close()
	err := f.shift(keep)
	return errors.Join(err, f.open())
}

func (f *file) shift(keep int) error {
	if keep <= 0 {
		return os.Remove(f.path)
	}
	name := func(i int) string {
		if i == 0 {
			return f.path
		}
		return f.path + "." + strconv.Itoa(i)
	}
	for i := keep - 1; i >= 0; i-- {
		if err := os.Rename(name(i), name(i+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("rotate: %w", err)
		}
	}
	return nil
}

func (f *file) close() {
	if o := f.f.Swap(nil); o != nil {
		o.Close() // every line went by write(2), which has told its errors
	}
	f.size = 0
}

// abort closes the file for good, from another goroutine: a write to a pipe that
// nobody reads returns then.
func (f *file) abort() {
	f.aborted.Store(true)
	if o := f.f.Load(); o != nil {
		o.Close()
	}
}

func cutTail(o *os.File, n int64) error {
	info, err := o.Stat()
	if err != nil {
		return err
	}
	return o.Truncate(info.Size() - n)
}
