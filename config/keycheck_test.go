package config_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"anyproxy/config"
)

func TestCheckKey(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	jwt := func(exp time.Time) string {
		return "eyJhbGciOiJub25lIn0." + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"exp":%d}`, exp.Unix())) + ".c2ln"
	}
	anthropic := &config.Provider{Type: config.Anthropic, Endpoint: "https://api.anthropic.com"}
	gateway := &config.Provider{Type: config.Anthropic, Endpoint: "https://gateway.example"}
	openai := &config.Provider{Type: config.OpenAI, Endpoint: "https://api.openai.com"}
	for _, tt := range []struct {
		value            string
		p                *config.Provider
		problem, warning string
	}{
		{"sk-ant-api03-abc", anthropic, "", ""},
		{"sk-abc", gateway, "", ""},
		{"sk-proj-abc", openai, "", ""},
		{"ollama", openai, "", ""},
		{"Bearer sk-abc", openai, `begins with "Bearer "`, ""},
		{"sk-abc ", openai, "blanks", ""},
		{"sk abc", openai, "blanks", ""},
		{`"sk-abc"`, openai, "quotes", ""},
		{"sk-abc\n", openai, "blanks", ""},
		{"sk\x1babc", openai, "control character", ""},
		{"sk-ant-...", anthropic, "", "placeholder"},
		{"your-api-key", openai, "", "placeholder"},
		{"<key>", openai, "", "placeholder"},
		{"xxxxxxxx", openai, "", "placeholder"},
		{"sk-ant-api03-abc", openai, "", "a key of Anthropic's"},
		{"sk-proj-abc", anthropic, "", "another provider's key"},
		{"sk-proj-abc", gateway, "", ""},
		{jwt(now.Add(-time.Hour)), openai, "", "that has expired on"},
		{jwt(now.Add(24 * time.Hour)), openai, "", "that expires on"},
		{jwt(now.Add(30 * 24 * time.Hour)), openai, "", ""},
		{"eyJ.e30.x", openai, "", ""},
		{"eyJ.!!.x", openai, "", ""},
	} {
		problem, warning := config.CheckKey(tt.value, tt.p, now)
		if !strings.Contains(problem, tt.problem) || tt.problem == "" && problem != "" || !strings.Contains(warning, tt.warning) || tt.warning == "" && warning != "" {
			t.Errorf("%q: problem %q, warning %q", tt.value, problem, warning)
		}
	}
}
