package openai

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"anyproxy/providers"
)

// textOf is what a stream told of one kind of delta, decoded and joined.
func textOf(t *testing.T, got result, kind string) string {
	t.Helper()
	var out strings.Builder
	for line := range strings.Lines(got.bytes) {
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		var e struct {
			Delta map[string]any `json:"delta"`
		}
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			t.Fatalf("%v in %s", err, data)
		}
		if text, ok := e.Delta[kind].(string); ok {
			out.WriteString(text)
		}
	}
	return out.String()
}

// Perplexity puts a message and a delta into each choice.
func TestWholeAnswerIsTheMessageBesideADelta(t *testing.T) {
	const message, delta = `"message":{"role":"assistant","content":"Hello"}`, `"delta":{"role":"assistant","content":""}`
	for _, members := range []string{message + "," + delta, delta + "," + message, message} {
		p := serve(t, answers(200, jsonType, `{"choices":[{"index":0,"finish_reason":"stop",`+members+`}]}`))
		_, got := send(t, p, newRequest(t, merged(t, "{}"), "sonar"))
		if got.err != nil || !strings.Contains(got.bytes, `"content":[{"type":"text","text":"Hello"}]`) {
			t.Errorf("%s: %s, %v", members, got.bytes, got.err)
		}
	}
}

func TestStreamIsTheDeltasBesideAMessageSoFar(t *testing.T) {
	for _, turned := range []bool{false, true} {
		var sent strings.Builder
		for _, c := range []struct{ delta, soFar, reason string }{
			{`{"role":"assistant","content":"Hel"}`, "Hel", "null"}, {`{"content":"lo"}`, "Hello", "null"}, {`{}`, "Hello", `"stop"`},
		} {
			first, second := `"delta":`+c.delta, `"message":{"role":"assistant","content":"`+c.soFar+`"}`
			if turned {
				first, second = second, first
			}
			sent.WriteString(`data: {"choices":[{"index":0,` + first + `,` + second + `,"finish_reason":` + c.reason + `}]}` + "\n\n")
		}
		got := readStream(t, strings.NewReader(sent.String()+done))
		checkGrammar(t, got)
		if text := textOf(t, got, "text"); got.err != nil || text != "Hello" {
			t.Errorf("message first %v: %q, %v", turned, text, got.err)
		}
	}
}

func TestTextOfAnOlderCompletionGivesWayToADelta(t *testing.T) {
	for _, older := range []string{`null`, `""`, `"Hello"`} {
		got := readStream(t, strings.NewReader(`data: {"choices":[{"index":0,"delta":{"content":"Hello"},"text":`+older+`,"finish_reason":"stop"}]}`+"\n\n"+done))
		if text := textOf(t, got, "text"); got.err != nil || text != "Hello" {
			t.Errorf("%s: %q, %v", older, text, got.err)
		}
	}
}

func TestBlocksAreBounded(t *testing.T) {
	call := func(piece string, n int) string {
		return `{"tool_calls":[` + strings.TrimSuffix(strings.Repeat(piece+",", n), ",") + `]}`
	}
	glued := func(n int) string {
		return `{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"` + strings.Repeat("{}", n) + `"}}]}`
	}
	for name, delta := range map[string]string{
		"calls":  call(`{"index":1,"id":"a","function":{"name":"f","arguments":"{}"}},{"index":1,"id":"b","function":{"name":"f"}}`, 20_000),
		"glued":  glued(20_000),
		"8 MiB":  glued(3_900_000),
		"nobody": call(`{"id":"a"},{"id":"b"}`, 20_000),
	} {
		began := time.Now()
		got := readStream(t, strings.NewReader(chunkOf(delta)+done))
		wantError(t, got.err, providers.ClassBroken)
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s: %v", name, took)
		}
	}
	got := readStream(t, strings.NewReader(chunkOf(glued(1000))+done))
	if n := strings.Count(got.bytes, "event: content_block_start"); got.err != nil || n != 1000 {
		t.Errorf("%d blocks, %v", n, got.err)
	}
}

func TestHalvesOfSurrogatePairsDoNotStandAlone(t *testing.T) {
	got := readStream(t, strings.NewReader(chunkOf(`{"content":"a\ud83dx \ud83d\ude00 \\ud83d "}`)+chunkOf(`{"content":"\uD83D"}`)+
		chunkOf(`{"content":"\uDE00 \ud83d"}`)+chunkOf(`{"content":"z\ude00"}`)+finishOf("stop")+done))
	if strings.Count(got.bytes, `\ufffd`) != 3 {
		t.Error(got.bytes)
	}
	if text := textOf(t, got, "text"); text != "a\ufffdx 😀 \\ud83d 😀 \ufffdz\ufffd" {
		t.Errorf("%q", text)
	}
	sent, _, err := convertedText(t, serve(t, nil), `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"a\ud83dx \ud83d\ude00 \\ud83d \udE00"}]}`, "gpt-4o")
	if err != nil || !strings.Contains(sent, `"a\ufffdx \ud83d\ude00 \\ud83d \ufffd"`) {
		t.Errorf("%s, %v", sent, err)
	}
}

func TestArgumentsWithHalvesOfLettersAreNeverWrong(t *testing.T) {
	call := func(arguments string) string {
		return chunkOf(`{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"` + arguments + `"}}]}`)
	}
	more := func(arguments string) string {
		return chunkOf(`{"tool_calls":[{"index":0,"function":{"arguments":"` + arguments + `"}}]}`)
	}
	for _, tt := range []struct{ name, sent, want string }{
		{"glued, the second cut in a pair", call(`{\"k\":1}{\"k\":\"\ud83d`) + more(`\ude00\"}`), `{"k":1}{"k":"😀"}`},
		{"a half before a quote that is escaped in full", call(`{\u0022k\u0022:\u0022x\ud83d\u0022}`) + call(``), "{\"k\":\"x\ufffd\"}"},
	} {
		got := readStream(t, strings.NewReader(tt.sent+finishOf("tool_calls")+done))
		if text := textOf(t, got, "partial_json"); got.err != nil || text != tt.want {
			t.Errorf("%s: %q, %v", tt.name, text, got.err)
		}
	}
	got := readStream(t, strings.NewReader(call(`{}\ud83d`)+finishOf("tool_calls")+done))
	wantError(t, got.err, providers.ClassBroken)
}

func TestLessonThatDidNotHelpIsNotTakenAgain(t *testing.T) {
	up := &picky{refuse: func(f map[string]json.RawMessage) (int, string) {
		if f["max_tokens"] != nil {
			return 400, `{"error":{"message":"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.","param":"max_tokens"}}`
		}
		return 400, `{"error":{"message":"max_completion_tokens 100 is above what this deployment allows","param":"max_completion_tokens"}}`
	}}
	p := serve(t, up.ServeHTTP)
	for range 2 {
		_, err := p.Send(t.Context(), newRequest(t, merged(t, "{}"), "gpt-5"))
		wantError(t, err, providers.ClassInvalid)
	}
	if n := len(up.asked()); n != 4 { // both names, the first again, then the one that is known
		t.Errorf("%d requests, want 4", n)
	}
}

func TestThoughtsThatAreRefusedAfterTheyWereWantedStayOut(t *testing.T) {
	target := newTarget("m", 0, nil)
	target.learn(lesson{traits: wantsThoughts})
	target.learn(lesson{traits: noThoughts})
	if target.traits().has(wantsThoughts) {
		t.Error("still wanted")
	}
}

func TestResultsWithAnEmptyTextMakeNoEmptyMessage(t *testing.T) {
	sent, _, err := convertedText(t, serve(t, nil), `{"model":"m","max_tokens":9,"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"b","input":{}}]},
		{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":"r"},{"type":"text","text":""}]}]}`, "gpt-4o")
	if err != nil || strings.Contains(sent, `"role":"user"`) {
		t.Errorf("%s, %v", sent, err)
	}
}

func TestErrorThatAnswersNoCallIsStillAnError(t *testing.T) {
	sent, _, err := convertedText(t, serve(t, nil), `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","is_error":true,"content":"no file"}]}]}`, "gpt-4o")
	if err != nil || !strings.Contains(sent, `{"role":"user","content":"Error:\n\nno file"}`) {
		t.Errorf("%s, %v", sent, err)
	}
}
