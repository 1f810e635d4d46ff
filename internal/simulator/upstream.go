// Package simulator has upstreams that speak the Anthropic Messages API,
// Bedrock's way of it, or the OpenAI format in any dialect, over real loopback
// HTTP and answer by a script, also wrongly: slow, limited, broken in the
// middle, or not HTTP at all.
//
// A Script picks an Answer for each request. An Answer says what is told, at
// which pace, and what goes wrong with it, in no wire format; Answer.Steps is
// its timetable. A front (anthropic.go, bedrock.go, openai.go) knows a wire
// format, the exchange and the player send its bytes at their times and let the
// faults strike.
//
// Conversation is the script for the real Claude Code, Day a set of providers
// whose fortunes change with time. The sub-package sessions has simulated
// clients.
//
// An Upstream is safe for concurrent use.
package simulator

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Options of an Upstream.
type Options struct {
	Script Script   // default Conversation(Answer{})
	Keep   int      // how many of the newest requests are recorded; 0 = 1000, negative = none
	Models []string // what GET /v1/models names; default three of Claude's
	// Contexts are the sizes of context windows that the list of models states, in
	// tokens, by model.
	Contexts map[string]int
	OpenAI   *Dialect // speak the OpenAI format in this way; nil = the Anthropic one, and Bedrock's
	AWS      *AWS     // checks requests to Bedrock's paths; nil takes any bearer token there
}

const defaultKeep = 1000

// defaultModels is what GET /v1/models names.
var defaultModels = []string{"claude-opus-4-1", "claude-sonnet-4-5", "claude-haiku-4-5"}

// Upstream is a running server on a loopback port of its own.
type Upstream struct {
	script  Script
	models  []listed
	dialect *Dialect // nil = the Anthropic format
	aws     *AWS
	url     string
	server  *http.Server
	cancel  context.CancelFunc
	ring    ring
	asked   atomic.Int64 // model requests so far
	active  atomic.Int64 // requests being answered

	mu     sync.Mutex
	closed bool           // no handler may begin; guarded by mu
	served sync.WaitGroup // the accept loop and every handler
}

// Start serves until Close is called or ctx ends.
func Start(ctx context.Context, o Options) (*Upstream, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start upstream: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	u := &Upstream{script: o.Script, dialect: o.OpenAI, aws: o.AWS, url: "http://" + listener.Addr().String(), cancel: cancel}
	if u.script == nil {
		u.script = Conversation(Answer{})
	}
	if o.Models == nil {
		o.Models = defaultModels
	}
	for _, id := range o.Models {
		u.models = append(u.models, listed{id, o.Contexts[id]})
	}
	u.ring.keep = max(o.Keep, 0)
	if o.Keep == 0 {
		u.ring.keep = defaultKeep
	}
	u.server = &http.Server{
		Handler:           u,
		ReadHeaderTimeout: time.Minute,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	context.AfterFunc(ctx, func() { _ = u.server.Close() })
	u.served.Go(func() { _ = u.server.Serve(listener) })
	return u, nil
}

// URL is the endpoint, without a path.
func (u *Upstream) URL() string { return u.url }

// Requests returns the newest recorded requests, oldest first.
func (u *Upstream) Requests() []*Received { return u.ring.all() }

// Active is the number of requests being answered now.
func (u *Upstream) Active() int { return int(u.active.Load()) }

// Close breaks all answers off and waits until everything has ended.
func (u *Upstream) Close() {
	u.mu.Lock()
	u.closed = true
	u.mu.Unlock()
	u.cancel()
	_ = u.server.Close()
	u.served.Wait()
}

// begin admits a request; done is to be called at its end.
func (u *Upstream) begin() (done func(), ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return nil, false
	}
	u.served.Add(1)
	u.active.Add(1)
	return func() { u.active.Add(-1); u.served.Done() }, true
}

// ServeHTTP is the server's handler.
func (u *Upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	done, ok := u.begin()
	if !ok {
		panic(http.ErrAbortHandler)
	}
	defer done()
	rec := &Received{Time: time.Now(), Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Header: r.Header.Clone()}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	rec.Body = body
	ask, route := readAsk, u.route
	if b, ok := bedrockPath(r); ok {
		ask, route = b.ask, u.routeBedrock(b)
	} else if isBedrockList(r) {
		route = u.routeBedrockList
	} else if u.dialect != nil {
		ask, route = readChat, u.routeOpenAI
	}
	rec.ask = sync.OnceValue(func() Ask { return ask(body) })
	u.ring.add(rec)
	route(w, r, rec, err)
}
