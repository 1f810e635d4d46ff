package config_test

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"anyproxy/config"
)

// TestDiff holds what is told of every kind of change, first by meaning, then
// by the lines of the text.
func TestDiff(t *testing.T) {
	compareCases(t, "testdata/diffs/*.txt", func(t *testing.T, c testCase) string { return differences(t, c.yaml, c.to) })
}

func document(yaml string) *config.Document { return config.ParseDocument([]byte(yaml), getenv) }

func differences(t *testing.T, from, to string) string {
	t.Helper()
	a, b := document(from), document(to)
	if a.Config == nil || b.Config == nil {
		t.Fatalf("bad case: %v %v", a.Problems, b.Problems)
	}
	var out strings.Builder
	for _, c := range config.Diff(a.Config, b.Config) {
		fmt.Fprintf(&out, "%s %s", c.Kind, c.Path)
		if c.Secret {
			out.WriteString(" (secret)")
		}
		if c.Old != "" || c.New != "" {
			fmt.Fprintf(&out, ": %s → %s", c.Old, c.New)
		}
		out.WriteByte('\n')
	}
	for _, l := range config.TextDiff(a, b) {
		fmt.Fprintf(&out, "  | %2d %2d %s\n", l.Old, l.New, l.Text)
	}
	return out.String()
}

// TestDiffSeesEveryKey changes each value of a configuration that has all keys,
// one at a time: each must show, under its own path.
func TestDiffSeesEveryKey(t *testing.T) {
	data, err := os.ReadFile("testdata/good/everything.yaml")
	if err != nil {
		t.Fatal(err)
	}
	base := load(t, string(data))
	if changes := config.Diff(base, load(t, "# moved\n"+string(data))); len(changes) != 0 {
		t.Fatalf("the same configuration two lines lower: %v", changes)
	}
	var keys []string
	eachValue(reflect.ValueOf(load(t, string(data))).Elem(), "", func(key string, _ reflect.Value) { keys = append(keys, key) })
	if len(keys) < 100 {
		t.Fatalf("only %d values: %v", len(keys), keys)
	}
	for n, key := range keys {
		changed := load(t, string(data))
		at := 0
		eachValue(reflect.ValueOf(changed).Elem(), "", func(_ string, v reflect.Value) {
			if at == n {
				alter(t, v)
			}
			at++
		})
		seen := config.Diff(base, changed)
		if !slices.ContainsFunc(seen, func(c config.Change) bool { return tells(c, key) }) {
			t.Errorf("a change of %s shows as %v", key, seen)
		}
	}
}

// tells reports whether a change is that of the key. What names a model is no
// value of it: the one is removed, the other added.
func tells(c config.Change, key string) bool {
	switch {
	case key == "models.name" || key == "models.provider":
		return strings.HasPrefix(c.Path, "models[") && c.Kind == config.Added
	case strings.HasPrefix(key, "models.price."): // of a model without prices
		return strings.HasSuffix(c.Path, ".price") || strings.HasSuffix(c.Path, strings.TrimPrefix(key, "models"))
	case strings.HasPrefix(key, "providers.headers"):
		return strings.Contains(c.Path, ".headers.") && c.Secret
	}
	_, last, below := strings.Cut(key, ".")
	return c.Path == key || below && strings.HasSuffix(c.Path, "."+last)
}

// eachValue visits each value that a key stands for, by the types. A pointer
// to nothing is given something.
func eachValue(v reflect.Value, key string, visit func(key string, v reflect.Value)) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[config.SecretRef]() {
			visit(key, v)
			return
		}
		for i := range v.NumField() {
			if name := v.Type().Field(i).Tag.Get("yaml"); name != "" && name != "-" {
				eachValue(v.Field(i), strings.TrimPrefix(key+"."+name, "."), visit)
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() != reflect.Struct {
			visit(key, v)
			return
		}
		for i := range v.Len() {
			eachValue(v.Index(i), key, visit)
		}
	case reflect.Pointer:
		if v.Type().Elem().Kind() == reflect.Struct {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
				defer func() {
					if v.Elem().IsZero() {
						v.SetZero()
					}
				}()
			}
			eachValue(v.Elem(), key, visit)
			return
		}
		visit(key, v)
	default:
		visit(key, v)
	}
}

// alter gives v another value of its type.
func alter(t *testing.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int, reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Float64:
		v.SetFloat(v.Float() + 1)
	case reflect.Slice:
		v.Set(reflect.Append(v, reflect.ValueOf("another")))
	case reflect.Pointer:
		yes := v.IsNil() || !v.Elem().Bool()
		v.Set(reflect.ValueOf(&yes))
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]config.Secret{"X-Other": config.NewSecret("other")}))
	case reflect.Struct:
		v.Set(reflect.ValueOf(config.SecretRef{Kind: config.SecretEnv, Name: "ANOTHER"}))
	default:
		t.Fatalf("no other value for a %s", v.Type())
	}
}

func TestSecretRefEqual(t *testing.T) {
	refs := []config.SecretRef{
		{},
		{Kind: config.SecretLiteral, Literal: config.NewSecret("one")},
		{Kind: config.SecretLiteral, Literal: config.NewSecret("two")},
		{Kind: config.SecretEnv, Name: "A"},
		{Kind: config.SecretFile, Name: "A"},
		{Kind: config.SecretCommand, Command: []string{"a", "b"}},
		{Kind: config.SecretCommand, Command: []string{"a b"}},
		{Kind: config.SecretCommand, Command: []string{"a b"}, TTL: 1},
		{Kind: config.SecretOAuth, OAuth: &config.OAuth{ClientID: "a"}},
		{Kind: config.SecretOAuth, OAuth: &config.OAuth{TokenURL: "a"}},
		{Kind: config.SecretOAuth, OAuth: &config.OAuth{RefreshToken: config.SecretRef{Kind: config.SecretEnv, Name: "A"}}},
		{Kind: config.SecretPool, Pool: []config.SecretRef{{Kind: config.SecretEnv, Name: "A"}}},
		{Kind: config.SecretPool, Pool: []config.SecretRef{{Kind: config.SecretEnv, Name: "B"}}},
		{Kind: config.SecretRandom},
	}
	for i, r := range refs {
		for j, s := range refs {
			s.Pos = config.Pos{Line: 7}
			if r.Equal(s) != (i == j) {
				t.Errorf("%v and %v: equal %v", fields(r), fields(s), r.Equal(s))
			}
		}
	}
}

func TestProviderEqual(t *testing.T) {
	p := config.Provider{Name: "a", Endpoint: "https://a.example", Headers: map[string]config.Secret{"X": config.NewSecret("x")}}
	q := p
	q.Pos, q.Headers = config.Pos{Line: 3}, map[string]config.Secret{"X": config.NewSecret("x")}
	if !p.Equal(q) {
		t.Error("the same in another place is not equal")
	}
	q.Headers["X"] = config.NewSecret("y")
	if p.Equal(q) {
		t.Error("another header is equal")
	}
	q = p
	q.Name = "b"
	if p.Equal(q) {
		t.Error("another name is equal")
	}
}

// TestTextDiffOfLongFiles has regions too long to be compared line by line.
func TestTextDiffOfLongFiles(t *testing.T) {
	long := func(line string) *config.Document { return document(strings.Repeat(line+"\n", 1500)) }
	a, b := long("# one"), long("# two")
	lines := config.TextDiff(a, b)
	if len(lines) != 3000 {
		t.Errorf("%d lines", len(lines))
	}
	if lines := config.TextDiff(a, a); lines != nil {
		t.Errorf("no change gives %d lines", len(lines))
	}
}
