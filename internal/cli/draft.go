package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// draft is a configuration that is being agreed on.
type draft struct {
	claude []account // who serve Claude, a tier each
	others []account // for their own models
	stands []account // who, with the model of their substitute, answer when all of claude fail
}

// agree goes through what the environment has the means for.
func agree(talk *interview, getenv func(string) string) (d draft, err error) {
	bedrock, hasBedrock := bedrockAccount(getenv)
	others := foreignAccounts(getenv)
	if err := d.askAnthropic(talk, claudeAccounts(getenv), hasBedrock || len(others) > 0); err != nil {
		return d, err
	}
	if hasBedrock {
		when := ""
		if len(d.claude) > 0 {
			when = " when Anthropic cannot answer"
		}
		use, err := talk.yes(fmt.Sprintf("\n%s is set. Use Claude on AWS Bedrock%s?", bedrock.found, when), true)
		if err != nil {
			return d, err
		}
		if use {
			d.claude = append(d.claude, inFile(bedrock, getenv))
		}
	}
	for _, a := range others {
		if err := d.askForeign(talk, a); err != nil {
			return d, err
		}
	}
	if len(d.claude)+len(d.others) == 0 {
		return d, hinted(errors.New("no provider is left, so nothing is written"), "say yes to one, or set the variable of another key")
	}
	return d, nil
}

// askAnthropic asks which of the ways to Anthropic to use; none is a choice where
// somebody else could serve.
func (d *draft) askAnthropic(talk *interview, ways []account, dispensable bool) error {
	if len(ways) == 1 && !dispensable {
		talk.say("No key is in the environment. Claude Code's own login or key is used, as it sends it.\n")
		d.claude = ways
		return nil
	}
	var options []string
	for _, a := range ways {
		options = append(options, a.title)
	}
	if dispensable {
		options = append(options, "none: do not ask Anthropic")
	}
	chosen, err := talk.choose("By what does Anthropic know you?", options)
	if err == nil && chosen < len(ways) {
		d.claude = []account{ways[chosen]}
	}
	return err
}

func (d *draft) askForeign(talk *interview, a account) error {
	use, err := talk.yes(fmt.Sprintf("\n%s is set. Use %s, for %s?", a.found, a.title, strings.Trim(a.models, "[]")), true)
	if err != nil || !use {
		return err
	}
	d.others = append(d.others, a)
	stand, err := talk.yes(fmt.Sprintf("May %s also answer for Claude when nobody else can? Your conversations and\nsource code go there then.", a.title), false)
	if err != nil || !stand {
		return err
	}
	model, err := talk.word("With which of its models?", a.stand.model)
	if err != nil {
		return err
	}
	if model != a.stand.model {
		a.stand = substitute{model: model}
	}
	d.stands = append(d.stands, a)
	return nil
}

// inFile adds to Bedrock's entry what the environment says now, so that the file
// serves where it is not set too. A profile would win over credentials that stand
// in the environment themselves.
func inFile(bedrock account, getenv func(string) string) account {
	bedrock.settings = slices.Clone(bedrock.settings)
	add := func(key, value string) {
		if value != "" {
			bedrock.settings = append(bedrock.settings, setting{key, quoted(value)})
		}
	}
	region := getenv("AWS_REGION")
	if region == "" {
		region = getenv("AWS_DEFAULT_REGION")
	}
	add("region", region)
	if getenv("AWS_ACCESS_KEY_ID") == "" && getenv("AWS_BEARER_TOKEN_BEDROCK") == "" {
		add("profile", getenv("AWS_PROFILE"))
	}
	return bedrock
}

// quoted is s as YAML, which takes the strings of JSON.
func quoted(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string
	}
	return string(text)
}

// text is the file.
func (d *draft) text() string {
	var b strings.Builder
	b.WriteString(draftHead)
	for _, a := range slices.Concat(d.claude, d.others) {
		fmt.Fprintf(&b, "  %s:\n", a.name)
		for _, s := range a.settings {
			fmt.Fprintf(&b, "    %-10s%s\n", s.key+":", s.value+comments[s])
		}
	}
	b.WriteString(draftModels)
	tier := 0
	for _, a := range d.claude {
		tier++
		fmt.Fprintf(&b, "  - {alias: %s, provider: %s%s}\n", a.models, a.name, inTier(tier))
	}
	if len(d.stands) > 0 {
		b.WriteString("  # Not Claude, but better than no answer. They get your conversations and source code.\n")
	}
	for _, a := range d.stands {
		tier++
		fmt.Fprintf(&b, "  - {name: %s, alias: %s, provider: %s%s%s}\n", quoted(a.stand.model), claudeModels, a.name, inTier(tier), a.stand.limits())
	}
	if len(d.others) > 0 {
		b.WriteString("  # Models of their own, asked for by name.\n")
	}
	for _, a := range d.others {
		fmt.Fprintf(&b, "  - {alias: %s, provider: %s}\n", a.models, a.name)
	}
	b.WriteString(draftTail)
	return b.String()
}

func inTier(n int) string {
	if n == 1 {
		return ""
	}
	return fmt.Sprintf(", tier: %d", n)
}

func (s substitute) limits() (text string) {
	if s.context > 0 {
		text += fmt.Sprintf(", context: %d", s.context)
	}
	if s.maxOutput > 0 {
		text += fmt.Sprintf(", maxOutput: %d", s.maxOutput)
	}
	return text
}

// comments stand behind a setting.
var comments = map[setting]string{
	{"auth", "passthrough"}: "   # the client's own login or key, which goes to this host only",
}

const draftHead = `# The configuration of anyproxy, first written by "anyproxy init". It is yours to
# change; "anyproxy validate" checks it. docs/config.md explains every key,
# example.config.yaml has all of them at their places.
#
# No key stands in it: env.NAME is the value of the environment variable NAME, which
# must be set where anyproxy starts. file:PATH, cmd:COMMAND and keyring:SERVICE/USER
# are other places for keys.

# Where requests can go. The names are yours.
providers:
`

const draftModels = `
# What clients may ask for, and who answers. The lowest tier comes first (default 1);
# the next one takes over when it cannot answer.
models:
`

const draftTail = `
# What is switched off with "#" below shows a use, not the default.

# Where it serves. The default is for this machine only.
#listen: 127.0.0.1:8081

# What clients must present as their key; needed where other machines can reach it.
#apiKeys: [env.ANYPROXY_KEY]

# Dollars a day over all providers; then requests are refused until midnight.
#budget: {daily: 20, alertAt: 80, onExceeded: block}

# One line for each request and attempt. bodies: none keeps source code out of it.
#log: {file: requests.jsonl, bodies: none}
`
