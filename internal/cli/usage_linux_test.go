package cli

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"anyproxy/internal/noprobe/ptytest"

	"github.com/charmbracelet/x/ansi"
)

// TestUsageOnATerminal: the table fits the terminal that it is written to, and
// has bars and colours there.
func TestUsageOnATerminal(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range []struct {
		width  int
		env    string
		colour bool
		bars   bool
	}{{80, "", true, true}, {80, "NO_COLOR", false, true}, {60, "", true, true}, {40, "", true, true}} {
		env := aLedger(t)
		env[c.env] = "1"
		master, slave := ptytest.Open(t, c.width, 24)
		read := make(chan string)
		go func() {
			var all bytes.Buffer
			_, _ = io.Copy(&all, master) // ends with an error when the other end is closed
			read <- all.String()
		}()
		code, errw := usageOf(t, env, usageDay, slave)
		slave.Close()
		got := <-read
		if code != 0 || errw != "" {
			t.Errorf("exit code %d, %s", code, errw)
		}
		if strings.Contains(got, "\x1b[") != c.colour || strings.Contains(got, "█") != c.bars {
			t.Errorf("%+v: %s", c, got)
		}
		for line := range strings.Lines(got) {
			if w := ansi.StringWidth(strings.TrimRight(line, "\r\n")); w > c.width {
				t.Errorf("%d cells on a terminal of %d: %s", w, c.width, line)
			}
		}
	}
}

// TestUsageTellsHowFarItIs on a terminal, where there is much to read: the ledger
// grows until it is, on a machine of whatever speed.
func TestUsageTellsHowFarItIs(t *testing.T) {
	t.Chdir(t.TempDir())
	env := aLedger(t)
	day := filepath.Join(env["XDG_STATE_HOME"], "anyproxy", "ledger", usageDay.Format(time.DateOnly)+".jsonl")
	rows, err := os.ReadFile(day)
	if err != nil {
		t.Fatal(err)
	}
	_, rows, _ = bytes.Cut(rows, []byte("\n")) // the row of the start
	for size := 16 << 20; ; size *= 2 {
		if err := os.WriteFile(day, bytes.Repeat(rows, size/len(rows)), 0o600); err != nil {
			t.Fatal(err)
		}
		told := onTerminal(t, func(terminal *os.File) {
			if code := callOn(t, usageCommand(), env, nil, io.Discard, terminal, "-by", "session"); code != exitDone {
				t.Errorf("exit code %d", code)
			}
		})
		if regexp.MustCompile(`^(\r\x1b\[Kreading the ledger: \d+ %)+\r\x1b\[K$`).MatchString(told) {
			break
		}
		if told != "" || size > 1<<30 {
			t.Fatalf("of %d bytes is told %q", size, told)
		}
	}
	var quiet bytes.Buffer
	if code := callOn(t, usageCommand(), env, nil, io.Discard, &quiet, "-by", "session"); code != exitDone || quiet.Len() > 0 {
		t.Errorf("in a pipe: exit code %d, %q", code, quiet.String())
	}
}

// onTerminal is what is written to a terminal of 80 cells.
func onTerminal(t *testing.T, do func(terminal *os.File)) string {
	t.Helper()
	master, slave := ptytest.Open(t, 80, 24)
	read := make(chan string)
	go func() {
		var all bytes.Buffer
		_, _ = io.Copy(&all, master) // ends with an error when the other end is closed
		read <- all.String()
	}()
	do(slave)
	slave.Close()
	return <-read
}

func TestProgressIsToldWhenReadingTakesLong(t *testing.T) {
	master, slave := ptytest.Open(t, 80, 24)
	p := newCounted("reading the ledger", slave)
	p.told(1, 4)
	if !p.last.IsZero() {
		t.Error("it is told at once")
	}
	p.began = time.Now().Add(-patienceOfReaders)
	p.told(1, 4)
	p.told(2, 4) // too soon
	p.done()
	slave.Close()
	var all bytes.Buffer
	_, _ = io.Copy(&all, master)
	if want := "\r\x1b[Kreading the ledger: 25 %\r\x1b[K"; all.String() != want {
		t.Errorf("%q", all.String())
	}
	quiet := newCounted("reading the ledger", &all)
	quiet.began = p.began
	quiet.told(1, 4)
	quiet.done()
	if strings.Contains(all.String(), "50 %") || !quiet.last.IsZero() {
		t.Error("it is told where nobody looks")
	}
}
