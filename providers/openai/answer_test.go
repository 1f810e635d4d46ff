package openai

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"anyproxy/config"
	"anyproxy/internal/grammar"
	"anyproxy/providers"
)

const jsonType = "application/json"

// choice is a whole answer with the given message and reason.
func choice(message, reason string) string {
	return `{"id":"chatcmpl-1","object":"chat.completion","model":"gpt-4o-2024","choices":[{"index":0,"message":` + message + `,"finish_reason":` + reason + `}],"usage":{"prompt_tokens":30,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":10}}}`
}

func TestWholeAnswer(t *testing.T) {
	call := func(arguments string) string {
		return `{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"Read","arguments":` + arguments + `}}]}`
	}
	for _, tt := range []struct {
		name, answer  string
		content       string // as it must be, JSON
		stop          string
		input, output int
		class         providers.Class // of the failure when there is no content
	}{
		{name: "text", answer: choice(`{"role":"assistant","content":"Hi \"you\" \u00e9"}`, `"stop"`), content: `[{"type":"text","text":"Hi \"you\" é"}]`, stop: "end_turn", input: 20, output: 4},
		{name: "parts", answer: choice(`{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}`, `"stop"`), content: `[{"type":"text","text":"ab"}]`, stop: "end_turn", input: 20, output: 4},
		{name: "no content", answer: choice(`{"content":null}`, `"stop"`), content: `[]`, stop: "end_turn", input: 20, output: 4},
		{name: "empty content", answer: choice(`{"content":""}`, `"stop"`), content: `[]`, stop: "end_turn", input: 20, output: 4},
		{name: "refusal", answer: choice(`{"content":null,"refusal":"No."}`, `"stop"`), content: `[{"type":"text","text":"No."}]`, stop: "refusal", input: 20, output: 4},
		{name: "filtered", answer: choice(`{"content":"On"}`, `"content_filter"`), content: `[{"type":"text","text":"On"}]`, stop: "refusal", input: 20, output: 4},
		{name: "reasoning_content", answer: choice(`{"content":"42","reasoning_content":"hm"}`, `"stop"`), content: `[{"type":"thinking","thinking":"hm","signature":""},{"type":"text","text":"42"}]`, stop: "end_turn", input: 20, output: 4},
		{name: "reasoning", answer: choice(`{"reasoning":"hm","content":"42"}`, `"stop"`), content: `[{"type":"thinking","thinking":"hm","signature":""},{"type":"text","text":"42"}]`, stop: "end_turn", input: 20, output: 4},
		{name: "call", answer: choice(call(`"{\"n\":12345678901234567890,\"f\":1.0}"`), `"tool_calls"`), content: `[{"type":"tool_use","id":"call_1","name":"Read","input":{"n":12345678901234567890,"f":1.0}}]`, stop: "tool_use", input: 20, output: 4},
		{name: "call, stop", answer: choice(call(`"{}"`), `"stop"`), content: `[{"type":"tool_use","id":"call_1","name":"Read","input":{}}]`, stop: "tool_use", input: 20, output: 4},
		{name: "call, null", answer: choice(call(`"{}"`), `null`), content: `[{"type":"tool_use","id":"call_1","name":"Read","input":{}}]`, stop: "tool_use", input: 20, output: 4},
		{name: "arguments empty", answer: choice(call(`""`), `"tool_calls"`), content: `[{"type":"tool_use","id":"call_1","name":"Read","input":{}}]`, stop: "tool_use", input: 20, output: 4},
		{name: "arguments null", answer: choice(call(`null`), `"tool_calls"`), content: `[{"type":"tool_use","id":"call_1","name":"Read","input":{}}]`, stop: "tool_use", input: 20, output: 4},
		{name: "arguments the word null", answer: choice(call(`"null"`), `"tool_calls"`), content: `[{"type":"tool_use","id":"call_1","name":"Read","input":{}}]`, stop: "tool_use", input: 20, output: 4},
		{name: "arguments an object", answer: choice(call(`{"a" : [1, "x y"]}`), `"tool_calls"`), content: `[{"type":"tool_use","id":"call_1","name":"Read","input":{"a":[1,"x y"]}}]`, stop: "tool_use", input: 20, output: 4},
		{name: "arguments cut", answer: choice(call(`"{\"a\":\"b"`), `"length"`), content: `[{"type":"tool_use","id":"call_1","name":"Read","input":{}}]`, stop: "max_tokens", input: 20, output: 4},
		{name: "arguments broken", answer: choice(call(`"{\"a\":}"`), `"tool_calls"`), class: providers.ClassBadResponse},
		{name: "arguments an array", answer: choice(call(`"[1]"`), `"tool_calls"`), class: providers.ClassBadResponse},
		{name: "arguments a text", answer: choice(call(`"\"x\""`), `"tool_calls"`), class: providers.ClassBadResponse},
		{name: "call without a name", answer: choice(`{"tool_calls":[{"id":"c","function":{"arguments":"{}"}}]}`, `"tool_calls"`), class: providers.ClassBadResponse},
		{name: "legacy", answer: choice(`{"function_call":{"name":"Read","arguments":"{}"}}`, `"function_call"`), content: `[{"type":"tool_use","id":"toolu_fresh2","name":"Read","input":{}}]`, stop: "tool_use", input: 20, output: 4},
		{name: "reason without calls", answer: choice(`{"content":"x"}`, `"tool_calls"`), content: `[{"type":"text","text":"x"}]`, stop: "end_turn", input: 20, output: 4},
		{name: "no usage", answer: `{"choices":[{"message":{"content":"x"},"finish_reason":"length"}]}`, content: `[{"type":"text","text":"x"}]`, stop: "max_tokens"},
		{name: "negative usage", answer: `{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":-1,"prompt_cache_hit_tokens":9}}`, content: `[{"type":"text","text":"x"}]`, stop: "end_turn"},
		{name: "no choice", answer: `{"id":"x","choices":[]}`, class: providers.ClassBadResponse},
		{name: "no choices", answer: `{"id":"x"}`, class: providers.ClassBadResponse},
		{name: "not JSON", answer: `oops`, class: providers.ClassBadResponse},
		{name: "empty", answer: ``, class: providers.ClassBadResponse},
		{name: "cut", answer: `{"choices":[{"mess`, class: providers.ClassBroken},
		{name: "error", answer: `{"error":{"message":"overloaded","code":529}}`, class: providers.ClassOverloaded},
		{name: "error as a text", answer: `{"error":"model failed"}`, class: providers.ClassServer},
		{name: "error in an array", answer: `[{"error":{"code":429,"message":"quota","status":"RESOURCE_EXHAUSTED"}}]`, class: providers.ClassRateLimited},
		{name: "error in the choice", answer: `{"choices":[{"message":{"content":""},"finish_reason":"error","error":{"code":502,"message":"x"}}]}`, class: providers.ClassServer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := serve(t, answers(200, jsonType, tt.answer))
			_, got := send(t, p, newRequest(t, smallBody, "gpt-4o"))
			_, streamed := send(t, p, newRequest(t, streamBody, "gpt-4o"))
			if tt.content == "" {
				wantError(t, got.err, tt.class)
				wantError(t, streamed.err, tt.class)
				return
			}
			if got.err != nil || streamed.err != nil {
				t.Fatal(got.err, streamed.err)
			}
			var m struct {
				Content    json.RawMessage
				StopReason string `json:"stop_reason"`
				Usage      struct {
					Input     int `json:"input_tokens"`
					Output    int `json:"output_tokens"`
					CacheRead int `json:"cache_read_input_tokens"`
				}
			}
			if err := json.Unmarshal([]byte(settled(got.bytes)), &m); err != nil {
				t.Fatalf("%v in %s", err, got.bytes)
			}
			if encode(decode(t, string(m.Content))) != encode(decode(t, tt.content)) || m.StopReason != tt.stop {
				t.Errorf("content %s, %s; want %s, %s", m.Content, m.StopReason, tt.content, tt.stop)
			}
			if m.Usage.Input != tt.input || m.Usage.Output != tt.output || int(got.usage.Input) != tt.input || m.Usage.CacheRead < 0 {
				t.Errorf("usage %+v, frame %+v; want %d and %d", m.Usage, got.usage, tt.input, tt.output)
			}
			if _, err := grammar.CheckWhole([]byte(got.bytes)); err != nil {
				t.Error(err)
			}
			// The same answer to one who asked for a stream.
			if s := checkGrammar(t, streamed); s.StopReason != tt.stop || s.Usage.Input != tt.input {
				t.Errorf("as a stream: %+v", s)
			}
		})
	}
}

func TestStreamOverHTTP(t *testing.T) {
	sent := wire(readArchive(t, "tools.txtar").sections[upstreamSection])
	want := readArchive(t, "tools.txtar").sections[clientSection]
	for _, packed := range []bool{false, true} {
		var mu sync.Mutex
		addresses := map[string]int{}
		p := serve(t, func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			addresses[r.RemoteAddr]++
			mu.Unlock()
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("X-Request-Id", "req-1")
			w.Header().Set("Set-Cookie", "a=b")
			out := io.Writer(w)
			if packed {
				w.Header().Set("Content-Encoding", "gzip")
				z := gzip.NewWriter(w)
				defer z.Close()
				out = z
			}
			for _, e := range strings.SplitAfter(sent, "\n\n") {
				io.WriteString(out, e)
				w.(http.Flusher).Flush()
			}
		})
		for range 3 {
			s, got := send(t, p, newRequest(t, streamBody, "gpt-4o"))
			if told(got) != want {
				t.Fatalf("packed %v: got\n%s", packed, told(got))
			}
			h := s.Header
			if h.Get("Content-Type") != "text/event-stream; charset=utf-8" || h.Get("X-Request-Id") != "req-1" || h.Get("Set-Cookie") != "" || h.Get("Content-Encoding") != "" {
				t.Errorf("header %v", h)
			}
		}
		if len(addresses) != 1 {
			t.Errorf("packed %v: three streams took %d connections", packed, len(addresses))
		}
	}
}

func TestFramesSayWhatTheyHold(t *testing.T) {
	call := func(piece string) string {
		return chunkOf(`{"tool_calls":[{"index":0,"id":"c","function":{"name":"A","arguments":` + piece + `}}]}`)
	}
	sent := reads{
		chunkOf(`{"role":"assistant","content":""}`), chunkOf(`{"reasoning_content":"hm"}`), chunkOf(`{"content":"Hi"}`), ": nothing\n\n",
		call(`"{\"a\""`), ": nothing\n\n", call(`":1}"`), finishOf("tool_calls"), `data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}` + "\n\n", done,
	}
	type frame struct {
		kind                      providers.Kind
		generating, hidden, quiet bool
		text                      int
		usage                     bool
	}
	const p, c, e = providers.Preamble, providers.Content, providers.End
	want := []frame{
		{p, false, false, false, 0, false}, {c, true, false, true, 2, false}, {c, true, false, false, 2, false}, {p, true, false, false, 0, false},
		{c, true, false, true, 6, false}, {p, true, true, true, 0, false}, {c, true, false, true, 3, false}, {p, true, true, true, 0, false}, {e, false, false, false, 0, true},
	}
	got := readStream(t, &sent)
	if got.err != nil || len(got.frames) != len(want) {
		t.Fatalf("%d frames, %v; want %d", len(got.frames), got.err, len(want))
	}
	for i, f := range got.frames {
		if have := (frame{f.Kind, f.Generating, f.Hidden, f.Quiet, f.Text, f.Usage != nil}); have != want[i] {
			t.Errorf("frame %d: %+v, want %+v", i, have, want[i])
		}
	}
}

func TestErrorStatus(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		status     int
		class      providers.Class
		typ, want  string
		wantStatus int // 0 = the same
	}{
		{"OpenAI", `{"error":{"message":"Rate limit reached","type":"tokens","param":null,"code":"rate_limit_exceeded"}}`, 429, providers.ClassRateLimited, "rate_limit_error", "Rate limit reached", 0},
		{"Ollama", `{"error":"model \"x\" not found"}`, 404, providers.ClassInvalid, "not_found_error", `model "x" not found`, 0},
		{"Gemini", `[{"error":{"code":400,"message":"bad field","status":"INVALID_ARGUMENT"}}]`, 400, providers.ClassInvalid, "invalid_request_error", "bad field", 0},
		{"vLLM", `{"object":"error","message":"no such role","type":"BadRequestError","code":400}`, 400, providers.ClassInvalid, "invalid_request_error", "no such role", 0},
		{"FastAPI", `{"detail":[{"type":"x","loc":["body","messages",0,"role"],"msg":"Input should be 'user'"}]}`, 422, providers.ClassInvalid, "invalid_request_error", "body.messages.0.role: Input should be 'user'", 0},
		{"FastAPI, a text", `{"detail":"Not Found"}`, 404, providers.ClassInvalid, "not_found_error", "Not Found", 0},
		{"OpenRouter", `{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"{\"e\":\"deep\"}","provider_name":"X"}}}`, 400, providers.ClassInvalid, "invalid_request_error", `Provider returned error: {"e":"deep"}`, 0},
		{"HTML", `<html><h1>502 Bad Gateway</h1></html>`, 502, providers.ClassServer, "api_error", "upstream answered 502", 0},
		{"empty", ``, 503, providers.ClassOverloaded, "overloaded_error", "upstream answered 503", 0},
		{"no balance", `{"error":{"message":"Insufficient Balance"}}`, 402, providers.ClassCredential, "billing_error", "Insufficient Balance", 0},
		{"key", `{"error":{"message":"Incorrect API key provided: ` + testKey + `.","code":"invalid_api_key"}}`, 401, providers.ClassCredential, "authentication_error", "Incorrect API key provided: ••••••.", 0},
		{"forbidden", `{"error":{"message":"no"}}`, 403, providers.ClassCredential, "permission_error", "no", 0},
		{"too large", `{"message":"Request too large"}`, 413, providers.ClassInvalid, "request_too_large", "Request too large", 0},
		{"context, OpenAI", `{"error":{"message":"This model's maximum context length is 8192 tokens. However, your messages resulted in 10023 tokens. Please reduce the length of the messages.","code":"context_length_exceeded"}}`, 400, providers.ClassInvalid, "invalid_request_error", "prompt is too long: 10023 tokens > 8192 maximum", 0},
		{"context, vLLM", `{"object":"error","message":"This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4990 in the messages, 10 in the completion).","code":400}`, 400, providers.ClassInvalid, "invalid_request_error", "prompt is too long: 5000 tokens > 4096 maximum", 0},
		{"context, newer vLLM", `{"error":{"message":"This model's maximum context length is 4096 tokens. However, your request has 5000 input tokens."}}`, 400, providers.ClassInvalid, "invalid_request_error", "prompt is too long: 5000 tokens > 4096 maximum", 0},
		{"context, vLLM of 2026", `{"error":{"message":"You passed 40001 input tokens and requested 0 output tokens. However, the model's context length is only 40000 tokens, resulting in a maximum input length of 40000 tokens. Please reduce the length of the input prompt.","code":400}}`, 400, providers.ClassInvalid, "invalid_request_error", "prompt is too long: 40001 tokens > 40000 maximum", 0},
		{"context, on several lines", `{"error":{"message":"This model's maximum context length is 8192 tokens.\nHowever, your messages resulted in 10023 tokens."}}`, 400, providers.ClassInvalid, "invalid_request_error", "prompt is too long: 10023 tokens > 8192 maximum", 0},
		{"context, OpenRouter", `{"error":{"message":"This endpoint's maximum context length is 131072 tokens. However, you requested about 140000 tokens (138000 of text input, 2000 in the output)."}}`, 400, providers.ClassInvalid, "invalid_request_error", "prompt is too long: 140000 tokens > 131072 maximum", 0},
		{"context, Anthropic behind a gateway", `{"error":{"message":"prompt is too long: 210000 tokens > 200000 maximum"}}`, 400, providers.ClassInvalid, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum", 0},
		{"context, Gemini", `[{"error":{"code":400,"message":"The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."}}]`, 400, providers.ClassInvalid, "invalid_request_error", "prompt is too long: 1200000 tokens > 1048576 maximum", 0},
		{"context, Mistral", `{"object":"error","message":"Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length","code":"3051"}`, 400, providers.ClassInvalid, "invalid_request_error", "prompt is too long: 40000 tokens > 32768 maximum", 0},
		{"context, llama.cpp", `{"error":{"code":400,"message":"the request exceeds the available context size, try increasing it","type":"exceed_context_size_error","n_prompt_tokens":5000,"n_ctx":4096}}`, 400, providers.ClassInvalid, "invalid_request_error", "prompt is too long: 5000 tokens > 4096 maximum", 0},
		{"context, llama-cpp-python", `{"error":{"message":"Requested tokens (600) exceed context window of 512","type":"internal_server_error","code":null}}`, 500, providers.ClassInvalid, "invalid_request_error", "prompt is too long: 600 tokens > 512 maximum", 400},
		{"context, Together", `{"error":{"message":"Input validation error: inputs tokens + max_new_tokens must be <= 4097. Given: 4000 inputs tokens and 1000 max_new_tokens"}}`, 422, providers.ClassInvalid, "invalid_request_error", "Input validation error: inputs tokens + max_new_tokens must be <= 4097. Given: 4000 inputs tokens and 1000 max_new_tokens", 0},
		{"context, Groq", `{"error":{"message":"Please reduce the length of the messages or completion.","type":"invalid_request_error","code":"context_length_exceeded"}}`, 400, providers.ClassInvalid, "invalid_request_error", "prompt is too long: Please reduce the length of the messages or completion.", 0},
		{"context, Bedrock behind a gateway", `{"error":{"message":"Input is too long for requested model."}}`, 413, providers.ClassInvalid, "invalid_request_error", "prompt is too long: Input is too long for requested model.", 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Retry-After", "7")
				w.Header().Set("X-Request-Id", "req-1")
				w.Header().Set("X-Echo", testKey)
				answers(tt.status, jsonType, tt.body)(w, r)
			})
			_, got := send(t, p, newRequest(t, streamBody, "gpt-4o"))
			e := wantError(t, got.err, tt.class)
			status := tt.status
			if tt.wantStatus != 0 {
				status = tt.wantStatus
			}
			if e.Status != status || e.RetryAfter != 7*time.Second || e.Header.Get("X-Request-Id") != "req-1" || e.Header.Get("Content-Type") != jsonType {
				t.Errorf("status %d, retry after %v, header %v", e.Status, e.RetryAfter, e.Header)
			}
			var body struct {
				Type  string
				Error struct{ Type, Message string }
			}
			if err := json.Unmarshal(e.Body, &body); err != nil || body.Type != "error" || body.Error.Type != tt.typ || body.Error.Message != tt.want {
				t.Errorf("body %s, %v; want %s: %s", e.Body, err, tt.typ, tt.want)
			}
			if text := fmt.Sprint(e, e.Header, string(e.Body)); strings.Contains(text, testKey) {
				t.Errorf("the key is in %s", text)
			}
		})
	}
}

func TestAnswerThatIsNone(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"HTML":    answers(200, "text/html", "<html>Sign in</html>"),
		"no type": answers(200, "", "data: x\n\n"),
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://login.example/secret?x=1", http.StatusTemporaryRedirect)
		},
		"strange coding": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "br")
			answers(200, jsonType, "x")(w, r)
		},
	} {
		_, got := send(t, serve(t, h), newRequest(t, streamBody, "gpt-4o"))
		if e := wantError(t, got.err, providers.ClassBadResponse); strings.Contains(e.Error(), "secret") {
			t.Errorf("%s: %v", name, e)
		}
	}
	_, got := send(t, serve(t, answers(200, jsonType, choice(`{"content":"x"}`, `"stop"`))), newRequest(t, smallBody, "gpt-4o"))
	if got.err != nil {
		t.Error(got.err)
	}
	// A stream to one who asked for none.
	_, got = send(t, serve(t, answers(200, "text/event-stream", chunkOf(`{"content":"x"}`))), newRequest(t, smallBody, "gpt-4o"))
	wantError(t, got.err, providers.ClassBadResponse)
}

func TestErrorInAStreamKeepsWhatCameBefore(t *testing.T) {
	sent := chunkOf(`{"content":"Once"}`) + `data: {"error":{"message":"quota of ` + testKey + `","code":"insufficient_quota"}}` + "\n\n" + chunkOf(`{"content":"never"}`)
	_, got := send(t, serve(t, answers(200, "text/event-stream", sent)), newRequest(t, streamBody, "gpt-4o"))
	e := wantError(t, got.err, providers.ClassRateLimited)
	if m := checkGrammar(t, got); m.Text() != "Once" {
		t.Errorf("told %q", m.Text())
	}
	if !strings.Contains(string(e.Body), "quota of ••••••") {
		t.Errorf("body %s", e.Body)
	}
	// Before content it is a failure that another upstream can heal.
	_, got = send(t, serve(t, answers(200, "text/event-stream", `data: {"error":{"message":"busy","code":"overloaded"}}`+"\n\n")), newRequest(t, streamBody, "gpt-4o"))
	if wantError(t, got.err, providers.ClassOverloaded); got.bytes != "" {
		t.Errorf("told %q", got.bytes)
	}
}

// A hang or a reset behind the finish_reason takes nothing from the answer.
func TestEndThatIsNotToldIsAnEnd(t *testing.T) {
	p := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, chunkOf(`{"content":"x"}`)+finishOf("stop"))
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	_, got := send(t, p, newRequest(t, streamBody, "gpt-4o"))
	if got.err != nil || checkGrammar(t, got).StopReason != "end_turn" {
		t.Errorf("%v", got.err)
	}
}

func TestAttemptThatIsCancelled(t *testing.T) {
	arrived := make(chan struct{})
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, chunkOf(`{"content":"x"}`))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		close(arrived)
	}))
	t.Cleanup(up.Close)
	p := newProvider(t, config.Provider{Endpoint: up.URL})
	ctx, cancel := contextWithCause(t)
	s, err := p.Send(ctx, newRequest(t, streamBody, "gpt-4o"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Next(); err != nil {
		t.Fatal(err)
	}
	cancel(providers.ErrTimeout)
	got := read(s)
	wantError(t, got.err, providers.ClassTimeout)
	<-arrived
}
