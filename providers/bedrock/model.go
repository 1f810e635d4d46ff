package bedrock

import (
	"regexp"
	"slices"
	"strings"
)

// Bedrock knows Claude's models by names of its own, and most of them only
// through an inference profile, which spreads requests over the regions of a
// geography: us.anthropic.claude-sonnet-4-5-20250929-v1:0. These rules lead from
// the names of the Claude API there
// (platform.claude.com/docs/en/build-with-claude/claude-on-amazon-bedrock and
// the model cards of docs.aws.amazon.com/bedrock/latest/userguide).

// aliases are the API's short names of models that Bedrock knows by date.
var aliases = map[string]string{
	"claude-3-5-haiku-latest":  "claude-3-5-haiku-20241022",
	"claude-3-5-sonnet-latest": "claude-3-5-sonnet-20241022",
	"claude-3-7-sonnet-latest": "claude-3-7-sonnet-20250219",
	"claude-opus-4-0":          "claude-opus-4-20250514",
	"claude-sonnet-4-0":        "claude-sonnet-4-20250514",
	"claude-opus-4-1":          "claude-opus-4-1-20250805",
	"claude-sonnet-4-5":        "claude-sonnet-4-5-20250929",
	"claude-haiku-4-5":         "claude-haiku-4-5-20251001",
	"claude-opus-4-5":          "claude-opus-4-5-20251101",
}

// versions are the ends of names that follow no rule.
var versions = map[string]string{
	"claude-3-5-sonnet-20241022": "-v2:0",
	"claude-opus-4-6":            "-v1",
}

// dated is a name with the day of its model. All of them have the version
// -v1:0; later models have neither.
var dated = regexp.MustCompile(`-20[0-9]{6}$`)

// geographies lists the profiles of models that have not all of them. The
// first match of a prefix counts.
var geographies = []struct {
	prefix   string
	profiles []string
}{
	{"claude-3-5-haiku-", []string{"us"}},
	{"claude-3-5-sonnet-", []string{"us", "us-gov", "eu", "apac"}},
	{"claude-3-7-sonnet-", []string{"us", "us-gov", "eu", "apac"}},
	{"claude-3-", []string{"us", "us-gov", "eu", "apac"}},
	{"claude-opus-4-1-", []string{"us"}},
	{"claude-opus-4-2025", []string{"us"}},
	{"claude-sonnet-4-2025", []string{"global", "us", "eu", "apac"}},
	{"claude-opus-4-5-", []string{"global", "us", "eu"}},
	{"claude-opus-4-6", []string{"global", "us", "eu", "jp", "au", "apac"}},
	{"claude-", []string{"global", "us", "us-gov", "eu", "jp", "au"}},
}

// modelID gives Bedrock's name of a model: of one that the Claude API has, the
// inference profile of the region's geography, else the global one. Any other
// name, an ARN too, is taken for Bedrock's own.
func modelID(name, region string) string {
	if full, ok := aliases[name]; ok {
		name = full
	}
	if !strings.HasPrefix(name, "claude-") {
		return name
	}
	var has []string
	for _, g := range geographies {
		if strings.HasPrefix(name, g.prefix) {
			has = g.profiles
			break
		}
	}
	id := baseID(name)
	for _, profile := range profilesOf(region) {
		if slices.Contains(has, profile) {
			return profile + "." + id
		}
	}
	return id
}

// baseID is Bedrock's name of the model itself.
func baseID(name string) string {
	version := versions[name]
	if version == "" && dated.MatchString(name) {
		version = "-v1:0"
	}
	return "anthropic." + name + version
}

// profilesOf are the inference profiles that a region may use, the closest first.
func profilesOf(region string) []string {
	switch {
	case strings.HasPrefix(region, "us-gov-"):
		return []string{"us-gov"}
	case strings.HasPrefix(region, "us-"):
		return []string{"us", "global"}
	case strings.HasPrefix(region, "eu-"):
		return []string{"eu", "global"}
	case region == "ap-northeast-1", region == "ap-northeast-3":
		return []string{"jp", "apac", "global"}
	case region == "ap-southeast-2", region == "ap-southeast-4":
		return []string{"au", "apac", "global"}
	case strings.HasPrefix(region, "ap-"):
		return []string{"apac", "global"}
	default:
		return []string{"global"}
	}
}

// profilePrefix opens the name of an inference profile.
var profilePrefix = regexp.MustCompile(`^(us|us-gov|eu|apac|jp|au|ca|global)\.`)

// foundationID is the model behind a name of Bedrock's, which is what tokens
// are counted for; "" where the name does not tell it.
func foundationID(id string) string {
	if strings.HasPrefix(id, "arn:") {
		_, name, ok := strings.Cut(id, ":foundation-model/")
		if !ok {
			_, name, _ = strings.Cut(id, ":inference-profile/")
		}
		id = name
	}
	return profilePrefix.ReplaceAllString(id, "")
}
