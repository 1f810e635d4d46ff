package routing

import "strings"

// Target is one way to serve the models that its name and aliases stand for.
type Target struct {
	Provider      string
	Endpoint      string   // with Provider and Model it names the upstream whose state survives a reload
	Model         string   // the upstream's name; "" = the asked name goes upstream unchanged
	Aliases       []string // patterns; * anywhere stands for any run of characters and is the only special one
	Weight        float64  // > 0
	Tier          int      // lowest first
	MaxConcurrent int      // requests in flight at its provider, beyond which others are asked first; 0 = any number
	Context       int      // tokens; 0 = not known
	Lacks         Needs    // what it is configured not to have
	Native        bool     // it takes requests as they are, without conversion
	// Price of a token of an upstream's model, in any unit; nil = not known. 0 = it
	// costs nothing. A nil Price knows of none.
	Price func(model string) *float64
}

// Needs is what a request asks of a target.
type Needs struct{ Images, PDF, Thinking, Tools bool }

// Match reports whether the pattern covers name, case-sensitively.
func Match(pattern, name string) bool {
	head, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == name
	}
	if !strings.HasPrefix(name, head) {
		return false
	}
	name = name[len(head):]
	for {
		part, more, again := strings.Cut(rest, "*")
		if !again {
			return strings.HasSuffix(name, rest)
		}
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name, rest = name[i+len(part):], more
	}
}

// rank orders patterns that match the same name: one without * before those
// with, then the one with most literal characters.
func rank(pattern string) int {
	stars := strings.Count(pattern, "*")
	if stars == 0 {
		return 1 << 30
	}
	return len(pattern) - stars
}

// candidates returns the targets for the asked model: those of that very name
// together with those behind the best matching alias. An upstream that stands
// in several of them is taken once, from its lowest tier. alias is the pattern
// that matched, "" when only names did.
func candidates(targets []Target, asked string) (found []*Target, alias string) {
	best := -1
	for i := range targets {
		for _, p := range targets[i].Aliases {
			if r := rank(p); r > best && Match(p, asked) {
				best, alias = r, p
			}
		}
	}
	for i := range targets {
		t := &targets[i]
		if t.Model == asked && asked != "" || t.hasAlias(best, asked) {
			found = addOnce(found, t, asked)
		}
	}
	return found, alias
}

func (t *Target) hasAlias(best int, asked string) bool {
	for _, p := range t.Aliases {
		if rank(p) == best && Match(p, asked) {
			return true
		}
	}
	return false
}

func addOnce(found []*Target, t *Target, asked string) []*Target {
	for i, f := range found {
		if f.Provider == t.Provider && f.upstreamModel(asked) == t.upstreamModel(asked) {
			if t.Tier < f.Tier {
				found[i] = t
			}
			return found
		}
	}
	return append(found, t)
}

// upstreamModel is what the target calls the asked model.
func (t *Target) upstreamModel(asked string) string {
	if t.Model == "" {
		return asked
	}
	return t.Model
}
