package simulator

import (
	"encoding/json"
	"regexp"
	"strings"
)

// readAsk reads a Messages request; what cannot be read is left empty.
func readAsk(body []byte) Ask {
	var r struct {
		Model    string `json:"model"`
		Stream   bool   `json:"stream"`
		Thinking struct {
			Type    string `json:"type"`
			Display string `json:"display"`
		} `json:"thinking"`
		Messages []askMessage `json:"messages"`
	}
	if json.Unmarshal(body, &r) != nil {
		return Ask{}
	}
	ask := Ask{Model: r.Model, Stream: r.Stream}
	switch {
	case r.Thinking.Type != "enabled" && r.Thinking.Type != "adaptive":
	case r.Thinking.Display == "omitted":
		ask.Thinking = OmittedThinking
	default:
		ask.Thinking = ShownThinking
	}
	ask.Text, ask.Results = lastUser(r.Messages)
	return ask
}

type askMessage struct {
	Role    string          `json:"role"`
	Content json.RawMessage `json:"content"` // a string or a list of askBlock
}

type askBlock struct {
	Type    string          `json:"type"`
	Text    string          `json:"text"`
	Content json.RawMessage `json:"content"` // of a tool_result: a string or a list of askBlock
}

// lastUser reads what the user's side said since the assistant's last turn.
// Claude Code may send messages of role system among it, which are not read.
func lastUser(messages []askMessage) (text string, results []string) {
	turn := len(messages)
	for turn > 0 && messages[turn-1].Role != "assistant" {
		turn--
	}
	var texts []string
	for _, m := range messages[turn:] {
		if m.Role != "user" {
			continue
		}
		for _, b := range askBlocks(m.Content) {
			if b.Type == "tool_result" {
				results = append(results, withoutReminders(joinText(askBlocks(b.Content))))
			} else if t := withoutReminders(b.Text); t != "" {
				texts = append(texts, t)
			}
		}
	}
	return strings.Join(texts, "\n"), results
}

func askBlocks(content json.RawMessage) []askBlock {
	var s string
	if json.Unmarshal(content, &s) == nil {
		return []askBlock{{Type: "text", Text: s}}
	}
	var blocks []askBlock
	_ = json.Unmarshal(content, &blocks)
	return blocks
}

func joinText(blocks []askBlock) string {
	var texts []string
	for _, b := range blocks {
		texts = append(texts, b.Text)
	}
	return strings.Join(texts, "\n")
}

// reminder is what Claude Code adds to a message in its own name.
var reminder = regexp.MustCompile(`(?s)<system-reminder>.*?</system-reminder>`)

func withoutReminders(s string) string {
	return strings.TrimSpace(reminder.ReplaceAllString(s, ""))
}
