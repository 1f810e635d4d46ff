// Package grammar judges what a client of the Anthropic Messages API was sent.
//
// It is the oracle of every stream test and shares no code with what it
// judges: a plain reader of lines and encoding/json. It is stricter than a
// client has to be: what it accepts, the official SDKs and Claude Code accept.
// The rules are those of the API's page "Streaming messages".
package grammar

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// End is how an answer ended.
type End string

const (
	Complete End = "complete" // message_stop, or a whole non-stream answer
	Failed   End = "failed"   // an error event
	Open     End = "open"     // it just stops; only CheckPrefix lets it pass
)

// Message is an answer put together again from its events.
type Message struct {
	ID         string
	Model      string
	Blocks     []Block
	StopReason string
	Usage      Usage
	End        End
	// ErrorType and ErrorMessage are the error event's, when End is Failed.
	ErrorType    string
	ErrorMessage string
	Events       int // of all kinds
	Pings        int
}

// Block is one content block.
type Block struct {
	Type      string // text, thinking, tool_use, …
	Text      string // of text and thinking
	Signature string // of thinking
	ID        string // of tool_use
	Name      string // of tool_use
	Input     json.RawMessage
	// Whole tells that the block was closed.
	Whole bool
}

// Usage is the answer's last word on tokens.
type Usage struct {
	Input      int `json:"input_tokens"`
	Output     int `json:"output_tokens"`
	CacheRead  int `json:"cache_read_input_tokens"`
	CacheWrite int `json:"cache_creation_input_tokens"`
}

// Text is the text of all text blocks.
func (m *Message) Text() string { return m.join("text") }

// Thinking is the text of all thinking blocks, "" when none was shown.
func (m *Message) Thinking() string { return m.join("thinking") }

func (m *Message) join(kind string) string {
	var b strings.Builder
	for _, block := range m.Blocks {
		if block.Type == kind {
			b.WriteString(block.Text)
		}
	}
	return b.String()
}

// Tools are the tool calls in their order.
func (m *Message) Tools() []Block {
	var calls []Block
	for _, block := range m.Blocks {
		if block.Type == "tool_use" {
			calls = append(calls, block)
		}
	}
	return calls
}

// Check verifies a whole event stream: one that ends in message_stop or in
// exactly one error event, with nothing behind. The Message is what could be
// read, also beside an error.
func Check(stream []byte) (*Message, error) {
	m, err := CheckPrefix(stream)
	if err == nil && m.End == Open {
		err = fmt.Errorf("event %d: the stream ends without message_stop or error", m.Events)
	}
	return m, err
}

// CheckPrefix verifies a stream that may also just stop, between two events:
// what a client that left, or one whose connection broke, has seen.
func CheckPrefix(stream []byte) (*Message, error) {
	c := checker{m: &Message{End: Open}}
	lines := bufio.NewReader(bytes.NewReader(stream))
	for {
		e, err := readEvent(lines)
		if err == io.EOF {
			return c.m, nil
		}
		c.m.Events++
		if err == nil {
			err = c.take(e)
		}
		if err != nil {
			return c.m, fmt.Errorf("event %d: %w", c.m.Events, err)
		}
	}
}

type event struct {
	name string
	data []byte
}

// readEvent returns the next event, io.EOF behind the last one. Comments and
// blank lines between events are skipped.
func readEvent(r *bufio.Reader) (event, error) {
	var e event
	for {
		line, err := r.ReadString('\n')
		if err == io.EOF && line == "" && e.name == "" && e.data == nil {
			return e, io.EOF
		}
		if err != nil {
			return e, fmt.Errorf("cut inside the event %q, at line %q", e.name, line)
		}
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		switch {
		case line == "" && e.name == "" && e.data == nil, strings.HasPrefix(line, ":"):
		case line == "" && e.name == "":
			return e, fmt.Errorf("no event: line before the data %q", e.data)
		case line == "" && e.data == nil:
			return e, fmt.Errorf("event %q without data", e.name)
		case line == "":
			return e, nil
		default:
			if err := e.field(line); err != nil {
				return e, err
			}
		}
	}
}

func (e *event) field(line string) error {
	name, value, _ := strings.Cut(line, ":")
	value = strings.TrimPrefix(value, " ")
	switch {
	case name == "event" && e.name == "" && value != "":
		e.name = value
	case name == "data" && e.data == nil:
		e.data = []byte(value)
	default:
		return fmt.Errorf("unexpected line %q in event %q", line, e.name)
	}
	return nil
}

// payload has the fields of all kinds of events; a nil pointer is an absent field.
type payload struct {
	Type    string `json:"type"`
	Message *struct {
		ID         string            `json:"id"`
		Type       string            `json:"type"`
		Role       string            `json:"role"`
		Model      string            `json:"model"`
		Content    []json.RawMessage `json:"content"`
		StopReason *string           `json:"stop_reason"`
		Usage      json.RawMessage   `json:"usage"`
	} `json:"message"`
	Index *int      `json:"index"`
	Block *rawBlock `json:"content_block"`
	Delta *struct {
		Type        string  `json:"type"`
		Text        *string `json:"text"`
		Thinking    *string `json:"thinking"`
		Signature   *string `json:"signature"`
		PartialJSON *string `json:"partial_json"`
		StopReason  string  `json:"stop_reason"`
	} `json:"delta"`
	Usage json.RawMessage `json:"usage"`
	Error *struct {
		Type    string `json:"type"`
		Message string `json:"message"`
	} `json:"error"`
}

type rawBlock struct {
	Type      string          `json:"type"`
	Text      string          `json:"text"`
	Thinking  string          `json:"thinking"`
	Signature string          `json:"signature"`
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Input     json.RawMessage `json:"input"`
}

func (r *rawBlock) block() Block {
	return Block{Type: r.Type, Text: r.Text + r.Thinking, Signature: r.Signature, ID: r.ID, Name: r.Name, Input: r.Input}
}

// checker is the state of one stream between two events.
type checker struct {
	m       *Message
	started bool
	open    bool // the last of m.Blocks
	stopped bool // message_delta was there
	input   strings.Builder
	cut     error // the last block's input is no whole object
}

func (c *checker) take(e event) error {
	if c.m.End != Open {
		return fmt.Errorf("%q behind the end of the stream", e.name)
	}
	var p payload
	if err := json.Unmarshal(e.data, &p); err != nil {
		return fmt.Errorf("data of %q: %w", e.name, err)
	}
	if p.Type != e.name {
		return fmt.Errorf("event %q carries the type %q", e.name, p.Type)
	}
	if err := c.apply(e.name, &p); err != nil {
		return fmt.Errorf("%s: %w", e.name, err)
	}
	return nil
}

func (c *checker) apply(name string, p *payload) error {
	switch name {
	case "ping":
		c.m.Pings++
		return nil
	case "error":
		return c.failed(p)
	case "message_start":
		return c.start(p)
	}
	if !c.started {
		return errors.New("before message_start")
	}
	if c.stopped {
		if name != "message_stop" {
			return errors.New("behind message_delta")
		}
		c.m.End = Complete
		return nil
	}
	switch name {
	case "content_block_start":
		return c.openBlock(p)
	case "content_block_delta":
		return c.delta(p)
	case "content_block_stop":
		return c.closeBlock(p)
	case "message_delta":
		return c.finish(p)
	case "message_stop":
		return errors.New("without message_delta")
	}
	return errors.New("unknown event")
}

func (c *checker) failed(p *payload) error {
	if p.Error == nil || p.Error.Type == "" {
		return errors.New("no error.type")
	}
	if c.cut != nil {
		return c.cut
	}
	c.m.End, c.m.ErrorType, c.m.ErrorMessage = Failed, p.Error.Type, p.Error.Message
	return nil
}

func (c *checker) start(p *payload) error {
	m := p.Message
	switch {
	case c.started:
		return errors.New("a second one")
	case m == nil:
		return errors.New("no message")
	case m.ID == "" || m.Type != "message" || m.Role != "assistant" || m.Model == "":
		return fmt.Errorf("id %q, type %q, role %q, model %q", m.ID, m.Type, m.Role, m.Model)
	case m.Content == nil || len(m.Content) > 0:
		return errors.New("content is not []")
	case m.StopReason != nil:
		return fmt.Errorf("stop_reason %q, want null", *m.StopReason)
	}
	c.started = true
	c.m.ID, c.m.Model = m.ID, m.Model
	return c.usage(m.Usage)
}

// usage takes over the counts that the event names and keeps the others.
func (c *checker) usage(raw json.RawMessage) error {
	var has struct {
		Output *int `json:"output_tokens"`
	}
	if len(raw) == 0 {
		return errors.New("no usage")
	}
	if err := json.Unmarshal(raw, &has); err != nil || has.Output == nil {
		return fmt.Errorf("usage %s has no output_tokens", raw)
	}
	if err := json.Unmarshal(raw, &c.m.Usage); err != nil {
		return fmt.Errorf("usage: %w", err)
	}
	return nil
}

func (c *checker) openBlock(p *payload) error {
	switch {
	case c.open:
		return fmt.Errorf("while block %d is open", len(c.m.Blocks)-1)
	case c.cut != nil:
		return c.cut
	case p.Index == nil || *p.Index != len(c.m.Blocks):
		return fmt.Errorf("index %s, want %d", show(p.Index), len(c.m.Blocks))
	case p.Block == nil || p.Block.Type == "":
		return errors.New("no content_block.type")
	case p.Block.Type == "tool_use" && (p.Block.ID == "" || p.Block.Name == ""):
		return fmt.Errorf("tool_use with id %q, name %q", p.Block.ID, p.Block.Name)
	}
	c.open = true
	c.input.Reset()
	c.m.Blocks = append(c.m.Blocks, p.Block.block())
	return nil
}

func (c *checker) current(p *payload) (*Block, error) {
	last := len(c.m.Blocks) - 1
	if !c.open {
		return nil, fmt.Errorf("index %s, but no block is open", show(p.Index))
	}
	if p.Index == nil || *p.Index != last {
		return nil, fmt.Errorf("index %s, but block %d is open", show(p.Index), last)
	}
	return &c.m.Blocks[last], nil
}

func (c *checker) delta(p *payload) error {
	b, err := c.current(p)
	if err != nil {
		return err
	}
	d := p.Delta
	switch {
	case d == nil:
		return errors.New("no delta")
	case d.Type == "text_delta" && b.Type == "text" && d.Text != nil:
		b.Text += *d.Text
	case d.Type == "thinking_delta" && b.Type == "thinking" && d.Thinking != nil:
		b.Text += *d.Thinking
	case d.Type == "signature_delta" && b.Type == "thinking" && d.Signature != nil:
		b.Signature += *d.Signature
	case d.Type == "input_json_delta" && strings.HasSuffix(b.Type, "tool_use") && d.PartialJSON != nil:
		c.input.WriteString(*d.PartialJSON)
	case d.Type == "citations_delta" && b.Type == "text":
	default:
		return fmt.Errorf("%q in a %s block, or without its value", d.Type, b.Type)
	}
	return nil
}

func (c *checker) closeBlock(p *payload) error {
	b, err := c.current(p)
	if err != nil {
		return err
	}
	c.open, b.Whole = false, true
	if c.input.Len() > 0 {
		b.Input = json.RawMessage(c.input.String())
	}
	if b.Type == "tool_use" {
		c.cut = checkInput(b)
	}
	return nil
}

// checkInput verifies that the joined pieces are one JSON object. No piece at
// all, or only empty ones, leave the {} of the block's start.
func checkInput(b *Block) error {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(b.Input, &object); err != nil {
		return fmt.Errorf("input of tool %s, %s: %w", b.Name, b.Input, err)
	}
	return nil
}

func (c *checker) finish(p *payload) error {
	if c.open {
		return fmt.Errorf("while block %d is open", len(c.m.Blocks)-1)
	}
	if p.Delta == nil || p.Delta.StopReason == "" {
		return errors.New("no delta.stop_reason")
	}
	c.stopped = true
	c.m.StopReason = p.Delta.StopReason
	if c.cut != nil && c.m.StopReason != "max_tokens" {
		return c.cut // the limit of tokens alone may cut the input of the last block
	}
	if err := checkStop(c.m); err != nil {
		return err
	}
	return c.usage(p.Usage)
}

// checkStop verifies that the client is told to run tools exactly when there
// are tool calls: Claude Code acts on stop_reason.
func checkStop(m *Message) error {
	calls := len(m.Tools())
	if calls > 0 && m.StopReason == "end_turn" || calls == 0 && m.StopReason == "tool_use" {
		return fmt.Errorf("stop_reason %q with %d tool calls", m.StopReason, calls)
	}
	return nil
}

func show(index *int) string {
	if index == nil {
		return "missing"
	}
	return fmt.Sprint(*index)
}
