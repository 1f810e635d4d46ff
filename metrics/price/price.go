// Package price knows what the tokens of usual models cost, in dollars per
// million: the list prices of those who make them, as of Checked, and of single
// sellers where several have prices of their own. What is agreed with anybody,
// and discounts of batches, are not in it.
package price

import (
	"regexp"
	"strings"

	"anyproxy/metrics"
)

// Checked is the day on which the table was last held against its sources.
const Checked = "2026-11-26"

// Of returns what a model costs at whom the table has the price of, by the longest
// beginning of its name that is there; nil = not known. The name may be written as
// Bedrock, OpenRouter or Vertex AI do.
func Of(model string) *metrics.Rates {
	begin, e := find(model)
	if e != nil && regional(model, begin) {
		return e.Times(regionalFactor)
	}
	return e
}

// Name is the name under which a model is in the table, "" = it is not.
func Name(model string) string {
	name, _ := find(model)
	return name
}

func find(model string) (name string, rates *metrics.Rates) {
	whole := normal(model)
	for begin := whole; begin != ""; begin = begin[:len(begin)-1] {
		if e, ok := table[begin]; ok && ends(whole[len(begin):]) {
			return begin, e
		}
	}
	return "", nil
}

// ends reports whether what follows a name in the table is a version of the
// same model, and not the rest of another's name: gpt-5.1 is no gpt-5, and
// gpt-4o-audio no gpt-4o.
func ends(rest string) bool { return version.MatchString(rest) }

var (
	// version is a date, a snapshot, "latest", a size of the window.
	version = regexp.MustCompile(`^(-\d{4}-?\d{2}-?\d{2}|-\d{4}|-latest|-0|-preview(-\d{2}-\d{2,4})?|-exp|-v\d+(:\d+)?|:\d+|\[1m\]|-codex(-max)?|-chat(-latest)?)*$`)
	// vendor is what stands before a model's own name.
	vendor = regexp.MustCompile(`^(models/|publishers/[^/]+/models/|(us|eu|apac|jp|au|ca|us-gov|global)\.)?(anthropic[./]|openai/|google/|x-ai/|xai/|deepseek/|moonshotai/)?`)
	// arn is a Bedrock model or profile of the region's or the world's.
	arn = regexp.MustCompile(`^arn:aws[a-z-]*:bedrock:[^:]*:[^:]*:(?:foundation-model|inference-profile)/`)
	// geography is what makes an inference profile one of a part of the world; a
	// model without a profile is asked in one region.
	geography = regexp.MustCompile(`^((us|eu|apac|jp|au|ca|us-gov)\.)?anthropic\.`)
)

// normal is a model's own name.
func normal(model string) string {
	model = strings.ToLower(arn.ReplaceAllString(model, ""))
	keep := model
	model = vendor.ReplaceAllString(model, "")
	if strings.HasPrefix(keep, "openai/gpt-oss") || strings.HasPrefix(keep, "groq/") { // in the table by these names
		model = strings.TrimPrefix(keep, "groq/")
	}
	model = strings.ReplaceAll(model, "@", "-")
	// OpenRouter writes claude-sonnet-4.5.
	if strings.HasPrefix(model, "claude-") {
		model = strings.ReplaceAll(model, ".", "-")
	}
	return model
}

// regionalFactor is what a part of the world, or a region, costs on Bedrock beside
// the whole, since Claude 4.5 (platform.claude.com/docs/en/about-claude/pricing,
// "Third-party platform pricing"; that it holds without a profile too by way of
// github.com/pydantic/genai-prices, prices/providers/aws.yml).
const regionalFactor = 1.1

// flat are the Claude models from before parts of the world cost more.
var flat = []string{"claude-3", "claude-opus-4", "claude-opus-4-1", "claude-sonnet-4"}

func regional(model, begin string) bool {
	if !geography.MatchString(strings.ToLower(arn.ReplaceAllString(model, ""))) {
		return false
	}
	for _, f := range flat {
		if begin == f || f == "claude-3" && strings.HasPrefix(begin, f) {
			return false
		}
	}
	return true
}
