package tui

import (
	"fmt"
	"strings"

	"anyproxy/metrics"
)

// logLevels are the least levels that can be chosen with l.
var logLevels = []string{"DEBUG", "INFO", "WARN", "ERROR"}

// atLevel lists the lines of the chosen level and above, newest first.
func (m *model) atLevel() []int {
	least := levelRank(logLevels[m.level])
	levels := m.levels[:0]
	for i := len(m.lines) - 1; i >= 0; i-- {
		if levelRank(m.lines[i].Level) >= least {
			levels = append(levels, i)
		}
	}
	return levels
}

func levelRank(level string) int {
	for i, l := range logLevels {
		if l == level {
			return i
		}
	}
	return 0
}

// line is a line of the log as the screen shows it.
func (m *model) line(i int) *metrics.LogLine {
	line := &m.lines[m.levels[i]]
	if m.replace == nil {
		return line
	}
	masked := *line
	masked.Text = m.replace(line.Text)
	return &masked
}

// paintLogs shows the newest line at the bottom.
func (m *model) paintLogs(r region) {
	in := m.open(r, paneLogs, "Logs", m.logsNote())
	if m.layout.framed {
		in = in.sub(1, 0, in.w-2, in.h)
	}
	if in.h >= 4 {
		m.paintLevelChoice(in)
		in = in.sub(0, 2, in.w, in.h-2)
	}
	l, n, _ := m.rows(paneLogs)
	if in.empty() {
		return
	}
	if n == 0 {
		m.paintNothing(in, paneLogs, len(m.lines) > 0, "the log is silent")
		return
	}
	m.list(paneLogs)
	order := m.listings[paneLogs].order
	first := l.window(n, in.h)
	y := min(in.h, m.logRows(in.w, order[first:], in.h))
	for i := first; i < n && y > 0; i++ {
		rows := m.logLine(m.line(order[i]), in.w)
		y -= len(rows)
		for k, row := range rows {
			if y+k < 0 {
				continue
			}
			in.spans(0, y+k, in.w, row)
			if i == l.index {
				m.markRow(in, y+k)
			}
		}
	}
}

// logRows is how many rows the lines take, at most as many as are seen.
func (m *model) logRows(w int, order []int, most int) int {
	rows := 0
	for _, i := range order {
		if rows += len(m.logLine(m.line(i), w)); rows >= most {
			return most
		}
	}
	return rows
}

func (m *model) logsNote() spans {
	note := m.filterNote(paneLogs)
	if m.along > 0 && !m.wrap {
		note = append(note, span{fmt.Sprintf("%s %d columns  ", m.theme.glyphs.left, m.along), fg(dim)})
	}
	switch {
	case m.frozen:
		note = append(note, span{fmt.Sprintf("FROZEN, %d newer", len(m.later)), fg(warn)})
	case m.listings[paneLogs].id != "":
		note = append(note, span{"does not follow, f follows", fg(warn)})
	default:
		note = append(note, span{"follows the newest", fg(dim)})
	}
	return note
}

func (m *model) paintLevelChoice(in region) {
	x := 0
	for i, level := range logLevels {
		n := 0
		for k := range m.lines {
			if levelRank(m.lines[k].Level) >= i {
				n++
			}
		}
		x = m.chip(in, x, strings.ToLower(level)+"+", n, i == m.level, fg(levelRole(level)))
	}
}

func levelRole(level string) role {
	switch level {
	case "WARN":
		return warn
	case "ERROR":
		return bad
	case "INFO":
		return good
	}
	return dim
}

// logLine is the rows of one line: one, or as many as it takes with wrapping.
func (m *model) logLine(line *metrics.LogLine, w int) []spans {
	head := spans{}
	if w >= 40 {
		head = append(head, span{m.clock(line.Time) + " ", fg(dim)})
	}
	head = append(head, span{fmt.Sprintf("%-5.5s ", line.Level), fg(levelRole(line.Level))})
	indent := head.width()
	if !m.wrap {
		return []spans{append(head, highlight(skip(line.Text, m.along))...)}
	}
	var rows []spans
	for text := line.Text; text != "" || rows == nil; {
		piece := takeColumns(text, max(2, w-indent)) // no cluster is wider than 2
		text = text[len(piece):]
		row := spans{{strings.Repeat(" ", indent), style{}}}
		if rows == nil {
			row = head
		}
		rows = append(rows, append(row, highlight(piece)...))
	}
	return rows
}

// highlight dims the names of attributes, so that the values stand out.
func highlight(text string) spans {
	var ss spans
	for text != "" {
		word, rest, found := strings.Cut(text, " ")
		if found {
			rest = " " + rest
		}
		text = strings.TrimPrefix(rest, " ")
		gap := ""
		if found {
			gap = " "
		}
		key, value, isAttr := strings.Cut(word, "=")
		if !isAttr || key == "" || strings.ContainsAny(key, `"{`) {
			ss = append(ss, span{word + gap, style{}})
			continue
		}
		ss = append(ss, span{key + "=", fg(dim)}, span{value + gap, style{}})
	}
	return ss
}

// skip leaves out the first n columns of s.
func skip(s string, n int) string { return s[len(takeColumns(s, n)):] }

// takeColumns is the beginning of s that takes at most w columns.
func takeColumns(s string, w int) string {
	used := 0
	for n := 0; n < len(s); {
		cluster, cw := nextCluster(s[n:])
		if used += cw; used > w {
			return s[:n]
		}
		n += len(cluster)
	}
	return s
}
