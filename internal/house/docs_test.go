package house

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"unicode"
)

// readmeLines is how long the README may be: what somebody reads before deciding.
const readmeLines = 200

func TestReadmeIsShort(t *testing.T) {
	if n := strings.Count(string(read(t, os.DirFS(root), "README.md")), "\n"); n > readmeLines {
		t.Errorf("README.md has %d lines, more than %d: move something to docs", n, readmeLines)
	}
}

func TestLinksLead(t *testing.T) {
	tree := os.DirFS(root)
	pages := pagesOf(t, tree)
	if len(pages) < 10 {
		t.Fatalf("found only %q", pages)
	}
	for _, wrong := range brokenLinks(t, tree, pages) {
		t.Error(wrong)
	}
	for _, page := range pages {
		if strings.HasPrefix(page, "docs/") && !strings.Contains(string(read(t, tree, "README.md")), "("+page+")") {
			t.Errorf("README.md does not lead to %s", page)
		}
	}
}

// TestTheMapHasEveryPackage looks for each package's name in architecture.md.
func TestTheMapHasEveryPackage(t *testing.T) {
	tree := os.DirFS(root)
	page := string(read(t, tree, "docs/architecture.md"))
	seen := map[string]bool{".": true}
	for _, s := range readSources(t, tree) {
		dir := path.Dir(s.file)
		if seen[dir] {
			continue
		}
		seen[dir] = true
		if !regexp.MustCompile(`\b` + path.Base(dir) + `\b`).MatchString(page) {
			t.Errorf("docs/architecture.md does not name %s", dir)
		}
	}
}

func TestBrokenLinksAreFound(t *testing.T) {
	tree := fstest.MapFS{
		"README.md": {Data: []byte("# A title\n[here](docs/a.md#twice-1), [title](#a-title), [out](https://example.com)\n")},
		"docs/a.md": {Data: []byte("## Twice\n## Twice\n```text\n## No heading\n```\n[up](../README.md), ![picture](gone.svg), [lost](b.md),\n[anchor](../README.md#no), [code](#no-heading)\n" +
			"`docs/a.md`, `docs/gone.md`, `*/*`, `application/json`, `[not](a-link.md)`\n")},
	}
	got := brokenLinks(t, tree, []string{"README.md", "docs/a.md"})
	want := []string{
		"docs/a.md: leads to docs/gone.svg, which is not there", "docs/a.md: leads to docs/b.md, which is not there",
		"docs/a.md: README.md has no heading #no", "docs/a.md: docs/a.md has no heading #no-heading",
		"docs/a.md: names docs/gone.md, which is not there",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// pagesOf lists the documentation.
func pagesOf(t *testing.T, tree fs.FS) (pages []string) {
	for _, file := range files(t, tree) {
		if path.Ext(file) == ".md" && !strings.Contains(file, "testdata/") {
			pages = append(pages, file)
		}
	}
	return pages
}

var (
	fence    = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	codeSpan = regexp.MustCompile("`[^`\n]+`")
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading  = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	// inTree matches a path of the repository: it begins with a folder at its top.
	inTree = regexp.MustCompile(`^(?:config|deploy|docs|e2e|internal|metrics|providers|proxy|tui|\.ci)/[A-Za-z0-9_./-]+$`)
)

// brokenLinks returns a complaint for each link to a file or heading, and each
// path of the repository in the text, that is not there.
func brokenLinks(t *testing.T, tree fs.FS, pages []string) (wrong []string) {
	for _, page := range pages {
		text := fence.ReplaceAllString(string(read(t, tree, page)), "")
		for _, m := range link.FindAllStringSubmatch(codeSpan.ReplaceAllString(text, ""), -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			file := page
			if target != "" {
				file = path.Join(path.Dir(page), target)
			}
			switch _, err := fs.Stat(tree, file); {
			case err != nil:
				wrong = append(wrong, page+": leads to "+file+", which is not there")
			case anchor != "" && !slices.Contains(anchors(string(read(t, tree, file))), anchor):
				wrong = append(wrong, page+": "+file+" has no heading #"+anchor)
			}
		}
		for _, span := range codeSpan.FindAllString(text, -1) {
			if name := strings.Trim(span, "`"); inTree.MatchString(name) {
				if _, err := fs.Stat(tree, strings.TrimSuffix(name, "/")); err != nil {
					wrong = append(wrong, page+": names "+name+", which is not there")
				}
			}
		}
	}
	return wrong
}

// anchors are the headings as GitHub links to them: lower case, without
// punctuation, blanks as hyphens, and a number behind those that come again.
func anchors(page string) (list []string) {
	seen := map[string]int{}
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, m[1])
		if n := seen[name]; n > 0 {
			list = append(list, name+"-"+string(rune('0'+n)))
		} else {
			list = append(list, name)
		}
		seen[name]++
	}
	return list
}
