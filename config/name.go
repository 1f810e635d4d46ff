package config

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

var (
	validName   = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`) // of a provider or a client key
	validEnv    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	validRegion = regexp.MustCompile(`^[a-z0-9-]{1,32}$`) // it becomes a part of a host name
	secretStart = regexp.MustCompile(`(?:^|[^A-Za-z0-9])sk-`)
)

// looksSecret is a guess that keeps a misplaced key out of messages: the usual
// prefix, or a length and digits that names rarely have.
func looksSecret(s string) bool {
	return secretStart.MatchString(s) || len(s) >= 32 && strings.ContainsAny(s, "0123456789")
}

// nameOf is a key of the file as messages show it.
func nameOf(key string) string {
	if validName.MatchString(key) && !looksSecret(key) {
		return key
	}
	return "…"
}

// showable reports whether a message may quote a value that is not secret. It
// refuses all that might still hold a credential, such as a URL.
func showable(s string) bool {
	return s != "" && len(s) <= 40 && !looksSecret(s) && !strings.ContainsAny(s, "@?=/") &&
		!strings.ContainsFunc(s, func(r rune) bool { return r == ' ' || !unicode.IsPrint(r) })
}

// found ends a message by quoting the value, where it may be quoted.
func found(s string) string {
	if !showable(s) {
		return ""
	}
	return fmt.Sprintf(", found %q", s)
}

// suggest ends a message by naming the nearest of the known names, or all.
func suggest(name, what string, known []string) string {
	if near := nearest(name, known); near != "" {
		return fmt.Sprintf("; did you mean %s?", near)
	}
	return fmt.Sprintf("; %s: %s", what, strings.Join(known, ", "))
}

// nearest is the known name that needs the fewest edits: at most a third of its
// length or one, but never all of it; case, - and _ do not count. "" when none
// is near.
func nearest(name string, known []string) string {
	if len(name) > 64 {
		return ""
	}
	best, least := "", 0
	for _, k := range known {
		d := edits(fold(name), fold(k))
		if d <= max(1, len(k)/3) && d < len(k) && (best == "" || d < least) {
			best, least = k, d
		}
	}
	return best
}

var separators = strings.NewReplacer("-", "", "_", "")

func fold(name string) string { return separators.Replace(strings.ToLower(name)) }

// edits is the optimal string alignment distance of a and b, in bytes: two
// letters swapped count as one edit.
func edits(a, b string) int {
	before := make([]int, len(b)+1)
	row := make([]int, len(b)+1)
	next := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row, next = row, next, before
	}
	return row[len(b)]
}
