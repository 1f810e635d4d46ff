package cli

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"anyproxy/internal/simulator"
)

// get reads a path of the program's.
func (r *running) get(t testing.TB, path string, header ...string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequest("GET", r.base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func TestMetricsTellTheSameStory(t *testing.T) {
	a := upstream(t, simulator.Always(simulator.Answer{Faults: []simulator.Fault{simulator.Overloaded()}}))
	file := configFile(t, "apiKeys: [a-client-key-of-mine]\n", a, upstream(t, simulator.Always(costly)))
	edit(t, file, "provider: b,", "provider: b, price: {input: 1000, output: 1000},")
	p := start(t, nil, "-config", file)
	if status, body := p.get(t, "/metrics"); status != 200 || !strings.Contains(body, `anyproxy_requests_total{alias="",outcome="ok",stream="true"} 0`) {
		t.Errorf("%d before any request: %.300s", status, body)
	}
	p.post(t, ask(true), "X-Api-Key", "a-client-key-of-mine")
	_, body := p.get(t, "/metrics")
	for _, line := range []string{
		`anyproxy_requests_total{alias="claude-*",outcome="ok",stream="true"} 1`,
		`anyproxy_attempts_total{error_type="overloaded",model="claude-sonnet-4-5",outcome="failed",provider="a"} 1`,
		`anyproxy_fallbacks_total{from="a",reason="overloaded",to="b"} 1`,
		`anyproxy_cost_usd_total{model="claude-sonnet-4-5",provider="b"} 2`,
		`anyproxy_spent_today_usd 2`,
		`anyproxy_provider_state{provider="a",state="partly"} 0`,
		`anyproxy_overhead_seconds_count 1`,
		`anyproxy_requests_saved_total 1`,
	} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("there is no %s", line)
		}
	}
	if t.Failed() {
		t.Log(body)
	}
	p.silentAbout(t, []byte(body), "a-client-key-of-mine", "upstream-key-of")
	if status, _ := p.get(t, "/metrics", "Host", "evil.example"); status != 403 {
		t.Errorf("by a foreign name: %d", status)
	}
	res, err := http.Post(p.base+"/metrics", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 405 || res.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
}

// Where others can reach it, whoever reads the meters needs a key.
func TestMetricsElsewhereNeedAKey(t *testing.T) {
	file := configFile(t, "apiKeys: [a-client-key-of-mine]\n", upstream(t, simulator.Always(good)))
	p := start(t, nil, "-config", file, "-listen", "0.0.0.0:0")
	p.base = fmt.Sprintf("http://127.0.0.1%s", p.base[strings.LastIndexByte(p.base, ':'):])
	if status, body := p.get(t, "/metrics"); status != 401 || !strings.Contains(body, "authentication_error") {
		t.Errorf("without a key: %d %s", status, body)
	}
	if status, _ := p.get(t, "/metrics", "Authorization", "Bearer a-client-key-of-mine"); status != 200 {
		t.Errorf("with one: %d", status)
	}
	if status, _ := p.get(t, "/health"); status != 200 {
		t.Errorf("health: %d", status)
	}
}
