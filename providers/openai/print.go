package openai

import (
	"strconv"

	"anyproxy/providers"
	"anyproxy/providers/sse"
)

// events prints a message as server-sent events.
type events struct{}

// Texts of the events whose only variable parts are an index and a string. That
// is sound JSON and holds no line end.
const (
	deltaHead     = "event: " + sse.ContentBlockDelta + "\ndata: " + `{"type":"` + sse.ContentBlockDelta + `","index":`
	textDelta     = `,"delta":{"type":"text_delta","text":"`
	thinkingDelta = `,"delta":{"type":"thinking_delta","thinking":"`
	inputDelta    = `,"delta":{"type":"input_json_delta","partial_json":"`
	deltaTail     = `"}}` + "\n\n"

	startHead = "event: " + sse.ContentBlockStart + "\ndata: " + `{"type":"` + sse.ContentBlockStart + `","index":`
	stopHead  = "event: " + sse.ContentBlockStop + "\ndata: " + `{"type":"` + sse.ContentBlockStop + `","index":`
)

func (events) start(m *composer) {
	m.out = append(m.out, "event: "+sse.MessageStart+"\ndata: "+`{"type":"message_start","message":{`...)
	m.head()
	m.out = append(m.out, `,"content":[],"stop_reason":null,"stop_sequence":null,`...)
	m.tokens()
	m.out = append(m.out, "}}\n\n"...)
}

func (events) open(m *composer, it *item) {
	m.out = strconv.AppendInt(append(m.out, startHead...), int64(m.blocks), 10)
	m.out = append(m.out, `,"content_block":`...)
	switch it.kind {
	case textItem:
		m.out = append(m.out, `{"type":"text","text":""}`...)
	case thinkingItem:
		m.out = append(m.out, `{"type":"thinking","thinking":"","signature":""}`...)
	case toolItem:
		m.toolHead(it)
		m.out = append(m.out, `,"input":{}}`...)
	}
	m.out = append(m.out, "}\n\n"...)
}

func (events) piece(m *composer, it *item, raw []byte) {
	m.out = strconv.AppendInt(append(m.out, deltaHead...), int64(m.blocks-1), 10)
	switch it.kind {
	case textItem:
		m.out = append(m.out, textDelta...)
	case thinkingItem:
		m.out = append(m.out, thinkingDelta...)
	case toolItem:
		m.out = append(m.out, inputDelta...)
	}
	m.out = append(append(m.out, raw...), deltaTail...)
}

func (events) close(m *composer, _ *item, _ []byte) {
	m.out = strconv.AppendInt(append(m.out, stopHead...), int64(m.blocks-1), 10)
	m.out = append(m.out, "}\n\n"...)
}

func (events) end(m *composer, stop string) {
	m.out = append(m.out, "event: "+sse.MessageDelta+"\ndata: "+`{"type":"message_delta","delta":{"stop_reason":"`...)
	m.out = append(append(m.out, stop...), `","stop_sequence":null},`...)
	m.tokens()
	m.out = append(m.out, "}\n\nevent: "+sse.MessageStop+"\ndata: "+`{"type":"message_stop"}`+"\n\n"...)
}

// whole prints a message as one JSON object.
type whole struct{}

func (whole) start(m *composer) {
	m.out = append(m.out, '{')
	m.head()
	m.out = append(m.out, `,"content":[`...)
}

func (whole) open(m *composer, it *item) {
	if m.blocks > 0 {
		m.out = append(m.out, ',')
	}
	switch it.kind {
	case textItem:
		m.out = append(m.out, `{"type":"text","text":"`...)
	case thinkingItem:
		m.out = append(m.out, `{"type":"thinking","thinking":"`...)
	case toolItem:
		m.toolHead(it)
		m.out = append(m.out, `,"input":`...)
	}
}

func (whole) piece(m *composer, it *item, raw []byte) {
	if it.kind != toolItem {
		m.out = append(m.out, raw...)
	}
}

func (whole) close(m *composer, it *item, input []byte) {
	switch it.kind {
	case textItem:
		m.out = append(m.out, `"}`...)
	case thinkingItem:
		m.out = append(m.out, `","signature":""}`...)
	case toolItem:
		if input == nil {
			input = []byte("{}") // it was cut, as stop_reason says
		}
		m.out = append(append(m.out, input...), '}')
	}
}

func (whole) end(m *composer, stop string) {
	m.out = append(append(m.out, `],"stop_reason":"`...), stop...)
	m.out = append(m.out, `","stop_sequence":null,`...)
	m.tokens()
	m.out = append(m.out, '}')
}

// head writes the members that open a message in both forms.
func (m *composer) head() {
	m.out = append(append(m.out, `"id":"`...), randomID("msg_")...)
	m.out = appendString(append(m.out, `","type":"message","role":"assistant","model":`...), m.model)
}

func (m *composer) toolHead(it *item) {
	m.out = append(append(m.out, `{"type":"tool_use","id":"`...), it.told...)
	m.out = appendString(append(m.out, `","name":`...), m.names.restored(plain(it.name)))
}

// tokens writes the usage as far as it is known.
func (m *composer) tokens() { m.out = appendUsage(m.out, m.usage) }

func appendUsage(dst []byte, u providers.Usage) []byte {
	dst = strconv.AppendInt(append(dst, `"usage":{"input_tokens":`...), u.Input, 10)
	dst = strconv.AppendInt(append(dst, `,"cache_creation_input_tokens":`...), u.CacheWrite, 10)
	dst = strconv.AppendInt(append(dst, `,"cache_read_input_tokens":`...), u.CacheRead, 10)
	dst = strconv.AppendInt(append(dst, `,"output_tokens":`...), u.Output, 10)
	return append(dst, '}')
}
