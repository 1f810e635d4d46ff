package sessions

import (
	"encoding/json"
	"fmt"

	"anyproxy/internal/grammar"
)

// maxHistory is how many bytes a conversation may reach before a new one is begun.
const maxHistory = 64 << 10

// conversation is a history as the Messages API takes it.
type conversation struct {
	session  string
	model    string
	messages []message
	size     int // bytes of text in messages, roughly
}

type message struct {
	Role    string `json:"role"`
	Content []any  `json:"content"`
}

type textBlock struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type thinkingBlock struct {
	Type      string `json:"type"`
	Thinking  string `json:"thinking"`
	Signature string `json:"signature"`
}

type toolUseBlock struct {
	Type  string          `json:"type"`
	ID    string          `json:"id"`
	Name  string          `json:"name"`
	Input json.RawMessage `json:"input"`
}

type toolResultBlock struct {
	Type      string `json:"type"`
	ToolUseID string `json:"tool_use_id"`
	Content   string `json:"content"`
	IsError   bool   `json:"is_error"`
}

func (c *conversation) add(role string, size int, blocks ...any) {
	c.messages = append(c.messages, message{role, blocks})
	c.size += size
}

func (c *conversation) long() bool { return c.size > maxHistory }

const note = "<system-reminder>\nAs you answer, you can use the context of the project.\n</system-reminder>"

// say adds what the person types, with a reminder before it as Claude Code does.
func (c *conversation) say(text string) {
	c.add("user", len(note)+len(text), textBlock{"text", note}, textBlock{"text", text})
}

// answered adds the assistant's turn, thinking with its signature included.
func (c *conversation) answered(m *grammar.Message) {
	var blocks []any
	size := 0
	for _, b := range m.Blocks {
		size += len(b.Text) + len(b.Input)
		switch b.Type {
		case "text":
			blocks = append(blocks, textBlock{"text", b.Text})
		case "thinking":
			blocks = append(blocks, thinkingBlock{"thinking", b.Text, b.Signature})
		case "tool_use":
			blocks = append(blocks, toolUseBlock{"tool_use", b.ID, b.Name, b.Input})
		}
	}
	c.add("assistant", size, blocks...)
}

// results adds what the tools gave.
func (c *conversation) results(calls []grammar.Block) {
	var blocks []any
	size := 0
	for _, call := range calls {
		output := fmt.Sprintf("%s finished without output.", call.Name)
		size += len(output)
		blocks = append(blocks, toolResultBlock{Type: "tool_result", ToolUseID: call.ID, Content: output})
	}
	c.add("user", size, blocks...)
}

// body is the request.
func (c *conversation) body(stream bool) ([]byte, error) {
	return json.Marshal(map[string]any{
		"model":      c.model,
		"max_tokens": 32000,
		"stream":     stream,
		"system":     []any{textBlock{"text", "You are a coding assistant in a simulated session."}},
		"tools":      tools,
		"thinking":   map[string]any{"type": "enabled", "budget_tokens": 31999, "display": "omitted"},
		"messages":   c.messages,
		"metadata":   map[string]string{"user_id": fmt.Sprintf(`{"session_id":%q}`, c.session)},
	})
}

var tools = json.RawMessage(`[
{"name":"Bash","description":"Run a command","input_schema":{"type":"object","properties":{"command":{"type":"string"},"description":{"type":"string"}},"required":["command"]}},
{"name":"Read","description":"Read a file","input_schema":{"type":"object","properties":{"file_path":{"type":"string"}},"required":["file_path"]}}]`)
