package simulator

import (
	"encoding/json"
	"iter"
	"slices"
	"time"
)

// The shapes of a completion, fields in OpenAI's order.
type (
	chatCompletion struct {
		ID      string     `json:"id"`
		Object  string     `json:"object"`
		Created int64      `json:"created"`
		Model   string     `json:"model"`
		Choices []any      `json:"choices"`
		Usage   *chatUsage `json:"usage,omitempty"`
		Groq    any        `json:"x_groq,omitempty"`
	}
	chatChoice struct {
		Index    int     `json:"index"`
		Delta    any     `json:"delta,omitempty"`
		Message  any     `json:"message,omitempty"`
		Logprobs any     `json:"logprobs"`
		Finish   *string `json:"finish_reason"`
	}
	chatDelta struct {
		Role      string      `json:"role,omitempty"`
		Content   any         `json:"content,omitempty"`
		Thinking  string      `json:"reasoning_content,omitempty"`
		Reasoning string      `json:"reasoning,omitempty"`
		Calls     []callDelta `json:"tool_calls,omitempty"`
	}
	callDelta struct {
		Index    *int         `json:"index,omitempty"`
		ID       *string      `json:"id,omitempty"`
		Type     string       `json:"type,omitempty"`
		Function callFunction `json:"function"`
	}
	callFunction struct {
		Name      string `json:"name,omitempty"`
		Arguments string `json:"arguments"`
	}
	chatUsage struct {
		Prompt     int         `json:"prompt_tokens"`
		Completion int         `json:"completion_tokens"`
		Total      int         `json:"total_tokens"`
		Details    chatDetails `json:"prompt_tokens_details"`
	}
	chatDetails struct {
		Cached int `json:"cached_tokens"`
	}
)

// completion is an Answer on its way into the OpenAI format.
type completion struct {
	*Dialect
	answer *Answer
	head   chatCompletion
	usage  chatUsage
	asked  bool     // the client asked for the usage of a stream
	ids    []string // of the calls, by block
	number []int    // of the calls, by block
	told   int      // tokens so far
}

func newCompletion(a *Answer, d *Dialect, rec *Received) *completion {
	var r chatRequest
	_ = json.Unmarshal(rec.Body, &r) // it has been checked
	c := &completion{Dialect: d, answer: a, asked: r.StreamOptions != nil && r.StreamOptions.IncludeUsage,
		head: chatCompletion{ID: newID("chatcmpl-"), Object: "chat.completion", Created: rec.Time.Unix(), Model: r.Model}}
	prompt := a.Usage.Input
	if prompt == 0 {
		prompt = len(rec.Body) / tokenBytes
	}
	prompt += a.Usage.CacheRead
	c.usage = chatUsage{Prompt: prompt, Completion: a.output(), Total: prompt + a.output(), Details: chatDetails{a.Usage.CacheRead}}
	calls := 0
	for i := range a.Blocks {
		b := &a.Blocks[i]
		id := b.ID
		if id == "" {
			id = newID("call_")
		}
		c.ids, c.number = append(c.ids, id), append(c.number, calls)
		if b.Kind == ToolBlock {
			calls++
		}
	}
	return c
}

// finish is the answer's stop reason in OpenAI's words.
func (c *completion) finish() *string {
	reason := map[string]string{"end_turn": "stop", "max_tokens": "length", "tool_use": "tool_calls", "refusal": "content_filter"}[c.answer.stopReason()]
	if reason == "tool_calls" && c.FinishStop || reason == "" {
		reason = "stop"
	}
	return &reason
}

// whole is the answer to a request that does not stream.
func (c *completion) whole() (iter.Seq2[Step, []byte], int) {
	var m chatDelta
	m.Role = "assistant"
	text := ""
	for i := range c.answer.Blocks {
		b := &c.answer.Blocks[i]
		switch {
		case b.Kind == TextBlock:
			text += b.Text
		case b.Kind == ToolBlock:
			m.Calls = append(m.Calls, c.call(i, b.input(), true))
		case !b.Hidden:
			c.think(&m, b.Text)
		}
	}
	m.Content = c.content(text)
	full := c.head
	full.Usage = &c.usage
	full.Choices = []any{chatChoice{Message: m, Finish: c.finish()}}
	body := encode(full)
	due := c.answer.due(float64(c.answer.Tokens()))
	return func(yield func(Step, []byte) bool) { yield(Step{Kind: StepStop, At: due}, body) }, len(body)
}

func (c *completion) content(text string) any {
	switch {
	case text == "":
		return nil
	case c.Parts:
		return []any{map[string]string{"type": "text", "text": text}}
	default:
		return text
	}
}

func (c *completion) think(m *chatDelta, text string) {
	if c.Reasoning {
		m.Reasoning += text
	} else {
		m.Thinking += text
	}
}

// call is a piece of the call of block i; first says that it opens the call.
func (c *completion) call(i int, arguments string, first bool) callDelta {
	d := callDelta{Function: callFunction{Arguments: arguments}}
	switch {
	case c.IndexZero:
		d.Index = new(int)
	case !c.NoIndex:
		d.Index = &c.number[i]
	}
	if first || c.Repeated {
		id := c.ids[i]
		if c.NoIDs {
			id = ""
		}
		d.ID, d.Type, d.Function.Name = &id, "function", c.answer.Blocks[i].Name
	}
	return d
}

// stream is the answer as server-sent events.
func (c *completion) stream() iter.Seq2[Step, []byte] {
	c.head.Object = "chat.completion.chunk"
	return func(yield func(Step, []byte) bool) {
		steps := c.answer.Steps()
		if c.Interleaved {
			steps = interleaved(c.answer, steps)
		}
		var held *Step // the last text, where it may come with the finish
		for s := range steps {
			if held != nil && s.Kind != StepBlockStop && s.Kind != StepFinish {
				if !yield(*held, c.chunk(c.delta(*held), nil)) {
					return
				}
				held = nil
			}
			if c.WithFinish && s.Kind == StepText {
				held = &s
				continue
			}
			for _, event := range c.events(s, held) {
				if !yield(s, event) {
					return
				}
			}
			if s.Kind == StepFinish {
				held = nil
			}
		}
	}
}

// events are those of one step.
func (c *completion) events(s Step, held *Step) [][]byte {
	switch s.Kind {
	case StepStart:
		var out [][]byte
		if c.EmptyFirst {
			out = append(out, c.data(chatCompletion{Choices: []any{}}))
		}
		if !c.NoRole {
			out = append(out, c.chunk(chatDelta{Role: "assistant", Content: ""}, nil))
		}
		return out
	case StepText, StepThinking, StepInput, StepBlockStart:
		if d, ok := c.piece(s); ok {
			return [][]byte{c.chunk(d, nil)}
		}
	case StepFinish:
		d := chatDelta{}
		if held != nil {
			d = c.delta(*held)
		}
		return [][]byte{c.chunk(d, c.finish())}
	case StepStop:
		return c.last()
	}
	return nil
}

// piece is what a step brings, false when that is nothing.
func (c *completion) piece(s Step) (chatDelta, bool) {
	b := &c.answer.Blocks[s.Block]
	switch {
	case s.Kind == StepBlockStart && b.Kind == ToolBlock && c.WholeCalls:
		return chatDelta{Calls: []callDelta{c.call(s.Block, b.input(), true)}}, true
	case s.Kind == StepBlockStart, s.Kind == StepInput && c.WholeCalls:
		return chatDelta{}, false
	default:
		return c.delta(s), true
	}
}

func (c *completion) delta(s Step) chatDelta {
	var d chatDelta
	if c.Repeated {
		d.Role = "assistant"
	}
	c.told += Tokens(s.Text)
	switch s.Kind {
	case StepText:
		d.Content = c.content(s.Text)
	case StepThinking:
		c.think(&d, s.Text)
	case StepInput:
		d.Calls = []callDelta{c.call(s.Block, s.Text, s.Text == "")}
	}
	return d
}

func (c *completion) chunk(d chatDelta, finish *string) []byte {
	out := c.head
	out.Choices = []any{chatChoice{Delta: d, Finish: finish}}
	switch {
	case c.Usage == UsageRunning:
		out.Usage = &chatUsage{Prompt: c.usage.Prompt, Completion: c.told, Total: c.usage.Prompt + c.told}
		if finish != nil {
			out.Usage = &c.usage
		}
	case finish != nil && c.Usage == UsageFinish:
		out.Usage = &c.usage
	case finish != nil && c.Usage == UsageGroq:
		out.Groq = map[string]any{"id": "req_1", "usage": c.usage}
	}
	return c.data(out)
}

// last is what comes behind the finish_reason.
func (c *completion) last() (out [][]byte) {
	if c.Usage == UsageLast && c.asked {
		end := c.head
		end.Choices, end.Usage = []any{}, &c.usage
		out = append(out, c.data(end))
	}
	if !c.NoDone {
		out = append(out, c.event("[DONE]"))
	}
	return out
}

func (d *Dialect) data(v any) []byte { return d.event(string(encode(v))) }

func (d *Dialect) event(text string) []byte {
	end, before := "\n", ""
	if d.CRLF {
		end = "\r\n"
	}
	if d.Comments {
		before = ": OPENROUTER PROCESSING" + end + end
	}
	return []byte(before + "data: " + text + end + end)
}

// interleaved has the pieces of neighbouring tool calls come by turns.
func interleaved(a *Answer, steps iter.Seq[Step]) iter.Seq[Step] {
	all := slices.Collect(steps)
	first := slices.IndexFunc(all, func(s Step) bool { return s.Kind == StepBlockStart && a.Blocks[s.Block].Kind == ToolBlock })
	last := slices.IndexFunc(all, func(s Step) bool { return s.Kind == StepFinish })
	if first < 0 || last < first {
		return slices.Values(all)
	}
	calls := all[first:last]
	turn := make([]int, len(calls)) // how many of its block came before
	seen := map[int]int{}
	at := make([]time.Duration, len(calls))
	for i, s := range calls {
		turn[i], at[i] = seen[s.Block], s.At
		seen[s.Block]++
	}
	order := make([]int, len(calls))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(x, y int) int { return turn[x] - turn[y] })
	out := slices.Clone(all[:first])
	for i, k := range order {
		s := calls[k]
		s.At = at[i]
		out = append(out, s)
	}
	return slices.Values(append(out, all[last:]...))
}
