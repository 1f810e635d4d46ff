package cli

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"anyproxy/config"
	"anyproxy/providers"
)

// feature is something that Claude Code asks for, and what becomes of it on the
// way to a target.
type feature struct {
	Name    string   `json:"name"`
	Carried bool     `json:"carried"`
	Lost    []string `json:"lost,omitempty"` // what of it is not, by the names of the Messages API
	Why     string   `json:"why,omitempty"`
}

// A specimen is a request that asks for one feature. What becomes of it is seen
// by having it converted, by the code that converts what clients send.
type specimen struct {
	name     string
	members  string // of the request's body
	content  string // a block before the text
	betas    []string
	marks    []string                           // what is sent has one of them where the feature is carried
	excluded func(c *config.Capabilities) *bool // by the configuration
}

// specimens are in the order of the table's columns. The betas are those of
// Claude Code 2.1.329.
var specimens = []specimen{
	{name: "thinking", members: `,"thinking":{"type":"enabled","budget_tokens":8000}`, marks: []string{`"thinking"`, `"reasoning_effort"`},
		excluded: func(c *config.Capabilities) *bool { return c.Thinking }},
	{name: "images", content: `{"type":"image","source":{"type":"base64","media_type":"image/png","data":"` + pixel + `"}},`, marks: []string{pixel},
		excluded: func(c *config.Capabilities) *bool { return c.Images }},
	{name: "pdf", content: `{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"` + leaf + `"}},`, marks: []string{leaf},
		excluded: func(c *config.Capabilities) *bool { return c.PDF }},
	{name: "tools", members: `,"tools":[{"name":"Read","description":"reads","input_schema":{"type":"object"}}]`, marks: []string{`"Read"`},
		excluded: func(c *config.Capabilities) *bool { return c.Tools }},
	{name: "cache_control", members: `,"system":[{"type":"text","text":"be brief","cache_control":{"type":"ephemeral"}}]`, marks: []string{`"cache_control"`}},
	{name: "betas", betas: []string{"interleaved-thinking-2025-05-14", "context-management-2025-06-27", "per-turn-control-2026-07-01",
		"mid-conversation-tool-changes-2026-07-01", "thinking-token-count-2026-05-13", "advanced-tool-use-2025-11-20", "effort-2025-11-24"},
		marks: []string{`"anthropic_beta"`, "interleaved-thinking-2025-05-14"}},
	{name: "web_search", members: `,"tools":[{"type":"web_search_20250305","name":"web_search"}]`, marks: []string{`"web_search_20250305"`}},
}

const (
	// pixel is the beginning of a PNG, leaf that of a PDF, in base64.
	pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
	leaf  = "JVBERi0xLjQKMSAwIG9iago8PD4+CmVuZG9iagp0cmFpbGVyCjw8Pj4KJSVFT0YK"
)

// featuresOf is what becomes of every feature on the way to a target.
func featuresOf(m *config.Model, p providers.Previewer) []feature {
	list := make([]feature, len(specimens))
	for i := range specimens {
		list[i] = specimens[i].try(m, p)
	}
	return list
}

func (s *specimen) try(m *config.Model, p providers.Previewer) feature {
	f := feature{Name: s.name}
	if s.excluded != nil {
		if has := s.excluded(&m.Capabilities); has != nil && !*has {
			f.Why = "models[].capabilities says that it has none; such requests go elsewhere"
			return f
		}
	}
	sent, err := s.preview(standIn(m), p)
	if err != nil {
		f.Why = "such a request is refused"
		return f
	}
	f.Lost = sent.Lost
	if len(s.betas) > 0 && !s.in(sent) {
		f.Lost = s.betas
	}
	f.Carried = len(f.Lost) == 0 && s.in(sent)
	if !f.Carried && f.Why == "" {
		f.Why = "the provider's format has no place for it"
		if len(f.Lost) > 0 && len(f.Lost) < len(s.betas) {
			f.Why = "not all of it is known there"
		}
	}
	return f
}

// preview has the request converted for a model.
func (s *specimen) preview(model string, p providers.Previewer) (providers.Preview, error) {
	r := newAsk(model, `,"max_tokens":16000`+s.members+`,"messages":[{"role":"user","content":[`+s.content+`{"type":"text","text":"say hi"}]}]`)
	if len(s.betas) > 0 {
		r.Header.Set("Anthropic-Beta", strings.Join(s.betas, ","))
	}
	defer r.Body.Release()
	return p.Preview(r)
}

// newAsk is a request for a stream of model's. rest is what stands in its body
// behind the model's name. Whoever has it releases its body.
func newAsk(model, rest string) *providers.Request {
	const begin = `{"model":`
	name, _ := json.Marshal(model) // a string always marshals
	return &providers.Request{
		Header: http.Header{"Content-Type": {"application/json"}, "Anthropic-Version": {"2023-06-01"}},
		Body:   providers.NewBody([]byte(begin+string(name)+`,"stream":true`+rest+`}`), nil), Stream: true,
		Model: model, Asked: model, ModelAt: providers.Span{Start: len(begin), End: len(begin) + len(name)},
	}
}

// in reports whether what is sent has a mark of the feature.
func (s *specimen) in(sent providers.Preview) bool {
	return slices.ContainsFunc(s.marks, func(mark string) bool {
		return bytes.Contains(sent.Body, []byte(mark)) || strings.Contains(sent.Header.Get("Anthropic-Beta"), mark)
	})
}

// standIn is a model that the target may be asked for.
func standIn(m *config.Model) string {
	const usual = "claude-sonnet-4-5"
	if name := upstreamName(m); name != "" {
		return name
	}
	if matchesAny(m.Alias, usual) {
		return usual
	}
	return strings.ReplaceAll(m.Alias[0], "*", "")
}
