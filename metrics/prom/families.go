package prom

import (
	"cmp"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"anyproxy/metrics"
)

// The buckets are those of OpenTelemetry's conventions for generative AI
// (opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics), in whose names and
// units these families stand.
var (
	durationBuckets = []float64{0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92}
	firstBuckets    = []float64{0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}
	perTokenBuckets = []float64{0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5}
	usageBuckets    = []float64{1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864}
	speedBuckets    = []float64{5, 10, 20, 30, 40, 50, 60, 80, 100, 150, 200, 300}
	overheadBuckets = []float64{0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05}
	requestOutcomes = []string{"ok", "failed", "canceled"}
	failures        = []string{"rate_limited", "overloaded", "server_error", "credential_refused", "connect", "broken", "timeout", "bad_upstream_response", "no_model", "invalid_request"}
	moveReasons     = []string{"speed", "load", "fault", "return"}
	tokenTypes      = [...]string{"input", "output", "cache_read", "cache_write", "cache_write_1h", "reasoning"}
	abortStages     = []string{beforeContent, afterContent}
	target          = []string{"provider", "model"}
)

// Stages of an answer that broke off.
const (
	beforeContent = "before_content"
	afterContent  = "after_content"
)

// outcomeCanceled and client are of clients that left.
const (
	outcomeCanceled = metrics.OutcomeCanceled
	client          = "client"
)

// families are what is counted.
type families struct {
	requests, attempts, fallbacks, aborts, moves, tokens, cost, unpriced *prometheus.CounterVec
	duration, first, perToken, usage, speed                              *prometheus.HistogramVec
	saved                                                                prometheus.Counter
	overhead                                                             prometheus.Histogram
}

func newFamilies() families {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	}
	return families{
		requests:  counter("anyproxy_requests_total", "Requests that ended, by the alias that matched and what became of them.", "alias", "outcome", "stream"),
		attempts:  counter("anyproxy_attempts_total", "Exchanges with upstreams that ended.", "provider", "model", "outcome", "error_type"),
		fallbacks: counter("anyproxy_fallbacks_total", "Failed attempts after which another provider was asked.", "from", "to", "reason"),
		aborts:    counter("anyproxy_stream_aborts_total", "Streams that broke off, by whose doing.", "stage", "cause"),
		moves:     counter("anyproxy_session_moves_total", "Sessions that went to another provider.", "reason"),
		tokens:    counter("anyproxy_tokens_total", "Tokens, as reported by upstreams; cache_write_1h is a part of cache_write, reasoning of output.", "provider", "model", "type"),
		cost:      counter("anyproxy_cost_usd_total", "What attempts cost, in dollars, where it is known.", target...),
		unpriced:  counter("anyproxy_unpriced_attempts_total", "Attempts whose cost is not known.", target...),
		duration:  histogram("gen_ai_server_request_duration_seconds", "How long attempts took.", durationBuckets, target...),
		first:     histogram("gen_ai_server_time_to_first_token_seconds", "From an attempt's start to its first content.", firstBuckets, target...),
		perToken:  histogram("gen_ai_server_time_per_output_token_seconds", "Time of a token after the first.", perTokenBuckets, target...),
		usage:     histogram("gen_ai_client_token_usage", "Tokens of an attempt.", usageBuckets, "provider", "model", "gen_ai_token_type"),
		speed:     histogram("anyproxy_output_tokens_per_second", "Speed of an attempt while it generated.", speedBuckets, target...),
		saved: prometheus.NewCounter(prometheus.CounterOpts{Name: "anyproxy_requests_saved_total",
			Help: "Requests that were answered after an attempt had failed."}),
		overhead: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "anyproxy_overhead_seconds", Buckets: overheadBuckets,
			Help: "What the proxy itself took of a request: all but the waits for client and upstreams."}),
	}
}

func (f *families) all() []prometheus.Collector {
	return []prometheus.Collector{f.requests, f.attempts, f.fallbacks, f.aborts, f.moves, f.tokens, f.cost, f.unpriced,
		f.duration, f.first, f.perToken, f.usage, f.speed, f.saved, f.overhead}
}

// start has the series of closed sets there before anything has happened: what
// rises from nothing is not seen to rise.
func (f *families) start() {
	f.startAlias("")
	for _, reason := range moveReasons {
		f.moves.WithLabelValues(reason)
	}
	for _, stage := range abortStages {
		for _, cause := range append([]string{client}, failures...) {
			f.aborts.WithLabelValues(stage, cause)
		}
	}
}

func (f *families) startAlias(alias string) {
	for _, outcome := range requestOutcomes {
		for _, stream := range []string{"true", "false"} {
			f.requests.WithLabelValues(alias, outcome, stream)
		}
	}
}

// series are those of one place.
type series struct {
	outcomes                         map[string]prometheus.Counter // by the attempt's outcome
	failed                           prometheus.Counter            // of any other
	tokens                           [6]prometheus.Counter         // in the order of tokenTypes
	cost, unpriced                   prometheus.Counter
	duration, first, perToken, speed prometheus.Observer
	input, output                    prometheus.Observer
}

func (f *families) series(provider, model string) *series {
	s := &series{
		outcomes: map[string]prometheus.Counter{
			metrics.OutcomeOK: f.attempts.WithLabelValues(provider, model, "ok", ""),
			outcomeCanceled:   f.attempts.WithLabelValues(provider, model, outcomeCanceled, ""),
		},
		failed: f.attempts.WithLabelValues(provider, model, "failed", Other),
		cost:   f.cost.WithLabelValues(provider, model), unpriced: f.unpriced.WithLabelValues(provider, model),
		duration: f.duration.WithLabelValues(provider, model), first: f.first.WithLabelValues(provider, model),
		perToken: f.perToken.WithLabelValues(provider, model), speed: f.speed.WithLabelValues(provider, model),
		input: f.usage.WithLabelValues(provider, model, "input"), output: f.usage.WithLabelValues(provider, model, "output"),
	}
	for _, class := range failures {
		s.outcomes[class] = f.attempts.WithLabelValues(provider, model, "failed", class)
	}
	for i, kind := range tokenTypes {
		s.tokens[i] = f.tokens.WithLabelValues(provider, model, kind)
	}
	return s
}

func (s *series) attempt(a *metrics.AttemptRecord) {
	if c := s.outcomes[a.Outcome]; c != nil {
		c.Inc()
	} else {
		s.failed.Inc()
	}
	s.duration.Observe(a.Duration.Seconds())
	if a.TTFT > 0 {
		s.first.Observe(a.TTFT.Seconds())
	}
	if a.TPS > 0 {
		s.speed.Observe(a.TPS)
		s.perToken.Observe(1 / a.TPS)
	}
	t := &a.Tokens
	if !t.Any() {
		return
	}
	s.input.Observe(float64(t.Input + t.CacheRead + t.CacheWrite))
	s.output.Observe(float64(t.Output))
	for i, n := range [...]int64{t.Input, t.Output, t.CacheRead, t.CacheWrite, t.CacheWrite1h, t.Reasoning} {
		if n > 0 {
			s.tokens[i].Add(float64(n))
		}
	}
	if a.Cost > 0 {
		s.cost.Add(a.Cost)
	}
	if a.Unpriced {
		s.unpriced.Inc()
	}
}

func (f *families) request(r *metrics.RequestRecord) {
	f.requests.WithLabelValues(r.Decision.Alias, string(r.Phase), strconv.FormatBool(r.Stream)).Inc()
	f.overhead.Observe(r.Overhead.Seconds())
	if r.Phase == metrics.PhaseOK && len(r.Decision.Attempts) > 1 {
		f.saved.Inc()
	}
	if b := r.Decision.Session; b.Kind == metrics.BindingMoved || b.Kind == metrics.BindingReturned {
		f.moves.WithLabelValues(cmp.Or(b.Reason, "return")).Inc()
	}
	f.abort(r)
}

// abort counts a stream that broke off. One that failed before it had content
// was answered with an error, and broke off nothing.
func (f *families) abort(r *metrics.RequestRecord) {
	stage := beforeContent
	if r.TTFT > 0 {
		stage = afterContent
	}
	switch n := len(r.Decision.Attempts); {
	case !r.Stream || n == 0 || r.Phase == metrics.PhaseOK:
	case r.Phase == metrics.PhaseCanceled:
		f.aborts.WithLabelValues(stage, client).Inc()
	case stage == afterContent:
		f.aborts.WithLabelValues(stage, r.Decision.Attempts[n-1].Outcome).Inc()
	}
}
