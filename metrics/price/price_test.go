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
		{"claude-3-haiku-20240307", metrics.Tokens{CacheWrite: 1_000_000, CacheWrite1h: 1_000_000}, 0.5},
		// Bedrock: the whole world at the list's price, a part of it at a tenth more, older models alike.
		{"global.anthropic.claude-sonnet-4-5-20250929-v1:0", metrics.Tokens{Input: 100_000}, 0.3},
		{"us.anthropic.claude-sonnet-4-5-20250929-v1:0", metrics.Tokens{Input: 100_000}, 0.33},
		{"arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-haiku-4-5-20251001-v1:0", metrics.Tokens{Output: 1_000_000}, 5.5},
		{"us.anthropic.claude-sonnet-4-20250514-v1:0", metrics.Tokens{Input: 100_000}, 0.3},
		{"eu.anthropic.claude-3-7-sonnet-20250219-v1:0", metrics.Tokens{Input: 100_000}, 0.3},
		{"anthropic.claude-opus-4-1-20250805-v1:0", metrics.Tokens{Input: 100_000}, 1.5},
		{"arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123", metrics.Tokens{Input: 1}, -1},
		// The OpenAI format: 1,000 × $1.25 + 9,000 × $0.125 + 2,000 × $10
		{"gpt-5.1-2025-11-13", metrics.Tokens{Input: 1_000, CacheRead: 9_000, Output: 2_000, Reasoning: 1_500}, 0.022375},
		{"gpt-5", metrics.Tokens{Output: 1_000_000}, 10},
		{"gpt-5-mini", metrics.Tokens{Output: 1_000_000}, 2},
		{"gpt-5.4", metrics.Tokens{Input: 272_001}, 1.360005},
		{"gpt-5.6-sol", metrics.Tokens{CacheWrite: 200_000}, 1.25},
		{"openai/gpt-4o-mini", metrics.Tokens{Input: 1_000_000}, 0.15},
		{"models/gemini-2.5-flash", metrics.Tokens{Output: 1_000_000}, 2.5},
		{"google/gemini-2.5-pro", metrics.Tokens{Input: 100_000}, 0.125},
		{"deepseek-chat", metrics.Tokens{Input: 500_000, CacheRead: 500_000, Output: 100_000}, 0.196},
		{"anthropic/claude-sonnet-4.5", metrics.Tokens{Input: 100_000}, 0.3},
		{"claude-sonnet-4-5@20250929", metrics.Tokens{Input: 100_000}, 0.3},
		{"claude-sonnet-4-5[1m]", metrics.Tokens{Input: 100_000}, 0.3},
		{"openai/gpt-oss-120b", metrics.Tokens{Output: 1_000_000}, 0.6},
		// Not known, and not taken for a relative.
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

func BenchmarkCost(b *testing.B) {
	rates := price.Of("claude-sonnet-4-5")
	for b.Loop() {
		rates.Cost(metrics.Tokens{Input: 12, Output: 500, CacheRead: 40_000})
	}
}
