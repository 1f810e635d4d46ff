package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// valueText is a value without secrets as a file would give it, "" for nothing.
func valueText(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case Duration:
		return durationText(x)
	case Size:
		return sizeText(x)
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return ""
		}
		return valueText(v.Elem())
	case reflect.Slice:
		items := make([]string, v.Len())
		for i := range items {
			items[i] = valueText(v.Index(i))
		}
		return strings.Join(items, ", ")
	case reflect.Struct:
		return "{" + keysText(v, reflect.Zero(v.Type())) + "}"
	case reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	default:
		return printable(fmt.Sprint(v.Interface()))
	}
}

// printable is a text of the file as it may be shown: a terminal obeys nothing
// in it, and what looks like a key in the wrong place is hidden.
func printable(s string) string {
	if secretStart.MatchString(s) {
		return dots
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// durationText leaves out the zeros that time.Duration adds: 5m, not 5m0s.
func durationText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// sizeText uses the largest unit that makes a whole number.
func sizeText(n Size) string {
	best := sizeUnits[len(sizeUnits)-1]
	for _, u := range sizeUnits {
		if n != 0 && int64(n)%u.bytes == 0 && u.bytes > best.bytes {
			best = u
		}
	}
	return fmt.Sprintf("%d%s", int64(n)/best.bytes, best.name)
}

// keysText lists the keys of a struct whose values are not those of usual,
// without those in skip. A secret is told as dots.
func keysText(v, usual reflect.Value, skip ...string) string {
	names, index := keysOf(v.Type())
	var out []string
	for _, name := range names {
		f, u := v.Field(index[name]), usual.Field(index[name])
		d := &differ{}
		if d.value("", u, f); len(d.changes) == 0 || slices.Contains(skip, name) {
			continue
		}
		out = append(out, name+": "+keyText(f, u))
	}
	return strings.Join(out, ", ")
}

func keyText(v, usual reflect.Value) string {
	switch x := v.Interface().(type) {
	case SecretRef:
		return dots
	case map[string]Secret:
		var items []string
		for _, name := range slices.Sorted(maps.Keys(x)) {
			items = append(items, nameOf(name)+": "+dots)
		}
		return "{" + strings.Join(items, ", ") + "}"
	}
	if v.Kind() == reflect.Struct {
		return "{" + keysText(v, usual) + "}"
	}
	if v.Kind() == reflect.Slice && v.Len() > 1 {
		return "[" + valueText(v) + "]"
	}
	return valueText(v)
}

func describeProvider(p *Provider) string {
	usual := Provider{Type: p.Type}
	providerDefaults(&usual, places{&usual.Type: {}, &usual.Region: {}}, func(string) string { return "" })
	usual.Type = Anthropic
	return keysText(reflect.ValueOf(*p), reflect.ValueOf(usual))
}

func describeModel(m *Model) string {
	var usual Model
	modelDefaults(&usual, nil)
	return keysText(reflect.ValueOf(*m), reflect.ValueOf(usual), "name", "provider") // both are in its path
}

func describeClientKey(k *ClientKey) string {
	return keysText(reflect.ValueOf(*k), reflect.ValueOf(ClientKey{}), "name")
}
