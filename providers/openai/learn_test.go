package openai

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"

	"anyproxy/config"
	"anyproxy/providers"
)

// picky is an upstream that refuses requests with a field, in its own words, and
// keeps the fields of all.
type picky struct {
	refuse func(fields map[string]json.RawMessage) (status int, body string)
	mu     sync.Mutex
	got    []map[string]json.RawMessage
}

// asked are the fields of all requests.
func (u *picky) asked() []map[string]json.RawMessage {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.got)
}

func (u *picky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var fields map[string]json.RawMessage
	sent, _ := io.ReadAll(r.Body)
	_ = json.Unmarshal(sent, &fields)
	u.mu.Lock()
	u.got = append(u.got, fields)
	status, body := u.refuse(fields)
	u.mu.Unlock()
	if status != 0 {
		answers(status, jsonType, body)(w, r)
		return
	}
	answers(200, jsonType, choice(`{"content":"x"}`, `"stop"`))(w, r)
}

func (u *picky) names(i int) string {
	var names []string
	for name := range u.asked()[i] {
		names = append(names, name)
	}
	sort.Strings(names)
	return strings.Join(names, " ")
}

func TestFieldsThatAreRefusedAreLeftOutFromThenOn(t *testing.T) {
	with := func(name string) func(map[string]json.RawMessage) bool {
		return func(f map[string]json.RawMessage) bool { return f[name] != nil }
	}
	for _, tt := range []struct {
		name    string
		model   string
		over    string
		refused func(map[string]json.RawMessage) bool
		status  int
		body    string
		gone    string // the field that is not sent any more
		instead string // the one that is
		lost    string
	}{
		{"stream_options", "m", `{"stream":true}`, with("stream_options"), 422, `{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"Extra inputs are not permitted"}]}`, "stream_options", "", ""},
		{"parallel_tool_calls", "m", `{` + tools + `,"tool_choice":{"type":"auto","disable_parallel_tool_use":true}}`, with("parallel_tool_calls"), 400, `{"error":{"message":"Unsupported parameter: 'parallel_tool_calls' is not supported with this model.","param":"parallel_tool_calls"}}`, "parallel_tool_calls", "", "disable_parallel_tool_use"},
		{"reasoning_effort", "o3", `{"thinking":{"type":"enabled","budget_tokens":1000}}`, with("reasoning_effort"), 400, `{"error":{"message":"Unrecognized request argument supplied: reasoning_effort"}}`, "reasoning_effort", "", "thinking"},
		{"user", "m", `{"metadata":{"user_id":"u"}}`, with("user"), 400, `[{"error":{"code":400,"message":"Invalid JSON payload received. Unknown name \"user\": Cannot find field."}}]`, "user", "", ""},
		{"user, by param", "m", `{"metadata":{"user_id":"u"}}`, with("user"), 400, `{"error":{"message":"Unknown parameter.","param":"user"}}`, "user", "", ""},
		{"service_tier", "m", `{"service_tier":"auto"}`, with("service_tier"), 400, `{"error":{"message":"property 'service_tier' is unsupported"}}`, "service_tier", "", "service_tier"},
		{"temperature", "deployment", `{"temperature":0.5}`, with("temperature"), 400, `{"error":{"message":"Unsupported value: 'temperature' does not support 0.5 with this model. Only the default (1) value is supported.","param":"temperature"}}`, "temperature", "", "temperature"},
		{"stop", "deployment", `{"stop_sequences":["x"]}`, with("stop"), 400, `{"error":{"message":"Unsupported parameter: 'stop' is not supported with this model.","param":"stop"}}`, "stop", "", "stop_sequences"},
		{"max_tokens", "deployment", `{}`, with("max_tokens"), 400, `{"error":{"message":"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.","param":"max_tokens"}}`, "max_tokens", "max_completion_tokens", ""},
		{"max_completion_tokens", "gpt-5-clone", `{}`, with("max_completion_tokens"), 422, `{"detail":[{"loc":["body","max_completion_tokens"],"msg":"Extra inputs are not permitted"}]}`, "max_completion_tokens", "max_tokens", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			up := &picky{refuse: func(f map[string]json.RawMessage) (int, string) {
				if tt.refused(f) {
					return tt.status, tt.body
				}
				return 0, ""
			}}
			p := serve(t, up.ServeHTTP)
			for range 2 {
				s, got := send(t, p, newRequest(t, merged(t, tt.over), tt.model))
				if got.err != nil {
					t.Fatal(got.err)
				}
				checkLost(t, s.Degraded, tt.lost)
			}
			if len(up.asked()) != 3 {
				t.Fatalf("asked %d times, want two and then one", len(up.asked()))
			}
			if up.asked()[0][tt.gone] == nil {
				t.Fatalf("first asked with %s", up.names(0))
			}
			for i := 1; i < 3; i++ {
				if up.asked()[i][tt.gone] != nil || tt.instead != "" && up.asked()[i][tt.instead] == nil || up.asked()[i]["messages"] == nil {
					t.Errorf("request %d has %s", i, up.names(i))
				}
			}
			if _, got := send(t, p, newRequest(t, merged(t, tt.over), tt.model+"-other")); got.err != nil || len(up.asked()) != 5 {
				if tt.model != "o3" && tt.model != "gpt-5-clone" { // another name is another kind of model
					t.Errorf("what is true of a model is taken for true of another: %v, asked %d times", got.err, len(up.asked()))
				}
			}
		})
	}
}

func TestRefusalOfWhatTheClientSaidIsToldAtOnce(t *testing.T) {
	for _, message := range []string{
		"Invalid type for 'messages[0].content'", "tools[0].function.name: does not match the pattern",
		"the user said something that is not allowed", "please stop", "temperature of the sun", // no field of ours was sent
	} {
		up := &picky{refuse: func(map[string]json.RawMessage) (int, string) {
			return 400, `{"error":{"message":` + encode(message) + `}}`
		}}
		_, got := send(t, serve(t, up.ServeHTTP), newRequest(t, merged(t, `{"metadata":{"user_id":"u"},"stop_sequences":["x"]}`), "m"))
		if wantError(t, got.err, providers.ClassInvalid); len(up.asked()) != 1 {
			t.Errorf("%s: asked %d times", message, len(up.asked()))
		}
	}
	// What is refused again is told: there is one repetition.
	up := &picky{refuse: func(map[string]json.RawMessage) (int, string) {
		return 422, `{"detail":"stream_options and user: body.user"}`
	}}
	_, got := send(t, serve(t, up.ServeHTTP), newRequest(t, merged(t, `{"metadata":{"user_id":"u"},"stream":true}`), "m"))
	if e := wantError(t, got.err, providers.ClassInvalid); e.Status != 422 || len(up.asked()) != 2 {
		t.Errorf("status %d, asked %d times", e.Status, len(up.asked()))
	}
}

func TestLimitsAreLearnt(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		want       string
		later      string // of a second request
	}{
		{"OpenAI", `{"error":{"message":"max_tokens is too large: 64000. This model supports at most 16384 completion tokens, whereas you provided 64000.","param":"max_tokens"}}`, "16384", "16384"},
		{"DeepSeek", `{"error":{"message":"Invalid max_tokens value, the valid range of max_tokens is [1, 8192]"}}`, "8192", "8192"},
		{"Groq", "{\"error\":{\"message\":\"`max_tokens` must be less than or equal to `32768`, the maximum value for `max_tokens` is less than the `context_window` for this model\"}}", "32768", "32768"},
		{"vLLM", `{"object":"error","message":"This model's maximum context length is 32768 tokens. However, you requested 74000 tokens (10000 in the messages, 64000 in the completion).","code":400}`, "22768", "64000"},
		{"newer vLLM", `{"error":{"message":"'max_tokens' or 'max_completion_tokens' is too large: 64000. This model's maximum context length is 32768 tokens and your request has 12768 input tokens (64000 > 32768 - 12768)."}}`, "20000", "64000"},
		{"vLLM of 2026", `{"error":{"message":"You passed 12768 input tokens and requested 64000 output tokens. However, the model's context length is only 32768 tokens, resulting in a maximum input length of 0 tokens."}}`, "20000", "64000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			first := true
			up := &picky{refuse: func(f map[string]json.RawMessage) (int, string) {
				if string(f["max_tokens"]) != "64000" || !first {
					return 0, ""
				}
				first = false
				return 400, tt.body
			}}
			p := serve(t, up.ServeHTTP)
			for range 2 {
				if _, got := send(t, p, newRequest(t, merged(t, `{"max_tokens":64000}`), "m")); got.err != nil {
					t.Fatal(got.err)
				}
			}
			if got := string(up.asked()[1]["max_tokens"]); got != tt.want {
				t.Errorf("repeated with %s, want %s", got, tt.want)
			}
			if got := string(up.asked()[2]["max_tokens"]); got != tt.later {
				t.Errorf("then asked for %s, want %s", got, tt.later)
			}
		})
	}
}

func TestThoughtsGoBackWhereTheyAreWanted(t *testing.T) {
	history := `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"thinking","thinking":"hm \"so\"","signature":""},{"type":"tool_use","id":"t","name":"A","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"r"}]},{"role":"assistant","content":[{"type":"thinking","thinking":"no call","signature":""},{"type":"text","text":"ok"}]},{"role":"user","content":"b"}]}`
	for host, want := range map[string]any{"https://api.deepseek.com": `hm "so"`, "https://api.mistral.ai": nil, "http://127.0.0.1:1": nil} {
		sent, _, err := converted(t, newProvider(t, config.Provider{Endpoint: host}), merged(t, history), "m")
		if err != nil {
			t.Fatal(err)
		}
		messages := sent["messages"].([]any)
		if got := messages[1].(map[string]any)["reasoning_content"]; got != want {
			t.Errorf("%s gets %v back, want %v", host, got, want)
		}
		if got := messages[3].(map[string]any)["reasoning_content"]; got != nil {
			t.Errorf("%s gets %v back of a turn without calls", host, got)
		}
	}
	wanting := &picky{refuse: func(f map[string]json.RawMessage) (int, string) {
		if !strings.Contains(string(f["messages"]), "reasoning_content") {
			return 400, `{"error":{"message":"The reasoning_content in the thinking mode must be passed back to the API."}}`
		}
		return 0, ""
	}}
	if _, got := send(t, serve(t, wanting.ServeHTTP), newRequest(t, merged(t, history), "m")); got.err != nil || len(wanting.asked()) != 2 {
		t.Errorf("asked %d times, %v", len(wanting.asked()), got.err)
	}
}

func TestSealsOfCallsGoBack(t *testing.T) {
	p := newProvider(t, config.Provider{Endpoint: "https://generativelanguage.googleapis.com/v1beta/openai"})
	s := openStream(t, strings.NewReader(wire(readArchive(t, "gemini.txtar").sections[upstreamSection])), nil)
	s.m.seals = p.seals
	got := read(s)
	s.Close()
	calls := checkGrammar(t, got).Tools()
	body := merged(t, `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"tool_use","id":"`+calls[0].ID+`","name":"A","input":{}},{"type":"tool_use","id":"`+calls[1].ID+`","name":"B","input":{}}]}]}`)
	sent, _, err := converted(t, p, body, "gemini-3-pro")
	if err != nil {
		t.Fatal(err)
	}
	list := sent["messages"].([]any)[1].(map[string]any)["tool_calls"].([]any)
	if got := encode(list[0].(map[string]any)["extra_content"]); got != `{"google":{"thought_signature":"abc"}}` {
		t.Errorf("the first call goes back with %s", got)
	}
	if got := list[1].(map[string]any)["extra_content"]; got != nil {
		t.Errorf("the second call goes back with %v", got)
	}
}

func TestSealsAreBounded(t *testing.T) {
	s := new(seals)
	big := make([]byte, maxSeals/4)
	for _, id := range []string{"a", "b", "a", "c", "d", "e"} {
		s.keep(id, big)
	}
	if s.of("a") != nil || s.of("e") == nil || s.size > maxSeals || len(s.order) != len(s.byID) {
		t.Errorf("%d bytes of %d calls", s.size, len(s.byID))
	}
}
