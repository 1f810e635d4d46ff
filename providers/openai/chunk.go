package openai

import (
	"bytes"
	"cmp"
	"errors"

	"anyproxy/internal/jsonscan"
	"anyproxy/providers"
)

// A chunk is what one event of a stream, or a whole answer, says. Its texts
// stand between their quotes, in the event's memory or in the chunk's own.
type chunk struct {
	model     []byte
	failure   []byte // JSON: an error in the place of an answer
	chosen    bool   // there is a choice, with something in it
	text      []byte
	reasoning []byte
	refusal   []byte
	calls     []piece
	finish    []byte
	usage     providers.Usage
	counted   bool // usage was there
	bare      bool // there is nothing but usage
	whole     bool // it is an answer without a stream

	scratch []byte
}

// A piece is what a chunk brings of one tool call.
type piece struct {
	index     int64 // -1 = not said
	id        []byte
	name      []byte
	arguments []byte // the text of a string
	object    []byte // JSON: arguments that are no string
	seal      []byte // JSON: extra_content, Gemini's
}

var errNoObject = errors.New("JSON that is no object")

// read takes a chunk apart, or a whole answer, in one pass and without
// allocation. Of members that are there twice the last counts.
func (k *chunk) read(data []byte, whole bool) error {
	*k = chunk{calls: k.calls[:0], scratch: k.scratch[:0], whole: whole}
	o, err := jsonscan.OpenObject(data, 0, maxDepth)
	if err != nil {
		return cmp.Or(jsonscan.Valid(data, maxDepth), errNoObject)
	}
	for o.NextKey() {
		switch string(name(o.Key)) {
		case "choices":
			k.choices(&o, data)
		case "model":
			k.model = text(&o)
		case "usage":
			k.tokens(&o)
		case "x_groq":
			if o.Finish() {
				k.groq(o.Raw())
			}
		case "error":
			if o.Finish() && string(o.Raw()) != "null" {
				k.failure = data
			}
		case "object":
			if string(text(&o)) == "error" {
				k.failure = data
			}
		}
	}
	if err := o.Err(); err != nil {
		return err
	}
	if len(bytes.TrimLeft(data[o.End():], " \t\r\n")) > 0 {
		return &jsonscan.Error{Offset: o.End(), Err: jsonscan.ErrSyntax}
	}
	k.bare = k.counted && !k.chosen
	return nil
}

// text is the value of a member as it stands between its quotes, nil when it is
// no string.
func text(o *jsonscan.Object) []byte {
	if !o.Finish() {
		return nil
	}
	return inner(o.Raw())
}

// choices takes up the choice of index 0; no other was asked for.
func (k *chunk) choices(outer *jsonscan.Object, data []byte) {
	a, err := jsonscan.OpenArray(data, outer.Val.Start, maxDepth)
	if err != nil {
		return
	}
	for a.NextValue() {
		o, err := jsonscan.OpenObject(data, a.Val.Start, maxDepth)
		if err != nil {
			continue
		}
		k.choice(&o, data)
		if o.Err() == nil {
			a.Skip(o.End())
		}
	}
	if a.Err() == nil {
		outer.Skip(a.End())
	}
}

func (k *chunk) choice(o *jsonscan.Object, data []byte) {
	before := *k
	other, from := false, 0
	for o.NextKey() {
		switch string(name(o.Key)) {
		case "index":
			n, ok := int64(0), o.Finish()
			if ok {
				n, ok = jsonscan.Int(o.Raw())
			}
			other = ok && n != 0
		case "delta", "message":
			from = k.told(o, data, from)
		case "text": // of the older completions; Together has it beside a delta
			if words := text(o); from == 0 && len(words) > 0 {
				k.text, k.chosen = words, true
			}
		case "finish_reason":
			k.finish = text(o)
			k.chosen = k.chosen || len(k.finish) > 0
		case "error": // OpenRouter's
			if o.Finish() && string(o.Raw()) != "null" {
				k.failure = data[o.Val.Start:o.Val.End]
			}
		}
	}
	if other {
		*k = before
	}
}

// told takes the words from a choice's delta or message. Perplexity sends both:
// an empty delta with the message of a whole answer, and with each delta of a
// stream the message so far. from says what they were taken from until now, 0
// nothing, 2 the one that counts; it returns what that is then.
func (k *chunk) told(outer *jsonscan.Object, data []byte, from int) int {
	rank := 1
	if jsonscan.Is(outer.Key, "message") == k.whole {
		rank = 2
	}
	o, err := jsonscan.OpenObject(data, outer.Val.Start, maxDepth)
	if err != nil || rank < from {
		return from
	}
	if from > 0 && rank > from {
		k.text, k.reasoning, k.refusal, k.calls = nil, nil, nil, k.calls[:0]
	}
	k.delta(outer, &o, data)
	return rank
}

func (k *chunk) delta(outer, o *jsonscan.Object, data []byte) {
	for o.NextKey() {
		k.chosen = true
		switch string(name(o.Key)) {
		case "content":
			k.content(o)
		case "reasoning_content", "reasoning":
			if r := text(o); len(r) > 0 {
				k.reasoning = r
			}
		case "refusal":
			k.refusal = text(o)
		case "tool_calls":
			k.toolCalls(o, data)
		case "function_call":
			if o.Finish() && o.Raw()[0] == '{' {
				k.function(&piece{index: -1}, o.Raw())
			}
		}
	}
	if o.Err() == nil {
		outer.Skip(o.End())
	}
}

// content is a string or an array of parts, of which those of text count and
// those of thinking are reasoning (Mistral).
func (k *chunk) content(o *jsonscan.Object) {
	if k.text = text(o); k.text != nil || o.Err() != nil || o.Raw()[0] != '[' {
		return
	}
	k.text = k.joined(o.Raw(), "text")
	if thought := k.joined(o.Raw(), "thinking"); len(thought) > 0 {
		k.reasoning = thought
	}
}

// joined collects the texts of the parts that have a member of the given name;
// it may hold parts of text itself.
func (k *chunk) joined(parts []byte, member string) []byte {
	from := len(k.scratch)
	a, err := jsonscan.OpenArray(parts, 0, maxDepth)
	for err == nil && a.Next() {
		raw := value(a.Raw(), member)
		if text := inner(raw); text != nil {
			k.scratch = append(k.scratch, text...)
		} else if len(raw) > 0 && raw[0] == '[' {
			k.joined(raw, "text")
		}
	}
	return k.scratch[from:len(k.scratch):len(k.scratch)]
}

func (k *chunk) toolCalls(outer *jsonscan.Object, data []byte) {
	a, err := jsonscan.OpenArray(data, outer.Val.Start, maxDepth)
	if err != nil {
		return
	}
	for a.Next() {
		o, err := jsonscan.OpenObject(data, a.Val.Start, maxDepth)
		p := piece{index: -1}
		var function []byte
		for err == nil && o.Next() {
			switch string(name(o.Key)) {
			case "index":
				if n, ok := jsonscan.Int(o.Raw()); ok && n >= 0 {
					p.index = n
				}
			case "id":
				p.id = inner(o.Raw())
			case "function":
				function = o.Raw()
			case "extra_content":
				p.seal = o.Raw()
			}
		}
		k.function(&p, function)
	}
	if a.Err() == nil {
		outer.Skip(a.End())
	}
}

// function completes a piece by its function's members.
func (k *chunk) function(p *piece, raw []byte) {
	o, err := jsonscan.OpenObject(raw, 0, maxDepth)
	for err == nil && o.Next() {
		switch string(name(o.Key)) {
		case "name":
			p.name = inner(o.Raw())
		case "arguments":
			if p.arguments = inner(o.Raw()); p.arguments == nil && string(o.Raw()) != "null" {
				p.object = o.Raw()
			}
		}
	}
	k.calls = append(k.calls, *p)
}

func (k *chunk) groq(raw []byte) {
	o, err := jsonscan.OpenObject(raw, 0, maxDepth)
	for err == nil && o.NextKey() {
		if jsonscan.Is(o.Key, "usage") {
			k.tokens(&o)
		}
	}
}

// tokens reads usage. What was read from a cache is a part of prompt_tokens, and
// stands beside it in the Messages API.
func (k *chunk) tokens(outer *jsonscan.Object) {
	if !outer.Finish() || outer.Raw()[0] != '{' {
		return
	}
	var prompt, completion, cached, thought int64
	o, err := jsonscan.OpenObject(outer.Raw(), 0, maxDepth)
	for err == nil && o.Next() {
		switch string(name(o.Key)) {
		case "prompt_tokens":
			prompt = count(o.Raw())
		case "completion_tokens":
			completion = count(o.Raw())
		case "prompt_tokens_details":
			cached = max(cached, count(value(o.Raw(), "cached_tokens")))
		case "completion_tokens_details":
			thought = count(value(o.Raw(), "reasoning_tokens"))
		case "prompt_cache_hit_tokens": // DeepSeek's
			cached = max(cached, count(o.Raw()))
		}
	}
	cached = min(cached, prompt)
	k.usage = providers.Usage{Input: prompt - cached, CacheRead: cached, Output: completion, Reasoning: min(thought, completion)}
	k.counted = true
}

func count(raw []byte) int64 {
	n, _ := jsonscan.Int(raw)
	return max(0, n)
}
