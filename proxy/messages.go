package proxy

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"anyproxy/config"
	"anyproxy/metrics"
	"anyproxy/providers"
	"anyproxy/proxy/requestlog"
	"anyproxy/proxy/routing"
)

// messages serves POST /v1/messages.
func (s *Server) messages(w http.ResponseWriter, c *call) {
	s.exchange(w, c, providers.Messages)
}

// countTokens serves POST /v1/messages/count_tokens. It is no model request:
// it counts neither in the meters nor in the list of requests.
func (s *Server) countTokens(w http.ResponseWriter, c *call) {
	s.exchange(w, c, providers.CountTokens)
}

// maxConcurrent is how many model requests are served at a time. It is far
// above any honest use: each costs some 50 KB.
const maxConcurrent = 16384

func (s *Server) exchange(w http.ResponseWriter, c *call, endpoint providers.Endpoint) {
	if s.serving.Add(1) > maxConcurrent {
		s.serving.Add(-1)
		s.refuse(w, c, &refusal{statusOverloaded, "too many requests are being served", "1"})
		return
	}
	defer s.serving.Add(-1)
	x, bad := s.prepare(w, c, endpoint)
	if bad != nil {
		s.refuse(w, c, bad)
		return
	}
	defer x.reply.capture.Release()
	defer x.dropBody()
	defer x.reply.settle() // no ping may outlive the handler
	defer x.release()
	defer x.isolate()
	if x.start() {
		if a := x.find(); a != nil {
			x.pass(a)
		}
	}
}

// prepare reads the request. From there on the exchange holds its body.
func (s *Server) prepare(w http.ResponseWriter, c *call, endpoint providers.Endpoint) (*exchange, *refusal) {
	reading := time.Now()
	var ahead outlook
	body, bad := readBody(w, c.Request, &ahead)
	read := time.Since(reading)
	if bad != nil {
		return nil, bad
	}
	sc, bad := scanBody(body.Bytes(), ahead)
	if bad == nil && !c.key.allows(sc.model) {
		bad = refuse(http.StatusForbidden, "this client key may not ask for the model "+s.quoted(sc.model))
	}
	if bad != nil {
		body.Release()
		return nil, bad
	}
	trace := traceOf(c.Header)
	stream := sc.stream && endpoint == providers.Messages
	var capture *requestlog.Capture
	if endpoint == providers.Messages {
		capture = s.log.Capture()
	}
	x := &exchange{s: s, rt: c.rt, r: c.Request, key: c.key, id: c.id, began: c.began, blocked: read, reply: newReply(w, stream, c.began, capture),
		req: providers.Request{
			Endpoint: endpoint, RawQuery: c.URL.RawQuery, Header: c.Header, Body: body,
			Asked: sc.model, ModelAt: sc.modelAt, Stream: stream, Auth: c.keys.own(credentialsOf(c.Header)),
		}}
	x.scan = sc
	x.query = routing.Query{Model: sc.model, Provider: c.Header.Get("X-Anyproxy-Provider"), Skip: x.skip, Request: c.id, Stream: stream,
		Need: sc.need(), Look: x.look}
	if endpoint == providers.Messages {
		name := session(c.Header, sc.userID)
		x.query.Session, x.query.Agent = sc.affinity(name, c.Header, body.Bytes())
		x.begin(c, name, trace)
	}
	return x, nil
}

// look is a closer look at the request, which nobody may take once its body has
// been given back.
func (x *exchange) look() routing.Look { return x.scan.look(x.req.Body.Bytes()) }

// start chooses the route, false when the request has been refused.
func (x *exchange) start() bool {
	bad := x.overBudget()
	if bad == nil {
		x.route, bad = x.choose()
	}
	if bad != nil {
		x.refuse(bad)
		return false
	}
	if x.rec != nil {
		x.rec.Decide(x.route.Decision)
	}
	return true
}

// choose asks the router, and refuses what nobody can serve.
func (x *exchange) choose() (*routing.Route, *refusal) {
	q := x.query
	if _, known := x.rt.providers[q.Provider]; q.Provider != "" && !known {
		return nil, refuse(http.StatusBadRequest,
			fmt.Sprintf("x-anyproxy-provider: no usable provider is called %s (asked for the model %s)", x.s.quoted(q.Provider), x.s.quoted(q.Model)))
	}
	route := x.rt.router.Route(q)
	switch {
	case route.Len() > 0:
		return route, nil
	case len(route.Decision.Candidates) > 0:
		return nil, x.allLeftOut(route.Decision.Candidates)
	case q.Provider != "":
		return nil, refuse(http.StatusBadRequest,
			fmt.Sprintf("x-anyproxy-provider: provider %s does not serve the model %s", x.s.quoted(q.Provider), x.s.quoted(q.Model)))
	default:
		return nil, refuse(http.StatusNotFound,
			fmt.Sprintf("model: no provider serves %s; add a model with a matching name or alias", x.s.quoted(q.Model)))
	}
}

// allLeftOut refuses what nobody may be asked for now: candidates are held by the
// operator, or have spent their budgets.
func (x *exchange) allLeftOut(candidates []metrics.Candidate) *refusal {
	var held bool
	var budgets []string
	for i := range candidates {
		name := candidates[i].Provider
		switch budget := fmt.Sprintf("%s ($%.2f)", name, x.rt.providers[name].config.DailyBudget); {
		case candidates[i].Skipped == skipHeld:
			held = true
		case !slices.Contains(budgets, budget):
			budgets = append(budgets, budget)
		}
	}
	switch {
	case !held:
		return x.s.spentRefusal("the daily budget of every provider for this model is spent: " + strings.Join(budgets, ", "))
	case len(budgets) > 0:
		return &refusal{statusOverloaded, "every provider for this model is held by the operator or has spent its daily budget", "60"}
	default:
		return &refusal{statusOverloaded, "every provider for this model is held by the operator", "60"}
	}
}

// quoted shows a client's word back to it: bounded, without a secret that stands
// where none belongs, whole or cut, and with nothing that a terminal would obey.
func (s *Server) quoted(word string) string {
	const longest = 100
	if word = s.redact.String(word); len(word) > longest {
		word = strings.ToValidUTF8(word[:longest], "") + "…"
	}
	return fmt.Sprintf("%+q", word)
}

// passthrough reports whether the provider is shown the client's own credential.
func (rt *Runtime) passthrough(provider string) bool {
	up, ok := rt.providers[provider]
	return ok && up.config.Auth == "passthrough"
}

// converts reports whether the provider's format is another than the client's.
func (rt *Runtime) converts(provider string) bool {
	up, ok := rt.providers[provider]
	return ok && up.config.Type != config.Anthropic
}

// fallback tells that the next candidate is asked, or the same one again.
func (s *Server) fallback(x *exchange, failed *providers.Error, next *routing.Attempt) {
	e := metrics.Event{Kind: metrics.EventFallback, Provider: failed.Provider, Model: failed.Model,
		To: next.Provider, Request: x.id, Text: x.reason(failed)}
	if failed.Provider == next.Provider && failed.Model == next.Model {
		e.Kind, e.To = metrics.EventRetry, ""
	}
	s.event(e)
}
