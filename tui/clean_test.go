package tui

import (
	"strings"
	"testing"
	"unicode/utf8"

	"anyproxy/metrics"
)

func TestClean(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", ""},
		{"claude-sonnet-4-5", "claude-sonnet-4-5"},
		{"two\nlines\tand\rmore", "two lines and more"},
		{"\x1b[31mred\x1b[0m", `\x1b[31mred\x1b[0m`},
		{"\x1b]52;c;aGk=\x07", `\x1b]52;c;aGk=\x07`},
		{"c1 \u009b31m del \x7f nul \x00", `c1 \x9b31m del \x7f nul \x00`},
		{"\u202eevil\u2069", `\u202eevil\u2069`},
		{"marks \u200e\u200f\u061c", `marks \u200e\u200f\u061c`},
		{"❤\ufe0f", "❤"},
		{"\ufeffbom", "bom"},
		{"bad \xff utf8 \xc3", `bad \xff utf8 \xc3`},
		{"日本語 é עברית", "日本語 é עברית"},
	}
	for _, tt := range tests {
		if got := clean(tt.in); got != tt.want {
			t.Errorf("clean(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

// TestEveryShownStringIsCleaned plants an escape sequence in every string of a
// snapshot and looks for its ESC on screen.
func TestEveryShownStringIsCleaned(t *testing.T) {
	const evil = "\x1b]52;c;ZXZpbA==\x07"
	s := busyDay()
	s.Listen, s.Config, s.Version = evil, evil, evil
	for i := range s.Providers {
		p := &s.Providers[i]
		p.Name, p.Type, p.Endpoint, p.LastError, p.State = evil, evil, evil, evil, evil
	}
	for i := range s.Requests {
		r := &s.Requests[i]
		r.Model, r.Error, r.Session, r.Key = evil, evil, evil, evil
		if i%2 == 0 {
			r.Decision.Attempts = []metrics.AttemptRecord{attempt(evil, evil, 0, 0)}
		} else {
			r.Decision.Attempts = nil
		}
	}
	for i := range s.Events {
		e := &s.Events[i]
		e.Kind, e.Provider, e.To, e.Text, e.Model = evil, evil, evil, evil, evil
	}
	for _, size := range [][2]int{{200, 60}, {100, 30}, {60, 20}, {30, 6}} {
		m := testModel(steady(s), size[0], size[1], trueColorEnv)
		checkFrame(t, m.view, size[0], size[1])
		if strings.Contains(m.view, "\x07") || strings.Contains(m.view, "\x1b]") {
			t.Errorf("%v: an escape sequence came through", size)
		}
	}
}

// TestCleaningLeavesTheProxysRecordsAlone: a Snapshot shares the attempts and
// candidates of requests with the proxy, which reads them at the same time.
func TestCleaningLeavesTheProxysRecordsAlone(t *testing.T) {
	const evil = "\x1b[2J"
	s := busyDay()
	for i := range s.Requests {
		s.Requests[i].Decision.Attempts[0].Reason = evil
		s.Requests[i].Decision.Candidates[0].Skipped = evil
	}
	m := testModel(steady(s), 120, 36, trueColorEnv)
	press(m, "m", "3", "enter")
	for i := range s.Requests {
		if d := &s.Requests[i].Decision; d.Attempts[0].Reason != evil || d.Candidates[0].Skipped != evil {
			t.Fatalf("request %d: %q, %q", i, d.Attempts[0].Reason, d.Candidates[0].Skipped)
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range nastyNames {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := clean(s)
		if !utf8.ValidString(got) {
			t.Errorf("clean(%q) = %q is not UTF-8", s, got)
		}
		for _, r := range got {
			if r < 0x20 || r >= 0x7f && r < 0xa0 || isBidiControl(r) || r == '\ufe0f' {
				t.Errorf("clean(%q) = %q keeps %U", s, got, r)
			}
		}
		if again := clean(got); len(s) < maxText/10 && again != got {
			t.Errorf("clean(%q) is not stable: %q, %q", s, got, again)
		}
		if len(got) > maxText+10 {
			t.Errorf("%d bytes of %d kept", len(got), len(s))
		}
		for w := range 12 {
			if n := width(cut(got, w, "…")); n > w {
				t.Errorf("cut(%q, %d) is %d wide", got, w, n)
			}
		}
		if ascii := toASCII(got); !isPlain(ascii[:min(len(ascii), maxText)]) {
			t.Errorf("toASCII(%q) = %q", got, ascii)
		}
	})
}
