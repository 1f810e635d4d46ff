package anthropic

import (
	"bytes"

	"anyproxy/internal/jsonscan"
	"anyproxy/providers"
	"anyproxy/providers/upstream"
)

// Thinking that a provider of another format made carries no signature, and the
// API refuses a history with it. It is left out of what goes to an upstream
// that has not made such thinking itself.

// emptyStrings are the two ways in which clients write an empty value: what is
// looked for in every request must be found at the speed of a memory scan.
var emptyStrings = [][]byte{[]byte(`:""`), []byte(`: ""`)}

// hasUnsigned reports whether a request may hold thinking without a signature.
func hasUnsigned(body []byte) bool {
	const key = `"signature"`
	for _, empty := range emptyStrings {
		for from := 0; ; {
			i := bytes.Index(body[from:], empty)
			if i < 0 {
				break
			}
			at := from + i
			if bytes.HasSuffix(body[:at], []byte(key)) {
				return true
			}
			from = at + len(empty)
		}
	}
	return false
}

// withoutUnsigned gives a request with the model's name set and without the
// thinking that no signature vouches for, false when there is none.
func withoutUnsigned(r *providers.Request, name []byte) ([]byte, bool) {
	b := r.Body.Bytes()
	cuts := unsigned(b)
	if len(cuts) == 0 {
		return nil, false
	}
	out := make([]byte, 0, len(b)+len(name))
	at, named := 0, len(name) == 0
	upTo := func(end int) {
		if !named && r.ModelAt.Start >= at && r.ModelAt.End <= end {
			out = append(append(out, b[at:r.ModelAt.Start]...), name...)
			at, named = r.ModelAt.End, true
		}
		out = append(out, b[at:end]...)
	}
	for _, c := range cuts {
		upTo(c.Start)
		at = c.End
	}
	upTo(len(b))
	return out, true
}

// unsigned finds what is to be cut out of a request's messages: blocks, or the
// whole message where nothing else is in it.
func unsigned(b []byte) (cuts []jsonscan.Span) {
	o, err := jsonscan.OpenObject(b, 0, upstream.MaxDepth)
	for err == nil && o.Next() {
		if !jsonscan.Is(o.Key, "messages") {
			continue
		}
		cuts = cuts[:0]
		list := elements{end: o.Val.Start}
		a, err := jsonscan.OpenArray(b, o.Val.Start, upstream.MaxDepth)
		for err == nil && a.Next() {
			inside, all := unsignedBlocks(b, a.Val)
			list.next(a.Val)
			if all {
				cuts = append(cuts, list.cut(b))
			} else {
				cuts = append(cuts, inside...)
			}
		}
	}
	return cuts
}

// unsignedBlocks finds them in one message. all says that it has nothing else.
func unsignedBlocks(b []byte, message jsonscan.Span) (cuts []jsonscan.Span, all bool) {
	o, err := jsonscan.OpenObject(b, message.Start, upstream.MaxDepth)
	for err == nil && o.Next() {
		if !jsonscan.Is(o.Key, "content") {
			continue
		}
		cuts, all = cuts[:0], true
		list := elements{end: o.Val.Start}
		a, err := jsonscan.OpenArray(b, o.Val.Start, upstream.MaxDepth)
		for err == nil && a.Next() {
			list.next(a.Val)
			if isUnsigned(b, a.Val) {
				cuts = append(cuts, list.cut(b))
			} else {
				all = false
			}
		}
		all = all && len(cuts) > 0
	}
	return cuts, all
}

func isUnsigned(b []byte, block jsonscan.Span) bool {
	thinking, empty := false, false
	o, err := jsonscan.OpenObject(b, block.Start, upstream.MaxDepth)
	for err == nil && o.Next() {
		switch {
		case jsonscan.Is(o.Key, "type"):
			thinking = jsonscan.Is(o.Raw(), "thinking")
		case jsonscan.Is(o.Key, "signature"):
			empty = string(o.Raw()) == `""`
		}
	}
	return thinking && empty
}

// elements follows those of an array, so that one can be cut out with a comma.
type elements struct {
	n     int // how many have been kept
	end   int // where the last one ended, or the array began
	this  jsonscan.Span
	drops bool
}

func (e *elements) next(element jsonscan.Span) {
	if e.this.End > 0 {
		e.end = e.this.End
		if !e.drops {
			e.n++
		}
	}
	e.this, e.drops = element, false
}

// cut is the current element with the comma before it, or behind it where
// nothing is kept before.
func (e *elements) cut(b []byte) jsonscan.Span {
	e.drops = true
	if e.n > 0 {
		return jsonscan.Span{Start: e.end, End: e.this.End}
	}
	end := e.this.End
	for end < len(b) && b[end] != ',' && b[end] != ']' {
		end++
	}
	if end < len(b) && b[end] == ',' {
		end++
	}
	return jsonscan.Span{Start: e.this.Start, End: end}
}
