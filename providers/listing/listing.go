// Package listing reads what upstreams say of the models that they have: the
// answers to GET /v1/models, and Bedrock's lists. There is no common shape. What
// is read of a model is its name and, where it is stated, the size of its context
// window.
package listing

import (
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Model is one that an upstream has.
type Model struct {
	ID      string
	Context int // tokens; 0 = not stated
}

// List is all that an upstream has, in its order, and the answers that said so.
type List struct {
	Models []Model
	// Payloads are the answers as they came, page by page, less the credentials
	// that the upstream was shown.
	Payloads [][]byte
}

// Page is one answer.
type Page struct {
	Models []Model
	// More is set when there are further ones, Last is the name to go on behind.
	More bool
	Last string
	Next string // Bedrock's way: a token that asks for the next one
}

// ErrShape is an answer that lists nothing.
var ErrShape = errors.New("the answer is no list of models")

// mostTokens is the largest size that is believed.
const mostTokens = 1 << 30

// Parse reads one answer. An empty list is one; entries without a name are passed
// over.
func Parse(body []byte) (Page, error) {
	var array []entry
	if json.Unmarshal(body, &array) == nil && array != nil { // Together's
		return Page{Models: models(array)}, nil
	}
	var p struct {
		Data      *[]entry `json:"data"`
		Models    *[]entry `json:"models"`
		Summaries *[]entry `json:"modelSummaries"`
		Profiles  *[]entry `json:"inferenceProfileSummaries"`
		HasMore   bool     `json:"has_more"`
		LastID    string   `json:"last_id"`
		NextToken string   `json:"nextToken"`
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return Page{}, ErrShape
	}
	for _, entries := range []*[]entry{p.Data, p.Models, p.Summaries, p.Profiles} {
		if entries != nil {
			return Page{Models: models(*entries), More: p.HasMore && p.LastID != "", Last: p.LastID, Next: p.NextToken}, nil
		}
	}
	return Page{}, ErrShape
}

func models(entries []entry) []Model {
	list := make([]Model, 0, len(entries))
	for i := range entries {
		if id := entries[i].id(); id != "" {
			list = append(list, Model{id, entries[i].context()})
		}
	}
	return list
}

// entry is a model in any of the shapes. The names of a context's size are
//
//	max_input_tokens            Anthropic (platform.claude.com/docs/en/api/models/list), LiteLLM
//	context_length              OpenRouter, Together, Moonshot
//	top_provider.context_length OpenRouter: what its own upstream gives of it
//	context_window              Groq, anyproxy
//	max_context_length          Mistral, LM Studio
//	loaded_context_length       LM Studio: what the model was loaded with
//	max_model_len               vLLM, SGLang
//	meta.n_ctx, n_ctx_train     llama.cpp: what it serves, what the model could
//	metadata.context_length     DeepInfra
//	inputTokenLimit             Gemini
//	limits.…, capabilities.limits.max_context_window_tokens   GitHub
type entry struct {
	ID        text `json:"id"`
	Name      text `json:"name"`
	Model     text `json:"model"`
	ModelID   text `json:"modelId"`
	ProfileID text `json:"inferenceProfileId"`

	Loaded         tokens `json:"loaded_context_length"`
	MaxModelLen    tokens `json:"max_model_len"`
	ContextLength  tokens `json:"context_length"`
	ContextWindow  tokens `json:"context_window"`
	MaxContext     tokens `json:"max_context_length"`
	MaxInput       tokens `json:"max_input_tokens"`
	InputLimit     tokens `json:"inputTokenLimit"`
	TopProvider    inner  `json:"top_provider"`
	Meta           inner  `json:"meta"`
	Metadata       inner  `json:"metadata"`
	Limits         inner  `json:"limits"`
	Capabilities   inner  `json:"capabilities"`
	DefaultLengths inner  `json:"model_spec"`
}

func (e *entry) id() string {
	for _, id := range []text{e.ID, e.ModelID, e.ProfileID, e.Name, e.Model} {
		if id != "" {
			return string(id)
		}
	}
	return ""
}

// context is the first size that is there: what is served before what a model
// could do.
func (e *entry) context() int {
	for _, n := range []tokens{
		e.Loaded, e.Meta.Served, e.TopProvider.ContextLength, e.MaxModelLen, e.ContextLength, e.ContextWindow,
		e.MaxContext, e.MaxInput, e.InputLimit, e.Limits.Window, e.Capabilities.limits.Window,
		e.Metadata.ContextLength, e.Meta.Trained, e.DefaultLengths.Available,
	} {
		if n > 0 {
			return int(n)
		}
	}
	return 0
}

// inner is what may stand below one of an entry's members. What is no object has
// nothing of it.
type inner struct {
	ContextLength tokens
	Served        tokens
	Trained       tokens
	Window        tokens
	Available     tokens
	limits        struct{ Window tokens }
}

func (i *inner) UnmarshalJSON(b []byte) error {
	var v struct {
		ContextLength tokens `json:"context_length"`
		Served        tokens `json:"n_ctx"`
		Trained       tokens `json:"n_ctx_train"`
		Window        tokens `json:"max_context_window_tokens"`
		Available     tokens `json:"availableContextTokens"` // Venice
		Limits        struct {
			Window tokens `json:"max_context_window_tokens"`
		} `json:"limits"`
	}
	if json.Unmarshal(b, &v) == nil {
		*i = inner{ContextLength: v.ContextLength, Served: v.Served, Trained: v.Trained, Window: v.Window, Available: v.Available}
		i.limits.Window = v.Limits.Window
	}
	return nil
}

// text is a string; of another kind it is empty.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		*t = text(s)
	}
	return nil
}

// tokens is a number, which some write as a string; what is none, or cannot be, is 0.
type tokens int

func (n *tokens) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) != nil {
		s = string(b)
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil && f >= 1 && f <= mostTokens {
		*n = tokens(f)
	}
	return nil
}

// snapshot is what may follow a name in the list that is asked for without it:
// the day of a model, or Ollama's tag.
var snapshot = regexp.MustCompile(`^(?:-20[0-9]{6}|-20[0-9]{2}-[0-9]{2}-[0-9]{2}|:latest|-latest)$`)

// Find is the model that a name asks for, false when none is. A name without a
// day means the newest of that name.
func (l *List) Find(name string) (found Model, ok bool) {
	for _, m := range l.Models {
		switch rest, begins := strings.CutPrefix(m.ID, name); {
		case m.ID == name || m.ID == "models/"+name: // Gemini's
			return m, true
		case begins && snapshot.MatchString(rest) && (!ok || m.ID > found.ID):
			found, ok = m, true
		}
	}
	return found, ok
}

// Near are the names that are most like one that is not there, the nearest first,
// at most n of them.
func (l *List) Near(name string, n int) []string {
	type candidate struct {
		id       string
		distance int
	}
	var all []candidate
	for _, m := range l.Models {
		if d := distance(name, m.ID); d <= max(2, len(name)/2) {
			all = append(all, candidate{m.ID, d})
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return a.distance - b.distance })
	var ids []string
	for _, c := range all {
		if len(ids) < n && !slices.Contains(ids, c.id) {
			ids = append(ids, c.id)
		}
	}
	return ids
}

// longestName bounds what is compared, in bytes.
const longestName = 128

// distance is how many letters are to be put in, taken out or replaced to make
// one name of the other; more than any when one is too long.
func distance(a, b string) int {
	if len(a) > longestName || len(b) > longestName {
		return 2 * longestName
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := before
			if a[i] != b[j] {
				change++
			}
			before, row[j+1] = row[j+1], min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
