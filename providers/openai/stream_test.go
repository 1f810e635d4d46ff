package openai

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"

	"anyproxy/config"
	"anyproxy/internal/grammar"
	"anyproxy/providers"
	"anyproxy/providers/upstream"
)

// openStream reads a stream from r as if it were a response's body.
func openStream(t testing.TB, r io.Reader, names *toolNames) *stream {
	t.Helper()
	c, err := upstream.New(config.Provider{Name: "up", Auth: config.AuthNone}, nil)
	if err != nil {
		t.Fatal(err)
	}
	x, err := c.Begin(t.Context(), "gpt-4o")
	if err != nil {
		t.Fatal(err)
	}
	return newStream(answer{
		Answer: x.Take(&http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(r)}),
		reply:  reply{model: "gpt-4o", target: newTarget("gpt-4o", 0, nil), names: names},
	})
}

func readStream(t testing.TB, r io.Reader) result {
	t.Helper()
	s := openStream(t, r, nil)
	defer s.Close()
	return read(s)
}

// fresh matches the ids that are made at random.
var fresh = regexp.MustCompile(`"(msg|toolu)_01[1-9A-HJ-NP-Za-km-z]{22}"`)

// settled is text with fresh ids in the order in which they come.
func settled(text string) string {
	n := 0
	return fresh.ReplaceAllStringFunc(text, func(id string) string {
		n++
		return fmt.Sprintf(`"%s_fresh%d"`, id[1:strings.IndexByte(id, '_')], n)
	})
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

// transcripts are the golden files: what an upstream sends and what the client
// gets, an error in place of the end where there is one.
func transcripts(t testing.TB) (files []string) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join("testdata", "*.txtar"))
	if err != nil || len(all) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range all {
		files = append(files, filepath.Base(file))
	}
	return files
}

const (
	upstreamSection = "upstream"
	clientSection   = "client"
)

// wire is a section as it is sent: a golden file shows a CR as ␍ and a last line
// without an end by ␄.
func wire(section string) string {
	return strings.TrimSuffix(strings.ReplaceAll(section, "␍", "\r"), "␄\n")
}

// told is what a client has been sent, with an error event for a failure, as the
// proxy tells it.
func told(got result) string {
	text := got.bytes
	if got.err != nil {
		e := got.err.(*providers.Error)
		if e.Body != nil {
			text += "event: error\ndata: " + string(e.Body) + "\n\n"
		} else {
			text += "failed: " + e.Class.String() + ": " + e.Err.Error() + "\n"
		}
	}
	return settled(text)
}

func TestTranscripts(t *testing.T) {
	for _, file := range transcripts(t) {
		t.Run(strings.TrimSuffix(file, ".txtar"), func(t *testing.T) {
			a := readArchive(t, file)
			sent := wire(a.sections[upstreamSection])
			got := readStream(t, strings.NewReader(sent))
			if *update {
				a.names = []string{upstreamSection, clientSection}
				a.sections[clientSection] = told(got)
				a.write(t, file)
			}
			want := a.sections[clientSection]
			check := func(how string, r io.Reader) {
				t.Helper()
				again := readStream(t, r)
				if text := told(again); text != want {
					t.Fatalf("%s:\n%s\nwant\n%s", how, text, want)
				}
				if again.usage != got.usage || again.text != got.text {
					t.Fatalf("%s: usage %+v, text %d; want %+v, %d", how, again.usage, again.text, got.usage, got.text)
				}
			}
			if text := told(got); text != want {
				t.Fatalf("got\n%s\nwant\n%s", text, want)
			}
			checkGrammar(t, got)
			check("byte by byte", iotest.OneByteReader(strings.NewReader(sent)))
			check("halves", iotest.HalfReader(strings.NewReader(sent)))
			check("EOF with the data", iotest.DataErrReader(strings.NewReader(sent)))
			for cut := 1; cut < len(sent); cut++ {
				check(fmt.Sprint("cut at ", cut), &reads{sent[:cut], sent[cut:]})
			}
		})
	}
}

// checkGrammar has the oracle judge what the client gets: a whole stream, or the
// beginning of one where it failed.
func checkGrammar(t testing.TB, got result) *grammar.Message {
	t.Helper()
	check := grammar.Check
	if got.err != nil {
		check = grammar.CheckPrefix
	}
	m, err := check([]byte(got.bytes))
	if err != nil {
		t.Fatalf("%v in\n%s", err, got.bytes)
	}
	if got.err == nil && (got.last().Kind != providers.End || m.End != grammar.Complete) {
		t.Fatalf("kind %d, end %s", got.last().Kind, m.End)
	}
	return m
}

func TestTruncatedStreamIsNoWholeAnswer(t *testing.T) {
	for _, file := range transcripts(t) {
		sent := wire(readArchive(t, file).sections[upstreamSection])
		finish := strings.Index(sent, `"finish_reason":"`)
		if finish < 0 {
			finish = len(sent) - len("data: [DONE]\n\n")
		}
		for cut := range max(finish, 0) {
			got := readStream(t, strings.NewReader(sent[:cut]))
			if got.err == nil {
				t.Fatalf("%s cut at %d of %d: ended well with\n%s", file, cut, len(sent), got.bytes)
			}
			checkGrammar(t, got)
			reset := readStream(t, io.MultiReader(strings.NewReader(sent[:cut]), iotest.ErrReader(os.ErrDeadlineExceeded)))
			// At an end that is told, a CR is all there is of a line end.
			if reset.err == nil || !strings.HasPrefix(settled(got.bytes), settled(reset.bytes)) {
				t.Fatalf("%s reset at %d: %v", file, cut, reset.err)
			}
		}
	}
}

// chunk is one event of a usual stream, with a delta.
func chunkOf(delta string) string {
	return `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"gpt-4o-2024","choices":[{"index":0,"delta":` + delta + `,"finish_reason":null}]}` + "\n\n"
}

func finishOf(reason string) string {
	return `data: {"id":"c","model":"gpt-4o-2024","choices":[{"index":0,"delta":{},"finish_reason":"` + reason + `"}]}` + "\n\n"
}

const done = "data: [DONE]\n\n"

// FuzzStream: whatever comes in, what goes out is a message in order, or the
// beginning of one and a failure, however it was cut.
func FuzzStream(f *testing.F) {
	for _, file := range transcripts(f) {
		f.Add([]byte(wire(readArchive(f, file).sections[upstreamSection])), uint16(100))
	}
	f.Add([]byte(chunkOf(`{"tool_calls":[{"index":0,"id":"a","function":{"name":"A","arguments":"{\"a\":1}{\"b\":2}"}}]}`)+finishOf("stop")+done), uint16(10))
	f.Add([]byte(chunkOf(`{"content":"\ud83d"}`)+chunkOf(`{"content":"\ude00"}`)+finishOf("stop")), uint16(200))
	f.Fuzz(func(t *testing.T, sent []byte, cut uint16) {
		got := readStream(t, bytes.NewReader(sent))
		checkGrammar(t, got)
		at := int(cut) % (len(sent) + 1)
		again := readStream(t, io.MultiReader(bytes.NewReader(sent[:at]), bytes.NewReader(sent[at:])))
		if settled(again.bytes) != settled(got.bytes) || (again.err == nil) != (got.err == nil) {
			t.Fatalf("cut at %d:\n%s%v\nwhole:\n%s%v", at, again.bytes, again.err, got.bytes, got.err)
		}
	})
}
