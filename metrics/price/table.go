package price

import "anyproxy/metrics"

// webSearch is what a thousand searches of Anthropic's tool cost beside their
// tokens (platform.claude.com/docs/en/about-claude/pricing, "Web search tool").
const webSearch = 10

// claude is a Claude model: a cache is written for five minutes at 1.25 times the
// input's price and for an hour at twice that, and read at a part of it.
func claude(input, output, read float64) *metrics.Rates {
	return &metrics.Rates{Input: input, Output: output, CacheRead: input * read, CacheWrite: input * 1.25, CacheWrite1h: input * 2, Search: webSearch}
}

// usual is a model whose cache costs nothing to write.
func usual(input, output, cached float64) *metrics.Rates {
	return &metrics.Rates{Input: input, Output: output, CacheRead: cached, CacheWrite: input, CacheWrite1h: input}
}

// written is one whose cache costs something to write, however long it is kept.
func written(input, output, cached, write float64) *metrics.Rates {
	return &metrics.Rates{Input: input, Output: output, CacheRead: cached, CacheWrite: write, CacheWrite1h: write}
}

// over adds the rates of prompts longer than from.
func over(from int64, r, long *metrics.Rates) *metrics.Rates {
	r.Long, r.LongFrom = long, from
	return r
}

var table = map[string]*metrics.Rates{
	// platform.claude.com/docs/en/about-claude/pricing and the pages of the models there.
	"claude-fable-5-2":  claude(8, 40, 0.025),
	"claude-mythos-5-2": claude(8, 40, 0.025),
	"claude-fable-5-1":  claude(10, 50, 0.025),
	"claude-mythos-5-1": claude(10, 50, 0.025),
	"claude-fable-5":    claude(10, 50, 0.1),
	"claude-mythos-5":   claude(10, 50, 0.1),
	"claude-opus-5-5":   claude(4, 20, 0.05),
	"claude-opus-5":     claude(5, 25, 0.1),
	"claude-opus-4-8":   claude(5, 25, 0.1),
	"claude-opus-4-7":   claude(5, 25, 0.1),
	"claude-opus-4-6":   claude(5, 25, 0.1),
	"claude-opus-4-5":   claude(5, 25, 0.1),
	"claude-opus-4-1":   claude(15, 75, 0.1),
	"claude-opus-4":     claude(15, 75, 0.1),
	"claude-sonnet-5-5": claude(2, 10, 0.05),
	"claude-sonnet-5":   claude(2, 10, 0.1),
	"claude-sonnet-4-6": claude(3, 15, 0.1),
	"claude-sonnet-4-5": over(200_000, claude(3, 15, 0.1), claude(6, 22.5, 0.1)),
	"claude-sonnet-4":   over(200_000, claude(3, 15, 0.1), claude(6, 22.5, 0.1)),
	"claude-haiku-5-5":  over(100_000, claude(0.1, 0.5, 0.1), claude(0.5, 2.5, 0.1)),
	"claude-haiku-4-5":  claude(1, 5, 0.1),
	"claude-3-7-sonnet": claude(3, 15, 0.1),
	"claude-3-5-sonnet": claude(3, 15, 0.1),
	"claude-3-5-haiku":  claude(0.8, 4, 0.1),
	"claude-3-opus":     claude(15, 75, 0.1),
	"claude-3-sonnet":   claude(3, 15, 0.1),
	"claude-3-haiku":    {Input: 0.25, Output: 1.25, CacheRead: 0.03, CacheWrite: 0.3, CacheWrite1h: 0.5, Search: webSearch},

	// developers.openai.com/api/docs/pricing and the pages of the models there;
	// GPT-5.3 to 5.5 also docs.github.com/copilot/reference/copilot-billing/models-and-pricing.
	// GPT-5.6 Sol is at the price that OpenAI has from 2026-08-21 to 2026-11-21 "at
	// least"; before it was 5 and 30. GPT-6 Astra by way of models.dev, 6 Sol, 6 Luna
	// and 6.1 Sol of docs.litellm.ai/blog and github.com/TheKrush/PromptFuel.
	"gpt-4o":             usual(2.5, 10, 1.25),
	"gpt-4o-mini":        usual(0.15, 0.6, 0.075),
	"gpt-4.1":            usual(2, 8, 0.5),
	"gpt-4.1-mini":       usual(0.4, 1.6, 0.1),
	"gpt-4.1-nano":       usual(0.1, 0.4, 0.025),
	"o1":                 usual(15, 60, 7.5),
	"o3":                 usual(2, 8, 0.5),
	"o3-mini":            usual(1.1, 4.4, 0.55),
	"o4-mini":            usual(1.1, 4.4, 0.275),
	"gpt-5":              usual(1.25, 10, 0.125),
	"gpt-5-mini":         usual(0.25, 2, 0.025),
	"gpt-5-nano":         usual(0.05, 0.4, 0.005),
	"gpt-5.1":            usual(1.25, 10, 0.125),
	"gpt-5.1-codex-mini": usual(0.25, 2, 0.025),
	"gpt-5.2":            usual(1.75, 14, 0.175),
	"gpt-5.3-codex":      usual(1.75, 14, 0.175),
	"gpt-5.4":            over(272_000, usual(2.5, 15, 0.25), usual(5, 22.5, 0.5)),
	"gpt-5.4-mini":       usual(0.75, 4.5, 0.075),
	"gpt-5.4-nano":       usual(0.2, 1.25, 0.02),
	"gpt-5.5":            over(272_000, usual(5, 30, 0.5), usual(10, 45, 1)),
	"gpt-5.6-luna":       over(200_000, written(0.2, 1.2, 0.02, 0.25), written(0.4, 1.8, 0.04, 0.5)),
	"gpt-5.6-terra":      over(272_000, written(2, 12, 0.2, 2.5), written(4, 18, 0.4, 5)),
	"gpt-5.6-sol":        over(272_000, written(4, 20, 0.4, 5), written(8, 30, 0.8, 10)),
	"gpt-5.6":            over(272_000, written(4, 20, 0.4, 5), written(8, 30, 0.8, 10)), // goes to Sol
	"gpt-6-astra":        over(272_000, written(10, 50, 1, 12.5), written(20, 75, 2, 25)),
	"gpt-6-sol":          over(272_000, written(2, 10, 0.2, 2.5), written(4, 15, 0.4, 5)),
	"gpt-6-luna":         over(272_000, written(0.1, 0.5, 0.01, 0.125), written(0.2, 0.75, 0.02, 0.25)),
	"gpt-6.1-sol":        over(272_000, written(2, 10, 0.1, 2.5), written(4, 15, 0.2, 5)),
	"gpt-6.2-sol":        over(272_000, written(2, 10, 0.1, 2.5), written(4, 15, 0.2, 5)),

	// ai.google.dev/gemini-api/docs/pricing; 3 and 3.1 Flash Lite by way of
	// models.dev; 3.6 to 3.8 Flash at the price that holds to the end of 2026.
	"gemini-2.5-pro":        over(200_000, usual(1.25, 10, 0.125), usual(2.5, 15, 0.25)),
	"gemini-2.5-flash":      usual(0.3, 2.5, 0.03),
	"gemini-2.5-flash-lite": usual(0.1, 0.4, 0.01),
	"gemini-3-pro":          over(200_000, usual(2, 12, 0.2), usual(4, 18, 0.4)),
	"gemini-3-flash":        usual(0.5, 3, 0.05),
	"gemini-3.1-flash-lite": usual(0.25, 1.5, 0.025),
	"gemini-3.1-pro":        over(200_000, usual(2, 12, 0.2), usual(4, 18, 0.4)),
	"gemini-3.5-flash":      usual(1.5, 9, 0.15),
	"gemini-3.6-flash":      usual(0.75, 3.75, 0.075),
	"gemini-3.7-flash":      usual(0.75, 3.75, 0.075),
	"gemini-3.8-flash":      usual(0.75, 3.75, 0.075),

	// docs.x.ai/docs/models; the ids of 4 Fast and 4.1 Fast by way of
	// github.com/pydantic/genai-prices (2026-01-19), 4.3 and 4.7 of models.dev.
	"grok-4":                      usual(3, 15, 0.75),
	"grok-4-fast":                 usual(0.2, 0.5, 0.05),
	"grok-4-fast-reasoning":       usual(0.2, 0.5, 0.05),
	"grok-4-fast-non-reasoning":   usual(0.2, 0.5, 0.05),
	"grok-4.1-fast":               usual(0.2, 0.5, 0.05), // as OpenRouter writes it
	"grok-4-1-fast":               usual(0.2, 0.5, 0.05),
	"grok-4-1-fast-reasoning":     usual(0.2, 0.5, 0.05),
	"grok-4-1-fast-non-reasoning": usual(0.2, 0.5, 0.05),
	"grok-4.3":                    over(200_000, usual(1.25, 2.5, 0.2), usual(2.5, 5, 0.4)),
	"grok-4.5":                    over(200_000, usual(2, 6, 0.5), usual(4, 12, 1)),
	"grok-4.6":                    over(200_000, usual(2, 6, 0.5), usual(4, 12, 1)),
	"grok-4.7":                    over(200_000, usual(2, 6, 0.5), usual(4, 12, 1)),
	"grok-code-fast-1":            usual(0.2, 1.5, 0.02),

	// From here on at one seller only, see sellers.

	// api-docs.deepseek.com/quick_start/pricing, V4.1 Flash and V4 Pro, at the
	// price of the peak hours (01-04 and 06-10 UTC on weekdays); else it is half.
	// deepseek-chat and deepseek-reasoner ended on 2026-07-24.
	"deepseek-flash":    usual(0.3, 1.2, 0.006),
	"deepseek-v4-flash": usual(0.3, 1.2, 0.006),
	"deepseek-v4-pro":   usual(1.32, 3.96, 0.044),

	// docs.z.ai/guides/overview/pricing, by way of models.dev (GLM-4) and
	// github.com/pydantic/genai-prices (GLM-5, 2026-08-26).
	"glm-4.5":       usual(0.6, 2.2, 0.11),
	"glm-4.5-air":   usual(0.2, 1.1, 0.03),
	"glm-4.6":       usual(0.6, 2.2, 0.11),
	"glm-4.7":       usual(0.6, 2.2, 0.11),
	"glm-5.2":       usual(1.4, 4.4, 0.26),
	"glm-5.3":       usual(1.4, 4.4, 0.26),
	"glm-5.3-flash": usual(0.15, 0.5, 0.03),

	// platform.moonshot.ai/docs/pricing; K2 by way of github.com/pydantic/genai-prices
	// (2026-03-11), K2.7 Code High-Speed too (2026-08-27), K2.6 of models.dev.
	"kimi-k2":                  usual(0.6, 2.5, 0.15),
	"kimi-k2-thinking":         usual(0.6, 2.5, 0.15),
	"kimi-k2-thinking-turbo":   usual(1.15, 8, 0.15),
	"kimi-k2-turbo":            usual(1.15, 8, 0.15),
	"kimi-k2.5":                usual(0.6, 3, 0.1),
	"kimi-k2.6":                usual(0.95, 4, 0.16),
	"kimi-k2.7-code":           usual(0.95, 4, 0.19),
	"kimi-k2.7-code-highspeed": usual(1.9, 8, 0.38),
	"kimi-k3":                  usual(3, 15, 0.3),

	// www.alibabacloud.com/help/en/model-studio/model-pricing, international, by
	// way of models.dev.
	"qwen3-coder-plus": over(32_000, written(1, 5, 0.2, 1.25), over(128_000, written(1.8, 9, 0.36, 2.25),
		over(256_000, written(3, 15, 0.6, 3.75), written(6, 60, 1.2, 7.5)))),
	"qwen3-coder-flash": over(32_000, written(0.3, 1.5, 0.06, 0.375), over(128_000, written(0.5, 2.5, 0.1, 0.625),
		over(256_000, written(0.8, 4, 0.16, 1), written(1.6, 9.6, 0.32, 2)))),

	// mistral.ai/pricing, by way of models.dev.
	"codestral":       usual(0.3, 0.9, 0.3),
	"devstral-medium": usual(0.4, 2, 0.4),
	"devstral-small":  usual(0.1, 0.3, 0.1),

	// console.groq.com/docs/models
	"openai/gpt-oss-120b":     usual(0.15, 0.6, 0.075),
	"openai/gpt-oss-20b":      usual(0.075, 0.3, 0.037),
	"llama-3.3-70b-versatile": usual(0.59, 0.79, 0.59),
	"llama-3.1-8b-instant":    usual(0.05, 0.08, 0.05),
}
