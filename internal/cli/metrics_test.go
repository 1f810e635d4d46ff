package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
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

// The dashboard and the alert rules of deploy ask for what is there.
func TestDeployAsksForWhatIsThere(t *testing.T) {
	p := start(t, nil, "-config", configFile(t, "budget: {daily: 5}\n", upstream(t, simulator.Always(good))))
	p.post(t, ask(true))
	p.post(t, strings.Replace(ask(true), "claude-", "nobody-", 1))
	_, body := p.get(t, "/metrics")
	there := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^([a-z_]+)[{ ]`).FindAllStringSubmatch(body, -1) {
		there[m[1]] = true
	}
	for _, file := range []string{"grafana/anyproxy.json", "prometheus/anyproxy.rules.yml"} {
		text, err := os.ReadFile("../../deploy/" + file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, ".json") && !json.Valid(text) {
			t.Errorf("%s is no JSON", file)
		}
		names := regexp.MustCompile(`\b(anyproxy|gen_ai|process|go)_[a-z_]+[a-z]\b`).FindAllString(string(text), -1)
		if len(names) < 10 {
			t.Errorf("%s: %q", file, names)
		}
		for _, name := range names {
			if !there[name] && name != "anyproxy_rules" {
				t.Errorf("%s asks for %s", file, name)
			}
		}
	}
	book, err := os.ReadFile("../../docs/runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	guide, err := os.ReadFile("../../docs/monitoring.md")
	if err != nil {
		t.Fatal(err)
	}
	rules, err := os.ReadFile("../../deploy/prometheus/anyproxy.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`runbook: docs/runbook.md#(\w+)`).FindAllStringSubmatch(string(rules), -1) {
		if !strings.Contains(strings.ToLower(string(book)), "\n## "+m[1]) {
			t.Errorf("the runbook has no %s", m[1])
		}
	}
	for name := range there {
		family := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_count"), "_sum")
		if (strings.HasPrefix(name, "anyproxy_") || strings.HasPrefix(name, "gen_ai_")) && !strings.Contains(string(guide), "`"+family) {
			t.Errorf("docs/monitoring.md does not explain %s", family)
		}
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
