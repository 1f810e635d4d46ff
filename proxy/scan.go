package proxy

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"unicode"

	"anyproxy/internal/jsonscan"
	"anyproxy/providers"
)

// maxDepth bounds how deep a request's JSON may be nested.
const maxDepth = 512

// maxModel bounds a model's name, which is kept in meters and logs.
const maxModel = 256

// maxBlocks bounds how many content blocks a request may have.
const maxBlocks = 10_000

// scan is what the proxy needs to know of a request body. The body itself is
// never decoded.
type scan struct {
	model   string
	modelAt providers.Span // the JSON string, quotes included
	stream  bool
	userID  string // metadata.user_id, "" when absent
	size    int    // of the body
	// Where system and messages begin, 0 when they are not there.
	systemAt, messagesAt int
	thinking, tools      bool // are asked for
}

// An outlook scans the messages of a long body while it is still coming: whoever
// waits for the next bytes has the time, and those that have come are in the
// processor's cache.
type outlook struct {
	found    bool
	messages jsonscan.Elements
	next     int // how much must have come for the next look
}

// lookEvery is how much more has to come for another look. What has only begun is
// scanned again: so as much as that has to come, too.
const lookEvery = 64 << 10

// look is told of what has come so far.
func (l *outlook) look(b []byte) {
	if len(b) >= max(l.next, lookEvery) {
		l.next = len(b) + max(lookEvery, len(b)-l.advance(b))
	}
}

// advance scans what has come, and returns how much of it is done with.
func (l *outlook) advance(b []byte) int {
	if !l.found {
		l.find(b)
	}
	if !l.found {
		return 0
	}
	return l.messages.Advance(b)
}

// find looks for the messages.
func (l *outlook) find(b []byte) {
	o, err := jsonscan.OpenObject(b, 0, maxDepth)
	for err == nil && o.NextKey() {
		if jsonscan.Is(o.Key, "messages") {
			l.found, l.messages = true, elementsOf(o.Val.Start)
			return
		}
	}
}

// elementsOf counts the content blocks of the messages that stand at start.
func elementsOf(start int) jsonscan.Elements {
	return jsonscan.Elements{Start: start, MaxDepth: maxDepth - 1, Name: "content"}
}

// scanBody reads a Messages request, of which l may have seen the beginning. It
// checks that the body is one JSON object that names its model, and leaves all else
// to the upstream.
func scanBody(b []byte, l outlook) (scan, *refusal) {
	s := scan{size: len(b)}
	o, err := jsonscan.OpenObject(b, 0, maxDepth)
	if err != nil {
		return s, badJSON(b, err)
	}
	models, streams := 0, 0
	for o.NextKey() {
		if jsonscan.Is(o.Key, "messages") {
			s.messagesAt = o.Val.Start
			list := l.messages
			if !l.found || list.Start != o.Val.Start {
				list = elementsOf(o.Val.Start)
			}
			end, blocks, err := list.Finish(b)
			if blocks > maxBlocks {
				return s, refuse(http.StatusBadRequest, "messages: more than "+strconv.Itoa(maxBlocks)+" content blocks")
			}
			if err != nil {
				return s, badJSON(b, err)
			}
			o.Skip(end)
		}
		if !o.Finish() {
			break
		}
		switch {
		case jsonscan.Is(o.Key, "model"):
			// Two values could be read as one by us and as the other by the
			// upstream, past a key's list of models.
			if models++; models > 1 {
				return s, refuse(http.StatusBadRequest, "model: given twice")
			}
			s.modelAt = providers.Span(o.Val)
			s.model, _ = text(o.Raw())
		case len(o.Key) == len("model") && bytes.EqualFold(o.Key, []byte("model")):
			// Some readers of JSON take it for the model, too.
			return s, refuse(http.StatusBadRequest, string(o.Key)+": unknown key, the model's is written model")
		case jsonscan.Is(o.Key, "stream"):
			if streams++; streams > 1 {
				return s, refuse(http.StatusBadRequest, "stream: given twice")
			}
			if s.stream, err = boolean(o.Raw()); err != nil {
				return s, refuse(http.StatusBadRequest, "stream: "+err.Error())
			}
		case jsonscan.Is(o.Key, "metadata"):
			s.userID = member(o.Raw(), "user_id")
		case jsonscan.Is(o.Key, "system"):
			s.systemAt = o.Val.Start
		case jsonscan.Is(o.Key, "thinking"):
			s.thinking = thinks(o.Raw())
		case jsonscan.Is(o.Key, "tools"):
			s.tools = filled(o.Raw())
		}
	}
	if err := o.Err(); err != nil {
		return s, badJSON(b, err)
	}
	if len(bytes.TrimLeft(b[o.End():], " \t\r\n")) > 0 {
		return s, refuse(http.StatusBadRequest, "body: text behind the JSON object at offset "+strconv.Itoa(o.End()))
	}
	if strings.TrimSpace(s.model) == "" {
		return s, refuse(http.StatusBadRequest, "model: a string that is not blank is required")
	}
	if len(s.model) > maxModel {
		return s, refuse(http.StatusBadRequest, "model: longer than "+strconv.Itoa(maxModel)+" bytes")
	}
	if strings.ContainsFunc(s.model, unicode.IsControl) {
		// It is told in a response header, which can carry none (RFC 9110, 5.5).
		return s, refuse(http.StatusBadRequest, "model: control characters are not allowed")
	}
	return s, nil
}

func badJSON(b []byte, err error) *refusal {
	if len(b) == 0 {
		return refuse(http.StatusBadRequest, "body: it is empty, a JSON object is required")
	}
	if errors.Is(err, jsonscan.ErrDepth) {
		return refuse(http.StatusBadRequest, "body: nested deeper than "+strconv.Itoa(maxDepth)+" levels")
	}
	return refuse(http.StatusBadRequest, "body: not a valid JSON object: "+err.Error())
}

// text decodes a JSON string; any other value is not ok.
func text(raw []byte) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	return jsonscan.Unquote(raw)
}

func boolean(raw []byte) (bool, error) {
	switch string(raw) {
	case "true":
		return true, nil
	case "false", "null":
		return false, nil
	}
	return false, errors.New("true or false is required")
}

// member returns a string member of an object, "" when there is none.
func member(raw []byte, name string) string {
	o, err := jsonscan.OpenObject(raw, 0, maxDepth)
	if err != nil {
		return ""
	}
	for o.Next() {
		if jsonscan.Is(o.Key, name) {
			s, _ := text(o.Raw())
			return s
		}
	}
	return ""
}

// session names the client's session: Claude Code's own header, else the
// session_id inside metadata.user_id, which it sends as a JSON text, else that
// text itself. "" means that the client does not say.
func session(h http.Header, userID string) string {
	const longest = 128
	s := h.Get("X-Claude-Code-Session-Id")
	if s == "" {
		s = member([]byte(userID), "session_id")
	}
	if s == "" && !strings.HasPrefix(userID, "{") {
		s = userID
	}
	if len(s) > longest {
		s = s[:longest]
	}
	return strings.ToValidUTF8(s, "")
}
