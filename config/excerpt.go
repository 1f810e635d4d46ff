package config

import (
	"regexp"
	"strings"
)

// longestExcerpt is the length in bytes of the longest line that is excerpted.
const longestExcerpt = 400

// source is a file's text with the places that an excerpt may show. All the
// rest of a line is masked: a slip in the YAML can put a secret anywhere, so a
// list of places to hide would never be complete.
type source struct {
	lines []string
	shown map[int][]span // by line, 1-based
}

// span is a run of characters in a line.
type span struct{ start, end int }

func newSource(data []byte) *source {
	return &source{lines: splitLines(string(data)), shown: map[int][]span{}}
}

// splitLines splits at every line break that YAML 1.1 knows, so that the
// parser's line numbers fit.
func splitLines(text string) []string {
	return strings.Split(lineBreaks.Replace(text), "\n")
}

var lineBreaks = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n")

// show marks a harmless word. A quoted one is marked with its first quote left
// out, so its last character is masked; what is behind it never shows.
func (s *source) show(at Pos, word string) {
	start := at.Col - 1
	s.shown[at.Line] = append(s.shown[at.Line], span{start, start + len([]rune(word))})
}

// excerpt is the masked line of a place with a caret under it.
func (s *source) excerpt(at Pos) string {
	if len(s.shown[at.Line]) == 0 || at.Line > len(s.lines) || len(s.lines[at.Line-1]) > longestExcerpt {
		return ""
	}
	line := []rune(strings.ReplaceAll(s.lines[at.Line-1], "\t", " "))
	text, column := mask(line, s.visible(at.Line, line))
	if at.Col > len(column) {
		return ""
	}
	return text + "\n" + strings.Repeat(" ", column[at.Col-1]) + "^"
}

// text is the lines without the empty one behind the last line break.
func (s *source) text() []string {
	if last := len(s.lines) - 1; last >= 0 && s.lines[last] == "" {
		return s.lines[:last]
	}
	return s.lines
}

// masked is a whole line, 1-based, with everything masked that an excerpt would mask.
func (s *source) masked(n int) string {
	line := []rune(strings.ReplaceAll(s.lines[n-1], "\t", " "))
	text, _ := mask(line, s.visible(n, line))
	return text
}

// visible says which characters of a line may be shown.
func (s *source) visible(n int, line []rune) []bool {
	visible := make([]bool, len(line))
	for _, w := range s.shown[n] {
		for i := w.start; i < min(w.end, len(line)); i++ {
			visible[i] = true
		}
	}
	return visible
}

// Between two visible words only punctuation that structures YAML is left as
// it is; of anything else the part in front of a value.
var (
	structural = regexp.MustCompile(`^[ :,{}\[\]-]*$`)
	lead       = regexp.MustCompile(`^ *(?:- +)*[:,}\]]* *[{\[]* *`)
)

// mask replaces what is not visible by dots. column says where each character
// of the line has gone.
func mask(line []rune, visible []bool) (text string, column []int) {
	var out []rune
	for i := 0; i < len(line); {
		end := i + 1
		for end < len(line) && visible[end] == visible[i] {
			end++
		}
		run := string(line[i:end])
		kept := end - i
		if !visible[i] && !structural.MatchString(run) {
			kept = len(lead.FindString(run)) // ASCII: bytes are characters
		}
		for n := range end - i {
			column = append(column, len(out)+min(n, kept))
		}
		out = append(out, line[i:i+kept]...)
		if kept < end-i {
			out = append(out, '…')
			if end < len(line) {
				out = append(out, ' ')
			}
		}
		i = end
	}
	return string(out), column
}
