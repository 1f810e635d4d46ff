package cli

import (
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
)

func TestTableAlignsByCells(t *testing.T) {
	var out strings.Builder
	writeTable(&out, [][]string{{"NAME", "N", ""}, {"日本語", "1", ""}, {"x", "22", "last"}})
	if want := "NAME    N\n日本語  1\nx       22  last\n"; out.String() != want {
		t.Errorf("got:\n%swant:\n%s", out.String(), want)
	}
}

func TestNamesAreShortenedInTheMiddle(t *testing.T) {
	for name, want := range map[string]string{
		"a/short-one": "a/short-one",
		"bedrock/claude-sonnet-4-5-20250929-v1:0": "bedrock/cl…-5-20250929-v1:0",
		"provider/日本語日本語日本語日本語日本語-20250929":       "provider/…語日本語-20250929",
	} {
		got := shortenedName(name, 27)
		if got != want || ansi.StringWidth(got) > 27 {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
