package tui

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"anyproxy/metrics"
)

// requestIDs matches the ids of requests in text.
var requestIDs = regexp.MustCompile(`req_[0-9A-Za-z]+`)

// mask hides names and ids, for pictures of the screen, or shows them again.
func (m *model) mask() {
	m.masked = !m.masked
	m.present(m.bare)
	for p := range m.listings {
		m.listings[p].id = ""
	}
	m.unsettle()
	m.soil()
	if m.masked {
		m.tell("names and ids are masked")
	}
}

// present makes s what the screen shows: as it is, or with names, addresses and
// ids replaced.
func (m *model) present(s metrics.Snapshot) {
	m.bare, m.shown, m.replace = s, s, nil
	if m.masked {
		m.replace = disguiser(&s)
		m.shown = disguise(s, m.replace)
	}
}

// disguise replaces names, addresses and ids. Figures stay.
func disguise(s metrics.Snapshot, replace func(string) string) metrics.Snapshot {
	s.Config, s.Listen = "config", port(s.Listen)
	s.Providers = slices.Clone(s.Providers)
	for i := range s.Providers {
		p := &s.Providers[i]
		p.Name, p.Endpoint, p.LastError = replace(p.Name), dots, replace(p.LastError)
	}
	s.Requests = slices.Clone(s.Requests)
	for i := range s.Requests {
		maskRequest(&s.Requests[i], replace)
	}
	if s.Review != nil {
		s.Review = maskReview(*s.Review, replace)
	}
	return s
}

// disguised is a text of the model's own as the screen shows it.
func (m *model) disguised(text string) string {
	if m.replace == nil {
		return text
	}
	return m.replace(text)
}

const dots = "····"

// disguiser replaces the names of providers by their number, whatever else
// names one, and ids and addresses by dots.
func disguiser(s *metrics.Snapshot) func(string) string {
	var pairs []string
	if s.Config != "" {
		pairs = append(pairs, s.Config, "config")
	}
	byLength := slices.Clone(s.Providers)
	slices.SortStableFunc(byLength, func(a, b metrics.ProviderView) int { return len(b.Name) - len(a.Name) })
	for _, p := range byLength {
		i := slices.IndexFunc(s.Providers, func(q metrics.ProviderView) bool { return q.Name == p.Name })
		if p.Endpoint != "" {
			pairs = append(pairs, p.Endpoint, dots)
		}
		if p.Name != "" {
			pairs = append(pairs, p.Name, "prov "+strconv.Itoa(i+1))
		}
	}
	replace := replacerOfWords(pairs)
	return func(text string) string { return requestIDs.ReplaceAllString(replace(text), "req_"+dots) }
}

// replacerOfWords replaces texts, given as pairs of old and new, where they
// stand as words: a provider called a is not meant by every a. Of two that
// begin at the same place the one given first counts.
func replacerOfWords(pairs []string) func(string) string {
	if len(pairs) == 0 {
		return func(text string) string { return text }
	}
	instead, quoted := map[string]string{}, make([]string, 0, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		instead[pairs[i]] = pairs[i+1]
		quoted = append(quoted, regexp.QuoteMeta(pairs[i]))
	}
	old := regexp.MustCompile(strings.Join(quoted, "|"))
	isPart := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
	return func(text string) string {
		var b strings.Builder
		done := 0
		for _, at := range old.FindAllStringIndex(text, -1) {
			before, _ := utf8.DecodeLastRuneInString(text[:at[0]])
			after, _ := utf8.DecodeRuneInString(text[at[1]:])
			if isPart(before) || isPart(after) {
				continue
			}
			b.WriteString(text[done:at[0]])
			b.WriteString(instead[text[at[0]:at[1]]])
			done = at[1]
		}
		return b.String() + text[done:]
	}
}

// maskRequest leaves the id, by which rows are told apart; where it is shown it
// is hidden.
func maskRequest(r *metrics.RequestRecord, replace func(string) string) {
	id, model := r.ID, r.Model
	cleanRequest(r, replace)
	r.ID, r.Model, r.Session, r.Key = id, model, hidden(r.Session), hidden(r.Key)
}

func maskReview(r metrics.Review, replace func(string) string) *metrics.Review {
	named := func(string) string { return dots }
	r.File, r.Text = "config", nil // the text is the file's own words
	r.Changes = slices.Clone(r.Changes)
	for i := range r.Changes {
		c := &r.Changes[i]
		c.Path, c.Old, c.New = maskPath(c.Path), maskValue(c.Old), maskValue(c.New)
	}
	r.Problems = slices.Clone(r.Problems)
	for i := range r.Problems {
		p := &r.Problems[i]
		p.Key, p.Reason, p.Text, p.Excerpt = maskPath(p.Key), replace(p.Reason), "", ""
	}
	r.Effect = cleanEffect(r.Effect, replace)
	for i := range r.Effect.Aliases {
		a := &r.Effect.Aliases[i]
		a.Gains, a.Loses = washed(a.Gains, named), washed(a.Loses, named)
	}
	return &r
}

// namedPart matches the parts of a path that are somebody's names.
var namedPart = regexp.MustCompile(`^(providers|apiKeys)\.[^.]+|\[[^\]]*\]`)

func maskPath(path string) string {
	return namedPart.ReplaceAllStringFunc(path, func(part string) string {
		if list, _, ok := strings.Cut(part, "."); ok && part[0] != '[' {
			return list + "." + dots
		}
		return "[" + dots + "]"
	})
}

// maskValue leaves numbers.
func maskValue(v string) string {
	if _, err := strconv.ParseFloat(v, 64); err == nil {
		return v
	}
	return hidden(v)
}

func hidden(s string) string {
	if s == "" {
		return ""
	}
	return dots
}
