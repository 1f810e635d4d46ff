package cli

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"anyproxy/internal/simulator"
)

// hook is a webhook that keeps what it was told.
type hook struct {
	*httptest.Server
	mu    sync.Mutex
	texts []string
}

func startHook(t testing.TB) *hook {
	t.Helper()
	h := &hook{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m map[string]string
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil || len(m) != 1 || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%v, %v", m, err)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.texts = append(h.texts, m["text"])
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) told(text string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range h.texts {
		if strings.Contains(t, text) {
			return true
		}
	}
	return false
}

func webhookIsTaken(t *testing.T) {
	one, other := startHook(t), startHook(t)
	file := configFile(t, "budget: {daily: 1, onExceeded: warn}\nalerts: {webhook: \""+one.URL+"/services/a-secret-path\"}\n", upstream(t, simulator.Always(costly)))
	edit(t, file, "tier: 1}", "tier: 1, price: {input: 1000, output: 1000}}")
	p := start(t, nil, "-config", file, "-watch", "-yes")
	edit(t, file, one.URL, other.URL)
	eventually(t, "the reload", func() bool { return strings.Contains(p.errw.String(), "configuration applied") })
	p.post(t, ask(true))
	eventually(t, "the alert", func() bool { return other.told("anyproxy: budget: everybody: 100 % of the daily $1.00 is spent") })
	if one.told("") {
		t.Error("the old webhook is told")
	}
	p.silentAbout(t, nil, "a-secret-path")
}

// alertIsTaken changes a rule, and waits for what it says.
func alertIsTaken(was, is, text string) func(t *testing.T) {
	return func(t *testing.T) {
		h := startHook(t)
		a := upstream(t, simulator.Always(simulator.Answer{Faults: []simulator.Fault{simulator.ServerError()}}))
		file := configFile(t, "alerts: {webhook: \""+h.URL+"\", "+was+"}\n", a, upstream(t, simulator.Always(good)))
		edit(t, file, "providers:", "retry: {cooldown: 0s}\nproviders:")
		p := start(t, nil, "-config", file, "-watch", "-yes")
		edit(t, file, was, is)
		eventually(t, "the reload", func() bool { return strings.Contains(p.errw.String(), "configuration applied") })
		for range 30 {
			p.post(t, ask(true))
		}
		eventually(t, "the alert", func() bool { return h.told(text) })
	}
}

func TestWebhooksThatAreNone(t *testing.T) {
	for webhook, want := range map[string]string{
		"hooks.slack.com/services/a-secret-path":        "must be a URL that begins with https:// or http://",
		"http://hooks.slack.com/services/a-secret-path": "alerts: webhook: from ••••••: hooks.slack.com: plain http is for this machine only",
	} {
		file := configFile(t, "alerts: {webhook: \""+webhook+"\"}\n", upstream(t, nil))
		code, _, errw := run(t, nil, "-config", file, "-listen", "127.0.0.1:0")
		if code != exitFailed || !strings.Contains(errw, want) || strings.Contains(errw, "a-secret-path") {
			t.Errorf("%s: exit code %d, %s", webhook, code, errw)
		}
	}
}

// What a refused configuration and a refused key say reaches the webhook.
func TestAlertsOfEvents(t *testing.T) {
	h := startHook(t)
	a := upstream(t, simulator.Always(faulty(simulator.Unauthorized())))
	file := configFile(t, "alerts: {webhook: \""+h.URL+"\"}\n", a, upstream(t, simulator.Always(good)))
	p := start(t, nil, "-config", file, "-watch", "-yes")
	p.post(t, ask(true))
	eventually(t, "the alert", func() bool { return h.told("provider a: its credential fails: 401") })
	edit(t, file, "tier: 1}", "tier: 0}")
	eventually(t, "the alert", func() bool {
		return h.told("configuration: ") && h.told("reload refused, the running configuration stays")
	})
}
