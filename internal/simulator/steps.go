package simulator

import (
	"iter"
	"time"
)

// StepKind is what happens in a Step, in no wire format.
type StepKind uint8

const (
	StepStart StepKind = iota
	StepPing
	StepBlockStart
	StepText
	StepThinking
	StepSignature
	StepInput // a piece of a tool's input; the first one of a block is empty
	StepBlockStop
	StepFinish // stop reason and usage
	StepStop
)

// Step is one event of an answer. At is its time since the request.
type Step struct {
	Kind  StepKind
	At    time.Duration
	Block int    // index into Answer.Blocks
	Text  string // of a delta
}

// delta tells whether the step brings something generated.
func (s Step) delta() bool {
	return (s.Kind == StepText || s.Kind == StepThinking || s.Kind == StepInput) && s.Text != ""
}

// Steps is the answer's timetable. It depends on nothing but the Answer: the
// k-th token of the answer, counted from 0, is there at TTFT + k/Rate, and its
// block stops when the last token has had its time, so that tokens over the
// time from the first start to the last stop is exactly Rate.
func (a *Answer) Steps() iter.Seq[Step] {
	if a.PingEvery > 0 {
		return withPings(a.steps(), a.PingEvery)
	}
	return a.steps()
}

func (a *Answer) steps() iter.Seq[Step] {
	return func(yield func(Step) bool) {
		if a.EarlyPing && !yield(Step{Kind: StepPing}) {
			return
		}
		if !yield(Step{Kind: StepStart}) || !yield(Step{Kind: StepPing}) {
			return
		}
		token := 0
		for i := range a.Blocks {
			for s := range a.block(i, token) {
				if !yield(s) {
					return
				}
			}
			token += Tokens(a.Blocks[i].body())
		}
		_ = yield(Step{Kind: StepFinish, At: a.due(float64(token))}) &&
			yield(Step{Kind: StepStop, At: a.due(float64(token))})
	}
}

// due is when the given token begins.
func (a *Answer) due(token float64) time.Duration {
	if a.Rate <= 0 {
		return a.TTFT
	}
	return a.TTFT + time.Duration(token/a.Rate*float64(time.Second))
}

// block is the timetable of the i-th block, whose first token is the given one.
func (a *Answer) block(i, first int) iter.Seq[Step] {
	b := &a.Blocks[i]
	end := a.due(float64(first + Tokens(b.body())))
	deltas := a.prose
	if b.Kind == ToolBlock {
		deltas = a.inputs
	}
	return func(yield func(Step) bool) {
		if !yield(Step{Kind: StepBlockStart, At: a.due(float64(first)), Block: i}) {
			return
		}
		for s := range deltas(b, first) {
			s.Block = i
			if !yield(s) {
				return
			}
		}
		if b.Kind == ThinkingBlock && !yield(Step{Kind: StepSignature, At: end, Block: i, Text: b.Signature()}) {
			return
		}
		yield(Step{Kind: StepBlockStop, At: end, Block: i})
	}
}

// prose gives the deltas of text and thinking, each when its first token begins.
func (a *Answer) prose(b *Block, token int) iter.Seq[Step] {
	kind := StepText
	if b.Kind == ThinkingBlock {
		kind = StepThinking
	}
	return func(yield func(Step) bool) {
		for rest := b.Text; rest != "" && !b.Hidden; {
			piece, n := a.piece(rest)
			if !yield(Step{Kind: kind, At: a.due(float64(token)), Text: piece}) {
				return
			}
			rest, token = rest[len(piece):], token+n
		}
	}
}

// piece is the first delta of s and its number of tokens.
func (a *Answer) piece(s string) (string, int) {
	end, n := 0, 0
	for ; n < max(a.DeltaTokens, 1) && end < len(s); n++ {
		end += cut(s[end:], tokenBytes)
	}
	return s[:end], n
}

// inputs gives the deltas of a tool's input, each when its last token is there:
// upstreams hold input back until a part of it is whole. An empty one goes
// first, as the API sends it; it is the only one of an empty object.
func (a *Answer) inputs(b *Block, token int) iter.Seq[Step] {
	return func(yield func(Step) bool) {
		if !yield(Step{Kind: StepInput, At: a.due(float64(token))}) || b.input() == "{}" {
			return
		}
		input, tokens := b.input(), Tokens(b.input())
		n := b.Pieces
		if n <= 0 {
			n = (tokens + max(a.DeltaTokens, 1) - 1) / max(a.DeltaTokens, 1)
		}
		sent := 0
		for i := 1; i <= n; i++ {
			end := sent + cut(input[sent:], max(len(input)*i/n-sent, 0))
			if end == sent {
				continue
			}
			at := a.due(float64(token) + float64(tokens*i)/float64(n))
			if !yield(Step{Kind: StepInput, At: at, Text: input[sent:end]}) {
				return
			}
			sent = end
		}
	}
}

// withPings adds pings to a timetable, up to its last step.
func withPings(steps iter.Seq[Step], every time.Duration) iter.Seq[Step] {
	return func(yield func(Step) bool) {
		next := every
		for s := range steps {
			for ; next < s.At; next += every {
				if !yield(Step{Kind: StepPing, At: next}) {
					return
				}
			}
			if !yield(s) {
				return
			}
		}
	}
}
