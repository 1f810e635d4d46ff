package openai

import (
	"encoding/json"
	"reflect"
	"testing"

	official "github.com/openai/openai-go"

	"anyproxy/config"
)

// checkOfficial decodes a request into the types of OpenAI's own library and
// encodes it again: a field that they do not know, or of another type, would be
// gone or changed.
func checkOfficial(t testing.TB, sent string) {
	t.Helper()
	want := decode(t, sent).(map[string]any)
	delete(want, "stream") // is not one of the types, but which method is called
	// The union of formats decodes every one as the first that has its type.
	if format := want["response_format"]; format != nil {
		checkDecoded(t, format, new(official.ResponseFormatJSONSchemaParam))
		delete(want, "response_format")
	}
	var params official.ChatCompletionNewParams
	checkDecoded(t, want, &params)
	for i, m := range params.Messages {
		if m.GetRole() == nil {
			t.Errorf("message %d has no role that is known: %s", i, encode(want["messages"].([]any)[i]))
		}
	}
}

// checkDecoded decodes what was sent into v and compares what that encodes as.
func checkDecoded(t testing.TB, want any, v json.Unmarshaler) {
	t.Helper()
	if err := v.UnmarshalJSON([]byte(encode(want))); err != nil {
		t.Fatalf("%v in %s", err, encode(want))
	}
	again, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if got := decode(t, string(again)); !reflect.DeepEqual(got, want) {
		t.Errorf("decoded as\n%s\nsent\n%s", again, encode(want))
	}
}

func TestOfficialTypesKnowEveryField(t *testing.T) {
	p := newProvider(t, config.Provider{Endpoint: "http://127.0.0.1:1"}, testModels()...)
	for _, tt := range requestCases {
		t.Run(tt.name, func(t *testing.T) {
			sent, _, err := convertedText(t, p, tt.body(t), tt.target())
			if err != nil {
				t.Fatal(err)
			}
			checkOfficial(t, sent)
		})
	}
}

func TestOfficialTypesNoticeAWrongField(t *testing.T) {
	for _, sent := range []string{
		`{"model":"m","messages":[{"role":"user","content":"hi"}],"top_k":4}`,
		`{"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":"4"}`,
		`{"model":"m","messages":[{"role":"user","content":[{"type":"image","source":{}}]}]}`,
		`{"model":"m","messages":[{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"A","input":{}}}]}]}`,
	} {
		var params official.ChatCompletionNewParams
		err := params.UnmarshalJSON([]byte(sent))
		again, _ := json.Marshal(params)
		if err == nil && reflect.DeepEqual(decode(t, string(again)), decode(t, sent)) {
			t.Errorf("%s passes for right", sent)
		}
	}
}
