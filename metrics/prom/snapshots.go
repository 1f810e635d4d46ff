package prom

import (
	"github.com/prometheus/client_golang/prometheus"

	"anyproxy/metrics"
)

// snapshots are gauges, and counters that somebody else counts.
type snapshots struct{ read func() metrics.Snapshot }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	inFlight        = desc("anyproxy_in_flight", "Requests that are being served.")
	draining        = desc("anyproxy_draining", "1 while no new requests are taken.")
	providerFlight  = desc("anyproxy_provider_in_flight", "Attempts that are running.", "provider")
	providerTPS     = desc("anyproxy_provider_tps", "Tokens per second of one stream while it generates, as the choice of providers knows it; 0 = not measured yet.", "provider")
	providerTTFT    = desc("anyproxy_provider_ttft_seconds", "Usual time to the first token now; 0 = not measured yet.", "provider")
	providerWeight  = desc("anyproxy_provider_weight", "Weight of its heaviest model, as configured.", "provider")
	providerState   = desc("anyproxy_provider_state", "1 for the state that it is in.", "provider", "state")
	providerRetryAt = desc("anyproxy_provider_retry_at_seconds", "When a cooling provider is asked again, as a Unix time; 0 = now.", "provider")
	budgetLeft      = desc("anyproxy_budget_remaining_usd", "What is left of a daily budget, in dollars; below 0 when it is exceeded.", "scope", "provider")
	spentToday      = desc("anyproxy_spent_today_usd", "What has been spent today, in dollars, as far as it is known.")
	reloads         = desc("anyproxy_config_reloads_total", "Changed configurations, by what became of them.", "result")
	eventsDropped   = desc("anyproxy_events_dropped_total", "Events of single requests that came too fast to be kept.")
	panics          = desc("anyproxy_panics_total", "Panics that cost a request or a part of the program, and nothing else.")
	logDropped      = desc("anyproxy_log_dropped_total", "Lines of the request log that could not be written.")
)

var states = []metrics.State{metrics.StateReady, metrics.StateCooling, metrics.StatePartly, metrics.StateHalfOpen, metrics.StateAuth, metrics.StateHeld}

// Describe implements prometheus.Collector.
func (snapshots) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{inFlight, draining, providerFlight, providerTPS, providerTTFT, providerWeight, providerState,
		providerRetryAt, budgetLeft, spentToday, reloads, eventsDropped, logDropped, panics} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (s snapshots) Collect(ch chan<- prometheus.Metric) {
	snap := s.read()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	gauge(inFlight, float64(snap.InFlight))
	gauge(draining, one(snap.Draining))
	counter(reloads, float64(snap.Reloads.Applied), "applied")
	counter(reloads, float64(snap.Reloads.Rejected), "rejected")
	counter(reloads, float64(snap.Reloads.Invalid), "invalid")
	counter(eventsDropped, float64(snap.EventsDropped))
	counter(logDropped, float64(snap.LogDropped))
	counter(panics, float64(snap.Panics))
	if b := snap.Spend; b != nil {
		gauge(spentToday, b.Today)
		if b.Limit > 0 {
			gauge(budgetLeft, b.Limit-b.Today, "all", "")
		}
	}
	for i := range snap.Providers {
		p := &snap.Providers[i]
		gauge(providerFlight, float64(p.InFlight), p.Name)
		gauge(providerTPS, p.DecodeTPS, p.Name)
		gauge(providerTTFT, p.TTFT.Seconds(), p.Name)
		gauge(providerWeight, p.Weight, p.Name)
		for _, state := range states {
			gauge(providerState, one(p.State == state), p.Name, string(state))
		}
		at := 0.0
		if !p.RetryAt.IsZero() {
			at = float64(p.RetryAt.UnixMilli()) / 1000
		}
		gauge(providerRetryAt, at, p.Name)
		if p.DailyBudget > 0 {
			gauge(budgetLeft, p.DailyBudget-p.Spent, "provider", p.Name)
		}
	}
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
