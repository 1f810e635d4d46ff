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
	// readingEvery is how often a stream's Reading is due while nothing special happens.
	readingEvery = 250 * time.Millisecond
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

// Worked records what the proxy itself took, see RequestRecord.Overhead.
func (q *Request) Worked(d time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.r.Overhead = max(d, 0)
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
	if len(q.rec.observers) > 0 {
		q.rec.requestEnded(rec)
	}
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
	if q.cur != nil {
		rec.charge(last)
	}
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
	text                    int           // bytes of generated text seen
	hidden                  bool          // some generation was not shown
	silent                  bool          // what comes next tells of time that was not shown
	quiet                   bool          // silence says nothing about speed
	opaque                  bool          // neither wait nor speed can be measured
	shown                   float64       // tokens generated in sight
	shownTime               time.Duration // of that
	read                    time.Time     // when a Reading was due last
	perToken                float64       // bytes per token, as known at the start
	credited                float64       // tokens that the provider's meter has got
	usage                   Tokens
	rates                   *Rates // nil = not known
	included                bool
	prompt                  int64 // about how many tokens were sent; 0 = not known
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

// Price says what the attempt's tokens cost, nil = not known; included, that
// they cost nothing: a subscription pays for them. It must be called before
// there are any.
func (a *Attempt) Price(rates *Rates, included bool) {
	a.q.mu.Lock()
	defer a.q.mu.Unlock()
	a.rates, a.included = rates, included
}

// Expect says about how many tokens were sent. That counts where the upstream has
// answered and not said it: some say it only at the end, and some never. It must
// be called before there is an answer.
func (a *Attempt) Expect(prompt int64) {
	a.q.mu.Lock()
	defer a.q.mu.Unlock()
	a.prompt = prompt
}

// Progress is what one frame of an answer tells the meters.
type Progress struct {
	At         time.Time
	Text       int     // bytes of generated text in it
	Content    bool    // it brought the content of a stream; a non-stream body has no time to first token
	Generating bool    // generation has begun and its last block has not stopped
	Hidden     bool    // what is being generated is not shown
	Quiet      bool    // what is being generated comes in pieces of any size: silence is not slowness
	Opaque     bool    // something may have been generated before the first content, at an unknown time
	Usage      *Tokens // the running total, nil for no news; not kept
	Final      bool    // the answer is complete
	// Began is when the generation of an answer that comes in one piece is taken
	// to have begun; zero = not known, or not such an answer.
	Began time.Time
}

// Reading is what an attempt has measured so far. Its speed is Tokens over
// Time: the same figure in the record, on the screen, in the request log and
// in the choice of upstreams.
type Reading struct {
	TTFT   time.Duration // 0 = none yet, or it cannot be measured
	Tokens float64       // generated; an estimate from bytes until the upstream has reported them
	Time   time.Duration // it took; 0 = too little to say anything
	Live   bool          // generation goes on in sight: from here on silence is slowness
}

// Rate is tokens per second, 0 when not known.
func (r Reading) Rate() float64 {
	if r.Time <= 0 {
		return 0
	}
	return r.Tokens / r.Time.Seconds()
}

// Progress records a frame. It takes about 100 ns and allocates nothing. due
// says that the reading brings news worth passing on: every readingEvery, and
// whenever the wait ends, tokens are reported or the answer is complete.
func (a *Attempt) Progress(f Progress) (r Reading, due bool) {
	q := a.q
	q.mu.Lock()
	due = a.take(&f)
	tokens := float64(f.Text) / a.perToken
	a.measureLocked(&f, tokens)
	a.text += f.Text
	a.credited += tokens
	if due = due || f.At.Sub(a.read) >= readingEvery; due {
		a.read = f.At
		r = a.readingLocked(f.At)
	}
	q.mu.Unlock()

	if tokens > 0 {
		a.p.mu.Lock()
		a.p.flow.add(f.At.Sub(q.rec.started), tokens)
		a.p.mu.Unlock()
	}
	q.rec.gen.Add(1)
	return r, due
}

// take notes what the frame says of waiting and of tokens, and reports whether
// that is news.
func (a *Attempt) take(f *Progress) (news bool) {
	a.opaque = a.opaque || f.Opaque
	if u := f.Usage; u != nil {
		a.usage = *u
		a.reported = a.reported || !a.genStart.IsZero() || f.Final
		news = a.reported
	}
	if (f.Content || f.Generating) && a.ttft == 0 {
		a.ttft = max(f.At.Sub(a.start), 1)
		news = true
	}
	return news || f.Final
}

// measureLocked follows the generation. The time since the last frame counts,
// with what this one brings, if that was generated in sight.
func (a *Attempt) measureLocked(f *Progress, tokens float64) {
	switch {
	case !f.Began.IsZero():
		a.genStart, a.genEnd = f.Began, f.At
	case a.genStart.IsZero() && f.Generating:
		a.genStart = f.At
		a.shown += tokens
	case !a.silent:
		a.shown += tokens
		if a.generating {
			a.shownTime += f.At.Sub(a.genEnd)
		}
	}
	if f.Generating || a.generating {
		a.genEnd = f.At
	}
	a.generating = f.Generating
	a.hidden = a.hidden || f.Hidden
	a.silent = f.Hidden
	a.quiet = f.Hidden || f.Quiet
}

// readingLocked is what has been measured by now. Hidden generation shows in
// the total that the upstream reports; before that only what is in sight counts.
func (a *Attempt) readingLocked(now time.Time) Reading {
	if a.opaque {
		return Reading{}
	}
	live := a.q.cur == a && a.generating && !a.quiet
	r := Reading{TTFT: a.ttft, Live: live, Tokens: a.shown, Time: a.shownTime}
	if a.reported {
		r.Tokens, r.Time = float64(a.usage.Output), a.genEnd.Sub(a.genStart)
	}
	if live {
		r.Time += now.Sub(a.genEnd) // a stall lowers the speed while it lasts
	}
	if r.Tokens < minSpeedTokens || r.Time < minSpeedTime || a.genStart.IsZero() {
		r.Tokens, r.Time = 0, 0
	}
	return r
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

// End records the attempt's outcome and returns its finished record with the
// last reading. It must be called exactly once.
func (a *Attempt) End(res Result) (AttemptRecord, Reading) {
	q := a.q
	now := q.rec.now()
	q.mu.Lock()
	rec := &q.r.Decision.Attempts[a.index]
	a.fillLocked(rec, now)
	reading := a.readingLocked(now)
	rec.Outcome, rec.Status, rec.Reason = res.Outcome, res.Status, res.Reason
	q.r.charge(rec)
	out := *rec
	if q.cur == a {
		q.cur = nil
	}
	q.mu.Unlock()
	a.settle(res, out, now)
	q.rec.gen.Add(1)
	if len(q.rec.observers) > 0 {
		r := q.Record()
		q.rec.attemptEnded(&r, a.index+1, out)
	}
	reading.Live = false
	return out, reading
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
	if a.text > 0 && a.prompt > 0 && rec.Tokens.Prompt() == 0 {
		rec.Tokens.Input, rec.Tokens.PromptEstimated = a.prompt, true
	}
	rec.TPS = a.readingLocked(now).Rate()
	switch {
	case a.included:
		rec.Included = rec.Tokens.Any()
	case a.rates != nil:
		rec.Cost = a.rates.Cost(rec.Tokens)
	default:
		rec.Unpriced = rec.Tokens.Any()
	}
}

// charge adds what an attempt costs.
func (r *RequestRecord) charge(a *AttemptRecord) {
	r.Cost += a.Cost
	r.Unpriced, r.Included = r.Unpriced || a.Unpriced, a.Included
}
