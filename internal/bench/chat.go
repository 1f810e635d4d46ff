package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// A conversion takes two plans: chat-NAME is what the upstream sees and says, in
// the OpenAI format, and what the bare ReverseProxy is asked for; convert-NAME is
// the same exchange as a client of the Messages API sees it. Each has a provider
// of its own in the configuration: nothing but the path tells the upstream which
// exchange is asked for.
const (
	chatPrefix    = "chat-"
	convertPrefix = "convert-"
	chatModel     = "gpt-4o-2024-08-06"
)

// converted are the names and sizes of the plans that come in both formats.
var converted = []struct {
	name   string
	events int // 0 = no stream
	pace   time.Duration
}{
	{"small", 0, 0}, {"paced", paced, pace}, {"burst40", 40, 0}, {"burst400", 400, 0},
}

// wild stands, in an answer, for any one byte: ids are made at random.
const wild = 0xff

var wildID = "msg_01" + strings.Repeat(string([]byte{wild}), 22)

// chatPlans are the plans of conversions.
func chatPlans(quick bool) (out []*plan) {
	for _, c := range converted {
		if quick && c.pace > 0 {
			c.events = 10
		}
		out = append(out, chat(c.name, c.events, c.pace)...)
	}
	return out
}

// chat plans both sides of an exchange.
func chat(name string, events int, pace time.Duration) []*plan {
	model := "claude-" + chatPrefix + name
	p := &plan{name: chatPrefix + name, stream: events > 0, request: chatBody(events > 0)}
	q := &plan{name: convertPrefix + name, stream: events > 0, request: requestBody(2<<10, model, events > 0)}
	if events > 0 {
		chatStream(p, q, events, pace)
	} else {
		chatWhole(p, q)
	}
	return []*plan{p, q}
}

// chatHeader is of the size that OpenAI's own has.
const chatHeader = "HTTP/1.1 200 OK\r\n" +
	"Date: Mon, 06 Oct 2025 10:00:00 GMT\r\nAccess-Control-Expose-Headers: X-Request-ID\r\nOpenai-Organization: org-0123456789\r\n" +
	"Openai-Processing-Ms: 345\r\nOpenai-Project: proj_0123456789\r\nOpenai-Version: 2020-10-01\r\nX-Envoy-Upstream-Service-Time: 360\r\n" +
	"X-Ratelimit-Limit-Requests: 10000\r\nX-Ratelimit-Limit-Tokens: 30000000\r\nX-Ratelimit-Remaining-Requests: 9999\r\n" +
	"X-Ratelimit-Remaining-Tokens: 29999000\r\nX-Ratelimit-Reset-Requests: 6ms\r\nX-Ratelimit-Reset-Tokens: 2ms\r\n" +
	"X-Request-Id: req_0123456789abcdef\r\nCf-Cache-Status: DYNAMIC\r\nServer: cloudflare\r\nX-Content-Type-Options: nosniff\r\n"

const (
	chatUsage      = `"usage":{"prompt_tokens":540,"completion_tokens":450,"total_tokens":990,"prompt_tokens_details":{"cached_tokens":40,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0}}`
	convertedUsage = `"usage":{"input_tokens":500,"cache_creation_input_tokens":0,"cache_read_input_tokens":40,"output_tokens":450}`
	emptyUsage     = `"usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}`
)

func chatWhole(p, q *plan) {
	text := encodeJSON("answer " + mark + " " + prose(1800))
	p.answer = fmt.Appendf(nil, `{"id":"chatcmpl-%s","object":"chat.completion","created":1760000000,"model":%q,"choices":[{"index":0,`+
		`"message":{"role":"assistant","content":%s,"refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],%s,`+
		`"service_tier":"default","system_fingerprint":"fp_0123456789"}`, mark, chatModel, text, chatUsage)
	q.answer = fmt.Appendf(nil, `{"id":"%s","type":"message","role":"assistant","model":%q,"content":[{"type":"text","text":%s}],`+
		`"stop_reason":"end_turn","stop_sequence":null,%s}`, wildID, chatModel, text, convertedUsage)
	p.first, q.first = len(p.answer), len(q.answer)
	p.segments = []segment{{wire: fmt.Appendf(nil, "%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", chatHeader, len(p.answer), p.answer)}}
}

func chatStream(p, q *plan, n int, pace time.Duration) {
	next := segment{wire: []byte(chatHeader + "Content-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n")}
	chunk := func(data string) {
		e := "data: " + data + "\n\n"
		p.answer = append(p.answer, e...)
		next.wire = fmt.Appendf(next.wire, "%x\r\n%s\r\n", len(e), e)
	}
	delta := func(delta, finish string) {
		chunk(fmt.Sprintf(`{"id":"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT","object":"chat.completion.chunk","created":1760000000,"model":%q,"service_tier":"default","system_fingerprint":"fp_0123456789",`+
			`"choices":[{"index":0,"delta":%s,"logprobs":null,"finish_reason":%s}],"usage":null}`, chatModel, delta, finish))
	}
	event := func(name, data string) {
		q.answer = fmt.Appendf(q.answer, "event: %s\ndata: %s\n\n", name, data)
		q.events++
	}
	delta(`{"role":"assistant","content":"","refusal":null}`, "null")
	event("message_start", fmt.Sprintf(`{"type":"message_start","message":{"id":"%s","type":"message","role":"assistant","model":%q,"content":[],"stop_reason":null,"stop_sequence":null,%s}}`, wildID, chatModel, emptyUsage))
	event("content_block_start", `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`)
	words := bytes.SplitAfter([]byte(prose(n*12)), []byte(" "))
	for i := range n {
		if pace > 0 && i > 0 { // the mark is in the first segment
			p.segments = append(p.segments, next)
			next = segment{at: time.Duration(i) * pace}
		}
		text := string(words[2*i%len(words)]) + string(words[(2*i+1)%len(words)])
		if i == 0 {
			text = "answer " + mark
		}
		piece := encodeJSON(text)
		delta(`{"content":`+string(piece)+`}`, "null")
		event("content_block_delta", `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":`+string(piece)+`}}`)
		if i == 0 {
			p.first, q.first = len(p.answer), len(q.answer)
		}
	}
	delta(`{}`, `"stop"`)
	chunk(fmt.Sprintf(`{"id":"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT","object":"chat.completion.chunk","created":1760000000,"model":%q,"service_tier":"default","system_fingerprint":"fp_0123456789","choices":[],%s}`, chatModel, chatUsage))
	chunk("[DONE]")
	event("content_block_stop", `{"type":"content_block_stop","index":0}`)
	event("message_delta", `{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},`+convertedUsage+`}`)
	event("message_stop", `{"type":"message_stop"}`)
	next.wire = append(next.wire, "0\r\n\r\n"...)
	p.segments = append(p.segments, next)
}

// chatBody is requestBody as a conversion must send it, byte for byte.
func chatBody(stream bool) []byte {
	var in struct {
		System   string
		Metadata struct {
			User string `json:"user_id"`
		}
		Tools []struct {
			Name, Description string
			Schema            json.RawMessage `json:"input_schema"`
		}
		Messages []struct {
			Role    string
			Content json.RawMessage
		}
	}
	if err := json.Unmarshal(requestBody(2<<10, chatModel, stream), &in); err != nil {
		panic(err) // we have made it
	}
	b := fmt.Appendf(nil, `{"model":%q,"messages":[{"role":"system","content":%s}`, chatModel, encodeJSON(in.System))
	for _, m := range in.Messages {
		var blocks []struct {
			ID, Name, Content string
			Answers           string `json:"tool_use_id"`
			Input             json.RawMessage
		}
		switch {
		case json.Unmarshal(m.Content, &blocks) != nil:
			b = fmt.Appendf(b, `,{"role":%q,"content":%s}`, m.Role, m.Content)
		case m.Role == "assistant":
			b = fmt.Appendf(b, `,{"role":"assistant","tool_calls":[{"id":%q,"type":"function","function":{"name":%q,"arguments":%s}}]}`, blocks[0].ID, blocks[0].Name, encodeJSON(string(blocks[0].Input)))
		default:
			b = fmt.Appendf(b, `,{"role":"tool","tool_call_id":%q,"content":%s}`, blocks[0].Answers, encodeJSON(blocks[0].Content))
		}
	}
	user := sha256.Sum256([]byte(in.Metadata.User))
	b = fmt.Appendf(b, `],"tools":[{"type":"function","function":{"name":%q,"description":%q,"parameters":%s}}],"max_tokens":32000,"user":"%s"`,
		in.Tools[0].Name, in.Tools[0].Description, in.Tools[0].Schema, hex.EncodeToString(user[:]))
	if stream {
		b = append(b, `,"stream":true,"stream_options":{"include_usage":true}`...)
	}
	return append(b, '}')
}

// convertingConfig has a provider for each exchange.
func convertingConfig(upstream string) string {
	var providers, models strings.Builder
	for _, c := range converted {
		name := chatPrefix + c.name
		fmt.Fprintf(&providers, "  %s: {type: openai, endpoint: %q, apiKey: bench-chat}\n", name, upstream+"/"+name)
		fmt.Fprintf(&models, "  - {name: %s, alias: claude-%s, provider: %s}\n", chatModel, name, name)
	}
	return "listen: 127.0.0.1:0\nproviders:\n" + providers.String() + "models:\n" + models.String()
}
