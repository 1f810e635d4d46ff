package redact

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestQuickPassAgrees: with it or without it the same comes out of a text,
// whatever the secrets are and wherever they stand.
func TestQuickPassAgrees(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	clean := 0
	for range 200 {
		values := randomValues(rnd)
		r, m := New(values...), newMatcher(values)
		forms := append(needlesOf(values), []byte("sk-ant-api03-abcdefghij"), []byte("sk-0123456789abcdefghij"), []byte("AKIAIOSFODNN7EXAMPLE"),
			[]byte("ASIAIOSFODNN7EXAMPLE"), []byte("Bearer 0123456789abcdef"), []byte("bearer 0123456789abcdef"))
		for range 100 {
			text := randomText(rnd, forms[rnd.IntN(len(forms))])
			want := replace(replace(text, m.next), nextKey)
			if got := r.Bytes(text); !bytes.Equal(got, want) {
				t.Fatalf("%d values, %q:\n%q became\n%q, want\n%q", len(values), values, text, got, want)
			}
			if r.Clean(r.Find(text)) {
				clean++
			}
		}
	}
	if vectors && clean < 1000 {
		t.Errorf("only %d texts were found clean: the quick pass is hardly tested", clean)
	}
}

// alphabets are what secrets are made of. The last has few ASCII bytes in a row.
var alphabets = []string{
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", "ab", "0123456789abcdef", "etaoinsr \"\\\n", "ab<>&/\\\"\x00\x1f\x7f\u2028é日🎉",
	"a\x80\xff\xe2\xc3\x8f\xf0",
}

// randomValues returns up to 40 values, from one byte to 10 KB.
func randomValues(rnd *rand.Rand) []string {
	out := make([]string, 1+rnd.IntN(40)*rnd.IntN(2))
	for i := range out {
		n := 1 + rnd.IntN(80)
		if i == 0 && rnd.IntN(10) == 0 {
			n = []int{254, 255, 256, 257, 1000, 10_000}[rnd.IntN(6)]
		}
		out[i] = string(randomBytes(rnd, alphabets[rnd.IntN(len(alphabets))], n))
	}
	return out
}

func randomBytes(rnd *rand.Rand, alphabet string, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[rnd.IntN(len(alphabet))]
	}
	return b
}

// randomText has the form whole, cut at either end, with one wrong byte, or cut by
// the end of the text, behind which it goes on in memory. It may be too short for
// the quick pass.
func randomText(rnd *rand.Rand, form []byte) []byte {
	before := randomBytes(rnd, []string{" ", "the stream \n", "a\x80", "sk-AI rer"}[rnd.IntN(4)], 70+rnd.IntN(70))
	if rnd.IntN(4) == 0 {
		before = nil
	}
	after := []byte(strings.Repeat([]string{" ", "\"", "\xff"}[rnd.IntN(3)], rnd.IntN(140)*rnd.IntN(2)))
	form = slices.Clone(form)
	switch rnd.IntN(6) {
	case 0:
		form[rnd.IntN(len(form))] ^= 1 << rnd.IntN(8)
	case 1:
		form = form[1:]
	case 2:
		form = form[:len(form)-1]
	case 3:
		whole := append(before, form...)
		return whole[:len(whole)-1]
	}
	return slices.Concat(before, form, after)
}
