package anthropic

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"anyproxy/providers"
)

func longStream(deltas int) string {
	var b strings.Builder
	b.WriteString(events(started, text0))
	for i := range deltas {
		b.WriteString(events(fmt.Sprintf(`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"some words %d "}}`, i)))
	}
	b.WriteString(events(stop0, finished, stopped))
	return b.String()
}

func TestEventsAllocateNothing(t *testing.T) {
	allocs := func(deltas int) float64 {
		text := []byte(longStream(deltas))
		return testing.AllocsPerRun(20, func() {
			s := openStream(t, bytes.NewReader(text))
			for f, err := s.Next(); f.Kind != providers.End; f, err = s.Next() {
				if err != nil {
					t.Fatal(err)
				}
			}
			s.Close()
		})
	}
	if few, many := allocs(10), allocs(400); many > few+40 { // buffers grow, and the race detector has pools forget some
		t.Errorf("%v allocations for 400 events, %v for 10", many, few)
	}
}

// BenchmarkFrames is scanner, inspection and grammar together.
func BenchmarkFrames(b *testing.B) {
	const deltas = 400
	text := []byte(longStream(deltas))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		s := openStream(b, bytes.NewReader(text))
		for f, err := s.Next(); f.Kind != providers.End; f, err = s.Next() {
			if err != nil {
				b.Fatal(err)
			}
		}
		s.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*(deltas+5)), "ns/event")
}

// BenchmarkSend is an exchange over loopback: 200 events, flushed one by one
// or at once, read to the end.
func BenchmarkSend(b *testing.B) {
	text := longStream(195)
	for name, pieces := range map[string][]string{"paced": split(text), "burst": {text}} {
		b.Run(name, func(b *testing.B) {
			p := serve(b, streamed(pieces...))
			r := &providers.Request{Header: http.Header{"Content-Type": {"application/json"}}, Body: providers.NewBody([]byte(smallBody), nil),
				Model: "m", Asked: "m", Stream: true}
			b.ReportAllocs()
			for b.Loop() {
				s, err := p.Send(b.Context(), r)
				if err != nil {
					b.Fatal(err)
				}
				for f, err := s.Next(); f.Kind != providers.End; f, err = s.Next() {
					if err != nil {
						b.Fatal(err)
					}
					io.Discard.Write(f.Bytes)
				}
				s.Close()
			}
		})
	}
}

// BenchmarkEdit sends a body with the model's name replaced to nobody: what the
// edit costs beside the copy that the transport makes anyway.
func BenchmarkEdit(b *testing.B) {
	for name, size := range map[string]int{"2KB": 2 << 10, "100KB": 100 << 10, "1MB": 1 << 20} {
		const before = `{"messages":[{"role":"user","content":"`
		text := before + strings.Repeat("x", size) + `"}],"model":`
		data := []byte(text + `"claude-sonnet-4-5","stream":true}`)
		kept := providers.NewBody(data, nil)
		r := &providers.Request{Body: kept, Asked: "claude-sonnet-4-5", Model: "glm-4.6",
			ModelAt: providers.Span{Start: len(text), End: len(text) + len(`"claude-sonnet-4-5"`)}}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				parts := new(Provider).splice(r)
				n := 0
				for _, part := range parts {
					m, err := io.Discard.Write(part)
					if n += m; err != nil {
						b.Fatal(err)
					}
				}
				if n != len(data)-len(r.Asked)+len(r.Model) {
					b.Fatal(n)
				}
			}
		})
	}
}
