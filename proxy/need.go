package proxy

import (
	"bytes"
	"hash/maphash"
	"net/http"
	"strconv"

	"anyproxy/internal/jsonscan"
	"anyproxy/proxy/routing"
)

const (
	// bytesPerToken is what a token of English, code and JSON takes.
	bytesPerToken = 4
	// imageTokens is what the API counts for an image of the size that it scales
	// larger ones to (docs.anthropic.com/en/docs/build-with-claude/vision).
	imageTokens = 1600
	// documentBytesPerToken is about what the base64 of a PDF takes: some 50 KB
	// and 2000 tokens a page.
	documentBytesPerToken = 32
)

// need is what the request asks of a target, as far as the scan has seen it:
// every byte is taken for text.
func (s *scan) need() routing.Need {
	return routing.Need{Tokens: s.size / bytesPerToken, Needs: routing.Needs{Thinking: s.thinking, Tools: s.tools}}
}

// look finds out more, by looking at every content block. It is only asked for
// when it matters: where a target has a small context or no eyes, and where a
// session is not at home.
func (s *scan) look(b []byte) routing.Look {
	var c contents
	if s.messagesAt > 0 {
		c.messages(b, s.messagesAt)
	}
	n := s.need()
	n.Tokens = (s.size-c.mediaBytes)/bytesPerToken + c.images*imageTokens + c.documentBytes/documentBytesPerToken
	n.Images, n.PDF = c.images > 0, c.documentBytes > 0
	return routing.Look{Need: n, Fresh: !c.toolResult}
}

// contents is what the content blocks of a request say about it as a whole. The
// body has been checked: what cannot be opened is simply of another kind.
type contents struct {
	images        int
	mediaBytes    int // of images and documents
	documentBytes int
	toolResult    bool // the last message answers a tool call
}

func (c *contents) messages(b []byte, i int) {
	messages, err := jsonscan.OpenArray(b, i, maxDepth)
	for err == nil && messages.NextValue() {
		c.toolResult = false
		m, err := jsonscan.OpenObject(b, messages.Val.Start, maxDepth)
		if err != nil {
			continue
		}
		for m.NextKey() {
			if jsonscan.Is(m.Key, "content") {
				c.blocks(&m, b)
			}
		}
		messages.Skip(m.End())
	}
}

// blocks looks at an array of content blocks, the value that o is at.
func (c *contents) blocks(o *jsonscan.Object, b []byte) {
	a, err := jsonscan.OpenArray(b, o.Val.Start, maxDepth)
	if err != nil {
		return
	}
	for a.NextValue() {
		if block, err := jsonscan.OpenObject(b, a.Val.Start, maxDepth); err == nil {
			c.block(&block, b)
			a.Skip(block.End())
		}
	}
	o.Skip(a.End())
}

// block looks at one content block; a tool's result holds further ones.
func (c *contents) block(o *jsonscan.Object, b []byte) {
	start := o.End()
	var typ []byte
	for o.NextKey() {
		switch {
		case jsonscan.Is(o.Key, "type") && o.Finish():
			typ = o.Raw()
		case jsonscan.Is(o.Key, "content"):
			c.blocks(o, b)
		}
	}
	switch size := o.End() - start; string(typ) {
	case `"image"`:
		c.images++
		c.mediaBytes += size
	case `"document"`:
		c.documentBytes += size
		c.mediaBytes += size
	case `"tool_result"`:
		c.toolResult = true
	}
}

var seed = maphash.MakeSeed()

// affinity names the session for the choice of an upstream: as the client does
// with name, else by what does not change while a conversation grows.
func (s *scan) affinity(name string, h http.Header, b []byte) (_, agent string) {
	if name == "" {
		name = "#" + strconv.FormatUint(s.opening(b), 36)
	}
	return name, h.Get("X-Claude-Code-Agent-Id")
}

// opening is a hash of the words with which a conversation begins: its system
// prompt and its first message.
func (s *scan) opening(b []byte) uint64 {
	var hash maphash.Hash
	hash.SetSeed(seed)
	if s.systemAt > 0 {
		addWords(&hash, b, s.systemAt)
	}
	if messages, err := jsonscan.OpenArray(b, s.messagesAt, maxDepth); s.messagesAt > 0 && err == nil && messages.NextValue() {
		if m, err := jsonscan.OpenObject(b, messages.Val.Start, maxDepth); err == nil {
			for m.NextKey() {
				if jsonscan.Is(m.Key, "content") {
					addWords(&hash, b, m.Val.Start)
				}
			}
		}
	}
	return hash.Sum64()
}

// addWords adds a text, or those of content blocks. The rest of a block may
// change from turn to turn: its cache_control wanders.
func addWords(hash *maphash.Hash, b []byte, i int) {
	blocks, err := jsonscan.OpenArray(b, i, maxDepth)
	if err != nil {
		if end, err := jsonscan.Value(b, i, maxDepth); err == nil {
			_, _ = hash.Write(b[i:end]) // never fails
		}
		return
	}
	for blocks.NextValue() {
		block, err := jsonscan.OpenObject(b, blocks.Val.Start, maxDepth)
		for err == nil && block.Next() {
			if jsonscan.Is(block.Key, "text") {
				_, _ = hash.Write(block.Raw())
			}
		}
	}
}

// thinks reports whether the value of thinking asks for it.
func thinks(raw []byte) bool {
	kind := member(raw, "type")
	return kind != "" && kind != "disabled"
}

// filled reports whether a checked array has elements.
func filled(raw []byte) bool {
	return raw[0] == '[' && len(bytes.TrimSpace(raw[1:len(raw)-1])) > 0
}
