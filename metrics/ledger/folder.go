package ledger

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Folder holds the day files and their sums: 2026-11-26.jsonl and
// 2026-11-26.sum.json.
type Folder string

const (
	rowsSuffix = ".jsonl"
	sumSuffix  = ".sum.json"
	maxSum     = 16 << 20 // bytes of a file of a sum that are read
	maxLine    = 64 << 10 // bytes of a row
)

// dayOf is the name of the day of t, where t's clock hangs.
func dayOf(t time.Time) string { return t.Format(time.DateOnly) }

func (f Folder) rows(day string) string { return filepath.Join(string(f), day+rowsSuffix) }
func (f Folder) sum(day string) string  { return filepath.Join(string(f), day+sumSuffix) }

// days lists the days of which there is a file that ends in one of the
// suffixes, oldest first.
func (f Folder) days(suffixes ...string) ([]string, error) {
	entries, err := os.ReadDir(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	var days []string
	for _, e := range entries {
		for _, suffix := range suffixes {
			day, ok := strings.CutSuffix(e.Name(), suffix)
			if _, err := time.Parse(time.DateOnly, day); ok && err == nil && e.Type().IsRegular() {
				days = append(days, day)
			}
		}
	}
	slices.Sort(days)
	return slices.Compact(days), err
}

// load is the sum of all whole lines of a day's file: the saved one, where it is
// of use, and what has come since. Where the file is gone it is the saved one.
// fresh reports whether the saved one says the same. progress is told of bytes
// that were read; nil = nobody.
func (f Folder) load(day string, progress func(int)) (s *sum, fresh bool, err error) {
	data, err := readUpTo(f.sum(day), maxSum)
	if err == nil {
		s, err = decodeSum(day, data)
	}
	fresh = err == nil
	if err != nil {
		s = newSum()
	}
	before := *s
	err = f.readOn(day, s, progress)
	if errors.Is(err, fs.ErrNotExist) {
		return s, true, nil
	}
	return s, fresh && s.bytes == before.bytes, err
}

// readOn adds to s what has come to the day's file since. Of another file than
// that of s all is read.
func (f Folder) readOn(day string, s *sum, progress func(int)) error {
	rows, err := os.OpenFile(f.rows(day), os.O_RDONLY|openFlags, 0)
	if err != nil {
		return explain(err)
	}
	defer rows.Close()
	info, err := rows.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no regular file", rows.Name())
	case info.Size() < s.bytes:
		*s = *newSum()
	}
	if _, err = rows.Seek(s.bytes, io.SeekStart); err != nil {
		return err
	}
	read, skipped, err := readRows(watched{rows, progress}, s.row)
	s.bytes += read
	s.skipped += skipped
	return err
}

// save keeps a sum for the next start.
func (f Folder) save(day string, s *sum) error {
	data, err := s.encode(day)
	if err != nil {
		return err
	}
	return replace(f.sum(day), data)
}

// readRows gives each row in the whole lines of r, and returns how many bytes
// these lines take and how many of them are no rows. The row is valid during the
// call only.
func readRows(r io.Reader, each func(*Row)) (read, skipped int64, err error) {
	lines := bufio.NewReaderSize(r, maxLine)
	for {
		line, err := lines.ReadSlice('\n')
		long := err == bufio.ErrBufferFull
		size := int64(len(line))
		for err == bufio.ErrBufferFull {
			var more []byte
			more, err = lines.ReadSlice('\n')
			size += int64(len(more))
		}
		if err == io.EOF { // what is torn, or being written
			return read, skipped, nil
		}
		if err != nil {
			return read, skipped, err
		}
		read += size
		if line = bytes.TrimSpace(line); len(line) == 0 && !long {
			continue
		}
		row, bad := parseRow(line)
		if long || bad != nil {
			skipped++
			continue
		}
		each(&row)
	}
}

// watched tells of what is read.
type watched struct {
	io.Reader
	told func(int)
}

func (w watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if w.told != nil {
		w.told(n)
	}
	return n, err
}

func readUpTo(path string, most int64) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("%s is larger than %d bytes", path, most)
	}
	return data, err
}

// replace puts a new file in the place of an old one. A reader sees one of them whole.
func replace(path string, data []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), "new-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = temp.Write(data)
	if err = cmp.Or(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(temp.Name()) // what could not be written is of no use
	}
	return err
}
