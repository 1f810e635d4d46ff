package shapes

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxDescription cuts the descriptions of tools and of their parameters, which
// are two thirds of a real body and of no interest once they are filler.
const maxDescription = 60

// protocolHeaders keep their values: they are the same for every user of that
// client. All others are personal until proven otherwise.
var protocolHeaders = map[string]bool{
	"Accept": true, "Accept-Encoding": true, "Accept-Language": true, "Connection": true, "Content-Type": true,
	"Sec-Fetch-Mode": true, "User-Agent": true, "X-App": true,
	"Anthropic-Beta": true, "Anthropic-Version": true, "Anthropic-Dangerous-Direct-Browser-Access": true,
}

// protocolValues are the keys whose strings are the API's or the client's own
// vocabulary, not somebody's words.
var protocolValues = map[string]bool{
	"$schema": true, "display": true, "effort": true, "format": true, "id": true, "keep": true, "model": true,
	"name": true, "required": true, "role": true, "tool_use_id": true, "ttl": true, "type": true,
}

// Scrub returns s without anything that came from a person or a machine.
func Scrub(s Shape) (Shape, error) {
	s.Header = scrubHeader(s.Header)
	if len(s.Body) == 0 {
		return s, nil
	}
	body, err := scrubJSON(s.Body)
	if err != nil {
		return Shape{}, fmt.Errorf("scrub shape %s: %w", s.Name, err)
	}
	s.Body = body
	return s, nil
}

func scrubHeader(h http.Header) http.Header {
	out := make(http.Header, len(h))
	for name, values := range h {
		for _, v := range values {
			switch {
			case name == "Host" || name == "Content-Length":
				continue
			case name == "X-Api-Key":
				v = ClientKey
			case name == "Authorization":
				scheme, _, _ := strings.Cut(v, " ")
				v = scheme + " " + ClientKey
			case name == "X-Claude-Code-Session-Id":
				v = SessionID
			case protocolHeaders[name] || strings.HasPrefix(name, "X-Stainless-"):
			default:
				v = string(filler([]byte(v), len(v)))
			}
			out.Add(name, v)
		}
	}
	return out
}

// level is one open object or array of the document being scrubbed.
type level struct {
	object bool
	atKey  bool   // the next string is a key
	key    string // of the value at hand; an array's elements have the array's
	input  bool   // inside the arguments of a tool call: words, whatever the key
}

// scrubJSON replaces the strings of a document and leaves every other byte alone.
func scrubJSON(doc []byte) ([]byte, error) {
	if !json.Valid(doc) {
		return nil, errors.New("the body is not JSON")
	}
	var out bytes.Buffer
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.UseNumber()
	stack := []level{{}}
	for prev := 0; ; {
		tok, err := dec.Token()
		if err == io.EOF {
			out.Write(doc[prev:])
			return out.Bytes(), nil
		}
		if err != nil {
			return nil, err
		}
		end := int(dec.InputOffset())
		raw := doc[prev:end] // separators and blanks, then the token
		prev = end
		top := &stack[len(stack)-1]
		switch v := tok.(type) {
		case json.Delim:
			out.Write(raw)
			if v == '}' || v == ']' {
				stack = stack[:len(stack)-1]
				top = &stack[len(stack)-1]
				top.atKey = top.object
				continue
			}
			stack = append(stack, level{object: v == '{', atKey: v == '{', key: top.key, input: top.input || top.key == "input"})
			continue
		case string:
			if top.atKey {
				out.Write(raw)
				top.key, top.atKey = v, false
				continue
			}
			quote := bytes.IndexByte(raw, '"')
			out.Write(raw[:quote])
			scrubbed, err := scrubString(raw[quote:], v, *top)
			if err != nil {
				return nil, err
			}
			out.Write(scrubbed)
		default:
			out.Write(raw)
		}
		top.atKey = top.object
	}
}

// scrubString replaces one string value; raw is it with its quotes, value the
// same decoded.
func scrubString(raw []byte, value string, at level) ([]byte, error) {
	switch {
	case protocolValues[at.key] && !at.input:
		return raw, nil
	case at.key == "session_id":
		return strconv.AppendQuote(nil, SessionID), nil
	case at.key == "user_id" && strings.HasPrefix(value, "{"):
		// A JSON text in a string: who and which session.
		inner, err := scrubJSON([]byte(value))
		if err != nil {
			return nil, fmt.Errorf("scrub user_id: %w", err)
		}
		return json.Marshal(string(inner))
	}
	limit := len(raw)
	if at.key == "description" && !at.input {
		limit = maxDescription
	}
	text := raw[1 : len(raw)-1]
	return append(append([]byte{'"'}, filler(text, limit)...), '"'), nil
}

// filler replaces the letters and digits of text, the inside of a JSON string,
// and ends it behind limit bytes. Escapes, blanks and signs stay, so do the
// lengths of letters in UTF-8.
func filler(text []byte, limit int) []byte {
	out := make([]byte, 0, min(len(text), limit+12))
	for len(text) > 0 && len(out) < limit {
		n := 1
		if text[0] == '\\' {
			n = escapeLen(text)
			out = append(out, standEscape(text[:n])...)
		} else {
			var r rune
			r, n = utf8.DecodeRune(text)
			out = append(out, stand(r, text[:n])...)
		}
		text = text[n:]
	}
	return out
}

// escapeLen is the length of the escape that text begins with; a surrogate
// pair is one escape, so that it is never cut.
func escapeLen(text []byte) int {
	if len(text) < 6 || text[1] != 'u' {
		return min(2, len(text))
	}
	if len(text) >= 12 && text[6] == '\\' && (text[2] == 'd' || text[2] == 'D') {
		return 12
	}
	return 6
}

// standEscape is what stands for an escape: itself, unless it spells a letter or digit.
func standEscape(esc []byte) []byte {
	if len(esc) != 6 {
		return esc
	}
	r, err := strconv.ParseUint(string(esc[2:]), 16, 16)
	if err == nil && (unicode.IsLetter(rune(r)) || unicode.IsDigit(rune(r))) {
		return []byte(`\u00e9`)
	}
	return esc
}

// stand is what stands for the rune r, whose bytes are b.
func stand(r rune, b []byte) []byte {
	switch {
	case r == utf8.RuneError:
		return b
	case unicode.IsDigit(r) && len(b) == 1:
		return []byte("0")
	case !unicode.IsLetter(r) && !unicode.IsDigit(r):
		return b
	case unicode.IsUpper(r) && len(b) == 1:
		return []byte("X")
	default:
		return []byte([]string{"x", "é", "語", "𝒙"}[len(b)-1])
	}
}
