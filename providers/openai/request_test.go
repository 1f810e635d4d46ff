package openai

import (
	"cmp"
	"encoding/json"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"anyproxy/config"
	"anyproxy/providers"
)

// merged is the usual request with the members of over in it; a null takes one
// out.
func merged(t testing.TB, over string) string {
	t.Helper()
	body := map[string]json.RawMessage{}
	for _, text := range []string{`{"model":"claude-sonnet-4-5","max_tokens":100,"messages":[{"role":"user","content":"hi"}]}`, over} {
		if err := json.Unmarshal([]byte(text), &body); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
	}
	for name, raw := range body {
		if string(raw) == "null" {
			delete(body, name)
		}
	}
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func decode(t testing.TB, text string) (v any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// requestCase is one row: what a request says beyond the usual one, and what
// must be sent of it.
type requestCase struct {
	name  string
	model string // default gpt-4o
	over  string
	want  string // members that must be sent
	none  string // names of members that must not, by blanks
	lost  string // what is named as lost, by blanks
}

func (c *requestCase) body(t testing.TB) string {
	return merged(t, cmp.Or(c.over, "{}"))
}

func (c *requestCase) target() string { return cmp.Or(c.model, "gpt-4o") }

const tools = `"tools":[{"name":"Read","description":"reads","input_schema":{"type":"object","properties":{"p":{"type":"string"}}}}]`
const sentTools = `"tools":[{"type":"function","function":{"name":"Read","description":"reads","parameters":{"type":"object","properties":{"p":{"type":"string"}}}}}]`

var requestCases = []requestCase{
	{name: "least", want: `{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}],"max_tokens":100}`, none: "stream stream_options tools tool_choice parallel_tool_calls stop user reasoning_effort temperature top_p"},
	{name: "stream", over: `{"stream":true}`, want: `{"stream":true,"stream_options":{"include_usage":true}}`},
	{name: "no stream", over: `{"stream":false}`, none: "stream stream_options"},

	{name: "system string", over: `{"system":"be brief"}`, want: `{"messages":[{"role":"system","content":"be brief"},{"role":"user","content":"hi"}]}`},
	{name: "system array", over: `{"system":[{"type":"text","text":"one"},{"type":"text","text":"","cache_control":{"type":"ephemeral"}},{"type":"text","text":"two"}]}`,
		want: `{"messages":[{"role":"system","content":"one\n\ntwo"},{"role":"user","content":"hi"}]}`, lost: "cache_control"},
	{name: "system empty", over: `{"system":""}`, want: `{"messages":[{"role":"user","content":"hi"}]}`},
	{name: "system no blocks", over: `{"system":[]}`, want: `{"messages":[{"role":"user","content":"hi"}]}`},
	{name: "attribution is left out", over: `{"system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=2.1.329; cc_entrypoint=cli;"},{"type":"text","text":"You are Claude Code"}]}`,
		want: `{"messages":[{"role":"system","content":"You are Claude Code"},{"role":"user","content":"hi"}]}`},
	{name: "attribution before a text", over: `{"system":"x-anthropic-billing-header: cc_version=2.1\nYou are Claude Code"}`,
		want: `{"messages":[{"role":"system","content":"You are Claude Code"},{"role":"user","content":"hi"}]}`},
	{name: "system among messages", over: `{"messages":[{"role":"user","content":"hi"},{"role":"system","content":[{"type":"text","text":"now"}]},{"role":"assistant","content":"ok"},{"role":"user","content":"go"}]}`,
		want: `{"messages":[{"role":"user","content":"hi"},{"role":"system","content":"now"},{"role":"assistant","content":"ok"},{"role":"user","content":"go"}]}`},

	{name: "texts", over: `{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":""},{"type":"text","text":"b \"q\" \u00e9 \\ \ud83d\ude00"}]}]}`,
		want: `{"messages":[{"role":"user","content":"a\n\nb \"q\" é \\ 😀"}]}`},
	{name: "empty content", over: `{"messages":[{"role":"user","content":[]}]}`, want: `{"messages":[{"role":"user","content":""}]}`},
	{name: "image in its place", over: `{"messages":[{"role":"user","content":[{"type":"text","text":"before"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0K"}},{"type":"text","text":"after"},{"type":"image","source":{"type":"url","url":"https://x/y.png?a=1"}}]}]}`,
		want: `{"messages":[{"role":"user","content":[{"type":"text","text":"before"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0K"}},{"type":"text","text":"after"},{"type":"image_url","image_url":{"url":"https://x/y.png?a=1"}}]}]}`},
	{name: "text document", over: `{"messages":[{"role":"user","content":[{"type":"document","title":"notes.txt","context":"from Bob","citations":{"enabled":true},"source":{"type":"text","media_type":"text/plain","data":"line\nline"}}]}]}`,
		want: `{"messages":[{"role":"user","content":"notes.txt\n\nfrom Bob\n\nline\nline"}]}`, lost: "citations"},
	{name: "document of blocks", over: `{"messages":[{"role":"user","content":[{"type":"document","source":{"type":"content","content":[{"type":"text","text":"a"},{"type":"image","source":{"type":"url","url":"u"}}]}}]}]}`,
		want: `{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"u"}}]}]}`},
	{name: "PDF", over: `{"messages":[{"role":"user","content":[{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBERi0="}},{"type":"text","text":"sum up"}]}]}`,
		want: `{"messages":[{"role":"user","content":[{"type":"file","file":{"filename":"document.pdf","file_data":"data:application/pdf;base64,JVBERi0="}},{"type":"text","text":"sum up"}]}]}`},
	{name: "search result", over: `{"messages":[{"role":"user","content":[{"type":"search_result","source":"https://x","title":"X","content":[{"type":"text","text":"found"}]}]}]}`,
		want: `{"messages":[{"role":"user","content":"X\n\nhttps://x\n\nfound"}]}`},
	{name: "unknown beside known", over: `{"messages":[{"role":"user","content":[{"type":"container_upload","file_id":"f"},{"type":"text","text":"a"}]}]}`,
		want: `{"messages":[{"role":"user","content":"a"}]}`, lost: "container_upload"},

	{name: "calls and results", over: `{` + tools + `,"messages":[{"role":"user","content":"go"},
		{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"text","text":"I read."},{"type":"tool_use","id":"t1","name":"Read","input":{"p": "a b", "n": 12345678901234567890, "deep": [ 1, {"x" : "q\"\\\n"} ]}},{"type":"tool_use","id":"t2","name":"Read","input":{}}]},
		{"role":"user","content":[{"type":"text","text":"and now"},{"type":"tool_result","tool_use_id":"t2","content":[{"type":"text","text":"x"},{"type":"text","text":"y"}]},{"type":"tool_result","tool_use_id":"t1","is_error":true,"content":"no file"}]}]}`,
		want: `{"messages":[{"role":"user","content":"go"},{"role":"assistant","content":"I read.","tool_calls":[
			{"id":"t1","type":"function","function":{"name":"Read","arguments":"{\"p\":\"a b\",\"n\":12345678901234567890,\"deep\":[1,{\"x\":\"q\\\"\\\\\\n\"}]}"}},
			{"id":"t2","type":"function","function":{"name":"Read","arguments":"{}"}}]},
			{"role":"tool","tool_call_id":"t2","content":"x\n\ny"},{"role":"tool","tool_call_id":"t1","content":"Error: no file"},{"role":"user","content":"and now"}]}`, lost: "messages.thinking"},
	{name: "calls without text", over: `{"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"Read","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1"}]}]}`,
		want: `{"messages":[{"role":"user","content":"go"},{"role":"assistant","tool_calls":[{"id":"t1","type":"function","function":{"name":"Read","arguments":"{}"}}]},{"role":"tool","tool_call_id":"t1","content":""}]}`},
	{name: "images in results", over: `{"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"Read","input":{}},{"type":"tool_use","id":"t2","name":"Read","input":{}}]},
		{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":"shot"},{"type":"image","source":{"type":"url","url":"u1"}}]},{"type":"tool_result","tool_use_id":"t2","content":[{"type":"image","source":{"type":"base64","media_type":"image/gif","data":"R0"}}]},{"type":"text","text":"what now"}]}]}`,
		want: `{"messages":[{"role":"user","content":"go"},{"role":"assistant","tool_calls":[{"id":"t1","type":"function","function":{"name":"Read","arguments":"{}"}},{"id":"t2","type":"function","function":{"name":"Read","arguments":"{}"}}]},
			{"role":"tool","tool_call_id":"t1","content":"shot"},{"role":"tool","tool_call_id":"t2","content":""},
			{"role":"user","content":[{"type":"image_url","image_url":{"url":"u1"}},{"type":"image_url","image_url":{"url":"data:image/gif;base64,R0"}},{"type":"text","text":"what now"}]}]}`},
	{name: "result behind a system message", over: `{"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"Read","input":{}}]},{"role":"system","content":"be quick"},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"r"}]}]}`,
		want: `{"messages":[{"role":"user","content":"go"},{"role":"assistant","tool_calls":[{"id":"t1","type":"function","function":{"name":"Read","arguments":"{}"}}]},{"role":"tool","tool_call_id":"t1","content":"r"},{"role":"system","content":"be quick"}]}`},
	{name: "results in two messages", over: `{"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"Read","input":{}},{"type":"tool_use","id":"t2","name":"Read","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"r1"},{"type":"text","text":"x"}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t2","content":"r2"}]}]}`,
		want: `{"messages":[{"role":"user","content":"go"},{"role":"assistant","tool_calls":[{"id":"t1","type":"function","function":{"name":"Read","arguments":"{}"}},{"id":"t2","type":"function","function":{"name":"Read","arguments":"{}"}}]},{"role":"tool","tool_call_id":"t1","content":"r1"},{"role":"tool","tool_call_id":"t2","content":"r2"},{"role":"user","content":"x"}]}`},
	{name: "orphan result", over: `{"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t9","content":[{"type":"text","text":"old news"}]},{"type":"text","text":"go"}]}]}`,
		want: `{"messages":[{"role":"user","content":"old news\n\ngo"}]}`},
	{name: "unanswered call", over: `{"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"Read","input":{}}]},{"role":"user","content":"never mind"}]}`,
		want: `{"messages":[{"role":"user","content":"go"},{"role":"assistant","tool_calls":[{"id":"t1","type":"function","function":{"name":"Read","arguments":"{}"}}]},{"role":"tool","tool_call_id":"t1","content":"No result."},{"role":"user","content":"never mind"}]}`},
	{name: "turn of thinking alone", over: `{"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"redacted_thinking","data":"x"}]},{"role":"user","content":"on"}]}`,
		want: `{"messages":[{"role":"user","content":"go"},{"role":"user","content":"on"}]}`, lost: "messages.thinking"},
	{name: "neighbours of one side", over: `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"Read","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"r"}]}]}`,
		want: `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b","tool_calls":[{"id":"t1","type":"function","function":{"name":"Read","arguments":"{}"}}]},{"role":"tool","tool_call_id":"t1","content":"r"}]}`},
	{name: "prefill", over: `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"{"}]}`,
		want: `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"{"}]}`, lost: "prefill"},
	{name: "reference to a tool", over: `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"ToolSearch","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":[{"type":"tool_reference","tool_name":"Deploy"}]}]}]}`,
		want: `{"messages":[{"role":"user","content":"a"},{"role":"assistant","tool_calls":[{"id":"t1","type":"function","function":{"name":"ToolSearch","arguments":"{}"}}]},{"role":"tool","tool_call_id":"t1","content":"Deploy"}]}`},

	{name: "tools", over: `{` + tools + `}`, want: `{` + sentTools + `}`, none: "tool_choice parallel_tool_calls"},
	{name: "tools []", over: `{"tools":[],"tool_choice":{"type":"auto","disable_parallel_tool_use":true}}`, none: "tools tool_choice parallel_tool_calls"},
	{name: "tool without description or schema", over: `{"tools":[{"type":"custom","name":"Now","description":null,"strict":true,"cache_control":{"type":"ephemeral"}}]}`,
		want: `{"tools":[{"type":"function","function":{"name":"Now","parameters":{"type":"object","properties":{}},"strict":true}}]}`, lost: "cache_control"},
	{name: "schema is completed and kept", over: `{"tools":[{"name":"A","input_schema":{ "properties":{"cache_control":{"type":"string"},"citations":{}},"additionalProperties":false}},{"name":"B","input_schema":{"type":"object"}},{"name":"C","input_schema":{ }}]}`,
		want: `{"tools":[{"type":"function","function":{"name":"A","parameters":{"type":"object","properties":{"cache_control":{"type":"string"},"citations":{}},"additionalProperties":false}}},{"type":"function","function":{"name":"B","parameters":{"properties":{},"type":"object"}}},{"type":"function","function":{"name":"C","parameters":{"type":"object","properties":{}}}}]}`},
	{name: "tool given twice", over: `{"tools":[{"name":"A","description":"1","input_schema":{"type":"object","properties":{}}},{"name":"A","description":"2","input_schema":{"type":"object","properties":{}}}]}`,
		want: `{"tools":[{"type":"function","function":{"name":"A","description":"1","parameters":{"type":"object","properties":{}}}}]}`},
	{name: "server tool beside others", over: `{"tools":[{"type":"web_search_20250305","name":"web_search"},{"name":"A","defer_loading":true,"input_schema":{"type":"object","properties":{}}}]}`,
		want: `{"tools":[{"type":"function","function":{"name":"A","parameters":{"type":"object","properties":{}}}}]}`, lost: "tools.defer_loading tools.web_search"},
	{name: "choice auto", over: `{` + tools + `,"tool_choice":{"type":"auto"}}`, want: `{"tool_choice":"auto"}`},
	{name: "choice any", over: `{` + tools + `,"tool_choice":{"type":"any"}}`, want: `{"tool_choice":"required"}`},
	{name: "choice none", over: `{` + tools + `,"tool_choice":{"type":"none"}}`, want: `{"tool_choice":"none"}`},
	{name: "choice tool", over: `{` + tools + `,"tool_choice":{"type":"tool","name":"Read","disable_parallel_tool_use":true}}`,
		want: `{"tool_choice":{"type":"function","function":{"name":"Read"}},"parallel_tool_calls":false}`},

	{name: "limit of a new model", model: "gpt-5-mini", want: `{"max_completion_tokens":100}`, none: "max_tokens"},
	{name: "limit of o3", model: "o3", want: `{"max_completion_tokens":100}`, none: "max_tokens"},
	{name: "limit behind a vendor", model: "openai/o4-mini-2025-04-16", want: `{"max_completion_tokens":100}`, none: "max_tokens"},
	{name: "limit of an older model", model: "gpt-4.1", want: `{"max_tokens":100}`, none: "max_completion_tokens"},
	{name: "limit of a name that only looks so", model: "olmo-7b", want: `{"max_tokens":100}`},
	{name: "clamped to maxOutput", model: "small", over: `{"max_tokens":128000}`, want: `{"max_tokens":4096}`},
	{name: "probe with 1", model: "o4-mini", over: `{"max_tokens":1}`, want: `{"max_completion_tokens":16}`},
	{name: "probe with 1, no reasoning", over: `{"max_tokens":1}`, want: `{"max_tokens":1}`},
	{name: "sampling", over: `{"temperature":0,"top_p":0.95,"top_k":40}`, want: `{"temperature":0,"top_p":0.95}`, none: "top_k", lost: "top_k"},
	{name: "sampling of a reasoning model", model: "o3-mini", over: `{"temperature":0.5,"top_p":0.9,"stop_sequences":["x"]}`, none: "temperature top_p stop", lost: "temperature top_p stop_sequences"},
	{name: "sampling of gpt-5-chat", model: "gpt-5-chat-latest", over: `{"temperature":0.5}`, want: `{"temperature":0.5,"max_completion_tokens":100}`},
	{name: "stops", over: `{"stop_sequences":["a","b\n"]}`, want: `{"stop":["a","b\n"]}`},
	{name: "no stops", over: `{"stop_sequences":[]}`, none: "stop"},
	{name: "five stops", over: `{"stop_sequences":["a","b","c","d","e"]}`, want: `{"stop":["a","b","c","d"]}`, lost: "stop_sequences"},
	{name: "user", over: `{"metadata":{"user_id":"u-1"}}`, want: `{"user":"u-1"}`},
	{name: "long user", over: `{"metadata":{"user_id":"{\"device_id\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}"}}`,
		want: `{"user":"81e0739730188267257e3a840afec7d7b8e57caa5202bc8f5208ea901df87b10"}`},
	{name: "small budget", model: "o3", over: `{"thinking":{"type":"enabled","budget_tokens":4000}}`, want: `{"reasoning_effort":"low"}`},
	{name: "middle budget", model: "gpt-5", over: `{"thinking":{"type":"enabled","budget_tokens":16000}}`, want: `{"reasoning_effort":"medium"}`},
	{name: "large budget", model: "gpt-5", over: `{"thinking":{"type":"enabled","budget_tokens":31999,"display":"omitted"}}`, want: `{"reasoning_effort":"high"}`},
	{name: "no thinking, gpt-5", model: "gpt-5", over: `{"thinking":{"type":"disabled"}}`, want: `{"reasoning_effort":"minimal"}`},
	{name: "no thinking, gpt-5.1", model: "gpt-5.1", over: `{"thinking":{"type":"disabled"}}`, want: `{"reasoning_effort":"none"}`},
	{name: "adaptive with effort", model: "gpt-5", over: `{"thinking":{"type":"adaptive"},"output_config":{"effort":"medium"}}`, want: `{"reasoning_effort":"medium"}`},
	{name: "adaptive without", model: "gpt-5", over: `{"thinking":{"type":"adaptive"}}`, none: "reasoning_effort"},
	{name: "effort max", model: "o3", over: `{"output_config":{"effort":"max"}}`, want: `{"reasoning_effort":"high"}`},
	{name: "effort max, xhigh known", model: "gpt-5.1-codex-max", over: `{"output_config":{"effort":"max"}}`, want: `{"reasoning_effort":"xhigh"}`},
	{name: "effort of a model without", over: `{"thinking":{"type":"adaptive","display":"omitted"},"output_config":{"effort":"high"}}`, none: "reasoning_effort", lost: "thinking"},
	{name: "no thinking for a model without", over: `{"thinking":{"type":"disabled"}}`, none: "reasoning_effort"},
	{name: "thinking by configuration", model: "thinker", over: `{"thinking":{"type":"enabled","budget_tokens":2000}}`, want: `{"reasoning_effort":"low"}`},
	{name: "thinking switched off", model: "o3-quiet", over: `{"thinking":{"type":"enabled","budget_tokens":2000}}`, none: "reasoning_effort", lost: "thinking"},
	{name: "schema of the answer", over: `{"output_config":{"format":{"type":"json_schema","schema":{"type":"object","properties":{"a":{"type":"string"}}}}}}`,
		want: `{"response_format":{"type":"json_schema","json_schema":{"name":"answer","schema":{"type":"object","properties":{"a":{"type":"string"}}}}}}`},
	{name: "tier auto", over: `{"service_tier":"auto"}`, want: `{"service_tier":"auto"}`},
	{name: "tier standard_only", over: `{"service_tier":"standard_only"}`, want: `{"service_tier":"default"}`},
	{name: "the rest is left out", over: `{"context_management":{"edits":[]},"container":"c","mcp_servers":[],"inference_geo":"us","speed":"fast","a field\u0000of some kind":1}`,
		none: "context_management container mcp_servers inference_geo speed", lost: "container context_management inference_geo mcp_servers other speed"},
}

func testModels() []config.Model {
	yes, no := true, false
	return []config.Model{
		{Name: "small", MaxOutput: 4096, Context: 8192, Capabilities: config.Capabilities{PDF: &no}},
		{Name: "thinker", Capabilities: config.Capabilities{Thinking: &yes}},
		{Name: "o3-quiet", Capabilities: config.Capabilities{Thinking: &no}},
	}
}

func TestRequest(t *testing.T) {
	p := newProvider(t, config.Provider{Endpoint: "http://127.0.0.1:1"}, testModels()...)
	for _, tt := range requestCases {
		t.Run(tt.name, func(t *testing.T) {
			sent, lost, err := converted(t, p, tt.body(t), tt.target())
			if err != nil {
				t.Fatal(err)
			}
			if tt.want != "" {
				for name, want := range decode(t, tt.want).(map[string]any) {
					if !reflect.DeepEqual(sent[name], want) {
						t.Errorf("%s:\ngot  %s\nwant %s", name, encode(sent[name]), encode(want))
					}
				}
			}
			for _, name := range strings.Fields(tt.none) {
				if v, there := sent[name]; there {
					t.Errorf("%s: %s, want none", name, encode(v))
				}
			}
			checkLost(t, lost, tt.lost)
		})
	}
}

// checkLost compares names without regard to their order.
func checkLost(t *testing.T, lost []string, want string) {
	t.Helper()
	left := map[string]bool{}
	for _, name := range strings.Fields(want) {
		left[name] = true
	}
	for _, name := range lost {
		if !left[name] {
			t.Errorf("lost %s, which was carried", name)
		}
		delete(left, name)
	}
	for name := range left {
		t.Errorf("%s was lost and is not named among %q", name, lost)
	}
}

func TestRequestThatIsRefused(t *testing.T) {
	p := newProvider(t, config.Provider{Endpoint: "http://127.0.0.1:1"}, testModels()...)
	user := func(blocks string) string { return `{"messages":[{"role":"user","content":[` + blocks + `]}]}` }
	for _, tt := range []struct{ over, want, model string }{
		{`{"max_tokens":null}`, "max_tokens: ", ""},
		{`{"max_tokens":0}`, "max_tokens: ", ""},
		{`{"max_tokens":1.5}`, "max_tokens: ", ""},
		{`{"max_tokens":"100"}`, "max_tokens: ", ""},
		{`{"messages":null}`, "messages: ", ""},
		{`{"messages":[]}`, "messages: ", ""},
		{`{"messages":"hi"}`, "messages: ", ""},
		{`{"messages":["hi"]}`, "messages.0: ", ""},
		{`{"messages":[{"role":"user","content":"a"},{"role":"tool","content":"b"}]}`, "messages.1.role: ", ""},
		{`{"messages":[{"content":"b"}]}`, "messages.0.role: ", ""},
		{`{"messages":[{"role":"user"}]}`, "messages.0.content: ", ""},
		{`{"messages":[{"role":"user","content":7}]}`, "messages.0.content: ", ""},
		{`{"messages":[{"role":"user","content":{"type":"text"}}]}`, "messages.0.content: ", ""},
		{user(`"hi"`), "messages.0.content.0: ", ""},
		{user(`{"text":"hi"}`), "messages.0.content.0.type: ", ""},
		{user(`{"type":"text","text":"a"},{"type":"text","text":7}`), "messages.0.content.1.text: ", ""},
		{user(`{"type":"text"}`), "messages.0.content.0.text: ", ""},
		{user(`{"type":"hologram"}`), "messages.0.content: ", ""},
		{user(`{"type":"image"}`), "messages.0.content.0.source: ", ""},
		{user(`{"type":"image","source":{"type":"file","file_id":"f"}}`), "messages.0.content.0.source: ", ""},
		{user(`{"type":"image","source":{"type":"base64","data":"x"}}`), "messages.0.content.0.source: ", ""},
		{user(`{"type":"document","source":"x"}`), "messages.0.content.0.source: ", ""},
		{user(`{"type":"document","source":{"type":"url","url":"https://x/a.pdf"}}`), "messages.0.content.0.source: ", ""},
		{user(`{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBERi0="}}`), "messages.0.content.0.source: ", "small"},
		{user(`{"type":"tool_result","content":"x"}`), "messages.0.content.0: ", ""},
		{user(`{"type":"tool_result","tool_use_id":"t","content":7}`), "messages.0.content.0.content: ", ""},
		{user(`{"type":"tool_result","tool_use_id":"t","content":[{"type":"image","source":{"type":"file"}}]}`), "messages.0.content.0.content.0.source: ", ""},
		{`{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"A","input":"{}"}]}]}`, "messages.1.content: ", ""},
		{`{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"tool_use","id":"t","input":{}}]}]}`, "messages.1.content: ", ""},
		{`{"stream":"yes"}`, "stream: ", ""},
		{`{"temperature":1.5}`, "temperature: ", ""},
		{`{"temperature":"0"}`, "temperature: ", ""},
		{`{"top_p":-1}`, "top_p: ", ""},
		{`{"system":7}`, "system: ", ""},
		{`{"system":{"type":"text","text":"x"}}`, "system: ", ""},
		{`{"stop_sequences":"x"}`, "stop_sequences: ", ""},
		{`{"stop_sequences":["x",1]}`, "stop_sequences: ", ""},
		{`{"tools":{}}`, "tools: ", ""},
		{`{"tools":[7]}`, "tools.0: ", ""},
		{`{"tools":[{"input_schema":{}}]}`, "tools.0.name: ", ""},
		{`{"tools":[{"name":"A","input_schema":[]}]}`, "tools.0.input_schema: ", ""},
		{`{` + tools + `,"tool_choice":"any"}`, "tool_choice: ", ""},
		{`{` + tools + `,"tool_choice":{"type":"some"}}`, "tool_choice.type: ", ""},
		{`{` + tools + `,"tool_choice":{"type":"tool","name":"Write"}}`, "tool_choice.name: ", ""},
		{`{"tool_choice":{"type":"any"}}`, "tool_choice: ", ""},
		{`{"tools":[{"type":"web_search_20250305","name":"web_search"}],"tool_choice":{"type":"tool","name":"web_search"}}`, `tool_choice: the tool "web_search"`, ""},
		{`{"tools":[{"type":"web_search_20250305","name":"web_search"}]}`, `tools: the tool "web_search"`, ""},
		{`{"tools":[{"type":"web_search_20250305","name":"web_search"},{"name":"A","input_schema":{}}],"tool_choice":{"type":"tool","name":"web_search"}}`, `tool_choice: the tool "web_search"`, ""},
		{`{"thinking":true}`, "thinking: ", ""},
		{`{"thinking":{"type":"deep"}}`, "thinking.type: ", ""},
		{`{"output_config":{"format":{"type":"grammar"}}}`, "output_config.format: ", ""},
	} {
		// Nobody listens at the provider's address: what is refused was not sent.
		_, got := send(t, p, newRequest(t, merged(t, tt.over), cmp.Or(tt.model, "gpt-4o")))
		e, ok := got.err.(*providers.Error)
		if !ok || e.Class != providers.ClassInvalid || e.Status != 400 {
			t.Errorf("%s: %v, want a refusal", tt.over, got.err)
			continue
		}
		var body struct {
			Type  string
			Error struct{ Type, Message string }
		}
		if err := json.Unmarshal(e.Body, &body); err != nil || body.Type != "error" || body.Error.Type != "invalid_request_error" || !strings.HasPrefix(body.Error.Message, tt.want) {
			t.Errorf("%s: %s, %v; want a message that begins with %q", tt.over, e.Body, err, tt.want)
		}
	}
}

func TestToolNamesSurviveTheRoundTrip(t *testing.T) {
	long := "mcp__" + strings.Repeat("server", 12) + "__read_file"
	for _, full := range []string{long, long + "2", "mcp.dots:and/slashes", "größe", "x\"quoted\""} {
		over := `{"tools":[{"name":` + encode(full) + `,"input_schema":{"type":"object","properties":{}}}],"tool_choice":{"type":"tool","name":` + encode(full) + `},"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"tool_use","id":"t","name":` + encode(full) + `,"input":{}}]}]}`
		var seen shared[string]
		p := serve(t, func(w http.ResponseWriter, r *http.Request) {
			var body struct {
				Messages []struct {
					Calls []struct{ Function struct{ Name string } } `json:"tool_calls"`
				}
				Tools  []struct{ Function struct{ Name string } }
				Choice struct{ Function struct{ Name string } } `json:"tool_choice"`
			}
			if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
				t.Error(err)
			}
			sent := body.Tools[0].Function.Name
			seen.set(sent)
			if body.Choice.Function.Name != sent || body.Messages[1].Calls[0].Function.Name != sent {
				t.Errorf("%s is sent as %s, %s and %s", full, sent, body.Choice.Function.Name, body.Messages[1].Calls[0].Function.Name)
			}
			answers(200, "application/json", `{"choices":[{"message":{"tool_calls":[{"id":"c","function":{"name":"`+sent+`","arguments":"{}"}}]}}]}`)(w, r)
		})
		_, got := send(t, p, newRequest(t, merged(t, over), "gpt-4o"))
		sent := seen.get()
		if len(sent) > maxName || !allowed([]byte(sent), maxName) || sent == full {
			t.Errorf("%s is sent as %q", full, sent)
		}
		if !strings.Contains(got.bytes, `"name":`+encode(full)) {
			t.Errorf("%s comes back in %s, %v", full, got.bytes, got.err)
		}
	}
}

func TestIDsOfCalls(t *testing.T) {
	for _, id := range []string{"call_abc-123", "functions.Bash:0", strings.Repeat("x", 70), "ü", `q"\\`} {
		told := wrapID([]byte(encode(id)[1 : len(encode(id))-1]))
		if !allowed([]byte(told), 1000) {
			t.Errorf("%s is told as %s", id, told)
		}
		if back := plain(unwrapID([]byte(told))); back != id {
			t.Errorf("%s comes back as %s", id, back)
		}
	}
	// Others are brought into the shape that a target takes, the same for a call
	// and its result.
	history := func(id string) string {
		return merged(t, `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"tool_use","id":"`+id+`","name":"A","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"`+id+`","content":"r"}]}]}`)
	}
	for _, tt := range []struct {
		host, id string
		shape    string
	}{
		{"http://127.0.0.1:1", "toolu_01A09q90qw90lq917835lq9", `^toolu_01A09q90qw90lq917835lq9$`},
		{"http://127.0.0.1:1", wrapID([]byte("functions.Bash:0")), `^functions\.Bash:0$`},
		{"http://127.0.0.1:1", strings.Repeat("a", 60), `^[A-Za-z0-9_-]{1,40}$`},
		{"https://api.mistral.ai", "toolu_01A09q90qw90lq917835lq9", `^[a-zA-Z0-9]{9}$`},
	} {
		sent, _, err := converted(t, newProvider(t, config.Provider{Endpoint: tt.host}), history(tt.id), "m")
		if err != nil {
			t.Fatal(err)
		}
		messages := sent["messages"].([]any)
		call := messages[1].(map[string]any)["tool_calls"].([]any)[0].(map[string]any)["id"].(string)
		result := messages[2].(map[string]any)["tool_call_id"].(string)
		if call != result || !regexp.MustCompile(tt.shape).MatchString(call) {
			t.Errorf("%s at %s: %s and %s, want %s", tt.id, tt.host, call, result, tt.shape)
		}
	}
}
