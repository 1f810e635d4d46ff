package cli

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// count is "1 problem", "2 problems".
func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

func indent(text, by string) string {
	return by + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+by)
}

// plural is "1 attempt of", "2 attempts of".
func plural(n int64, what, rest string) string {
	return strings.TrimSpace(count(int(n), what) + " " + rest)
}

// shown is a text of foreign making on one line, without what would move a
// terminal's cursor.
func shown(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

func dollars(usd float64) string {
	if usd > 0 && usd < 0.005 {
		return "<$0.01"
	}
	return fmt.Sprintf("$%.2f", usd)
}

// knownCost is what is known of a cost: ≥ where that is a part of it, ? where it
// is nothing, and incl. where a subscription pays.
func knownCost(usd float64, unpriced, included int64) string {
	switch {
	case unpriced > 0 && usd == 0:
		return "?"
	case unpriced > 0:
		return "≥ " + dollars(usd)
	case usd == 0 && included > 0:
		return "incl."
	}
	return dollars(usd)
}

// shortly keeps a number within six cells: 512, 18.2k, 4.8M, 1.2G.
func shortly(n int64) string {
	for _, unit := range []struct {
		one  float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v := float64(n) / unit.one; v >= 0.99995 {
			return strconv.FormatFloat(v, 'f', 1, 64) + unit.name
		}
	}
	return strconv.FormatInt(n, 10)
}
