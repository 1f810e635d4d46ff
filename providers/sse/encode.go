package sse

// Names of the events of the Messages API
// (docs.anthropic.com/en/docs/build-with-claude/streaming).
const (
	MessageStart      = "message_start"
	ContentBlockStart = "content_block_start"
	ContentBlockDelta = "content_block_delta"
	ContentBlockStop  = "content_block_stop"
	MessageDelta      = "message_delta"
	MessageStop       = "message_stop"
	Ping              = "ping"
	Error             = "error"
)

// AppendEvent appends an event to dst: one event: line, one data: line. name is
// one of this package's constants; anything else is a mistake in the program
// and panics. data is a JSON text: a line end can stand only between its
// tokens, and becomes a blank.
func AppendEvent(dst []byte, name string, data []byte) []byte {
	switch name {
	case MessageStart, ContentBlockStart, ContentBlockDelta, ContentBlockStop, MessageDelta, MessageStop, Ping, Error:
	default:
		panic("sse: no event of the Messages API: " + name)
	}
	dst = append(append(dst, "event: "...), name...)
	dst = append(append(dst, "\ndata: "...), data...)
	for i := len(dst) - len(data); i < len(dst); i++ {
		if dst[i] == '\n' || dst[i] == '\r' {
			dst[i] = ' '
		}
	}
	return append(dst, "\n\n"...)
}
