package simulator

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	official "github.com/openai/openai-go"
	"github.com/openai/openai-go/option"
)

// dialects are all habits, each alone.
var dialects = map[string]Dialect{
	"OpenAI": {}, "no role": {NoRole: true}, "empty first": {EmptyFirst: true}, "no index": {NoIndex: true}, "index zero": {IndexZero: true},
	"no ids": {NoIDs: true}, "repeated": {Repeated: true}, "whole calls": {WholeCalls: true}, "interleaved": {Interleaved: true},
	"finish stop": {FinishStop: true}, "with finish": {WithFinish: true}, "reasoning": {Reasoning: true}, "parts": {Parts: true}, "no done": {NoDone: true},
	"CRLF": {CRLF: true}, "comments": {Comments: true}, "usage with finish": {Usage: UsageFinish}, "usage running": {Usage: UsageRunning},
	"usage of Groq": {Usage: UsageGroq}, "no usage": {Usage: UsageNever},
}

// everyCall has two calls, and letters that a careless encoder would change.
var everyCall = Answer{
	Blocks: []Block{Text(`Grüße, "you" <&> 👋`), ToolUse("Read", `{"path":"/a b/ü"}`), ToolUse("Glob", `{}`), ToolUse("Grep", `{"pattern":"x+"}`)},
	Usage:  Usage{Input: 100, CacheRead: 40},
}

const chat = `{"model":"gpt-x","max_tokens":9,"stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"hi"}]}`

func beginOpenAI(t *testing.T, d Dialect, a Answer) *Upstream {
	t.Helper()
	u, err := Start(t.Context(), Options{Script: Always(a), OpenAI: &d})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.Close)
	return u
}

// OpenAI's own library reads what the upstream says. Habits that it does not
// know of are read by a test of their bytes, below.
func TestOfficialLibraryReadsTheStreams(t *testing.T) {
	for name, d := range dialects {
		if d.NoIndex || d.IndexZero || d.Parts || d.Comments {
			continue
		}
		u := beginOpenAI(t, d, everyCall)
		client := official.NewClient(option.WithBaseURL(u.URL()+"/v1"), option.WithAPIKey("k"), option.WithHTTPClient(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}))
		params := official.ChatCompletionNewParams{Model: "gpt-x", Messages: []official.ChatCompletionMessageParamUnion{official.UserMessage("hi")},
			StreamOptions: official.ChatCompletionStreamOptionsParam{IncludeUsage: official.Bool(true)}}
		stream := client.Chat.Completions.NewStreaming(t.Context(), params)
		var all official.ChatCompletionAccumulator
		for stream.Next() {
			if !all.AddChunk(stream.Current()) && !d.EmptyFirst { // its id changes
				t.Errorf("%s: a chunk does not fit: %s", name, stream.Current().RawJSON())
			}
		}
		if err := stream.Err(); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !d.EmptyFirst {
			checkCompletion(t, name, &d, all.ChatCompletion)
		}
		params.StreamOptions = official.ChatCompletionStreamOptionsParam{}
		whole, err := client.Chat.Completions.New(t.Context(), params)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		d.Repeated, d.Usage = false, UsageLast
		if whole.Usage.PromptTokensDetails.CachedTokens != 40 {
			t.Errorf("%s: usage %s", name, whole.Usage.RawJSON())
		}
		checkCompletion(t, name+", whole", &d, *whole)
	}
}

func checkCompletion(t *testing.T, name string, d *Dialect, got official.ChatCompletion) {
	t.Helper()
	c := got.Choices[0]
	finish := "tool_calls"
	if d.FinishStop {
		finish = "stop"
	}
	if c.Message.Content != everyCall.Blocks[0].Text || len(c.Message.ToolCalls) != 3 || c.FinishReason != finish {
		t.Errorf("%s: %q, %d calls, %s", name, c.Message.Content, len(c.Message.ToolCalls), c.FinishReason)
		return
	}
	for i, call := range c.Message.ToolCalls {
		b := everyCall.Blocks[i+1]
		if !d.Repeated && (call.Function.Name != b.Name || (call.ID == "") != d.NoIDs) || call.Function.Arguments != b.Input && !(b.Input == "{}" && call.Function.Arguments == "") {
			t.Errorf("%s: call %d: %+v", name, i, call)
		}
	}
	if d.Usage == UsageLast && (got.Usage.PromptTokens != 140 || got.Usage.CompletionTokens != int64(everyCall.Tokens())) {
		t.Errorf("%s: usage %+v", name, got.Usage)
	}
}

func TestHabitsShowInTheBytes(t *testing.T) {
	for name, want := range map[string]struct{ has, not string }{
		"OpenAI":            {`data: {"id":"chatcmpl-01`, "\r"},
		"no role":           {`"delta":{"content":"Gr`, `"role"`},
		"empty first":       {`data: {"id":"","object":"","created":0,"model":"","choices":[]}`, "\r"},
		"no index":          {`"tool_calls":[{"id":"call_`, `"tool_calls":[{"index"`},
		"index zero":        {`"tool_calls":[{"index":0`, `"tool_calls":[{"index":1`},
		"no ids":            {`"id":"","type":"function"`, `"id":"call_`},
		"whole calls":       {`"arguments":"{\"path\":\"/a b/ü\"}"`, `"arguments":""`},
		"finish stop":       {`"finish_reason":"stop"`, `"finish_reason":"tool_calls"`},
		"parts":             {`"content":[{"text":"Gr`, `"delta":{"content":"Gr`},
		"no done":           {`"finish_reason":"tool_calls"`, "[DONE]"},
		"CRLF":              {"\r\n\r\n", "}\n\n"},
		"comments":          {": OPENROUTER PROCESSING\n\ndata: [DONE]\n\n", "\r"},
		"usage with finish": {`"finish_reason":"tool_calls"}],"usage":{`, `"choices":[],"usage"`},
		"usage running":     {`"finish_reason":null}],"usage":{"prompt_tokens":140,"completion_tokens":1,`, `"choices":[],"usage"`},
		"usage of Groq":     {`"x_groq":{"id":"req_1","usage":{`, `"choices":[],"usage"`},
		"no usage":          {`[DONE]`, `"usage"`},
	} {
		d := dialects[name]
		_, body, err := ask(t, "POST", beginOpenAI(t, d, everyCall).URL()+"/openai/v1/chat/completions", chat)
		if err != nil || !strings.Contains(string(body), want.has) || strings.Contains(string(body), want.not) {
			t.Errorf("%s: %v\n%s", name, err, body)
		}
	}
	_, body, _ := ask(t, "POST", beginOpenAI(t, Dialect{Interleaved: true}, everyCall).URL()+"/v1/chat/completions", chat)
	first := strings.Index(string(body), `"index":1,"id"`)
	if again := strings.LastIndex(string(body), `"tool_calls":[{"index":0`); first < 0 || again < first {
		t.Errorf("interleaved: the second call begins at %d, the first goes on at %d", first, again)
	}
	_, body, _ = ask(t, "POST", beginOpenAI(t, Dialect{Reasoning: true, WithFinish: true}, Answer{Blocks: []Block{Thinking("hm"), Text("yes and no")}}).URL()+"/v1/chat/completions", chat)
	if s := string(body); !strings.Contains(s, `"reasoning":"hm"`) || !strings.Contains(s, `"delta":{"content":"no"},"logprobs":null,"finish_reason":"stop"`) {
		t.Errorf("reasoning, with finish:\n%s", s)
	}
}

func TestErrorsOfTheOpenAIFormat(t *testing.T) {
	for habit, want := range map[ErrorHabit]string{
		ErrorObject: `{"error":{"message":"Overloaded","type":"overloaded_error","param":null,"code":529}}`, ErrorString: `{"error":"Overloaded"}`,
		ErrorArray: `[{"error":{"message":"Overloaded","type":"overloaded_error","param":null,"code":529}}]`,
		ErrorTop:   `{"code":529,"message":"Overloaded","object":"error","param":null,"type":"overloaded_error"}`, ErrorDetail: `{"detail":"Overloaded"}`,
	} {
		u := beginOpenAI(t, Dialect{Errors: habit}, Answer{Faults: []Fault{Overloaded()}})
		if res, body, err := ask(t, "POST", u.URL()+"/v1/chat/completions", chat); err != nil || res.StatusCode != 529 || string(body) != want {
			t.Errorf("%v: %s, want %s; %v", habit, body, want, err)
		}
		u = beginOpenAI(t, Dialect{Errors: habit}, Answer{Blocks: []Block{Text("one two")}, Faults: []Fault{ErrorAt(Deltas(1), 529, "Overloaded")}})
		if _, body, err := ask(t, "POST", u.URL()+"/v1/chat/completions", chat); err != nil || !strings.HasSuffix(string(body), "data: "+want+"\n\n") {
			t.Errorf("%v in the stream: %v\n%s", habit, err, body)
		}
	}
}

func TestOpenAIRefusesWhatItsServerWould(t *testing.T) {
	u, err := Start(t.Context(), Options{OpenAI: &Dialect{Refuse: []string{"user"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	call := `{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"A","arguments":"{}"}}]}`
	for _, tt := range []struct{ over, want string }{
		{`{"user":"x"}`, "'user' is not supported"},
		{`{"cache_control":{}}`, "Unrecognized request argument"},
		{`{"messages":[]}`, "empty array"},
		{`{"messages":[{"role":"user"}]}`, "Invalid value for 'content'"},
		{`{"messages":[{"role":"function","content":"x"}]}`, "Invalid value: 'function'"},
		{`{"messages":[{"role":"tool","tool_call_id":"a","content":"x"}]}`, "must be a response to a preceding message"},
		{`{"messages":[` + call + `,{"role":"user","content":"x"}]}`, "must be followed by tool messages"},
		{`{"messages":[` + call + `]}`, "must be followed by tool messages"},
		{`{"max_completion_tokens":1}`, "at the same time"},
		{`{"stream":false}`, "only allowed when 'stream' is enabled"},
		{`{"tools":[]}`, "Invalid 'tools'"},
		{`{"tool_choice":"auto"}`, "only allowed when 'tools'"},
		{`{"stop":["a","b","c","d","e"]}`, "Invalid 'stop'"},
	} {
		body := map[string]json.RawMessage{}
		for _, text := range []string{chat, tt.over} {
			if err := json.Unmarshal([]byte(text), &body); err != nil {
				t.Fatal(err)
			}
		}
		sent, _ := json.Marshal(body)
		res, got, err := ask(t, "POST", u.URL()+"/v1/chat/completions", string(sent))
		if err != nil || res.StatusCode != 400 || !strings.Contains(string(got), tt.want) {
			t.Errorf("%s: %s, %v; want %q", tt.over, got, err, tt.want)
		}
	}
	if res, _, err := ask(t, "POST", u.URL()+"/v1/messages", chat); err != nil || res.StatusCode != 404 {
		t.Errorf("the Messages API: %v, %v", res, err)
	}
}
