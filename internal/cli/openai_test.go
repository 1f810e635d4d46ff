package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"anyproxy/internal/grammar"
	"anyproxy/internal/simulator"
)

// dialects are habits of upstreams of the OpenAI format, some of them combined
// as a service has them.
var dialects = map[string]simulator.Dialect{
	"OpenAI":           {},
	"Azure":            {EmptyFirst: true, CRLF: true},
	"Groq":             {Repeated: true, WholeCalls: true, Usage: simulator.UsageGroq, Reasoning: true},
	"OpenRouter":       {Comments: true, Reasoning: true, Usage: simulator.UsageFinish},
	"DeepSeek":         {Repeated: true, Usage: simulator.UsageFinish},
	"Gemini":           {NoRole: true, NoIndex: true, NoIDs: true, WholeCalls: true, FinishStop: true, NoDone: true, Usage: simulator.UsageRunning, Errors: simulator.ErrorArray},
	"Mistral":          {Parts: true, Refuse: []string{"stream_options", "user", "parallel_tool_calls"}, Usage: simulator.UsageFinish, Errors: simulator.ErrorDetail},
	"Ollama":           {IndexZero: true, WholeCalls: true, FinishStop: true, Errors: simulator.ErrorString},
	"vLLM":             {WithFinish: true, Usage: simulator.UsageRunning, Errors: simulator.ErrorTop},
	"llama.cpp":        {NoIDs: true},
	"interleaved":      {Interleaved: true},
	"never any usage":  {Usage: simulator.UsageNever},
	"without an index": {NoIndex: true},
}

// openAIUpstream is one that speaks a dialect.
func openAIUpstream(t testing.TB, d simulator.Dialect, script simulator.Script) *simulator.Upstream {
	t.Helper()
	u, err := simulator.Start(t.Context(), simulator.Options{Script: script, OpenAI: &d})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.Close)
	return u
}

// withOpenAI is a configuration whose provider a speaks the OpenAI format; b, if
// any, is Anthropic's and comes next.
func withOpenAI(t testing.TB, a, b *simulator.Upstream) string {
	t.Helper()
	const timeouts = "timeouts: {connect: 2s, firstByte: 1s, idle: 1s}"
	text := fmt.Sprintf("providers:\n  a: {type: openai, endpoint: %q, apiKey: upstream-key-of-a, %s}\n", a.URL(), timeouts)
	models := "models:\n  - {name: gpt-x, alias: \"claude-*\", provider: a}\n"
	if b != nil {
		text += fmt.Sprintf("  b: {endpoint: %q, apiKey: upstream-key-of-b, %s}\n", b.URL(), timeouts)
		models += "  - {alias: \"claude-*\", provider: b, tier: 2}\n"
	}
	return writeFile(t, "openai.yaml", text+models)
}

func TestEveryDialectGivesTheSameMessage(t *testing.T) {
	for name, d := range dialects {
		for _, stream := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, stream %v", name, stream), func(t *testing.T) {
				a := openAIUpstream(t, d, simulator.Always(good))
				p := start(t, nil, "-config", withOpenAI(t, a, nil))
				for range 2 {
					res, body := p.post(t, everyField(stream))
					if res.StatusCode != 200 || res.Header.Get("X-Anyproxy-Attempts") != "1" || !strings.Contains(res.Header.Get("X-Anyproxy-Degraded"), "top_k") {
						t.Fatalf("%d %v %s", res.StatusCode, res.Header, body)
					}
					checkGood(t, &d, stream, body)
				}
			})
		}
	}
}

// everyField is a request with fields that some dialects refuse, and one that
// none can carry.
func everyField(stream bool) string {
	return fmt.Sprintf(`{"model":"claude-x","max_tokens":1000,"stream":%v,"top_k":3,"metadata":{"user_id":"u"},`+
		`"tools":[{"name":"Bash","input_schema":{"type":"object"}}],"tool_choice":{"type":"auto","disable_parallel_tool_use":true},"messages":[{"role":"user","content":"hi"}]}`, stream)
}

func checkGood(t *testing.T, d *simulator.Dialect, stream bool, body []byte) {
	t.Helper()
	m, err := check(stream, body)
	if err != nil || m.End != grammar.Complete || m.StopReason != "tool_use" || m.Model != "gpt-x" {
		t.Fatalf("%v: %s", err, body)
	}
	if m.Thinking() != good.Blocks[0].Text || m.Text() != good.Blocks[1].Text || len(m.Tools()) != 2 {
		t.Fatalf("thinking %q, text %q, %d calls", m.Thinking(), m.Text(), len(m.Tools()))
	}
	for i, call := range m.Tools() {
		want := good.Blocks[i+2]
		if call.Name != want.Name || string(call.Input) != want.Input || d.NoIDs == (call.ID == want.ID) {
			t.Errorf("call %d: %s %s %s, want %s %s %s", i, call.ID, call.Name, call.Input, want.ID, want.Name, want.Input)
		}
	}
	if told := d.Usage != simulator.UsageNever || !stream; told != (m.Usage.Output == good.Tokens()) || told != (m.Usage.Input > 0) {
		t.Errorf("usage %+v, %d tokens were made", m.Usage, good.Tokens())
	}
}

func TestTheNextProviderAnswersForAnOpenAIOne(t *testing.T) {
	for name, f := range earlyFaults {
		if f.Kind == simulator.ErrorEvent && f.At == simulator.Events(3) {
			f.At = simulator.Events(1) // the third one brings content
		}
		if f.Kind == simulator.Break {
			f.At = simulator.Events(1)
		}
		for _, stream := range []bool{true, false} {
			if !stream && f.Kind == simulator.Hang {
				continue // the whole of an attempt may take ten minutes
			}
			t.Run(fmt.Sprintf("%s, stream %v", name, stream), func(t *testing.T) {
				a, b := openAIUpstream(t, simulator.Dialect{}, simulator.Always(faulty(f))), upstream(t, simulator.Always(good))
				p := start(t, nil, "-config", withOpenAI(t, a, b))
				res, body := p.post(t, ask(stream))
				if res.StatusCode != 200 || res.Header.Get("X-Anyproxy-Provider") != "b" || res.Header.Get("X-Anyproxy-Attempts") != "2" || res.Header.Get("X-Anyproxy-Degraded") != "" {
					t.Fatalf("%d %v %s", res.StatusCode, res.Header, body)
				}
				if m, err := check(stream, body); err != nil || m.End != grammar.Complete || len(m.Tools()) != 2 {
					t.Fatalf("%v: %s", err, body)
				}
			})
		}
	}
}

func TestOpenAIFailureAfterContentIsTold(t *testing.T) {
	for name, f := range map[string]simulator.Fault{
		"reset":       {Kind: simulator.Reset, At: simulator.Deltas(3)},
		"break":       {Kind: simulator.Break, At: simulator.Deltas(3)},
		"cut":         {Kind: simulator.Cut, At: simulator.Deltas(3)},
		"hang":        {Kind: simulator.Hang, At: simulator.Deltas(3)},
		"garbage":     {Kind: simulator.Garbage, At: simulator.Deltas(3)},
		"error event": simulator.ErrorAt(simulator.Deltas(3), 529, "Overloaded"),
	} {
		t.Run(name, func(t *testing.T) {
			a, b := openAIUpstream(t, simulator.Dialect{}, simulator.Always(faulty(f))), upstream(t, simulator.Always(good))
			toldAfterContent(t, start(t, nil, "-config", withOpenAI(t, a, b)), b)
		})
	}
}

func TestHarmlessOdditiesOfAnOpenAIUpstreamPass(t *testing.T) {
	for name, f := range map[string]simulator.Fault{
		"gzip": {Kind: simulator.Gzip}, "drip": {Kind: simulator.Drip}, "HTTP/1.0": {Kind: simulator.HTTP10},
		"role twice":             {Kind: simulator.DuplicateStart, At: simulator.Events(1)},
		"reset behind the end":   {Kind: simulator.Reset, At: simulator.Events(len(eventsOfGood(t)))},
		"no end behind the last": {Kind: simulator.Cut, At: simulator.Events(len(eventsOfGood(t)) - 1)},
	} {
		for _, stream := range []bool{true, false} {
			if !stream && f.At != simulator.BeforeHeaders {
				continue // what is not streamed has no events
			}
			a := openAIUpstream(t, simulator.Dialect{}, simulator.Always(faulty(f)))
			p := start(t, nil, "-config", withOpenAI(t, a, nil))
			res, body := p.post(t, ask(stream), "Accept-Encoding", "identity")
			if res.StatusCode != 200 || res.Header.Get("Content-Encoding") != "" {
				t.Fatalf("%s, stream %v: %d %v %s", name, stream, res.StatusCode, res.Header, body)
			}
			checkGood(t, &simulator.Dialect{}, stream, body)
		}
	}
}

// eventsOfGood are those with which an upstream of the OpenAI format says good.
func eventsOfGood(t *testing.T) []string {
	t.Helper()
	res, err := http.Post(openAIUpstream(t, simulator.Dialect{}, simulator.Always(good)).URL()+"/v1/chat/completions", "application/json",
		strings.NewReader(`{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"hi"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return strings.SplitAfter(strings.TrimSpace(string(body)), "\n\n")
}

func TestOpenAIErrorsReachTheClientInItsShape(t *testing.T) {
	for status, typ := range map[int]string{400: "invalid_request_error", 404: "not_found_error", 413: "request_too_large", 422: "invalid_request_error"} {
		for name, d := range dialects {
			a := openAIUpstream(t, d, simulator.Always(faulty(simulator.Status(status, "the words of the upstream"))))
			p := start(t, nil, "-config", withOpenAI(t, a, nil))
			res, body := p.post(t, ask(true))
			var e struct {
				Error struct{ Type, Message string }
			}
			if err := json.Unmarshal(body, &e); err != nil || res.StatusCode != status || e.Error.Type != typ || e.Error.Message != "the words of the upstream" {
				t.Errorf("%s, %d: %d %s, %v", name, status, res.StatusCode, body, err)
			}
		}
	}
}

func TestCountTokensNeedsNoUpstream(t *testing.T) {
	count := func(p *running, path string) (int, *http.Response) {
		res, err := http.Post(p.base+path, "application/json", strings.NewReader(`{"model":"claude-x","messages":[{"role":"user","content":"`+strings.Repeat("word ", 400)+`"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var body struct {
			Tokens int `json:"input_tokens"`
		}
		if err := json.NewDecoder(res.Body).Decode(&body); err != nil || res.StatusCode != 200 {
			t.Errorf("%d, %v", res.StatusCode, err)
		}
		return body.Tokens, res
	}
	a := openAIUpstream(t, simulator.Dialect{}, simulator.Always(good))
	p := start(t, nil, "-config", withOpenAI(t, a, nil))
	if n, _ := count(p, "/v1/messages/count_tokens?beta=true"); n < 400 || n > 700 || len(a.Requests()) != 0 {
		t.Errorf("%d tokens, the upstream was asked %d times", n, len(a.Requests()))
	}
	// An Anthropic one that has no such endpoint, or is in trouble, is none the worse.
	missing := openAIUpstream(t, simulator.Dialect{}, simulator.Always(good)) // answers 404 to every path of Anthropic's
	p = start(t, nil, "-config", writeFile(t, "missing.yaml", fmt.Sprintf("providers: {a: {endpoint: %q, apiKey: upstream-key-of-a}}\nmodels: [{alias: \"claude-*\", provider: a}]\n", missing.URL())))
	n, res := count(p, "/v1/messages/count_tokens")
	if n < 400 || n > 700 || res.Header.Get("X-Anyproxy-Degraded") != "count_tokens" {
		t.Errorf("%d tokens, %v", n, res.Header)
	}
	if res, err := http.Get(p.base + "/health"); err != nil || res.StatusCode != 200 {
		t.Errorf("health: %v, %v", res, err)
	} else {
		res.Body.Close()
	}
}
