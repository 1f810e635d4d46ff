package config_test

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"anyproxy/config"

	"gopkg.in/yaml.v3"
)

const example = "../example.config.yaml"

// anyEnvironment has every variable, with a value that fits them all.
func anyEnvironment(string) string { return "https://example.com/value" }

// TestExample loads the example as it is and with every setting switched on.
func TestExample(t *testing.T) {
	data, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	asItIs, warnings, err := config.Parse(example, data, anyEnvironment)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("as it is: error %v, warnings %v", err, warnings)
	}
	full, warnings, err := config.Parse(example, switchOn(data), anyEnvironment)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("switched on: error %v, warnings %v", err, warnings)
	}
	if len(full.Providers) <= len(asItIs.Providers) || len(full.Models) <= len(asItIs.Models) {
		t.Error("switching on has added nothing")
	}
	defaults := config.Default()
	full.Log.File, full.State.Path = defaults.Log.File, defaults.State.Path // shown as examples
	for _, pair := range [][2]any{
		{full.Listen, defaults.Listen}, {full.Routing, defaults.Routing}, {full.Retry, defaults.Retry}, {full.Budget, defaults.Budget},
		{full.DrainTimeout, defaults.DrainTimeout}, {full.Log, defaults.Log}, {full.State, defaults.State},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("the example says that the default is %+v, it is %+v", pair[0], pair[1])
		}
	}
}

// TestExampleNamesTheSchema holds that an editor finds it.
func TestExampleNamesTheSchema(t *testing.T) {
	data, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(data), "\n")
	name, ok := strings.CutPrefix(first, "# yaml-language-server: $schema=")
	if !ok {
		t.Fatalf("the example begins with %q", first)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(example), name)); err != nil {
		t.Error(err)
	}
}

// TestExampleHasEveryKey walks the types: each key must stand in the example,
// in its place, on or switched off.
func TestExampleHasEveryKey(t *testing.T) {
	data, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	if err := yaml.Unmarshal(switchOn(data), &tree); err != nil {
		t.Fatal(err)
	}
	wantKeys(t, "", reflect.TypeFor[config.Config](), []any{tree})
}

// wantKeys looks for each key of a struct in at least one of the nodes that
// have its type.
func wantKeys(t *testing.T, path string, typ reflect.Type, nodes []any) {
	for i := range typ.NumField() {
		f := typ.Field(i)
		key := f.Tag.Get("yaml")
		if key == "" || key == "-" {
			continue
		}
		var values []any
		for _, n := range nodes {
			if m, is := n.(map[string]any); is {
				if v, has := m[key]; has {
					values = append(values, entries(f.Type, v)...)
				}
			}
		}
		if len(values) == 0 {
			t.Errorf("%s%s is not in the example", path, key)
		}
		if inner := elem(f.Type); inner.Kind() == reflect.Struct && inner != reflect.TypeFor[config.SecretRef]() && inner != reflect.TypeFor[config.Secret]() {
			wantKeys(t, path+key+".", inner, values)
		}
	}
}

func elem(t reflect.Type) reflect.Type {
	if k := t.Kind(); k == reflect.Slice || k == reflect.Pointer || k == reflect.Map {
		return t.Elem()
	}
	return t
}

// entries are the items of a list, or of the mapping that providers are.
func entries(t reflect.Type, v any) []any {
	switch m := v.(type) {
	case []any:
		return m
	case map[string]any:
		if t == reflect.TypeFor[[]config.Provider]() {
			var all []any
			for _, p := range m {
				all = append(all, p)
			}
			return all
		}
	}
	return []any{v}
}

// switchOn takes the # away from settings, as the example's head explains.
func switchOn(data []byte) []byte {
	lines := bytes.Split(data, []byte("\n"))
	for i, line := range lines {
		text := bytes.TrimLeft(line, " ")
		comment := len(text) < 3 || text[0] != '#' || text[1] == ' ' && text[2] != ' '
		if !comment {
			lines[i] = slices.Concat(line[:len(line)-len(text)], text[1:])
		}
	}
	return bytes.Join(lines, []byte("\n"))
}
