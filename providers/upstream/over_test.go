package upstream

import (
	"bytes"
	"io"
	"testing"

	"anyproxy/providers"
)

func TestBodyRead(t *testing.T) {
	var released int
	kept := providers.NewBody([]byte("abcdef"), func([]byte) { released++ })
	b := newBody(kept, [3][]byte{[]byte("ab"), []byte("X"), []byte("ef")})
	if b.sent() {
		t.Error("sent before a Read")
	}
	b.onRepeat = func() {}
	again, err := b.again()
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range []io.ReadCloser{b, again} {
		var got bytes.Buffer
		if _, err := io.CopyBuffer(struct{ io.Writer }{&got}, r, make([]byte, 2)); err != nil || got.String() != "abXef" {
			t.Errorf("reader %d: %q, %v", i, got.String(), err)
		}
		r.Close()
		r.Close()
		if _, err := r.Read(make([]byte, 1)); err == nil {
			t.Error("Read after Close = nil error")
		}
	}
	if !b.sent() || released != 0 {
		t.Errorf("sent %v, released %d", b.sent(), released)
	}
	if kept.Release(); released != 1 {
		t.Errorf("released %d times, want once", released)
	}
}
