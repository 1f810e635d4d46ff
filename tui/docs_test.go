package tui

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestDocumentedKeys holds the table of keys in the documentation to keymap.
func TestDocumentedKeys(t *testing.T) {
	const path = "../docs/dashboard.md"
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(file), "-update -->\n")
	_, after, closed := strings.Cut(rest, "<!-- end of keys -->\n")
	if !found || !closed {
		t.Fatal("the marks of the table are gone")
	}
	want := before + "-update -->\n" + keyTable() + "<!-- end of keys -->\n" + after
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(file) != want {
		t.Errorf("%s has other keys than keymap (-update rewrites it)", path)
	}
}

// TestDocumentedPictures holds the pictures of the documentation to what the
// dashboard draws.
func TestDocumentedPictures(t *testing.T) {
	sizes := map[string][2]int{"overview": {160, 45}, "request": {120, 36}, "review": {120, 36}}
	drawn := 0
	for _, view := range views {
		size, ok := sizes[view.name]
		if !ok {
			continue
		}
		drawn++
		m := testModel(steady(view.snap()), size[0], size[1], trueColorEnv)
		press(m, view.keys...)
		picture := svg(m.view, size[0], size[1], &darkPaper)
		path := "../docs/" + view.name + ".svg"
		if *update {
			if err := os.WriteFile(path, []byte(picture), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if there, err := os.ReadFile(path); err != nil || string(there) != picture {
			t.Errorf("%s is not what the dashboard draws (-update rewrites it): %v", path, err)
		}
	}
	if drawn != len(sizes) {
		t.Errorf("%d of %d views are there", drawn, len(sizes))
	}
}

// keyTable is keymap in Markdown: where, keys, what they do.
func keyTable() string {
	var b strings.Builder
	b.WriteString("| key | does | where |\n|---|---|---|\n")
	for i := 0; i < len(keymap); {
		first, keys := keymap[i], []string{}
		for ; i < len(keymap) && keymap[i].help == first.help && keymap[i].at == first.at; i++ {
			for _, k := range strings.Fields(unicodeGlyphs.keys(keymap[i])) {
				keys = append(keys, "`"+strings.ReplaceAll(k, "|", `\|`)+"`")
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", strings.Join(keys, " "), first.help, whereWords(first.at))
	}
	return b.String()
}

func whereWords(at place) string {
	if at == anywhere {
		return "everywhere"
	}
	names := []string{"Overview", "Providers", "a provider", "Requests", "a request", "Events", "Config", "Logs"}
	if at == anywhere&^atConfig {
		return "everywhere but Config"
	}
	var words []string
	for i, p := range places {
		if at&p != 0 {
			words = append(words, names[i])
		}
	}
	return strings.Join(words, ", ")
}
