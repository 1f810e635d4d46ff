package config

import "slices"

// Line is one line of a text diff. A line of both texts has both numbers, one
// that was removed only Old, one that was added only New. Whatever may be
// secret in Text is masked, so two lines that differ can look alike.
type Line struct {
	Old, New int // 1-based; 0 = not there
	Text     string
}

const (
	// around is how many unchanged lines a text diff shows beside a change.
	around = 3
	// comparableLines bounds the work of a text diff: where the changed regions have
	// more pairs of lines than this, one is shown as replaced by the other.
	comparableLines = 1 << 20
)

// TextDiff compares the texts of two files line by line. Between Lines whose
// numbers do not follow each other unchanged ones are left out.
func TextDiff(from, to *Document) []Line {
	a, b := from.source.text(), to.source.text()
	if slices.Equal(a, b) {
		return nil
	}
	head := 0
	for head < min(len(a), len(b)) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < min(len(a), len(b))-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	var lines []Line
	for i := max(0, head-around); i < head; i++ {
		lines = append(lines, Line{Old: i + 1, New: i + 1})
	}
	lines = append(lines, middle(a[head:len(a)-tail], b[head:len(b)-tail], head)...)
	for i := range min(tail, around) {
		lines = append(lines, Line{Old: len(a) - tail + i + 1, New: len(b) - tail + i + 1})
	}
	lines = nearChanges(lines)
	for i, l := range lines {
		if l.New > 0 {
			lines[i].Text = to.source.masked(l.New)
		} else {
			lines[i].Text = from.source.masked(l.Old)
		}
	}
	return lines
}

// middle is the shortest way from a to b, by their longest common subsequence.
// Both begin behind skipped common lines.
func middle(a, b []string, skipped int) (lines []Line) {
	var common [][]int32 // lengths, of the texts from i and j on
	if len(a)*len(b) <= comparableLines {
		common = commonLengths(a, b)
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case common != nil && i < len(a) && j < len(b) && a[i] == b[j]:
			i, j = i+1, j+1
			lines = append(lines, Line{Old: skipped + i, New: skipped + j})
		case i < len(a) && (common == nil || j == len(b) || common[i+1][j] >= common[i][j+1]):
			i++
			lines = append(lines, Line{Old: skipped + i})
		default:
			j++
			lines = append(lines, Line{New: skipped + j})
		}
	}
	return lines
}

func commonLengths(a, b []string) [][]int32 {
	common := make([][]int32, len(a)+1)
	for i := range common {
		common[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	return common
}

// nearChanges leaves out unchanged lines that are far from any change.
func nearChanges(lines []Line) []Line {
	changed := func(l Line) bool { return l.Old == 0 || l.New == 0 }
	var kept []Line
	for i, l := range lines {
		if slices.ContainsFunc(lines[max(0, i-around):min(len(lines), i+around+1)], changed) {
			kept = append(kept, l)
		}
	}
	return kept
}
