//go:build unix

package requestlog_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"anyproxy/metrics"
	"anyproxy/proxy/requestlog"
)

// stuck returns a log whose writer hangs in a pipe that nobody empties, with an
// empty queue behind it, and the pipe's other end.
func stuck(t *testing.T, o requestlog.Options) (*requestlog.Log, *os.File) {
	t.Helper()
	o.Path = path(t)
	if err := syscall.Mkfifo(o.Path, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := os.OpenFile(o.Path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	l, err := requestlog.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	l.Request(&metrics.RequestRecord{ID: "first"}, nil, bytes.Repeat([]byte("x"), 1<<20)) // more than a pipe holds
	if _, err := io.ReadFull(r, make([]byte, 100)); err != nil {
		t.Fatal(err) // the writer has written, so it has taken the line from the queue
	}
	return l, r
}

func TestQueueIsBoundedByNumber(t *testing.T) {
	l, r := stuck(t, requestlog.Options{})
	const sent = 3000
	for range sent {
		l.Request(&metrics.RequestRecord{ID: "next"}, nil, nil)
	}
	if got := l.Dropped(); got != sent-1024 {
		t.Errorf("%d dropped of %d", got, sent)
	}
	ended := make(chan error)
	go func() { ended <- l.Close(context.Background()) }()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := bytes.Count(b, []byte("\n")); n != 1+1024 {
		t.Errorf("%d lines", n)
	}
}

func TestQueueIsBoundedByBytes(t *testing.T) {
	l, r := stuck(t, requestlog.Options{})
	body := bytes.Repeat([]byte("x "), 10<<20)
	for range 5 {
		l.Request(&metrics.RequestRecord{}, nil, body)
	}
	l.Request(&metrics.RequestRecord{}, nil, nil) // there is still room for a small one
	if got := l.Dropped(); got != 2 {
		t.Errorf("%d dropped of 5 × 20 MiB", got)
	}
	r.Close() // the writer gets EPIPE
	closed(t, l)
}

func TestCloseIsBoundedInTime(t *testing.T) {
	var out syncBuffer
	l, _ := stuck(t, requestlog.Options{Logger: slog.New(slog.NewTextHandler(&out, nil))})
	for range 10 {
		l.Request(&metrics.RequestRecord{}, nil, nil)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := l.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	closed(t, l) // the writer was set free
	if l.Dropped() != 11 || !strings.Contains(out.String(), "lines=10 error=\"the log was closed") {
		t.Errorf("%d dropped: %s", l.Dropped(), out.String())
	}
}

func TestPipeWithoutReaderIsAnErrorAtOnce(t *testing.T) {
	name := path(t)
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := requestlog.Open(requestlog.Options{Path: name}); err == nil || !strings.Contains(err.Error(), "nobody reads") {
		t.Errorf("%v", err)
	}
}

// TestDiskThatFillsUpInTheMiddleOfALine uses the limit on a file's size, the one
// way to a write that is cut short which every user has. It runs in a process of
// its own: what go test itself writes for its cache would meet the limit, too.
func TestDiskThatFillsUpInTheMiddleOfALine(t *testing.T) {
	const inside = "REQUESTLOG_TEST_FULL_DISK"
	if os.Getenv(inside) == "" {
		c := exec.Command(os.Args[0], "-test.run=^TestDiskThatFillsUpInTheMiddleOfALine$", "-test.v")
		c.Env = append(os.Environ(), inside+"=1")
		if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS") {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	limit := was
	limit.Cur = 1_000_000
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	reset := func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
			t.Fatal(err)
		}
	}
	defer reset()

	name := path(t)
	l := open(t, requestlog.Options{Path: name})
	for range 10 {
		numbered(l, 1, strings.Repeat("x", 400_000))
	}
	eventually(t, "the losses", func() bool { return l.Dropped() == 8 })
	reset()
	numbered(l, 2, "there is room again")
	closed(t, l)
	got := entries(t, name) // every line is whole
	if len(got) != 3 || got[2].Body != "there is room again" {
		t.Errorf("%d lines", len(got))
	}
}

// TestTwoLogsShareAFile: each line is one append, and a rotation by one moves the
// other on to the new file.
func TestTwoLogsShareAFile(t *testing.T) {
	name := path(t)
	a := open(t, requestlog.Options{Path: name})
	b := open(t, requestlog.Options{Path: name, MaxSize: 1, Keep: 5})
	lines := func(file string) int {
		f, err := os.Open(file)
		if err != nil {
			return -1
		}
		defer f.Close()
		n := 0
		for s := bufio.NewScanner(f); s.Scan(); n++ {
			if !json.Valid(s.Bytes()) {
				t.Errorf("%s: %q", file, s.Text())
			}
		}
		return n
	}
	a.Request(&metrics.RequestRecord{ID: "1"}, nil, nil)
	eventually(t, "the first line", func() bool { return lines(name) == 1 })
	b.Request(&metrics.RequestRecord{ID: "2"}, nil, nil)
	eventually(t, "a rotation", func() bool { return lines(name+".1") == 1 && lines(name) == 1 })
	a.Request(&metrics.RequestRecord{ID: "3"}, nil, nil)
	eventually(t, "a line in the new file", func() bool { return lines(name) == 2 })
}
