package proxy_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"anyproxy/metrics"
)

// Token counting is limited apart from messages: its success tells nothing of them.
func TestCountTokensEndsNoPause(t *testing.T) {
	h := func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "count_tokens") {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"input_tokens":12}`)
			return
		}
		status(429, "Retry-After", "50")(w, r)
	}
	a, b := newUpstream(t, h), newUpstream(t, h)
	p := newHarness(t, two, map[string]*upstream{"a": a, "b": b})
	p.ask(t)
	p.do(t, "POST", "/v1/messages/count_tokens", plainRequest)
	for _, v := range p.snapshot(t).Providers {
		if v.State == metrics.StateReady {
			t.Errorf("%s is ready within its Retry-After of 50 s: a count_tokens has closed it", v.Name)
		}
	}
}

// Whoever asks whether there is a model leaves nothing behind.
func TestLookingUpModelsKeepsNothing(t *testing.T) {
	a := newUpstream(t, healthy)
	p := newHarness(t, one, map[string]*upstream{"a": a})
	for i := range 50 {
		p.do(t, "GET", fmt.Sprintf("/v1/models/claude-%d-%s", i, strings.Repeat("x", 20000)), "")
	}
	n, size := 0, 0
	for _, v := range p.snapshot(t).Providers {
		for _, tv := range v.Targets {
			n++
			size += len(tv.Model)
		}
	}
	if n > 1 {
		t.Errorf("%d upstreams with %d bytes of names are kept", n, size)
	}
}

// A refused key is told now and then, not with each request.
func TestRefusedKeyIsToldOnceAMinute(t *testing.T) {
	a := newUpstream(t, status(401))
	p := newHarness(t, one, map[string]*upstream{"a": a})
	for range 120 {
		p.do(t, "POST", "/v1/messages", plainRequest)
	}
	n := 0
	for _, k := range kinds(p.snapshot(t)) {
		if k == metrics.EventCredential {
			n++
		}
	}
	if n > 5 {
		t.Errorf("%d credential events of the kind that is never dropped, one for each request", n)
	}
}

// That others have used up the request's time is not the last provider's fault.
func TestOwnDeadlineIsNobodysFault(t *testing.T) {
	hang := func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	var slow http.HandlerFunc = func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(900 * time.Millisecond)
		status(500)(w, r)
	}
	a, b := newUpstream(t, slow), newUpstream(t, hang)
	p := newHarness(t, two+"routing: {deadline: 1s}\n", map[string]*upstream{"a": a, "b": b})
	p.ask(t)
	for _, v := range p.snapshot(t).Providers {
		if v.Name == "b" && v.State != metrics.StateReady {
			t.Errorf("b had 100 ms of the request's second, and is %s", v.State)
		}
	}
}
