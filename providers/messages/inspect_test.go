package messages

import (
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"anyproxy/internal/jsonscan"
	"anyproxy/providers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	started = `{"type":"message_start","message":{"usage":{"input_tokens":5,"output_tokens":1}}}`
	delta   = `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"some words 17 "}}`
)

func TestInspectingAllocatesNothing(t *testing.T) {
	for _, data := range []string{started, delta, `{"type":"content_block_stop","index":0}`, `{"type":"ping"}`} {
		b := []byte(data)
		if n := testing.AllocsPerRun(100, func() {
			if _, err := inspect(b); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%v allocations for %s", n, data)
		}
	}
}

func BenchmarkInspect(b *testing.B) {
	for name, data := range map[string]string{"delta": delta, "start": started} {
		b.Run(name, func(b *testing.B) {
			text := []byte(data)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := inspect(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func FuzzInspectWhole(f *testing.F) {
	f.Add([]byte(`{"id":"msg_1","type":"message","content":[{"type":"text","text":"a\nb"},{"type":"tool_use","id":"t","name":"n","input":{"a":1}}],` +
		`"usage":{"input_tokens":10,"cache_creation_input_tokens":20,"cache_read_input_tokens":30,"output_tokens":40}}`))
	f.Add([]byte(`{"type":"message","content":[{"text":1,"input":[]},{},3],"usage":{"input_tokens":-5,"output_tokens":1e3},"usage":null}`))
	for _, name := range []string{"text_delta\",\"text", "input_json_delta\",\"partial_json", "thinking_delta\",\"thinking", "x_delta\",\"text"} {
		for _, end := range []string{`"}}`, `"}   }`, `"} } `, `"},"index":1}`, `","type":"x"}}`, `"}`, ``, `"} ,}`} {
			for _, text := range []string{``, `a`, `\"é\u00e9`, `\x`} {
				f.Add([]byte(`{"type":"content_block_delta","index":3,"delta":{"type":"` + name + `":"` + text + end))
			}
		}
	}
	f.Add([]byte(`{"type":"content_block_delta","index":12,"delta":{"type":"text_delta","text":1}}`))
	f.Add([]byte(`{"typ\u0065":"error","error":{"type":"a\u0062","message":""},"message":{"usage":{}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := inspect(b)
		if slow, e := inspectAny(b); fmt.Sprint(slow, e) != fmt.Sprint(got, err) {
			t.Fatalf("inspect(%q) = %+v, %v; the long way: %+v, %v", b, got, err, slow, e)
		}
		o, _ := jsonscan.OpenObject(b, 0, maxDepth)
		for o.Next() {
		}
		sound := jsonscan.Valid(b, maxDepth) == nil && o.Err() == nil && o.End() > 0
		if (err == nil) != sound {
			t.Fatalf("inspect(%q) = %v, sound %v", b, err, sound)
		}
		if u := got.usage; u.Input < 0 || u.Output < 0 || u.CacheRead < 0 || u.CacheWrite < 0 || got.text < 0 || got.text > len(b) {
			t.Fatalf("inspect(%q) = %+v", b, got)
		}
		IsError(b)
		errorType(b)
	})
}

// What is kept for an hour costs more than what is kept for five minutes, and a
// web search costs apart.
func TestUsageWithin(t *testing.T) {
	for in, want := range map[string]providers.Usage{
		`{"input_tokens":1,"cache_creation_input_tokens":20,"cache_creation":{"ephemeral_5m_input_tokens":5,"ephemeral_1h_input_tokens":15},"output_tokens":2}`: {Input: 1, Output: 2, CacheWrite: 20, CacheWrite1h: 15},
		`{"output_tokens":2,"server_tool_use":{"web_search_requests":3,"web_fetch_requests":4}}`:                                                                {Output: 2, Searches: 3},
		`{"server_tool_use":null,"output_tokens":2}`:                             {Output: 2},
		`{"server_tool_use":{"web_search_requests":-1},"output_tokens":2}`:       {Output: 2},
		`{"cache_creation":null,"output_tokens":2}`:                              {Output: 2},
		`{"cache_creation":{"ephemeral_1h_input_tokens":-3},"output_tokens":2}`:  {Output: 2},
		`{"cache_creation":[{"ephemeral_1h_input_tokens":3}],"output_tokens":2}`: {Output: 2},
	} {
		for _, event := range []string{`{"type":"message_start","message":{"usage":` + in + `}}`, `{"type":"message_delta","delta":{},"usage":` + in + `}`} {
			f, err := inspect([]byte(event))
			if err != nil || f.usage != want {
				t.Errorf("%s: %+v, %v, want %+v", event, f.usage, err, want)
			}
		}
	}
}
