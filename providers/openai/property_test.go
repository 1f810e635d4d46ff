package openai

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"anyproxy/config"
	"anyproxy/internal/jsonscan"
)

// said is one thing that a conversation says, in either format: who, what kind,
// and the words, the call or the image.
type said struct{ role, kind, what string }

// A talk makes conversations at random, with what they say.
type talk struct {
	*rand.Rand
	messages []any
	want     []said
	pending  []string
	calls    int
}

type js = map[string]any

// word is text with everything in it that an encoder could change.
func (t *talk) word() string {
	parts := []string{"plain", `"quoted"`, `back\slash`, "line\nend", "tab\t", "ünïcode 日本", "👋", "<&>", "\u2028", "{}", `{"a":1}`, "\x01"}
	n := 1 + t.IntN(4)
	out := make([]string, n)
	for i := range out {
		out[i] = parts[t.IntN(len(parts))]
	}
	return strings.Join(out, " ")
}

func (t *talk) assistant() {
	var blocks []any
	var texts []string
	var calls []said
	if t.IntN(3) == 0 {
		blocks = append(blocks, js{"type": "thinking", "thinking": t.word(), "signature": "s"})
	}
	for range t.IntN(3) {
		w := t.word()
		blocks, texts = append(blocks, js{"type": "text", "text": w}), append(texts, w)
	}
	for range t.IntN(4) {
		t.calls++
		id := fmt.Sprintf("toolu_%d", t.calls)
		input := map[string]any{"w": t.word(), "n": t.Int64(), "deep": []any{t.word(), nil, true, map[string]any{}}}
		blocks = append(blocks, js{"type": "tool_use", "id": id, "name": "Tool_" + fmt.Sprint(t.IntN(3)), "input": input})
		calls = append(calls, said{"assistant", "call " + id, encode(input)})
		t.pending = append(t.pending, id)
	}
	if len(blocks) == 0 {
		blocks, texts = append(blocks, js{"type": "text", "text": "ok"}), append(texts, "ok")
	}
	t.messages = append(t.messages, js{"role": "assistant", "content": blocks})
	if len(texts) > 0 {
		t.want = append(t.want, said{"assistant", "text", strings.Join(texts, "\n\n")})
	}
	t.want = append(t.want, calls...)
}

func (t *talk) user() {
	var blocks []any
	var results, media, own []said
	add := func(b js) { blocks = append(blocks, b) }
	text := func() {
		w := t.word()
		add(js{"type": "text", "text": w})
		own = append(own, said{"user", "text", w})
	}
	if t.IntN(2) == 0 {
		text()
	}
	t.Shuffle(len(t.pending), func(i, j int) { t.pending[i], t.pending[j] = t.pending[j], t.pending[i] })
	for _, id := range t.pending {
		w := t.word()
		switch t.IntN(3) {
		case 0:
			add(js{"type": "tool_result", "tool_use_id": id, "content": w, "is_error": true})
			results = append(results, said{"tool", id, "Error: " + w})
		case 1:
			url := fmt.Sprintf("https://x/%d.png", t.Int64())
			add(js{"type": "tool_result", "tool_use_id": id, "content": []any{js{"type": "text", "text": w}, js{"type": "image", "source": js{"type": "url", "url": url}}}})
			results = append(results, said{"tool", id, w})
			media = append(media, said{"user", "image", url})
		default:
			add(js{"type": "tool_result", "tool_use_id": id, "content": w})
			results = append(results, said{"tool", id, w})
		}
	}
	t.pending = nil
	if t.IntN(4) == 0 {
		data := fmt.Sprintf("QUJD%d", t.IntN(1000))
		add(js{"type": "image", "source": js{"type": "base64", "media_type": "image/png", "data": data}})
		own = append(own, said{"user", "image", "data:image/png;base64," + data})
	}
	if len(blocks) == 0 || t.IntN(2) == 0 {
		text()
	}
	t.messages = append(t.messages, js{"role": "user", "content": blocks})
	t.want = append(append(append(t.want, results...), media...), own...)
}

// heard is what a converted request says.
func heard(t *testing.T, sent string) (out []said) {
	t.Helper()
	var r struct {
		Messages []struct {
			Role    string
			Content json.RawMessage
			ID      string `json:"tool_call_id"`
			Calls   []struct {
				ID       string
				Function struct{ Arguments string }
			} `json:"tool_calls"`
		}
	}
	if err := json.Unmarshal([]byte(sent), &r); err != nil {
		t.Fatal(err)
	}
	for _, m := range r.Messages {
		kind := "text"
		if m.Role == "tool" {
			kind = m.ID
		}
		var text string
		var parts []struct {
			Type, Text string
			Image      struct{ URL string } `json:"image_url"`
		}
		switch {
		case m.Content == nil:
		case json.Unmarshal(m.Content, &text) == nil:
			out = append(out, said{m.Role, kind, text})
		case json.Unmarshal(m.Content, &parts) == nil:
			for _, p := range parts {
				if p.Type == "text" {
					out = append(out, said{m.Role, kind, p.Text})
				} else {
					out = append(out, said{m.Role, "image", p.Image.URL})
				}
			}
		}
		for _, c := range m.Calls {
			out = append(out, said{m.Role, "call " + c.ID, encode(decode(t, c.Function.Arguments))})
		}
	}
	return out
}

// joinTexts makes one of a user's neighbouring texts: they are sent as one
// string where there is nothing else.
func joinTexts(in []said) (out []said) {
	for _, s := range in {
		if last := len(out) - 1; last >= 0 && s.role == "user" && s.kind == "text" && out[last].role == "user" && out[last].kind == "text" {
			out[last].what += "\n\n" + s.what
			continue
		}
		out = append(out, s)
	}
	return out
}

func TestConversationsSayTheSame(t *testing.T) {
	p := newProvider(t, config.Provider{Endpoint: "http://127.0.0.1:1"})
	for seed := range uint64(500) {
		talk := &talk{Rand: rand.New(rand.NewPCG(seed, 1))}
		for range 1 + talk.IntN(6) {
			talk.user()
			talk.assistant()
		}
		talk.user()
		body := encode(map[string]any{"model": "m", "max_tokens": 10, "messages": talk.messages})
		sent, _, err := convertedText(t, p, body, "gpt-4o")
		if err != nil {
			t.Fatalf("seed %d: %v in %s", seed, err, body)
		}
		if got, want := joinTexts(heard(t, sent)), joinTexts(talk.want); !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d:\ngot  %q\nwant %q", seed, got, want)
		}
		if seed < 50 {
			checkOfficial(t, sent)
		}
	}
}

// FuzzRequest: whatever a client sends is refused, or becomes a request that is
// sound JSON, in which every call has its answer at once.
func FuzzRequest(f *testing.F) {
	for _, tt := range requestCases {
		f.Add([]byte(tt.body(f)))
	}
	f.Add([]byte(longBody(2000)))
	p := newProvider(f, config.Provider{Endpoint: "http://127.0.0.1:1"})
	f.Fuzz(func(t *testing.T, body []byte) {
		if jsonscan.Valid(body, maxDepth) != nil {
			return // the proxy lets nothing else through
		}
		sent, lost, err := convertedText(t, p, string(body), "gpt-4o")
		if err != nil {
			if _, ok := err.(invalid); !ok {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		for _, name := range lost {
			if name == "" || strings.ContainsFunc(name, notInName) {
				t.Fatalf("lost %q", name)
			}
		}
		checkTurns(t, sent)
	})
}

func checkTurns(t *testing.T, sent string) {
	t.Helper()
	var r struct {
		Model    string
		Messages []struct {
			Role    string
			Content any
			ID      string                                          `json:"tool_call_id"`
			Calls   []struct{ Function struct{ Arguments string } } `json:"tool_calls"`
		}
	}
	if err := json.Unmarshal([]byte(sent), &r); err != nil || r.Model != "gpt-4o" {
		t.Fatalf("%v in %s", err, sent)
	}
	open := 0
	for i, m := range r.Messages {
		if (m.Role == "tool") != (open > 0) {
			t.Fatalf("message %d, %s, with %d calls open: %s", i, m.Role, open, sent)
		}
		if m.Role == "tool" {
			open--
		}
		open += len(m.Calls)
		for _, c := range m.Calls {
			if !json.Valid([]byte(c.Function.Arguments)) {
				t.Fatalf("arguments %s", c.Function.Arguments)
			}
		}
		if list, ok := m.Content.([]any); m.Content == nil && len(m.Calls) == 0 || ok && len(list) == 0 {
			t.Fatalf("message %d is empty: %s", i, sent)
		}
	}
	if open > 0 {
		t.Fatalf("%d calls are not answered: %s", open, sent)
	}
}
