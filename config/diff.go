package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Change is one difference between two configurations.
type Change struct {
	// Path names the value: routing.policy, providers.zai.apiKey,
	// models[zai/glm-4.6].weight, apiKeys[ci].
	Path string
	Kind ChangeKind
	// Old and New are the values as a file would give them, "" where there is
	// none. Those of a secret are never told.
	Old, New string
	Secret   bool // the value is a secret
}

// ChangeKind is a closed set.
type ChangeKind string

const (
	Added     ChangeKind = "added"
	Removed   ChangeKind = "removed"
	Changed   ChangeKind = "changed"
	Reordered ChangeKind = "reordered" // the same entries in another order
)

// Diff lists what changes from one configuration to another, in the order of
// the types. It compares what the configurations mean: defaults are filled in,
// and where something stands in the file, or how it is written, does not count.
func Diff(from, to *Config) []Change {
	d := &differ{}
	d.fields("", reflect.ValueOf(*from), reflect.ValueOf(*to))
	return d.changes
}

// Equal reports whether two providers are configured alike.
func (p Provider) Equal(q Provider) bool {
	d := &differ{}
	d.fields("", reflect.ValueOf(p), reflect.ValueOf(q))
	return p.Name == q.Name && len(d.changes) == 0
}

// Equal reports whether two secrets come from the same source, and whether
// literal ones have the same value.
func (r SecretRef) Equal(s SecretRef) bool {
	if r.Kind != s.Kind || r.Name != s.Name || r.TTL != s.TTL || r.Literal.Reveal() != s.Literal.Reveal() ||
		!slices.Equal(r.Command, s.Command) || (r.OAuth == nil) != (s.OAuth == nil) {
		return false
	}
	if o, p := r.OAuth, s.OAuth; o != nil && (o.TokenURL != p.TokenURL || o.ClientID != p.ClientID || !o.RefreshToken.Equal(p.RefreshToken)) {
		return false
	}
	return slices.EqualFunc(r.Pool, s.Pool, SecretRef.Equal)
}

// differ walks two values of the same type. It goes by the yaml tags, so that a
// new key is compared without being named here.
type differ struct{ changes []Change }

func (d *differ) add(c Change) { d.changes = append(d.changes, c) }

// fields compares two structs key by key.
func (d *differ) fields(path string, from, to reflect.Value) {
	names, index := keysOf(from.Type())
	for _, name := range names {
		d.value(join(path, name), from.Field(index[name]), to.Field(index[name]))
	}
}

func (d *differ) value(path string, from, to reflect.Value) {
	switch a := from.Interface().(type) {
	case []Provider:
		d.providers(path, a, to.Interface().([]Provider))
	case []Model:
		d.models(path, a, to.Interface().([]Model))
	case []ClientKey:
		d.clientKeys(path, a, to.Interface().([]ClientKey))
	case map[string]Secret:
		d.headers(path, a, to.Interface().(map[string]Secret))
	case SecretRef:
		if b := to.Interface().(SecretRef); !a.Equal(b) {
			d.secret(path, a.Kind != SecretNone, b.Kind != SecretNone)
		}
	default:
		d.plain(path, from, to)
	}
}

// plain compares what holds no secret.
func (d *differ) plain(path string, from, to reflect.Value) {
	if from.Kind() == reflect.Struct {
		d.fields(path, from, to)
		return
	}
	if from.Kind() == reflect.Pointer && !from.IsNil() && !to.IsNil() {
		d.plain(path, from.Elem(), to.Elem())
		return
	}
	if from.Kind() == reflect.Slice && from.Len() == 0 && to.Len() == 0 || reflect.DeepEqual(from.Interface(), to.Interface()) {
		return
	}
	c := Change{Path: path, Kind: Changed, Old: valueText(from), New: valueText(to)}
	switch {
	case c.Old == "":
		c.Kind = Added
	case c.New == "":
		c.Kind = Removed
	}
	d.add(c)
}

// secret notes that a secret that was there before, is there after, or both,
// has changed.
func (d *differ) secret(path string, before, after bool) {
	kind := Changed
	switch {
	case !before:
		kind = Added
	case !after:
		kind = Removed
	}
	d.add(Change{Path: path, Kind: kind, Secret: true})
}

func (d *differ) headers(path string, from, to map[string]Secret) {
	names := map[string]bool{}
	for name := range from {
		names[name] = true
	}
	for name := range to {
		names[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		a, before := from[name]
		b, after := to[name]
		if before != after || a.Reveal() != b.Reveal() {
			d.secret(join(path, nameOf(name)), before, after)
		}
	}
}

func (d *differ) providers(path string, from, to []Provider) {
	byName := func(p *Provider) string { return p.Name }
	label := func(p *Provider) string { return join(path, p.Name) }
	compare(d, from, to, label, describeProvider, byName)
}

// models are known by provider and name. Where several have both in common,
// their aliases are part of how they are told apart.
func (d *differ) models(path string, from, to []Model) {
	target := func(m *Model) string { return strings.TrimSuffix(m.Provider+"/"+m.Name, "/") }
	entry := func(m *Model) string { return target(m) + " as " + strings.Join(m.Alias, ", ") }
	several := map[string]bool{}
	for _, list := range [][]Model{from, to} {
		count := map[string]int{}
		for i := range list {
			id := target(&list[i])
			count[id]++
			several[id] = several[id] || count[id] > 1
		}
	}
	label := func(m *Model) string {
		if several[target(m)] {
			return fmt.Sprintf("%s[%s]", path, printable(entry(m)))
		}
		return fmt.Sprintf("%s[%s]", path, printable(target(m)))
	}
	if moved := compare(d, from, to, label, describeModel, entry, target); moved {
		d.add(Change{Path: path, Kind: Reordered})
	}
}

// clientKeys are known by name. A key without one is named by its place, so the
// one with the same value is looked for first: else the removal of the first
// key would look like a change of all.
func (d *differ) clientKeys(path string, from, to []ClientKey) {
	byValue := func(k *ClientKey) string {
		return fmt.Sprintf("%d %q %q %q", k.Key.Kind, k.Key.Name, k.Key.Literal.Reveal(), k.Key.Command)
	}
	byName := func(k *ClientKey) string { return k.Name }
	both := func(k *ClientKey) string { return byValue(k) + " " + k.Name }
	label := func(k *ClientKey) string { return fmt.Sprintf("%s[%s]", path, k.Name) }
	compare(d, from, to, label, describeClientKey, both, byValue, byName)
}

// compare pairs the entries of two lists by each of the ids in turn and reports
// what was removed, what is different inside the pairs, and what was added. It
// tells whether the pairs have changed their order.
func compare[T any](d *differ, from, to []T, label, describe func(*T) string, ids ...func(*T) string) (moved bool) {
	partner := pairUp(from, to, ids...)
	kept := make([]bool, len(from))
	for _, i := range partner {
		if i >= 0 {
			kept[i] = true
		}
	}
	for i := range from {
		if !kept[i] {
			d.add(Change{Path: label(&from[i]), Kind: Removed, Old: describe(&from[i])})
		}
	}
	last := -1
	for j := range to {
		i := partner[j]
		if i < 0 {
			d.add(Change{Path: label(&to[j]), Kind: Added, New: describe(&to[j])})
			continue
		}
		d.fields(label(&from[i]), reflect.ValueOf(from[i]), reflect.ValueOf(to[j]))
		moved = moved || i < last
		last = i
	}
	return moved
}

// pairUp gives for each entry of to the index of its partner in from, -1 where
// it has none. Entries that one id does not pair are left to the next.
func pairUp[T any](from, to []T, ids ...func(*T) string) []int {
	partner := make([]int, len(to))
	for j := range partner {
		partner[j] = -1
	}
	taken := make([]bool, len(from))
	for _, id := range ids {
		free := map[string][]int{}
		for i := range from {
			if !taken[i] {
				free[id(&from[i])] = append(free[id(&from[i])], i)
			}
		}
		for j := range to {
			if partner[j] >= 0 {
				continue
			}
			if list := free[id(&to[j])]; len(list) > 0 {
				partner[j], taken[list[0]] = list[0], true
				free[id(&to[j])] = list[1:]
			}
		}
	}
	return partner
}
