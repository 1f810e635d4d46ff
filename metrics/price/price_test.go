package price_test

import (
	"math"
	"testing"

	"anyproxy/metrics"
	"anyproxy/metrics/price"
)

// Worked examples, by hand, of one request each.
func TestWorkedExamples(t *testing.T) {
	for _, tt := range []struct {
		model  string
		tokens metrics.Tokens
		want   float64 // dollars; negative = not known
	}{
		// 12 × $3 + 500 × $15 + 40,000 × $0.30 + 2,000 × $3.75 + 1,000 × $6, a million each
		{"claude-sonnet-4-5-20250929", metrics.Tokens{Input: 12, Output: 500, CacheRead: 40_000, CacheWrite: 3_000, CacheWrite1h: 1_000}, 0.033036},
		// beyond 200,000 tokens of prompt: 1,000 × $6 + 100 × $22.50 + 200,000 × $0.60
		{"claude-sonnet-4-5", metrics.Tokens{Input: 1_000, Output: 100, CacheRead: 200_000}, 0.12825},
		// exactly 200,000 are not beyond: 200,000 × $3
		{"claude-sonnet-4-5", metrics.Tokens{Input: 200_000}, 0.6},
		// $5 and $25
		{"claude-opus-4-5-20251101", metrics.Tokens{Input: 1_000_000, Output: 1_000_000}, 30},
		{"claude-opus-4-1-20250805", metrics.Tokens{Input: 1_000_000, Output: 1_000_000}, 90},
		{"claude-opus-4-20250514", metrics.Tokens{Input: 1_000_000, Output: 1_000_000}, 90},
		{"claude-opus-5-5", metrics.Tokens{CacheRead: 1_000_000}, 0.2},
		{"claude-haiku-5-5", metrics.Tokens{Input: 100_000, Output: 1_000}, 0.0105},
		{"claude-haiku-5-5", metrics.Tokens{Input: 100_001, Output: 1_000}, 0.0525005},
		// 1,000 × $8 + 100,000 × $0.20 + 10,000 × $10 + 2,000 × $16 + 3 searches at a cent
		{"claude-fable-5-2", metrics.Tokens{Input: 1_000, CacheRead: 100_000, CacheWrite: 12_000, CacheWrite1h: 2_000, Searches: 3}, 0.19},
		{"claude-3-haiku-20240307", metrics.Tokens{CacheWrite: 1_000_000, CacheWrite1h: 1_000_000}, 0.5},
		// Bedrock: the whole world at the list's price, a part of it at a tenth more, older models alike.
		{"global.anthropic.claude-sonnet-4-5-20250929-v1:0", metrics.Tokens{Input: 100_000}, 0.3},
		{"us.anthropic.claude-sonnet-4-5-20250929-v1:0", metrics.Tokens{Input: 100_000}, 0.33},
		{"arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-haiku-4-5-20251001-v1:0", metrics.Tokens{Output: 1_000_000}, 5.5},
		{"us.anthropic.claude-sonnet-4-20250514-v1:0", metrics.Tokens{Input: 100_000}, 0.3},
		{"eu.anthropic.claude-3-7-sonnet-20250219-v1:0", metrics.Tokens{Input: 100_000}, 0.3},
		{"anthropic.claude-opus-4-1-20250805-v1:0", metrics.Tokens{Input: 100_000}, 1.5},
		{"anthropic.claude-haiku-4-5-20251001-v1:0", metrics.Tokens{Input: 1_000_000}, 1.1},
		{"arn:aws:bedrock:us-west-2::foundation-model/anthropic.claude-sonnet-4-5-20250929-v1:0", metrics.Tokens{Input: 100_000}, 0.33},
		{"anthropic/claude-haiku-4.5", metrics.Tokens{Input: 1_000_000}, 1},
		{"arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123", metrics.Tokens{Input: 1}, -1},
		// The OpenAI format: 1,000 × $1.25 + 9,000 × $0.125 + 2,000 × $10
		{"gpt-5.1-2025-11-13", metrics.Tokens{Input: 1_000, CacheRead: 9_000, Output: 2_000, Reasoning: 1_500}, 0.022375},
		{"gpt-5", metrics.Tokens{Output: 1_000_000}, 10},
		{"gpt-5-mini", metrics.Tokens{Output: 1_000_000}, 2},
		{"gpt-5.4", metrics.Tokens{Input: 272_001}, 1.360005},
		{"gpt-5.6-sol", metrics.Tokens{CacheWrite: 200_000}, 1},
		{"gpt-5.6", metrics.Tokens{Output: 1_000_000}, 20},
		{"gpt-6.2-sol", metrics.Tokens{Input: 300_000}, 1.2},
		{"gpt-6.2-terra", metrics.Tokens{Input: 1}, -1},
		{"gemini-3-pro-preview", metrics.Tokens{Output: 100_000}, 1.2},
		{"gemini-3.1-flash-lite-preview", metrics.Tokens{Output: 1_000_000}, 1.5},
		{"grok-4-1-fast-non-reasoning", metrics.Tokens{Input: 1_000_000}, 0.2},
		{"grok-4.3-latest", metrics.Tokens{Input: 100_000}, 0.125},
		{"grok-4.20-0309-reasoning", metrics.Tokens{Input: 1}, -1},
		{"kimi-k2.7-code-highspeed", metrics.Tokens{Output: 1_000_000}, 8},
		{"glm-5.3-flash", metrics.Tokens{Output: 1_000_000}, 0.5},
		{"openai/gpt-4o-mini", metrics.Tokens{Input: 1_000_000}, 0.15},
		{"models/gemini-2.5-flash", metrics.Tokens{Output: 1_000_000}, 2.5},
		{"google/gemini-2.5-pro", metrics.Tokens{Input: 100_000}, 0.125},
		// 500,000 × $0.30 + 500,000 × $0.006 + 100,000 × $1.20
		{"deepseek-flash", metrics.Tokens{Input: 500_000, CacheRead: 500_000, Output: 100_000}, 0.273},
		{"kimi-k2-0905-preview", metrics.Tokens{Output: 1_000_000}, 2.5},
		{"kimi-k2-turbo-preview", metrics.Tokens{Output: 1_000_000}, 8},
		{"glm-4.5-air", metrics.Tokens{Output: 1_000_000}, 1.1},
		{"devstral-medium-2507", metrics.Tokens{Output: 1_000_000}, 2},
		{"gpt-5.1-codex-mini", metrics.Tokens{Output: 1_000_000}, 2},
		{"gpt-5-codex", metrics.Tokens{Output: 1_000_000}, 10},
		{"grok-4-fast", metrics.Tokens{Output: 1_000_000}, 0.5},
		{"grok-4-0709", metrics.Tokens{Output: 1_000_000}, 15},
		// 32,000 × $1; then 28,000 × $1.80 + 100,000 × $0.36, 256,000 × $3, 256,001 × $6
		{"qwen3-coder-plus", metrics.Tokens{Input: 32_000}, 0.032},
		{"qwen3-coder-plus", metrics.Tokens{Input: 28_000, CacheRead: 100_000}, 0.0864},
		{"qwen3-coder-plus", metrics.Tokens{Input: 256_000}, 0.768},
		{"qwen3-coder-plus", metrics.Tokens{Input: 256_001}, 1.536006},
		{"anthropic/claude-sonnet-4.5", metrics.Tokens{Input: 100_000}, 0.3},
		{"claude-sonnet-4-5@20250929", metrics.Tokens{Input: 100_000}, 0.3},
		{"claude-sonnet-4-5[1m]", metrics.Tokens{Input: 100_000}, 0.3},
		{"openai/gpt-oss-120b", metrics.Tokens{Output: 1_000_000}, 0.6},
		// Not known, and not taken for a relative.
		{"claude-opus-4.6-fast", metrics.Tokens{Input: 1}, -1},
		{"gemini-2.5-flash-preview-tts", metrics.Tokens{Input: 1}, -1},
		{"gpt-4o-audio-preview", metrics.Tokens{Input: 1}, -1},
		{"gpt-5.9", metrics.Tokens{Input: 1}, -1},
		{"gpt-oss-120b", metrics.Tokens{Input: 1}, -1},
		{"claude-opus-9", metrics.Tokens{Input: 1}, -1},
		{"o1-pro", metrics.Tokens{Input: 1}, -1},
		{"llama3:8b", metrics.Tokens{Input: 1}, -1},
		{"", metrics.Tokens{Input: 1}, -1},
	} {
		rates := price.Of(tt.model)
		if rates == nil || tt.want < 0 {
			if rates != nil || tt.want >= 0 {
				t.Errorf("%s: rates %+v, want $%v", tt.model, rates, tt.want)
			}
			continue
		}
		if got := rates.Cost(tt.tokens); math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("%s: %+v costs $%v, want $%v", tt.model, tt.tokens, got, tt.want)
		}
	}
}

// What several sell costs what it costs at the one whose price is known.
func TestSellers(t *testing.T) {
	for _, tt := range []struct {
		endpoint, model string
		known           bool
	}{
		{"https://api.z.ai/api/anthropic", "glm-4.6", true},
		{"https://API.Z.AI/api/paas/v4", "GLM-4.6", true},
		{"https://openrouter.ai/api/v1", "z-ai/glm-4.6", false},
		{"http://127.0.0.1:8000/v1", "glm-4.6", false},
		{"https://api.z.ai.example.com", "glm-4.6", false},
		{"https://api.deepseek.com/anthropic", "deepseek-v4-pro", true},
		{"https://openrouter.ai/api/v1", "deepseek/deepseek-v4-pro", false},
		{"https://api.groq.com/openai/v1", "openai/gpt-oss-120b", true},
		{"https://openrouter.ai/api/v1", "openai/gpt-oss-120b", false},
		{"http://localhost:1234/v1", "openai/gpt-oss-20b", false},
		{"https://openrouter.ai/api/v1", "anthropic/claude-sonnet-4.5", true},
		{"https://gateway.example.com", "gpt-5", true},
		{"", "claude-haiku-4-5", true},
		{"://", "glm-4.6", false},
	} {
		if got := price.At(tt.endpoint, tt.model) != nil; got != tt.known {
			t.Errorf("%s at %q: known %v, want %v", tt.model, tt.endpoint, got, tt.known)
		}
	}
}

func BenchmarkCost(b *testing.B) {
	rates := price.Of("claude-sonnet-4-5")
	for b.Loop() {
		rates.Cost(metrics.Tokens{Input: 12, Output: 500, CacheRead: 40_000})
	}
}
