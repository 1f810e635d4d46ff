package simulator

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"anyproxy/internal/grammar"
)

func TestMarkers(t *testing.T) {
	for text, want := range map[string]string{
		"hi":        "text You said: hi",
		"hi\nthere": "text You said: hi",
		"RUN-TOOL":  `Bash {"command":"echo one","description":"Say one"}`,
		`Now RUN-TOOL Read {"file_path":"/a b"} ok?`: `Read {"file_path":"/a b"}`,
		"RUN-TOOL Read now":                          `Bash {"command":"echo one","description":"Say one"}`,
		"RUN-TOOL Read {now":                         `Bash {"command":"echo one","description":"Say one"}`,
		"PARALLEL":                                   `Bash {"command":"echo one","description":"Say one"}; Bash {"command":"echo two","description":"Say two"}`,
		`PARALLEL Read {"a":1} Glob {"b":{}}`:        `Read {"a":1}; Glob {"b":{}}`,
		"THINK":                                      "thinking; text You said: THINK",
		`THINK and RUN-TOOL Read {"a":1}`:            `thinking; Read {"a":1}`,
	} {
		t.Run(text, func(t *testing.T) {
			var got []string
			for _, b := range converse(Ask{Text: text}, "You said: "+firstLine(text)) {
				switch b.Kind {
				case TextBlock:
					got = append(got, "text "+b.Text)
				case ThinkingBlock:
					got = append(got, "thinking")
				case ToolBlock:
					got = append(got, b.Name+" "+b.Input)
				}
			}
			if s := strings.Join(got, "; "); s != want {
				t.Errorf("got  %s\nwant %s", s, want)
			}
		})
	}
}

// A whole tool turn over HTTP, with the history as Claude Code sends it.
func TestConversation(t *testing.T) {
	u := begin(t, Conversation(Answer{DeltaTokens: 4}))
	say := func(messages string) *grammar.Message {
		t.Helper()
		body := fmt.Sprintf(`{"model":"claude-x","max_tokens":9,"stream":true,"thinking":{"type":"adaptive","display":"omitted"},`+
			`"system":[{"type":"text","text":"RUN-TOOL"}],"messages":[%s]}`, messages)
		_, data, err := ask(t, "POST", u.URL()+"/v1/messages", body)
		if err != nil {
			t.Fatal(err)
		}
		m, err := grammar.Check(data)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	prompt := `{"role":"user","content":[{"type":"text","text":"<system-reminder>PARALLEL</system-reminder>"},` +
		`{"type":"text","text":"THINK, then RUN-TOOL Bash {\"command\":\"date\"}"}]},{"role":"system","content":"PARALLEL"}`

	first := say(prompt)
	calls := first.Tools()
	if len(calls) != 1 || string(calls[0].Input) != `{"command":"date"}` || first.StopReason != "tool_use" {
		t.Fatalf("got %+v", first)
	}
	if first.Blocks[0].Type != "thinking" || first.Thinking() != "" || first.Blocks[0].Signature == "" {
		t.Errorf("thinking %+v", first.Blocks[0])
	}
	call, _ := json.Marshal(map[string]any{"type": "tool_use", "id": calls[0].ID, "name": "Bash", "input": calls[0].Input})
	second := say(prompt + fmt.Sprintf(`,{"role":"assistant","content":[%s]},{"role":"user","content":[`+
		`{"type":"tool_result","tool_use_id":%q,"content":"Monday\nnoon","is_error":false}]}`, call, calls[0].ID))
	if second.Text() != "The tool said: Monday" || second.StopReason != "end_turn" {
		t.Errorf("got %+v", second)
	}
}
