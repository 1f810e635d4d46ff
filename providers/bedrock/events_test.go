package bedrock

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"

	"anyproxy/config"
	"anyproxy/providers"
	"anyproxy/providers/messages"
	"anyproxy/providers/sse"
)

// unpacked reads an event stream to its end, past reads that complete nothing.
func unpacked(r io.Reader) (string, error) {
	e := &events{body: io.NopCloser(r)}
	var out strings.Builder
	p := make([]byte, 64) // smaller than most events
	for {
		n, err := e.Read(p)
		out.Write(p[:n])
		if err != nil {
			return out.String(), err
		}
	}
}

var answered = []string{started, text0, delta0, stop0, finished, stopped}

// Wherever the bytes are cut on their way, the events are the same.
func TestFramesCutAtEveryByte(t *testing.T) {
	all, want := wire(answered...), sseOf(answered...)
	for cut := range len(all) + 1 {
		got, err := unpacked(io.MultiReader(bytes.NewReader(all[:cut]), bytes.NewReader(all[cut:])))
		if got != want || err != io.EOF {
			t.Fatalf("cut at %d: %q, %v", cut, got, err)
		}
	}
	if got, err := unpacked(iotest.OneByteReader(bytes.NewReader(all))); got != want || err != io.EOF {
		t.Errorf("byte by byte: %q, %v", got, err)
	}
}

// A stream that ends in a frame gives the whole events before it and a failure.
func TestFramesEndAtEveryByte(t *testing.T) {
	var whole []int // where frames end
	var all []byte
	for _, data := range answered {
		all = append(all, chunk(data)...)
		whole = append(whole, len(all))
	}
	for end := range len(all) {
		n := 0
		for n < len(whole) && whole[n] <= end {
			n++
		}
		between := n > 0 && whole[n-1] == end || end == 0
		got, err := unpacked(bytes.NewReader(all[:end]))
		if want := sseOf(answered[:n]...); got != want || between != (err == io.EOF) || !between && err != io.ErrUnexpectedEOF {
			t.Fatalf("end at %d: %q, %v", end, got, err)
		}
	}
}

// Every byte of a frame is under a checksum: a wrong one is found, and what
// stands before it is whole.
func TestEveryWrongByteIsFound(t *testing.T) {
	first, second := wire(started), wire(text0)
	for i := range second {
		bad := bytes.Clone(second)
		bad[i] ^= 0x20
		got, err := unpacked(bytes.NewReader(append(bytes.Clone(first), bad...)))
		if got != sseOf(started) || err == io.EOF || err == nil {
			t.Fatalf("byte %d wrong: %q, %v", i, got, err)
		}
	}
}

func TestFramesThatAreNone(t *testing.T) {
	for name, tt := range map[string]struct {
		wire []byte
		want error
	}{
		"no message type":   {encoded([]byte(`{}`), ":event-type", "chunk"), errFrame},
		"unknown type":      {encoded([]byte(`{}`), ":message-type", "news"), errFrame},
		"no JSON":           {encoded([]byte(`{`), ":message-type", "event", ":event-type", "chunk"), errChunk},
		"no bytes":          {encoded([]byte(`{"p":"a"}`), ":message-type", "event", ":event-type", "chunk"), errChunk},
		"bytes of no text":  {encoded([]byte(`{"bytes":7}`), ":message-type", "event", ":event-type", "chunk"), errChunk},
		"no base64":         {encoded([]byte(`{"bytes":"?"}`), ":message-type", "event", ":event-type", "chunk"), errChunk},
		"an untyped event":  {chunk(`{"message":"hi"}`), errChunk},
		"an event of none":  {chunk(`[]`), errChunk},
		"a type of none":    {chunk(`{"type":7}`), errChunk},
		"HTML":              {[]byte("<html><head><title>502 Bad Gateway</title></head></html>"), errChecksum},
		"a frame too large": {prelude(maxFrame+1, 0), errFrame},
		"a frame too small": {prelude(15, 0), errFrame},
		"headers too large": {prelude(100, 90), errFrame},
	} {
		if got, err := unpacked(bytes.NewReader(tt.wire)); got != "" || !errors.Is(err, tt.want) {
			t.Errorf("%s: %q, %v, want %v", name, got, err, tt.want)
		}
	}
}

// prelude is the beginning of a frame that says how large it is.
func prelude(length, headers uint32) []byte {
	b := binary.BigEndian.AppendUint32(nil, length)
	b = binary.BigEndian.AppendUint32(b, headers)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

// What nobody knows yet is left out, so that a new event breaks nothing.
func TestUnknownEventsAreLeftOut(t *testing.T) {
	all := slices.Concat(wire(started), chunk(`{"type":"news","x":1}`),
		encoded([]byte(`{}`), ":message-type", "event", ":event-type", "initial-response"), wire(text0))
	if got, err := unpacked(bytes.NewReader(all)); got != sseOf(started, text0) || err != io.EOF {
		t.Errorf("%q, %v", got, err)
	}
}

func TestHeadersOfEveryType(t *testing.T) {
	m := eventstream.Message{Payload: []byte(`{"p":"x","bytes":"eyJ0eXBlIjoicGluZyJ9"}`)}
	for name, v := range map[string]eventstream.Value{
		"a": eventstream.BoolValue(true), "b": eventstream.BoolValue(false), "c": eventstream.Int8Value(1), "d": eventstream.Int16Value(1),
		"e": eventstream.Int32Value(1), "f": eventstream.Int64Value(1), "g": eventstream.BytesValue("xy"), "h": eventstream.TimestampValue{},
		"i": eventstream.UUIDValue{}, ":message-type": eventstream.StringValue("event"), ":event-type": eventstream.StringValue("chunk"),
	} {
		m.Headers.Set(name, v)
	}
	var b bytes.Buffer
	if err := eventstream.NewEncoder().Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	if got, err := unpacked(&b); got != sseOf(`{"type":"ping"}`) || err != io.EOF {
		t.Errorf("%q, %v", got, err)
	}
}

func TestSlashesEscapedInBase64(t *testing.T) {
	data := `{"type":"ping","x":"???>>>~~~"}`
	payload := strings.ReplaceAll(string(frameOf(t, chunk(data)).payload), "/", `\/`)
	if !strings.Contains(payload, `\/`) {
		t.Fatal("no slash in the base64")
	}
	if got, err := unpacked(bytes.NewReader(encoded([]byte(payload), ":message-type", "event", ":event-type", "chunk"))); got != sseOf(data) || err != io.EOF {
		t.Errorf("%q, %v", got, err)
	}
}

func frameOf(t *testing.T, b []byte) frame {
	f, rest, err := nextFrame(b)
	if err != nil || rest == nil {
		t.Fatal(err, rest)
	}
	return f
}

// A failure that the stream itself tells: before content it is another
// provider's turn, after it the client is told once.
func TestExceptions(t *testing.T) {
	for _, tt := range []struct {
		frame  []byte
		class  providers.Class
		status int
		told   string
	}{
		{exception("throttlingException", `{"message":"Too many tokens, please wait before trying again."}`), providers.ClassRateLimited, 429,
			`{"type":"error","error":{"type":"rate_limit_error","message":"Too many tokens, please wait before trying again."}}`},
		{exception("serviceUnavailableException", `{"message":"Bedrock is unable to process your request."}`), providers.ClassOverloaded, 529,
			`{"type":"error","error":{"type":"overloaded_error","message":"Bedrock is unable to process your request."}}`},
		{exception("modelTimeoutException", `{"message":"Model timed out"}`), providers.ClassTimeout, 504,
			`{"type":"error","error":{"type":"timeout_error","message":"Model timed out"}}`},
		{exception("modelStreamErrorException", `{"message":"The system encountered an unexpected error.","originalStatusCode":500,"originalMessage":"boom"}`), providers.ClassServer, 500,
			`{"type":"error","error":{"type":"api_error","message":"boom"}}`},
		{exception("modelStreamErrorException", `{"message":"m","originalStatusCode":429}`), providers.ClassRateLimited, 429,
			`{"type":"error","error":{"type":"rate_limit_error","message":"m"}}`},
		{exception("internalServerException", `{"message":"m"}`), providers.ClassServer, 500, `{"type":"error","error":{"type":"api_error","message":"m"}}`},
		{exception("validationException", `{"message":"`+wrapped+`messages: at least one message is required"}`), providers.ClassInvalid, 400,
			`{"type":"error","error":{"type":"invalid_request_error","message":"messages: at least one message is required"}}`},
		{exception("neverHeardException", `no JSON`), providers.ClassServer, 500, `{"type":"error","error":{"type":"api_error","message":"Bedrock gave no reason"}}`},
		{encoded(nil, ":message-type", "error", ":error-code", "InternalFailure", ":error-message", "gone"), providers.ClassServer, 500,
			`{"type":"error","error":{"type":"api_error","message":"gone"}}`},
		{chunk(`{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`), providers.ClassOverloaded, 529,
			`{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`},
	} {
		for name, before := range map[string][]string{"first": nil, "before content": {started, text0}, "after content": {started, text0, delta0}} {
			t.Run(name+"/"+tt.told, func(t *testing.T) {
				s := serve(t, streams(wire(before...), tt.frame))
				got := send(t, s.provider(t), request(t, smallBody, true))
				if want := sseOf(append(before, tt.told)...); got.err != nil || got.bytes != want {
					t.Fatalf("got %q, %v, want %q", got.bytes, got.err, want)
				}
				if got.last.Kind != providers.Failed {
					t.Fatalf("last frame %+v", got.last)
				}
				if e := wantError(t, got.last.Err, tt.class); e.Status != tt.status || string(e.Body) != tt.told {
					t.Errorf("status %d, body %s", e.Status, e.Body)
				}
			})
		}
	}
}

func TestBrokenStreams(t *testing.T) {
	damaged := chunk(delta0)
	damaged[len(damaged)-1] ^= 1
	begun := wire(started, text0, delta0)
	for name, tt := range map[string]struct {
		pieces [][]byte
		want   error
	}{
		"checksum":            {[][]byte{begun, damaged}, errChecksum},
		"no end":              {[][]byte{begun}, messages.ErrCut},
		"half a frame":        {[][]byte{begun, chunk(stop0)[:30]}, io.ErrUnexpectedEOF},
		"against the grammar": {[][]byte{begun, chunk(text0)}, nil},
		"JSON that is none":   {[][]byte{begun, chunk(`{"type":"ping",`)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, streams(tt.pieces...))
			got := send(t, s.provider(t), request(t, smallBody, true))
			e := wantError(t, got.err, providers.ClassBroken)
			if got.bytes != sseOf(started, text0, delta0) || tt.want != nil && !errors.Is(e, tt.want) {
				t.Errorf("got %q, %v", got.bytes, e)
			}
		})
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	html := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(status)
			io.WriteString(w, "<html>")
		}
	}
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		stream bool
		class  providers.Class
	}{
		"a page":                  {html(200), true, providers.ClassBadResponse},
		"a page in place of JSON": {html(200), false, providers.ClassBadResponse},
		"a page with an error":    {html(502), true, providers.ClassServer},
		"JSON in place of frames": {answers(200, "", wholeMessage), true, providers.ClassBadResponse},
		"frames in place of JSON": {streams(wire(answered...)), false, providers.ClassBadResponse},
		"a message of AWS's":      {answers(200, "", `{"message":"hi"}`), false, providers.ClassBadResponse},
		"nothing":                 {answers(200, "", ""), false, providers.ClassBadResponse},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://x.example", http.StatusTemporaryRedirect)
		}, true, providers.ClassBadResponse},
		"a message that broke off": {answers(200, "", wholeMessage[:40]), false, providers.ClassBroken},
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, send(t, serve(t, tt.answer).provider(t), request(t, smallBody, tt.stream)).err, tt.class)
		})
	}
}

// FuzzFrames holds the reader of frames against the SDK's, and its events
// against the scanner of server-sent events.
func FuzzFrames(f *testing.F) {
	f.Add(wire(answered...))
	f.Add(slices.Concat(wire(started), exception("throttlingException", `{"message":"m"}`)))
	f.Add(encoded(nil, "x", "y"))
	f.Add(wire(measured, `{"type":"x"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		ours, rest, err := nextFrame(b)
		theirs, sdk := eventstream.NewDecoder().Decode(bytes.NewReader(b), nil)
		if rest != nil && (sdk != nil || !bytes.Equal(ours.payload, theirs.Payload) || len(b)-len(rest) != frameSize+len(ours.payload)+headersSize(b)) {
			t.Fatalf("%q: taken, the SDK says %v", b, sdk)
		}
		if err == nil && rest == nil && sdk == nil {
			t.Fatalf("%q: not taken as whole", b)
		}
		got, _ := unpacked(bytes.NewReader(b))
		cut, _ := unpacked(iotest.OneByteReader(bytes.NewReader(b)))
		if got != cut {
			t.Fatalf("%q: %q, byte by byte %q", b, got, cut)
		}
		var scan sse.Scanner
		r := strings.NewReader(got)
		for err := error(nil); err == nil; {
			_, err = scan.Fill(r)
			for e, ok := scan.Next(); ok; e, ok = scan.Next() {
				if len(e.Name) == 0 || e.Data == nil {
					t.Fatalf("%q: event %q", b, e.Raw)
				}
			}
		}
		if scan.Pending() > 0 {
			t.Fatalf("%q: half an event in %q", b, got)
		}
	})
}

func headersSize(b []byte) int { return int(b[4])<<24 | int(b[5])<<16 | int(b[6])<<8 | int(b[7]) }

func longAnswer(deltas int) []byte {
	all := wire(started, text0)
	for i := range deltas {
		all = append(all, chunk(fmt.Sprintf(`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"some words %d "}}`, i))...)
	}
	return append(all, wire(stop0, finished, measured)...)
}

func TestEventsAllocateNothing(t *testing.T) {
	allocs := func(deltas int) float64 {
		all := longAnswer(deltas)
		p := make([]byte, 4<<10)
		return testing.AllocsPerRun(20, func() {
			e := &events{body: io.NopCloser(bytes.NewReader(all))}
			for {
				if _, err := e.Read(p); err != nil {
					break
				}
			}
		})
	}
	if few, many := allocs(10), allocs(1000); many > few+99 { // buffers grow, and the race detector has pools forget some
		t.Errorf("%v allocations for 1000 events, %v for 10", many, few)
	}
}

// BenchmarkFrames is frames to server-sent events.
func BenchmarkFrames(b *testing.B) {
	const deltas = 400
	all := longAnswer(deltas)
	p := make([]byte, 4<<10)
	b.SetBytes(int64(len(all)))
	b.ReportAllocs()
	for b.Loop() {
		e := &events{body: io.NopCloser(bytes.NewReader(all))}
		for {
			if _, err := e.Read(p); err != nil {
				break
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*(deltas+5)), "ns/event")
}

// BenchmarkSend is a whole exchange over loopback, the SDK's part in it
// included: 100 KB are signed and sent, 200 events come back.
func BenchmarkSend(b *testing.B) {
	keysInEnvironment(b)
	s := serve(b, streams(longAnswer(195)))
	p := newProvider(b, config.Provider{Endpoint: s.URL})
	r := request(b, strings.Replace(smallBody, `"hi"`, `"`+strings.Repeat("x", 100<<10)+`"`, 1), true)
	b.ReportAllocs()
	for b.Loop() {
		if got := send(b, p, r); got.err != nil {
			b.Fatal(got.err)
		}
	}
}

// The end of an answer is read before all that was made of it, and another
// exchange has the connection then. Fails under -race only.
func TestConnectionIsNotWatchedBehindTheEnd(t *testing.T) {
	all := wire(started, text0, delta0, delta0, delta0, delta0, delta0, delta0, stop0, finished, stopped)
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", eventStream)
		w.Header().Set("Content-Length", strconv.Itoa(len(all))) // the end is known with the last byte
		w.Write(all)
	})
	p := s.provider(t)
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for range 25 {
				a, err := p.Send(t.Context(), request(t, smallBody, true))
				if err != nil {
					t.Error(err)
					return
				}
				for err == nil {
					_, err = a.Next()
					time.Sleep(500 * time.Microsecond) // a slow client
				}
				if err != io.EOF {
					t.Error(err)
				}
				a.Close()
			}
		})
	}
	clients.Wait()
}
