package sse

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// event is an Event that outlives its Scanner.
type event struct {
	raw, name, data string
	hasData         bool
}

// scan reads r to its end and returns its events and the incomplete rest.
func scan(t testing.TB, s *Scanner, r io.Reader) (events []event, rest string, err error) {
	t.Helper()
	for err == nil {
		_, err = s.Fill(r)
		for {
			e, ok := s.Next()
			if !ok {
				break
			}
			events = append(events, event{string(e.Raw), string(e.Name), string(e.Data), e.Data != nil})
		}
	}
	if err == io.EOF {
		_, err = s.Fill(strings.NewReader(""))
	}
	if err == io.EOF {
		err = nil
	}
	return events, string(s.buf[s.start:s.end]), err
}

// reference finds events the simple way, with the whole text at hand.
func reference(text string) (events []event, rest string) {
	text = strings.TrimPrefix(text, "\ufeff")
	var e event
	for rest = text; ; {
		i := strings.IndexAny(text, "\r\n")
		if i < 0 {
			return events, rest
		}
		line, skip := text[:i], 1
		if strings.HasPrefix(text[i:], "\r\n") {
			skip = 2
		}
		text = text[i+skip:]
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "":
			e.raw = rest[:len(rest)-len(text)]
			events, rest, e = append(events, e), text, event{}
		case field == "event":
			e.name = value
		case field == "data" && e.hasData:
			e.data += "\n" + value
		case field == "data":
			e.data, e.hasData = value, true
		}
	}
}

var streams = []string{
	"event: ping\ndata: {\"type\":\"ping\"}\n\n",
	"event: a\r\ndata: 1\r\n\r\nevent: b\r\ndata: 2\r\n\r\n",
	"event: a\rdata: 1\r\revent: b\rdata: 2\r\r",
	"event: a\ndata: 1\r\n\revent: b\n\r\ndata: 2\r\n\n",
	"\ufeffdata: x\n\n", "\ufeff", "\ufeff\ufeffdata: x\n\n", "\xef\xbb", "data: \ufeff\n\n",
	": comment\n\n:\n\ndata: x\n: inside\n\n",
	"data: a\ndata: b\ndata:c\ndata\n\n", "data\n\n", "data:\n\n", "data:  two\n\n", "data: a: b\n\n",
	"event: a\nevent: b\nid: 7\nretry: 10\ndata: x\n\n", "event\ndata: x\n\n", "events: a\ndatas: x\ndat: y\n\n",
	"\n\n\n", "", "data: cut", "data: cut\n", "data: cut\r", "event: a\ndata: 1\n\nevent: b\nda",
	"data: " + strings.Repeat("long é ", 3000) + "\n\ndata: next\n\n",
	"data: a\ndata: " + strings.Repeat("x", 9000) + "\ndata: b\n\nevent: z\n\n",
}

func TestEventsDoNotDependOnTheCut(t *testing.T) {
	for _, text := range streams {
		checkSplits(t, text)
	}
}

func FuzzScanner(f *testing.F) {
	for _, text := range streams {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { checkSplits(t, text) })
}

// checkSplits feeds text whole, byte by byte, by halves of what is asked, and
// cut in two at every place of a short text.
func checkSplits(t *testing.T, text string) {
	t.Helper()
	want, rest := reference(text)
	readers := map[string]io.Reader{
		"whole": strings.NewReader(text), "byte by byte": iotest.OneByteReader(strings.NewReader(text)),
		"halves": iotest.HalfReader(strings.NewReader(text)), "EOF with data": iotest.DataErrReader(strings.NewReader(text)),
	}
	for i := 0; i < len(text) && i < 200; i++ {
		readers[fmt.Sprint("cut at ", i)] = io.MultiReader(strings.NewReader(text[:i]), strings.NewReader(text[i:]))
	}
	var s Scanner
	for how, r := range readers {
		s.Reset()
		got, left, err := scan(t, &s, r)
		if err != nil || left != rest && left != "\ufeff"+rest || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%.200q %s: %.300v, rest %.80q, %v; want %.300v, rest %.80q", text, how, got, left, err, want, rest)
		}
	}
}

func TestRawsOfOneFillAreNeighbours(t *testing.T) {
	text := "event: a\ndata: 1\n\n: c\n\nevent: b\ndata: 2\n\ndata: tail"
	var s Scanner
	if _, err := s.Fill(strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	all, _ := s.Next()
	run := all.Raw
	for e, ok := s.Next(); ok; e, ok = s.Next() {
		run = run[:len(run)+len(e.Raw)]
	}
	if want := strings.TrimSuffix(text, "data: tail"); string(run) != want || s.Pending() != len("data: tail") {
		t.Errorf("run %q, pending %d; want %q", run, s.Pending(), want)
	}
}

func TestEventIsGivenOutWithItsLastByte(t *testing.T) {
	for _, end := range []string{"\n\n", "\r\n\r\n"} {
		text := "data: x" + end
		var s Scanner
		for i := range len(text) {
			s.Fill(strings.NewReader(text[i : i+1]))
			if _, ok := s.Next(); ok != (i == len(text)-1) {
				t.Errorf("%q: after %d bytes: event %v", text, i+1, ok)
			}
		}
	}
}

func TestTooLargeEventIsRefusedHoweverItComes(t *testing.T) {
	head := "data: "
	fits := head + strings.Repeat("x", MaxEvent-len(head)-2) + "\n\n"
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r }, "small reads": func(r io.Reader) io.Reader { return &chunks{r, 3000} },
	} {
		var s Scanner
		if got, rest, err := scan(t, &s, wrap(strings.NewReader(fits))); len(got) != 1 || rest != "" || err != nil {
			t.Errorf("%s: an event of MaxEvent: %d events, %d left, %v", name, len(got), len(rest), err)
		}
		s.Reset()
		if got, _, err := scan(t, &s, wrap(strings.NewReader("x"+fits))); len(got) != 0 || !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: one byte more: %d events, %v; want ErrTooLarge", name, len(got), err)
		}
		if s.Reset(); cap(s.buf) > keepSize || cap(s.joined) > keepSize {
			t.Errorf("%s: Reset keeps %d and %d bytes", name, cap(s.buf), cap(s.joined))
		}
	}
}

// chunks reads at most n bytes at once.
type chunks struct {
	r io.Reader
	n int
}

func (c *chunks) Read(p []byte) (int, error) { return c.r.Read(p[:min(len(p), c.n)]) }

func TestReadErrorComesBehindItsBytes(t *testing.T) {
	cut := errors.New("cut")
	var s Scanner
	n, err := s.Fill(iotest.DataErrReader(io.MultiReader(strings.NewReader("data: x\n\nda"), iotest.ErrReader(cut))))
	if n != 11 {
		t.Fatalf("Fill = %d, %v", n, err)
	}
	if e, ok := s.Next(); !ok || string(e.Data) != "x" {
		t.Errorf("event %q, %v", e.Data, ok)
	}
}

func TestAppendEvent(t *testing.T) {
	got := AppendEvent([]byte("x"), Error, []byte("{\"type\":\r\n\"error\"}"))
	if want := "xevent: error\ndata: {\"type\":  \"error\"}\n\n"; string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAppendEventRefusesUnknownNames(t *testing.T) {
	for _, name := range []string{"", "ping\ndata: x", "other"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("AppendEvent took %q", name)
				}
			}()
			AppendEvent(nil, name, nil)
		}()
	}
}

// Whatever the data, what AppendEvent wrote is one event to a reader.
func FuzzAppendEvent(f *testing.F) {
	f.Add([]byte("{}"))
	f.Add([]byte("\n\nevent: message_stop\r\rdata: {}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var s Scanner
		got, rest, err := scan(t, &s, bytes.NewReader(AppendEvent(nil, Ping, data)))
		if err != nil || rest != "" || len(got) != 1 || got[0].name != Ping || len(got[0].data) != len(data) {
			t.Fatalf("%q: %+v, rest %q, %v", data, got, rest, err)
		}
	})
}

func deltas(n int) []byte {
	var b []byte
	for i := range n {
		b = AppendEvent(b, ContentBlockDelta, fmt.Appendf(nil, `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"some words %d "}}`, i))
	}
	return b
}

func TestScanningAllocatesNothing(t *testing.T) {
	text := deltas(100)
	var s Scanner
	r := bytes.NewReader(nil)
	if n := testing.AllocsPerRun(20, func() { drain(&s, r, text) }); n != 0 {
		t.Errorf("%v allocations per stream", n)
	}
}

func drain(s *Scanner, r *bytes.Reader, text []byte) (events int) {
	s.Reset()
	r.Reset(text)
	for {
		_, err := s.Fill(r)
		for {
			if _, ok := s.Next(); !ok {
				break
			}
			events++
		}
		if err != nil {
			return events
		}
	}
}

func BenchmarkScanner(b *testing.B) {
	const events = 400
	text := deltas(events)
	var s Scanner
	r := bytes.NewReader(nil)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if n := drain(&s, r, text); n != events {
			b.Fatal(n)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*events), "ns/event")
}
