package openai

import (
	"testing"

	"anyproxy/providers"
)

// Thinking is part of the output, what was cached stands beside the input.
func TestUsage(t *testing.T) {
	for usage, want := range map[string]providers.Usage{
		`{"prompt_tokens":30,"completion_tokens":20,"prompt_tokens_details":{"cached_tokens":10},"completion_tokens_details":{"reasoning_tokens":15}}`: {Input: 20, CacheRead: 10, Output: 20, Reasoning: 15},
		`{"prompt_tokens":30,"completion_tokens":4,"prompt_cache_hit_tokens":12}`:                                                                      {Input: 18, CacheRead: 12, Output: 4},
		`{"prompt_tokens":5,"completion_tokens":4,"completion_tokens_details":{"reasoning_tokens":9}}`:                                                 {Input: 5, Output: 4, Reasoning: 4},
		`{"prompt_tokens":5,"completion_tokens":4,"completion_tokens_details":null}`:                                                                   {Input: 5, Output: 4},
	} {
		var k chunk
		if err := k.read([]byte(`{"choices":[],"usage":`+usage+`}`), false); err != nil || k.usage != want {
			t.Errorf("%s: %+v, %v, want %+v", usage, k.usage, err, want)
		}
	}
}
