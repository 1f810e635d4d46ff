package openai

import (
	"bytes"
	"errors"

	"anyproxy/internal/jsonscan"
)

// itemKind is what a content block of the answer is.
type itemKind uint8

const (
	textItem itemKind = iota
	thinkingItem
	toolItem
)

// An item is one content block of the answer, from its first piece on. Blocks
// may not overlap, so all but the one that is being told wait.
type item struct {
	kind  itemKind
	open  bool   // its block has been started
	wait  []byte // what has not been told yet, as it stands between quotes
	carry []byte // the beginning of a letter whose rest is still to come

	// Of a tool call:
	index int64  // the upstream's, -1 when it does not say
	id    []byte // the upstream's, empty when it has not said
	told  string // the one that the client knows
	name  []byte // as it stands between quotes
	seal  []byte // what must come back with the call, nil when nothing must
	args  []byte // decoded
	scan  object
}

var (
	errArguments = errors.New("arguments of a tool call that are no JSON object")
	errNameless  = errors.New("tool call without a name")
)

// object follows the text of a JSON object as far as to see its end.
type object struct {
	depth           int
	quoted, escaped bool
	closed          bool // the object is whole
	garbage         bool // there is something else
}

// see takes the next byte. It is false for one that begins another object.
func (o *object) see(c byte) bool {
	switch {
	case o.escaped:
		o.escaped = false
	case o.quoted:
		o.escaped = c == '\\'
		o.quoted = c != '"'
	case c == ' ' || c == '\n' || c == '\r' || c == '\t':
	case o.closed && c == '{':
		return false
	case o.depth == 0 && c != '{':
		o.garbage = true
	case c == '"':
		o.quoted = true
	case c == '{' || c == '[':
		o.depth++
	case c == '}' || c == ']':
		o.depth--
		o.closed = o.depth == 0
	}
	return true
}

// feed takes a piece of the arguments, as it stands between quotes. It returns
// how much of it belongs to this call: another object may be glued to the first.
func (it *item) feed(raw []byte) int {
	for i := 0; i < len(raw); {
		c, n := raw[i], 1
		if c == '\\' {
			n = escapeLength(raw[i:])
			s, _ := jsonscan.Unquote(raw[i : i+n])
			if len(s) != 1 { // no character that means anything to JSON
				it.args = append(it.args, s...)
				i += n
				continue
			}
			c = s[0]
		}
		if !it.scan.see(c) {
			return i
		}
		it.args = append(it.args, c)
		i += n
	}
	return len(raw)
}

// started reports whether there is an object among the arguments: until then
// there may be none, or a null in its place.
func (it *item) started() bool { return it.scan.depth > 0 || it.scan.closed }

// input is the call's whole input.
func (it *item) input() ([]byte, error) {
	text := bytes.TrimSpace(it.args)
	if len(text) == 0 || string(text) == "null" {
		return []byte("{}"), nil
	}
	if text[0] != '{' || jsonscan.Valid(text, maxDepth) != nil {
		return nil, errArguments
	}
	return text, nil
}
