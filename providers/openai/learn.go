package openai

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// A lesson is what the refusal of a request teaches: it can be made again in
// another way.
type lesson struct {
	traits trait
	// limit is the most tokens that the answer may have, 0 = as before. It holds
	// for the model, unless once says that it depends on the prompt.
	limit int64
	once  bool
}

// optional are the fields of our own making, or that a target may do without,
// by the trait that leaves them out.
var optional = []struct {
	leftOut trait
	named   *regexp.Regexp
}{
	{noStreamOptions, word("stream_options")},
	{noParallel, word("parallel_tool_calls")},
	{noEffort, word("reasoning_effort")},
	{noTier, word("service_tier")},
	{noTemperature, word("temperature")},
	{noTopP, word("top_p")},
	{noUser, field("user")},
	{noStop, field("stop")},
}

// word matches a name that means nothing else.
func word(name string) *regexp.Regexp {
	return regexp.MustCompile(`(?:^|[^A-Za-z_])` + name + `(?:$|[^A-Za-z_])`)
}

// field matches a name that is also a word of English, where it stands as a
// field's.
func field(name string) *regexp.Regexp {
	return regexp.MustCompile("[\"'`]" + name + "[\"'`]|body\\." + name + `\b|parameters?:? ` + name + `\b`)
}

var (
	oldName    = word("max_tokens")
	newName    = word("max_completion_tokens")
	nineDigits = regexp.MustCompile(`(?i)tool[ _]call[ _]id.*length of 9`)
	// split says how the limit was missed: by the prompt and the answer's limit together.
	split = regexp.MustCompile(`(?is)maximum context length (?:is|of) (\d+) tokens.*?\((\d+) (?:in the messages|of text input)|` +
		`maximum context length (?:is|of) (\d+) tokens and your request has (\d+) input tokens|` +
		`passed (\d+) input tokens.*?context length is only (\d+)`)
	// most says how long an answer may be.
	most = regexp.MustCompile(`(?i)at most (\d+) (?:completion|output) tokens|max(?:_completion)?_tokens.*?\[1, (\d+)\]|max(?:_completion)?_tokens.*?(?:less than or equal to|<=) ` + "`?" + `(\d+)|maximum allowed number of output tokens.*?(\d+)`)
)

// leastRoom is how many tokens must be left for an answer, so that it is worth
// asking for one that is shorter than the client wants.
const leastRoom = 1024

// lesson finds out what a refusal is about, nothing where it is about what the
// client said.
func (c *conversion) lesson(said *complaint) (l lesson, ok bool) {
	if status := said.answered; status != http.StatusBadRequest && status != http.StatusUnprocessableEntity {
		return l, false
	}
	text := said.message
	for _, o := range optional {
		if c.sent.has(o.leftOut) && (o.named.MatchString(text) || o.named.MatchString(`"`+said.param+`"`)) {
			l.traits |= o.leftOut
		}
	}
	l.traits |= c.otherWay(text, said.param)
	if n := submatch(most, text); n > 0 && n < c.limited {
		l.limit = n
	} else if m := split.FindStringSubmatch(text); m != nil {
		room := number(m[1]+m[3]+m[6]) - number(m[2]+m[4]+m[5])
		if room >= leastRoom && room < c.limited {
			l.limit, l.once = room, true
		}
	}
	l.traits &^= c.taught // what has been tried did not help
	return l, l.traits != 0 || l.limit > 0
}

// otherWay finds what must be written in another way.
func (c *conversion) otherWay(text, param string) (t trait) {
	newer := c.traits.has(newLimit)
	switch {
	case submatch(most, text) > 0 || split.MatchString(text): // it is about the number
	case newer && (newName.MatchString(text) || param == "max_completion_tokens"):
		t |= oldLimit
	case !newer && newName.MatchString(text) && (oldName.MatchString(text) || param == "max_tokens"):
		t |= newLimit
	}
	if nineDigits.MatchString(text) && !c.traits.has(shortIDs) {
		t |= shortIDs
	}
	if strings.Contains(text, "reasoning_content") {
		if c.sent.has(wantsThoughts) {
			t |= noThoughts
		} else if !c.traits.has(wantsThoughts) {
			t |= wantsThoughts
		}
	}
	return t
}

// submatch is the number in the first group that matched, 0 when none did.
func submatch(re *regexp.Regexp, text string) int64 {
	m := re.FindStringSubmatch(text)
	return number(strings.Join(m[min(1, len(m)):], ""))
}

func number(digits string) int64 {
	n, _ := strconv.ParseInt(digits, 10, 64)
	return n
}
