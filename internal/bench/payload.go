package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// mark stands in requests and answers where the number of the request is put,
// so that no answer can pass for another one's.
const mark = "00000000"

// A plan is one prepared exchange.
type plan struct {
	name    string
	request []byte // the body, with a mark
	answer  []byte // the body, with a mark
	stream  bool
	events  int // of a stream
	// first is where the first content ends in answer.
	first    int
	segments []segment
}

// A segment is what the upstream writes at once.
type segment struct {
	at   time.Duration // since the request
	wire []byte        // the first one has the response's head and the mark
}

// Sizes and paces of the plans. The quick ones are for smoke tests.
const (
	pace      = 20 * time.Millisecond // 50 events/s, a usual speed of generation
	slowPace  = time.Second
	paced     = 50
	slow      = 12
	slowQuick = 2
)

// plans are the exchanges that the cases are made of, by name.
func plans(quick bool) map[string]*plan {
	pacedEvents, slowEvents := paced, slow
	if quick {
		pacedEvents, slowEvents = 10, slowQuick
	}
	out := map[string]*plan{}
	for _, p := range append(chatPlans(quick), []*plan{
		whole("small", 2<<10, fixedModel),
		whole("body100k", 100<<10, fixedModel),
		whole("body1m", 1<<20, fixedModel),
		whole("anymodel", 2<<10, "claude-bench-"+mark),
		streamed("paced", pacedEvents, pace),
		streamed("slow", slowEvents, slowPace),
		streamed("burst40", 40, 0),
		streamed("burst400", 400, 0),
	}...) {
		out[p.name] = p
	}
	return out
}

const fixedModel = "claude-sonnet-4-5"

// responseHeader is of the size that the API's own has.
const responseHeader = "HTTP/1.1 200 OK\r\n" +
	"Date: Mon, 06 Oct 2025 10:00:00 GMT\r\n" +
	"Anthropic-Ratelimit-Requests-Limit: 4000\r\nAnthropic-Ratelimit-Requests-Remaining: 3999\r\n" +
	"Anthropic-Ratelimit-Requests-Reset: 2025-10-06T10:00:00Z\r\n" +
	"Anthropic-Ratelimit-Input-Tokens-Limit: 2000000\r\nAnthropic-Ratelimit-Input-Tokens-Remaining: 1999000\r\n" +
	"Anthropic-Ratelimit-Input-Tokens-Reset: 2025-10-06T10:00:00Z\r\n" +
	"Anthropic-Ratelimit-Output-Tokens-Limit: 400000\r\nAnthropic-Ratelimit-Output-Tokens-Remaining: 399000\r\n" +
	"Anthropic-Ratelimit-Output-Tokens-Reset: 2025-10-06T10:00:00Z\r\n" +
	"Request-Id: req_011CTqLhbYVbAfpAw3kKVHGm\r\nAnthropic-Organization-Id: 00000000-aaaa-4000-8000-000000000000\r\n" +
	"Via: 1.1 google\r\nCf-Cache-Status: DYNAMIC\r\nX-Robots-Tag: none\r\nServer: cloudflare\r\n"

// limited is what the upstream that has no capacity says.
const limitedBody = `{"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed your account's rate limit. Please try again later."},"request_id":"req_011CTqLhbYVbAfpAw3kKVHGm"}`

var limited = []byte("HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nRetry-After: 30\r\n" +
	"Request-Id: req_011CTqLhbYVbAfpAw3kKVHGm\r\nContent-Length: " + strconv.Itoa(len(limitedBody)) + "\r\n\r\n" + limitedBody)

// whole plans an exchange without a stream: a request of about size bytes and
// an answer of 2 KB.
func whole(name string, size int, model string) *plan {
	text := encodeJSON(prose(1800))
	answer := fmt.Appendf(nil, `{"id":"msg_%s","type":"message","role":"assistant","model":%q,"content":[{"type":"text","text":%s}],`+
		`"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":540,"cache_creation_input_tokens":0,`+
		`"cache_read_input_tokens":0,"output_tokens":450,"service_tier":"standard"}}`, mark, fixedModel, text)
	wire := fmt.Appendf(nil, "%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", responseHeader, len(answer), answer)
	return &plan{name: name, request: requestBody(size, model, false), answer: answer, first: len(answer), segments: []segment{{wire: wire}}}
}

// streamed plans a stream of n text deltas, one each pace. Without a pace all
// of it leaves at once, as chunks of one event.
func streamed(name string, n int, pace time.Duration) *plan {
	p := &plan{name: name, request: requestBody(2<<10, fixedModel, true), stream: true}
	next := segment{wire: []byte(responseHeader + "Content-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n")}
	event := func(name, data string) {
		e := fmt.Appendf(nil, "event: %s\ndata: %s\n\n", name, data)
		p.answer = append(p.answer, e...)
		next.wire = fmt.Appendf(next.wire, "%x\r\n%s\r\n", len(e), e)
		p.events++
	}
	event("message_start", fmt.Sprintf(`{"type":"message_start","message":{"id":"msg_%s","type":"message","role":"assistant","model":%q,"content":[],`+
		`"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":540,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1,"service_tier":"standard"}}}`, mark, fixedModel))
	event("content_block_start", `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`)
	event("ping", `{"type": "ping"}`)
	words := bytes.SplitAfter([]byte(prose(n*12)), []byte(" "))
	for i := range n {
		if pace > 0 {
			p.segments = append(p.segments, next)
			next = segment{at: time.Duration(i+1) * pace}
		}
		piece := bytes.Join([][]byte{words[2*i%len(words)], words[(2*i+1)%len(words)]}, nil)
		event("content_block_delta", fmt.Sprintf(`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":%s}   }`, encodeJSON(string(piece))))
		if i == 0 {
			p.first = len(p.answer)
		}
	}
	event("content_block_stop", `{"type":"content_block_stop","index":0}`)
	event("message_delta", fmt.Sprintf(`{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":%d}}`, 3*n))
	event("message_stop", `{"type":"message_stop"}`)
	next.wire = append(next.wire, "0\r\n\r\n"...)
	p.segments = append(p.segments, next)
	return p
}

// requestBody is a conversation as a coding client sends it, of about size bytes.
func requestBody(size int, model string, stream bool) []byte {
	type message struct {
		Role    string `json:"role"`
		Content any    `json:"content"`
	}
	messages := []message{{"user", "request " + mark}}
	for n := 0; n < size-900; {
		text := prose(min(3<<10, size-900-n))
		n += len(text) + 150
		messages = append(messages,
			message{"assistant", []map[string]any{{"type": "tool_use", "id": "toolu_01A", "name": "Read", "input": map[string]string{"file_path": "/src/main.go"}}}},
			message{"user", []map[string]any{{"type": "tool_result", "tool_use_id": "toolu_01A", "content": text}}})
	}
	body := struct {
		Model     string         `json:"model"`
		MaxTokens int            `json:"max_tokens"`
		Stream    bool           `json:"stream,omitempty"`
		System    string         `json:"system"`
		Tools     []any          `json:"tools"`
		Metadata  map[string]any `json:"metadata"`
		Messages  []message      `json:"messages"`
	}{model, 32000, stream, prose(120), []any{map[string]any{"name": "Read", "description": "Reads a file.",
		"input_schema": map[string]any{"type": "object", "properties": map[string]any{"file_path": map[string]string{"type": "string"}}}}},
		map[string]any{"user_id": `{"device_id":"d1","session_id":"4be6f2a4-77a5-4bd2-8f38-1d52a2b8c0de"}`}, messages}
	b, _ := json.Marshal(body) // strings and numbers always marshal
	return b
}

// prose is n bytes of text with line ends and quotes, as code has them.
func prose(n int) string {
	const line = "the client \"reads\" each event of\nthe stream and adds its words to what is there, "
	return string(bytes.Repeat([]byte(line), n/len(line)+1)[:n])
}

func encodeJSON(s string) []byte {
	b, _ := json.Marshal(s) // a string always marshals
	return b
}

// marks finds where the marks stand in b.
func marks(b []byte) (at []int) {
	for i := 0; ; {
		j := bytes.Index(b[i:], []byte(mark))
		if j < 0 {
			return at
		}
		at = append(at, i+j)
		i += j + len(mark)
	}
}

// number writes n over the marks.
func number(b []byte, at []int, n uint64) {
	for _, i := range at {
		rest := n
		for j := len(mark) - 1; j >= 0; j-- {
			b[i+j] = byte('0' + rest%10)
			rest /= 10
		}
	}
}

// duration is how long the upstream takes for it.
func (p *plan) duration() time.Duration { return p.segments[len(p.segments)-1].at }
