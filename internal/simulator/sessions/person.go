package sessions

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"anyproxy/internal/grammar"
)

// person holds one conversation after another.
type person struct {
	client  *client
	options Options
	rand    *rand.Rand

	ok, failed, corrupt *atomic.Int64
}

// work goes on until ctx ends. People do not start all at the same moment.
func (p *person) work(ctx context.Context) {
	p.pause(ctx, time.Duration(p.rand.Int64N(int64(p.options.Think))))
	for ctx.Err() == nil {
		p.converse(ctx, p.newConversation())
	}
}

func (p *person) newConversation() *conversation {
	return &conversation{
		session: p.uuid(),
		model:   p.options.Models[p.rand.IntN(len(p.options.Models))],
	}
}

// converse holds a conversation of a few turns, or until its history is long.
func (p *person) converse(ctx context.Context, c *conversation) {
	for turns := 3 + p.rand.IntN(10); turns > 0 && !c.long() && ctx.Err() == nil; turns-- {
		c.say(p.prompt())
		if !p.turn(ctx, c) {
			return
		}
		p.pause(ctx, p.about(p.options.Think))
	}
}

// maxSteps is how many requests one turn may take, against a model that never
// stops calling tools.
const maxSteps = 8

// turn asks, runs the tools that the answer calls, and asks again until there
// are none. False means that the person gives up on the conversation.
func (p *person) turn(ctx context.Context, c *conversation) bool {
	for range maxSteps {
		answer, ok := p.ask(ctx, c)
		if !ok {
			return false
		}
		c.answered(answer)
		calls := answer.Tools()
		if len(calls) == 0 {
			return true
		}
		p.pause(ctx, p.about(p.options.Think/4))
		c.results(calls)
	}
	return true
}

// maxTries is how often a request is sent before a person gives up on it.
const maxTries = 10

// ask sends the conversation until it is answered.
func (p *person) ask(ctx context.Context, c *conversation) (*grammar.Message, bool) {
	stream := p.rand.Float64() < 0.92
	for try := range maxTries {
		answer, err := p.client.send(ctx, c, stream)
		if ctx.Err() != nil {
			return nil, false
		}
		if err == nil {
			p.ok.Add(1)
			return answer, true
		}
		p.count(err)
		p.pause(ctx, p.backoff(try, err))
	}
	return nil, false
}

func (p *person) count(err error) {
	if _, ok := errors.AsType[*corruptError](err); ok {
		p.corrupt.Add(1)
		return
	}
	p.failed.Add(1)
}

func (p *person) backoff(try int, err error) time.Duration {
	wait := p.about(p.options.Backoff << min(try, 4))
	if refused, ok := errors.AsType[*refusedError](err); ok {
		wait = max(wait, refused.after)
	}
	return wait
}

// about is between half of d and one and a half of it.
func (p *person) about(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.5 + p.rand.Float64()))
}

func (p *person) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

var prompts = []string{
	"Why does the login test fail on the second run?",
	"Explain what this function does, then make it shorter.",
	"Find the slow query and tell me how to speed it up.",
	"Write a table test for the parser.",
	"What would break if I removed this lock?",
	"Rename the field and fix all its callers.",
}

var errands = []string{
	`Run the tests. RUN-TOOL Bash {"command":"go test ./...","description":"Run the tests"}`,
	`Look at the parser. RUN-TOOL Read {"file_path":"/src/parser.go"}`,
	`Read both. PARALLEL Read {"file_path":"/src/route.go"} Read {"file_path":"/src/route_test.go"}`,
	`THINK about it first. RUN-TOOL Bash {"command":"git diff --stat","description":"Show what changed"}`,
}

// prompt is a question or an errand; the errands carry the markers that
// simulator.Conversation knows, and are as good as any other text elsewhere.
func (p *person) prompt() string {
	if p.rand.Float64() < 0.45 {
		return errands[p.rand.IntN(len(errands))]
	}
	return prompts[p.rand.IntN(len(prompts))]
}

// uuid is a random UUID, version 4 (RFC 9562).
func (p *person) uuid() string {
	a, b := p.rand.Uint64(), p.rand.Uint64()
	a = a&^0xf000 | 0x4000
	b = b&^(0xc000<<48) | 0x8000<<48
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", a>>32, a>>16&0xffff, a&0xffff, b>>48, b&0xffffffffffff)
}
