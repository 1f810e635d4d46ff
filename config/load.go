package config

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"reflect"
	"runtime"

	"gopkg.in/yaml.v3"
)

// MaxFile is the size in bytes of the largest configuration file.
const MaxFile = 1 << 20

// Load reads the file at path; see Parse. A file that cannot be read is an
// error that wraps the cause, such as fs.ErrNotExist. A file that holds a
// secret itself and that others may read is a warning.
func Load(path string, getenv func(string) string) (*Config, Problems, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("read config: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, nil, fmt.Errorf("read config: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, nil, fmt.Errorf("read config: %w", err)
	}
	open := runtime.GOOS != "windows" && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0
	return parse(path, data, getenv, open)
}

// Parse reads a configuration, fills in the defaults and checks everything.
// name is the file's in problems; getenv gives the values of env.NAME, which
// must be there, and the region of AWS. The error of a bad file is a Problems
// that holds all of them; otherwise the Problems returned are warnings.
func Parse(name string, data []byte, getenv func(string) string) (*Config, Problems, error) {
	return parse(name, data, getenv, false)
}

// parse is Parse; open says that others than the owner may read the file.
func parse(name string, data []byte, getenv func(string) string, open bool) (*Config, Problems, error) {
	if len(data) > MaxFile {
		ps := one(Pos{1, 1}, "the file is larger than 1 MiB")
		ps.finish(name, newSource(nil))
		return nil, nil, ps
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	src := newSource(data)
	root, problems := parseTree(data)
	if problems != nil {
		problems.finish(name, src)
		return nil, nil, problems
	}
	d := &decoder{getenv: getenv, src: src, at: places{}}
	c := new(Config)
	if d.config(root, c) {
		applyDefaults(c, d.at, getenv)
		v := &validator{decoder: d, c: c, root: posOf(root)}
		v.validate()
	}
	if open && d.literal.Line > 0 {
		d.warnings.add(d.literal, "", "a secret stands in this file and others may read it; chmod 600 it, or use env.NAME")
	}
	d.problems.finish(name, src)
	d.warnings.finish(name, src)
	if len(d.problems) > 0 {
		return nil, d.warnings, d.problems
	}
	return c, d.warnings, nil
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
