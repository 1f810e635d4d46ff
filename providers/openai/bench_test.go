package openai

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"anyproxy/config"
	"anyproxy/providers"
)

func longStream(deltas int) string {
	var b strings.Builder
	b.WriteString(chunkOf(`{"role":"assistant","content":""}`))
	for i := range deltas {
		b.WriteString(chunkOf(fmt.Sprintf(`{"content":"some words %d "}`, i)))
	}
	b.WriteString(finishOf("stop") + `data: {"id":"c","choices":[],"usage":{"prompt_tokens":20,"completion_tokens":400}}` + "\n\n" + done)
	return b.String()
}

// drain reads a stream to its end, closed.
func drain(t testing.TB, text []byte) {
	s := openStream(t, bytes.NewReader(text), nil)
	for f, err := s.Next(); f.Kind != providers.End; f, err = s.Next() {
		if err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
}

func TestEventsAllocateNothing(t *testing.T) {
	allocs := func(deltas int) float64 {
		text := []byte(longStream(deltas))
		return testing.AllocsPerRun(20, func() { drain(t, text) })
	}
	if few, many := allocs(10), allocs(400); many > few+40 { // buffers grow, and the race detector has pools forget some
		t.Errorf("%v allocations for 400 events, %v for 10", many, few)
	}
}

// longBody is a conversation as a coding client sends it, of about size bytes.
func longBody(size int) string {
	var b strings.Builder
	b.WriteString(`{"model":"claude-sonnet-4-5","max_tokens":32000,"stream":true,"system":[{"type":"text","text":"You are a client","cache_control":{"type":"ephemeral"}}],` + tools + `,"metadata":{"user_id":"u"},"messages":[{"role":"user","content":"go"}`)
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, `,{"role":"assistant","content":[{"type":"text","text":"I read it."},{"type":"tool_use","id":"toolu_%d","name":"Read","input":{"file_path":"/src/main.go","lines":[1,2]}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_%d","content":"%s"}]}`,
			i, i, strings.Repeat(`func main() {\n\tfmt.Println(\"hello\") // a line of code\n}\n`, 50))
	}
	b.WriteString(`]}`)
	return b.String()
}

func BenchmarkRequest(b *testing.B) {
	for name, size := range map[string]int{"2KB": 2 << 10, "100KB": 100 << 10, "1MB": 1 << 20} {
		b.Run(name, func(b *testing.B) {
			p := newProvider(b, config.Provider{Endpoint: "http://127.0.0.1:1"})
			r := newRequest(b, longBody(size), "gpt-4o")
			b.SetBytes(int64(r.Body.Len()))
			b.ReportAllocs()
			for b.Loop() {
				c := conversions.Get().(*conversion)
				c.begin(p.target("gpt-4o"), nil, r, 0)
				if err := c.convert(r); err != nil {
					b.Fatal(err)
				}
				c.release()
			}
		})
	}
}

// BenchmarkStream is a stream of 200 deltas, as one piece and event by event.
func BenchmarkStream(b *testing.B) {
	const deltas = 200
	text := []byte(longStream(deltas))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		drain(b, text)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/deltas, "ns/event")
}

func BenchmarkChunk(b *testing.B) {
	text := []byte(`{"id":"chatcmpl-AbCdEf","object":"chat.completion.chunk","created":1760000000,"model":"gpt-4o-2024-08-06","service_tier":"default","system_fingerprint":"fp_0123456789","choices":[{"index":0,"delta":{"content":" some words"},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"abcdef"}`)
	var k chunk
	b.ReportAllocs()
	for b.Loop() {
		if err := k.read(text, false); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWhole(b *testing.B) {
	text := []byte(choice(`{"role":"assistant","content":"`+strings.Repeat(`words and \"words\" `, 100)+`"}`, `"stop"`))
	m := newComposer(whole{}, reply{model: "m"})
	b.ReportAllocs()
	for b.Loop() {
		composers.Put(m)
		m = newComposer(whole{}, reply{model: "m"})
		if err := m.chunk.read(text, false); err != nil {
			b.Fatal(err)
		}
		if err := m.take(); err != nil {
			b.Fatal(err)
		}
		if err := m.complete(true); err != nil {
			b.Fatal(err)
		}
	}
}
