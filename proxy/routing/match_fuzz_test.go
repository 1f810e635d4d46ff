package routing

import (
	"regexp"
	"strings"
	"testing"
)

// FuzzMatch compares with the regular expression that a pattern stands for.
func FuzzMatch(f *testing.F) {
	for pattern, name := range map[string]string{"claude-*": "claude-sonnet-4-5", "*": "", "a*b*c": "aXbbc", "*ab": "aab", "a*a": "a", "": "x", "**": "é", "*-[1m]": "x-[1m]"} {
		f.Add(pattern, name)
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		parts := strings.Split(pattern, "*")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		oracle, err := regexp.Compile(`(?s)\A` + strings.Join(parts, `.*`) + `\z`)
		if err != nil || strings.ToValidUTF8(name, "") != name {
			return // regular expressions are of UTF-8
		}
		if got, want := Match(pattern, name), oracle.MatchString(name); got != want {
			t.Errorf("Match(%q, %q) is %v", pattern, name, got)
		}
		if strings.Contains(name, "*") {
			return
		}
		found, alias := candidates([]Target{{Provider: "a", Aliases: []string{pattern}}}, name)
		if matched := len(found) == 1; matched != Match(pattern, name) || matched && alias != pattern {
			t.Errorf("candidates of %q for %q: %d by %q", pattern, name, len(found), alias)
		}
	})
}
