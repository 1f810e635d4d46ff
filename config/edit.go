package config

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// WithContexts returns the text of a file without problems with other contexts:
// tokens, by the index of the model. Only their numbers change, and keys are added
// where there are none; all else stays byte for byte what it was. The error names
// a model whose context cannot be set without writing the file anew. getenv is
// that of Load.
func (d *Document) WithContexts(contexts map[int]int, getenv func(string) string) ([]byte, error) {
	root, problems := parseTree(bytes.TrimPrefix(d.data, []byte(byteOrderMark)))
	if problems != nil || d.Config == nil {
		return nil, fmt.Errorf("edit %s: %w", d.Name, problems)
	}
	if spec := child(root, "spec"); spec != nil {
		root = spec
	}
	e := editor{text: d.data, starts: lineStarts(d.data)}
	want := *d.Config
	want.Models = slices.Clone(want.Models)
	for i, model := range child(root, "models").Content {
		n, given := contexts[i]
		if !given {
			continue
		}
		want.Models[i].Context = n
		if !e.setContext(model, n) {
			return nil, byHand(d, i, n)
		}
	}
	text := e.apply()
	got := parse(d.Name, text, getenv, false)
	if got.Config == nil || len(Diff(&want, got.Config)) > 0 { // a way of writing YAML that is not foreseen here
		for i, n := range contexts {
			if got.Config == nil || i >= len(got.Config.Models) || got.Config.Models[i].Context != n {
				return nil, byHand(d, i, n)
			}
		}
		return nil, fmt.Errorf("edit %s: the contexts cannot be set in place; set them by hand", d.Name)
	}
	return text, nil
}

func byHand(d *Document, model, context int) error {
	return fmt.Errorf("%s:%d: models[%d]: the context cannot be set in place; set it by hand, context: %d", d.Name, d.Config.Models[model].Pos.Line, model, context)
}

const byteOrderMark = "\ufeff"

// editor changes a YAML text at places of its nodes.
type editor struct {
	text   []byte
	starts []int // of the lines, in bytes
	edits  []edit
}

// edit puts text in the place of the bytes from start to end.
type edit struct {
	start, end int
	text       string
}

// setContext sets the key of a model, or adds it behind provider, which every
// model has. It reports whether it knows how.
func (e *editor) setContext(model *yaml.Node, n int) bool {
	if old := child(model, "context"); old != nil {
		return e.replace(old, strconv.Itoa(n))
	}
	for i := 0; i+1 < len(model.Content); i += 2 {
		if key := model.Content[i]; key.Value == "provider" {
			name := "context"
			if key.Style != 0 {
				name = strconv.Quote(name)
			}
			return e.addBehind(model, key, model.Content[i+1], name+": "+strconv.Itoa(n))
		}
	}
	return false
}

// replace replaces a scalar.
func (e *editor) replace(old *yaml.Node, text string) bool {
	start, end, ok := e.span(old)
	e.edits = append(e.edits, edit{start, end, text})
	return ok
}

// addBehind adds a key with its value behind another in a mapping, in its style.
func (e *editor) addBehind(mapping, key, value *yaml.Node, pair string) bool {
	_, end, ok := e.span(value)
	if !ok {
		return false
	}
	if mapping.Style&yaml.FlowStyle != 0 {
		e.edits = append(e.edits, edit{end, end, ", " + pair})
		return true
	}
	at := end + bytes.IndexAny(append(e.text[end:len(e.text):len(e.text)], '\n'), "\r\n")
	if rest := strings.TrimLeft(string(e.text[end:at]), " \t"); rest != "" && rest[0] != '#' {
		return false
	}
	e.edits = append(e.edits, edit{at, at, e.lineBreak() + strings.Repeat(" ", key.Column-1) + pair})
	return true
}

// span is where a scalar stands that is written on one line, without escapes.
func (e *editor) span(n *yaml.Node) (start, end int, ok bool) {
	if n.Kind != yaml.ScalarNode || n.Line < 1 || n.Line > len(e.starts) {
		return 0, 0, false
	}
	start = e.starts[n.Line-1]
	for range n.Column - 1 {
		_, size := utf8.DecodeRune(e.text[start:])
		start += size
	}
	source := n.Value
	switch n.Style {
	case 0:
	case yaml.SingleQuotedStyle:
		source = "'" + source + "'"
	case yaml.DoubleQuotedStyle:
		source = `"` + source + `"`
	default:
		return 0, 0, false
	}
	return start, start + len(source), bytes.HasPrefix(e.text[start:], []byte(source))
}

// apply makes the edits, of which no two touch.
func (e *editor) apply() []byte {
	slices.SortFunc(e.edits, func(a, b edit) int { return cmp.Compare(a.start, b.start) })
	var out []byte
	at := 0
	for _, one := range e.edits {
		out = append(append(out, e.text[at:one.start]...), one.text...)
		at = one.end
	}
	return append(out, e.text[at:]...)
}

// lineBreak is the text's own.
func (e *editor) lineBreak() string {
	if i := bytes.IndexByte(e.text, '\n'); i > 0 && e.text[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// lineStarts is where the lines begin, at the line breaks that YAML 1.1 knows. A
// byte order mark is no character of the first one.
func lineStarts(text []byte) []int {
	starts := []int{len(text) - len(bytes.TrimPrefix(text, []byte(byteOrderMark)))}
	for i := starts[0]; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		i += size
		switch r {
		case '\r':
			if i < len(text) && text[i] == '\n' {
				i++
			}
			starts = append(starts, i)
		case '\n', '\u0085', '\u2028', '\u2029':
			starts = append(starts, i)
		}
	}
	return starts
}
