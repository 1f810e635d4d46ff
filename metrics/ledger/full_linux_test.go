package ledger

import (
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestAFullDisk runs in a process of its own, in which files cannot grow beyond
// a size that is in the middle of a row.
func TestAFullDisk(t *testing.T) {
	const inside = "LEDGER_TEST_FULL_DISK"
	if os.Getenv(inside) == "" {
		c := exec.Command(os.Args[0], "-test.run=^TestAFullDisk$", "-test.v")
		c.Env = append(os.Environ(), inside+"=1")
		if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS") {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	signal.Ignore(syscall.SIGXFSZ) // the write fails instead
	dir := t.TempDir()
	limit := syscall.Rlimit{Cur: 10_001, Max: math.MaxUint64}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, dayOf(time.Now())+rowsSuffix)
	b := opened(t, dir, time.Now, Options{KeepDays: 30})
	for range 100 {
		b.attempt("a", "", 1)
	}
	deadline := time.Now().Add(time.Minute)
	for ; ; time.Sleep(5 * time.Millisecond) {
		if info, err := os.Stat(path); err == nil && info.Size() == int64(limit.Cur) {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("the file does not fill up: %v, %v", info, err)
		}
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	b.close(t)
	if n := strings.Count(b.log.String(), "kept in memory only"); n != 1 || !strings.Contains(b.log.String(), "written again") {
		t.Errorf("told %d times: %s", n, b.log.String())
	}
	s, _, err := Folder(dir).load(dayOf(time.Now()), nil)
	if err != nil || s.spent()[Everybody] != 100 || s.skipped != 1 || b.journal.Dropped() != 0 {
		t.Errorf("%v spent, %d lines are torn, %d rows lost, %v", s.spent()[Everybody], s.skipped, b.journal.Dropped(), err)
	}
}
