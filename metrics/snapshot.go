package metrics

import "time"

// Snapshot is everything that can be seen from outside at one moment. It is a
// deep copy: whoever holds it may keep it and read it without a lock.
type Snapshot struct {
	At      time.Time `json:"at"`
	Started time.Time `json:"started"`
	Version string    `json:"version"`
	Listen  string    `json:"listen"` // host:port that is served
	Config  string    `json:"config"` // the file's path, or what stands in for one
	// ConfigAt is when the running configuration was applied.
	ConfigAt time.Time `json:"config_at"`
	Watching bool      `json:"watching"` // the file is watched for changes
	Reloads  Reloads   `json:"reloads"`
	// Review is the newest change of the file that is not the running
	// configuration, nil when there is none. It is shared, as it never changes.
	Review *Review `json:"review,omitempty"`
	// Generation changes when anything but At has changed since an earlier Snapshot.
	Generation uint64 `json:"generation"`

	TPS      float64 `json:"tps"`       // tokens per second of all streams now
	InFlight int     `json:"in_flight"` // requests being served
	OK       int64   `json:"ok"`        // requests answered completely
	Failed   int64   `json:"failed"`    // requests that ended in an error the client saw
	Canceled int64   `json:"canceled"`  // requests whose client left
	Saved    int64   `json:"saved"`     // requests answered after a fallback

	Providers []ProviderView  `json:"providers"` // in the order of the config
	Requests  []RequestRecord `json:"requests"`  // those in flight, newest first, then the finished, newest first
	Events    []Event         `json:"events"`    // those with Seq > since, oldest first
	// EventsLost counts the events after since that the ring has overwritten.
	EventsLost uint64 `json:"events_lost"`
	// EventsDropped counts events of single requests that came too fast to be kept.
	EventsDropped uint64 `json:"events_dropped"`
	// LogDropped counts request log lines that could not be written.
	LogDropped int64 `json:"log_dropped"`
	// Panics counts those that cost a part of the program or a request.
	Panics   int64 `json:"panics"`
	Draining bool  `json:"draining"`

	Spend *Spend `json:"spend,omitempty"` // nil = nothing has a price
}

// State of a provider, as a person sees it.
type State string

const (
	StateReady    State = "ready"
	StateCooling  State = "cooling"   // left out until RetryAt
	StatePartly   State = "partly"    // some of its models are left out until RetryAt, others are not
	StateHalfOpen State = "half-open" // its pause is over, no request has succeeded yet
	StateAuth     State = "auth"      // its key was refused; left out until RetryAt
	StateHeld     State = "held"      // left out because a person says so, until the same says otherwise
)

// Available reports whether a provider in this state may be asked for something.
func (s State) Available() bool {
	return s == StateReady || s == StatePartly || s == StateHalfOpen
}

// HistoryLen is the number of one-second samples of ProviderView.History.
const HistoryLen = 300

// ProviderView is one provider at one moment.
type ProviderView struct {
	Name     string    `json:"name"`
	Type     string    `json:"type"`
	Endpoint string    `json:"endpoint"`
	State    State     `json:"state"`
	RetryAt  time.Time `json:"retry_at,omitzero"` // when a cooling provider is asked again
	// TPS is what all its streams bring together now. Tokens of running streams
	// are estimated from bytes until the upstream has reported them.
	TPS float64 `json:"tps"`
	// History holds tokens per second, one sample a second, oldest first,
	// always HistoryLen long; the last one is the last whole second.
	History  []float32     `json:"history"`
	TTFTp50  time.Duration `json:"ttft_p50"` // of the last 128 attempts with content; 0 = none yet
	TTFTp95  time.Duration `json:"ttft_p95"`
	InFlight int           `json:"in_flight"` // attempts
	OK       int64         `json:"ok"`        // attempts answered completely
	Failed   int64         `json:"failed"`    // attempts failed
	Weight   float64       `json:"weight"`    // of its heaviest model entry
	Tier     int           `json:"tier"`      // of its lowest model entry
	Share    float64       `json:"share"`     // of the answered requests, 0–1, decayed over 5 minutes
	// LastError is the newest failure in words, "" when there was none.
	LastError   string    `json:"last_error,omitempty"`
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
	// Spent is what it has cost today, in dollars, and DailyBudget the limit of
	// that; 0 = not known, and none.
	Spent       float64 `json:"spent,omitempty"`
	DailyBudget float64 `json:"daily_budget,omitempty"`
	// Unpriced counts its attempts of today whose cost is not known, and so not in
	// Spent; Included is set when a subscription pays for all that it does.
	Unpriced int64 `json:"unpriced,omitempty"`
	Included bool  `json:"included,omitempty"`

	// What the choice knows of it. DecodeTPS, TTFT and Speed are those of the
	// target that was measured last.
	DecodeTPS float64       `json:"decode_tps"` // tokens per second of one stream while it generates; 0 = not measured yet
	TTFT      time.Duration `json:"ttft"`       // usual time to first token now
	Speed     float64       `json:"speed"`      // tokens per second with that wait and failures in it
	Breaker   Breaker       `json:"breaker"`    // the worst of its targets
	Returning float64       `json:"returning"`  // part of its traffic that it may have after a failure, 0–1; 1 = all
	Slow      bool          `json:"slow"`       // a target is under the tokens per second that are asked for
	Headroom  float64       `json:"headroom"`   // part that is left of its tightest rate limit, 0–1; 1 = none is known
	Targets   []TargetView  `json:"targets"`    // in the order of the config; those that were asked for since the last reload
	measured  time.Time     // when the newest of them was
}

// Include adds a target to what the choice knows of its provider.
func (p *ProviderView) Include(t TargetView) {
	if t.Measured.After(p.measured) {
		p.measured = t.Measured
		p.DecodeTPS, p.TTFT, p.Speed = t.DecodeTPS, t.TTFT, t.Speed
	}
	if t.Breaker == BreakerOpen || t.Breaker == BreakerHalfOpen && p.Breaker != BreakerOpen {
		p.Breaker = t.Breaker
	}
	p.Returning, p.Headroom = min(p.Returning, t.Returning), min(p.Headroom, t.Headroom)
	p.Slow = p.Slow || t.Slow
	p.Targets = append(p.Targets, t)
}

// TargetView is one model of a provider, as the choice sees it.
type TargetView struct {
	Model     string        `json:"model"` // the upstream's name
	Tier      int           `json:"tier"`
	Weight    float64       `json:"weight"` // as configured
	Factors   Factors       `json:"factors"`
	DecodeTPS float64       `json:"decode_tps"`
	TTFT      time.Duration `json:"ttft"`
	Speed     float64       `json:"speed"`
	Breaker   Breaker       `json:"breaker"`
	RetryAt   time.Time     `json:"retry_at,omitzero"` // when its pause ends
	Returning float64       `json:"returning"`
	Slow      bool          `json:"slow"`
	Headroom  float64       `json:"headroom"`
	InFlight  int           `json:"in_flight"`
	// Measured is when a speed was measured last, zero = never.
	Measured time.Time `json:"measured,omitzero"`
}

// Phase is how far a request has come.
type Phase string

const (
	PhaseWaiting   Phase = "waiting"   // no content yet
	PhaseStreaming Phase = "streaming" // committed to the client, still running
	PhaseOK        Phase = "ok"
	PhaseFailed    Phase = "failed"
	PhaseCanceled  Phase = "canceled" // the client left
)

// Done reports whether the request has ended.
func (p Phase) Done() bool { return p == PhaseOK || p == PhaseFailed || p == PhaseCanceled }

// RequestRecord is one request, running or finished. The screen, the request
// log and the counters all show this one value.
type RequestRecord struct {
	ID       string        `json:"id"`
	Time     time.Time     `json:"time"` // when it came
	Method   string        `json:"method"`
	Path     string        `json:"path"`
	Model    string        `json:"model"` // as asked
	Stream   bool          `json:"stream"`
	Session  string        `json:"session,omitempty"`
	Key      string        `json:"key,omitempty"`   // the client key's name
	Trace    string        `json:"trace,omitempty"` // the id of the W3C trace that it belongs to
	Phase    Phase         `json:"phase"`
	Status   int           `json:"status"` // sent to the client; 0 = nothing yet
	Duration time.Duration `json:"duration"`
	TTFT     time.Duration `json:"ttft"` // request came → first content from the upstream that answered; 0 = none
	TPS      float64       `json:"tps"`  // of the answering attempt; 0 = not known
	// Overhead is what the proxy itself took of Duration: all of it but the waits
	// for the client's body, for upstreams, and for the client to take the answer.
	Overhead time.Duration `json:"overhead,omitzero"`
	Tokens   Tokens        `json:"tokens"` // of the answering attempt
	// Cost is what all attempts have cost, in dollars; where Unpriced is set, of
	// some of them it is not known.
	Cost     float64 `json:"cost_usd,omitempty"`
	Unpriced bool    `json:"unpriced,omitempty"`
	// Included is set when a subscription pays for the answering attempt.
	Included bool `json:"included,omitempty"`
	// Error says what the client was told, "" when all went well.
	Error    string   `json:"error,omitempty"`
	Decision Decision `json:"decision"`
}

// Tokens of one attempt.
type Tokens struct {
	Input      int64 `json:"input"`
	Output     int64 `json:"output"`
	CacheRead  int64 `json:"cache_read"`
	CacheWrite int64 `json:"cache_write"` // all of them
	// CacheWrite1h is the part of CacheWrite that is kept for an hour, and
	// Reasoning the part of Output that was thinking; 0 where nobody has said.
	CacheWrite1h int64 `json:"cache_write_1h,omitempty"`
	Reasoning    int64 `json:"reasoning,omitempty"`
	// Searches are what the provider's own tool has looked up in the web: it is paid apart.
	Searches int64 `json:"web_searches,omitempty"`
	// Estimated is true while Output is counted from bytes because the upstream has not reported it.
	Estimated bool `json:"estimated,omitempty"`
	// PromptEstimated is true while Input is what we count ourselves, for the same reason.
	PromptEstimated bool `json:"prompt_estimated,omitempty"`
}

// Decision tells why a request went where it went: who could serve it, who was
// left out, where its session belonged, and what was tried with which result.
type Decision struct {
	Alias      string          `json:"alias"` // the pattern or name that matched, "" = none
	Forced     string          `json:"forced,omitempty"`
	Session    Binding         `json:"session,omitzero"`
	Candidates []Candidate     `json:"candidates"`
	Attempts   []AttemptRecord `json:"attempts"`
}

// Candidate is one target that was looked at, in the order of choice; those
// left out come last.
type Candidate struct {
	Provider string  `json:"provider"`
	Model    string  `json:"model"` // the upstream's name
	Tier     int     `json:"tier"`
	Weight   float64 `json:"weight"` // as configured
	// W is the weight in the draw: Weight times the Factors.
	W       float64       `json:"w,omitzero"`
	Factors Factors       `json:"factors,omitzero"`
	Speed   float64       `json:"speed,omitzero"` // tokens per second with the wait for the first one in it
	TPS     float64       `json:"tps,omitzero"`   // tokens per second while it generates
	TTFT    time.Duration `json:"ttft,omitzero"`
	Breaker Breaker       `json:"breaker,omitzero"`
	// Skipped says why it was left out, "" = it was not.
	Skipped string `json:"skipped,omitempty"`
}

// Factors make the weight in a draw out of the configured one. Each is 1 where
// it changes nothing.
type Factors struct {
	Speed  float64 `json:"speed"`  // below 1 for one that is slower than the best of its tier
	Price  float64 `json:"price"`  // below 1 for one that is dearer than the cheapest, if that is to count
	Load   float64 `json:"load"`   // below 1 with requests in flight
	Return float64 `json:"return"` // below 1 for a while after a failure
	Limit  float64 `json:"limit"`  // below 1 when the request would not fit its rate limit
	Slow   float64 `json:"slow"`   // below 1 under the tokens per second that are asked for
}

// Breaker is how an upstream's breaker stands.
type Breaker string

const (
	BreakerClosed   Breaker = "closed"
	BreakerOpen     Breaker = "open"
	BreakerHalfOpen Breaker = "half-open" // its pause is over: one request may try
)

// Binding is what became of the tie between a session and an upstream.
type Binding struct {
	Kind     BindingKind `json:"kind"`
	Provider string      `json:"provider,omitempty"` // where the session was bound when the request came
	Model    string      `json:"model,omitempty"`
	Reason   string      `json:"reason,omitempty"` // moved: speed, load or fault
}

// BindingKind is a closed set; "" means that the request belongs to no session.
type BindingKind string

const (
	BindingNew      BindingKind = "new"
	BindingKept     BindingKind = "kept"
	BindingMoved    BindingKind = "moved"
	BindingReturned BindingKind = "returned" // it goes back to where it was before a fault
)

// AttemptRecord is one exchange with one upstream.
type AttemptRecord struct {
	Provider string        `json:"provider"`
	Model    string        `json:"model"`
	Start    time.Time     `json:"start"`
	Duration time.Duration `json:"duration"` // so far, while it runs
	TTFT     time.Duration `json:"ttft"`     // sent → first content; 0 = none
	TPS      float64       `json:"tps"`
	Tokens   Tokens        `json:"tokens"`
	// Cost is what it has cost, in dollars, as RequestRecord.Cost.
	Cost     float64 `json:"cost_usd,omitempty"`
	Unpriced bool    `json:"unpriced,omitempty"`
	Included bool    `json:"included,omitempty"` // a subscription pays for it
	Status   int     `json:"status"`             // the upstream's; 0 = none came
	// Outcome is "" while it runs, then ok, canceled or the failure's class
	// (rate_limited, overloaded, server_error, credential_refused, connect,
	// broken, timeout, bad_upstream_response, no_model, invalid_request).
	Outcome string `json:"outcome"`
	Reason  string `json:"reason,omitempty"` // the failure in words
}
