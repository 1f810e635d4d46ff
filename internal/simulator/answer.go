package simulator

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"time"
	"unicode/utf8"
)

// Answer is what an upstream says to one request, in no wire format. The zero
// Answer is an empty message, sent at once.
type Answer struct {
	Blocks []Block
	// TTFT is the time from the request to the start of the first block. The
	// headers and the start of the message go out at once.
	TTFT time.Duration
	// Rate is in tokens per second; 0 = as fast as the connection takes it.
	Rate float64
	// DeltaTokens is how many tokens one delta brings; 0 = 1.
	DeltaTokens int
	// PingEvery is the distance of pings, besides the one behind the message's
	// start; 0 = no more than that one.
	PingEvery time.Duration
	// EarlyPing puts a ping before the message's start.
	EarlyPing bool
	// StopReason is by default tool_use with a tool call, end_turn without.
	StopReason string
	Usage      Usage
	Faults     []Fault
}

// Usage is what the answer says about tokens.
type Usage struct {
	Input        int // 0 = a quarter of the request's bytes
	Output       int // 0 = the true count
	CacheRead    int
	CacheWrite   int
	CacheWrite1h int // of CacheWrite, kept for an hour
}

// BlockKind is a closed set.
type BlockKind uint8

const (
	TextBlock BlockKind = iota
	ThinkingBlock
	ToolBlock
)

// Block is one part of an answer.
type Block struct {
	Kind BlockKind
	Text string // of text and thinking
	// Hidden thinking takes its time and its tokens but shows only a signature
	// (display: omitted).
	Hidden bool
	ID     string // of a tool call; "" = a fresh one
	Name   string // of a tool call
	Input  string // of a tool call, a JSON object
	// Pieces is how many deltas bring the input; 0 = as many as DeltaTokens makes.
	// One piece is an input that is buffered until it is whole.
	Pieces int
}

// Text is a block of text.
func Text(s string) Block { return Block{Kind: TextBlock, Text: s} }

// Thinking is a block of thinking that is shown.
func Thinking(s string) Block { return Block{Kind: ThinkingBlock, Text: s} }

// HiddenThinking is a block of thinking of which only the signature is shown.
func HiddenThinking(s string) Block { return Block{Kind: ThinkingBlock, Text: s, Hidden: true} }

// ToolUse is a call of the named tool; input is a JSON object.
func ToolUse(name, input string) Block { return Block{Kind: ToolBlock, Name: name, Input: input} }

// Signature stands for the upstream's seal on a thinking block.
func (b *Block) Signature() string {
	sum := sha256.Sum256([]byte(b.Text))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// body is what the block's tokens are made of.
func (b *Block) body() string {
	if b.Kind == ToolBlock {
		return b.input()
	}
	return b.Text
}

func (b *Block) input() string {
	if b.Input == "" {
		return "{}"
	}
	return b.Input
}

// Tokens is the true number of output tokens.
func (a *Answer) Tokens() int {
	n := 0
	for i := range a.Blocks {
		n += Tokens(a.Blocks[i].body())
	}
	return n
}

func (a *Answer) output() int {
	if a.Usage.Output > 0 {
		return a.Usage.Output
	}
	return a.Tokens()
}

func (a *Answer) stopReason() string {
	if a.StopReason != "" {
		return a.StopReason
	}
	for i := range a.Blocks {
		if a.Blocks[i].Kind == ToolBlock {
			return "tool_use"
		}
	}
	return "end_turn"
}

// rawInput is the tool's input for a JSON encoder. An input that is no JSON
// would make the whole answer unencodable, so that is a bug of the script.
func (b *Block) rawInput() json.RawMessage {
	if !json.Valid([]byte(b.input())) {
		panic("simulator: input of tool " + b.Name + " is not JSON: " + b.Input)
	}
	return json.RawMessage(b.input())
}

// tokenBytes is the length of an English token.
const tokenBytes = 4

// Tokens counts the tokens of s: one for four bytes, the last may be shorter,
// none ends inside a letter.
func Tokens(s string) int {
	n := 0
	for ; s != ""; n++ {
		s = s[cut(s, tokenBytes):]
	}
	return n
}

// cut is the smallest letter boundary of s at or behind n.
func cut(s string, n int) int {
	if n >= len(s) {
		return len(s)
	}
	for n < len(s) && !utf8.RuneStart(s[n]) {
		n++
	}
	return n
}
