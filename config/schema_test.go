package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"anyproxy/config"

	"gopkg.in/yaml.v3"
)

const (
	schemaFile = "../docs/config.schema.json"
	docsFile   = "../docs/config.md"
)

// object is a JSON object, and each part of a schema.
type object = map[string]any

// docs are the rows of the tables of docs/config.md, by key.
type docs map[string]struct{ value, def, meaning string }

func readDocs(t *testing.T) (rows docs, order []string) {
	t.Helper()
	data, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	rows = docs{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (.*) \\| (.*) \\| (.*) \\|$").FindAllStringSubmatch(string(data), -1) {
		if _, twice := rows[m[1]]; twice {
			t.Errorf("%s is there twice", m[1])
		}
		rows[m[1]] = struct{ value, def, meaning string }{m[2], m[3], m[4]}
		order = append(order, m[1])
	}
	return rows, order
}

// TestDocsHaveEveryKey compares the tables with the types: each key, no other,
// and the default that it really has.
func TestDocsHaveEveryKey(t *testing.T) {
	rows, order := readDocs(t)
	var keys []string
	eachKey(reflect.ValueOf(config.Defaults()).Elem(), "", func(key string, def reflect.Value) {
		keys = append(keys, key)
		row, ok := rows[key]
		if !ok {
			t.Errorf("%s does not explain %s", docsFile, key)
			return
		}
		switch text := config.ValueText(def); {
		case def.IsZero():
			if strings.HasPrefix(row.def, "`") {
				t.Errorf("%s: the default is said to be %s, there is none", key, row.def)
			}
		default:
			if key != "apiKeys[].name" && !strings.HasPrefix(row.def, "`"+text+"`") {
				t.Errorf("%s: the default is said to be %s, it is %s", key, row.def, text)
			}
		}
		for _, choice := range config.Choices[def.Type()] {
			if !slices.Contains(strings.Split(row.value, ", "), choice) {
				t.Errorf("%s: the values are said to be %s, without %s", key, row.value, choice)
			}
		}
	})
	for _, key := range order {
		if !slices.Contains(keys, key) {
			t.Errorf("%s explains %s, which is no key", docsFile, key)
		}
	}
}

// eachKey visits the keys that hold a value, as the documentation names them.
func eachKey(v reflect.Value, path string, visit func(key string, v reflect.Value)) {
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("yaml")
		if name == "" || name == "-" {
			continue
		}
		key, f := strings.TrimPrefix(path+"."+name, "."), v.Field(i)
		switch f.Type() {
		case reflect.TypeFor[[]config.Provider]():
			key, f = key+".NAME", f.Index(0)
		case reflect.TypeFor[[]config.Model](), reflect.TypeFor[[]config.ClientKey]():
			key, f = key+"[]", f.Index(0)
		case reflect.TypeFor[*config.Price]():
			f = reflect.Zero(f.Type().Elem())
		}
		if f.Kind() == reflect.Struct && f.Type() != reflect.TypeFor[config.SecretRef]() {
			eachKey(f, key, visit)
		} else {
			visit(key, f)
		}
	}
}

// TestSchema compares docs/config.schema.json with the types, whose
// descriptions are those of docs/config.md.
func TestSchema(t *testing.T) {
	got := schemaText(t)
	if *update {
		if err := os.WriteFile(schemaFile, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(schemaFile)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what the types give (%v): go test ./config -run TestSchema -update", schemaFile, err)
	}
}

func schemaText(t *testing.T) []byte {
	t.Helper()
	rows, _ := readDocs(t)
	text, err := json.MarshalIndent(schema(rows), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

func schema(rows docs) object {
	s := schemaMaker{rows}
	flat := s.structure("", reflect.ValueOf(config.Defaults()).Elem())
	flat["required"] = []string{"providers", "models"}
	flat["properties"].(object)["auth"] = object{"type": "object", "description": "anthropic-proxy's; staticKeys are apiKeys, the rest has no effect."}
	return object{
		"$schema": "http://json-schema.org/draft-07/schema#",
		"title":   "anyproxy's config.yaml",
		"if":      object{"type": "object", "required": []string{"spec"}},
		"then": object{"properties": object{"spec": object{"$ref": "#/definitions/config"}, "apiVersion": object{}, "kind": object{}, "metadata": object{}},
			"additionalProperties": false},
		"else": object{"$ref": "#/definitions/config"},
		"definitions": object{
			"config":    flat,
			"oneSecret": object{"anyOf": append(secretForms(), oauthForm())},
			"secret": object{"anyOf": []any{object{"$ref": "#/definitions/oneSecret"},
				object{"type": "array", "minItems": 1, "items": object{"$ref": "#/definitions/oneSecret"}}}},
			"clientSecret": object{"anyOf": secretForms()},
		},
	}
}

var anyText = object{"type": []string{"string", "number"}}

func secretForms() []any {
	return []any{
		anyText,
		closed(object{"cmd": object{"type": "array", "minItems": 1, "items": anyText}, "ttl": durationSchema()}, "cmd"),
		closed(object{"keyring": closed(object{"service": anyText, "user": anyText}, "service", "user")}, "keyring"),
	}
}

func oauthForm() object {
	return closed(object{"oauth": closed(object{"tokenUrl": anyText, "clientId": anyText, "refreshToken": object{"$ref": "#/definitions/oneSecret"}},
		"tokenUrl", "clientId", "refreshToken")}, "oauth")
}

func closed(properties object, required ...string) object {
	return object{"type": "object", "properties": properties, "additionalProperties": false, "required": required}
}

func durationSchema() object {
	return object{"type": "string", "pattern": `^([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h))*$`}
}

// bounds are the ranges that validation keeps to; TestSchemaBounds compares.
var bounds = map[string]object{
	"apiKeys[].dailyBudget":        {"minimum": 0},
	"providers.NAME.maxConcurrent": {"minimum": 0},
	"providers.NAME.dailyBudget":   {"minimum": 0},
	"models[].weight":              {"minimum": 0},
	"models[].tier":                {"minimum": 1},
	"models[].context":             {"minimum": 1},
	"models[].maxOutput":           {"minimum": 1},
	"models[].price.input":         {"minimum": 0},
	"models[].price.output":        {"minimum": 0},
	"models[].price.cacheRead":     {"minimum": 0},
	"models[].price.cacheWrite":    {"minimum": 0},
	"models[].price.cacheWrite1h":  {"minimum": 0},
	"routing.tpsThreshold":         {"minimum": 0},
	"retry.maxRetries":             {"minimum": 0},
	"retry.backoffMultiplier":      {"minimum": 1},
	"budget.daily":                 {"minimum": 0},
	"budget.alertAt":               {"minimum": 0, "maximum": 100},
	"alerts.fallbackRate":          {"minimum": 0, "maximum": 1},
	"log.keep":                     {"minimum": 0},
	"state.keepDays":               {"minimum": 1},
}

// schemaMaker turns types into schemas.
type schemaMaker struct{ docs docs }

// structure allows null: what is left when every key is commented out.
func (s schemaMaker) structure(path string, v reflect.Value) object {
	properties := object{}
	for i := range v.NumField() {
		if name := v.Type().Field(i).Tag.Get("yaml"); name != "" && name != "-" {
			properties[name] = s.value(strings.TrimPrefix(path+"."+name, "."), v.Field(i))
		}
	}
	return object{"type": []string{"object", "null"}, "properties": properties, "additionalProperties": false}
}

func (s schemaMaker) value(key string, v reflect.Value) object {
	var out object
	switch v.Type() {
	case reflect.TypeFor[[]config.Provider]():
		return s.providers(key, v.Index(0))
	case reflect.TypeFor[[]config.Model]():
		entry := s.structure(key+"[]", v.Index(0))
		entry["type"], entry["required"] = "object", []string{"provider"}
		entry["anyOf"] = []any{object{"required": []string{"name"}}, object{"required": []string{"alias"}}}
		return object{"type": "array", "minItems": 1, "items": entry, "description": "What clients may ask for, and who answers."}
	case reflect.TypeFor[[]config.ClientKey]():
		entry := s.structure(key+"[]", v.Index(0))
		entry["type"], entry["required"] = "object", []string{"key"}
		return object{"type": []string{"array", "null"}, "items": object{"anyOf": []any{object{"$ref": "#/definitions/clientSecret"}, entry}},
			"description": "What clients must present; none = open, on loopback only."}
	case reflect.TypeFor[config.SecretRef]():
		out = object{"$ref": "#/definitions/secret"}
		if strings.HasPrefix(key, "apiKeys") {
			out = object{"$ref": "#/definitions/clientSecret"}
		}
		out = object{"allOf": []any{out}} // beside a $ref nothing else counts
	case reflect.TypeFor[map[string]config.Secret]():
		out = object{"type": []string{"object", "null"}, "additionalProperties": anyText}
	case reflect.TypeFor[config.StringList]():
		out = object{"anyOf": []any{anyText, object{"type": "array", "items": anyText}}}
	case reflect.TypeFor[[]string]():
		out = object{"type": []string{"array", "null"}, "items": anyText}
	case reflect.TypeFor[config.Duration]():
		out = durationSchema()
	case reflect.TypeFor[config.Size]():
		out = object{"anyOf": []any{object{"type": "integer", "minimum": 1}, object{"type": "string", "pattern": "^[0-9]+ *(KiB|MiB|GiB|KB|MB|GB|B)$"}}}
	default:
		out = s.plain(key, v)
	}
	if out == nil {
		return s.structure(key, structOf(v))
	}
	out["description"] = s.docs[key].meaning
	switch kind := v.Kind(); {
	case v.IsZero() || key == "apiKeys[].name":
	case kind == reflect.Int || kind == reflect.Float64:
		out["default"] = v.Interface()
	default:
		out["default"] = config.ValueText(v)
	}
	return out
}

// plain gives a schema to what is one word or number, nil to a struct.
func (s schemaMaker) plain(key string, v reflect.Value) object {
	out := object{}
	for name, limit := range bounds[key] {
		out[name] = limit
	}
	switch kind := v.Kind(); {
	case key == "providers.NAME.tls.minVersion":
		return object{"enum": []any{"1.2", "1.3", 1.2, 1.3}}
	case config.Choices[v.Type()] != nil:
		out["enum"] = config.Choices[v.Type()]
	case kind == reflect.String:
		out["type"] = anyText["type"]
	case kind == reflect.Int:
		out["type"] = "integer"
	case kind == reflect.Float64:
		out["type"] = "number"
	case kind == reflect.Bool, v.Type() == reflect.TypeFor[*bool]():
		out["type"] = "boolean"
	default:
		return nil
	}
	return out
}

func structOf(v reflect.Value) reflect.Value {
	if v.Kind() == reflect.Pointer {
		return reflect.Zero(v.Type().Elem())
	}
	return v
}

// providers need an endpoint but for Bedrock.
func (s schemaMaker) providers(key string, v reflect.Value) object {
	entry := s.structure(key+".NAME", v)
	entry["type"] = "object"
	entry["if"] = object{"required": []string{"type"}, "properties": object{"type": object{"const": "bedrock"}}}
	entry["else"] = object{"required": []string{"endpoint"}}
	return object{"type": "object", "minProperties": 1, "propertyNames": object{"pattern": "^[A-Za-z0-9._-]{1,64}$"}, "additionalProperties": entry,
		"description": "Where requests can go, by a name of yours."}
}

// satisfies judges a value of YAML by the part of JSON Schema that is used
// here, and says what is wrong first.
func satisfies(root, s object, v any, at string) error {
	if ref, is := s["$ref"].(string); is {
		name := strings.TrimPrefix(ref, "#/definitions/")
		return satisfies(root, root["definitions"].(object)[name].(object), v, at)
	}
	for key, arg := range s {
		if err := keyword(root, s, key, arg, v, at); err != nil {
			return err
		}
	}
	return nil
}

func keyword(root, s object, key string, arg, v any, at string) error {
	wrong := func(ok bool) error {
		if ok {
			return nil
		}
		return fmt.Errorf("%s: %v: not %s %v", at, v, key, arg)
	}
	m, isObject := v.(object)
	list, isList := v.([]any)
	number, isNumber := numberOf(v)
	text, isText := v.(string)
	switch key {
	case "$schema", "title", "description", "default", "definitions", "then", "else":
		return nil // words, or judged with their neighbours
	case "type":
		return wrong(slices.ContainsFunc(listOf(arg), func(t any) bool { return t == typeOf(v) || t == "number" && typeOf(v) == "integer" }))
	case "enum":
		return wrong(slices.ContainsFunc(listOf(arg), func(e any) bool { return fmt.Sprint(e) == fmt.Sprint(v) }))
	case "const":
		return wrong(v == arg)
	case "minimum":
		limit, _ := numberOf(arg)
		return wrong(!isNumber || number >= limit)
	case "maximum":
		limit, _ := numberOf(arg)
		return wrong(!isNumber || number <= limit)
	case "pattern":
		return wrong(!isText || regexp.MustCompile(arg.(string)).MatchString(text))
	case "minItems":
		limit, _ := numberOf(arg)
		return wrong(!isList || float64(len(list)) >= limit)
	case "minProperties":
		limit, _ := numberOf(arg)
		return wrong(!isObject || float64(len(m)) >= limit)
	case "required":
		return wrong(!isObject || !slices.ContainsFunc(listOf(arg), func(k any) bool { _, has := m[k.(string)]; return !has }))
	case "propertyNames":
		for name := range m {
			if err := satisfies(root, arg.(object), name, at+"."+name); err != nil {
				return err
			}
		}
	case "items":
		for i, item := range list {
			if err := satisfies(root, arg.(object), item, fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
	case "properties":
		for name, next := range arg.(object) {
			if inner, has := m[name]; has {
				if err := satisfies(root, next.(object), inner, at+"."+name); err != nil {
					return err
				}
			}
		}
	case "additionalProperties":
		return additional(root, s, m, at)
	case "anyOf", "allOf":
		var bad []error
		for _, option := range listOf(arg) {
			if err := satisfies(root, option.(object), v, at); err != nil {
				bad = append(bad, err)
			}
		}
		return wrong(len(bad) == 0 || key == "anyOf" && len(bad) < len(listOf(arg)))
	case "if":
		branch := "then"
		if satisfies(root, arg.(object), v, at) != nil {
			branch = "else"
		}
		if next, has := s[branch].(object); has {
			return satisfies(root, next, v, at)
		}
	default:
		return fmt.Errorf("%s: the schema uses %s, which this test does not know", at, key)
	}
	return nil
}

// additional judges what properties does not name.
func additional(root, s, m object, at string) error {
	known, _ := s["properties"].(object)
	for name, v := range m {
		if _, is := known[name]; is {
			continue
		}
		next, is := s["additionalProperties"].(object)
		if !is {
			return fmt.Errorf("%s.%s: unknown", at, name)
		}
		if err := satisfies(root, next, v, at+"."+name); err != nil {
			return err
		}
	}
	return nil
}

func listOf(v any) []any {
	if list, is := v.([]any); is {
		return list
	}
	return []any{v}
}

func numberOf(v any) (float64, bool) {
	f, err := strconv.ParseFloat(fmt.Sprint(v), 64)
	_, isText := v.(string)
	return f, err == nil && !isText
}

func typeOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "string"
	case bool:
		return "boolean"
	case int:
		return "integer"
	case float64:
		return "number"
	case []any:
		return "array"
	default:
		return "object"
	}
}

// shipped is the schema as a file, which has only JSON's types.
func shipped(t *testing.T) (root object) {
	t.Helper()
	if err := json.Unmarshal(schemaText(t), &root); err != nil {
		t.Fatal(err)
	}
	return root
}

// tree reads YAML as an editor does: dates are texts.
func tree(t *testing.T, data []byte) (v any) {
	t.Helper()
	if err := yaml.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return asJSON(v)
}

func asJSON(v any) any {
	switch x := v.(type) {
	case object:
		for k := range x {
			x[k] = asJSON(x[k])
		}
	case []any:
		for i := range x {
			x[i] = asJSON(x[i])
		}
	case fmt.Stringer: // a date
		return x.String()
	}
	return v
}

// TestSchemaTakesWhatIsGood asks it about every file that is in order.
func TestSchemaTakesWhatIsGood(t *testing.T) {
	root := shipped(t)
	files, err := filepath.Glob("testdata/good/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, path := range append(files, example) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts := [][]byte{data}
		if path == example {
			texts = append(texts, switchOn(data))
		}
		for _, text := range texts {
			if err := satisfies(root, root, tree(t, text), ""); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
}

// TestSchemaRefusesWhatIsBad changes a good file. What the schema refuses must
// be a mistake for the program too.
func TestSchemaRefusesWhatIsBad(t *testing.T) {
	root := shipped(t)
	const good = `
providers:
  a: {type: anthropic, endpoint: https://a.example, apiKey: env.KEY, timeouts: {idle: 5s}, tls: {}}
models: [{name: m, provider: a, price: {}, capabilities: {}}]
apiKeys: [{name: k, key: env.KEY}]
routing: {policy: weighted}
retry: {}
budget: {}
alerts: {}
log: {maxSize: 1MB}
state: {}
`
	both := func(text string) (bySchema error, byProgram error) {
		bySchema = satisfies(root, root, tree(t, []byte(text)), "")
		_, _, byProgram = config.Parse("f.yaml", []byte(text), getenv)
		return bySchema, byProgram
	}
	if bySchema, byProgram := both(good); bySchema != nil || byProgram != nil {
		t.Fatal(bySchema, byProgram)
	}
	for _, c := range [][2]string{
		{"routing:", "colour: blue\nrouting:"}, {"policy:", "polcy:"}, {"retry: {", "retry: {x: 1"}, {"budget: {", "budget: {x: 1"}, {"alerts: {", "alerts: {x: 1"},
		{"log: {", "log: {x: 1, "}, {"state: {", "state: {x: 1"}, {"price: {", "price: {x: 1"}, {"capabilities: {", "capabilities: {x: 1"}, {"tls: {", "tls: {x: 1"},
		{"idle:", "idel:"}, {"type: anthropic,", "typ: anthropic,"}, {"{name: m", "{nam: m"}, {"{name: k", "{nam: k"},
		{"type: anthropic", "type: gemini"}, {"policy: weighted", "policy: random"}, {"endpoint: https://a.example,", ""}, {"name: m, ", ""}, {", provider: a", ""},
		{"idle: 5s", "idle: 5"}, {"idle: 5s", "idle: 5 seconds"}, {"maxSize: 1MB", "maxSize: 1 TB"}, {"maxSize: 1MB", "maxSize: 0"}, {", key: env.KEY}", "}"},
		{"  a: {", "  'a b': {"}, {"models: [", "model: ["}, {"apiKey: env.KEY", "apiKey: []"}, {"apiKey: env.KEY", "apiKey: {cmd: []}"},
		{"apiKey: env.KEY", "apiKey: {keyring: {service: x}}"}, {"apiKey: env.KEY", "apiKey: {oauth: {tokenUrl: https://x.example}}"}, {"key: env.KEY}]", "key: [env.KEY]}]"},
		{"apiKey: env.KEY", "apiKey: {cmd: [x], keyring: {service: x, user: y}}"}, {"tls: {", "tls: {minVersion: 1.1"}, {"tls: {", "tls: {pins: sha256"},
	} {
		text := strings.Replace(good, c[0], c[1], 1)
		if text == good {
			t.Fatalf("%q is not in the file", c[0])
		}
		if bySchema, byProgram := both(text); bySchema == nil || byProgram == nil {
			t.Errorf("%s instead of %s: the schema says %v, the program %v", c[1], c[0], bySchema, byProgram)
		}
	}
}

// TestSchemaBounds holds that the ranges are those of the program: the last
// value inside is taken, the first one outside is not.
func TestSchemaBounds(t *testing.T) {
	for key, limits := range bounds {
		for name, limit := range limits {
			inside, _ := numberOf(limit)
			outside := inside - 1
			if name == "maximum" {
				outside = inside + 1
			}
			for value, want := range map[float64]bool{inside: true, outside: false} {
				_, _, err := config.Parse("f.yaml", []byte(fileWith(key, value)), getenv)
				if (err == nil) != want {
					t.Errorf("%s: %v: %v", key, value, err)
				}
			}
		}
	}
	eachKey(reflect.ValueOf(config.Defaults()).Elem(), "", func(key string, v reflect.Value) {
		if k := v.Kind(); (k == reflect.Int || k == reflect.Float64) && bounds[key] == nil {
			t.Errorf("%s is a number without bounds", key)
		}
	})
}

// fileWith is a configuration in which the key has the value.
func fileWith(key string, value float64) string {
	provider, model, client, rest := "", "", "", ""
	flow := func(path string) string { // price.input → price: {input: 3}
		outer, inner, nested := strings.Cut(path, ".")
		if nested {
			return fmt.Sprintf("%s: {%s: %v}", outer, inner, value)
		}
		return fmt.Sprintf("%s: %v", outer, value)
	}
	if path, is := strings.CutPrefix(key, "providers.NAME."); is {
		provider = ", " + flow(path)
	} else if path, is := strings.CutPrefix(key, "models[]."); is {
		model = ", " + flow(path)
	} else if path, is := strings.CutPrefix(key, "apiKeys[]."); is {
		client = ", " + flow(path)
	} else {
		rest = flow(key) + "\n"
	}
	return fmt.Sprintf("providers: {a: {endpoint: https://a.example, apiKey: env.KEY%s}}\nmodels: [{name: m, provider: a%s}]\napiKeys: [{key: env.KEY%s}]\n%s", provider, model, client, rest)
}
