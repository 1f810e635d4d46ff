//go:build e2e && unix

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"anyproxy/internal/simulator"
)

// folderOfPrometheus names the folder with prometheus and promtool; .ci/run
// gets them.
const folderOfPrometheus = "PROMETHEUS"

// A real Prometheus scrapes a running anyproxy, and finds names, rules and
// values in order.
func TestPrometheus(t *testing.T) {
	folder := os.Getenv(folderOfPrometheus)
	if folder == "" {
		fmt.Printf("e2e: SKIPPED %s: %s is not set\n", t.Name(), folderOfPrometheus)
		t.Skip("NOT TESTED: Prometheus, because there is none")
	}
	base := startProxy(t, startUpstream(t, simulator.Always(simulator.Answer{Faults: []simulator.Fault{simulator.Overloaded()}})).URL(),
		startUpstream(t, simulator.Conversation(simulator.Answer{})).URL())
	for range 3 {
		body := `{"model":"claude-sonnet-4-5","max_tokens":100,"stream":true,"messages":[{"role":"user","content":"hello"}]}`
		req, _ := http.NewRequest("POST", base+"/v1/messages", strings.NewReader(body))
		req.Header.Set("X-Api-Key", clientKey)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
	promtool := func(in []byte, args ...string) {
		t.Helper()
		cmd := exec.Command(filepath.Join(folder, "promtool"), args...)
		cmd.Dir, cmd.Stdin = "../deploy/prometheus", bytes.NewReader(in)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	res, err := http.Get(base + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	scraped, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	promtool(scraped, "check", "metrics")
	promtool(nil, "check", "config", "prometheus.yml")
	promtool(nil, "test", "rules", "anyproxy.rules.test.yml")

	ask := startPrometheus(t, folder, strings.TrimPrefix(base, "http://"))
	for query, want := range map[string]string{
		`up{job="anyproxy"}`:                                               "1",
		`sum(anyproxy_requests_total{outcome="ok"})`:                       "3",
		`sum(anyproxy_fallbacks_total{from="first",to="second"}) > bool 0`: "1",
		`count(ALERTS{alertname="AnyproxyDown"}) or vector(0)`:             "0",
	} {
		got := ""
		for deadline := time.Now().Add(30 * time.Second); got != want && time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
			got = ask(query)
		}
		if got != want {
			t.Errorf("%s is %q, want %s", query, got, want)
		}
	}
}

// startPrometheus scrapes the target every second, with the rules of deploy. It
// returns what answers queries.
func startPrometheus(t *testing.T, folder, target string) (ask func(query string) string) {
	t.Helper()
	dir := t.TempDir()
	config, err := os.ReadFile("../deploy/prometheus/prometheus.yml")
	if err != nil {
		t.Fatal(err)
	}
	rules, err := filepath.Abs("../deploy/prometheus/anyproxy.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("127.0.0.1:8080", target, "15s", "1s", "anyproxy.rules.yml", rules).Replace(string(config))
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	var out bytes.Buffer
	cmd := exec.Command(filepath.Join(folder, "prometheus"), "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
		if t.Failed() {
			t.Logf("Prometheus: %s", out.String())
		}
	})
	return func(query string) string {
		res, err := http.Get("http://" + address + "/api/v1/query?query=" + url.QueryEscape(query))
		if err != nil {
			return err.Error()
		}
		defer res.Body.Close()
		var answer struct {
			Data struct {
				Result []struct{ Value [2]any }
			}
		}
		if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || len(answer.Data.Result) != 1 {
			return fmt.Sprint(err, len(answer.Data.Result))
		}
		return fmt.Sprint(answer.Data.Result[0].Value[1])
	}
}
