// Package redact replaces secrets in text that leaves the process by dots: in
// log lines, error bodies and headers.
//
// It knows secrets in two ways. Configured ones are given by value, and found
// wherever they stand: as they are, in base64, and inside JSON strings that
// stand inside JSON strings. Keys that nobody configured, such as a client's
// own in an upstream's error, are found by their shape.
//
// A Redactor is safe for concurrent use. It is the last net behind types that
// print as dots, not a reason to hand it secrets.
package redact

import (
	"io"
	"sync/atomic"
	"unsafe"
)

// Dots is what stands in a secret's place.
const Dots = "••••••"

// MinLength is the shortest value, in bytes, that is looked for. A shorter one
// ("test", "none", "ollama") would be found inside ordinary words, and the dots
// in their middle would give it away.
const MinLength = 8

// Redactor replaces a set of values, and keys of known shape.
type Redactor struct{ secrets atomic.Pointer[matcher] }

// New returns a Redactor of the given values. Those shorter than MinLength are ignored.
func New(values ...string) *Redactor {
	r := new(Redactor)
	r.Set(values...)
	return r
}

// Set replaces the values. Calls that are under way finish with the old ones.
func (r *Redactor) Set(values ...string) { r.secrets.Store(newMatcher(values)) }

// Bytes returns b with every secret replaced; b itself, which it never changes,
// when there is none. That is one quick pass where there are no secrets and few
// to look for, else two more that look at a fraction of the bytes.
func (r *Redactor) Bytes(b []byte) []byte {
	m := r.secrets.Load()
	if m.anchors.clean(b) {
		return b
	}
	return replace(replace(b, m.next), nextKey)
}

// A Finding is what the quick pass of Bytes says of a text, for whoever needs it
// later. The zero value says that there may be a secret.
type Finding struct{ clean *matcher } // what has found none, nil = there may be one

// Find takes the quick pass over b.
func (r *Redactor) Find(b []byte) Finding {
	if m := r.secrets.Load(); m.anchors.clean(b) {
		return Finding{m}
	}
	return Finding{}
}

// Clean reports that a text with this finding has no secret: none was found, and
// no Set has come since.
func (r *Redactor) Clean(f Finding) bool { return f.clean != nil && f.clean == r.secrets.Load() }

// String is Bytes for a string.
func (r *Redactor) String(s string) string {
	if len(s) < MinLength {
		return s
	}
	in := unsafe.Slice(unsafe.StringData(s), len(s)) // Bytes never changes it
	out := r.Bytes(in)
	if &in[0] == &out[0] {
		return s
	}
	return string(out)
}

// Writer returns a writer to w that redacts each write by itself. It is for
// writers of whole records: a secret cut in two by two writes is not found.
func (r *Redactor) Writer(w io.Writer) io.Writer { return writer{r, w} }

type writer struct {
	r *Redactor
	w io.Writer
}

func (w writer) Write(p []byte) (int, error) {
	if _, err := w.w.Write(w.r.Bytes(p)); err != nil {
		return 0, err // how much of p that was cannot be told
	}
	return len(p), nil
}

// replace puts dots in place of what next finds. next returns the first span at
// or after at, or a negative start.
func replace(b []byte, next func(b []byte, at int) (start, end int)) []byte {
	start, end := next(b, 0)
	if start < 0 {
		return b
	}
	out, at := make([]byte, 0, len(b)+len(Dots)), 0
	for ; start >= 0; start, end = next(b, at) {
		out = append(append(out, b[at:start]...), Dots...)
		at = end
	}
	return append(out, b[at:]...)
}
