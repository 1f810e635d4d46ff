package config

import (
	"slices"
	"strings"
	"testing"
)

func TestSplitWords(t *testing.T) {
	for line, want := range map[string][]string{
		"op read op://vault/item":           {"op", "read", "op://vault/item"},
		"  a\tb  ":                          {"a", "b"},
		`pass 'two words' "three "words'!'`: {"pass", "two words", "three words!"},
		`a '' ""`:                           {"a", "", ""},
		`a\ b \'c "\"\\ \n" '\d'`:           {"a b", "'c", `"\ \n`, `\d`},
		`'$x|y' "a;b&(c)*" a#b a~`:          {"$x|y", "a;b&(c)*", "a#b", "a~"},
		"":                                  nil,
	} {
		if got, err := splitWords(line); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v, want %q", line, got, err, want)
		}
	}
	for _, line := range []string{"$x", `"$x"`, "`x`", `"` + "`x`\"", "a | b", "a&", "a;b", "a<b", "a>b", "(a)", "*.x", "a?", "[a]", "# a", "~/x"} {
		if got, err := splitWords(line); err != errShell {
			t.Errorf("%q: %q, %v", line, got, err)
		}
	}
	for _, line := range []string{`'a`, `"a`, `a\`, `"a\`, `"a\"`} {
		if got, err := splitWords(line); err != errQuoteOpen {
			t.Errorf("%q: %q, %v", line, got, err)
		}
	}
}

// What comes out, quoted again, comes out again.
func FuzzSplitWords(f *testing.F) {
	f.Add(`op read "op://vault/it em" 'x'\''y'`)
	f.Add(`a\ b "\"$"`)
	f.Fuzz(func(t *testing.T, line string) {
		words, err := splitWords(line)
		if err != nil {
			return
		}
		var quoted []string
		for _, w := range words {
			quoted = append(quoted, "'"+strings.ReplaceAll(w, "'", `'\''`)+"'")
		}
		if again, err := splitWords(strings.Join(quoted, " ")); err != nil || !slices.Equal(again, words) {
			t.Errorf("%q: %q, then %q, %v", line, words, again, err)
		}
	})
}
