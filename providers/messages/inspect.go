package messages

import (
	"bytes"
	"cmp"
	"errors"

	"anyproxy/internal/jsonscan"
	"anyproxy/providers"
	"anyproxy/providers/sse"
)

// kind is the type of an event.
type kind uint8

const (
	unknown kind = iota
	ping
	messageStart
	blockStart
	blockDelta
	blockStop
	messageDelta
	messageStop
	failure
)

func kindOf(name []byte) kind {
	switch string(name) {
	case sse.ContentBlockDelta:
		return blockDelta
	case sse.Ping:
		return ping
	case sse.MessageStart:
		return messageStart
	case sse.ContentBlockStart:
		return blockStart
	case sse.ContentBlockStop:
		return blockStop
	case sse.MessageDelta:
		return messageDelta
	case sse.MessageStop:
		return messageStop
	case sse.Error:
		return failure
	default:
		return unknown
	}
}

// facts is what a relay must know of an event or a whole message. Its slices
// point into what was inspected.
type facts struct {
	typ   []byte // the value of "type" between its quotes, nil when it is no string
	index int64  // -1 when there is none
	block []byte // the type of the content block that starts
	// text counts the bytes of what the model says; content is set by anything
	// that is not empty, a signature too.
	text    int
	content bool
	usage   providers.Usage // 0 where nothing was said
	counted bool            // usage was there
}

var errNoObject = errors.New("JSON that is no object")

// inspect checks that data is one JSON object and gathers its facts, in one
// pass and without allocation. Of members that are there twice the last
// counts, as it does for clients.
func inspect(data []byte) (facts, error) {
	if f, ok := usualDelta(data); ok {
		return f, nil
	}
	return inspectAny(data)
}

func inspectAny(data []byte) (facts, error) {
	f := facts{index: -1}
	o, err := jsonscan.OpenObject(data, 0, maxDepth)
	if err != nil {
		return f, cmp.Or(jsonscan.Valid(data, maxDepth), errNoObject)
	}
	f.members(&o, data, maxDepth-1)
	if err := o.Err(); err != nil {
		return f, err
	}
	if len(bytes.TrimLeft(data[o.End():], " \t\r\n")) > 0 {
		return f, &jsonscan.Error{Offset: o.End(), Err: jsonscan.ErrSyntax}
	}
	return f, nil
}

// usualDelta inspects what nineteen of twenty events are, a delta written the
// way the API writes it, in a seventh of the time.
func usualDelta(data []byte) (facts, bool) {
	n, f := deltaAt(data)
	return f, n > 0 && n == len(data)
}

// usualEvent does the same for a whole event at the start of b, without a look
// at its lines. n is its length, 0 when b does not begin with such an event.
func usualEvent(b []byte) (n int, f facts) {
	const head = "event: " + sse.ContentBlockDelta + "\ndata: "
	if len(b) <= len(head) || string(b[:len(head)]) != head {
		return 0, facts{}
	}
	n, f = deltaAt(b[len(head):])
	if n == 0 {
		return 0, facts{}
	}
	n += len(head)
	if n+2 > len(b) || b[n] != '\n' || b[n+1] != '\n' || n+2 > sse.MaxEvent {
		return 0, facts{}
	}
	return n + 2, f
}

// deltaAt inspects the usual delta at the start of b and gives its length, 0
// when b does not begin with one that is whole.
func deltaAt(b []byte) (n int, f facts) {
	const head, typ, middle = `{"type":"`, sse.ContentBlockDelta, `","index":`
	const start = head + typ + middle
	i := len(start)
	if len(b) <= i || string(b[:i]) != start {
		return 0, facts{}
	}
	f = facts{typ: b[len(head) : len(head)+len(typ)], index: int64(b[i]) - '0'}
	if f.index < 0 || f.index > 9 { // one digit: a larger index is not usual
		return 0, facts{}
	}
	i++
	opening := deltaOpening(b[i:])
	if i += opening; opening == 0 || b[i] != '"' {
		return 0, facts{}
	}
	end, err := jsonscan.Value(b, i, 0)
	if err != nil || end >= len(b) || b[end] != '}' {
		return 0, facts{}
	}
	f.text = end - i - len(`""`)
	f.content = f.text > 0
	for end++; end < len(b) && b[end] == ' '; end++ { // the API pads its events with blanks
	}
	if end >= len(b) || b[end] != '}' {
		return 0, facts{}
	}
	return end + 1, f
}

// deltaOpening is the length of what stands between the index and the text of
// a usual delta, 0 when b is none.
func deltaOpening(b []byte) int {
	for _, opening := range [...]string{
		`,"delta":{"type":"text_delta","text":`,
		`,"delta":{"type":"input_json_delta","partial_json":`,
		`,"delta":{"type":"thinking_delta","thinking":`,
	} {
		if len(b) > len(opening) && string(b[:len(opening)]) == opening {
			return len(opening)
		}
	}
	return 0
}

// members takes up the members of an event or a message. What it cannot open
// is left to the iterator, which then reports the fault if there is one.
func (f *facts) members(o *jsonscan.Object, data []byte, depth int) {
	for o.NextKey() {
		switch string(name(o.Key)) {
		case "type":
			f.typ = name(text(o))
		case "index":
			f.index = integer(o)
		case "delta":
			f.delta(o, data, depth)
		case "content_block":
			f.block = blockType(o, data, depth)
		case "usage":
			f.tokens(o, data, depth)
		case "message":
			f.message(o, data, depth)
		case "content":
			f.blocks(o, data, depth)
		}
	}
}

// message is the one inside message_start: only its usage matters here.
func (f *facts) message(o *jsonscan.Object, data []byte, depth int) {
	m, err := jsonscan.OpenObject(data, o.Val.Start, depth)
	if err != nil {
		return
	}
	for m.NextKey() {
		if string(name(m.Key)) == "usage" {
			f.tokens(&m, data, depth-1)
		}
	}
	skip(o, &m)
}

func (f *facts) delta(o *jsonscan.Object, data []byte, depth int) {
	f.text, f.content = 0, false
	d, err := jsonscan.OpenObject(data, o.Val.Start, depth)
	if err != nil {
		return
	}
	for d.Next() {
		key := string(name(d.Key))
		n := len(d.Raw()) - len(`""`)
		if key == "type" || n <= 0 || !holds(d.Raw()[0]) {
			continue
		}
		f.content = true
		if key == "text" || key == "partial_json" || key == "thinking" {
			f.text += n
		}
	}
	skip(o, &d)
}

// holds reports whether a value that opens with c can hold content: a string,
// an object or an array.
func holds(c byte) bool { return c == '"' || c == '{' || c == '[' }

func blockType(o *jsonscan.Object, data []byte, depth int) (typ []byte) {
	b, err := jsonscan.OpenObject(data, o.Val.Start, depth)
	if err != nil {
		return nil
	}
	for b.NextKey() {
		if string(name(b.Key)) == "type" {
			typ = name(text(&b))
		}
	}
	skip(o, &b)
	return typ
}

// blocks counts the text in the content of a whole message.
func (f *facts) blocks(o *jsonscan.Object, data []byte, depth int) {
	f.text = 0
	a, err := jsonscan.OpenArray(data, o.Val.Start, depth)
	if err != nil {
		return
	}
	for a.Next() {
		b, err := jsonscan.OpenObject(data, a.Val.Start, depth-1)
		for err == nil && b.Next() {
			switch raw := b.Raw(); string(name(b.Key)) {
			case "text", "thinking":
				f.text += len(text(&b))
			case "input":
				f.text += len(raw)
			}
		}
	}
	if a.Err() == nil {
		o.Skip(a.End())
	}
}

// tokens reads a usage object.
func (f *facts) tokens(o *jsonscan.Object, data []byte, depth int) {
	u, err := jsonscan.OpenObject(data, o.Val.Start, depth)
	if err != nil {
		return
	}
	f.counted = true
	for u.Next() {
		switch string(name(u.Key)) {
		case "input_tokens":
			f.usage.Input = count(u.Raw())
		case "output_tokens":
			f.usage.Output = count(u.Raw())
		case "cache_read_input_tokens":
			f.usage.CacheRead = count(u.Raw())
		case "cache_creation_input_tokens":
			f.usage.CacheWrite = count(u.Raw())
		case "cache_creation":
			f.usage.CacheWrite1h = within(&u, "ephemeral_1h_input_tokens", depth)
		case "server_tool_use":
			f.usage.Searches = within(&u, "web_search_requests", depth)
		}
	}
	skip(o, &u)
}

// within reads a count inside a member of usage: what of the written cache is
// kept for an hour (docs.anthropic.com/en/docs/build-with-claude/prompt-caching,
// "1-hour cache duration"), and the searches of the server's tool
// (…/tool-use/web-search-tool, "Usage and pricing").
func within(u *jsonscan.Object, key string, depth int) (n int64) {
	if !u.Finish() || u.Raw()[0] != '{' {
		return 0
	}
	o, err := jsonscan.OpenObject(u.Raw(), 0, depth)
	for err == nil && o.Next() {
		if string(name(o.Key)) == key {
			n = count(o.Raw())
		}
	}
	return n
}

// addTo raises the running total to what was reported: later events repeat the
// counts of earlier ones or leave them out.
func (f *facts) addTo(total *providers.Usage) {
	total.Input = max(total.Input, f.usage.Input)
	total.Output = max(total.Output, f.usage.Output)
	total.CacheRead = max(total.CacheRead, f.usage.CacheRead)
	total.CacheWrite = max(total.CacheWrite, f.usage.CacheWrite)
	total.CacheWrite1h = max(total.CacheWrite1h, f.usage.CacheWrite1h)
	total.Searches = max(total.Searches, f.usage.Searches)
}

// skip spares the outer iterator what the inner one has checked to its end.
func skip(outer, inner *jsonscan.Object) {
	if inner.Err() == nil {
		outer.Skip(inner.End())
	}
}

// name is the name of a member or type; escapes, which no upstream writes
// there, are undone.
func name(key []byte) []byte {
	if bytes.IndexByte(key, '\\') < 0 {
		return key
	}
	s, _ := jsonscan.Unquote(key)
	return []byte(s)
}

// text is the value of a member as it stands between its quotes, nil when it is
// no string.
func text(o *jsonscan.Object) []byte {
	if !o.Finish() || o.Raw()[0] != '"' {
		return nil
	}
	return o.Raw()[1 : len(o.Raw())-1]
}

func integer(o *jsonscan.Object) int64 {
	if !o.Finish() {
		return -1
	}
	n, ok := jsonscan.Int(o.Raw())
	if !ok || n < 0 {
		return -1
	}
	return n
}

func count(raw []byte) int64 {
	n, _ := jsonscan.Int(raw)
	return max(0, n)
}

// IsError reports whether b is an error in the shape of the Messages API:
// {"type":"error","error":{"type":…,"message":…}}.
func IsError(b []byte) bool {
	f, err := inspect(b)
	if err != nil || kindOf(f.typ) != failure {
		return false
	}
	typ, message := errorParts(b)
	return typ != nil && message != nil
}

func errorType(b []byte) string {
	typ, _ := errorParts(b)
	return string(typ)
}

// errorParts gives the type and message of a sound error, nil where there is none.
func errorParts(b []byte) (typ, message []byte) {
	o, err := jsonscan.OpenObject(b, 0, maxDepth)
	for err == nil && o.Next() {
		if string(name(o.Key)) != "error" {
			continue
		}
		typ, message = nil, nil
		e, err := jsonscan.OpenObject(b, o.Val.Start, maxDepth)
		for err == nil && e.Next() {
			switch string(name(e.Key)) {
			case "type":
				typ = name(text(&e))
			case "message":
				message = text(&e)
			}
		}
	}
	return typ, message
}
