package simulator

import (
	"encoding/json"
	"fmt"
	"strings"
)

// The markers that Conversation looks for in what the person said last.
const (
	// MarkerTool asks for one tool call: RUN-TOOL Bash {"command":"ls"}. Without
	// a name and input it is a harmless Bash command. More pairs of name and
	// input make more calls.
	MarkerTool = "RUN-TOOL"
	// MarkerParallel asks for two calls at once: PARALLEL Read {…} Bash {…}.
	// Without names they are two harmless Bash commands.
	MarkerParallel = "PARALLEL"
	// MarkerThink asks for thinking before the rest; it combines with the others.
	MarkerThink = "THINK"
)

// Conversation answers as a model in a conversation would, by the markers
// above. Tool results are answered with a text that quotes them, all else with
// a text that quotes what was said. Pace, usage and faults are those of like.
//
// Markers are sought only in what the user said since the last answer, less
// system reminders: the client's own prompts cannot set one off, nor can an
// earlier turn.
func Conversation(like Answer) Script {
	return func(_ int, r *Received) Answer {
		a, ask := like, r.Ask()
		a.Blocks = converse(ask, "You said: "+firstLine(ask.Text))
		return a
	}
}

// converse gives the blocks of an answer; plain is the text for a turn that
// asks for nothing particular.
func converse(ask Ask, plain string) []Block {
	if len(ask.Results) > 0 {
		return []Block{Text("The tool said: " + firstLine(strings.Join(ask.Results, " / ")))}
	}
	var blocks []Block
	if strings.Contains(ask.Text, MarkerThink) {
		blocks = append(blocks, think(ask, "Let me think about what is asked, step by step, before I answer."))
	}
	if calls := askedCalls(ask.Text); len(calls) > 0 {
		return append(blocks, calls...)
	}
	return append(blocks, Text(plain))
}

// think is thinking as the client wants to see it.
func think(ask Ask, s string) Block {
	if ask.Thinking == OmittedThinking {
		return HiddenThinking(s)
	}
	return Thinking(s)
}

// askedCalls are the tool calls that the markers of text ask for.
func askedCalls(text string) []Block {
	if _, rest, ok := strings.Cut(text, MarkerParallel); ok {
		return orDefault(namedCalls(rest), "one", "two")
	}
	if _, rest, ok := strings.Cut(text, MarkerTool); ok {
		return orDefault(namedCalls(rest), "one")
	}
	return nil
}

// namedCalls reads pairs of a tool's name and a JSON object, as many as there are.
func namedCalls(s string) []Block {
	var calls []Block
	for {
		name, rest, ok := strings.Cut(strings.TrimSpace(s), " ")
		if !ok || !strings.HasPrefix(strings.TrimSpace(rest), "{") {
			return calls
		}
		d := json.NewDecoder(strings.NewReader(rest))
		var input json.RawMessage
		if d.Decode(&input) != nil {
			return calls
		}
		calls = append(calls, ToolUse(name, string(input)))
		s = rest[d.InputOffset():]
	}
}

func orDefault(calls []Block, words ...string) []Block {
	if len(calls) > 0 {
		return calls
	}
	for _, word := range words {
		calls = append(calls, ToolUse("Bash", fmt.Sprintf(`{"command":"echo %s","description":"Say %s"}`, word, word)))
	}
	return calls
}

// firstLine is the beginning of s, short enough to be quoted.
func firstLine(s string) string {
	const longest = 200
	s, _, _ = strings.Cut(s, "\n")
	return s[:cut(s, longest)]
}
