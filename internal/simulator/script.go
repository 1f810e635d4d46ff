package simulator

// Script picks the answer to the n-th model request of an Upstream, counted
// from 0; count_tokens, model lists and probes are not counted. It is called
// from several goroutines at once.
type Script func(n int, r *Received) Answer

// Always gives every request the same answer.
func Always(a Answer) Script {
	return func(int, *Received) Answer { return a }
}

// Sequence gives the answers in turn and stays with the last one.
func Sequence(answers ...Answer) Script {
	return func(n int, _ *Received) Answer { return answers[min(n, len(answers)-1)] }
}

// Ask is what a request asks for, read from its wire format.
type Ask struct {
	Model    string
	Stream   bool
	Thinking ThinkingMode
	// Text is what the person said since the last answer, less the client's own
	// reminders.
	Text string
	// Results are the texts of the tool results since the last answer.
	Results []string
}

// ThinkingMode is whether the client wants thinking, and to see it.
type ThinkingMode uint8

const (
	NoThinking ThinkingMode = iota
	ShownThinking
	OmittedThinking // display: omitted
)
