package simulator

import (
	"math/rand/v2"
	"strings"
)

var sentences = []string{
	"The handler reads the body once and keeps it for a second attempt.",
	"I looked at the failing test first, since it names the behaviour we want.",
	"That lock is held across the network call, which explains the slow tail.",
	"The fix is small: compute the deadline once and pass it down.",
	"Two callers rely on the old order, so I kept it and added a case to the table.",
	"The cache key leaves out the locale, so both pages share one entry.",
	"After the change the benchmark shows fewer allocations and the same result.",
	"A nil map is read here, which is fine, and written there, which is not.",
	"I would move the parsing into its own file, so that it can be fuzzed alone.",
	"The retry must not start before the first answer has been closed.",
	"Nothing else uses this field, so it can go.",
	"The error is wrapped twice; one of the two says nothing new.",
}

// prose is a text of at least the given number of tokens that calls itself simulated.
func prose(seed uint64, tokens int) string {
	var b strings.Builder
	b.WriteString("This is a simulated answer.")
	for r := rand.New(rand.NewPCG(seed, 0)); b.Len() < tokens*tokenBytes; {
		b.WriteByte(' ')
		b.WriteString(sentences[r.IntN(len(sentences))])
	}
	return b.String()
}
