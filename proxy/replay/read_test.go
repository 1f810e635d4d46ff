package replay_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"anyproxy/proxy/replay"
)

func aLog(t testing.TB, n int) []byte {
	return write(t, every(time.Second, n, func(int) asked { return asked{session: "s", tries: []try{bad("b", "server_error"), good("a")}} }))
}

func TestReadsWhatTheLogWrites(t *testing.T) {
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "with its end": iotest.DataErrReader,
	} {
		trace := replay.New()
		log := aLog(t, 5)
		told := 0
		if err := trace.Read(context.Background(), "x", wrap(bytes.NewReader(log)), func(n int) { told += n }); err != nil {
			t.Fatal(err)
		}
		trace.Settle()
		if r := trace.Reading; trace.Requests() != 5 || r.Lines != 15 || r.Bytes != int64(len(log)) || told != len(log) || r.Broken+r.Torn+r.Foreign+r.Twice != 0 {
			t.Errorf("%s: %d requests, %+v, told %d", name, trace.Requests(), r, told)
		}
		if !trace.From().Equal(noon) || !trace.To().Equal(noon.Add(4*time.Second)) {
			t.Errorf("%s: %s to %s", name, trace.From(), trace.To())
		}
	}
}

// TestReadsWhatCanBeRead: what is broken is counted and named, and stands in
// nobody's way.
func TestReadsWhatCanBeRead(t *testing.T) {
	lines := bytes.SplitAfter(aLog(t, 2), []byte("\n"))
	request := func(from, to string) string {
		changed := strings.Replace(string(lines[2]), from, to, 1)
		if changed == string(lines[2]) {
			t.Fatalf("the line has no %s", from)
		}
		return changed
	}
	for _, c := range []struct {
		name, log string
		requests  int
		want      replay.Reading // without lines and bytes
	}{
		{"empty", "", 0, replay.Reading{}},
		{"blank lines", "\n\r\n" + string(lines[2]) + "\n", 1, replay.Reading{}},
		{"of Windows", strings.TrimSuffix(string(lines[2]), "\n") + "\r\n" + string(lines[5]), 2, replay.Reading{}},
		{"without its last end", strings.TrimSuffix(string(lines[2]), "\n"), 1, replay.Reading{}},
		{"torn at the end", string(lines[2]) + string(lines[5][:200]), 1, replay.Reading{Torn: 1}},
		{"torn in between", string(lines[2][:len(lines[2])/2]) + "\n" + string(lines[5]), 1,
			replay.Reading{Broken: 1, First: []replay.Broken{{File: "x", Line: 1, Why: fmt.Sprintf("JSON breaks off (offset %d)", len(lines[2])/2)}}}},
		{"no JSON", "hello\n" + string(lines[2]), 1, replay.Reading{Broken: 1, First: []replay.Broken{{File: "x", Line: 1, Why: "not JSON (offset 0)"}}}},
		{"another log", "\n{\"a\":1}\n", 0, replay.Reading{Broken: 1, First: []replay.Broken{{File: "x", Line: 2,
			Why: "not a line of a request log: its direction is neither request nor response"}}}},
		{"of anthropic-proxy", request(`"decision":`, `"other":`), 0, replay.Reading{Foreign: 1}},
		{"no time", request(`"timestamp":`, `"other":`), 0, replay.Reading{Broken: 1, First: []replay.Broken{{File: "x", Line: 1, Why: "timestamp: it is missing"}}}},
		{"another time", request(`"timestamp":"2026`, `"timestamp":"9026`), 0, replay.Reading{Broken: 1, First: []replay.Broken{{File: "x", Line: 1, Why: "timestamp: not of our time"}}}},
		{"a start of no time", request(`"start":"2026`, `"start":"0026`), 0,
			replay.Reading{Broken: 1, First: []replay.Broken{{File: "x", Line: 1, Why: "decision: attempt 1: its start is not of our time"}}}},
		{"a wrong duration", request(`"duration_seconds":2.6`, `"duration_seconds":-2.6`), 0,
			replay.Reading{Broken: 1, First: []replay.Broken{{File: "x", Line: 1, Why: "duration_seconds: not a number of seconds"}}}},
		{"a wrong attempt", request(`"duration":100000000`, `"duration":-1`), 0,
			replay.Reading{Broken: 1, First: []replay.Broken{{File: "x", Line: 1, Why: "decision: attempt 1: a time that cannot be"}}}},
		{"wrong tokens", request(`"input":1000`, `"input":99999999999`), 0,
			replay.Reading{Broken: 1, First: []replay.Broken{{File: "x", Line: 1, Why: "decision: attempt 2: a number of tokens that cannot be"}}}},
		{"tokens whose sum is no number", request(`"input":1000`, `"input":2000000000`), 0,
			replay.Reading{Broken: 1, First: []replay.Broken{{File: "x", Line: 1, Why: "decision: attempt 2: a number of tokens that cannot be"}}}},
		{"attempts of another kind", request(`"attempts":[`, `"attempts":[7,`), 0,
			replay.Reading{Broken: 1, First: []replay.Broken{{File: "x", Line: 1, Why: "decision: its attempts cannot be read"}}}},
		{"given twice", string(lines[2]) + string(lines[5]) + string(lines[2]), 2, replay.Reading{Twice: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			trace := replay.New()
			if err := trace.Read(context.Background(), "x", strings.NewReader(c.log), nil); err != nil {
				t.Fatal(err)
			}
			trace.Settle()
			got := trace.Reading
			got.Lines, got.Bytes = 0, 0
			if trace.Requests() != c.requests || fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("%d requests, %+v\nwant %d, %+v", trace.Requests(), got, c.requests, c.want)
			}
		})
	}
}

// endless is a line without end, up to n bytes.
type endless int

func (e *endless) Read(p []byte) (int, error) {
	if *e <= 0 {
		return 0, io.EOF
	}
	n := min(len(p), int(*e))
	for i := range p[:n] {
		p[i] = 'x'
	}
	*e -= endless(n)
	return n, nil
}

func TestAnEndlessLineIsNotKept(t *testing.T) {
	line := endless(70 << 20)
	log := aLog(t, 1)
	trace := replay.New()
	if err := trace.Read(context.Background(), "x", io.MultiReader(&line, strings.NewReader("\n"), bytes.NewReader(log)), nil); err != nil {
		t.Fatal(err)
	}
	if r := trace.Reading; trace.Requests() != 1 || r.Broken != 1 || r.First[0].String() != "x:1: longer than 64 MiB" {
		t.Errorf("%d requests, %+v", trace.Requests(), r)
	}
}

func TestReadingFails(t *testing.T) {
	wrong := errors.New("the disk is gone")
	trace := replay.New()
	if err := trace.Read(context.Background(), "x", io.MultiReader(bytes.NewReader(aLog(t, 1)), iotest.ErrReader(wrong)), nil); !errors.Is(err, wrong) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := trace.Read(ctx, "x", bytes.NewReader(aLog(t, 1)), nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// FuzzRead: whatever a log holds is read or counted, and can be replayed.
func FuzzRead(f *testing.F) {
	log := aLog(f, 2)
	f.Add(log)
	f.Add(log[:len(log)-100])
	f.Add(bytes.ReplaceAll(log, []byte("1000"), []byte("-7")))
	f.Add([]byte(`{"direction":"request","timestamp":"2026-01-02T03:04:05Z","decision":{"attempts":[{"outcome":"ok","start":"2026-01-02T03:04:05Z"}]},"success":true}`))
	f.Add([]byte("{\"direction\":\"response\"\n{}\n\n\x00"))
	f.Fuzz(func(t *testing.T, log []byte) {
		trace := replay.New()
		if err := trace.Read(context.Background(), "x", bytes.NewReader(log), nil); err != nil {
			t.Fatal(err)
		}
		trace.Settle()
		r := trace.Reading
		if sum := int64(trace.Requests()) + r.Broken + r.Torn + r.Foreign + r.Twice; r.Bytes != int64(len(log)) || sum > r.Lines {
			t.Errorf("%d requests, %+v", trace.Requests(), r)
		}
		if trace.Requests() == 0 || trace.To().Sub(trace.From()) > 24*time.Hour {
			return
		}
		s := setup("a", "b")
		judge := s.Judge
		s.Judge = func(outcome string) replay.Judgement {
			if outcome == "ok" || outcome == "server_error" || outcome == "canceled" {
				return judge(outcome)
			}
			return judge("connect")
		}
		report, err := trace.Replay(context.Background(), s, nil)
		if err != nil {
			t.Fatal(err)
		}
		if w := report.Would; w.Requests != int64(trace.Requests()) || w.Answered+w.Failed+w.Canceled != w.Requests {
			t.Errorf("%+v", w)
		}
	})
}

// BenchmarkRead reads logs without bodies and with one of 100 KB in each line.
func BenchmarkRead(b *testing.B) {
	const short = `"body":"{\"messages\":[{\"role\":\"user\",\"content\":\"\\\"decision\\\":{}\"}]}"`
	all := aLog(b, 500)
	long := `"body":"` + strings.Repeat(`{\"role\":\"user\",\"content\":\"some words\"},`, 2000) + `"`
	for name, body := range map[string]string{"plain": `"body":""`, "bodies": long} {
		log := bytes.ReplaceAll(all, []byte(short), []byte(body))
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(log)))
			b.ReportAllocs()
			for b.Loop() {
				if trace := read(b, log); trace.Requests() != 500 {
					b.Fatalf("%+v", trace.Reading)
				}
			}
		})
	}
}
