package redact

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

// finder is what replace goes by.
type finder func(b []byte, at int) (start, end int)

// plainNext is matcher.next without any haste.
func plainNext(needles [][]byte) finder {
	return func(b []byte, at int) (int, int) {
		for i := at; i < len(b); i++ {
			for _, n := range needles { // longest first
				if bytes.HasPrefix(b[i:], n) {
					return i, i + len(n)
				}
			}
		}
		return -1, -1
	}
}

// plainNextKey is nextKey without any haste.
func plainNextKey(b []byte, at int) (int, int) {
	for from := at; from < len(b); from++ {
		end := from
		for end < len(b) && tokenChar[b[end]] {
			end++
		}
		if end-from >= minRun {
			if bearer(b[:from]) && mixed(b[from:end]) {
				return from, end
			}
			for i := from; i < end; i++ {
				if n := max(skKey(b[i:end]), awsAccessID(b[i:end])); n > 0 && opens(b, i) {
					return i, i + n
				}
			}
		}
		from = end
	}
	return -1, -1
}

// checkScan has all ways to scan a text agree on every match in it.
func checkScan(t *testing.T, text string, values []string) {
	t.Helper()
	checkFinder(t, []byte(text), newMatcher(values).next, plainNext(needlesOf(values)))
	checkKeys(t, []byte(text))
}

func checkKeys(t *testing.T, text []byte) {
	t.Helper()
	checkFinder(t, text, nextKey, plainNextKey)
	checkFinder(t, text, func(b []byte, at int) (int, int) { return nextKeyBy(b, at, false) }, plainNextKey)
}

func checkFinder(t *testing.T, text []byte, find, plain finder) {
	t.Helper()
	for at := 0; ; {
		start, end := find(text, at)
		wantStart, wantEnd := plain(text, at)
		if start != wantStart || end != wantEnd && start >= 0 {
			t.Fatalf("in %q from %d on: [%d:%d], want [%d:%d]", text, at, start, end, wantStart, wantEnd)
		}
		if start < 0 {
			return
		}
		at = end
	}
}

var scanned = []string{
	"sk-ant-api03-abcdefghij", "sk-0123456789abcdefghij", "AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE", "Bearer ", "bearer ", "0123456789abcdef",
	"local-upstream-key-0001", "bG9jYWwtdXBzdHJlYW0ta2V5LTAwMDE=", "sk-", "AKIA", "a", "Z", "-", "_", "=", " ", "\"", `\n`, `\u003c`, `\u00`, "\n", "é", "\xff",
	"content_block_delta", "the stream ", `{"type":"text","text":"`, strings.Repeat("x", 15), strings.Repeat("y", 16), strings.Repeat("z", 70), strings.Repeat(" ", 50),
}

func TestAllScansAgree(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	values := []string{"local-upstream-key-0001", "content_block", `odd/"key"\<&>`}
	for range 3000 {
		var text strings.Builder
		for range rnd.IntN(16) {
			text.WriteString(scanned[rnd.IntN(len(scanned))])
		}
		checkScan(t, text.String(), values[:rnd.IntN(len(values)+1)])
	}
}

// TestEveryByteEverywhere puts each byte at each place of a text with a key, so
// that it ends the key, goes on with it or stands outside.
func TestEveryByteEverywhere(t *testing.T) {
	text := []byte(strings.Repeat(" ", 30) + "Bearer a1" + strings.Repeat("x", 40) + " sk-ant-" + strings.Repeat("y", 30) + strings.Repeat(" ", 30))
	for c := range 256 {
		for at := range text {
			with := bytes.Clone(text)
			with[at] = byte(c)
			checkKeys(t, with)
		}
	}
}

// TestKeysInARunOfManyPieces puts a key at each place around the end of a piece.
func TestKeysInARunOfManyPieces(t *testing.T) {
	for _, key := range []string{".sk-ant-api03-abcdefghij", "/AKIAIOSFODNN7EXAMPLE."} {
		for before := piece - 40; before < piece+40; before++ {
			checkKeys(t, []byte(strings.Repeat("x", before)+key))
			checkKeys(t, []byte("Bearer "+strings.Repeat("x", before)+key+strings.Repeat(".", 2*piece)+key))
		}
	}
}

// TestManyKeysInOneRun would not end in an hour if the rest of the run were
// looked at for each of its keys.
func TestManyKeysInOneRun(t *testing.T) {
	const n = 200_000
	for _, tt := range []struct{ unit, want string }{
		{"sk-ant-0123456789.", Dots + "."},
		{"AKIAIOSFODNN7EXAMPLE/", Dots + "/"},
		{"sk-a_", "sk-a_"},
		{"AKIA", "AKIA"},
	} {
		if got := New().String(strings.Repeat(tt.unit, n)); got != strings.Repeat(tt.want, n) {
			t.Errorf("%s became %.60q", tt.unit, got)
		}
	}
}

func FuzzScans(f *testing.F) {
	for _, s := range scanned {
		f.Add(strings.Repeat(" ", 40)+s+s, s)
	}
	f.Add("Bearer "+strings.Repeat("a1", 40)+" sk-ant-api03-abcdefghij", "aaaaaaaa")
	f.Fuzz(func(t *testing.T, text, value string) {
		if len(text) > 2000 || len(value) > 200 {
			t.Skip() // the plain search is quadratic
		}
		checkScan(t, text, []string{value, "content_block_delta"})
	})
}
