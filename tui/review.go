package tui

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"anyproxy/metrics"
)

// reviewState is how the person looks at a review.
type reviewState struct {
	hash   string    // reviewKey of the newest one
	opened time.Time // when it came before the person's eyes
	lines  bool      // the file's lines instead of the summary
}

// follow notices that another review waits. One that comes while the person
// looks begins anew, and answers count again only after a while.
func (m *model) follow(r *metrics.Review) {
	hash := reviewKey(r)
	if hash == m.review.hash {
		return
	}
	if m.screen == configScreen && !m.frozen {
		if m.review.hash != "" && r != nil {
			m.tell("the file was saved again: this is what is on disk now")
		}
		m.review.opened = m.now()
		m.scroll = 0
	}
	m.review.hash = hash
	m.soil(paneTabs, paneFooter, paneReview)
}

// reviewKey tells one review from another, "" is none.
func reviewKey(r *metrics.Review) string {
	if r == nil {
		return ""
	}
	return r.Hash + r.At.String() // one that cannot be read has no hash
}

// reviewBadge is what the tab of the configuration says.
func (m *model) reviewBadge(long bool) span {
	r := m.shown.Review
	switch {
	case r == nil:
		return span{}
	case !r.Usable() && long:
		return span{"invalid", fg(bad)}
	case !r.Usable():
		return span{"!", fg(bad)}
	case long:
		return span{"1 to review", fg(warn)}
	}
	return span{"!1", fg(warn)}
}

func (m *model) paintReview(r region) {
	review := m.shown.Review
	var title string
	var note spans
	var lines []spans
	switch {
	case review == nil:
		title, lines = "Configuration", m.noReview(r.w-4)
	case !review.Usable():
		title = filepath.Base(review.File) + ", " + plural(len(review.Problems), "problem")
		note = spans{{"not applied, nothing changed", fg(bad)}}
		lines = m.problemLines(review, r.w-4)
	case m.review.lines:
		title = filepath.Base(review.File) + ": running " + m.theme.glyphs.arrow + " on disk"
		note = spans{{"line by line", fg(dim)}}
		in := m.open(r, paneReview, title, note)
		m.paintText(in, review)
		return
	default:
		title = filepath.Base(review.File) + ": running " + m.theme.glyphs.arrow + " on disk"
		note = spans{{plural(len(review.Changes), "change") + ", saved " + m.clock(review.At), fg(warn)}}
		lines = m.changeLines(review, r.w-4, r.h-2)
	}
	in := m.open(r, paneReview, title, note)
	if m.layout.framed {
		in = in.sub(1, 0, in.w-2, in.h)
	}
	if rest := in.h - len(lines) - 1; review != nil && review.Usable() && len(review.Text) > 0 && rest >= leastText {
		for y, line := range lines {
			in.spans(0, y, in.w, line)
		}
		in.fill(0, len(lines)+1, in.w, m.theme.glyphs.rule, fg(edge))
		m.paintText(in.sub(0, len(lines)+2, in.w, rest-1), review) // it scrolls
		return
	}
	m.paintScrolled(in, lines)
}

// leastText is how many rows must be left under the summary to show the text
// there too.
const leastText = 8

// paintText shows the file's lines: the two texts beside each other where there
// is room.
func (m *model) paintText(in region, r *metrics.Review) {
	if in.w >= detailWidth-4 {
		m.paintSideBySide(in, r)
		return
	}
	m.paintScrolled(in, m.diffLines(r))
}

// paintScrolled paints lines from the scroll position on.
func (m *model) paintScrolled(in region, lines []spans) {
	m.scroll = max(0, min(m.scroll, len(lines)-in.h))
	for y := range in.h {
		if y+m.scroll < len(lines) {
			in.spans(0, y, in.w, lines[y+m.scroll])
		}
	}
	if more := len(lines) - m.scroll - in.h; more > 0 && in.h > 1 {
		sign := fmt.Sprintf(" %s %d more ", m.theme.glyphs.down, more)
		in.right(in.w, in.h-1, sign, fg(accent))
	}
}

// noReview says what runs, what became of changes, and how one would come here.
func (m *model) noReview(w int) []spans {
	s := &m.shown
	lines := []spans{
		fact("running", spans{{s.Config, strong(plain)}}),
		fact("since", spans{{m.clock(s.ConfigAt), style{}}, {", " + span2(s.At.Sub(s.ConfigAt)), fg(dim)}}),
		fact("changes", figure("applied", count(s.Reloads.Applied), style{}), figure("rejected", count(s.Reloads.Rejected), style{}),
			figure("invalid", count(s.Reloads.Invalid), style{})),
		nil,
	}
	if s.Watching {
		for _, piece := range wrapText("The file is watched. A change is shown here with its effect, and takes effect when you apply it.", max(10, w)) {
			lines = append(lines, spans{{piece, fg(dim)}})
		}
	} else {
		lines = append(lines, spans{{"No file is watched.", fg(dim)}})
	}
	lines = append(lines, nil)
	for i := len(m.events) - 1; i >= 0; i-- {
		if e := &m.events[i]; e.Kind == metrics.EventConfig {
			sign := m.theme.glyphs.event(e.Kind)
			lines = append(lines, spans{{m.clock(e.Time) + " ", fg(dim)}, {sign.sign + " ", fg(sign.role)}, {m.disguised(e.Text), style{}}})
		}
	}
	return lines
}

// changeLines is the summary of a usable file: what changes, what follows from
// it, what may not be meant. Where they do not fit into h rows the last come
// first: nobody should apply them unseen.
func (m *model) changeLines(r *metrics.Review, w, h int) []spans {
	g := m.theme.glyphs
	path := 12
	for _, c := range r.Changes {
		path = max(path, min(width(c.Path), w*2/5))
	}
	var lines []spans
	for i := range r.Changes {
		c := &r.Changes[i]
		sign, role := g.change(c.Kind)
		line := spans{{sign + " ", strong(role)}, {pad(cut(c.Path, path, g.ellipsis), path) + "  ", fg(role)}}
		lines = append(lines, append(line, m.changeText(c)...))
	}
	effects, e := m.aliasLines(&r.Effect, w-effectWidth), &r.Effect
	if e.Finishing > 0 {
		effects = append(effects, spans{{plural(e.Finishing, "request") + " on what is replaced finish as they began", style{}}})
	}
	if len(e.Restart) > 0 {
		effects = append(effects, spans{{"only at the next start: ", fg(warn)}, {strings.Join(e.Restart, ", "), style{}}})
	}
	if effects == nil {
		effects = []spans{{{"the traffic goes where it went", style{}}}}
	}
	var warnings []spans
	for _, text := range e.Warnings {
		for _, piece := range wrapText(text, max(10, w-effectWidth)) {
			warnings = append(warnings, spans{{piece, style{}}})
		}
	}
	parts := [][]spans{lines, headed("Effect", info, effects)}
	if warnings != nil {
		parts = append(parts, headed("Warning", warn, warnings))
	}
	parts = append(parts, []spans{m.reviewKeys()})
	rows := len(parts) - 1
	for _, p := range parts {
		rows += len(p)
	}
	if rows > h {
		slices.Reverse(parts[:len(parts)-1])
	}
	return slices.Concat(parts[0], withGaps(parts[1:]))
}

// withGaps joins parts with a blank line before each.
func withGaps(parts [][]spans) (lines []spans) {
	for _, p := range parts {
		lines = append(append(lines, nil), p...)
	}
	return lines
}

const effectWidth = 9

// headed puts a word before the first of some lines.
func headed(word string, r role, lines []spans) []spans {
	out := make([]spans, len(lines))
	for i, line := range lines {
		out[i] = append(spans{{pad(word, effectWidth), strong(r)}}, line...)
		word = ""
	}
	return out
}

// aliasLines tell how the traffic of each alias is shared out, now and then.
func (m *model) aliasLines(e *metrics.Effect, w int) (lines []spans) {
	g := m.theme.glyphs
	for i := range e.Aliases {
		a := &e.Aliases[i]
		line := spans{{a.Alias + "  ", strong(plain)}}
		before, after := make([]float64, len(a.Shares)), make([]float64, len(a.Shares))
		for k, s := range a.Shares {
			before[k], after[k] = s.Old, s.New
		}
		was, will := percents(before), percents(after)
		for k, s := range a.Shares {
			name := s.Provider
			if s.Model != "" {
				name += "/" + s.Model
			}
			piece := spans{{name + " ", style{}}, {strconv.Itoa(was[k]) + "%", fg(dim)}}
			if was[k] != will[k] {
				piece = append(piece, span{" " + g.arrow + " ", fg(dim)}, span{strconv.Itoa(will[k]) + "%", strong(plain)})
			}
			if k > 0 && line.width()+3+piece.width() > w {
				lines, line = append(lines, line), spans{{pad("", width(a.Alias)+2), style{}}}
			} else if k > 0 {
				line = append(line, span{"   ", style{}})
			}
			line = append(line, piece...)
		}
		for _, name := range a.Gains {
			line = append(line, span{"   " + g.add + name, fg(good)})
		}
		for _, name := range a.Loses {
			line = append(line, span{"   " + g.remove + name, fg(bad)})
		}
		lines = append(lines, line)
	}
	return lines
}

func (m *model) changeText(c *metrics.Change) spans {
	switch {
	case c.Kind == metrics.ChangeReordered:
		return spans{{"in another order", fg(dim)}}
	case c.Secret:
		return spans{{"value hidden", fg(dim)}}
	case c.Kind == metrics.ChangeAdded:
		return spans{{c.New, fg(good)}}
	case c.Kind == metrics.ChangeRemoved:
		return spans{{"was ", fg(dim)}, {c.Old, fg(bad)}}
	}
	return spans{{c.Old, fg(bad)}, {" " + m.theme.glyphs.arrow + " ", fg(dim)}, {c.New, fg(good)}}
}

// reviewKeys repeats the answers where the eyes are.
func (m *model) reviewKeys() spans {
	if m.readOnly {
		return spans{{"This screen is read-only.", fg(dim)}}
	}
	since := span2(m.shown.At.Sub(m.shown.ConfigAt))
	return spans{{"y", strong(accent)}, {" apply   ", style{}}, {"n", strong(accent)}, {" reject   ", style{}},
		{"d", strong(accent)}, {" the file's lines   ", style{}},
		{"no answer: the configuration that runs since " + since + " stays", fg(dim)}}
}

// change is the sign of what has become of a part.
func (g *glyphs) change(kind metrics.ChangeKind) (string, role) {
	switch kind {
	case metrics.ChangeAdded:
		return g.add, good
	case metrics.ChangeRemoved:
		return g.remove, bad
	}
	return g.edit, warn
}

// lineSign is the sign of a line of a text diff.
func (g *glyphs) lineSign(l metrics.TextLine) (string, role) {
	switch {
	case l.Old == 0:
		return g.add, good
	case l.New == 0:
		return g.remove, bad
	}
	return " ", plain
}

// problemLines shows each problem with its place in the file and a caret.
func (m *model) problemLines(r *metrics.Review, w int) []spans {
	var lines []spans
	for i := range r.Problems {
		p := &r.Problems[i]
		place := ""
		if p.Line > 0 {
			place = fmt.Sprintf("line %d, column %d: ", p.Line, p.Col)
		}
		reason := p.Reason
		if p.Key != "" {
			reason = p.Key + ": " + reason
		}
		for k, piece := range wrapText(reason, max(10, w-width(place)-2)) {
			head := spans{{m.theme.glyphs.failed + " ", fg(bad)}, {place, strong(plain)}}
			if k > 0 {
				head = spans{{pad("", width(place)+2), style{}}}
			}
			lines = append(lines, append(head, span{piece, style{}}))
		}
		for k, text := range strings.Split(strings.TrimRight(p.Excerpt, "\n"), "\n") {
			if text == "" {
				continue
			}
			number, st := "     ", style{}
			switch {
			case strings.TrimLeft(text, " ") == "^":
				st = strong(bad)
			case k == 0 && p.Line > 0:
				number = fmt.Sprintf("%5d", p.Line)
			}
			lines = append(lines, spans{{number + " " + m.theme.glyphs.vertical + " ", fg(dim)}, {text, st}})
		}
		lines = append(lines, nil)
	}
	return append(lines,
		spans{{"The running configuration stays. The file is read again at every save.", fg(dim)}},
		spans{{"The same text: anyproxy validate", fg(dim)}})
}

// diffLines is the text of the file, removed and added lines marked.
func (m *model) diffLines(r *metrics.Review) []spans {
	var lines []spans
	old, now := 0, 0
	for _, l := range r.Text {
		if gap(l, old, now) {
			lines = append(lines, spans{{"     " + m.theme.glyphs.ellipsis, fg(faint)}})
		}
		old, now = max(old, l.Old), max(now, l.New)
		sign, role := m.theme.glyphs.lineSign(l)
		n := l.New
		if n == 0 {
			n = l.Old
		}
		lines = append(lines, spans{{lineNumber(n) + " ", fg(faint)}, {sign + " ", strong(role)}, {l.Text, fg(role)}})
	}
	if lines == nil {
		lines = []spans{{{"the text is not shown", fg(dim)}}}
	}
	return lines
}

// gap reports whether lines are left out between l and those before it.
func gap(l metrics.TextLine, old, now int) bool {
	return l.Old > old+1 || l.New > now+1
}

func lineNumber(n int) string {
	if n == 0 {
		return "    "
	}
	return fmt.Sprintf("%4d", n)
}

// paintSideBySide shows the running text at the left and the one on disk at
// the right, equal lines on one row.
func (m *model) paintSideBySide(in region, r *metrics.Review) {
	half := in.w / 2
	sides := []region{in.sub(1, 1, half-2, in.h-1), in.sub(half+1, 1, in.w-half-2, in.h-1)}
	in.spans(1, 0, half-2, spans{{"running since " + m.clock(m.shown.ConfigAt), strong(plain)}})
	in.spans(half+1, 0, in.w-half-2, spans{{"on disk, saved " + m.clock(r.At), strong(plain)}})
	for y := range in.h {
		in.put(half-1, y, m.theme.glyphs.vertical, 1, fg(edge))
	}
	before, after := aligned(r.Text, m.theme.glyphs.ellipsis)
	m.scroll = max(0, min(m.scroll, len(before)-sides[0].h))
	for y := range sides[0].h {
		if y+m.scroll >= len(before) {
			return
		}
		m.paintSide(sides[0], y, before[y+m.scroll], before[y+m.scroll].Old)
		m.paintSide(sides[1], y, after[y+m.scroll], after[y+m.scroll].New)
	}
}

func (m *model) paintSide(in region, y int, l metrics.TextLine, n int) {
	sign, role := m.theme.glyphs.lineSign(l)
	if l.Old == 0 && l.New == 0 {
		sign, role = " ", faint
	}
	in.spans(0, y, in.w, spans{{lineNumber(n) + " ", fg(faint)}, {sign + " ", strong(role)}, {l.Text, fg(role)}})
}

// aligned puts removed and added lines that follow each other on the same rows.
// A row with neither number is blank, or stands for lines left out.
func aligned(lines []metrics.TextLine, ellipsis string) (before, after []metrics.TextLine) {
	even := func() {
		for len(before) < len(after) {
			before = append(before, metrics.TextLine{})
		}
		for len(after) < len(before) {
			after = append(after, metrics.TextLine{})
		}
	}
	old, now := 0, 0
	for _, l := range lines {
		if gap(l, old, now) {
			even()
			before, after = append(before, metrics.TextLine{Text: ellipsis}), append(after, metrics.TextLine{Text: ellipsis})
		}
		old, now = max(old, l.Old), max(now, l.New)
		switch {
		case l.New == 0:
			before = append(before, l)
		case l.Old == 0:
			after = append(after, l)
		default:
			even()
			before, after = append(before, l), append(after, l)
		}
	}
	even()
	return before, after
}

// wrapText breaks a text at spaces into lines of at most w columns.
func wrapText(text string, w int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case width(line)+1+width(word) <= w:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}

// pad fills s with blanks up to w columns.
func pad(s string, w int) string { return s + strings.Repeat(" ", max(0, w-width(s))) }

func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return strconv.Itoa(n) + " " + thing + "s"
}
