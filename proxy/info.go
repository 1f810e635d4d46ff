package proxy

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"anyproxy/metrics"
	"anyproxy/proxy/routing"
)

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own plain structs always marshal
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // the client may be gone
}

// root answers the connectivity probe of clients and the curious.
func (s *Server) root(w http.ResponseWriter, _ *call) {
	writeJSON(w, http.StatusOK, map[string]string{"name": "anyproxy", "version": s.o.Version})
}

// metrics answers a scrape.
func (s *Server) metrics(w http.ResponseWriter, c *call) { s.o.Metrics.ServeHTTP(w, c.Request) }

// discard takes a telemetry export and throws it away.
func discard(_ *Server, w http.ResponseWriter, c *call) {
	if _, err := io.Copy(io.Discard, io.LimitReader(c.Body, maxBody)); err == nil {
		bodyRead(w)
	}
	writeJSON(w, http.StatusOK, struct{}{})
}

// modelEntry is one element of the Anthropic API's list of models, with what
// anyproxy knows beside it.
type modelEntry struct {
	Type          string             `json:"type"`
	ID            string             `json:"id"`
	DisplayName   string             `json:"display_name"`
	CreatedAt     string             `json:"created_at"`
	ContextWindow int                `json:"context_window,omitempty"`
	Providers     []string           `json:"providers"`
	Weights       map[string]float64 `json:"weights"`
}

// newModelEntry has no providers yet. The API wants a date; a configured name
// has none.
func newModelEntry(name string) *modelEntry {
	return &modelEntry{Type: "model", ID: name, DisplayName: name,
		CreatedAt: time.Unix(0, 0).UTC().Format(time.RFC3339), Weights: map[string]float64{}}
}

// modelEntries lists every name that a client may ask for: the targets' own
// names and the aliases that are no patterns. Their order is the config's.
func (rt *Runtime) modelEntries(key *clientKey) []*modelEntry {
	var list []*modelEntry
	index := map[string]*modelEntry{}
	for _, m := range rt.Config.Models {
		if _, usable := rt.providers[m.Provider]; !usable {
			continue
		}
		for _, name := range append([]string{m.Name}, m.Alias...) {
			if name == "" || strings.Contains(name, "*") || !key.allows(name) {
				continue
			}
			e := index[name]
			if e == nil {
				e = newModelEntry(name)
				index[name] = e
				list = append(list, e)
			}
			if !slices.Contains(e.Providers, m.Provider) {
				e.Providers = append(e.Providers, m.Provider)
			}
			e.Weights[m.Provider] = m.Weight
			if e.ContextWindow == 0 || m.Context > 0 && m.Context < e.ContextWindow {
				e.ContextWindow = m.Context
			}
		}
	}
	return list
}

// models serves GET /v1/models: all of them on one page.
func (s *Server) models(w http.ResponseWriter, c *call) {
	list := c.rt.modelEntries(c.key)
	page := struct {
		Data    []*modelEntry `json:"data"`
		HasMore bool          `json:"has_more"`
		FirstID *string       `json:"first_id"`
		LastID  *string       `json:"last_id"`
	}{Data: list}
	if len(list) > 0 {
		page.FirstID, page.LastID = &list[0].ID, &list[len(list)-1].ID
	} else {
		page.Data = []*modelEntry{}
	}
	writeJSON(w, http.StatusOK, page)
}

// model serves GET /v1/models/{id}. A name that only a pattern covers is not
// in the list, but is there for whoever asks for it.
func (s *Server) model(w http.ResponseWriter, c *call) {
	id := strings.TrimPrefix(c.URL.Path, "/v1/models/")
	for _, e := range c.rt.modelEntries(c.key) {
		if e.ID == id {
			writeJSON(w, http.StatusOK, e)
			return
		}
	}
	var candidates []metrics.Candidate
	if len(id) <= maxModel && c.key.allows(id) { // what is asked for is remembered
		candidates = c.rt.router.Route(routing.Query{Model: id}).Decision.Candidates
	}
	if len(candidates) == 0 {
		s.refuse(w, c, refuse(http.StatusNotFound, "model: no provider serves "+s.quoted(id)))
		return
	}
	e := newModelEntry(id)
	for _, m := range candidates {
		e.Providers = append(e.Providers, m.Provider)
		e.Weights[m.Provider] = m.Weight
	}
	writeJSON(w, http.StatusOK, e)
}

// providerHealth is one provider in the answer of /health.
type providerHealth struct {
	Healthy   bool          `json:"healthy"`
	State     metrics.State `json:"state"`
	ErrorRate float64       `json:"error_rate"` // of all attempts since the start
	TPS       float64       `json:"tps"`        // of one stream while it generates, as the choice of providers knows it; 0 = not measured yet
	RetryAt   *time.Time    `json:"retry_at,omitempty"`
	// TokenCorrection is, by model, how many tokens are counted for one that
	// count_tokens estimates, as learnt from answers.
	TokenCorrection map[string]float64 `json:"token_correction,omitempty"`
}

// A corrector is a provider that estimates tokens and learns from what is counted.
type corrector interface{ Corrections() map[string]float64 }

// health serves GET /health: 200 while a provider is healthy, else 503.
func (s *Server) health(w http.ResponseWriter, c *call) {
	snap := s.Snapshot(^uint64(0))
	answer := struct {
		Status    string                    `json:"status"`
		Healthy   int                       `json:"healthy_providers"`
		Total     int                       `json:"total_providers"`
		Providers map[string]providerHealth `json:"providers"`
	}{Status: "ok", Total: len(snap.Providers), Providers: map[string]providerHealth{}}
	for _, p := range snap.Providers {
		h := providerHealth{Healthy: p.State.Available(), State: p.State, TPS: p.DecodeTPS}
		if n := p.OK + p.Failed; n > 0 {
			h.ErrorRate = float64(p.Failed) / float64(n)
		}
		if !p.RetryAt.IsZero() {
			h.RetryAt = &p.RetryAt
		}
		if counts, ok := c.rt.providers[p.Name].Provider.(corrector); ok {
			h.TokenCorrection = counts.Corrections()
		}
		if h.Healthy {
			answer.Healthy++
		}
		answer.Providers[p.Name] = h
	}
	status := http.StatusOK
	switch {
	case answer.Healthy == 0:
		answer.Status, status = "unavailable", http.StatusServiceUnavailable
	case answer.Healthy < answer.Total:
		answer.Status = "degraded"
	}
	writeJSON(w, status, answer)
}
