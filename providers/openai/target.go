package openai

import (
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"

	"anyproxy/config"
)

// trait is something that a target does in another way than most. What is known
// of a service or a kind of model is set from the start, the rest is learnt from
// refusals.
type trait uint32

const (
	noStreamOptions trait = 1 << iota
	noParallel            // parallel_tool_calls
	noEffort              // reasoning_effort
	noUser
	noTier // service_tier
	noStop
	noTemperature
	noTopP
	noTools
	newLimit      // the limit is called max_completion_tokens
	oldLimit      // it is called max_tokens, whatever the model's name says
	shortIDs      // ids of tool calls are nine letters and digits
	wantsThoughts // what was thought before a tool call must come back as reasoning_content
	noThoughts    // it must not
	signedCalls   // tool calls carry a seal that must come back
)

func (t trait) has(other trait) bool { return t&other != 0 }

// services are what is known of some by their host.
var services = []struct {
	suffix string
	traits trait
}{
	{"mistral.ai", noStreamOptions | oldLimit | noUser | noEffort | noTier | shortIDs | noThoughts},
	{"perplexity.ai", noTools | noStop | noParallel | noTier | oldLimit},
	{"googleapis.com", noUser | noTier | noParallel | signedCalls},
	{"deepseek.com", oldLimit | noUser | noTier | noParallel | noEffort | wantsThoughts},
}

// traitsOf is what is known of a service by its host.
func traitsOf(endpoint *url.URL) trait {
	for _, s := range services {
		host := strings.ToLower(endpoint.Hostname())
		if host == s.suffix || strings.HasSuffix(host, "."+s.suffix) {
			return s.traits
		}
	}
	return 0
}

// A target is one model of a provider, and what has been learnt of it.
type target struct {
	model     string
	known     trait
	maxOutput int    // tokens; 0 = unknown
	context   int    // tokens; 0 = unknown
	noPDF     bool   // it takes no PDF
	efforts   ladder // empty when it has no reasoning_effort
	reasoning bool   // it thinks before it speaks, and takes no sampling parameters
	learnt    atomic.Uint32
	limit     atomic.Int64 // of output tokens, learnt; 0 = none
	correction
}

// newTarget combines what the configuration, the service and the model's name
// say. m may be nil.
func newTarget(model string, service trait, m *config.Model) *target {
	t := &target{model: model, known: service}
	family := familyOf(model)
	t.reasoning, t.efforts = family.reasoning, family.efforts
	if family.newLimit && !service.has(oldLimit) {
		t.known |= newLimit
	}
	if t.reasoning {
		t.known |= noTemperature | noTopP | noStop
	}
	if m == nil {
		return t
	}
	t.maxOutput, t.context = m.MaxOutput, m.Context
	t.noPDF = m.Capabilities.PDF != nil && !*m.Capabilities.PDF
	if thinks := m.Capabilities.Thinking; thinks != nil {
		switch {
		case !*thinks:
			t.efforts = nil
		case t.efforts == nil:
			t.efforts = usualEfforts
		}
	}
	return t
}

// traits is all that is known by now.
func (t *target) traits() trait {
	learnt := trait(t.learnt.Load())
	known := t.known
	if learnt.has(newLimit) {
		known &^= oldLimit
	}
	if learnt.has(oldLimit) {
		known &^= newLimit
	}
	if learnt.has(noThoughts) {
		known, learnt = known&^wantsThoughts, learnt&^wantsThoughts
	}
	return known | learnt
}

// learn remembers a lesson for as long as the configuration lives.
func (t *target) learn(l lesson) {
	t.learnt.Or(uint32(l.traits))
	if l.limit > 0 && !l.once {
		t.limit.Store(l.limit)
	}
}

// ladder are the values of reasoning_effort that a model takes, rising.
type ladder []string

var usualEfforts = ladder{"low", "medium", "high"}

// rungs are all values in their order.
var rungs = ladder{"none", "minimal", "low", "medium", "high", "xhigh"}

// nearest is the value that the model takes in the place of effort: itself, the
// next lower one, or the lowest. "" when effort is none that is known.
func (l ladder) nearest(effort string) string {
	if effort == "max" {
		effort = "xhigh"
	}
	want := rungs.find(effort)
	if want < 0 || len(l) == 0 {
		return ""
	}
	best := l[0]
	for _, e := range l {
		if rungs.find(e) <= want {
			best = e
		}
	}
	return best
}

func (l ladder) find(effort string) int {
	for i, e := range l {
		if e == effort {
			return i
		}
	}
	return -1
}

// family is what a model's name says.
type family struct {
	newLimit  bool
	reasoning bool
	efforts   ladder
}

// Names are those of platform.openai.com/docs/models, also behind a vendor's
// name: openai/gpt-5-mini, o3, o4-mini-2025-04-16, gpt-5.1-codex-max.
var (
	oSeries  = regexp.MustCompile(`^o[1-9]\d*(?:-|$)`)
	gptFives = regexp.MustCompile(`^gpt-(\d+)(?:\.(\d+))?(?:-|$)`)
)

func familyOf(model string) family {
	model = strings.ToLower(model[strings.LastIndexByte(model, '/')+1:])
	if oSeries.MatchString(model) {
		return family{newLimit: true, reasoning: true, efforts: usualEfforts}
	}
	m := gptFives.FindStringSubmatch(model)
	if m == nil {
		return family{}
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	switch {
	case major < 5:
		return family{}
	case strings.Contains(model, "-chat"):
		return family{newLimit: true} // the one in the chat application, which does not think
	case major == 5 && minor == 0:
		return family{newLimit: true, reasoning: true, efforts: ladder{"minimal", "low", "medium", "high"}}
	case major == 5 && minor == 1 && !strings.Contains(model, "codex-max"):
		return family{newLimit: true, reasoning: true, efforts: ladder{"none", "low", "medium", "high"}}
	default:
		return family{newLimit: true, reasoning: true, efforts: ladder{"none", "low", "medium", "high", "xhigh"}}
	}
}
