package replay

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"anyproxy/internal/jsonscan"
)

// longestLine bounds a line. A request's body has up to 32 MiB, and JSON in JSON
// may take up to twice that.
const longestLine = 64 << 20

// brokenTold is how many broken lines are named.
const brokenTold = 5

// Broken is a line that was left out.
type Broken struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Why  string `json:"why"`
}

func (b Broken) String() string { return fmt.Sprintf("%s:%d: %s", b.File, b.Line, b.Why) }

// Reading says what was read.
type Reading struct {
	Lines   int64 `json:"lines"`
	Bytes   int64 `json:"bytes"`
	Foreign int64 `json:"requests_without_decision"` // another program has written them
	Broken  int64 `json:"broken_lines"`
	Torn    int64 `json:"torn_last_lines"` // that were still being written
	Twice   int64 `json:"requests_given_twice"`
	// First are the first broken lines.
	First []Broken `json:"first_broken,omitempty"`
}

// Read adds the log in r, called name, to the trace. told, which may be nil,
// learns how many bytes were read since the last call. The error is ctx's or r's.
func (t *Trace) Read(ctx context.Context, name string, r io.Reader, told func(bytes int)) error {
	in := bufio.NewReaderSize(r, 1<<20)
	var buf []byte
	for n := 1; ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		text, size, err := readLine(in, buf)
		buf = text[:0]
		t.Reading.Bytes += int64(size)
		if told != nil {
			told(size)
		}
		if err != nil && err != io.EOF {
			return err
		}
		if size > 0 {
			t.Reading.Lines++
			t.take(name, n, text, size, err == io.EOF)
		}
		if err == io.EOF {
			return nil
		}
	}
}

// take adds one line of size bytes. open is set for a last one without its end.
func (t *Trace) take(name string, n int, text []byte, size int, open bool) {
	if size > longestLine {
		t.broken(Broken{name, n, fmt.Sprintf("longer than %d MiB", longestLine>>20)})
		return
	}
	if len(text) == 0 {
		return
	}
	l, err := parseLine(text)
	switch {
	case err == nil:
		t.add(&l)
	case err == errAttempt:
	case err == errDecision:
		t.Reading.Foreign++
	case open && errors.Is(err, jsonscan.ErrTruncated):
		t.Reading.Torn++
	default:
		t.broken(Broken{name, n, err.Error()})
	}
}

func (t *Trace) broken(b Broken) {
	if t.Reading.Broken++; len(t.Reading.First) < brokenTold {
		t.Reading.First = append(t.Reading.First, b)
	}
}

// readLine reads a line into buf, without its end. size is what it takes in the
// file. Of one that is longer than longestLine only the size is kept. The error
// is io.EOF for the last one.
func readLine(in *bufio.Reader, buf []byte) (text []byte, size int, err error) {
	buf = buf[:0]
	for {
		part, err := in.ReadSlice('\n')
		if size += len(part); size <= longestLine {
			buf = append(buf, part...)
		}
		if err == bufio.ErrBufferFull {
			continue
		}
		for len(buf) > 0 && (buf[len(buf)-1] == '\n' || buf[len(buf)-1] == '\r') {
			buf = buf[:len(buf)-1]
		}
		return buf, size, err
	}
}
