// Package sessions simulates people at work with Claude Code: conversations
// that grow, turns with tool results, pauses to think.
//
// Every answer is read whole and judged by package grammar, so sessions are
// also a load that notices a broken stream.
package sessions

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Options of a Run.
type Options struct {
	BaseURL string
	APIKey  string // sent as x-api-key; "" = none
	// Sessions is how many conversations run at a time; 0 = 8.
	Sessions int
	// Models are picked at random, one for each conversation, repeats weigh.
	// Default: mostly claude-sonnet-4-5, some claude-opus-4-1 and claude-haiku-4-5.
	Models []string
	// Think is the mean pause of a person between two turns; 0 = 2s. Tools take
	// a quarter of it.
	Think time.Duration
	// Backoff is the pause behind the first failure of a request, doubled up to
	// 16 times of it with each further one; 0 = 500ms. A longer Retry-After wins.
	Backoff time.Duration
	// Rand decides everything; default a random one. It is used only before Run's
	// sessions begin.
	Rand *rand.Rand
}

// Tally is what came of a Run.
type Tally struct {
	OK     int64 // answers that came whole
	Failed int64 // error statuses, error events and failed connections
	// Corrupt counts answers that break the API's grammar in any other way than
	// by an error event at their end.
	Corrupt int64
}

var defaultModels = []string{
	"claude-sonnet-4-5", "claude-sonnet-4-5", "claude-sonnet-4-5", "claude-opus-4-1", "claude-opus-4-1", "claude-haiku-4-5",
}

func (o Options) withDefaults() Options {
	if o.Sessions <= 0 {
		o.Sessions = 8
	}
	if len(o.Models) == 0 {
		o.Models = defaultModels
	}
	if o.Think <= 0 {
		o.Think = 2 * time.Second
	}
	if o.Backoff <= 0 {
		o.Backoff = 500 * time.Millisecond
	}
	if o.Rand == nil {
		o.Rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	return o
}

// Run keeps the sessions going until ctx ends, then returns when all of them have.
func Run(ctx context.Context, o Options) Tally {
	o = o.withDefaults()
	transport := &http.Transport{MaxIdleConnsPerHost: o.Sessions}
	defer transport.CloseIdleConnections()
	c := &client{http: &http.Client{Transport: transport}, baseURL: o.BaseURL, key: o.APIKey}

	var ok, failed, corrupt atomic.Int64
	var running sync.WaitGroup
	for range o.Sessions {
		p := &person{
			client: c, options: o, rand: rand.New(rand.NewPCG(o.Rand.Uint64(), o.Rand.Uint64())),
			ok: &ok, failed: &failed, corrupt: &corrupt,
		}
		running.Go(func() { p.work(ctx) })
	}
	running.Wait()
	return Tally{OK: ok.Load(), Failed: failed.Load(), Corrupt: corrupt.Load()}
}
