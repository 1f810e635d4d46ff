// Package alert tells a person, by a webhook and in the log, what should not
// wait until somebody looks: that money is running out, that requests fall over,
// that nobody answers, that a credential or a configuration was refused.
//
// An Alerter observes what ends and looks at the providers now and then. What
// lasts is told once, once more every hour, and when it is over. The webhook
// never stands in a request's way: what it cannot take is dropped and logged.
package alert

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"anyproxy/internal/contain"
	"anyproxy/metrics"
)

const (
	// lookEvery is how often what lasts is looked at.
	lookEvery = 10 * time.Second
	// leastRequests in the window say something about a share or a quantile.
	leastRequests = 20
	// repeatEvery is when something that lasts is told again.
	repeatEvery = time.Hour
	// over is the part of a limit under which something is over: what hovers
	// around a limit is not told each time.
	over = 0.8
	// atOnce is how many alerts wait to be sent.
	atOnce = 64
)

// Rules say what is told.
type Rules struct {
	FallbackRate float64       // share of requests of which an attempt failed, 0 = not
	P95          time.Duration // time to the first content of an answer, of one in twenty; 0 = not
	// URL gives the webhook, "" = there is none. It is a secret.
	URL func(ctx context.Context) (string, error)
}

// Options of an Alerter.
type Options struct {
	Rules    Rules
	Snapshot func() metrics.Snapshot // its providers are looked at
	Redact   func(string) string
	Logger   *slog.Logger
	Now      func() time.Time
	Post     *Poster
}

// Alerter is a metrics.Observer. Run must be running for it to tell anything.
type Alerter struct {
	o        Options
	happened chan metrics.Event

	mu     sync.Mutex // guards rules and window
	rules  Rules
	window window

	lasting map[string]*lasting // Run's own, by what
}

// lasting is something that has been told and is not over.
type lasting struct {
	text string
	told time.Time
}

var _ metrics.Observer = (*Alerter)(nil)

// New returns an Alerter.
func New(o Options) *Alerter {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Alerter{o: o, rules: o.Rules, happened: make(chan metrics.Event, atOnce), lasting: map[string]*lasting{}}
}

// SetRules replaces the rules.
func (a *Alerter) SetRules(r Rules) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rules = r
}

func (a *Alerter) current() Rules {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.rules
}

// AttemptEnded implements metrics.Observer.
func (a *Alerter) AttemptEnded(*metrics.RequestRecord, int, *metrics.AttemptRecord) {}

// RequestEnded implements metrics.Observer.
func (a *Alerter) RequestEnded(r *metrics.RequestRecord) {
	if r.Phase == metrics.PhaseCanceled || len(r.Decision.Attempts) == 0 {
		return
	}
	first := r.Decision.Attempts[0].Provider
	fell := false
	for i := range r.Decision.Attempts {
		fell = fell || r.Decision.Attempts[i].Provider != first
	}
	latency := r.TTFT
	if !r.Stream {
		latency = r.Duration
	}
	if r.Phase != metrics.PhaseOK {
		latency = 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.window.add(a.o.Now(), fell, latency)
}

// Happened implements metrics.Observer.
func (a *Alerter) Happened(e *metrics.Event) {
	switch e.Kind {
	case metrics.EventBudget, metrics.EventCredential, metrics.EventConfig, metrics.EventReturn:
	default:
		return
	}
	select {
	case a.happened <- *e:
	default: // the log has it
	}
}

// Run tells what is to be told until ctx ends, and then what is still waiting,
// for lastWords.
func (a *Alerter) Run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	sending, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	ended, sent := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(sent)
		defer contain.Panic(a.o.Logger, "webhook")
		a.o.Post.run(sending, ended)
	}()
	for {
		select {
		case e := <-a.happened:
			a.event(&e)
		case <-tick.C:
			a.look()
		case <-ctx.Done():
			for len(a.happened) > 0 {
				e := <-a.happened
				a.event(&e)
			}
			close(ended)
			defer time.AfterFunc(lastWords, cut).Stop()
			<-sent
			return
		}
	}
}

func (a *Alerter) event(e *metrics.Event) {
	defer contain.Panic(a.o.Logger, "alerts")
	switch e.Kind {
	case metrics.EventBudget:
		a.tell("budget: " + e.Text)
	case metrics.EventConfig:
		switch e.Result {
		case metrics.ReloadInvalid:
			a.begins("configuration", "configuration: "+e.Text)
		case metrics.ReloadApplied:
			a.ends("configuration", "configuration: "+e.Text)
		}
	case metrics.EventCredential:
		if e.Provider == "" { // a client key's
			a.tell("credential: " + e.Text)
			return
		}
		a.begins("credential of "+e.Provider, fmt.Sprintf("provider %s: its credential fails: %s", e.Provider, e.Text))
	case metrics.EventReturn:
		a.ends("credential of "+e.Provider, "provider "+e.Provider+" answers again")
	}
}

// nothing ends what only requests can show.
const nothing = "no requests in the last five minutes, so there is nothing to say"

// look tells of what lasts.
func (a *Alerter) look() {
	defer contain.Panic(a.o.Logger, "alerts")
	rules := a.current()
	a.mu.Lock()
	requests, fell, p95 := a.window.read(a.o.Now())
	a.mu.Unlock()
	rate := 0.0
	if requests > 0 {
		rate = float64(fell) / float64(requests)
	}
	switch enough := requests >= leastRequests; {
	case rules.FallbackRate > 0 && enough && rate >= rules.FallbackRate:
		a.begins("fallbacks", fmt.Sprintf("%.0f %% of the last %d requests fell over to another provider (limit %.0f %%)", 100*rate, requests, 100*rules.FallbackRate))
	case requests == 0:
		a.ends("fallbacks", nothing)
	case rules.FallbackRate == 0 || rate < over*rules.FallbackRate:
		a.ends("fallbacks", fmt.Sprintf("%.0f %% of requests fall over", 100*rate))
	}
	switch enough := requests >= leastRequests; {
	case rules.P95 > 0 && enough && p95 >= rules.P95:
		a.begins("latency", fmt.Sprintf("one request in twenty waits %s and longer for its first content (limit %s)", p95.Round(100*time.Millisecond), rules.P95))
	case requests == 0:
		a.ends("latency", nothing)
	case rules.P95 == 0 || p95 < time.Duration(over*float64(rules.P95)):
		a.ends("latency", fmt.Sprintf("nineteen requests in twenty wait less than %s", max(p95, 100*time.Millisecond).Round(100*time.Millisecond)))
	}
	a.lookAtProviders()
}

func (a *Alerter) lookAtProviders() {
	providers := a.o.Snapshot().Providers
	down := len(providers) > 0
	for i := range providers {
		down = down && !providers[i].State.Available()
	}
	if down {
		a.begins("all down", fmt.Sprintf("none of the %d providers can be asked", len(providers)))
	} else {
		a.ends("all down", "a provider can be asked again")
	}
}

// begins tells of something that lasts, unless that has been told lately.
func (a *Alerter) begins(what, text string) {
	now := a.o.Now()
	if l := a.lasting[what]; l != nil && now.Sub(l.told) < repeatEvery {
		l.text = text
		return
	}
	a.lasting[what] = &lasting{text, now}
	a.tell(text)
}

// ends tells that something is over, if it was told.
func (a *Alerter) ends(what, text string) {
	if a.lasting[what] != nil {
		delete(a.lasting, what)
		a.tell("resolved: " + text)
	}
}

func (a *Alerter) tell(text string) {
	text = harmless(a.o.Redact(text))
	a.o.Logger.Warn("alert", "what", text)
	if url := a.current().URL; url != nil {
		a.o.Post.add(message{url: url, text: text})
	}
}
