package simulator

import (
	"bytes"
	"encoding/json"
	"iter"
)

// The shapes of the Messages API, fields in its order.
type (
	messageBody struct {
		Model        string    `json:"model"`
		ID           string    `json:"id"`
		Type         string    `json:"type"`
		Role         string    `json:"role"`
		Content      []any     `json:"content"`
		StopReason   *string   `json:"stop_reason"`
		StopSequence *string   `json:"stop_sequence"`
		Usage        usageBody `json:"usage"`
	}
	usageBody struct {
		Input       int    `json:"input_tokens"`
		CacheWrite  int    `json:"cache_creation_input_tokens"`
		CacheRead   int    `json:"cache_read_input_tokens"`
		Output      int    `json:"output_tokens"`
		ServiceTier string `json:"service_tier,omitempty"`
		// Creation is there where something is kept for an hour.
		Creation *creationBody `json:"cache_creation,omitempty"`
	}
	creationBody struct {
		Minutes int `json:"ephemeral_5m_input_tokens"`
		Hour    int `json:"ephemeral_1h_input_tokens"`
	}
	textBody struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	thinkingBody struct {
		Type      string `json:"type"`
		Thinking  string `json:"thinking"`
		Signature string `json:"signature"`
	}
	toolBody struct {
		Type  string          `json:"type"`
		ID    string          `json:"id"`
		Name  string          `json:"name"`
		Input json.RawMessage `json:"input"`
	}
	errorBody struct {
		Type    string `json:"type"`
		Message string `json:"message"`
	}
	apiError struct {
		Type      string    `json:"type"`
		Error     errorBody `json:"error"`
		RequestID string    `json:"request_id,omitempty"`
	}

	startEvent struct {
		Type    string      `json:"type"`
		Message messageBody `json:"message"`
	}
	blockStartEvent struct {
		Type  string `json:"type"`
		Index int    `json:"index"`
		Block any    `json:"content_block"`
	}
	deltaEvent struct {
		Type  string    `json:"type"`
		Index int       `json:"index"`
		Delta deltaBody `json:"delta"`
	}
	deltaBody struct {
		Type        string  `json:"type"`
		Text        *string `json:"text,omitempty"`
		Thinking    *string `json:"thinking,omitempty"`
		Signature   *string `json:"signature,omitempty"`
		PartialJSON *string `json:"partial_json,omitempty"`
	}
	blockStopEvent struct {
		Type  string `json:"type"`
		Index int    `json:"index"`
	}
	finishEvent struct {
		Type  string     `json:"type"`
		Delta finishBody `json:"delta"`
		Usage usageBody  `json:"usage"`
	}
	finishBody struct {
		StopReason   string  `json:"stop_reason"`
		StopSequence *string `json:"stop_sequence"`
	}
	bareEvent struct {
		Type string `json:"type"`
	}
)

// message is an Answer on its way into the Anthropic format.
type message struct {
	answer *Answer
	start  messageBody // as message_start has it
	blocks []any       // whole, as a non-stream answer has them
}

func newMessage(a *Answer, model string, requestBytes int) *message {
	u := a.Usage
	if u.Input == 0 {
		u.Input = requestBytes / tokenBytes
	}
	m := &message{answer: a, start: messageBody{
		Model: model, ID: newID("msg_"), Type: "message", Role: "assistant", Content: []any{},
		Usage: usageBody{Input: u.Input, CacheWrite: u.CacheWrite, CacheRead: u.CacheRead, Output: 1, ServiceTier: "standard", Creation: creation(u)},
	}}
	for i := range a.Blocks {
		m.blocks = append(m.blocks, wholeBlock(&a.Blocks[i]))
	}
	return m
}

func wholeBlock(b *Block) any {
	switch b.Kind {
	case ThinkingBlock:
		t := thinkingBody{"thinking", b.Text, b.Signature()}
		if b.Hidden {
			t.Thinking = ""
		}
		return t
	case ToolBlock:
		id := b.ID
		if id == "" {
			id = newID("toolu_")
		}
		return toolBody{"tool_use", id, b.Name, b.rawInput()}
	default:
		return textBody{"text", b.Text}
	}
}

// whole is the answer to a request that does not stream, due when its last
// token is there, and its length.
func (m *message) whole() (iter.Seq2[Step, []byte], int) {
	stop := m.answer.stopReason()
	full := m.start
	full.Content = append([]any{}, m.blocks...)
	full.StopReason = &stop
	full.Usage.Output = m.answer.output()
	body := encode(full)
	due := m.answer.due(float64(m.answer.Tokens()))
	return func(yield func(Step, []byte) bool) { yield(Step{Kind: StepStop, At: due}, body) }, len(body)
}

// stream is the answer as server-sent events.
func (m *message) stream() iter.Seq2[Step, []byte] {
	return func(yield func(Step, []byte) bool) {
		for s := range m.answer.Steps() {
			if !yield(s, sse(m.event(s))) {
				return
			}
		}
	}
}

// event is the name and the data of the event that a step is.
func (m *message) event(s Step) (name string, data any) {
	switch s.Kind {
	case StepStart:
		return "message_start", startEvent{"message_start", m.start}
	case StepPing:
		return "ping", bareEvent{"ping"}
	case StepBlockStart:
		return "content_block_start", blockStartEvent{"content_block_start", s.Block, emptied(m.blocks[s.Block])}
	case StepBlockStop:
		return "content_block_stop", blockStopEvent{"content_block_stop", s.Block}
	case StepFinish:
		u := m.start.Usage
		u.Output, u.ServiceTier = m.answer.output(), ""
		return "message_delta", finishEvent{"message_delta", finishBody{StopReason: m.answer.stopReason()}, u}
	case StepStop:
		return "message_stop", bareEvent{"message_stop"}
	default:
		return "content_block_delta", deltaEvent{"content_block_delta", s.Block, deltaOf(s)}
	}
}

// emptied is a block as its start shows it.
func emptied(block any) any {
	switch b := block.(type) {
	case thinkingBody:
		return thinkingBody{Type: b.Type}
	case toolBody:
		b.Input = json.RawMessage("{}")
		return b
	default:
		return textBody{Type: "text"}
	}
}

func deltaOf(s Step) deltaBody {
	switch s.Kind {
	case StepThinking:
		return deltaBody{Type: "thinking_delta", Thinking: &s.Text}
	case StepSignature:
		return deltaBody{Type: "signature_delta", Signature: &s.Text}
	case StepInput:
		return deltaBody{Type: "input_json_delta", PartialJSON: &s.Text}
	default:
		return deltaBody{Type: "text_delta", Text: &s.Text}
	}
}

func errorEvent(r Reply) []byte {
	return sse("error", apiError{Type: "error", Error: errorBody{errorType(r.Status), r.Message}})
}

// errorTypes is the API's page "Errors".
var errorTypes = map[int]string{
	400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
	404: "not_found_error", 405: "invalid_request_error", 413: "request_too_large", 429: "rate_limit_error",
	504: "timeout_error", 529: "overloaded_error",
}

func errorType(status int) string {
	if t, ok := errorTypes[status]; ok {
		return t
	}
	return "api_error"
}

func sse(name string, v any) []byte {
	data := encode(v)
	event := make([]byte, 0, len("event: \ndata: \n\n")+len(name)+len(data))
	event = append(append(event, "event: "...), name...)
	event = append(append(event, "\ndata: "...), data...)
	return append(event, "\n\n"...)
}

// encode is JSON as the API writes it: on one line, with < > & as they are.
// What it is given can always be encoded.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("simulator: encode answer: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// creation tells for how long what was written to a cache is kept, nil for the usual time.
func creation(u Usage) *creationBody {
	if u.CacheWrite1h == 0 {
		return nil
	}
	return &creationBody{u.CacheWrite - u.CacheWrite1h, u.CacheWrite1h}
}
