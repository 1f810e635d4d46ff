package proxy

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"anyproxy/internal/contain"
	"anyproxy/internal/redact"
	"anyproxy/metrics"
	"anyproxy/metrics/ledger"
	"anyproxy/proxy/requestlog"
	"anyproxy/proxy/routing"
)

// Server answers clients. See New.
type Server struct {
	runtime atomic.Pointer[Runtime]
	rec     *metrics.Recorder
	log     *requestlog.Log
	logger  *slog.Logger
	redact  *redact.Redactor
	o       Options
	ledger  *ledger.Ledger
	serving atomic.Int64 // model requests
	held    holds
	// keys is when it was last told, by provider, that a key is refused.
	keys sync.Map
}

// Options of a Server.
type Options struct {
	Recorder *metrics.Recorder
	Log      *requestlog.Log // nil = none
	Logger   *slog.Logger
	Redact   *redact.Redactor
	Version  string
	// Ledger is where spend is booked; nil = a new one.
	Ledger *ledger.Ledger
	// Now is the clock by which answers are measured; default time.Now. It must
	// be the one of Recorder and of the Runtime's routing.
	Now func() time.Time
	// Metrics answers GET /metrics; nil = there is no such path.
	Metrics http.Handler
	// Loopback says that the listener is reachable from this machine only. A
	// browser on it can still be made to call: Host is checked then.
	Loopback bool
}

// New returns a Server for rt.
func New(rt *Runtime, o Options) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Ledger == nil {
		o.Ledger = ledger.New(time.Now)
	}
	s := &Server{rec: o.Recorder, log: o.Log, logger: o.Logger, redact: o.Redact, o: o, ledger: o.Ledger}
	s.Apply(rt)
	return s
}

// Apply serves rt from the next request on.
func (s *Server) Apply(rt *Runtime) {
	s.rec.SetProviders(rt.infos)
	o := rt.routing
	o.Tell = s.event
	rt.router = routing.New(rt.Targets(), rt.state, o)
	s.runtime.Store(rt)
}

// requestID names one request in headers, log and dashboard.
func requestID() string {
	const digits, prefix = "0123456789abcdef", "req_"
	b := [len(prefix) + 16]byte([]byte(prefix + digits))
	v := rand.Uint64()
	for i := len(prefix); i < len(b); i++ {
		b[i] = digits[v&15]
		v >>= 4
	}
	return string(b[:])
}

// route is one entry of the table of paths.
type route struct {
	methods  []string
	open     bool // needs no client key
	openHere bool // needs none on a loopback listener
	serve    func(s *Server, w http.ResponseWriter, c *call)
}

// call is a request with what has been found out about it.
type call struct {
	*http.Request
	id    string
	began time.Time
	rt    *Runtime
	keys  clientKeys
	key   *clientKey // nil when no keys are configured or none is needed
}

var routes = map[string]route{
	"/":                         {methods: []string{"GET", "HEAD"}, open: true, serve: (*Server).root},
	"/metrics":                  {methods: []string{"GET", "HEAD"}, openHere: true, serve: (*Server).metrics},
	"/health":                   {methods: []string{"GET", "HEAD"}, open: true, serve: (*Server).health},
	"/v1/messages":              {methods: []string{"POST"}, serve: (*Server).messages},
	"/v1/messages/count_tokens": {methods: []string{"POST"}, serve: (*Server).countTokens},
	"/v1/models":                {methods: []string{"GET", "HEAD"}, serve: (*Server).models},
	"/v1/models/":               {methods: []string{"GET", "HEAD"}, serve: (*Server).model},
	// Claude Code's own telemetry, when it is pointed here.
	"/v1/metrics": {methods: []string{"POST"}, open: true, serve: discard},
	"/v1/logs":    {methods: []string{"POST"}, open: true, serve: discard},
	"/v1/traces":  {methods: []string{"POST"}, open: true, serve: discard},
}

// requestIDHeader tells the client its request's id, whatever the answer.
const requestIDHeader = "X-Anyproxy-Request-Id"

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rt := s.runtime.Load()
	c := &call{Request: r, id: requestID(), began: time.Now(), rt: rt, keys: *rt.keys.Load()}
	w.Header()[requestIDHeader] = []string{c.id}
	defer s.isolate(w, c.id)
	if r.Body != http.NoBody {
		limitBody(w, r)
	}
	serve, e := s.find(w, c)
	if e != nil {
		s.refuse(w, c, e)
		return
	}
	serve(s, w, c)
}

// find admits the request, knows its client, and gives what serves its path.
func (s *Server) find(w http.ResponseWriter, c *call) (func(*Server, http.ResponseWriter, *call), *refusal) {
	if e := s.admit(c); e != nil {
		return nil, e
	}
	path := c.URL.Path
	if id, ok := strings.CutPrefix(path, "/v1/models/"); ok && id != "" {
		path = "/v1/models/"
	}
	rt, ok := routes[path]
	if !ok || path == "/metrics" && s.o.Metrics == nil || path == "/v1/models/" && c.URL.Path == path {
		return nil, refuse(http.StatusNotFound, "no such path; anyproxy serves /v1/messages, /v1/messages/count_tokens, /v1/models and /health")
	}
	if !slices.Contains(rt.methods, c.Method) {
		w.Header().Set("Allow", strings.Join(rt.methods, ", "))
		return nil, refuse(http.StatusMethodNotAllowed, "method not allowed here, use "+strings.Join(rt.methods, " or "))
	}
	if rt.open || rt.openHere && s.o.Loopback {
		return rt.serve, nil
	}
	if c.key, ok = c.keys.identify(credentialsOf(c.Header)); !ok {
		return nil, refuse(http.StatusUnauthorized, "invalid or missing client key: send it as x-api-key, Authorization: Bearer or x-anyproxy-key")
	}
	return rt.serve, nil
}

// refuse answers a request that goes no further, and says so in the log.
func (s *Server) refuse(w http.ResponseWriter, c *call, e *refusal) {
	s.logger.LogAttrs(context.Background(), slog.LevelInfo, "refused", slog.String("request", c.id), slog.Int("status", e.status),
		slog.String("method", c.Method), slog.String("path", c.URL.Path), slog.String("why", e.message))
	writeError(w, c.id, e)
}

// event records an event and logs it.
func (s *Server) event(e metrics.Event) {
	s.rec.Event(e)
	level := slog.LevelWarn
	if e.Kind == metrics.EventReturn || e.Kind == metrics.EventOperator {
		level = slog.LevelInfo
	}
	attrs := []slog.Attr{slog.String("provider", e.Provider)}
	if e.To != "" {
		attrs = append(attrs, slog.String("to", e.To))
	}
	if e.Model != "" {
		attrs = append(attrs, slog.String("model", e.Model))
	}
	if e.For != 0 {
		attrs = append(attrs, slog.Duration("for", e.For.Round(time.Millisecond)))
	}
	if e.Request != "" {
		attrs = append(attrs, slog.String("request", e.Request))
	}
	attrs = append(attrs, slog.String("why", e.Text))
	s.logger.LogAttrs(context.Background(), level, string(e.Kind), attrs...)
}

// refusedEvery is how often it is told that a provider refuses its key.
const refusedEvery = time.Minute

// refused tells of a refused key, once in a while: where nobody stands by every
// request meets it.
func (s *Server) refused(e metrics.Event) {
	now := s.o.Now()
	if last, ok := s.keys.Load(e.Provider); ok && now.Sub(last.(time.Time)) < refusedEvery {
		return
	}
	s.keys.Store(e.Provider, now)
	s.event(e)
}

// Serving is the number of model requests whose handlers have not returned.
func (s *Server) Serving() int64 { return s.serving.Load() }

// Snapshot returns what can be seen now, with the events after since.
func (s *Server) Snapshot(since uint64) metrics.Snapshot {
	snap := s.rec.Snapshot(since)
	rt := s.runtime.Load()
	views := rt.router.Views()
	named := make(map[string]*metrics.ProviderView, len(snap.Providers))
	for i := range snap.Providers {
		p := &snap.Providers[i]
		p.Breaker, p.Returning, p.Headroom = metrics.BreakerClosed, 1, 1
		named[p.Name] = p
	}
	for _, v := range views {
		if p := named[v.Provider]; p != nil {
			p.Include(v.TargetView)
		}
	}
	for i := range snap.Providers {
		p := &snap.Providers[i]
		if s.held.has(p.Name) {
			p.State = metrics.StateHeld
			continue
		}
		st := rt.state.Provider(p.Name, p.Endpoint, snap.At)
		switch {
		case st.Refused:
			p.State, p.RetryAt = metrics.StateAuth, st.RetryAt
		case st.Out:
			p.State, p.RetryAt = metrics.StateCooling, st.RetryAt
		case !st.RetryAt.IsZero():
			p.State, p.RetryAt = metrics.StatePartly, st.RetryAt
		case st.HalfOpen:
			p.State = metrics.StateHalfOpen
		}
	}
	s.showSpend(rt, &snap)
	snap.LogDropped, snap.Panics = s.log.Dropped(), contain.Count()
	return snap
}
