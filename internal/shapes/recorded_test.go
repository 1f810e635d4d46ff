package shapes

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// A recorded file that Scrub would still change was never scrubbed.
func TestRecordedShapesAreScrubbed(t *testing.T) {
	for _, s := range All() {
		scrubbed, err := Scrub(s)
		if err != nil {
			t.Error(err)
			continue
		}
		if !bytes.Equal(scrubbed.Marshal(), s.Marshal()) {
			t.Errorf("%s holds more than its form", s.Name)
		}
	}
}

func TestRecordedShapesShowWhatClientsDo(t *testing.T) {
	byName := map[string]Shape{}
	for _, s := range All() {
		byName[s.Name] = s
	}
	for name, want := range map[string][]string{
		"plain-1":    {`"tools":[{"name":`, `"defer_loading":true`, `},{"role":"system","content":[{"type":"text"`, `"cache_control":{"type":"ephemeral"}`, `"thinking":{"type":"adaptive","display":"`},
		"tool-1":     {`"stream":true`},
		"tool-2":     {`"type":"tool_use"`, `"type":"tool_result"`, `"is_error":false`},
		"thinking-1": {`"stream":true`},
		"thinking-2": {`"type":"thinking"`, `"signature":"`, `"type":"tool_result"`},
		"parallel-1": {`"stream":true`},
		"parallel-2": {`},{"type":"tool_use"`, `},{"tool_use_id":`},
		"sdk-1":      {`"stream":true`},
	} {
		s, ok := byName[name]
		if !ok {
			t.Errorf("%s is missing", name)
			continue
		}
		for _, part := range want {
			if !bytes.Contains(s.Body, []byte(part)) {
				t.Errorf("%s does not hold %s", name, part)
			}
		}
	}
}

func TestClaudeCodeNamesItsSessionTwice(t *testing.T) {
	for _, s := range All() {
		if !strings.HasPrefix(s.Header.Get("User-Agent"), "claude-cli/") {
			continue
		}
		var body struct {
			Metadata struct {
				UserID string `json:"user_id"`
			}
		}
		var user struct {
			SessionID string `json:"session_id"`
		}
		if err := json.Unmarshal(s.Body, &body); err != nil {
			t.Fatalf("%s: %v", s.Name, err)
		}
		if err := json.Unmarshal([]byte(body.Metadata.UserID), &user); err != nil {
			t.Fatalf("%s: metadata.user_id: %v", s.Name, err)
		}
		if user.SessionID != SessionID || s.Header.Get("X-Claude-Code-Session-Id") != SessionID {
			t.Errorf("%s: session %q in the body, %q in the header", s.Name, user.SessionID, s.Header.Get("X-Claude-Code-Session-Id"))
		}
	}
}
