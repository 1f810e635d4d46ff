package tui

import (
	"strconv"
	"strings"
	"time"

	"anyproxy/metrics"
)

// filter is what the person has typed behind /. All of its words must hold:
//
//	zai 429      words that occur anywhere in the row
//	!haiku       one that must not
//	>5s <500ms   how long the request took
//	cost>0.1     dollars
//	tok<20       tokens per second
//	id:7f        the beginning of the id, with or without its req_
type filter struct {
	text       string
	off        bool // kept, not used
	conditions []condition
}

// condition is one word of a filter.
type condition struct {
	field byte // 0 any text, 't' duration, 'c' cost, 's' speed, 'i' id
	not   bool
	above bool
	value float64
	word  string
}

// subject is what a filter looks at.
type subject struct {
	text string // in small letters
	id   string
	took time.Duration
	tps  float64
	cost float64
}

func newFilter(text string) filter {
	f := filter{text: text}
	for _, word := range strings.Fields(strings.ToLower(text)) {
		if t, ok := newCondition(word); ok {
			f.conditions = append(f.conditions, t)
		}
	}
	return f
}

// newCondition reads one word; one that is not finished yet, like a lone !, is none.
func newCondition(word string) (t condition, ok bool) {
	if rest, not := strings.CutPrefix(word, "!"); not {
		t, ok = newCondition(rest)
		t.not = !t.not
		return t, ok
	}
	if id, is := strings.CutPrefix(word, "id:"); is {
		return condition{field: 'i', word: strings.TrimPrefix(id, "req_")}, id != ""
	}
	for prefix, field := range map[string]byte{"cost": 'c', "tok": 's', "": 't'} {
		rest, is := strings.CutPrefix(word, prefix)
		if !is || rest == "" || rest[0] != '<' && rest[0] != '>' {
			continue
		}
		value, ok := limit(rest[1:], field)
		return condition{field: field, above: rest[0] == '>', value: value}, ok
	}
	return condition{word: word}, word != ""
}

// limit reads a number, and for a duration one with a unit; seconds without.
func limit(s string, field byte) (float64, bool) {
	if field == 't' {
		if d, err := time.ParseDuration(s); err == nil {
			return d.Seconds(), true
		}
	}
	v, err := strconv.ParseFloat(strings.TrimPrefix(s, "$"), 64)
	return v, err == nil
}

// passesAll reports whether the filter leaves nothing out.
func (f *filter) passesAll() bool { return f.off || len(f.conditions) == 0 }

func (f *filter) matches(s subject) bool {
	for _, t := range f.conditions {
		if t.holds(&s) == t.not {
			return false
		}
	}
	return true
}

func (t *condition) holds(s *subject) bool {
	var v float64
	switch t.field {
	case 'i':
		return strings.HasPrefix(strings.TrimPrefix(s.id, "req_"), t.word)
	case 't':
		v = s.took.Seconds()
	case 'c':
		v = s.cost
	case 's':
		if v = s.tps; v == 0 {
			return false // not known is not slow
		}
	default:
		return strings.Contains(s.text, t.word)
	}
	if t.above {
		return v > t.value
	}
	return v < t.value
}

// subjectOf is what a filter sees of a row.
func (m *model) subjectOf(p pane, i int) subject {
	switch p {
	case paneProviders:
		v := &m.shown.Providers[i]
		return subject{text: words(v.Name, v.Type, string(v.State), v.LastError), tps: v.TPS, cost: v.Spent}
	case paneRequests:
		return requestSubject(&m.shown.Requests[i])
	case paneEvents:
		e := &m.folds[i]
		return subject{text: words(string(e.Kind), e.Provider, e.To, e.Model, e.Text), id: e.Request, took: e.For}
	}
	line := m.line(i)
	return subject{text: words(line.Level, line.Text)}
}

func requestSubject(r *metrics.RequestRecord) subject {
	text := []string{r.Model, string(r.Phase), r.Error, r.Key, r.Session}
	if r.Status != 0 {
		text = append(text, strconv.Itoa(r.Status))
	}
	for i := range r.Decision.Attempts {
		a := &r.Decision.Attempts[i]
		text = append(text, a.Provider, a.Model, a.Outcome)
		if a.Status != 0 {
			text = append(text, strconv.Itoa(a.Status))
		}
	}
	return subject{text: words(text...), id: r.ID, took: r.Duration, tps: r.TPS, cost: r.Cost}
}

func words(s ...string) string { return strings.ToLower(strings.Join(s, " ")) }
