package replay

import (
	"context"
	"math/rand/v2"
	"time"

	"anyproxy/metrics"
	"anyproxy/metrics/ledger"
	"anyproxy/proxy/routing"
)

// Setup is a configuration, as far as it is replayed.
type Setup struct {
	Targets   []routing.Target
	Options   routing.Options     // its clock and draw are the replay's own
	Providers map[string]Provider // by name
	// Rates are what a provider's model costs, nil = not known. included says that
	// a subscription pays. login is set when the log has seen the client's own
	// login pay there.
	Rates func(provider, model string, login bool) (rates *metrics.Rates, included bool)
	Judge func(outcome string) Judgement
	// Daily is the dollars of a day beyond which nothing is served; 0 = no limit.
	Daily    float64
	Deadline time.Duration // of a request's way to its first content
	Assumed  Assumed
	Seed     uint64
	Zone     *time.Location // where days begin
}

// Judgement is what an outcome of an attempt means.
type Judgement struct {
	Verdict  routing.Verdict
	Fallback bool          // another upstream may succeed
	Pause    time.Duration // that the upstream is left alone for, 0 = the router knows
}

// Provider is one of a Setup.
type Provider struct {
	FirstByte, Total time.Duration // time limits
	Daily            float64       // dollars of a day; 0 = no limit
	Native           bool          // it takes requests as they are
}

// A running answer is measured every tick, but no more than mostTicks times: the
// proxy does it four times as often.
const (
	tick      = time.Second
	mostTicks = 256
)

// cacheTTL is how long a prompt cache lives without being used, where nobody has
// paid for an hour (docs.anthropic.com/en/docs/build-with-claude/prompt-caching).
const (
	cacheTTL     = 5 * time.Minute
	longCacheTTL = time.Hour
)

// nobody is the upstream of what was not answered.
const nobody = -1

// result is how a request ended, in the log or in the replay.
type result struct {
	phase    phase
	upstream int32 // that answered, or was asked last; nobody = none was asked
	tried    int32
	fell     bool          // another upstream than the first was asked
	ttft     time.Duration // since it came; 0 = not known
	took     time.Duration
	cost     float64
	unpriced bool
	included bool
	tokens   tokens // of the last attempt, where it was answered
}

// play is a replay under way.
type play struct {
	clock
	t       *Trace
	s       *Setup
	past    *past
	router  *routing.Router
	spent   *ledger.Ledger
	caches  map[cacheKey]cache
	logins  map[string]bool // providers where the log has seen a login pay
	spoke   map[talk]int64  // when its last request ended
	results []result
}

type cacheKey struct {
	talk     talk
	upstream int32
}

// cache is a prompt at a provider.
type cache struct {
	prompt int32
	used   int64
	ttl    time.Duration
}

// play plays the trace. told, which may be nil, learns how many requests are done.
func (t *Trace) play(ctx context.Context, s *Setup, told func(done, total int64)) (*play, error) {
	p := &play{t: t, s: s, past: t.past(s), caches: map[cacheKey]cache{}, logins: map[string]bool{}, spoke: map[talk]int64{}, results: make([]result, len(t.requests))}
	for i := range t.attempts {
		if t.attempts[i].included {
			p.logins[t.upstreams.all[t.attempts[i].upstream].Provider] = true
		}
	}
	o := s.Options
	o.Now = func() time.Time { return p.time(s.Zone) }
	o.Draw = rand.New(rand.NewPCG(s.Seed, 0)).Float64
	p.spent = ledger.New(o.Now)
	p.router = routing.New(s.Targets, routing.NewState(), o)
	if len(t.requests) > 0 {
		p.now = t.requests[0].at
	}
	for i := range t.requests {
		if i%1024 == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if told != nil {
				told(int64(i), int64(len(t.requests)))
			}
		}
		p.until(t.requests[i].at)
		p.begin(i)
	}
	p.run()
	return p, nil
}

// exchange is a request on its way, as proxy.exchange is.
type exchange struct {
	*play
	i     int
	r     *request
	out   *result
	route *routing.Route
	asked map[int32]int // how often each upstream was
	first int32
}

// begin lets a request come.
func (p *play) begin(i int) {
	r := &p.t.requests[i]
	x := &exchange{play: p, i: i, r: r, out: &p.results[i], first: nobody}
	*x.out = result{upstream: nobody}
	if p.over(ledger.Everybody, p.s.Daily) {
		x.end(failed)
		return
	}
	tokens := int(r.tokens.prompt())
	x.route = p.router.Route(routing.Query{Model: p.t.names.text(r.talk.model), Provider: p.t.names.text(r.forced), Skip: p.skip,
		Stream: r.stream, Session: p.t.names.text(r.talk.session), Agent: p.t.names.text(r.talk.agent), Fresh: p.fresh(r), Need: routing.Need{Tokens: tokens}})
	if x.route.Len() == 0 {
		x.end(failed)
		return
	}
	x.next()
}

// fresh reports whether a turn is taken to be a person's: the log does not tell
// whether it answers a tool, which takes less time than a person.
func (p *play) fresh(r *request) bool {
	last, ok := p.spoke[r.talk]
	return !ok || time.Duration(r.at-last) >= quiet
}

// quiet is after how long a turn is taken for a person's.
const quiet = 15 * time.Second

func (p *play) over(account string, limit float64) bool {
	return limit > 0 && p.spent.Spent(account) >= limit
}

// skip leaves out a provider that has spent its budget.
func (p *play) skip(provider string) string {
	if p.over(ledger.ProviderAccount(provider), p.s.Providers[provider].Daily) {
		return "budget spent"
	}
	return ""
}

// next asks the next candidate.
func (x *exchange) next() {
	if x.gone() {
		x.end(canceled)
		return
	}
	if time.Duration(x.now-x.r.at) >= x.s.Deadline {
		x.end(failed)
		return
	}
	a, ok := x.route.Next()
	if !ok {
		x.end(failed)
		return
	}
	u := x.t.upstreams.of(a.Provider, a.Model)
	if x.first == nobody {
		x.first = u
	}
	x.out.upstream, x.out.fell = u, x.out.fell || u != x.first
	x.out.tried++
	if x.asked == nil {
		x.asked = map[int32]int{}
	}
	f := x.past.of(x.i, x.r, u, x.asked[u], x.now)
	x.asked[u]++
	if f.Verdict != routing.Good && f.ttft == 0 {
		limit := x.s.Providers[a.Provider].Total
		if x.r.stream {
			limit = a.FirstByte(x.s.Providers[a.Provider].FirstByte)
		}
		took := min(f.took, limit)
		x.leaveBy(&took)
		x.after(took, func() { x.failed(a, &f) })
		return
	}
	if f.opaque {
		a.Heard(x.time(x.s.Zone))
	}
	x.stream(a, &f, x.now)
}

// leaveBy cuts a wait at the time at which the client left.
func (x *exchange) leaveBy(d *time.Duration) {
	if x.r.phase == canceled {
		*d = min(*d, time.Duration(x.r.at-x.now)+x.r.took)
	}
}

// gone reports whether the client has left.
func (x *exchange) gone() bool { return x.r.phase == canceled && x.now >= x.r.at+int64(x.r.took) }

// failed closes an attempt that has brought no content.
func (x *exchange) failed(a *routing.Attempt, f *fate) {
	if x.gone() {
		a.Report(routing.Result{Verdict: routing.Neutral})
		x.end(canceled)
		return
	}
	res := routing.Result{Verdict: f.Verdict, RetryAfter: f.retryAfter, Reason: x.t.outcomes.text(f.outcome)}
	a.Report(res)
	if !f.Fallback && !(!x.s.Providers[a.Provider].Native && x.route.OnlyNative()) {
		x.end(failed)
		return
	}
	wait, _ := x.route.Again(a, res)
	x.after(wait, x.next)
}

// stream lets an answer come, that began at a time, up to its end or to where it
// breaks.
func (x *exchange) stream(a *routing.Attempt, f *fate, began int64) {
	elapsed := time.Duration(x.now - began)
	switch {
	case x.gone():
		x.charge(a, x.r.tokens.output)
		a.Report(routing.Result{Verdict: routing.Neutral, Reading: f.reading(x.r.stream, elapsed), Committed: elapsed >= f.ttft})
		x.end(canceled)
		return
	case elapsed >= f.took && x.r.phase != canceled: // what a client has left, it did not see the end of
		x.done(a, f)
		return
	}
	if x.out.ttft == 0 && x.r.stream && f.ttft > 0 && elapsed >= f.ttft {
		x.out.ttft = time.Duration(x.now - x.r.at)
		x.route.Settle()
	}
	if x.r.stream && elapsed > 0 {
		a.Observe(x.time(x.s.Zone), f.reading(true, elapsed))
	}
	wait := f.took - elapsed
	switch {
	case x.r.stream && elapsed < f.ttft:
		wait = f.ttft - elapsed
	case elapsed >= f.took:
		wait = longest
	case x.r.stream:
		wait = min(wait, max(tick, f.took/mostTicks))
	}
	x.leaveBy(&wait)
	x.after(wait, func() { x.stream(a, f, began) })
}

// done closes an attempt that has brought content.
func (x *exchange) done(a *routing.Attempt, f *fate) {
	reading := f.reading(x.r.stream, f.took)
	x.charge(a, f.tokens)
	if f.Verdict != routing.Good {
		a.Report(routing.Result{Verdict: f.Verdict, RetryAfter: f.retryAfter, Reason: x.t.outcomes.text(f.outcome), Committed: true, Reading: reading})
		x.end(failed)
		return
	}
	a.Report(routing.Result{Verdict: routing.Good, Reading: reading, Output: int64(f.tokens)})
	x.end(answered)
}

// charge books an answer of so many tokens.
func (x *exchange) charge(a *routing.Attempt, output int32) {
	k := x.r.tokens
	k.output = output
	k = x.cached(k, x.out.upstream)
	x.out.tokens = k
	full := k.full()
	if !full.Any() {
		return
	}
	rates, included := x.s.Rates(a.Provider, a.Model, x.logins[a.Provider])
	switch {
	case included:
		x.out.included = true
	case rates == nil:
		x.out.unpriced = true
	default:
		cost := rates.Cost(full)
		x.out.cost += cost
		x.spent.Add(cost, ledger.Accounts(a.Provider, "")...)
	}
}

// cached splits the prompt into what is read from the upstream's cache and what
// is written to it. As much can be cached as the log shows. Where the log has
// the turn at the same upstream, and its cache was as warm there, the split is
// the log's.
func (x *exchange) cached(k tokens, u int32) tokens {
	if x.r.talk.session == 0 {
		return k
	}
	key := cacheKey{x.r.talk, u}
	c, known := x.caches[key]
	warm := known && time.Duration(x.now-c.used) <= c.ttl
	ttl := cacheTTL
	if k.cacheWrite1h > 0 || c.ttl == longCacheTTL {
		ttl = longCacheTTL
	}
	x.caches[key] = cache{k.prompt(), x.now, ttl}
	same := x.r.tried > 0 && x.t.attempts[x.r.first+int(x.r.tried)-1].upstream == u
	if same && warm == (k.cacheRead > 0) {
		return k
	}
	cacheable := k.cacheRead + k.cacheWrite
	k.cacheRead = 0
	if warm {
		k.cacheRead = min(c.prompt, cacheable)
	}
	k.cacheWrite = cacheable - k.cacheRead
	k.cacheWrite1h = 0
	if ttl == longCacheTTL {
		k.cacheWrite1h = k.cacheWrite
	}
	return k
}

// end closes the request.
func (x *exchange) end(how phase) {
	x.out.phase = how
	x.out.took = time.Duration(x.now - x.r.at)
	if x.r.talk.session != 0 {
		x.spoke[x.r.talk] = x.now
	}
}
