package openai

import (
	"bytes"
	"strings"
	"testing"
)

// What is known by sight must be what reading would have found.
func FuzzUsual(f *testing.F) {
	data := func(delta string) string {
		return strings.TrimSuffix(strings.TrimPrefix(chunkOf(delta), "data: "), "\n\n")
	}
	f.Add(data(`{"content":"a"}`), data(`{"content":"b \"q\" \\"}`))
	f.Add(data(`{"content":"a"}`), data(`{"content":"a","content":"b"}`))
	f.Add(data(`{"content":"a"}`), data(`{"content":"x"},"finish_reason":"stop","delta":{"content":"y"}`))
	f.Add(data(`{"content":"\\"}`), data(`{"content":"\"}`))
	f.Add(`{"choices":[{"delta":{"content":"a"}},{"index":1,"delta":{"content":"a"}}]}`, `{"choices":[{"delta":{"content":"b"}},{"index":1,"delta":{"content":"a"}}]}`)
	f.Add(`{"choices":[{"delta":{"content":""}}]}`, `{"choices":[{"delta":{"content":"b"}}]}`)
	f.Fuzz(func(t *testing.T, first, second string) {
		var k, again chunk
		var u usual
		one := []byte(first)
		if err := k.read(one, false); err != nil || k.failure != nil {
			return
		}
		u.remember(one, &k)
		words := u.words([]byte(second))
		if len(words) == 0 {
			return
		}
		if err := again.read([]byte(second), false); err != nil {
			t.Fatalf("%s passes for sound: %v", second, err)
		}
		if !bytes.Equal(again.text, words) || again.failure != nil || again.reasoning != nil || again.refusal != nil || len(again.calls) > 0 ||
			len(again.finish) > 0 || again.counted || !bytes.Equal(again.model, k.model) {
			t.Fatalf("%s is taken for %q", second, words)
		}
	})
}

func TestUsualChunksAreKnown(t *testing.T) {
	var k chunk
	var u usual
	at := func(text string) []byte {
		return []byte(`{"id":"c","choices":[{"index":0,"delta":{"content":"` + text + `"},"finish_reason":null}],"usage":null}`)
	}
	first := at("one")
	if u.words(first) != nil {
		t.Error("a chunk is known before any was read")
	}
	if err := k.read(first, false); err != nil {
		t.Fatal(err)
	}
	u.remember(first, &k)
	for text, known := range map[string]bool{"two": true, `a \"b\" \\`: true, "": false, `a"b`: false, `a\`: false, "a\n": false} {
		if words := u.words(at(text)); (len(words) > 0) != known || known && string(words) != text {
			t.Errorf("%q: %q", text, words)
		}
	}
}
