package anthropic

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"anyproxy/config"
	"anyproxy/providers"
	"anyproxy/providers/messages"
	"anyproxy/providers/sse"
	"anyproxy/providers/upstream"
)

// openStream reads a stream from r as if it were a response's body.
func openStream(t testing.TB, r io.Reader) *providers.Stream {
	c, err := upstream.New(config.Provider{Name: "up", Auth: config.AuthNone}, nil)
	if err != nil {
		t.Fatal(err)
	}
	x, err := c.Begin(t.Context(), "m")
	if err != nil {
		t.Fatal(err)
	}
	s, err := messages.Accept(x.Take(&http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: io.NopCloser(r),
	}), providers.Messages, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func readStream(t testing.TB, r io.Reader) result {
	s := openStream(t, r)
	defer s.Close()
	return read(s)
}

// reads is a body of which each read brings one piece.
type reads []string

func (r *reads) Read(p []byte) (int, error) {
	if len(*r) == 0 {
		return 0, io.EOF
	}
	n := copy(p, (*r)[0])
	if (*r)[0] = (*r)[0][n:]; (*r)[0] == "" {
		*r = (*r)[1:]
	}
	return n, nil
}

// event is one event in the usual form.
func event(name, data string) string { return "event: " + name + "\ndata: " + data + "\n\n" }

// Events for streams that a test puts together.
const (
	started  = `{"type":"message_start","message":{"usage":{"input_tokens":5,"output_tokens":1}}}`
	text0    = `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`
	delta0   = `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}}`
	stop0    = `{"type":"content_block_stop","index":0}`
	finished = `{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}`
	stopped  = `{"type":"message_stop"}`
	pinged   = `{"type":"ping"}`
	overload = `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`
)

// eventNames are those of the API's events.
var eventNames = []string{sse.MessageStart, sse.ContentBlockStart, sse.ContentBlockDelta, sse.ContentBlockStop,
	sse.MessageDelta, sse.MessageStop, sse.Ping, sse.Error}

// events joins events of the given data, named by their type.
func events(datas ...string) string {
	var b strings.Builder
	for _, data := range datas {
		var e struct{ Type string }
		_ = json.Unmarshal([]byte(data), &e)
		b.WriteString(event(e.Type, data))
	}
	return b.String()
}

// split cuts a text behind each blank line.
func split(text string) []string {
	return slices.DeleteFunc(strings.SplitAfter(text, "\n\n"), func(s string) bool { return s == "" })
}

func TestRecordedStreamsComeThroughHoweverTheyAreCut(t *testing.T) {
	cached := providers.Usage{Input: 25, CacheWrite: 120, CacheRead: 48000}
	want := map[string]struct {
		output int64
		text   int
	}{
		"plain": {15, len(`Hello`) + len(`, “wörld” 👋\n\"quoted\" \\ 日本語`) + len(` done.`)}, "crlf": {15, 55},
		"tool":     {42, len(`I will read it.`) + len(`{\"file_path\": \"/src/`) + len(`main.go\"}`)},
		"thinking": {60, len(`Let me see. Yes.42`)}, "hidden": {2100, len(`42`)},
		"parallel": {80, len(`{\"file_path\":\"a\"}`) + len(`{\"pattern\":\"x\"}`)},
	}
	for _, name := range fixtures {
		text := fixture(t, name)
		check := func(how string, r io.Reader) {
			t.Helper()
			got := readStream(t, r)
			if got.err != nil || got.bytes != text || got.last().Kind != providers.End {
				t.Fatalf("%s, %s: %d of %d bytes, kind %d, %v", name, how, len(got.bytes), len(text), got.last().Kind, got.err)
			}
			usage := cached
			usage.Output = want[name].output
			if got.usage != usage || got.text != want[name].text {
				t.Fatalf("%s, %s: usage %+v, text %d; want %+v, %d", name, how, got.usage, got.text, usage, want[name].text)
			}
		}
		check("whole", strings.NewReader(text))
		check("byte by byte", iotest.OneByteReader(strings.NewReader(text)))
		check("halves", iotest.HalfReader(strings.NewReader(text)))
		check("EOF with the data", iotest.DataErrReader(strings.NewReader(text)))
		for cut := 1; cut < len(text); cut++ {
			check(fmt.Sprint("cut at ", cut), &reads{text[:cut], text[cut:]})
		}
	}
}

func TestTruncatedStreamGivesWholeEventsAndAnError(t *testing.T) {
	for _, name := range fixtures {
		text := fixture(t, name)
		blank := "\n\n"
		if name == "crlf" {
			blank = "\r\n\r\n"
		}
		for cut := range len(text) - len(blank) {
			whole := ""
			if i := strings.LastIndex(text[:cut], blank); i >= 0 {
				whole = text[:i+len(blank)]
			}
			got := readStream(t, strings.NewReader(text[:cut]))
			if e := wantError(t, got.err, providers.ClassBroken); !errors.Is(e, messages.ErrCut) {
				t.Fatalf("%s cut at %d: %v", name, cut, e)
			}
			// A CR before the end may be all there is of a line end.
			if got.bytes != whole && got.bytes != text[:cut] {
				t.Fatalf("%s cut at %d: got %d bytes, want %d", name, cut, len(got.bytes), len(whole))
			}
			reset := readStream(t, io.MultiReader(strings.NewReader(text[:cut]), iotest.ErrReader(net.ErrClosed)))
			if e := wantError(t, reset.err, providers.ClassBroken); reset.bytes != whole || !errors.Is(e, net.ErrClosed) {
				t.Fatalf("%s reset at %d: %d bytes, want %d; %v", name, cut, len(reset.bytes), len(whole), e)
			}
		}
	}
}

func TestStreamsOverHTTP(t *testing.T) {
	for _, name := range fixtures {
		text := fixture(t, name)
		_, got := send(t, serve(t, streamed(split(text)...)), streamRequest(t))
		if got.err != nil || got.bytes != text || got.last().Kind != providers.End {
			t.Errorf("%s: %d of %d bytes, %v", name, len(got.bytes), len(text), got.err)
		}
	}
}

func TestPackedStream(t *testing.T) {
	text := fixture(t, "tool")
	_, got := send(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		for _, e := range split(text) {
			io.WriteString(z, e)
			z.Flush()
			w.(http.Flusher).Flush()
		}
		z.Close()
	}), streamRequest(t))
	if got.err != nil || got.bytes != text {
		t.Errorf("%d of %d bytes, %v", len(got.bytes), len(text), got.err)
	}
}

func TestStreamResetOverHTTP(t *testing.T) {
	text := fixture(t, "plain")
	_, got := send(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		streamed(text[:700])(w, r)
		panic(http.ErrAbortHandler)
	}), streamRequest(t))
	wantError(t, got.err, providers.ClassBroken)
	if want := text[:strings.LastIndex(text[:700], "\n\n")+2]; got.bytes != want {
		t.Errorf("got %d bytes, want %d", len(got.bytes), len(want))
	}
}

func TestFramesSayWhatTheyHold(t *testing.T) {
	const p, c, e = providers.Preamble, providers.Content, providers.End
	type frame struct {
		kind               providers.Kind
		generating, hidden bool
		text               int
		usage              bool
	}
	for _, tt := range []struct {
		name string
		want []frame
	}{
		{"plain", []frame{{p, false, false, 0, true}, {p, false, false, 0, false}, {p, false, false, 0, false}, {c, true, false, 5, false},
			{c, true, false, 44, false}, {p, true, false, 0, false}, {c, true, false, 6, false}, {p, false, false, 0, false}, {p, false, false, 0, true}, {e, false, false, 0, false}}},
		{"hidden", []frame{{p, false, false, 0, true}, {p, true, true, 0, false}, {p, true, true, 0, false}, {p, true, true, 0, false}, {c, true, true, 0, false},
			{p, false, false, 0, false}, {p, true, false, 0, false}, {c, true, false, 2, false}, {p, false, false, 0, false}, {p, false, false, 0, true}, {e, false, false, 0, false}}},
		{"parallel", []frame{{p, false, false, 0, true}, {p, true, true, 0, false}, {p, true, true, 0, false}, {c, true, false, 21, false}, {p, false, false, 0, false}, {p, false, false, 0, false},
			{p, true, true, 0, false}, {c, true, false, 13, false}, {c, true, false, 6, false}, {p, false, false, 0, false}, {p, false, false, 0, true}, {e, false, false, 0, false}}},
	} {
		pieces := reads(split(fixture(t, tt.name)))
		got := readStream(t, &pieces)
		if len(got.frames) != len(tt.want) {
			t.Fatalf("%s: %d frames, want %d", tt.name, len(got.frames), len(tt.want))
		}
		for i, f := range got.frames {
			if got := (frame{f.Kind, f.Generating, f.Hidden, f.Text, f.Usage != nil}); got != tt.want[i] {
				t.Errorf("%s: frame %d: %+v, want %+v", tt.name, i+1, got, tt.want[i])
			}
		}
	}
}

func TestGenerationWithinOneFrameIsSeen(t *testing.T) {
	got := readStream(t, &reads{events(started, text0, delta0, stop0), events(finished, stopped)})
	if len(got.frames) != 2 || !got.frames[0].Generating || got.frames[1].Generating || got.frames[0].Hidden {
		t.Errorf("%+v", got.frames)
	}
}

func TestOneReadIsOneFrame(t *testing.T) {
	tail := events(delta0)
	s := openStream(t, &reads{events(started, text0, delta0) + tail[:20], tail[20:30], tail[30:], events(stop0, finished, stopped)})
	defer s.Close()
	for i, want := range []string{events(started, text0, delta0), "", tail, events(stop0, finished, stopped)} {
		f, err := s.Next()
		if err != nil || string(f.Bytes) != want {
			t.Errorf("frame %d: %q, %v; want %q", i+1, f.Bytes, err, want)
		}
		if f.Hidden {
			t.Errorf("frame %d: hidden while a text event is on its way", i+1)
		}
		_ = append(f.Bytes, "scribble"...) // must not reach what is pending
	}
}

func TestSecondMessageStartIsLeftOut(t *testing.T) {
	before, after := events(started, pinged, text0, delta0), events(delta0, stop0, finished, stopped)
	for name, r := range map[string]io.Reader{
		"whole": strings.NewReader(before + events(started) + after), "byte by byte": iotest.OneByteReader(strings.NewReader(before + events(started) + after)),
		"alone": &reads{before, events(started), after}, "thrice": strings.NewReader(before + events(started, started, started) + after),
		"first in its read": &reads{before, events(started) + after}, "last in its read": &reads{before + events(started), after},
	} {
		got := readStream(t, r)
		if got.err != nil || got.bytes != before+after || got.usage.Input != 5 || got.usage.Output != 2 {
			t.Errorf("%s: %q, %+v, %v", name, got.bytes, got.usage, got.err)
		}
	}
}

func TestUnsoundEventEndsTheStream(t *testing.T) {
	open := events(started, text0, delta0)
	for _, tt := range []struct {
		name, sound, rest string
		want              string // part of the error
	}{
		{"delta before message_start", events(pinged), events(delta0), "before message_start"},
		{"block before message_start", "", events(text0), "before message_start"},
		{"stop before message_start", "", events(stopped), "before message_start"},
		{"delta without a block", events(started), events(delta0), "not open"},
		{"delta for another block", open, events(strings.Replace(delta0, "0", "1", 1)), "not open"},
		{"delta for a closed block", open + events(stop0), events(delta0), "not open"},
		{"delta without index", open, events(strings.Replace(delta0, `"index":0,`, "", 1)), "not open"},
		{"stop of another block", open, events(strings.Replace(stop0, "0", "1", 1)), "not open"},
		{"stop twice", open + events(stop0), events(stop0), "not open"},
		{"two blocks open", open, events(strings.Replace(text0, "0", "1", 1)), "not stopped"},
		{"index again", open + events(stop0), events(text0), "does not rise"},
		{"index falls", events(started, strings.Replace(text0, "0", "3", 1), strings.Replace(stop0, "0", "3", 1)), events(strings.Replace(text0, "0", "2", 1)), "does not rise"},
		{"index negative", events(started), events(strings.Replace(text0, "0", "-1", 1)), "does not rise"},
		{"index no number", events(started), events(strings.Replace(text0, "0", `"0"`, 1)), "does not rise"},
		{"end in an open block", open, events(finished), "not stopped"},
		{"message_stop in an open block", open, events(stopped), "not stopped"},
		{"broken JSON", open, event("content_block_delta", delta0[:len(delta0)-1]), "event data"},
		{"two JSON texts", open, event("content_block_delta", delta0+"{}"), "event data"},
		{"no object", open, event("content_block_delta", `[1]`), "event data"},
		{"broken JSON of an unknown type", open, event("vendor_note", `{"x":`), "event data"},
		{"nested too deep", open, event("vendor_note", strings.Repeat("[", 600)+strings.Repeat("]", 600)), "nested"},
		{"other format", "", "data: {\"choices\":[{\"delta\":{}}]}\n\ndata: [DONE]\n\n", "event data"},
		{"no event line", "", "data: " + started + "\n\n", "differ"},
		{"name of another type", open, event("ping", delta0), "differ"},
		{"unknown name for a known type", open, event("vendor_note", stopped), "differ"},
		{"known name for no type", open, event("message_stop", `{}`), "differ"},
		{"last type counts", open, event("ping", `{"type":"ping","type":"message_stop"}`), "differ"},
		{"escaped type", open, event("ping", `{"type":"ping","typ\u0065":"message\u005fstop"}`), "differ"},
		{"name without data", open, "event: message_stop\n\n", "without data"},
		{"larger than 8 MiB", open, ": " + strings.Repeat("x", sse.MaxEvent) + "\n\n", "over 8 MiB"},
	} {
		if tt.name == "other format" {
			tt.sound = "data: {\"choices\":[{\"delta\":{}}]}\n\n" // an unknown type, harmless
			tt.rest = strings.TrimPrefix(tt.rest, tt.sound)
		}
		whole := tt.sound + tt.rest + events(pinged)
		inputs := map[string]io.Reader{"whole": strings.NewReader(whole), "pieces": &reads{tt.sound, tt.rest}}
		if len(whole) < 10_000 {
			inputs["byte by byte"] = iotest.OneByteReader(strings.NewReader(whole))
		}
		for how, r := range inputs {
			if how == "pieces" && tt.sound == "" {
				continue
			}
			got := readStream(t, r)
			if e := wantError(t, got.err, providers.ClassBroken); !strings.Contains(e.Error(), tt.want) || got.bytes != tt.sound {
				t.Errorf("%s, %s: %v behind %q, want %q", tt.name, how, e, got.bytes, tt.want)
			}
		}
	}
}

func TestWhatIsSoundThoughUnusual(t *testing.T) {
	for name, text := range map[string]string{
		"nothing but a stop":       events(started, finished, stopped),
		"gaps in the index":        events(started, text0, stop0, strings.Replace(text0, "0", "7", 1), strings.Replace(stop0, "0", "7", 1), finished, stopped),
		"unknown types":            event("vendor_note", `{"type":"vendor_note"}`) + events(started) + event("x", `[1,2]`) + "event: y\n\n" + events(stopped),
		"two message_deltas":       events(started, finished, finished, stopped),
		"data over several lines":  "event: message_start\ndata: {\"type\":\ndata:  \"message_start\"}\nid: 7\n\n" + events(stopped),
		"blank lines and comments": "\n\n: hello\n\n" + events(started) + "\n" + events(stopped),
		"unknown delta":            events(started, text0, strings.Replace(delta0, "text_delta", "citations_delta", 1), stop0, stopped),
		"repeated data":            events(started, strings.Replace(text0, `"index":0`, `"index":9,"index":0`, 1), stop0, stopped),
	} {
		if got := readStream(t, strings.NewReader(text)); got.err != nil || got.bytes != text {
			t.Errorf("%s: %q, %v", name, got.bytes, got.err)
		}
	}
}

func TestNothingBehindMessageStop(t *testing.T) {
	text := events(started, finished, stopped)
	for _, behind := range []string{events(started), events(overload), "garbage", "\n\n", "data: [DONE]\n\n"} {
		if got := readStream(t, strings.NewReader(text+behind)); got.err != nil || got.bytes != text {
			t.Errorf("%q behind the end: %q, %v", behind, got.bytes, got.err)
		}
	}
}

func TestErrorEvent(t *testing.T) {
	for name, sound := range map[string]string{
		"first": "", "behind ping": events(pinged), "behind message_start": events(started), "in the text": events(started, text0, delta0),
	} {
		text := sound + events(overload)
		for how, r := range map[string]io.Reader{
			"whole": strings.NewReader(text), "byte by byte": iotest.OneByteReader(strings.NewReader(text)), "more behind": strings.NewReader(text + events(delta0)),
		} {
			got := readStream(t, r)
			if got.err != nil || got.bytes != text {
				t.Fatalf("%s, %s: %q, %v", name, how, got.bytes, got.err)
			}
			f := got.last()
			if f.Kind != providers.Failed || f.Err == nil {
				t.Fatalf("%s, %s: last frame %+v", name, how, f)
			}
			if e := wantError(t, f.Err, providers.ClassOverloaded); e.Status != 529 || string(e.Body) != overload || e.Model != "m" || e.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%s, %s: %+v, body %s", name, how, e, e.Body)
			}
			for _, f := range got.frames[:len(got.frames)-1] {
				if f.Kind == providers.Failed {
					t.Errorf("%s, %s: two failed frames", name, how)
				}
			}
		}
	}
}

// How long an upstream wants to be left alone stands in the headers, long before
// it says so.
func TestErrorEventBehindContentHasItsWait(t *testing.T) {
	p := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "30")
		streamed(events(started, text0, delta0), events(overload))(w, r)
	})
	_, got := send(t, p, streamRequest(t))
	if e := got.last().Err; e == nil || e.RetryAfter != 30*time.Second {
		t.Errorf("got %v, want an error with a wait of 30s", e)
	}
}

func TestErrorEventWithoutWords(t *testing.T) {
	for _, data := range []string{`{"type":"error"}`, `{"type":"error","error":null}`, `{"type":"error","error":{"type":7}}`} {
		got := readStream(t, strings.NewReader(events(data)))
		if e := wantError(t, got.last().Err, providers.ClassServer); e.Status != 500 || e.Body != nil {
			t.Errorf("%s: %+v", data, e)
		}
	}
}

func TestConnectionIsUsedAgain(t *testing.T) {
	text := fixture(t, "plain")
	whole := streamed(text)
	for name, h := range map[string]http.HandlerFunc{
		"stream": whole, "stream with comments behind": streamed(text, ": bye\n\n"), "error": answers(529, jsonType(), overload),
		"message": answers(200, jsonType(), wholeMessage), "HTML error": answers(500, nil, "<html>"),
	} {
		t.Run(name, func(t *testing.T) {
			var conns atomic.Int32
			up := httptest.NewUnstartedServer(h)
			up.Config.ConnState = func(_ net.Conn, s http.ConnState) {
				if s == http.StateNew {
					conns.Add(1)
				}
			}
			up.Start()
			t.Cleanup(up.Close)
			p := newProvider(t, config.Provider{Endpoint: up.URL}, testKey)
			for range 5 {
				s, err := p.Send(t.Context(), newRequest(t, smallBody, "claude-sonnet-4-5", strings.Contains(name, "stream")))
				if err != nil {
					continue
				}
				for f, err := s.Next(); err == nil && f.Kind != providers.End; f, err = s.Next() {
				}
				s.Close()
			}
			if n := conns.Load(); n > 2 { // one may be given up on a machine that stalls
				t.Errorf("%d connections for 5 requests, want 1", n)
			}
		})
	}
}

// An upstream that does not end its body must not hold the client up for long.
func TestCloseDoesNotWaitForAnEndlessBody(t *testing.T) {
	release := make(chan struct{})
	p := serve(t, func(w http.ResponseWriter, r *http.Request) {
		streamed(events(started, stopped))(w, r)
		<-r.Context().Done()
		close(release)
	})
	if _, got := send(t, p, streamRequest(t)); got.err != nil {
		t.Fatal(got.err)
	}
	<-release // the upstream sees that the connection is gone
}

func TestCloseInTheMiddleEndsTheExchange(t *testing.T) {
	gone := make(chan struct{})
	p := serve(t, func(w http.ResponseWriter, r *http.Request) {
		streamed(events(started, text0, delta0))(w, r)
		<-r.Context().Done()
		close(gone)
	})
	s, err := p.Send(t.Context(), streamRequest(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Next(); err != nil {
		t.Fatal(err)
	}
	s.Close()
	<-gone
}

// Whatever comes, no more than sound events get through, the same ones however
// the bytes were cut.
func FuzzStream(f *testing.F) {
	for _, name := range fixtures {
		f.Add(fixture(f, name))
	}
	f.Add(events(started, started, text0, delta0, overload))
	f.Add(event("x", `{"type":"x","delta":{"text":"y"}}`) + events(stopped))
	f.Add(events(started) + event("content_block_start", `{"type":"content_block_start","index":0,"content_block":[]}`))
	f.Fuzz(func(t *testing.T, text string) {
		got := readStream(t, strings.NewReader(text))
		checkGrammar(t, text, got)
		for how, r := range map[string]io.Reader{
			"byte by byte": iotest.OneByteReader(strings.NewReader(text)), "halves": iotest.HalfReader(strings.NewReader(text)),
		} {
			cut := readStream(t, r)
			if cut.bytes != got.bytes || fmt.Sprint(cut.err) != fmt.Sprint(got.err) || cut.text != got.text || cut.usage != got.usage {
				t.Fatalf("%q %s: %q, %v; whole: %q, %v", text, how, cut.bytes, cut.err, got.bytes, got.err)
			}
		}
	})
}

// checkGrammar judges what came of a text with encoding/json and no code of
// this package but for the finding of events.
func checkGrammar(t *testing.T, text string, got result) {
	t.Helper()
	if len(got.bytes) > len(text) {
		t.Fatalf("%q: more came out: %q", text, got.bytes)
	}
	var scan sse.Scanner
	r := strings.NewReader(got.bytes)
	begun, open, last, ended := false, false, -1, false
	for {
		_, err := scan.Fill(r)
		for e, ok := scan.Next(); ok; e, ok = scan.Next() {
			if ended {
				t.Fatalf("%q: %q behind the end", text, e.Raw)
			}
			var m struct {
				Type  string
				Index *int
			}
			if e.Data == nil {
				continue
			}
			if err := json.Unmarshal(e.Data, &m); err != nil && slices.Contains(eventNames, string(e.Name)) {
				t.Fatalf("%q: %q came through: %v", text, e.Raw, err)
			}
			if !slices.Contains(eventNames, string(e.Name)) {
				continue
			}
			if m.Type != string(e.Name) {
				t.Fatalf("%q: event %q is a %q", text, e.Name, m.Type)
			}
			sound := begun
			switch m.Type {
			case "message_start":
				sound, begun = !begun, true
			case "ping":
				sound = true
			case "error":
				sound, ended = true, true
			case "content_block_start":
				sound = sound && !open && m.Index != nil && *m.Index > last
				if sound {
					open, last = true, *m.Index
				}
			case "content_block_delta", "content_block_stop":
				sound = sound && open && m.Index != nil && *m.Index == last
				open = m.Type == "content_block_delta"
			case "message_delta", "message_stop":
				sound = sound && !open
				ended = m.Type == "message_stop"
			}
			if !sound {
				t.Fatalf("%q: unsound %q came through", text, e.Raw)
			}
		}
		if err != nil {
			break
		}
	}
	if scan.Pending() > 0 {
		t.Fatalf("%q: half an event came through", text)
	}
	if (got.err == nil) != ended {
		t.Fatalf("%q: ended %v, error %v", text, ended, got.err)
	}
}
