package redact

import (
	"bytes"
	"fmt"
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
	m := newMatcher(values)
	plain := plainNext(needlesOf(values))
	checkFinder(t, []byte(text), m.next, plain)
	checkKeys(t, []byte(text))
	checkClean(t, []byte(text), m.anchors, plain)
}

// checkClean has the quick pass say of no text with a secret that it is clean.
func checkClean(t *testing.T, text []byte, a *anchors, plain finder) {
	t.Helper()
	if !a.clean(text) {
		return
	}
	if at, _ := plain(text, 0); at >= 0 {
		t.Fatalf("a value at %d is overlooked in %q", at, text)
	}
	if at, _ := plainNextKey(text, 0); at >= 0 {
		t.Fatalf("a key at %d is overlooked in %q", at, text)
	}
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

// TestAnchorsOverlookNothing moves secrets over all places of a block, at both
// ends of texts too.
func TestAnchorsOverlookNothing(t *testing.T) {
	values := []string{"local-upstream-key-0001", `odd/"key"\<&>`, "12345678"}
	secrets := append([]string{"sk-ant-api03-abcdefghij", "ASIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE", "Bearer 0123456789abcdef", "bearer 0123456789abcdef"}, values...)
	for _, n := range needlesOf(values) {
		secrets = append(secrets, string(n))
	}
	r := New(values...)
	for _, secret := range secrets {
		for before := range 100 {
			for _, after := range []int{0, 1, 2, 33, 34, 100} {
				text := strings.Repeat(" ", before) + secret + strings.Repeat(" ", after)
				if r.String(text) == text {
					t.Fatalf("%q is overlooked behind %d bytes and before %d", secret, before, after)
				}
			}
		}
	}
}

// TestAnchorsSayWhatIsClean: else each text would take the slow way.
func TestAnchorsSayWhatIsClean(t *testing.T) {
	if !vectors {
		t.Skip("NOT TESTED: the quick pass, because there are no vectors here")
	}
	text := []byte(strings.Repeat("a task-list of disk-drives, AKIA is EURASIAN, the referer of the bearer is an error: sk-learn ", 20))
	values := []string{"local-upstream-key-0001", "bench-second", `odd/"key"\<&>`}
	if !newMatcher(values).anchors.clean(text) || !newMatcher(nil).anchors.clean(text) {
		t.Error("a clean text is not found clean")
	}
}

// TestMoreValuesThanAnchors are looked for without the quick pass, as is what has
// no three bytes of ASCII.
func TestMoreValuesThanAnchors(t *testing.T) {
	var many []string
	for i := range 100 {
		many = append(many, fmt.Sprintf("%c%c%d-local-key", 'A'+i%26, 'a'+i/26, i))
	}
	const odd = "é1é2é3é4"
	text := strings.Repeat("the stream ", 20)
	for _, tt := range []struct {
		values []string
		secret string
	}{{many, many[99]}, {[]string{odd}, odd}} {
		if got := New(tt.values...).String(text + tt.secret + text); got != text+Dots+text {
			t.Errorf("%q", got)
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
			return // the plain search is quadratic
		}
		checkScan(t, text, []string{value, "content_block_delta"})
	})
}
