package metrics

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	eventsKept   = 1000
	requestsKept = 200
)

// Recorder is where the proxy reports what happens. Its zero value is not
// usable; see New.
type Recorder struct {
	now     func() time.Time
	started time.Time
	gen     atomic.Uint64 // counts changes
	// observers does not change once requests are served.
	observers []Observer

	mu        sync.Mutex
	info      Info
	draining  bool
	configAt  time.Time
	watching  bool
	reloads   Reloads
	review    *Review
	providers []*provider // in the order of the config
	live      []*Request  // oldest first
	done      []RequestRecord
	doneNext  int
	events    []Event
	seq       uint64
	second    int64 // the one in which lossy events were counted
	inSecond  int
	dropped   uint64 // lossy events

	ok, failed, canceled, saved int64
}

// Info is what a Snapshot says about the program itself.
type Info struct {
	Version string
	Listen  string
	Config  string
}

// ProviderInfo is what is configured about a provider.
type ProviderInfo struct {
	Name, Type, Endpoint string
	Weight               float64
	Tier                 int
}

// provider is the live side of a ProviderInfo. Its mutex may be taken while
// Recorder.mu is held, never the other way round, and never with a Request's.
type provider struct {
	info ProviderInfo

	mu          sync.Mutex
	flow        throughput
	ttft        ttfts
	share       decayed
	inFlight    int
	ok, failed  int64
	lastError   string
	lastErrorAt time.Time
	models      map[string]*density
}

// density is a running average of how many bytes of JSON text one token of a
// model takes. Guarded by its provider's mutex.
type density struct {
	bytesPerToken float64
	learned       bool
}

// New returns a Recorder on the given clock.
func New(now func() time.Time) *Recorder {
	at := now()
	return &Recorder{now: now, started: at, configAt: at}
}

// SetInfo says what runs.
func (r *Recorder) SetInfo(i Info) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.info = i
	r.gen.Add(1)
}

// SetWatching says that the configuration file is watched.
func (r *Recorder) SetWatching() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watching = true
	r.gen.Add(1)
}

// SetReview shows a change of the configuration file, nil when none waits.
func (r *Recorder) SetReview(v *Review) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.review = v
	r.gen.Add(1)
}

// Reloaded counts how a changed configuration has ended. One that was applied
// runs from now on.
func (r *Recorder) Reloaded(result ReloadResult) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch result {
	case ReloadApplied:
		r.reloads.Applied++
		r.configAt = r.now()
	case ReloadRejected:
		r.reloads.Rejected++
	case ReloadInvalid:
		r.reloads.Invalid++
	}
	r.gen.Add(1)
}

// SetDraining says that no new requests are taken.
func (r *Recorder) SetDraining() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.draining = true
	r.gen.Add(1)
}

// SetProviders says what is configured, in order. Providers that stay, by
// name, keep their meters.
func (r *Recorder) SetProviders(infos []ProviderInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := make([]*provider, len(infos))
	for i, info := range infos {
		if next[i] = r.findLocked(info.Name); next[i] == nil {
			next[i] = &provider{models: map[string]*density{}}
		}
		next[i].mu.Lock()
		next[i].info = info
		next[i].mu.Unlock()
	}
	r.providers = next
	r.gen.Add(1)
}

func (r *Recorder) findLocked(name string) *provider {
	for _, p := range r.providers {
		if p.info.Name == name {
			return p
		}
	}
	return nil
}

// Event records e, giving it its number and, where absent, its time. Events of
// the lossy kinds that come too fast are dropped.
func (r *Recorder) Event(e Event) {
	if e.Time.IsZero() {
		e.Time = r.now()
	}
	r.keep(&e)
	if len(r.observers) > 0 {
		r.happened(e)
	}
}

// keep puts e into the ring.
func (r *Recorder) keep(e *Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.gen.Add(1)
	if e.Kind.lossy() && r.tooManyLocked(e.Time) {
		r.dropped++
		return
	}
	r.seq++
	e.Seq = r.seq
	if len(r.events) < eventsKept {
		r.events = append(r.events, *e)
	} else {
		r.events[(e.Seq-1)%eventsKept] = *e
	}
}

// tooManyLocked counts a lossy event and reports whether its second has had enough.
func (r *Recorder) tooManyLocked(at time.Time) bool {
	if s := at.Unix(); s != r.second {
		r.second, r.inSecond = s, 0
	}
	r.inSecond++
	return r.inSecond > lossyPerSecond
}

// Snapshot returns what can be seen now, with the events after since.
// State, RetryAt, what the choice knows and LogDropped are left for the caller
// to fill in: breakers and the log have their own owners.
func (r *Recorder) Snapshot(since uint64) Snapshot {
	now := r.now()
	at := now.Sub(r.started)
	s := Snapshot{At: now, Started: r.started, Generation: r.gen.Load()}

	r.mu.Lock()
	s.Version, s.Listen, s.Config = r.info.Version, r.info.Listen, r.info.Config
	s.ConfigAt, s.Watching, s.Reloads, s.Review = r.configAt, r.watching, r.reloads, r.review
	s.OK, s.Failed, s.Canceled, s.Saved = r.ok, r.failed, r.canceled, r.saved
	s.InFlight, s.Draining = len(r.live), r.draining
	s.Events, s.EventsLost = r.eventsLocked(since)
	s.EventsDropped = r.dropped
	live := slices.Clone(r.live)
	done := r.doneLocked()
	providers := slices.Clone(r.providers)
	r.mu.Unlock()

	s.Requests = make([]RequestRecord, 0, len(live)+len(done))
	for _, q := range slices.Backward(live) {
		s.Requests = append(s.Requests, q.Record())
	}
	s.Requests = append(s.Requests, done...)
	s.Providers = views(providers, at)
	for _, p := range s.Providers {
		s.TPS += p.TPS
	}
	return s
}

func (r *Recorder) eventsLocked(since uint64) (events []Event, lost uint64) {
	first := r.seq - uint64(len(r.events)) // the number before the oldest one kept
	if since < first {
		lost = first - since
		since = first
	}
	for n := since; n < r.seq; n++ {
		events = append(events, r.events[n%eventsKept])
	}
	return events, lost
}

// doneLocked copies the finished requests, the one that came last first: the
// list then reads by its times, and a long request does not stand among newer ones.
func (r *Recorder) doneLocked() []RequestRecord {
	out := make([]RequestRecord, 0, len(r.done))
	for i := range r.done {
		out = append(out, r.done[(r.doneNext-1-i+len(r.done))%len(r.done)])
	}
	slices.SortStableFunc(out, func(a, b RequestRecord) int { return b.Time.Compare(a.Time) })
	return out
}

func views(providers []*provider, at time.Duration) []ProviderView {
	out := make([]ProviderView, len(providers))
	shares := 0.0
	for i, p := range providers {
		out[i] = p.view(at)
		shares += out[i].Share
	}
	for i := range out {
		if shares > 0 {
			out[i].Share /= shares
		}
	}
	return out
}

// view leaves Share as an absolute number.
func (p *provider) view(at time.Duration) ProviderView {
	p.mu.Lock()
	defer p.mu.Unlock()
	v := ProviderView{
		Name: p.info.Name, Type: p.info.Type, Endpoint: p.info.Endpoint,
		Weight: p.info.Weight, Tier: p.info.Tier, State: StateReady,
		TPS: p.flow.rate(at), History: p.flow.history(at),
		InFlight: p.inFlight, OK: p.ok, Failed: p.failed,
		Share: p.share.value(at), LastError: p.lastError, LastErrorAt: p.lastErrorAt,
	}
	v.TTFTp50, v.TTFTp95 = p.ttft.quantiles()
	return v
}

// finish moves a request from the live ones to the finished ones.
func (r *Recorder) finish(q *Request, rec RequestRecord) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.Index(r.live, q); i >= 0 {
		r.live = slices.Delete(r.live, i, i+1)
	}
	switch rec.Phase {
	case PhaseOK:
		r.ok++
		if len(rec.Decision.Attempts) > 1 {
			r.saved++
		}
	case PhaseCanceled:
		r.canceled++
	default:
		r.failed++
	}
	if len(r.done) < requestsKept {
		r.done = append(r.done, rec)
	} else {
		r.done[r.doneNext] = rec
	}
	r.doneNext = (r.doneNext + 1) % requestsKept
	r.gen.Add(1)
}

// lookup returns a provider's meters; one that has left the config gets meters
// of its own that nobody sees, so that its running requests can end.
func (r *Recorder) lookup(name string) *provider {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.findLocked(name); p != nil {
		return p
	}
	return &provider{info: ProviderInfo{Name: name}, models: map[string]*density{}}
}

// modelsKept bounds the models of a provider whose alias lets clients make up names.
const modelsKept = 256

// densityLocked returns the model's running average.
func (p *provider) densityLocked(model string) *density {
	d := p.models[model]
	if d == nil {
		if len(p.models) >= modelsKept {
			clear(p.models)
		}
		const usual = 4 // bytes of English text or code per token
		d = &density{bytesPerToken: usual}
		p.models[model] = d
	}
	return d
}

func (d *density) learn(bytes, tokens float64) {
	const weight = 0.3 // of a new attempt against all before
	v := min(max(bytes/tokens, 1), 16)
	if !d.learned {
		d.bytesPerToken, d.learned = v, true
		return
	}
	d.bytesPerToken += weight * (v - d.bytesPerToken)
}
