// Package prom tells Prometheus what happened and how the providers are.
//
// Counters and histograms are an observer's of the records that the screen and
// the request log show; gauges are read from a Snapshot when they are scraped.
// Every label is out of a closed set: providers and models of the configuration,
// outcomes, classes of failures. No session, user or client key is one.
//
// An Exporter is safe for concurrent use. docs/monitoring.md explains each family.
package prom

import (
	"cmp"
	"net/http"
	"runtime"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"anyproxy/metrics"
)

// Options of an Exporter.
type Options struct {
	Version string
	// Snapshot is read at each scrape.
	Snapshot func() metrics.Snapshot
	// Model gives the label of a model that is not among the targets: clients may
	// make up names where an alias is a pattern. nil, or "", is Other.
	Model func(name string) string
}

// Other is the label of what has no name of its own.
const Other = "other"

// A Target is a provider and one of its models, "" where the asked one goes
// upstream. Aliases are the names and patterns by which clients ask for it.
type Target struct {
	Provider, Model string
	Aliases         []string
}

// A place is the labels of an attempt's series; or a provider and the model that
// it was asked for.
type place struct{ provider, model string }

// Series are bounded, so that twenty targets stay under 5,000 whatever clients
// ask for and whatever fails: a place has about 120, a pair of providers one for
// each class of failures.
const (
	// maxNamed places are those of targets, and of models that only a pattern
	// lets in while there is room.
	maxNamed = 28
	// maxPlaces bounds what a long life with many configurations leaves behind.
	maxPlaces = 1000
	// maxFallbacks series there are, of which so many are there at the start.
	maxFallbacks, startFallbacks = 800, 400
	// maxAsked names are remembered, so that no label is looked for twice.
	maxAsked = 1000
)

// Exporter is a metrics.Observer and an http.Handler.
type Exporter struct {
	http.Handler
	o        Options
	families families

	mu        sync.RWMutex
	asked     map[place]*series // by the name that went upstream
	places    map[place]*series // by label
	models    map[string]bool   // of the configuration
	targets   map[place]bool    // likewise
	fallbacks map[fallback]bool
}

type fallback struct{ from, to, reason string }

var _ metrics.Observer = (*Exporter)(nil)

// New returns an Exporter with its families.
func New(o Options) *Exporter {
	e := &Exporter{o: o, families: newFamilies(), models: map[string]bool{}, targets: map[place]bool{}, asked: map[place]*series{}, places: map[place]*series{}, fallbacks: map[fallback]bool{}}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), snapshots{o.Snapshot})
	registry.MustRegister(e.families.all()...)
	info := prometheus.NewGauge(prometheus.GaugeOpts{Name: "anyproxy_build_info", Help: "1, with what this build is.",
		ConstLabels: prometheus.Labels{"version": o.Version, "goversion": runtime.Version()}})
	info.Set(1)
	registry.MustRegister(info)
	e.families.start()
	e.Handler = promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true, ErrorHandling: promhttp.HTTPErrorOnError})
	return e
}

// SetTargets says what is configured. Its series are there from then on, at 0:
// what rises from nothing is not seen to rise. Those of what is no longer
// configured stay, as counters do.
func (e *Exporter) SetTargets(targets []Target) {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.asked)
	clear(e.models)
	clear(e.targets)
	var providers []string
	for _, t := range targets {
		e.models[t.Model], e.targets[place{t.Provider, cmp.Or(t.Model, Other)}] = true, true
		for _, alias := range t.Aliases {
			e.families.startAlias(alias)
		}
		if !slices.Contains(providers, t.Provider) {
			providers = append(providers, t.Provider)
		}
	}
	for _, t := range targets {
		e.placeLocked(place{t.Provider, cmp.Or(t.Model, Other)})
	}
	for _, reason := range failures {
		e.fallbackLocked(fallback{Other, Other, reason})
	}
	for _, from := range providers {
		for _, to := range providers {
			for _, reason := range failures {
				if from != to && len(e.fallbacks) < startFallbacks {
					e.fallbackLocked(fallback{from, to, reason})
				}
			}
		}
	}
}

// placeLocked gives the series of a place. Where there are many, one that is not
// configured is Other: of its provider, if that takes what a pattern lets in.
func (e *Exporter) placeLocked(at place) *series {
	s := e.places[at]
	if s == nil && !e.targets[at] && len(e.places) >= maxNamed {
		if at.model = Other; !e.targets[at] {
			at.provider = Other
		}
		s = e.places[at]
	}
	if s == nil && len(e.places) >= maxPlaces {
		at = place{Other, Other}
		s = e.places[at]
	}
	if s == nil {
		s = e.families.series(at.provider, at.model)
		e.places[at] = s
	}
	return s
}

// of gives the series of an attempt.
func (e *Exporter) of(provider, model string) *series {
	at := place{provider, model}
	e.mu.RLock()
	s := e.asked[at]
	e.mu.RUnlock()
	if s != nil {
		return s
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	label := model
	if !e.models[model] || model == "" {
		if label = Other; e.o.Model != nil {
			label = cmp.Or(e.o.Model(model), Other)
		}
	}
	s = e.placeLocked(place{provider, label})
	if len(e.asked) < maxAsked {
		e.asked[at] = s
	}
	return s
}

// fellOver counts a fallback.
func (e *Exporter) fellOver(f fallback) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fallbackLocked(f).Inc()
}

func (e *Exporter) fallbackLocked(f fallback) prometheus.Counter {
	if !e.fallbacks[f] && len(e.fallbacks) >= maxFallbacks {
		f.from, f.to = Other, Other
		if !slices.Contains(failures, f.reason) {
			f.reason = Other
		}
	}
	e.fallbacks[f] = true
	return e.families.fallbacks.WithLabelValues(f.from, f.to, f.reason)
}

// AttemptEnded implements metrics.Observer.
func (e *Exporter) AttemptEnded(_ *metrics.RequestRecord, _ int, a *metrics.AttemptRecord) {
	e.of(a.Provider, a.Model).attempt(a)
}

// RequestEnded implements metrics.Observer.
func (e *Exporter) RequestEnded(r *metrics.RequestRecord) {
	e.families.request(r)
	attempts := r.Decision.Attempts
	for i := 1; i < len(attempts); i++ {
		if from, to := &attempts[i-1], &attempts[i]; from.Provider != to.Provider {
			e.fellOver(fallback{from.Provider, to.Provider, from.Outcome})
		}
	}
}

// Happened implements metrics.Observer.
func (e *Exporter) Happened(*metrics.Event) {}
