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
	"net/http"
	"runtime"
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
// upstream.
type Target struct{ Provider, Model string }

// Exporter is a metrics.Observer and an http.Handler.
type Exporter struct {
	http.Handler
	o        Options
	families families

	mu     sync.RWMutex
	models map[string]bool // of the configuration
	// attempts are the series of a target, so that no label is looked up twice.
	attempts map[Target]*series
}

var _ metrics.Observer = (*Exporter)(nil)

// New returns an Exporter with its families.
func New(o Options) *Exporter {
	e := &Exporter{o: o, families: newFamilies(), models: map[string]bool{}, attempts: map[Target]*series{}}
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

// SetTargets says what is configured. Every series of it is there from then on,
// at 0; those of what is no longer configured stay, as counters do.
func (e *Exporter) SetTargets(targets []Target) {
	e.mu.Lock()
	e.models = map[string]bool{}
	for _, t := range targets {
		e.models[t.Model] = true
	}
	e.mu.Unlock()
	for _, t := range targets {
		if t.Model != "" {
			e.of(t.Provider, t.Model)
		}
	}
}

// maxSeries bounds the targets that have series: models are out of closed sets,
// but a program may live long and be configured often.
const maxSeries = 1000

// of gives the series of a target.
func (e *Exporter) of(provider, model string) *series {
	at := Target{provider, model}
	e.mu.RLock()
	s, known := e.attempts[at], e.models[model]
	e.mu.RUnlock()
	if s != nil {
		return s
	}
	label := model
	if !known || model == "" {
		if label = Other; e.o.Model != nil {
			if name := e.o.Model(model); name != "" {
				label = name
			}
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	s = e.attempts[Target{provider, label}]
	if s == nil {
		if len(e.attempts) >= maxSeries {
			label = Other
		}
		s = e.families.series(provider, label)
		e.attempts[Target{provider, label}] = s
	}
	if len(e.attempts) < maxSeries {
		e.attempts[at] = s
	}
	return s
}

// AttemptEnded implements metrics.Observer.
func (e *Exporter) AttemptEnded(_ *metrics.RequestRecord, _ int, a *metrics.AttemptRecord) {
	e.of(a.Provider, a.Model).attempt(a)
}

// RequestEnded implements metrics.Observer.
func (e *Exporter) RequestEnded(r *metrics.RequestRecord) { e.families.request(r) }

// Happened implements metrics.Observer.
func (e *Exporter) Happened(*metrics.Event) {}
