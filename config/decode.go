package config

import (
	"fmt"
	"iter"
	"reflect"
	"strings"

	"gopkg.in/yaml.v3"
)

// place is where the file gives a value, and whether it could be read. The zero
// place is that of a key that seems to be misspelt.
type place struct {
	Pos
	key string // as problems name it
	ok  bool
}

// places are the values that a file gives, by the address of the field that
// each has filled. A field that is not there keeps its default.
type places map[any]place

// given reports whether the file has the key, readable or not.
func (ps places) given(field any) bool { _, ok := ps[field]; return ok }

// decoder fills a Config from YAML nodes, strictly, with the place of every
// value and every problem. yaml.v3's own decoder stops counting lines for some
// errors and stops at the first of others.
type decoder struct {
	getenv   func(string) string
	src      *source
	at       places
	problems Problems
	warnings Problems
	literal  Pos  // the first secret that stands in the file itself
	hidden   int  // > 0 inside values that no message may quote
	client   bool // inside apiKeys
}

func posOf(n *yaml.Node) Pos { return Pos{max(1, n.Line), max(1, n.Column)} }

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

func (d *decoder) fail(n *yaml.Node, key, format string, args ...any) bool {
	d.problems.add(posOf(n), key, format, args...)
	return false
}

// value fills v, which must be addressable, from n and notes its place.
func (d *decoder) value(n *yaml.Node, v reflect.Value, key string) bool {
	ok := d.plain(n, key) && d.decode(n, v, key)
	d.at[v.Addr().Interface()] = place{posOf(n), key, ok}
	return ok
}

// plain refuses what YAML has beyond plain data: anchors, aliases and tags.
// Without aliases no file can grow when it is read.
func (d *decoder) plain(n *yaml.Node, key string) bool {
	switch {
	case n.Kind == yaml.AliasNode:
		return d.fail(n, key, "YAML aliases are not supported; a value that begins with * must be quoted")
	case n.Anchor != "":
		return d.fail(n, key, "YAML anchors are not supported; a value that begins with & must be quoted")
	case n.Style&yaml.TaggedStyle != 0 || n.Tag == "!":
		return d.fail(n, key, "YAML tags are not supported; a value that begins with ! must be quoted")
	}
	return true
}

func (d *decoder) decode(n *yaml.Node, v reflect.Value, key string) bool {
	switch p := v.Addr().Interface().(type) {
	case *SecretRef:
		return d.secret(n, p, key)
	case *map[string]Secret:
		return d.headers(n, p, key)
	case *[]Provider:
		return d.providers(n, p, key)
	case *[]ClientKey:
		return d.clientKeys(n, p, key)
	case *StringList:
		return d.stringList(n, p, key)
	case *Duration:
		return scalar(d, n, p, key, parseDuration)
	case *Size:
		return scalar(d, n, p, key, parseSize)
	case *int:
		return scalar(d, n, p, key, parseInt)
	case *float64:
		return scalar(d, n, p, key, parseFloat)
	case *bool:
		return scalar(d, n, p, key, parseBool)
	}
	switch v.Kind() {
	case reflect.Struct:
		return d.structure(n, v, key, nil)
	case reflect.Slice:
		return d.list(n, v, key)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return d.decode(n, v.Elem(), key)
	case reflect.String:
		text, ok := d.text(n, key)
		v.SetString(text)
		return ok
	default:
		panic("config: no decoder for " + v.Type().String())
	}
}

// structure fills a struct by its yaml tags. A null is an empty mapping: what
// is left when every key below one is commented out. Keys in extra are handed
// to their function instead.
func (d *decoder) structure(n *yaml.Node, v reflect.Value, key string, extra map[string]func(*yaml.Node)) bool {
	if isNull(n) {
		return true
	}
	if n.Kind != yaml.MappingNode {
		return d.wrong(n, key, "a mapping of keys")
	}
	names, fields := keysOf(v.Type())
	for k, val := range d.pairs(n, key) {
		i, known := fields[k.Value]
		read, special := extra[k.Value]
		switch {
		case known:
			d.src.show(posOf(k), k.Value)
			d.value(val, v.Field(i), join(key, k.Value))
		case special:
			d.src.show(posOf(k), k.Value)
			read(val)
		default:
			meant := d.unknown(k, key, names)
			if i, is := fields[meant]; is && !d.at.given(v.Field(i).Addr().Interface()) {
				d.at[v.Field(i).Addr().Interface()] = place{} // not missing, misspelt
			}
		}
	}
	return true
}

// keysOf lists the keys of a struct in order, and the field of each.
func keysOf(t reflect.Type) (names []string, fields map[string]int) {
	fields = make(map[string]int, t.NumField())
	for i := range t.NumField() {
		if name := t.Field(i).Tag.Get("yaml"); name != "" && name != "-" {
			names, fields[name] = append(names, name), i
		}
	}
	return names, fields
}

// pairs are the keys and values of a mapping. It reports what cannot be a key
// and a key given twice, whose later values are passed over.
func (d *decoder) pairs(n *yaml.Node, key string) iter.Seq2[*yaml.Node, *yaml.Node] {
	return func(yield func(k, v *yaml.Node) bool) {
		lines := make(map[string]int, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			k := n.Content[i]
			if !d.plain(k, key) {
				continue
			}
			if k.ShortTag() == "!!merge" {
				d.fail(k, key, "YAML merge keys are not supported; write the keys out")
				continue
			}
			if k.Kind != yaml.ScalarNode || k.Value == "" {
				d.fail(k, key, "a key must be a word")
				continue
			}
			if line, twice := lines[k.Value]; twice {
				d.showKey(k)
				d.fail(k, d.below(key, k), "given twice, first in line %d", line)
				continue
			}
			lines[k.Value] = k.Line
			if !yield(k, n.Content[i+1]) {
				return
			}
		}
	}
}

// unknown reports a key that is none and returns the one that was meant, if
// that can be guessed. Its name is shown only where it cannot be a misplaced
// secret, its value never.
func (d *decoder) unknown(k *yaml.Node, key string, known []string) (meant string) {
	d.showKey(k)
	d.fail(k, d.below(key, k), "unknown key%s", suggest(k.Value, "known keys", known))
	return nearest(k.Value, known)
}

// showKey lets excerpts have a key that looks like one.
func (d *decoder) showKey(k *yaml.Node) {
	if d.hidden == 0 && nameOf(k.Value) == k.Value {
		d.src.show(posOf(k), k.Value)
	}
}

// below is the key of k in the mapping at key.
func (d *decoder) below(key string, k *yaml.Node) string {
	if d.hidden > 0 {
		return key
	}
	return join(key, nameOf(k.Value))
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, key string) bool {
	if isNull(n) {
		return true
	}
	if n.Kind != yaml.SequenceNode {
		return d.wrong(n, key, "a list")
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		e := v.Index(i)
		if e.Kind() == reflect.Struct {
			setPos(e, posOf(item))
		}
		d.value(item, e, fmt.Sprintf("%s[%d]", key, i))
	}
	return true
}

func setPos(v reflect.Value, at Pos) {
	if f := v.FieldByName("Pos"); f.IsValid() {
		f.Set(reflect.ValueOf(at))
	}
}

// stringList is a list, or a text that stands for a list of one.
func (d *decoder) stringList(n *yaml.Node, to *StringList, key string) bool {
	if n.Kind == yaml.SequenceNode {
		return d.list(n, reflect.ValueOf((*[]string)(to)).Elem(), key)
	}
	text, ok := d.text(n, key)
	*to = StringList{text}
	return ok
}

// providers is a mapping by name; its order is kept.
func (d *decoder) providers(n *yaml.Node, to *[]Provider, key string) bool {
	if isNull(n) {
		return true
	}
	if n.Kind != yaml.MappingNode {
		return d.wrong(n, key, "a mapping of names to providers")
	}
	*to = make([]Provider, 0, len(n.Content)/2) // never moved: places go by address
	for k, val := range d.pairs(n, key) {
		*to = append(*to, Provider{Name: k.Value, Pos: posOf(k)})
		p := &(*to)[len(*to)-1]
		name := d.below(key, k)
		if !validName.MatchString(p.Name) {
			d.fail(k, name, "a provider's name is 1 to 64 of A-Z a-z 0-9 . _ -")
		}
		d.showKey(k)
		d.value(val, reflect.ValueOf(p).Elem(), name)
	}
	return true
}

// clientKeys appends to keys, which has room for all that the file gives.
func (d *decoder) clientKeys(n *yaml.Node, to *[]ClientKey, key string) bool {
	if isNull(n) {
		return true
	}
	d.hidden++
	d.client = true
	defer func() { d.hidden--; d.client = false }()
	if n.Kind != yaml.SequenceNode {
		return d.wrong(n, key, "a list")
	}
	for i, item := range n.Content {
		*to = append(*to, ClientKey{})
		k := &(*to)[len(*to)-1]
		if item.Kind == yaml.MappingNode {
			d.value(item, reflect.ValueOf(k).Elem(), fmt.Sprintf("%s[%d]", key, i))
		} else {
			d.value(item, reflect.ValueOf(&k.Key).Elem(), fmt.Sprintf("%s[%d]", key, i))
		}
	}
	return true
}

// text is a scalar as the file writes it. A number or a date is a text too
// where one is asked for (apiVersion: 2024-10-21).
func (d *decoder) text(n *yaml.Node, key string) (string, bool) {
	if n.Kind != yaml.ScalarNode {
		return "", d.wrong(n, key, "a text")
	}
	switch n.ShortTag() {
	case "!!null":
		return "", d.wrong(n, key, "a text")
	case "!!bool":
		return "", d.fail(n, key, "must be a text; put it in quotes")
	}
	if strings.TrimSpace(n.Value) == "" {
		return "", d.fail(n, key, "is empty")
	}
	if hasControl(n.Value) {
		return "", d.fail(n, key, "holds a control character")
	}
	d.show(n)
	return n.Value, true
}

// show lets excerpts have a value that is harmless and written without quotes.
func (d *decoder) show(n *yaml.Node) {
	if d.hidden == 0 && n.Style == 0 && showable(n.Value) {
		d.src.show(posOf(n), n.Value)
	}
}

// wrong reports a value of another kind than the key has.
func (d *decoder) wrong(n *yaml.Node, key, want string) bool {
	got := ", found a text"
	switch {
	case isNull(n):
		got = ", found nothing"
	case n.Kind == yaml.MappingNode:
		got = ", found a mapping"
	case n.Kind == yaml.SequenceNode:
		got = ", found a list"
	}
	return d.fail(n, key, "must be %s%s", want, got)
}

// unread reports a scalar that cannot be read as its key wants it.
func (d *decoder) unread(n *yaml.Node, key, want string) bool {
	switch {
	case n.Kind != yaml.ScalarNode || isNull(n) || d.hidden > 0:
		return d.wrong(n, key, want)
	case n.Style != 0:
		return d.fail(n, key, "must be %s, found a text in quotes", want)
	}
	d.show(n)
	return d.fail(n, key, "must be %s%s", want, found(n.Value))
}
