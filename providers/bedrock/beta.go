package bedrock

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"time"

	"anyproxy/internal/jsonscan"
	"anyproxy/providers/upstream"
)

// accepted are the betas that Bedrock knows, by the client's name, with its
// own. It answers any other with 400 "invalid beta flag", and models differ in
// what they take, so this is where learning starts. Sources:
// docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages-request-response.html,
// as listed in github.com/coder/aibridge intercept/messages/base.go; a test
// flag by flag in github.com/router-for-me/CLIProxyAPI/issues/4750; and
// litellm/anthropic_beta_headers_config.json of github.com/BerriAI/litellm.
var accepted = map[string]string{
	"computer-use-2024-10-22":                   "computer-use-2024-10-22",
	"computer-use-2025-01-24":                   "computer-use-2025-01-24",
	"computer-use-2025-11-24":                   "computer-use-2025-11-24",
	"token-efficient-tools-2025-02-19":          "token-efficient-tools-2025-02-19",
	"interleaved-thinking-2025-05-14":           "interleaved-thinking-2025-05-14",
	"output-128k-2025-02-19":                    "output-128k-2025-02-19",
	"dev-full-thinking-2025-05-14":              "dev-full-thinking-2025-05-14",
	"context-1m-2025-08-07":                     "context-1m-2025-08-07",
	"context-management-2025-06-27":             "context-management-2025-06-27",
	"compact-2026-01-12":                        "compact-2026-01-12",
	"effort-2025-11-24":                         "effort-2025-11-24",
	"fine-grained-tool-streaming-2025-05-14":    "fine-grained-tool-streaming-2025-05-14",
	"structured-outputs-2025-12-15":             "structured-outputs-2025-12-15",
	toolSearch:                                  toolSearch,
	toolExamples:                                toolExamples,
	"advanced-tool-use-2025-11-20":              toolSearch, // and toolExamples, see ask
	"thinking-binding-controls-2026-08-01":      "thinking-binding-controls-2026-08-01",
	"thinking-display-updates-2026-08-18":       "thinking-display-updates-2026-08-18",
	"mid-conversation-tool-changes-2026-07-01":  "mid-conversation-tool-changes-2026-07-01",
	"mid-conversation-output-config-2026-07-01": "mid-conversation-output-config-2026-07-01",
	"dangerous-tool-use-2026-09-03":             "dangerous-tool-use-2026-09-03",
}

// What the Messages API has under one beta, advanced-tool-use, has two on
// Bedrock (docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages-tool-use.html).
const (
	toolSearch   = "tool-search-tool-2025-10-19"
	toolExamples = "tool-examples-2025-10-29"
)

// silent are betas whose loss costs nothing: they name the client, its login,
// or what works on Bedrock without them.
var silent = []string{"claude-code-20250219", "oauth-2025-04-20", "extended-cache-ttl-2025-04-11",
	"prompt-caching-2024-07-31", "prompt-caching-scope-2026-01-05"}

// paired are fields of the body that come with betas: where the client sent one
// of these and Bedrock is sent none, the field goes too.
var paired = []struct {
	field string
	betas []string // beginnings of names
}{
	{"context_management", []string{"context-management-", "compact-"}},
	{"output_config", []string{"effort-", "structured-outputs-"}},
	{"output_format", []string{"structured-outputs-"}},
	{"tools.*.defer_loading", []string{"advanced-tool-use-", toolSearch}},
	{"tools.*.input_examples", []string{"advanced-tool-use-", toolExamples}},
	{"tools.*.eager_input_streaming", []string{"fine-grained-tool-streaming-"}},
	{"mcp_servers", []string{"mcp-client-"}},
	{"speed", []string{"fast-mode-"}},
}

// ours are fields that say what a path or a header says on Bedrock.
var ours = []string{"model", "stream", "anthropic_version", "anthropic_beta"}

// foreign are fields that Bedrock never takes
// (github.com/coder/aibridge intercept/messages/base.go).
var foreign = []string{"container", "inference_geo", "service_tier", "mcp_servers", "speed"}

// optional are fields that some models refuse and none needs.
var optional = []string{
	"context_management", "output_config", "output_config.effort", "output_config.format", "output_format", "metadata",
	"cache_control", "thinking.display", "tools.*.defer_loading", "tools.*.input_examples", "tools.*.allowed_callers",
	"tools.*.eager_input_streaming", "tools.*.strict",
}

// scopes is where cache_control.scope may stand. Bedrock shares no cache
// between accounts and refuses it.
var scopes = []string{
	"cache_control.scope", "system.*.cache_control.scope", "tools.*.cache_control.scope",
	"messages.*.content.*.cache_control.scope", "messages.*.content.*.content.*.cache_control.scope",
}

// A plan is how a request is put to a model.
type plan struct {
	betas []string // Bedrock's names
	cut   []string // paths in the body
	lost  []string // betas that were left out and are missed
	trial string   // the one of betas that is suspected, "" = none is
}

// plan decides which of a request's betas and fields the model is sent.
func (k *knowledge) plan(model string, header http.Header, body []byte) plan {
	refused := k.leftOut(model, time.Now())
	p := plan{cut: slices.Concat(ours, foreign)}
	var asked, kept []string
	for _, beta := range betasOf(header, body) {
		asked = append(asked, beta)
		switch name := accepted[beta]; {
		case name == toolSearch:
			kept = p.askTools(kept, beta, refused, body)
		case name != "" && p.may(name, refused):
			kept = append(kept, beta)
			p.ask(name)
		case !slices.Contains(silent, beta):
			p.lost = append(p.lost, beta)
		}
	}
	for _, pair := range paired {
		if anyBegins(asked, pair.betas) && !anyBegins(kept, pair.betas) {
			p.cut = append(p.cut, pair.field)
		}
	}
	for _, field := range optional {
		if refused[field] == out {
			p.cut = append(p.cut, field)
		}
	}
	if bytes.Contains(body, []byte(`"scope"`)) {
		p.cut = append(p.cut, scopes...)
	}
	return p
}

// may reports whether a beta can be asked for: of those that are suspected one at
// a time.
func (p *plan) may(beta string, refused map[string]verdict) bool {
	switch refused[beta] {
	case out:
		return false
	case suspected:
		if p.trial == "" {
			p.trial = beta
		}
		return p.trial == beta
	default:
		return true
	}
}

// ask adds a beta once.
func (p *plan) ask(beta string) {
	if !slices.Contains(p.betas, beta) {
		p.betas = append(p.betas, beta)
	}
}

// askTools asks for what a request's tools need. Claude Code names the beta also
// where it has no tools to search, and not all models know Bedrock's ones.
func (p *plan) askTools(kept []string, beta string, refused map[string]verdict, body []byte) []string {
	searched := bytes.Contains(body, []byte(`"defer_loading"`)) || bytes.Contains(body, []byte(`"tool_search_tool_`))
	exampled := beta != toolSearch && bytes.Contains(body, []byte(`"input_examples"`))
	for _, need := range []struct {
		is   bool
		name string
	}{{searched, toolSearch}, {exampled, toolExamples}} {
		if need.is && p.may(need.name, refused) {
			p.ask(need.name)
			kept = append(kept, need.name)
		} else if need.is && !slices.Contains(p.lost, beta) {
			p.lost = append(p.lost, beta)
		}
	}
	return kept
}

// betasOf are the betas that the client names, in its headers and its body.
func betasOf(header http.Header, body []byte) (betas []string) {
	for _, line := range header["Anthropic-Beta"] {
		for beta := range strings.SplitSeq(line, ",") {
			if beta = strings.TrimSpace(beta); beta != "" {
				betas = append(betas, beta)
			}
		}
	}
	a, err := jsonscan.OpenArray(member(body, "anthropic_beta"), 0, upstream.MaxDepth)
	for err == nil && a.Next() {
		if beta, ok := jsonscan.Unquote(a.Raw()); ok {
			betas = append(betas, beta)
		}
	}
	return betas
}

func anyBegins(names, prefixes []string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
	})
}

// optionalField is the optional field that a refusal's path means, "" when it
// means none. Such a path has the numbers of elements in it, and the kinds of
// values: tools.3.custom.defer_loading.
func optionalField(path string) string {
	first, _, _ := strings.Cut(path, ".")
	last := path[strings.LastIndexByte(path, '.')+1:]
	for _, field := range optional {
		f, _, _ := strings.Cut(field, ".")
		if f == first && field[strings.LastIndexByte(field, '.')+1:] == last {
			return field
		}
	}
	return ""
}
