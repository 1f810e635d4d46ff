package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"anyproxy/config"
	"anyproxy/metrics"
	"anyproxy/providers"
)

// What a person can do to a provider while the proxy runs. All of it is told as
// an event, and none of it touches requests that are under way.

// skipHeld is why a held provider is left out of a decision.
const skipHeld = "held"

// holds is the set of providers that are held. A reload keeps it.
type holds struct {
	mu    sync.RWMutex
	names map[string]bool
}

func (h *holds) has(provider string) bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.names[provider]
}

func (h *holds) set(provider string, held bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.names == nil {
		h.names = map[string]bool{}
	}
	h.names[provider] = held
}

// Hold leaves a provider out of every new decision until Return.
func (s *Server) Hold(provider string) error { return s.hold(provider, true, "held: no new requests") }

// Return ends a Hold.
func (s *Server) Return(provider string) error { return s.hold(provider, false, "no longer held") }

func (s *Server) hold(provider string, held bool, text string) error {
	if _, err := s.upstream(provider); err != nil {
		return err
	}
	s.held.set(provider, held)
	s.event(metrics.Event{Kind: metrics.EventOperator, Provider: provider, Text: text})
	return nil
}

// Reset forgets a provider's breakers and measurements.
func (s *Server) Reset(provider string) error {
	if _, err := s.upstream(provider); err != nil {
		return err
	}
	s.runtime.Load().state.Forget(provider)
	s.event(metrics.Event{Kind: metrics.EventOperator, Provider: provider, Text: "reset: breaker closed, measurements forgotten"})
	return nil
}

func (s *Server) upstream(provider string) (upstream, error) {
	up, ok := s.runtime.Load().providers[provider]
	if !ok {
		return upstream{}, fmt.Errorf("no usable provider is called %s", provider)
	}
	return up, nil
}

// probeTime bounds a probe.
const probeTime = 30 * time.Second

// Probe sends a provider one tiny request and tells how long its answer took.
// It goes beside routing: it is in no meter, and an answer closes the breaker
// by forgetting what was known.
func (s *Server) Probe(ctx context.Context, provider string) (time.Duration, error) {
	up, err := s.upstream(provider)
	if err != nil {
		return 0, err
	}
	if up.config.Auth == config.AuthPassthrough {
		return 0, errors.New("it is shown the clients' own credentials, and a probe has none")
	}
	model := s.probeModel(provider)
	if model == "" {
		return 0, errors.New("no name of a model is known that it serves; send it a request first")
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	began := time.Now()
	if err := sendProbe(ctx, up, model); err != nil {
		text := s.redact.String(err.Error())
		if failure, ok := errors.AsType[*providers.Error](err); ok {
			text = s.reason(failure)
		}
		s.event(metrics.Event{Kind: metrics.EventOperator, Provider: provider, Model: model, Text: "probe failed: " + text})
		return 0, errors.New(text)
	}
	took := time.Since(began)
	s.runtime.Load().state.Forget(provider)
	s.event(metrics.Event{Kind: metrics.EventOperator, Provider: provider, Model: model,
		Text: fmt.Sprintf("probe answered in %s", took.Round(time.Millisecond))})
	return took, nil
}

// sendProbe asks for one token and reads the answer.
func sendProbe(ctx context.Context, up upstream, model string) error {
	name, err := json.Marshal(model)
	if err != nil {
		return err
	}
	const head = `{"model":`
	data := head + string(name) + `,"max_tokens":1,"messages":[{"role":"user","content":"."}]}`
	body := providers.NewBody([]byte(data), nil)
	defer body.Release()
	stream, err := up.Send(ctx, &providers.Request{
		Endpoint: providers.Messages, Header: http.Header{"Anthropic-Version": {"2023-06-01"}, "Content-Type": {"application/json"}},
		Body: body, Model: model, Asked: model, ModelAt: providers.Span{Start: len(head), End: len(head) + len(name)},
	})
	if err != nil {
		return err
	}
	defer stream.Close()
	for {
		switch frame, err := stream.Next(); {
		case errors.Is(err, io.EOF) || frame.Kind == providers.End:
			return nil
		case err != nil:
			return err
		case frame.Kind == providers.Failed:
			return frame.Err
		}
	}
}

// probeModel is a name of a model to ask a provider for: a configured one, else
// the one that it was asked for last, else that of an alias that is no pattern.
func (s *Server) probeModel(provider string) string {
	fallback := ""
	for _, m := range s.runtime.Load().Config.Models {
		switch {
		case m.Provider != provider:
		case m.Name != "":
			return m.Name
		case fallback == "":
			for _, alias := range m.Alias {
				if !strings.Contains(alias, "*") {
					fallback = alias
				}
			}
		}
	}
	for _, r := range s.rec.Snapshot(0).Requests {
		for _, a := range r.Decision.Attempts {
			if a.Provider == provider && a.Model != "" {
				return a.Model
			}
		}
	}
	return fallback
}
