package metrics

import (
	"slices"
	"sync"
	"time"
)

const (
	// A speed measured over less than this says nothing.
	minSpeedTokens = 16
	minSpeedTime   = 150 * time.Millisecond
)

// Outcomes of an attempt beside the failure classes that AttemptRecord lists.
const (
	OutcomeOK       = "ok"
	OutcomeCanceled = "canceled"
)

// Request is a request while it is being served. Its methods are called by the
// goroutine that serves it; Record by anyone.
type Request struct {
	rec *Recorder
	mu  sync.Mutex
	r   RequestRecord
	cur *Attempt // running
}

// Begin records that a request has come. r.Time is filled in where absent.
func (r *Recorder) Begin(first RequestRecord) *Request {
	if first.Time.IsZero() {
		first.Time = r.now()
	}
	first.Phase = PhaseWaiting
	q := &Request{rec: r, r: first}
	r.mu.Lock()
	r.live = append(r.live, q)
	r.mu.Unlock()
	r.gen.Add(1)
	return q
}

// Decide records how the request's candidates were chosen.
func (q *Request) Decide(d Decision) {
	q.mu.Lock()
	defer q.mu.Unlock()
	d.Attempts = q.r.Decision.Attempts
	q.r.Decision = d
}

// Commit records that the answer has begun to reach the client.
func (q *Request) Commit(status int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.r.Phase, q.r.Status = PhaseStreaming, status
	q.rec.gen.Add(1)
}

// Charge adds what an attempt has cost, in dollars.
func (q *Request) Charge(usd float64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.r.Cost += usd
}

// End records the outcome and returns the finished record. phase is ok, failed
// or canceled; status is what the client got, 0 for none; err is "" when all
// went well.
func (q *Request) End(phase Phase, status int, err string) RequestRecord {
	q.mu.Lock()
	now := q.rec.now()
	q.r.Phase, q.r.Error = phase, err
	if status != 0 {
		q.r.Status = status
	}
	q.r.Duration = now.Sub(q.r.Time)
	rec := q.recordLocked(now)
	q.mu.Unlock()
	q.rec.finish(q, rec)
	return rec
}

// Record returns the request as it stands.
func (q *Request) Record() RequestRecord {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.recordLocked(q.rec.now())
}

func (q *Request) recordLocked(now time.Time) RequestRecord {
	rec := q.r
	rec.Decision.Attempts = slices.Clone(q.r.Decision.Attempts)
	if !rec.Phase.Done() {
		rec.Duration = now.Sub(rec.Time)
	}
	n := len(rec.Decision.Attempts)
	if n == 0 {
		return rec
	}
	last := &rec.Decision.Attempts[n-1]
	if q.cur != nil {
		q.cur.fillLocked(last, now)
	}
	rec.TPS, rec.Tokens = last.TPS, last.Tokens
	if last.TTFT > 0 {
		rec.TTFT = last.Start.Add(last.TTFT).Sub(rec.Time)
	}
	return rec
}

// Attempt is one exchange with one upstream while it runs. Its methods are
// called by the goroutine that serves its request.
type Attempt struct {
	q     *Request
	p     *provider
	index int // in the request's attempts
	model string

	// Guarded by q.mu.
	start, genStart, genEnd time.Time
	generating              bool
	ttft                    time.Duration
	text                    int     // bytes of generated text seen
	hidden                  bool    // some generation was not shown
	silent                  bool    // the open block does not show its generation: silence says nothing
	perToken                float64 // bytes per token, as known at the start
	credited                float64 // tokens that the provider's meter has got
	usage                   Tokens
	// reported is set once usage.Output is the upstream's count. What a
	// message_start says of it is provisional, also when content came in the
	// same read.
	reported bool
}

// Attempt records that the upstream is being asked.
func (q *Request) Attempt(provider, model string) *Attempt {
	now := q.rec.now()
	p := q.rec.lookup(provider)
	p.mu.Lock()
	p.inFlight++
	perToken := p.densityLocked(model).bytesPerToken
	p.mu.Unlock()

	q.mu.Lock()
	defer q.mu.Unlock()
	a := &Attempt{q: q, p: p, index: len(q.r.Decision.Attempts), model: model, start: now, perToken: perToken}
	q.r.Decision.Attempts = append(q.r.Decision.Attempts, AttemptRecord{Provider: provider, Model: model, Start: now})
	q.cur = a
	q.rec.gen.Add(1)
	return a
}

// Progress is what one frame of an answer tells the meters.
type Progress struct {
	At         time.Time
	Text       int     // bytes of generated text in it
	Content    bool    // it brought the content of a stream; a non-stream body has no time to first token
	Generating bool    // generation has begun and its last block has not stopped
	Hidden     bool    // what is being generated is not shown
	Usage      *Tokens // the running total, nil for no news; not kept
	Final      bool    // the answer is complete
}

// Progress records a frame. It takes about 100 ns and allocates nothing.
func (a *Attempt) Progress(f Progress) {
	q := a.q
	q.mu.Lock()
	if u := f.Usage; u != nil {
		a.usage = *u
		a.reported = a.reported || !a.genStart.IsZero() || f.Final
	}
	if (f.Content || f.Generating) && a.ttft == 0 {
		a.ttft = max(f.At.Sub(a.start), 1)
	}
	if f.Generating && a.genStart.IsZero() {
		a.genStart = f.At
	}
	if f.Generating || a.generating {
		a.genEnd = f.At
	}
	a.generating = f.Generating
	a.hidden = a.hidden || f.Hidden
	a.silent = f.Hidden
	a.text += f.Text
	tokens := float64(f.Text) / a.perToken
	a.credited += tokens
	q.mu.Unlock()

	if tokens > 0 {
		a.p.mu.Lock()
		a.p.flow.add(f.At.Sub(q.rec.started), tokens)
		a.p.mu.Unlock()
	}
	q.rec.gen.Add(1)
}

// Result is how an attempt ended.
type Result struct {
	Outcome string // see AttemptRecord
	Status  int    // the upstream's, 0 = none came
	Reason  string // the failure in words
}

// Fail reports whether the outcome is held against the upstream.
func (r Result) fail() bool {
	return r.Outcome != OutcomeOK && r.Outcome != OutcomeCanceled && r.Outcome != "invalid_request"
}

// End records the attempt's outcome and returns its finished record. It must
// be called exactly once.
func (a *Attempt) End(res Result) AttemptRecord {
	q := a.q
	now := q.rec.now()
	q.mu.Lock()
	rec := &q.r.Decision.Attempts[a.index]
	a.fillLocked(rec, now)
	rec.Outcome, rec.Status, rec.Reason = res.Outcome, res.Status, res.Reason
	out := *rec
	if q.cur == a {
		q.cur = nil
	}
	q.mu.Unlock()
	a.settle(res, out, now)
	q.rec.gen.Add(1)
	return out
}

// settle gives the provider's meters the final numbers.
func (a *Attempt) settle(res Result, out AttemptRecord, now time.Time) {
	since := func(t time.Time) time.Duration { return t.Sub(a.q.rec.started) }
	p := a.p
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inFlight--
	if a.ttft > 0 {
		p.ttft.add(a.ttft)
	}
	if a.reported {
		from, to := a.genStart, a.genEnd
		if from.IsZero() {
			from, to = a.start, now
		}
		p.flow.spread(since(from), since(to), float64(out.Tokens.Output)-a.credited)
		if !a.hidden && out.Tokens.Output >= minSpeedTokens && a.text > 0 {
			p.densityLocked(a.model).learn(float64(a.text), float64(out.Tokens.Output))
		}
	}
	switch {
	case res.Outcome == OutcomeOK:
		p.ok++
		p.share.add(since(now), 1)
	case res.fail():
		p.failed++
		p.lastError, p.lastErrorAt = res.Reason, now
	}
}

// fillLocked writes what is known by now into rec.
func (a *Attempt) fillLocked(rec *AttemptRecord, now time.Time) {
	rec.Duration, rec.TTFT, rec.Tokens = now.Sub(a.start), a.ttft, a.usage
	if estimate := int64(float64(a.text) / a.perToken); !a.reported && estimate > rec.Tokens.Output {
		rec.Tokens.Output, rec.Tokens.Estimated = estimate, true
	}
	end := a.genEnd
	if a.q.cur == a && a.generating && !a.silent {
		end = now // a stall lowers the speed while it lasts
	}
	// Hidden generation shows in the total alone: before that there is no speed.
	if d := end.Sub(a.genStart); d >= minSpeedTime && rec.Tokens.Output >= minSpeedTokens && (a.reported || !a.hidden) {
		rec.TPS = float64(rec.Tokens.Output) / d.Seconds()
	}
}
