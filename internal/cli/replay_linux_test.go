package cli

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"anyproxy/internal/noprobe/ptytest"
)

// TestReplayOnATerminal: the tables fit, and have bars and colours there; what
// goes wrong does not make it wider.
func TestReplayOnATerminal(t *testing.T) {
	log := replayFiles(t)
	for _, c := range []struct {
		env    map[string]string
		colour bool
	}{{map[string]string{}, true}, {map[string]string{"NO_COLOR": "1"}, false}, {map[string]string{"TERM": "dumb"}, false}} {
		got := onTerminal(t, func(terminal *os.File) {
			var errw bytes.Buffer
			if code := callOn(t, replayCommand(), c.env, nil, terminal, &errw, log, "-config", "new.yaml"); code != exitDone || errw.Len() > 0 {
				t.Errorf("exit code %d, %s", code, errw.String())
			}
		})
		if strings.Contains(got, "\x1b[") != c.colour || !strings.Contains(got, "█") {
			t.Errorf("%v: %s", c.env, got)
		}
		fits(t, got, 80)
	}
}

// TestReplayTellsHowFarItIs while its standard input goes on and on.
func TestReplayTellsHowFarItIs(t *testing.T) {
	log := replayFiles(t)
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	master, slave := ptytest.Open(t, 80, 24)
	in, feed := io.Pipe()
	done := make(chan int)
	go func() {
		done <- callOn(t, replayCommand(), nil, in, io.Discard, slave, "-", "-config", "new.yaml")
	}()
	told := make(chan string)
	go func() {
		var all bytes.Buffer
		b := make([]byte, 1024)
		seen := false
		for {
			n, err := master.Read(b)
			all.Write(b[:n])
			if !seen && strings.Contains(all.String(), "reading: ") {
				seen = true
				feed.Close()
			}
			if err != nil {
				told <- all.String()
				return
			}
		}
	}()
	for err = nil; err == nil; _, err = feed.Write(text) { // until the reader has seen enough
	}
	if code := <-done; code != exitDone {
		t.Errorf("exit code %d", code)
	}
	slave.Close()
	if all := <-told; !strings.HasPrefix(all, "\r\x1b[Kreading: ") || !strings.HasSuffix(all, "\r\x1b[K") {
		t.Errorf("%q", all)
	}
}
