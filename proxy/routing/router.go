package routing

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"anyproxy/metrics"
)

// Options of a Router.
type Options struct {
	Policy        Policy
	Threshold     float64       // tokens/s under which a target is avoided; 0 = off
	PriceExponent float64       // how much a lower price counts; 0 = not at all
	Affinity      time.Duration // how long an unused session stays bound
	Switchback    time.Duration // how long a failed upstream must be well before sessions return
	Retry         Retry
	Cooldown      time.Duration       // first pause of an upstream that named none
	MaxRetryAfter time.Duration       // longest pause that an upstream may name
	Tell          func(metrics.Event) // gets what happens, from several goroutines; nil = nobody listens
	Now           func() time.Time    // default time.Now
	Draw          func() float64      // uniform in [0,1), from several goroutines; default math/rand/v2
}

// Policy is how the candidates of one tier are ordered.
type Policy uint8

const (
	Weighted Policy = iota // by a weighted random draw
	Priority               // strictly by weight; sessions are not bound
)

// credentialCooldown is how long a provider whose key was refused is left alone.
const credentialCooldown = time.Minute

// fieldsKept bounds what is kept for models that clients ask for.
const fieldsKept = 1024

// Router chooses among fixed targets. What it learnt about upstreams is in a
// State, which may be handed on to the Router of the next configuration.
type Router struct {
	targets []Target
	o       Options
	state   *State

	mu     sync.Mutex
	fields map[string]*field // by asked model
}

// New returns a Router over targets that goes on from state.
func New(targets []Target, state *State, o Options) *Router {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Draw == nil {
		o.Draw = rand.Float64
	}
	return &Router{targets: targets, o: o, state: state, fields: map[string]*field{}}
}

// field returns the candidates for the asked model.
func (r *Router) field(asked string, now time.Time) *field {
	epoch := r.state.epoch.Load()
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.fields[asked]; f != nil && f.epoch == epoch {
		return f
	}
	if len(r.fields) >= fieldsKept {
		clear(r.fields)
	}
	f := r.newField(asked, now)
	f.epoch = epoch
	r.fields[asked] = f
	return f
}

func (r *Router) newField(asked string, now time.Time) *field {
	found, alias := candidates(r.targets, asked)
	f := &field{alias: alias, entries: make([]entry, len(found)), read: make([]evidence, len(found))}
	name := alias
	if name == "" {
		name = asked
	}
	if f.answers = new(answers); len(found) > 0 { // of what nobody serves nothing is kept: it is a client's word
		f.answers = r.state.answers(name)
	}
	f.binds = name
	if slices.ContainsFunc(found, func(t *Target) bool { return t.Model == "" }) {
		f.binds = name + "\x00" + asked // each asked model has a prompt cache of its own
	}
	f.lowest = math.MaxInt
	for i, t := range found {
		f.lowest = min(f.lowest, t.Tier)
		model := t.upstreamModel(asked)
		key := upstreamKey{accountKey{t.Provider, t.Endpoint}, model}
		f.entries[i] = entry{Target: t, model: model, upstream: r.state.upstream(key, now)}
		if t.Price != nil {
			f.entries[i].price = t.Price(model)
		}
	}
	return f
}

func (r *Router) tell(events ...metrics.Event) {
	if r.o.Tell == nil {
		return
	}
	for _, e := range events {
		r.o.Tell(e)
	}
}

// Query is what a request asks for.
type Query struct {
	Model    string
	Provider string // the only provider to use, "" = any
	// Skip says why a provider must not be asked, "" = it may be; nil = all may.
	Skip    func(provider string) string
	Request string // its id, for events
	// Stream is set when the answer shows when its content begins: until then its
	// age tells of the wait.
	Stream  bool
	Session string // "" = it belongs to none
	Agent   string // which of the session's agents asks, "" = its main one
	// Fresh is set when a person has spoken: the turn is no answer to a tool call.
	Fresh bool
	Need  Need
	// Look gives Need and Fresh at the price of a closer look at the request,
	// which is taken only where they matter; nil = they are right as they stand.
	Look func() Look

	lenient bool // nobody has what the request needs: all may be asked
}

// Look is what a closer look at a request finds.
type Look struct {
	Need  Need
	Fresh bool
}

// Need is what a request asks of a target.
type Need struct {
	Needs
	Tokens int // estimated, of input
}

// lastTier comes behind every configured one.
const lastTier = 1 << 20

// examine takes a closer look where a target may be too small for the request or
// lack something that only shows in it, or where a session is away from home.
func (q *Query) examine(entries []entry, away bool) {
	for i := range entries {
		t := entries[i].Target
		away = away || t.Lacks.Images || t.Lacks.PDF || t.Context > 0 && q.Need.Tokens > t.Context
	}
	if away && q.Look != nil {
		look := q.Look()
		q.Need, q.Fresh = look.Need, look.Fresh
	}
}

// asks reports whether the target may be asked.
func (q *Query) asks(t *Target) bool {
	return q.admits(t) && (q.lenient || q.unfit(t) == "")
}

// admits reports whether nothing but what the target has speaks against it.
func (q *Query) admits(t *Target) bool {
	return (q.Provider == "" || q.Provider == t.Provider) && (q.Skip == nil || q.Skip(t.Provider) == "")
}

// unfit says why the target cannot serve the request, "" when it can.
func (q *Query) unfit(t *Target) string {
	switch {
	case t.Context > 0 && q.Need.Tokens > t.Context:
		return "context too small"
	case q.Need.Images && t.Lacks.Images:
		return "no images"
	case q.Need.PDF && t.Lacks.PDF:
		return "no PDF"
	case q.Need.Tools && t.Lacks.Tools:
		return "no tools"
	}
	return ""
}

// behind reports whether the target can serve the request, but worse than any
// other. Claude Code asks for thinking always: an answer without is better than
// none.
func (q *Query) behind(t *Target) bool {
	return !q.lenient && q.Need.Thinking && t.Lacks.Thinking
}

// skipped says why the target is not asked, "" when it is.
func (q *Query) skipped(t *Target) string {
	if q.Skip != nil {
		if why := q.Skip(t.Provider); why != "" {
			return why
		}
	}
	if q.lenient {
		return ""
	}
	return q.unfit(t)
}

// settle finds out whether anybody has what the request needs. What is known
// of that is an estimate and never refuses: where nobody has it, all stay in,
// and the upstream speaks.
func (q *Query) settle(entries []entry) {
	q.lenient = true
	for i := range entries {
		if t := entries[i].Target; q.admits(t) && q.unfit(t) == "" {
			q.lenient = false
			return
		}
	}
}

// Route orders the candidates for q.
func (r *Router) Route(q Query) *Route {
	now := r.o.Now()
	f := r.field(q.Model, now)
	route := &Route{r: r, f: f, q: q, Decision: metrics.Decision{Alias: f.alias, Forced: q.Provider}}
	route.q.examine(f.entries, route.recall(now))
	route.q.settle(f.entries)
	var room [8]place
	f.mu.Lock()
	news := f.refreshLocked(r, now)
	first, avoid := route.bindLocked(now)
	places := f.drawLocked(r, &route.q, now, avoid, room[:0])
	route.lineUpLocked(places, first)
	f.mu.Unlock()
	route.settleMove(now)
	r.tell(news...)
	return route
}

// readyIn is how long it takes until the first of the entries that may be asked
// is ready, 0 when one is.
func (f *field) readyIn(q *Query, now time.Time) time.Duration {
	soonest := time.Duration(math.MaxInt64)
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.entries {
		if e := &f.entries[i]; q.asks(e.Target) {
			soonest = min(soonest, max(e.upstream.readyAt(now).Sub(now), 0))
		}
	}
	if soonest == math.MaxInt64 {
		return 0
	}
	return soonest
}
