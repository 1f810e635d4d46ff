package requestlog

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"anyproxy/internal/jsonline"
	"anyproxy/internal/redact"
)

// layout is how a set of headers is written: what there is to say about their
// names, in their order. A client sends the same names with every request, and
// so does an upstream with its answers.
type layout []headerName

type headerName struct {
	name  string
	shown bool          // with its value
	text  jsonline.Line // the name as it is written, with the dots if it is not shown
}

func newLayout(h http.Header) layout {
	p := make(layout, 0, len(h))
	for _, name := range slices.Sorted(maps.Keys(h)) {
		next := headerName{name: name, shown: redact.HeaderShown(name)}
		if next.text.Key(name); !next.shown {
			next.text = jsonline.AppendString(next.text, redact.Dots)
		}
		p = append(p, next)
	}
	return p
}

// append writes what may be seen of h. It reports false, and writes nothing, when
// the layout is that of other names.
func (p layout) append(t *jsonline.Line, h http.Header) bool {
	if len(p) != len(h) {
		return false
	}
	before := len(*t)
	t.Name("headers")
	t.Open('{')
	for i := range p {
		values, ok := h[p[i].name]
		if !ok {
			*t = (*t)[:before]
			return false
		}
		if t.Members(p[i].text); p[i].shown {
			*t = jsonline.AppendString(*t, strings.Join(values, ", "))
		}
	}
	t.Close('}')
	return true
}

// layoutCache holds the latest layout for each number of names, modulo its size.
type layoutCache [32]atomic.Pointer[layout]

var layouts layoutCache

// append writes what may be seen of h, in the order of its names.
func (c *layoutCache) append(t *jsonline.Line, h http.Header) {
	if len(h) == 0 {
		return
	}
	slot := &c[len(h)%len(c)]
	if p := slot.Load(); p != nil && p.append(t, h) {
		return
	}
	p := newLayout(h)
	p.append(t, h)
	slot.Store(&p)
}
