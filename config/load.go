package config

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"reflect"
	"runtime"

	"gopkg.in/yaml.v3"
)

// MaxFile is the size in bytes of the largest configuration file.
const MaxFile = 1 << 20

// Document is a configuration file as it stood when it was read.
type Document struct {
	Name     string
	Hash     string  // SHA-256 of the file's bytes, in hexadecimal
	Config   *Config // nil when there are Problems
	Problems Problems
	Warnings Problems
	source   *source
	data     []byte // the file's bytes; nil when it is too large
}

// Load reads the file at path; see Parse. Its error is that of a file that
// cannot be read, and wraps the cause, such as fs.ErrNotExist; what is wrong
// inside is in the Document. A file that holds a secret itself and that others
// may read has a warning.
func Load(path string, getenv func(string) string) (*Document, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	open := runtime.GOOS != "windows" && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0
	return parse(path, data, getenv, open), nil
}

// Parse reads a configuration, fills in the defaults and checks everything.
// name is the file's in problems; getenv gives the values of env.NAME, which
// must be there, and the region of AWS. The error of a bad file is a Problems
// that holds all of them; otherwise the Problems returned are warnings.
func Parse(name string, data []byte, getenv func(string) string) (*Config, Problems, error) {
	doc := parse(name, data, getenv, false)
	if len(doc.Problems) > 0 {
		return nil, doc.Warnings, doc.Problems
	}
	return doc.Config, doc.Warnings, nil
}

// parse reads a Document; open says that others than the owner may read the file.
func parse(name string, data []byte, getenv func(string) string, open bool) *Document {
	doc := &Document{Name: name, Hash: fmt.Sprintf("%x", sha256.Sum256(data))}
	if len(data) > MaxFile {
		doc.source = newSource(nil)
		doc.Problems = one(Pos{1, 1}, "the file is larger than 1 MiB")
		doc.Problems.finish(name, doc.source)
		return doc
	}
	doc.data = data
	data = bytes.TrimPrefix(data, []byte(byteOrderMark))
	doc.source = newSource(data)
	root, problems := parseTree(data)
	if problems != nil {
		problems.finish(name, doc.source)
		doc.Problems = problems
		return doc
	}
	d := &decoder{getenv: getenv, src: doc.source, at: places{}}
	c := new(Config)
	if d.config(root, c) {
		applyDefaults(c, d.at, getenv)
		v := &validator{decoder: d, c: c, root: posOf(root)}
		v.validate()
	}
	if open && d.literal.Line > 0 {
		d.warnings.add(d.literal, "", "a secret stands in this file and others may read it; chmod 600 it, or use env.NAME")
	}
	d.problems.finish(name, doc.source)
	d.warnings.finish(name, doc.source)
	doc.Problems, doc.Warnings = d.problems, d.warnings
	if len(doc.Problems) == 0 {
		doc.Config = c
	}
	return doc
}

// Provider returns the provider of that name, nil when there is none.
func (c *Config) Provider(name string) *Provider {
	for i := range c.Providers {
		if c.Providers[i].Name == name {
			return &c.Providers[i]
		}
	}
	return nil
}

// config reads the flat form and the one with everything under spec:, which may
// have the siblings of a Kubernetes object. It is false when there is nothing
// that could be judged.
func (d *decoder) config(root *yaml.Node, c *Config) bool {
	if !d.plain(root, "") {
		return false
	}
	if spec := child(root, "spec"); spec != nil {
		d.wrapper(root)
		root = spec
	}
	static := child(child(root, "auth"), "staticKeys")
	c.APIKeys = make([]ClientKey, 0, entries(child(root, "apiKeys"))+entries(static))
	return d.plain(root, "spec") && d.structure(root, reflect.ValueOf(c).Elem(), "", map[string]func(*yaml.Node){
		"auth": func(n *yaml.Node) { d.auth(n, c) },
	})
}

// wrapper checks what stands beside spec.
func (d *decoder) wrapper(root *yaml.Node) {
	names, fields := keysOf(reflect.TypeFor[Config]())
	for k := range d.pairs(root, "") {
		switch k.Value {
		case "spec", "apiVersion", "kind", "metadata":
			continue
		}
		if _, known := fields[k.Value]; known || k.Value == "auth" {
			d.showKey(k)
			d.fail(k, k.Value, "stands beside spec; all keys go either under spec or at the top")
		} else {
			d.unknown(k, "", names)
		}
	}
}

// auth is anthropic-proxy's: staticKeys are apiKeys, the rest has no meaning here.
func (d *decoder) auth(n *yaml.Node, c *Config) {
	if !d.plain(n, "auth") || isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.wrong(n, "auth", "a mapping of keys")
		return
	}
	for k, val := range d.pairs(n, "auth") {
		d.showKey(k)
		if k.Value != "staticKeys" {
			hint := "clients are known by apiKeys"
			if near := nearest(k.Value, []string{"staticKeys"}); near != "" {
				hint = "did you mean " + near + "?"
			}
			d.warnings.add(posOf(k), d.below("auth", k), "is not supported and has no effect; %s", hint)
			continue
		}
		if d.plain(val, "auth.staticKeys") {
			d.clientKeys(val, &c.APIKeys, "auth.staticKeys")
		}
	}
}

// child is the value of a key in a mapping, nil when there is none.
func child(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func entries(n *yaml.Node) int {
	if n == nil {
		return 0
	}
	return len(n.Content)
}
