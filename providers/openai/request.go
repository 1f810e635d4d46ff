package openai

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"anyproxy/internal/jsonscan"
	"anyproxy/providers"
	"anyproxy/providers/upstream"
)

const (
	maxDepth = upstream.MaxDepth
	// minReasoningLimit is the smallest limit that a model takes which thinks
	// first; Claude Code probes with 1.
	minReasoningLimit = 16
	maxStops          = 4
	maxUser           = 64 // characters of user (platform.openai.com/docs/api-reference/chat)
)

// A conversion is one request on its way into the OpenAI format. Its memory is
// pooled; nothing of it but out and what reply needs outlives it.
type conversion struct {
	*target
	traits  trait
	taught  trait  // of them, what was learnt before this attempt
	seals   *seals // nil where calls have none
	sent    trait  // optional fields that were written, by the trait that would leave them out
	count   bool   // for count_tokens: nothing is sent
	most    int64  // tokens of the answer, as this attempt was told; 0 = not
	limited int64  // tokens of the answer, as was written
	out     []byte
	lost    []string

	list    toolList
	names   *toolNames
	entries []entry
	blocks  []block
	parts   []part
	pending [][]byte // ids of tool calls that wait for their result
}

// begin prepares the conversion of r for t.
func (c *conversion) begin(t *target, seals *seals, r *providers.Request, most int64) {
	upstream.Recycle(c.out)
	c.seals, c.taught = seals, trait(t.learnt.Load())
	c.target, c.traits, c.count = t, t.traits(), r.Endpoint == providers.CountTokens
	c.sent, c.most, c.limited, c.lost, c.names, c.list = 0, most, 0, nil, nil, toolList{}
	c.entries, c.blocks, c.parts, c.pending = c.entries[:0], c.blocks[:0], c.parts[:0], c.pending[:0]
	c.out = upstream.TakeBuffer(r.Body.Len() + r.Body.Len()/8 + 256)
}

var conversions = sync.Pool{New: func() any { return new(conversion) }}

// release gives the conversion's memory back, but for out.
func (c *conversion) release() {
	upstream.Recycle(c.out)
	const most = 1 << 10
	if cap(c.entries) > most || cap(c.blocks) > most || cap(c.parts) > most {
		return
	}
	clear(c.entries[:cap(c.entries)])
	clear(c.blocks[:cap(c.blocks)])
	clear(c.parts[:cap(c.parts)])
	clear(c.pending[:cap(c.pending)])
	*c = conversion{entries: c.entries[:0], blocks: c.blocks[:0], parts: c.parts[:0], pending: c.pending[:0]}
	conversions.Put(c)
}

// An invalid is what the Anthropic API would refuse, or what cannot be carried
// without another meaning: where it stands and what is wrong.
type invalid string

func (e invalid) Error() string { return string(e) }

func wrong(where, format string, args ...any) error {
	return invalid(where + ": " + fmt.Sprintf(format, args...))
}

// lose notes that something could not be carried. Names are those of the
// Anthropic request, and go into a header.
func (c *conversion) lose(what string) {
	const most, longest = 16, 40
	if len(c.lost) >= most || what == "" || len(what) > longest || strings.ContainsFunc(what, notInName) {
		what = "other"
	}
	if !slices.Contains(c.lost, what) {
		c.lost = append(c.lost, what)
	}
}

func notInName(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' || r == '.')
}

// fields are the values of a request's members, nil where they are absent or
// null.
type fields struct {
	maxTokens, messages, system, tools, toolChoice, stream, temperature, topP, stops, metadata,
	thinking, output, format, tier []byte
}

// convert writes a Messages request as one for chat completions into c.out.
func (c *conversion) convert(r *providers.Request) error {
	f, err := c.fields(r.Body.Bytes())
	if err != nil {
		return err
	}
	if err := c.check(&f); err != nil {
		return err
	}
	c.out = append(c.out, `{"model":`...)
	c.out = appendString(c.out, r.Model)
	c.out = append(c.out, `,"messages":[`...)
	if err := c.tools(f.tools, f.toolChoice); err != nil {
		return err
	}
	if err := c.system(f.system); err != nil {
		return err
	}
	if err := c.conversation(f.messages); err != nil {
		return err
	}
	c.out = append(bytes.TrimSuffix(c.out, []byte(",")), ']')
	c.writeTools()
	c.limit(f.maxTokens)
	c.sampling(&f)
	if err := c.effort(&f); err != nil {
		return err
	}
	if err := c.format(&f); err != nil {
		return err
	}
	c.options(&f, r.Stream)
	c.out = append(c.out, '}')
	if !utf8.Valid(c.out) {
		c.out = bytes.ToValidUTF8(c.out, []byte("\ufffd"))
	}
	c.out = paired(c.out)
	return nil
}

// fields finds the request's members. Of one that is there twice the last counts.
func (c *conversion) fields(b []byte) (f fields, err error) {
	o, err := jsonscan.OpenObject(b, 0, maxDepth)
	if err != nil {
		return f, wrong("body", "not a JSON object")
	}
	for o.Next() {
		at := c.fieldOf(&f, string(name(o.Key)))
		if at == nil {
			continue
		}
		if *at = o.Raw(); string(*at) == "null" {
			*at = nil
		}
	}
	if o.Err() != nil {
		return f, wrong("body", "not a JSON object")
	}
	return f, nil
}

// fieldOf is where a member's value goes, nil when it has no place in the
// other format.
func (c *conversion) fieldOf(f *fields, name string) *[]byte {
	switch name {
	case "max_tokens":
		return &f.maxTokens
	case "messages":
		return &f.messages
	case "system":
		return &f.system
	case "tools":
		return &f.tools
	case "tool_choice":
		return &f.toolChoice
	case "stream":
		return &f.stream
	case "temperature":
		return &f.temperature
	case "top_p":
		return &f.topP
	case "stop_sequences":
		return &f.stops
	case "metadata":
		return &f.metadata
	case "thinking":
		return &f.thinking
	case "output_config":
		return &f.output
	case "output_format":
		return &f.format
	case "service_tier":
		return &f.tier
	case "model":
	default:
		c.lose(name)
	}
	return nil
}

// check refuses what the Anthropic API would, beyond what is met on the way.
func (c *conversion) check(f *fields) error {
	if n, ok := jsonscan.Int(f.maxTokens); !c.count && (!ok || n < 1) {
		return wrong("max_tokens", "an integer of at least 1 is required")
	}
	if f.messages == nil || f.messages[0] != '[' {
		return wrong("messages", "an array of messages is required")
	}
	if s := string(f.stream); s != "" && s != "true" && s != "false" {
		return wrong("stream", "true or false is required")
	}
	for _, number := range []struct {
		name string
		raw  []byte
	}{{"temperature", f.temperature}, {"top_p", f.topP}} {
		if n, err := strconv.ParseFloat(string(number.raw), 64); number.raw != nil && (err != nil || n < 0 || n > 1) {
			return wrong(number.name, "a number from 0 to 1 is required")
		}
	}
	return checkStrings("stop_sequences", f.stops)
}

func checkStrings(where string, raw []byte) error {
	if raw == nil {
		return nil
	}
	a, err := jsonscan.OpenArray(raw, 0, maxDepth)
	for err == nil && a.Next() {
		if a.Raw()[0] != '"' {
			return wrong(where, "an array of strings is required")
		}
	}
	if err != nil {
		return wrong(where, "an array of strings is required")
	}
	return nil
}

// option notes that an optional field is to be written, and reports whether the
// target takes it.
func (c *conversion) option(leftOut trait) bool {
	if c.traits.has(leftOut) {
		return false
	}
	c.sent |= leftOut
	return true
}

func (c *conversion) limit(raw []byte) {
	n, ok := jsonscan.Int(raw)
	if !ok {
		return
	}
	for _, most := range []int64{int64(c.maxOutput), c.target.limit.Load(), c.most} {
		if most > 0 {
			n = min(n, most)
		}
	}
	if c.reasoning {
		n = max(n, minReasoningLimit)
	}
	c.limited = n
	key := `,"max_tokens":`
	if c.traits.has(newLimit) {
		key = `,"max_completion_tokens":`
	}
	c.out = strconv.AppendInt(append(c.out, key...), n, 10)
}

func (c *conversion) sampling(f *fields) {
	if f.temperature != nil {
		c.number("temperature", f.temperature, noTemperature)
	}
	if f.topP != nil {
		c.number("top_p", f.topP, noTopP)
	}
	a, err := jsonscan.OpenArray(f.stops, 0, maxDepth)
	if err != nil || !a.Next() {
		return
	}
	if !c.option(noStop) {
		c.lose("stop_sequences")
		return
	}
	c.out = append(c.out, `,"stop":[`...)
	for n := 0; ; n++ {
		if n == maxStops {
			c.lose("stop_sequences")
			break
		}
		c.out = append(append(c.out, a.Raw()...), ',')
		if !a.Next() {
			break
		}
	}
	c.out[len(c.out)-1] = ']'
}

func (c *conversion) number(name string, raw []byte, leftOut trait) {
	if !c.option(leftOut) {
		c.lose(name)
		return
	}
	c.out = append(append(c.out, `,"`...), name...)
	c.out = append(append(c.out, `":`...), raw...)
}

// effort makes one word of thinking and output_config.effort.
func (c *conversion) effort(f *fields) error {
	kind, budget, err := thinking(f.thinking)
	if err != nil {
		return err
	}
	want := ""
	switch {
	case kind == "disabled":
		want = "none"
	case kind == "enabled" && budget <= 4_000:
		want = "low"
	case kind == "enabled" && budget <= 16_000:
		want = "medium"
	case kind == "enabled":
		want = "high"
	}
	if asked := member(f.output, "effort"); kind != "disabled" && asked != nil {
		want = plain(asked)
	}
	if want == "" || want == "none" && !c.reasoning {
		return nil
	}
	effort := c.efforts.nearest(want)
	if effort == "" || !c.option(noEffort) {
		if f.thinking != nil {
			c.lose("thinking")
		} else {
			c.lose("output_config.effort")
		}
		return nil
	}
	c.out = appendString(append(c.out, `,"reasoning_effort":`...), effort)
	return nil
}

// thinking reads the member of that name.
func thinking(raw []byte) (kind string, budget int64, err error) {
	if raw == nil {
		return "", 0, nil
	}
	o, err := jsonscan.OpenObject(raw, 0, maxDepth)
	if err != nil {
		return "", 0, wrong("thinking", "an object is required")
	}
	for o.Next() {
		switch string(name(o.Key)) {
		case "type":
			kind = plain(inner(o.Raw()))
		case "budget_tokens":
			budget, _ = jsonscan.Int(o.Raw())
		}
	}
	switch kind {
	case "enabled", "disabled", "adaptive":
		return kind, budget, nil
	}
	return "", 0, wrong("thinking.type", "enabled, disabled or adaptive is required")
}

// member is the text of a string member of an object, nil where there is none.
func member(raw []byte, want string) (text []byte) {
	o, err := jsonscan.OpenObject(raw, 0, maxDepth)
	for err == nil && o.Next() {
		if jsonscan.Is(o.Key, want) {
			text = inner(o.Raw())
		}
	}
	return text
}

// value is a member of an object, nil where there is none.
func value(raw []byte, want string) (found []byte) {
	o, err := jsonscan.OpenObject(raw, 0, maxDepth)
	for err == nil && o.Next() {
		if jsonscan.Is(o.Key, want) {
			found = o.Raw()
		}
	}
	return found
}

// format asks for an answer of a JSON schema.
func (c *conversion) format(f *fields) error {
	format := f.format
	if in := value(f.output, "format"); in != nil {
		format = in
	}
	if format == nil || string(format) == "null" {
		return nil
	}
	schema := value(format, "schema")
	if string(member(format, "type")) != "json_schema" || schema == nil {
		return wrong("output_config.format", "only a json_schema with its schema can be asked for")
	}
	c.out = append(c.out, `,"response_format":{"type":"json_schema","json_schema":{"name":"answer","schema":`...)
	c.out = append(append(c.out, schema...), `}}`...)
	return nil
}

func (c *conversion) options(f *fields, stream bool) {
	if id := member(f.metadata, "user_id"); len(id) > 0 && c.option(noUser) {
		c.out = append(c.out, `,"user":"`...)
		c.out = append(append(c.out, userOf(id)...), '"')
	}
	if f.tier != nil {
		c.tier(string(inner(f.tier)))
	}
	if !stream {
		return
	}
	c.out = append(c.out, `,"stream":true`...)
	if c.option(noStreamOptions) {
		c.out = append(c.out, `,"stream_options":{"include_usage":true}`...)
	}
}

// userOf is the id itself where it is short enough, else its hash: providers want
// to tell users apart, no more.
func userOf(id []byte) []byte {
	if len(id) <= maxUser {
		return id
	}
	sum := sha256.Sum256([]byte(plain(id)))
	return hex.AppendEncode(nil, sum[:])
}

func (c *conversion) tier(asked string) {
	tier, ok := map[string]string{"auto": "auto", "standard_only": "default"}[asked]
	if !ok || !c.option(noTier) {
		c.lose("service_tier")
		return
	}
	c.out = appendString(append(c.out, `,"service_tier":`...), tier)
}
