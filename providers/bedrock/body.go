package bedrock

import (
	"bytes"
	"strings"

	"anyproxy/internal/jsonscan"
	"anyproxy/providers/upstream"
)

// version is what Bedrock calls the format of the Messages API.
const version = `"anthropic_version":"bedrock-2023-05-31"`

// A rule says what is cut out of a JSON value. The zero rule leaves it as it is.
type rule struct {
	cut     bool
	name    string // of what is cut, as it is told to people
	members map[string]*rule
	each    *rule                     // for the elements of an array
	without func(element []byte) bool // elements of an array that are left out; nil keeps all
}

// cuts makes a rule of paths: names joined by dots, * for the elements of an
// array.
func cuts(paths ...string) *rule {
	root := &rule{}
	for _, path := range paths {
		at := root
		for name := range strings.SplitSeq(path, ".") {
			at = at.child(name)
		}
		at.cut, at.name = true, path
	}
	return root
}

func (r *rule) child(name string) *rule {
	if name == "*" {
		if r.each == nil {
			r.each = &rule{}
		}
		return r.each
	}
	if r.members == nil {
		r.members = map[string]*rule{}
	}
	if r.members[name] == nil {
		r.members[name] = &rule{}
	}
	return r.members[name]
}

// edit appends a sound JSON value to dst without what the rule cuts. All that
// stays is byte for byte what it was, but for blanks between the members of an
// object that is cut. cut, if not nil, is told what was.
func edit(dst, value []byte, r *rule, cut func(name string)) []byte {
	switch {
	case r.members != nil && value[0] == '{':
		return editObject(dst, value, r, cut)
	case r.each != nil && value[0] == '[':
		return editArray(dst, value, r, cut)
	default:
		return append(dst, value...)
	}
}

func editObject(dst, value []byte, r *rule, cut func(string)) []byte {
	dst = append(dst, '{')
	begin := len(dst)
	o, _ := jsonscan.OpenObject(value, 0, upstream.MaxDepth)
	for o.Next() {
		inner := r.members[memberName(o.Key)]
		if inner != nil && inner.cut {
			if cut != nil {
				cut(inner.name)
			}
			continue
		}
		if len(dst) > begin {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, '"'), o.Key...), `":`...)
		if inner == nil {
			dst = append(dst, o.Raw()...)
		} else {
			dst = edit(dst, o.Raw(), inner, cut)
		}
	}
	return append(dst, '}')
}

func editArray(dst, value []byte, r *rule, cut func(string)) []byte {
	dst = append(dst, '[')
	begin := len(dst)
	a, _ := jsonscan.OpenArray(value, 0, upstream.MaxDepth)
	for a.Next() {
		if r.without != nil && r.without(a.Raw()) {
			continue
		}
		if len(dst) > begin {
			dst = append(dst, ',')
		}
		dst = edit(dst, a.Raw(), r.each, cut)
	}
	return append(dst, ']')
}

// memberName is the name of a member; escapes, which no client writes there,
// are undone.
func memberName(key []byte) string {
	if bytes.IndexByte(key, '\\') < 0 {
		return string(key)
	}
	s, _ := jsonscan.Unquote(key)
	return s
}

// member finds a member of a sound JSON object, nil where there is none.
func member(object []byte, name string) (raw []byte) {
	o, err := jsonscan.OpenObject(object, 0, upstream.MaxDepth)
	for err == nil && o.Next() {
		if jsonscan.Is(o.Key, name) {
			raw = o.Raw()
		}
	}
	return raw
}
