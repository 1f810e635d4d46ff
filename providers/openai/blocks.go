package openai

import (
	"bytes"
	"strconv"

	"anyproxy/internal/jsonscan"
)

// blockKind is what a content block is, as far as it matters here.
type blockKind uint8

const (
	unknownBlock blockKind = iota
	textBlock
	imageBlock
	documentBlock
	searchResult
	thinkingBlock
	toolUse
	toolResult
	toolReference
)

var blockKinds = map[string]blockKind{
	"text": textBlock, "image": imageBlock, "document": documentBlock, "search_result": searchResult,
	"thinking": thinkingBlock, "redacted_thinking": thinkingBlock, "tool_use": toolUse, "tool_result": toolResult,
	"tool_reference": toolReference,
}

// A block is one content block. Its texts stand between their quotes.
type block struct {
	kind     blockKind
	typ      []byte
	in       *entry // nil in the system prompt
	outer    *block // the one whose content it is a part of, nil at the top
	n        int
	message  int // of the turn
	text     []byte
	id       []byte // of a tool_use, or the one that a tool_result answers
	name     []byte
	input    []byte // JSON
	content  []byte // JSON, of a tool_result or a search_result
	source   []byte // JSON, of an image or a document
	title    []byte // also a search_result's, with its source
	context  []byte
	failed   bool
	answered bool // a tool_result that stands behind its call
}

// where is the block's place, for errors.
func (b *block) where() string { return place(b.in, b.outer) + "." + strconv.Itoa(b.n) }

// place is that of the content of a block or, at the top, of a message.
func place(in *entry, outer *block) string {
	switch {
	case outer != nil && outer.kind == documentBlock:
		return outer.where() + ".source.content"
	case outer != nil:
		return outer.where() + ".content"
	case in != nil:
		return in.where()
	default:
		return "system"
	}
}

// addBlocks reads content, a string or an array, into c.blocks.
func (c *conversion) addBlocks(in *entry, outer *block, content []byte) error {
	if text := inner(content); text != nil {
		c.blocks = append(c.blocks, block{kind: textBlock, typ: []byte("text"), in: in, outer: outer, text: text})
		return nil
	}
	a, err := jsonscan.OpenArray(content, 0, maxDepth)
	if err != nil {
		return wrong(place(in, outer), "a string or an array of blocks is required")
	}
	for i := 0; a.Next(); i++ {
		b := block{in: in, outer: outer, n: i}
		if err := c.block(&b, a.Raw()); err != nil {
			return err
		}
		c.blocks = append(c.blocks, b)
	}
	return nil
}

// block reads one block and checks what every kind needs.
func (c *conversion) block(b *block, raw []byte) error {
	o, err := jsonscan.OpenObject(raw, 0, maxDepth)
	if err != nil {
		return wrong(b.where(), "an object is required")
	}
	for o.Next() {
		c.member(b, name(o.Key), o.Raw())
	}
	if len(b.typ) == 0 {
		return wrong(b.where()+".type", "a string is required")
	}
	b.kind = blockKinds[string(b.typ)]
	switch {
	case b.kind == textBlock && b.text == nil:
		return wrong(b.where()+".text", "a string is required")
	case (b.kind == imageBlock || b.kind == documentBlock) && (len(b.source) == 0 || b.source[0] != '{'):
		return wrong(b.where()+".source", "an object is required")
	}
	return nil
}

func (c *conversion) member(b *block, key, raw []byte) {
	switch string(key) {
	case "type":
		b.typ = name(inner(raw))
	case "text", "thinking":
		b.text = inner(raw)
	case "id", "tool_use_id":
		b.id = inner(raw)
	case "name", "tool_name":
		b.name = inner(raw)
	case "input":
		b.input = raw
	case "content":
		b.content = raw
	case "source":
		b.source = raw
	case "title":
		b.title = inner(raw)
	case "context":
		b.context = inner(raw)
	case "is_error":
		b.failed = string(raw) == "true"
	case "cache_control":
		if string(raw) != "null" {
			c.lose(string(key))
		}
	case "citations":
		if string(raw) != "null" && string(raw) != "[]" {
			c.lose(string(key))
		}
	}
}

// partKind is what a part of a message in the OpenAI format is.
type partKind uint8

const (
	textPart partKind = iota
	imageURL
	imageData
	filePart
)

// A part is one of those. Its texts stand between their quotes.
type part struct {
	kind  partKind
	media []byte // of data
	text  []byte // or the URL, or the data in base64
	title []byte // of a file
}

func (c *conversion) addText(raw []byte) {
	if len(raw) > 0 {
		c.parts = append(c.parts, part{kind: textPart, text: raw})
	}
}

// addBlock adds what a user's block says. It is false for one that has no place
// in the user's words.
func (c *conversion) addBlock(b *block) (ok bool, err error) {
	switch b.kind {
	case textBlock:
		c.addText(b.text)
	case imageBlock:
		return true, c.addImage(b)
	case documentBlock:
		return true, c.addDocument(b)
	case searchResult:
		c.addText(b.title)
		c.addText(inner(b.source))
		return true, c.addNested(b)
	case toolReference:
		c.addText(b.name)
	default:
		return false, nil
	}
	return true, nil
}

// flatten adds what a tool result holds.
func (c *conversion) flatten(b *block) error {
	if len(b.content) == 0 || string(b.content) == "null" {
		return nil
	}
	return c.addNested(b)
}

// addNested adds the content of a block that has blocks of its own.
func (c *conversion) addNested(outer *block) error {
	if text := inner(outer.content); text != nil {
		c.addText(text)
		return nil
	}
	a, err := jsonscan.OpenArray(outer.content, 0, maxDepth)
	if err != nil {
		return wrong(place(nil, outer), "a string or an array of blocks is required")
	}
	for i := 0; a.Next(); i++ {
		b := block{outer: outer, n: i}
		if err := c.block(&b, a.Raw()); err != nil {
			return err
		}
		ok, err := c.addBlock(&b)
		if err != nil {
			return err
		}
		if !ok {
			c.lose(string(b.typ))
		}
	}
	return nil
}

// A source is where an image or a document comes from.
type source struct {
	typ, media, data, url, content []byte
}

func readSource(raw []byte) (s source) {
	o, err := jsonscan.OpenObject(raw, 0, maxDepth)
	for err == nil && o.Next() {
		switch string(name(o.Key)) {
		case "type":
			s.typ = inner(o.Raw())
		case "media_type":
			s.media = inner(o.Raw())
		case "data":
			s.data = inner(o.Raw())
		case "url":
			s.url = inner(o.Raw())
		case "content":
			s.content = o.Raw()
		}
	}
	return s
}

func (c *conversion) addImage(b *block) error {
	switch s := readSource(b.source); {
	case string(s.typ) == "base64" && len(s.media) > 0 && len(s.data) > 0:
		c.parts = append(c.parts, part{kind: imageData, media: s.media, text: s.data})
	case string(s.typ) == "url" && len(s.url) > 0:
		c.parts = append(c.parts, part{kind: imageURL, text: s.url})
	default:
		return wrong(b.where()+".source", "an image of the source type %.40q cannot be carried", plain(s.typ))
	}
	return nil
}

func (c *conversion) addDocument(b *block) error {
	s := readSource(b.source)
	switch typ := string(s.typ); {
	case typ == "base64" && string(s.media) == "application/pdf" && len(s.data) > 0 && !c.noPDF:
		c.parts = append(c.parts, part{kind: filePart, media: s.media, text: s.data, title: b.title})
		return nil
	case typ == "text" && s.data != nil:
		c.about(b)
		c.addText(s.data)
		return nil
	case typ == "content" && s.content != nil:
		c.about(b)
		b.content = s.content
		return c.addNested(b)
	}
	return wrong(b.where()+".source", "a document of the source type %.40q and the media type %.40q cannot be carried", plain(s.typ), plain(s.media))
}

// about adds what is said of a document.
func (c *conversion) about(b *block) {
	c.addText(b.title)
	c.addText(b.context)
}

// writeText writes the texts among parts as one string.
func (c *conversion) writeText(prefix string, parts []part) {
	c.out = append(append(c.out, '"'), prefix...)
	first := true
	for i := range parts {
		if parts[i].kind != textPart {
			continue
		}
		if !first {
			c.out = append(c.out, `\n\n`...)
		}
		first = false
		c.out = append(c.out, parts[i].text...)
	}
	c.out = append(c.out, '"')
}

// writeParts writes a user's content: a string where there is nothing but text,
// which every target takes.
func (c *conversion) writeParts(parts []part) {
	media := false
	for i := range parts {
		media = media || parts[i].kind != textPart
	}
	if !media {
		c.writeText("", parts)
		return
	}
	c.out = append(c.out, '[')
	for i := range parts {
		c.writePart(&parts[i])
	}
	c.out = append(bytes.TrimSuffix(c.out, []byte(",")), ']')
}

func (c *conversion) writePart(p *part) {
	open, end := `{"type":"text","text":"`, `"},`
	switch p.kind {
	case imageURL:
		open, end = `{"type":"image_url","image_url":{"url":"`, `"}},`
	case imageData:
		open, end = `{"type":"image_url","image_url":{"url":"data:`, `"}},`
	case filePart:
		title := p.title
		if len(title) == 0 {
			title = []byte("document.pdf")
		}
		c.out = append(append(append(c.out, `{"type":"file","file":{"filename":"`...), title...), `","file_data":"data:`...)
		open, end = "", `"}},`
	}
	c.out = append(c.out, open...)
	if p.media != nil {
		c.out = append(append(c.out, p.media...), `;base64,`...)
	}
	c.out = append(append(c.out, p.text...), end...)
}
