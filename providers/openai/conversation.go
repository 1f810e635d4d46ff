package openai

import (
	"bytes"
	"slices"
	"strconv"

	"anyproxy/internal/jsonscan"
)

// role is who speaks.
type role uint8

const (
	user role = iota
	assistant
	system
)

// An entry is one of the request's messages, not yet looked into.
type entry struct {
	role    role
	content []byte // a string, an array or nil
	n       int
}

// where is the place of its content, for errors.
func (e *entry) where() string { return "messages." + strconv.Itoa(e.n) + ".content" }

// attribution opens the part of Claude Code's system prompt that names its
// build. It changes from request to request, and nothing behind it would be
// found in a prompt cache.
const attribution = "x-anthropic-billing-header:"

// system writes a system prompt: its blocks joined by a blank line.
func (c *conversion) system(raw []byte) error {
	if raw == nil {
		return nil
	}
	if raw[0] != '"' && raw[0] != '[' {
		return wrong("system", "a string or an array of text blocks is required")
	}
	c.blocks = c.blocks[:0]
	if err := c.addBlocks(nil, nil, raw); err != nil {
		return err
	}
	c.writeSystem(c.blocks)
	return nil
}

// writeSystem writes a system message of texts, none where there is no text.
func (c *conversion) writeSystem(blocks []block) {
	c.parts = c.parts[:0]
	for i := range blocks {
		if b := &blocks[i]; b.kind == textBlock {
			c.addText(withoutAttribution(b.text))
		} else {
			c.lose(string(b.typ))
		}
	}
	if len(c.parts) == 0 {
		return
	}
	c.out = append(c.out, `{"role":"system","content":`...)
	c.writeText("", c.parts)
	c.out = append(c.out, `},`...)
}

// withoutAttribution is a text less the line that names the client's build.
func withoutAttribution(raw []byte) []byte {
	if !bytes.HasPrefix(raw, []byte(attribution)) {
		return raw
	}
	_, rest, _ := bytes.Cut(raw, []byte(`\n`))
	return rest
}

// conversation writes the messages. Neighbours that one side says are one turn,
// as for the Anthropic API: what answers a tool call must follow it at once.
func (c *conversion) conversation(raw []byte) error {
	if err := c.readEntries(raw); err != nil {
		return err
	}
	for all := c.entries; len(all) > 0; {
		n := 1
		for n < len(all) && (all[n].role == assistant) == (all[0].role == assistant) {
			n++
		}
		turn := all[:n]
		all = all[n:]
		write := c.others
		if turn[0].role == assistant {
			write = c.assistant
		}
		if err := write(turn); err != nil {
			return err
		}
		if turn[0].role == assistant && len(all) == 0 {
			c.lose("prefill")
			c.answerRest()
		}
	}
	return nil
}

func (c *conversion) readEntries(raw []byte) error {
	a, err := jsonscan.OpenArray(raw, 0, maxDepth)
	for i := 0; err == nil && a.Next(); i++ {
		m, err := readEntry(i, a.Raw())
		if err != nil {
			return err
		}
		c.entries = append(c.entries, m)
	}
	if len(c.entries) == 0 {
		return wrong("messages", "at least one message is required")
	}
	return nil
}

func readEntry(n int, raw []byte) (entry, error) {
	m := entry{n: n}
	wrong := func(field, what string) error { return wrong("messages."+strconv.Itoa(n)+field, "%s", what) }
	o, err := jsonscan.OpenObject(raw, 0, maxDepth)
	if err != nil {
		return m, wrong("", "an object is required")
	}
	var said []byte
	for o.Next() {
		switch string(name(o.Key)) {
		case "role":
			said = name(inner(o.Raw()))
		case "content":
			m.content = o.Raw()
		}
	}
	switch string(said) {
	case "user":
	case "assistant":
		m.role = assistant
	case "system":
		m.role = system
	default:
		return m, wrong(".role", "user, assistant or system is required")
	}
	if m.content == nil || m.content[0] != '"' && m.content[0] != '[' {
		return m, wrong(".content", "a string or an array of blocks is required")
	}
	return m, nil
}

// assistant writes a turn of the model's: one message with its text and calls.
// One of thinking alone is left out.
func (c *conversion) assistant(turn []entry) error {
	start := len(c.out)
	c.out = append(c.out, `{"role":"assistant"`...)
	c.blocks = c.blocks[:0]
	for i := range turn {
		if err := c.addBlocks(&turn[i], nil, turn[i].content); err != nil {
			return err
		}
	}
	c.parts = c.parts[:0]
	calls := 0
	for i := range c.blocks {
		switch b := &c.blocks[i]; b.kind {
		case textBlock:
			c.addText(b.text)
		case toolUse:
			calls++
		case thinkingBlock:
		default:
			c.lose(string(b.typ))
		}
	}
	if len(c.parts) > 0 {
		c.out = append(c.out, `,"content":`...)
		c.writeText("", c.parts)
	}
	c.thoughts(calls > 0)
	if calls > 0 && !c.calls() {
		return wrong(turn[0].where(), "a tool_use needs an id, a name and an object as its input")
	}
	if calls == 0 && len(c.parts) == 0 {
		c.out = c.out[:start]
		return nil
	}
	c.out = append(c.out, `},`...)
	return nil
}

// thoughts gives back what was thought, to a target that wants it. calling says
// that the turn has tool calls, of which it is a part.
func (c *conversion) thoughts(calling bool) {
	thought := false
	for i := range c.blocks {
		thought = thought || c.blocks[i].kind == thinkingBlock
	}
	if !calling || !c.traits.has(wantsThoughts) {
		if thought {
			c.lose("messages.thinking")
		}
		return
	}
	c.sent |= wantsThoughts
	c.out = append(c.out, `,"reasoning_content":"`...)
	for i := range c.blocks {
		if b := &c.blocks[i]; b.kind == thinkingBlock {
			c.out = append(c.out, b.text...)
		}
	}
	c.out = append(c.out, '"')
}

// calls writes the tool calls of a turn, and notes that they wait for answers.
func (c *conversion) calls() bool {
	c.out = append(c.out, `,"tool_calls":[`...)
	for i := range c.blocks {
		b := &c.blocks[i]
		if b.kind != toolUse {
			continue
		}
		if len(b.id) == 0 || len(b.name) == 0 || len(b.input) == 0 || b.input[0] != '{' {
			return false
		}
		c.pending = append(c.pending, b.id)
		c.out = append(c.out, `{"id":`...)
		c.appendID(b.id)
		c.out = append(c.out, `,"type":"function","function":{"name":`...)
		c.appendName(b.name)
		c.out = append(c.out, `,"arguments":"`...)
		c.out = appendCompact(c.out, b.input)
		c.out = append(c.out, `"}`...)
		if seal := c.seals.of(string(b.id)); seal != nil {
			c.out = append(append(c.out, `,"extra_content":`...), seal...)
		}
		c.out = append(c.out, `},`...)
	}
	c.out[len(c.out)-1] = ']'
	return true
}

// others writes what is said between two turns of the model: first the results
// of its calls, then all else in its order.
func (c *conversion) others(turn []entry) error {
	c.blocks = c.blocks[:0]
	for i := range turn {
		from := len(c.blocks)
		if err := c.addBlocks(&turn[i], nil, turn[i].content); err != nil {
			return err
		}
		for k := from; k < len(c.blocks); k++ {
			c.blocks[k].message = i
		}
	}
	for i := range c.blocks {
		if b := &c.blocks[i]; b.kind == toolResult && turn[b.message].role == user {
			if err := c.result(b); err != nil {
				return err
			}
		}
	}
	c.answerRest()
	rest := c.blocks
	for i := range turn {
		n := 0
		for n < len(rest) && rest[n].message == i {
			n++
		}
		if turn[i].role == system {
			c.writeSystem(rest[:n])
		} else if err := c.user(&turn[i], rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// result writes the answer to a call, and leaves one that answers none, which no
// target takes, to be told as the user's text.
func (c *conversion) result(b *block) error {
	if len(b.id) == 0 {
		return wrong(b.where(), "a tool_result needs its tool_use_id")
	}
	for i, id := range c.pending {
		if !bytes.Equal(id, b.id) {
			continue
		}
		c.pending = append(c.pending[:i], c.pending[i+1:]...)
		b.answered = true
		c.parts = c.parts[:0]
		if err := c.flatten(b); err != nil {
			return err
		}
		c.out = append(c.out, `{"role":"tool","tool_call_id":`...)
		c.appendID(b.id)
		c.out = append(c.out, `,"content":`...)
		prefix := ""
		if b.failed {
			prefix = "Error: "
		}
		c.writeText(prefix, c.parts)
		c.out = append(c.out, `},`...)
		return nil
	}
	return nil
}

// answerRest answers the calls that the client has left without a result.
func (c *conversion) answerRest() {
	for _, id := range c.pending {
		c.out = append(c.out, `{"role":"tool","tool_call_id":`...)
		c.appendID(id)
		c.out = append(c.out, `,"content":"No result."},`...)
	}
	c.pending = c.pending[:0]
}

// user writes a message of the user's: what a result could not hold first, then
// what they said.
func (c *conversion) user(m *entry, blocks []block) error {
	c.parts = c.parts[:0]
	unknown, known := "", false
	for i := range blocks {
		b := &blocks[i]
		if b.kind == toolResult {
			known = true
			from := len(c.parts)
			if err := c.flatten(b); err != nil {
				return err
			}
			switch {
			case b.answered:
				c.parts = onlyMedia(c.parts, from)
			case b.failed:
				c.parts = slices.Insert(c.parts, from, part{kind: textPart, text: []byte("Error:")})
			}
		}
	}
	for i := range blocks {
		b := &blocks[i]
		ok, err := c.addBlock(b)
		if err != nil {
			return err
		}
		known = known || ok
		if !ok && b.kind != toolResult {
			c.lose(string(b.typ))
			unknown = string(b.typ)
		}
	}
	switch {
	case len(c.parts) > 0:
	case !known && unknown != "":
		return wrong(m.where(), "nothing but a block of the type %.40q, which cannot be carried", unknown)
	case known && len(blocks) > 0 && !hasText(blocks), slices.ContainsFunc(blocks, isResult):
		return nil // results alone
	}
	c.out = append(c.out, `{"role":"user","content":`...)
	c.writeParts(c.parts)
	c.out = append(c.out, `},`...)
	return nil
}

func isResult(b block) bool { return b.kind == toolResult }

func hasText(blocks []block) bool {
	for i := range blocks {
		if blocks[i].kind == textBlock {
			return true
		}
	}
	return false
}

// onlyMedia takes the texts out of the parts from one on.
func onlyMedia(parts []part, from int) []part {
	kept := parts[:from]
	for _, p := range parts[from:] {
		if p.kind != textPart {
			kept = append(kept, p)
		}
	}
	return kept
}
