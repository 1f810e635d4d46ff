package bedrock

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"anyproxy/internal/jsonscan"
	"anyproxy/providers/upstream"
)

// serverKinds begin the types of the tools that run on Anthropic's own servers.
// Bedrock has none of them and refuses a request that names one
// (platform.claude.com/docs, build-with-claude/claude-in-amazon-bedrock, "Feature
// availability"). Tools of other types, such as bash_, run at the client.
var serverKinds = []string{"web_search_", "web_fetch_", "code_execution_"}

// serverTools are the names of a sound request's tools that only Anthropic can run,
// and whether it has others. It is an error where leaving them out would make the
// model invent what they bring: where there are no others, or one of them is demanded.
func serverTools(body []byte) (names []string, others bool, err error) {
	if !slices.ContainsFunc(serverKinds, func(kind string) bool { return bytes.Contains(body, []byte(`"`+kind)) }) {
		return nil, true, nil
	}
	a, broken := jsonscan.OpenArray(member(body, "tools"), 0, upstream.MaxDepth)
	for broken == nil && a.Next() {
		if runsOnServers(a.Raw()) {
			names = append(names, text(a.Raw(), "name"))
		} else {
			others = true
		}
	}
	choice := member(body, "tool_choice")
	switch {
	case len(names) == 0:
		return nil, true, nil
	case slices.Contains(names, text(choice, "name")):
		return nil, others, fmt.Errorf("tool_choice: the tool %.64q runs on Anthropic's servers only", text(choice, "name"))
	case !others && text(choice, "type") != "none":
		return nil, others, fmt.Errorf("tools: the tool %.64q runs on Anthropic's servers only", names[0])
	}
	return names, others, nil
}

// runsOnServers reports whether a tool is one of those.
func runsOnServers(tool []byte) bool {
	kind := text(tool, "type")
	return slices.ContainsFunc(serverKinds, func(k string) bool { return strings.HasPrefix(kind, k) })
}

// lostTool is a tool's name as it is told in a header: it is the client's word.
func lostTool(name string) string {
	const longest = 64
	if name == "" || len(name) > longest || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == ',' || r > '~' }) {
		return "tools"
	}
	return "tools." + name
}

// text is a member of a sound JSON object that is a string, "" where there is none.
func text(object []byte, name string) string {
	s, _ := jsonscan.Unquote(member(object, name))
	return s
}
