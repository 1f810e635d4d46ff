package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing wrong with a file. It never holds the value of a
// credential, of apiKeys, of a header or of an unknown key.
type Problem struct {
	File      string
	Line, Col int    // 1-based, Col in characters; 0 where the problem has no place in the text
	Key       string // such as models[2].weight; "" for the file as a whole
	Reason    string
	// Excerpt is the line with everything masked that may be secret and, below
	// it, a caret under Col. Empty where too little of the line may be shown.
	Excerpt string
}

// String is file:line:col: key: reason, without the parts that are not known.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Col)
	}
	if p.Key != "" {
		b.WriteString(": " + p.Key)
	}
	b.WriteString(": " + p.Reason)
	return b.String()
}

// Problems are all the problems of a file, in the file's order.
type Problems []Problem

// Error is one problem per line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// finish sorts the problems by place and adds file name and excerpts.
func (ps Problems) finish(file string, src *source) {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
	for i := range ps {
		ps[i].File = file
		ps[i].Excerpt = src.excerpt(Pos{ps[i].Line, ps[i].Col})
	}
}

func (ps *Problems) add(at Pos, key, format string, args ...any) {
	*ps = append(*ps, Problem{Line: at.Line, Col: at.Col, Key: key, Reason: fmt.Sprintf(format, args...)})
}
