package listing

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		want Page
	}{
		"Anthropic": {
			`{"data":[{"type":"model","id":"claude-opus-4-6","display_name":"Claude Opus 4.6","max_input_tokens":1000000,"max_tokens":128000,"capabilities":{"batch":{"supported":true}}}],"has_more":true,"first_id":"claude-opus-4-6","last_id":"claude-opus-4-6"}`,
			Page{Models: []Model{{"claude-opus-4-6", 1_000_000}}, More: true, Last: "claude-opus-4-6"},
		},
		"OpenAI, which states none": {`{"object":"list","data":[{"id":"gpt-4o","object":"model","created":1715367049,"owned_by":"system"}]}`, Page{Models: []Model{{"gpt-4o", 0}}}},
		"OpenRouter, whose own upstream has less": {
			`{"data":[{"id":"z-ai/glm-4.6","name":"GLM 4.6","context_length":202752,"top_provider":{"context_length":131072,"max_completion_tokens":null}}]}`,
			Page{Models: []Model{{"z-ai/glm-4.6", 131_072}}},
		},
		"OpenRouter, whose own upstream says nothing": {`{"data":[{"id":"a/b","context_length":8192,"top_provider":{"context_length":null}}]}`, Page{Models: []Model{{"a/b", 8192}}}},
		"Groq":                          {`{"object":"list","data":[{"id":"llama-3.3-70b-versatile","active":true,"context_window":131072,"max_completion_tokens":32768}]}`, Page{Models: []Model{{"llama-3.3-70b-versatile", 131_072}}}},
		"vLLM":                          {`{"object":"list","data":[{"id":"qwen","object":"model","root":"/models/qwen","max_model_len":40960,"permission":[{}]}]}`, Page{Models: []Model{{"qwen", 40_960}}}},
		"LM Studio, loaded with less":   {`{"data":[{"id":"qwen2.5-7b","state":"loaded","max_context_length":32768,"loaded_context_length":16384}]}`, Page{Models: []Model{{"qwen2.5-7b", 16_384}}}},
		"LM Studio, not loaded":         {`{"data":[{"id":"qwen2.5-7b","state":"not-loaded","max_context_length":32768}]}`, Page{Models: []Model{{"qwen2.5-7b", 32_768}}}},
		"Mistral":                       {`{"data":[{"id":"mistral-large-latest","max_context_length":131072,"capabilities":{"vision":true}}]}`, Page{Models: []Model{{"mistral-large-latest", 131_072}}}},
		"llama.cpp, serving less":       {`{"models":null,"object":"list","data":[{"id":"gemma.gguf","meta":{"n_ctx":8192,"n_ctx_train":131072}}]}`, Page{Models: []Model{{"gemma.gguf", 8192}}}},
		"llama.cpp":                     {`{"data":[{"id":"gemma.gguf","meta":{"n_ctx_train":131072}}]}`, Page{Models: []Model{{"gemma.gguf", 131_072}}}},
		"DeepInfra":                     {`{"data":[{"id":"deepseek-ai/DeepSeek-V3","metadata":{"context_length":163840}}]}`, Page{Models: []Model{{"deepseek-ai/DeepSeek-V3", 163_840}}}},
		"Together, without an envelope": {`[{"id":"meta-llama/Llama-3","context_length":8192}]`, Page{Models: []Model{{"meta-llama/Llama-3", 8192}}}},
		"Gemini":                        {`{"models":[{"name":"models/gemini-2.5-pro","inputTokenLimit":1048576}]}`, Page{Models: []Model{{"models/gemini-2.5-pro", 1_048_576}}}},
		"GitHub":                        {`{"data":[{"id":"gpt-4.1","capabilities":{"limits":{"max_context_window_tokens":128000}}}]}`, Page{Models: []Model{{"gpt-4.1", 128_000}}}},
		"Venice":                        {`{"data":[{"id":"llama","model_spec":{"availableContextTokens":65536}}]}`, Page{Models: []Model{{"llama", 65_536}}}},
		"anyproxy":                      {`{"data":[{"id":"claude-x","type":"model","context_window":200000}],"has_more":false,"last_id":"claude-x"}`, Page{Models: []Model{{"claude-x", 200_000}}, Last: "claude-x"}},
		"Bedrock's models":              {`{"modelSummaries":[{"modelId":"anthropic.claude-3-haiku-20240307-v1:0","modelName":"Claude 3 Haiku"}]}`, Page{Models: []Model{{"anthropic.claude-3-haiku-20240307-v1:0", 0}}}},
		"Bedrock's profiles":            {`{"inferenceProfileSummaries":[{"inferenceProfileId":"us.anthropic.claude","models":[{"modelArn":"arn"}]}],"nextToken":"t"}`, Page{Models: []Model{{"us.anthropic.claude", 0}}, Next: "t"}},
		"a number as a text":            {`{"data":[{"id":"m","context_length":"8192"}]}`, Page{Models: []Model{{"m", 8192}}}},
		"a number with a fraction":      {`{"data":[{"id":"m","context_length":8192.0}]}`, Page{Models: []Model{{"m", 8192}}}},
		"sizes that cannot be":          {`{"data":[{"id":"m","context_length":-1,"max_model_len":0,"context_window":1e30,"max_context_length":"much","max_input_tokens":[]}]}`, Page{Models: []Model{{"m", 0}}}},
		"entries without a name":        {`{"data":[{"id":""},{},{"id":7},null,{"id":"m"}]}`, Page{Models: []Model{{"m", 0}}}},
		"members of other kinds":        {`{"data":[{"id":"m","meta":"x","top_provider":[1],"capabilities":["a"],"metadata":7,"limits":null}]}`, Page{Models: []Model{{"m", 0}}}},
		"none at all":                   {`{"data":[],"has_more":true,"last_id":""}`, Page{Models: []Model{}}},
	} {
		got, err := Parse([]byte(c.body))
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, %v; want %+v", name, got, err, c.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, body := range []string{"", "null", "<html>", `"text"`, "7", "{}", `{"data":null}`, `{"data":{}}`, `{"data":[1]}`, `{"error":{"message":"no"}}`, `{"data":[`, "[1]"} {
		if p, err := Parse([]byte(body)); !errors.Is(err, ErrShape) {
			t.Errorf("%q: got %+v, %v", body, p, err)
		}
	}
}

func TestFind(t *testing.T) {
	list := List{Models: []Model{{"claude-sonnet-4-5-20250929", 1}, {"claude-sonnet-4-20250514", 2}, {"claude-sonnet-4-20250720", 3}, {"gpt-4o", 4}, {"gpt-4o-2024-08-06", 5},
		{"gpt-4o-mini", 6}, {"llama3:latest", 7}, {"models/gemini-2.5-pro", 8}, {"claude-3-5-haiku-20241022", 9}}}
	for name, want := range map[string]int{
		"claude-sonnet-4-5": 1, "claude-sonnet-4-5-20250929": 1, "claude-sonnet-4": 3, "gpt-4o": 4, "gpt-4o-mini": 6, "llama3": 7, "gemini-2.5-pro": 8,
		"gpt-4": 0, "claude": 0, "GPT-4o": 0, "": 0, "claude-sonnet-4-5-20250930": 0,
	} {
		if got, ok := list.Find(name); got.Context != want || ok != (want != 0) {
			t.Errorf("%q: got %+v, %v, want %d", name, got, ok, want)
		}
	}
}

func TestNear(t *testing.T) {
	list := List{Models: []Model{{"gpt-5", 0}, {"gpt-4o-mini", 0}, {"gpt-4o", 0}, {"gpt-4o", 0}, {"whisper-1", 0}, {strings.Repeat("x", longestName+1), 0}}}
	for name, want := range map[string][]string{
		"gpt-4p": {"gpt-4o", "gpt-5"}, "gpt4o": {"gpt-4o", "gpt-5"}, "whisper": {"whisper-1"}, "nothing like it": nil, strings.Repeat("x", longestName+1): nil,
	} {
		if got := list.Near(name, 2); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"data":[{"id":"m","context_length":8192,"top_provider":{"context_length":"7"},"meta":{"n_ctx":1}}],"has_more":true,"last_id":"m"}`))
	f.Add([]byte(`[{"name":"m","model_spec":{"availableContextTokens":1e9}}]`))
	f.Add([]byte(`{"inferenceProfileSummaries":[{"inferenceProfileId":"us.x"}],"nextToken":"t"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		page, err := Parse(body)
		if err != nil && len(page.Models) > 0 || page.More && page.Last == "" {
			t.Errorf("got %+v, %v", page, err)
		}
		list := List{Models: page.Models}
		for _, m := range page.Models {
			if found, ok := list.Find(m.ID); !ok || m.ID == "" || m.Context < 0 || m.Context > mostTokens || found.ID == "" {
				t.Errorf("%+v is found as %+v, %v", m, found, ok)
			}
		}
		list.Near(string(body[:min(len(body), 40)]), 3)
	})
}
