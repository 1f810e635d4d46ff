package redact

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestNothingOutsideATextIsRead has memory begin where a text does, or end there:
// to read more is a fault.
func TestNothingOutsideATextIsRead(t *testing.T) {
	page := os.Getpagesize()
	memory, err := syscall.Mmap(-1, 0, 3*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Munmap(memory)
	for _, outside := range [][]byte{memory[:page], memory[2*page:]} {
		if err := syscall.Mprotect(outside, syscall.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	inside := memory[page : 2*page]
	m := newMatcher([]string{"local-upstream-key-0001"})
	for _, fill := range []string{" ", "x", "x-", "sk-", "rer ", "AKI", "key-0001", "\xff"} {
		copy(inside, strings.Repeat(fill, page))
		for n := range 300 {
			for _, text := range [][]byte{inside[:n:n], inside[page-n:]} {
				checkClean(t, text, m.anchors, m.next)
				nextKey(text, 0)
			}
		}
	}
}
