// Package tokens estimates how many tokens a Messages request has, for where
// nobody counts them: by bytes, each kind of content by what its tokens usually
// take. Nothing is decoded.
package tokens

import "anyproxy/internal/jsonscan"

const maxDepth = 512

// What a token takes, and what else has tokens.
const (
	// textBytes is for English, code and JSON alike.
	textBytes = 4
	// schemaBytes is for the definitions of tools, which are written with many
	// brackets and repeat the same words.
	schemaBytes = 5
	// imageTokens is what the API counts for an image of the size that it scales
	// larger ones to (docs.anthropic.com/en/docs/build-with-claude/vision).
	imageTokens = 1600
	// documentBytes is about what the base64 of a PDF takes: some 50 KB and 2000
	// tokens a page.
	documentBytes = 32
)

// Contents is what a request is made of, in bytes.
type Contents struct {
	Text      int
	Schemas   int
	Documents int // base64 of PDFs
	Images    int // their number

	media int // base64 among the messages
}

// Estimate is how many tokens that is, at least 1.
func (c Contents) Estimate() int64 {
	return int64(max(1, c.Text/textBytes+c.Schemas/schemaBytes+c.Documents/documentBytes+c.Images*imageTokens))
}

// Count finds out what a request is made of. Of one that is no sound JSON it
// counts what it can read.
func Count(body []byte) Contents {
	var c Contents
	o, err := jsonscan.OpenObject(body, 0, maxDepth)
	for err == nil && o.NextKey() {
		switch {
		case jsonscan.Is(o.Key, "messages"):
			c.messages(body, &o)
			c.media = 0
		case jsonscan.Is(o.Key, "system") && o.Finish():
			c.Text += len(o.Raw())
		case jsonscan.Is(o.Key, "tools") && o.Finish():
			c.Schemas += len(o.Raw())
		}
	}
	return c
}

// messages counts all of them as text, less what their blocks hold of media.
func (c *Contents) messages(b []byte, outer *jsonscan.Object) {
	a, err := jsonscan.OpenArray(b, outer.Val.Start, maxDepth)
	if err != nil {
		return
	}
	for a.NextValue() {
		o, err := jsonscan.OpenObject(b, a.Val.Start, maxDepth)
		if err != nil {
			continue
		}
		for o.NextKey() {
			if jsonscan.Is(o.Key, "content") {
				if end := c.content(b, o.Val.Start); end > 0 {
					o.Skip(end)
				}
			}
		}
		if o.Err() == nil {
			a.Skip(o.End())
		}
	}
	if a.Err() == nil {
		c.Text += a.End() - outer.Val.Start - c.media
		outer.Skip(a.End())
	}
}

// content looks for media among the blocks at b[i]. It returns where they end,
// 0 when there are none.
func (c *Contents) content(b []byte, i int) int {
	a, err := jsonscan.OpenArray(b, i, maxDepth)
	if err != nil {
		return 0
	}
	for a.NextValue() {
		o, err := jsonscan.OpenObject(b, a.Val.Start, maxDepth)
		if err != nil {
			continue
		}
		image := false
		for o.NextKey() {
			switch {
			case jsonscan.Is(o.Key, "type") && o.Finish():
				image = image || jsonscan.Is(o.Raw(), "image")
			case jsonscan.Is(o.Key, "content"):
				if end := c.content(b, o.Val.Start); end > 0 {
					o.Skip(end)
				}
			case jsonscan.Is(o.Key, "source") && o.Finish():
				c.source(o.Raw())
			}
		}
		if image {
			c.Images++
		}
		if o.Err() == nil {
			a.Skip(o.End())
		}
	}
	if a.Err() != nil {
		return 0
	}
	return a.End()
}

// source takes the data of an image or a document out of the text.
func (c *Contents) source(raw []byte) {
	coded, pdf, n := false, false, 0
	o, err := jsonscan.OpenObject(raw, 0, maxDepth)
	for err == nil && o.Next() {
		switch {
		case jsonscan.Is(o.Key, "type"):
			coded = jsonscan.Is(o.Raw(), "base64")
		case jsonscan.Is(o.Key, "media_type"):
			pdf = jsonscan.Is(o.Raw(), "application/pdf")
		case jsonscan.Is(o.Key, "data"):
			n = len(o.Raw())
		}
	}
	if !coded {
		return
	}
	c.media += n
	if pdf {
		c.Documents += n
	}
}
