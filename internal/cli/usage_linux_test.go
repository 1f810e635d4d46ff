package cli

import (
	"bytes"
	"io"
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
