package cli

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"anyproxy/internal/simulator"
)

// loggedCost is what the request log says of the only request: its cost, nil =
// not known, and the tokens that were sent.
func loggedCost(t *testing.T, file string) (usd *float64, input int) {
	t.Helper()
	var entry struct {
		Direction string
		Cost      *float64 `json:"cost_usd"`
		Input     int      `json:"input_tokens"`
	}
	eventually(t, "the request's line", func() bool {
		data, _ := os.ReadFile(file)
		for line := range bytes.Lines(data) {
			entry.Cost, entry.Direction = nil, ""
			if json.Unmarshal(line, &entry) == nil && entry.Direction == "request" {
				return true
			}
		}
		return false
	})
	return entry.Cost, entry.Input
}

// TestEveryFormatCostsWhatItUses follows usage and the table of prices through
// the whole program, streamed and not.
func TestEveryFormatCostsWhatItUses(t *testing.T) {
	exportAWSKey(t)
	used := func(u simulator.Usage) simulator.Script {
		return simulator.Always(simulator.Answer{Blocks: good.Blocks, Usage: u})
	}
	cached := used(simulator.Usage{Input: 12, Output: 500, CacheRead: 40_000, CacheWrite: 3_000, CacheWrite1h: 1_000})
	openAI := used(simulator.Usage{Input: 1_000, Output: 2_000, CacheRead: 9_000})
	named := func(config, model string) string {
		edit(t, config, "name: gpt-x", "name: "+model)
		return config
	}
	// 12 × $3 + 500 × $15 + 40,000 × $0.30 + 2,000 × $3.75 + 1,000 × $6, a million each
	const sonnet = 0.033036
	for name, tt := range map[string]struct {
		config func() string
		want   float64
	}{
		"Anthropic": {func() string { return configFile(t, "", upstream(t, cached)) }, sonnet},
		"Bedrock, a part of the world": {func() string {
			u := bedrockUpstream(t, awsAccount(simulator.AWSKey{Secret: awsSecret, Token: awsToken}), cached)
			return tiered(t, bedrockProvider("a", u))
		}, sonnet * 1.1},
		// 1,000 × $2.50 + 9,000 × $1.25 + 2,000 × $10
		"OpenAI": {func() string {
			return named(withOpenAI(t, openAIUpstream(t, simulator.Dialect{}, openAI), nil), "gpt-4o-2024-08-06")
		}, 0.03375},
		// 1,000 × $0.30 + 9,000 × $0.03 + 2,000 × $2.50
		"Gemini": {func() string {
			return named(withOpenAI(t, openAIUpstream(t, dialects["Gemini"], openAI), nil), "models/gemini-2.5-flash")
		}, 0.00557},
		"nobody knows": {func() string {
			return named(withOpenAI(t, openAIUpstream(t, simulator.Dialect{}, openAI), nil), "llama3")
		}, -1},
	} {
		for _, stream := range []bool{true, false} {
			log := filepath.Join(t.TempDir(), "requests.jsonl")
			p := start(t, nil, "-config", tt.config(), "-log-file", log)
			if res, body := p.post(t, ask(stream)); res.StatusCode != 200 {
				t.Fatalf("%s: %d %s", name, res.StatusCode, body)
			}
			got, _ := loggedCost(t, log)
			if got == nil && tt.want >= 0 || got != nil && math.Abs(*got-tt.want) > 1e-9 {
				t.Errorf("%s, stream %v: costs %v, want $%v", name, stream, show(got), tt.want)
			}
			p.end(t)
		}
	}
}

func show(usd *float64) any {
	if usd == nil {
		return "nobody knows what"
	}
	return *usd
}

// Some upstreams never say what they were sent: our own count is better than none.
func TestAPromptThatNobodyCountsIsPaidFor(t *testing.T) {
	config := withOpenAI(t, openAIUpstream(t, dialects["never any usage"], simulator.Always(good)), nil)
	edit(t, config, "name: gpt-x", "name: gpt-4o")
	log := filepath.Join(t.TempDir(), "requests.jsonl")
	p := start(t, nil, "-config", config, "-log-file", log)
	p.post(t, ask(true))
	usd, input := loggedCost(t, log)
	// About four bytes are a token.
	if want := len(ask(true)) / 4; usd == nil || input != want || *usd < float64(want)*2.5/1e6 {
		t.Errorf("%d tokens sent, want %d, cost %v", input, want, show(usd))
	}
}
