package replay

import (
	"cmp"
	"hash/maphash"
	"slices"
	"time"

	"anyproxy/metrics"
)

// Trace is the traffic of one or more request logs. With its replay it takes
// under 1 KB for a request, however large its body was.
type Trace struct {
	Reading   Reading
	requests  []request
	attempts  []attempt
	names     names
	outcomes  names
	upstreams upstreams
	seed      maphash.Seed
}

// New returns an empty Trace.
func New() *Trace { return &Trace{seed: maphash.MakeSeed()} }

// Requests is how many there are.
func (t *Trace) Requests() int { return len(t.requests) }

// From and To are when the first request came and the last one.
func (t *Trace) From() time.Time { return time.Unix(0, t.requests[0].at) }
func (t *Trace) To() time.Time   { return time.Unix(0, t.requests[len(t.requests)-1].at) }

// phase is how a request ended.
type phase uint8

const (
	answered phase = iota
	failed
	canceled // its client left
)

// request is one of the log. Names are numbers in Trace.names.
type request struct {
	at     int64  // when it came, Unix nanoseconds
	id     uint64 // hash
	took   time.Duration
	ttft   time.Duration // 0 = not known
	first  int           // its attempts are attempts[first:first+tried]
	tried  int32
	talk   talk
	forced name // the provider that it must go to
	phase  phase
	stream bool
	// guessed is set where the log does not have its tokens.
	guessed bool
	tokens  tokens // of the answering attempt
}

// talk is whose turn a request is: with one prompt cache, bound to one upstream.
type talk struct{ session, agent, model name }

// tokens are metrics.Tokens, small.
type tokens struct{ input, output, cacheRead, cacheWrite, cacheWrite1h, searches int32 }

func (t tokens) prompt() int32 { return t.input + t.cacheRead + t.cacheWrite }

func (t tokens) full() metrics.Tokens {
	return metrics.Tokens{Input: int64(t.input), Output: int64(t.output), CacheRead: int64(t.cacheRead),
		CacheWrite: int64(t.cacheWrite), CacheWrite1h: int64(t.cacheWrite1h), Searches: int64(t.searches)}
}

// attempt is one exchange with one upstream.
type attempt struct {
	start      int64 // Unix nanoseconds
	took, ttft time.Duration
	retryAfter time.Duration
	tps        float64 // 0 = not known
	cost       float64
	upstream   int32 // in Trace.upstreams
	outcome    name  // in Trace.outcomes
	tokens     tokens
	unpriced   bool
	included   bool
}

// end is when it ended.
func (a *attempt) end() int64 { return a.start + int64(a.took) }

// name is the number of a name. 0 is "".
type name uint32

// names gives names numbers.
type names struct {
	all    []string
	number map[string]name
}

func (n *names) of(s string) name {
	if s == "" {
		return 0
	}
	if i, ok := n.number[s]; ok {
		return i
	}
	if n.number == nil {
		n.number, n.all = map[string]name{}, []string{""}
	}
	i := name(len(n.all))
	n.all = append(n.all, s)
	n.number[s] = i
	return i
}

func (n *names) text(i name) string {
	if i == 0 {
		return ""
	}
	return n.all[i]
}

// Upstream is a model of a provider.
type Upstream struct {
	Provider string `json:"provider"`
	Model    string `json:"model"` // the upstream's name
}

// upstreams gives them numbers.
type upstreams struct {
	all    []Upstream
	number map[Upstream]int32
}

func (u *upstreams) of(provider, model string) int32 {
	key := Upstream{provider, model}
	if i, ok := u.number[key]; ok {
		return i
	}
	if u.number == nil {
		u.number = map[Upstream]int32{}
	}
	i := int32(len(u.all))
	u.all = append(u.all, key)
	u.number[key] = i
	return i
}

// invalid is the outcome of a request that was at fault itself.
const invalid = "invalid_request"

// add takes a request.
func (t *Trace) add(l *line) {
	r := request{at: l.at.UnixNano(), id: maphash.String(t.seed, l.id), took: l.took, ttft: l.ttft, first: len(t.attempts),
		talk:   talk{t.names.of(l.session), t.names.of(l.agent), t.names.of(l.model)},
		forced: t.names.of(l.forced), phase: failed, stream: l.stream}
	switch {
	case l.ok:
		r.phase = answered
	case l.canceled:
		r.phase = canceled
	}
	for i := range l.attempts {
		a := &l.attempts[i]
		if a.Outcome == "" || i+1 < len(l.attempts) && a.Outcome == invalid && a.Provider == l.attempts[i+1].Provider && a.Model == l.attempts[i+1].Model {
			continue // it was asked again with what it had not taken left out
		}
		if a.Outcome != metrics.OutcomeOK && i+1 < len(l.attempts) {
			a.TTFT = 0 // the client saw nothing of it
		}
		t.attempts = append(t.attempts, t.attempt(a))
		r.tried++
	}
	if r.tried > 0 {
		r.tokens = t.attempts[len(t.attempts)-1].tokens
	}
	t.requests = append(t.requests, r)
}

func (t *Trace) attempt(a *metrics.AttemptRecord) attempt {
	k := &a.Tokens
	return attempt{start: a.Start.UnixNano(), took: a.Duration, ttft: min(a.TTFT, a.Duration), tps: a.TPS, cost: a.Cost, unpriced: a.Unpriced, included: a.Included,
		retryAfter: retryAfter(a.Reason), upstream: t.upstreams.of(a.Provider, a.Model), outcome: t.outcomes.of(a.Outcome),
		tokens: tokens{int32(k.Input), int32(k.Output), int32(k.CacheRead), int32(k.CacheWrite), int32(k.CacheWrite1h), int32(k.Searches)}}
}

// tries are the attempts of a request.
func (t *Trace) tries(r *request) []attempt { return t.attempts[r.first : r.first+int(r.tried)] }

// Settle puts what was read in order, once all is read: requests by the time at
// which they came, each once.
func (t *Trace) Settle() {
	slices.SortStableFunc(t.requests, func(a, b request) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.id, b.id)) })
	n := len(t.requests)
	t.requests = slices.CompactFunc(t.requests, func(a, b request) bool { return a.at == b.at && a.id == b.id })
	t.Reading.Twice += int64(n - len(t.requests))
	t.guess()
}

// unknownOutput is how many tokens an answer is taken to have where nothing tells:
// as the router takes it (proxy/routing).
const unknownOutput = 300

// guess gives requests that were not answered the tokens that they would have
// had: those of the turn before, else the mean of the model.
func (t *Trace) guess() {
	type sum struct{ n, input, output, read, write int64 }
	means := map[name]*sum{}
	for i := range t.requests {
		r := &t.requests[i]
		if r.phase != answered || r.tokens.output == 0 {
			continue
		}
		s := means[r.talk.model]
		if s == nil {
			s = &sum{}
			means[r.talk.model] = s
		}
		k := &r.tokens
		s.n, s.input, s.output, s.read, s.write = s.n+1, s.input+int64(k.input), s.output+int64(k.output), s.read+int64(k.cacheRead), s.write+int64(k.cacheWrite)
	}
	before := map[talk]tokens{}
	for i := range t.requests {
		r := &t.requests[i]
		if r.phase == answered && r.tokens.output > 0 {
			if r.talk.session != 0 {
				before[r.talk] = r.tokens
			}
			continue
		}
		if r.phase == canceled {
			continue
		}
		r.guessed = true
		if k, ok := before[r.talk]; ok {
			r.tokens = k
		} else if s := means[r.talk.model]; s != nil {
			r.tokens = tokens{input: int32(s.input / s.n), output: int32(s.output / s.n), cacheRead: int32(s.read / s.n), cacheWrite: int32(s.write / s.n)}
		} else {
			r.tokens = tokens{output: unknownOutput}
		}
	}
}
