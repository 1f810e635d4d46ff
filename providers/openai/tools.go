package openai

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strconv"

	"anyproxy/internal/jsonscan"
)

// maxName is the longest name of a function (platform.openai.com/docs/api-reference/chat).
const maxName = 64

// toolNames gives back the names that were shortened. It is kept for as long as
// the answer is read.
type toolNames struct{ full map[string]string }

// restored is a name as the client knows it.
func (n *toolNames) restored(name string) string {
	if n != nil && n.full[name] != "" {
		return n.full[name]
	}
	return name
}

// appendName appends a tool's name as the target takes it: itself, or what is
// allowed of it with a hash of all of it, the same in every request.
func (c *conversion) appendName(raw []byte) {
	if allowed(raw, maxName) {
		c.out = append(append(append(c.out, '"'), raw...), '"')
		return
	}
	full := plain(raw)
	short := cut(full, maxName)
	if c.names == nil {
		c.names = &toolNames{map[string]string{}}
	}
	c.names.full[short] = full
	c.out = appendString(c.out, short)
}

// allowed reports whether raw is one to longest characters of the alphabet in
// which names and ids are written.
func allowed(raw []byte, longest int) bool {
	if len(raw) == 0 || len(raw) > longest {
		return false
	}
	for _, c := range raw {
		if !inAlphabet(c) {
			return false
		}
	}
	return true
}

func inAlphabet(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// cut makes an allowed word of s that no other text shares.
func cut(s string, longest int) string {
	sum := sha256.Sum256([]byte(s))
	hash := hex.EncodeToString(sum[:6])
	word := []byte(s[:min(len(s), longest-len(hash)-1)])
	for i, c := range word {
		if !inAlphabet(c) {
			word[i] = '_'
		}
	}
	return string(word) + "_" + hash
}

// Ids of tool calls are the upstream's, where clients and the Anthropic API can
// hold them. Others are wrapped on their way to the client, so that the upstream
// gets them back as they were, after a restart too.

const (
	maxID = 40 // what OpenAI takes
	// longestID is what is passed on to a client as it is.
	longestID = 64
	// wrapped opens an id that holds another one in base64.
	wrapped = "toolu_w_"
)

// wrapID is an upstream's id as the client is told it.
func wrapID(raw []byte) string {
	if allowed(raw, longestID) {
		return string(raw)
	}
	return wrapped + base64.RawURLEncoding.EncodeToString([]byte(plain(raw)))
}

// unwrapID undoes wrapID, as the text of a JSON string.
func unwrapID(raw []byte) []byte {
	coded, ok := bytes.CutPrefix(raw, []byte(wrapped))
	if !ok {
		return raw
	}
	id, err := base64.RawURLEncoding.AppendDecode(nil, coded)
	if err != nil {
		return raw
	}
	return appendEscaped(nil, id)
}

// appendID appends the id of a tool call in the shape that the target takes.
func (c *conversion) appendID(raw []byte) {
	id := unwrapID(raw)
	switch {
	case c.traits.has(shortIDs):
		sum := sha256.Sum256(id)
		id = []byte(hex.EncodeToString(sum[:])[:9])
	case len(id) > maxID:
		id = []byte(cut(plain(id), maxID))
	}
	c.out = append(append(append(c.out, '"'), id...), '"')
}

// A tool is one that the client offers.
type tool struct {
	name        []byte // raw
	description []byte
	schema      []byte
	strict      []byte
}

// toolList is what a request says about tools.
type toolList struct {
	client []tool
	server []string // names of those that only Anthropic can run
	choice string   // "", auto, required, none, or function
	name   []byte   // of the function
	serial bool     // no calls in parallel
}

// tools reads the tools and which of them is to be used.
func (c *conversion) tools(raw, choice []byte) error {
	list := toolList{}
	if raw != nil {
		if err := c.toolArray(&list, raw); err != nil {
			return err
		}
	}
	if choice != nil {
		if err := list.choose(choice); err != nil {
			return err
		}
	}
	if err := list.check(); err != nil {
		return err
	}
	if len(list.server) > 0 {
		for _, name := range list.server {
			c.lose("tools." + name)
		}
	}
	c.list = list
	if c.traits.has(noTools) && len(list.client) > 0 {
		if list.choice == "required" || list.choice == "function" {
			return wrong("tool_choice", "this target has no tools")
		}
		c.lose("tools")
		c.list = toolList{}
	}
	return nil
}

func (c *conversion) toolArray(list *toolList, raw []byte) error {
	a, err := jsonscan.OpenArray(raw, 0, maxDepth)
	if err != nil {
		return wrong("tools", "an array of tools is required")
	}
	for i := 0; a.Next(); i++ {
		where := "tools." + strconv.Itoa(i)
		t, kind, err := c.tool(where, a.Raw())
		if err != nil {
			return err
		}
		same := func(other tool) bool { return bytes.Equal(other.name, t.name) }
		switch {
		case kind != "" && kind != "custom":
			list.server = append(list.server, serverName(t.name, kind))
		case len(t.name) == 0:
			return wrong(where+".name", "a string is required")
		case !slices.ContainsFunc(list.client, same):
			list.client = append(list.client, t)
		}
	}
	return nil
}

func serverName(name []byte, kind string) string {
	if len(name) > 0 {
		return plain(name)
	}
	return kind
}

func (c *conversion) tool(where string, raw []byte) (t tool, kind string, err error) {
	o, err := jsonscan.OpenObject(raw, 0, maxDepth)
	if err != nil {
		return t, "", wrong(where, "an object is required")
	}
	for o.Next() {
		switch key := string(name(o.Key)); key {
		case "type":
			kind = plain(inner(o.Raw()))
		case "name":
			t.name = inner(o.Raw())
		case "description":
			t.description = inner(o.Raw())
		case "input_schema":
			t.schema = o.Raw()
		case "strict":
			t.strict = o.Raw()
		case "cache_control":
			c.lose(key)
		default:
			c.lose("tools." + key)
		}
	}
	if kind == "" || kind == "custom" {
		if t.schema != nil && string(t.schema) != "null" && t.schema[0] != '{' {
			return t, kind, wrong(where+".input_schema", "an object is required")
		}
	}
	return t, kind, nil
}

// choose reads tool_choice.
func (l *toolList) choose(raw []byte) error {
	o, err := jsonscan.OpenObject(raw, 0, maxDepth)
	if err != nil {
		return wrong("tool_choice", "an object is required")
	}
	kind := ""
	for o.Next() {
		switch string(name(o.Key)) {
		case "type":
			kind = plain(inner(o.Raw()))
		case "name":
			l.name = inner(o.Raw())
		case "disable_parallel_tool_use":
			l.serial = string(o.Raw()) == "true"
		}
	}
	switch kind {
	case "auto", "none":
		l.choice = kind
	case "any":
		l.choice = "required"
	case "tool":
		l.choice = "function"
	default:
		return wrong("tool_choice.type", "auto, any, tool or none is required")
	}
	return nil
}

// check refuses what only Anthropic's servers can do, where leaving it out would
// make the model invent its results, and a choice of what is not there.
func (l *toolList) check() error {
	if l.choice == "function" && slices.Contains(l.server, plain(l.name)) {
		return wrong("tool_choice", "the tool %.64q runs on Anthropic's servers only", plain(l.name))
	}
	if len(l.server) > 0 && len(l.client) == 0 && l.choice != "none" {
		return wrong("tools", "the tool %.64q runs on Anthropic's servers only", l.server[0])
	}
	if l.choice == "function" && !slices.ContainsFunc(l.client, func(t tool) bool { return bytes.Equal(t.name, l.name) }) {
		return wrong("tool_choice.name", "no tool of the request has this name")
	}
	if l.choice == "required" && len(l.client) == 0 {
		return wrong("tool_choice", "there is no tool to be used")
	}
	return nil
}

// writeTools writes the tools and the choice.
func (c *conversion) writeTools() {
	l := &c.list
	if len(l.client) == 0 {
		return
	}
	c.out = append(c.out, `,"tools":[`...)
	for i := range l.client {
		c.writeTool(&l.client[i])
	}
	c.out[len(c.out)-1] = ']'
	switch l.choice {
	case "":
	case "function":
		c.out = append(c.out, `,"tool_choice":{"type":"function","function":{"name":`...)
		c.appendName(l.name)
		c.out = append(c.out, `}}`...)
	default:
		c.out = appendString(append(c.out, `,"tool_choice":`...), l.choice)
	}
	if l.serial {
		if c.option(noParallel) {
			c.out = append(c.out, `,"parallel_tool_calls":false`...)
		} else {
			c.lose("disable_parallel_tool_use")
		}
	}
}

func (c *conversion) writeTool(t *tool) {
	c.out = append(c.out, `{"type":"function","function":{"name":`...)
	c.appendName(t.name)
	if t.description != nil {
		c.out = append(append(append(c.out, `,"description":"`...), t.description...), '"')
	}
	c.out = append(c.out, `,"parameters":`...)
	c.writeSchema(t.schema)
	if string(t.strict) == "true" || string(t.strict) == "false" {
		c.out = append(append(c.out, `,"strict":`...), t.strict...)
	}
	c.out = append(c.out, `}},`...)
}

// writeSchema writes a schema as it is, with the two members that some targets
// insist on.
func (c *conversion) writeSchema(schema []byte) {
	typ, properties, empty := false, false, true
	o, err := jsonscan.OpenObject(schema, 0, maxDepth)
	for err == nil && o.Next() {
		empty = false
		typ = typ || jsonscan.Is(o.Key, "type")
		properties = properties || jsonscan.Is(o.Key, "properties")
	}
	if typ && properties {
		c.out = append(c.out, schema...)
		return
	}
	c.out = append(c.out, '{')
	if !typ {
		c.out = append(c.out, `"type":"object",`...)
	}
	if !properties {
		c.out = append(c.out, `"properties":{},`...)
	}
	if empty {
		c.out[len(c.out)-1] = '}'
		return
	}
	c.out = append(c.out, bytes.TrimLeft(bytes.TrimSpace(schema)[1:], " \t\r\n")...)
}
