package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"

	"anyproxy/internal/grammar"
)

// TestMain lets this program be its own children.
func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		os.Exit(play(role, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// The smoke test makes every case, with few requests: what it costs is not
// looked at, but nothing may be lost or changed.
func TestEveryCaseGetsEveryAnswer(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("NOT TESTED: the load program, which runs on Linux only")
	}
	if testing.Short() {
		t.Skip("NOT TESTED with -short: it builds anyproxy and starts many processes")
	}
	var out, errw bytes.Buffer
	if code := run(t.Context(), []string{"-quick"}, &out, &errw); code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, errw.String(), out.String())
	}
	for _, s := range specs {
		if !strings.Contains(out.String(), s.text) {
			t.Errorf("the table has no row %q", s.text)
		}
	}
	t.Log("\n" + out.String())
}

func TestCallsThatAreWrong(t *testing.T) {
	for _, args := range [][]string{{"-case", "none"}, {"-rounds", "0"}, {"argument"}, {"-unknown"}} {
		var out, errw bytes.Buffer
		if code := run(t.Context(), args, &out, &errw); code != 2 || errw.Len() == 0 || out.Len() > 0 {
			t.Errorf("%q: exit code %d, %q, %q; want 2 and words", args, code, out.String(), errw.String())
		}
	}
}

// What the plans send must be what a real upstream could have sent.
func TestPlansFollowTheGrammar(t *testing.T) {
	for name, p := range plans(false) {
		ours := strings.HasPrefix(name, convertPrefix) // what anyproxy makes, not what an upstream sends
		if !ours && !bytes.Equal(wireBody(t, p), p.answer) {
			t.Errorf("%s: the segments carry something else than the answer", name)
		}
		if strings.HasPrefix(name, chatPrefix) {
			continue // in another format; its other side is judged
		}
		check := grammar.CheckWhole
		if p.stream {
			check = grammar.Check
		}
		m, err := check(p.answer)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !ours && m.ID != "msg_"+mark || m.End != grammar.Complete || p.stream && m.Events != p.events {
			t.Errorf("%s: id %s, end %s, %d events; want %d", name, m.ID, m.End, m.Events, p.events)
		}
		if len(marks(p.request)) == 0 || len(marks(p.answer)) == 0 {
			t.Errorf("%s: without a mark", name)
		}
		if first := p.answer[:p.first]; p.stream && (bytes.Count(first, []byte("text_delta")) != 1 || !bytes.HasSuffix(first, []byte("\n\n"))) {
			t.Errorf("%s: the first content does not end at %d", name, p.first)
		}
	}
}

// wireBody takes the answer out of a plan's segments.
func wireBody(t *testing.T, p *plan) []byte {
	t.Helper()
	var wire bytes.Buffer
	for _, s := range p.segments {
		wire.Write(s.wire)
	}
	r := bufio.NewReader(&wire)
	h, err := readHead(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	m := matcher{want: p.answer}
	if err := m.body(r, h, func() {}); err != nil {
		t.Errorf("%s: %v", p.name, err)
	}
	rest, _ := io.ReadAll(r)
	if len(rest) > 0 {
		t.Errorf("%s: %q behind the end", p.name, rest)
	}
	return m.want[:m.at]
}

func TestSizesOfRequests(t *testing.T) {
	all := plans(false)
	for name, want := range map[string]int{"small": 2 << 10, "body100k": 100 << 10, "body1m": 1 << 20} {
		if got := len(all[name].request); got < want*9/10 || got > want*11/10 {
			t.Errorf("%s: a request of %d bytes, want about %d", name, got, want)
		}
	}
}

func TestMatcherFindsEveryDifference(t *testing.T) {
	const want = "event: a\ndata: 1\n\n"
	chunked := func(parts ...string) string {
		var b strings.Builder
		for _, p := range append(parts, "") {
			fmt.Fprintf(&b, "%x\r\n%s\r\n", len(p), p)
		}
		return b.String()
	}
	for _, c := range []struct {
		name, wire string
		ok         bool
	}{
		{"whole", chunked(want), true},
		{"in parts", chunked(want[:3], want[3:7], want[7:]), true},
		{"changed", chunked(strings.Replace(want, "1", "2", 1)), false},
		{"longer", chunked(want, "x"), false},
		{"shorter", chunked(want[:9]), false},
		{"cut", chunked(want)[:12], false},
		{"no end", strings.TrimSuffix(chunked(want), "0\r\n\r\n"), false},
		{"no chunks", want, false},
	} {
		m := matcher{want: []byte(want)}
		err := m.body(bufio.NewReader(strings.NewReader(c.wire)), head{length: -1, chunked: true}, func() {})
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestNumbersStandOnAllMarks(t *testing.T) {
	b := []byte("a" + mark + "b" + mark)
	number(b, marks(b), 1234567)
	if string(b) != "a01234567b01234567" {
		t.Errorf("got %s", b)
	}
}

func TestVerdicts(t *testing.T) {
	less := spec{ratio: true, must: 1.05, aim: 0.92}
	more := spec{ratio: true, more: true, must: 0.95, aim: 1.08}
	for _, c := range []struct {
		s      spec
		figure float64
		want   string
	}{
		{less, 0.9, "aim"}, {less, 1.05, "must"}, {less, 1.06, "OVER"},
		{more, 1.1, "aim"}, {more, 1, "must"}, {more, 0.9, "OVER"}, {spec{}, 5, ""},
	} {
		if got := c.s.verdict(c.figure); got != c.want {
			t.Errorf("%v of %+v: %q, want %q", c.figure, c.s, got, c.want)
		}
	}
	if got := less.values(&figures{bare: []float64{2, 4}, ours: []float64{1, 4}}); got[0] != 0.5 || got[1] != 1 {
		t.Errorf("ratios %v", got)
	}
}
