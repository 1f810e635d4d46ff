package providers

import "sync/atomic"

// A Body is a request body that is kept for replays and given back to its pool
// when nobody needs it any more. The transport may still be reading a body
// after the upstream has answered, so a Provider retains it for each attempt
// and releases it when the transport closes its reader.
type Body struct {
	data    []byte
	refs    atomic.Int32
	recycle func([]byte)
}

// NewBody wraps data with one reference, the caller's. When the last reference
// is released recycle, if not nil, gets the data.
func NewBody(data []byte, recycle func([]byte)) *Body {
	b := &Body{data: data, recycle: recycle}
	b.refs.Store(1)
	return b
}

// Bytes returns the body. It must not be changed, nor used after Release.
func (b *Body) Bytes() []byte { return b.data }

// Len is the body's size in bytes.
func (b *Body) Len() int { return len(b.data) }

// Retain adds a reference. It must be called while holding one: without it the
// memory may be another request's by now, so that it panics.
func (b *Body) Retain() {
	if b.refs.Add(1) <= 1 {
		panic("providers: Body retained after its last release")
	}
}

// Release gives a reference up. One call too many panics: memory that is in
// use twice would send one client's words in another's request.
func (b *Body) Release() {
	switch n := b.refs.Add(-1); {
	case n == 0:
		data := b.data
		b.data = nil // the Body itself may be referred to for as long as the answer takes
		if b.recycle != nil {
			b.recycle(data)
		}
	case n < 0:
		panic("providers: Body released more often than retained")
	}
}
