package grammar

import (
	"encoding/json"
	"fmt"
)

// CheckWhole verifies a non-stream answer.
func CheckWhole(body []byte) (*Message, error) {
	var whole struct {
		ID         string          `json:"id"`
		Type       string          `json:"type"`
		Role       string          `json:"role"`
		Model      string          `json:"model"`
		Content    []rawBlock      `json:"content"`
		StopReason string          `json:"stop_reason"`
		Usage      json.RawMessage `json:"usage"`
	}
	if err := json.Unmarshal(body, &whole); err != nil {
		return nil, fmt.Errorf("whole answer: %w", err)
	}
	if whole.ID == "" || whole.Type != "message" || whole.Role != "assistant" || whole.Model == "" || whole.StopReason == "" {
		return nil, fmt.Errorf("whole answer: id %q, type %q, role %q, model %q, stop_reason %q",
			whole.ID, whole.Type, whole.Role, whole.Model, whole.StopReason)
	}
	c := checker{m: &Message{ID: whole.ID, Model: whole.Model, StopReason: whole.StopReason, End: Complete}}
	for i, raw := range whole.Content {
		b := raw.block()
		b.Whole = true
		if b.Type == "tool_use" {
			if err := checkInput(&b); err != nil {
				return c.m, fmt.Errorf("whole answer: block %d: %w", i, err)
			}
		}
		c.m.Blocks = append(c.m.Blocks, b)
	}
	if err := c.usage(whole.Usage); err != nil {
		return c.m, fmt.Errorf("whole answer: %w", err)
	}
	if err := checkStop(c.m); err != nil {
		return c.m, fmt.Errorf("whole answer: %w", err)
	}
	return c.m, nil
}
