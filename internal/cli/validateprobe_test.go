package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"anyproxy/internal/simulator"
	"anyproxy/providers"
)

// probed is what -probe tells of the first target, and the exit code.
func probed(t *testing.T, yaml string) (probe, int, string) {
	t.Helper()
	code, out, errw := validate(t, yaml, map[string]string{"KEY": upstreamsKey42}, "-probe", "-yes", "-json")
	var doc validateJSON
	if err := json.Unmarshal([]byte(out), &doc); err != nil || len(doc.Probes) == 0 {
		t.Fatalf("%v: %s%s", err, out, errw)
	}
	if strings.Contains(out+errw, upstreamsKey42) {
		t.Errorf("told: %s%s", out, errw)
	}
	return doc.Probes[0], code, errw
}

func saying(b *bool) string {
	if b == nil {
		return "?"
	}
	return fmt.Sprint(*b)
}

func TestProbe(t *testing.T) {
	calls := simulator.Answer{Blocks: []simulator.Block{simulator.ToolUse("report", "{}")}, Usage: simulator.Usage{Input: 1000, Output: 100}}
	for name, c := range map[string]struct {
		answer simulator.Answer
		want   string // key, model, stream, tools, count
		code   int
		errw   string
	}{
		"a call":            {calls, "true true true true upstream", 0, ""},
		"words":             {simulator.Answer{Blocks: []simulator.Block{simulator.Text("It works.")}}, "true true true false upstream", 0, ""},
		"nothing":           {simulator.Answer{}, "true true true false upstream", 0, ""},
		"a refused key":     {simulator.Answer{Faults: []simulator.Fault{simulator.Unauthorized()}}, "false ? ? ? none", 1, "1 probe of 1 failed: p/claude-opus-4-1\n"},
		"an unknown model":  {simulator.Answer{Faults: []simulator.Fault{simulator.Status(404, "model: claude-opus-4-1")}}, "true false ? ? none", 1, ""},
		"no money":          {simulator.Answer{Faults: []simulator.Fault{simulator.Status(402, "no credit")}}, "true ? ? ? none", 1, ""},
		"a rate limit":      {simulator.Answer{Faults: []simulator.Fault{simulator.RateLimited(0)}}, "true ? ? ? none", 1, ""},
		"an overload":       {simulator.Answer{Faults: []simulator.Fault{simulator.Overloaded()}}, "? ? ? ? none", 1, ""},
		"a request refused": {simulator.Answer{Faults: []simulator.Fault{simulator.Status(400, "tools: not here")}}, "true ? ? ? none", 1, "anyproxy: error: 1 probe of 1 failed"},
	} {
		t.Run(name, func(t *testing.T) {
			u := upstream(t, simulator.Always(c.answer))
			p, code, errw := probed(t, "providers: {p: {endpoint: '"+u.URL()+"', apiKey: env.KEY}}\nmodels: [{name: claude-opus-4-1, provider: p, price: {input: 1, output: 10}}]\n")
			got := strings.Join([]string{saying(p.Key), saying(p.Known), saying(p.Stream), saying(p.Tools), p.Count}, " ")
			if got != c.want || code != c.code || !strings.Contains(errw, c.errw) || (p.Error != "") != (code != 0) || (p.TTFT > 0) != (code == 0) {
				t.Errorf("got %s, exit code %d, %+v; stderr:\n%s", got, code, p, errw)
			}
			if name == "a call" && p.Cost != 0.002 {
				t.Errorf("cost %v", p.Cost)
			}
		})
	}
}

// TestProbeBesideARefusedKey asks the others all the same.
func TestProbeBesideARefusedKey(t *testing.T) {
	good := upstream(t, simulator.Always(simulator.Answer{Blocks: []simulator.Block{simulator.ToolUse("report", "{}")}}))
	bad := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"error":{"message":"invalid key"}}`, http.StatusUnauthorized)
	}))
	defer bad.Close()
	yaml := "providers:\n  good: {endpoint: '" + good.URL() + "', apiKey: env.KEY}\n  bad: {endpoint: '" + bad.URL + "', apiKey: env.KEY}\n" +
		"models: [{name: claude-opus-4-1, provider: good}, {name: claude-opus-4-1, provider: bad}]\n"
	p, code, errw := probed(t, yaml)
	if code != 1 || saying(p.Key) != "true" || p.Error != "" {
		t.Errorf("exit code %d, %+v", code, p)
	}
	want := "anyproxy: error: provider bad refuses its key: status 401: invalid key; 1 probe of 2 failed: bad/claude-opus-4-1\nanyproxy: hint: set another apiKey"
	if !strings.Contains(errw, want) {
		t.Errorf("stderr %s\nwant %s", errw, want)
	}
}

func TestProbeConverted(t *testing.T) {
	u, err := simulator.Start(t.Context(), simulator.Options{OpenAI: &simulator.Dialect{}, Script: simulator.Always(simulator.Answer{Blocks: []simulator.Block{simulator.ToolUse("report", "{}")}})})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	p, code, errw := probed(t, "providers: {p: {type: openai, endpoint: '"+u.URL()+"', auth: none}}\nmodels: [{name: m, provider: p}]\n")
	if code != 0 || errw != "" || !*p.Tools || p.Count != countEstimate || p.Priced || p.Cost != 0 {
		t.Errorf("exit code %d, %+v; stderr:\n%s", code, p, errw)
	}
}

// TestProbeOfAnAnswerThatBreaksOff has no stream that ends.
func TestProbeOfAnAnswerThatBreaksOff(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			io.WriteString(w, `{"data":[{"id":"m"}]}`)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"x\",\"usage\":{\"input_tokens\":1}}}\n\n")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}))
	defer up.Close()
	p, code, _ := probed(t, one("endpoint: '"+up.URL+"', apiKey: env.KEY"))
	if code != 1 || p.Error == "" || p.Key != nil || p.Stream != nil {
		t.Errorf("exit code %d, %+v", code, p)
	}
}

func TestProbeAsksForTheCheapestThatFits(t *testing.T) {
	u, err := simulator.Start(t.Context(), simulator.Options{Models: []string{"claude-opus-4-1", "unpriced", "claude-haiku-4-5", "claude-sonnet-4-5"}})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	for alias, want := range map[string]string{"claude-*": "claude-haiku-4-5", "claude-[so]*": "", "claude-s*": "claude-sonnet-4-5", "un*": "unpriced", "*": "claude-haiku-4-5", "gpt-*": ""} {
		p, _, _ := probed(t, "providers: {p: {endpoint: '"+u.URL()+"', apiKey: env.KEY}}\nmodels: [{alias: '"+alias+"', provider: p}]\n")
		if p.Model != want || (p.Skipped != "") != (want == "") {
			t.Errorf("%s: %+v, want %q", alias, p, want)
		}
	}
}

// TestProbeWithoutAnEnd tells how long it has waited, which is not how long lists
// are waited for.
func TestProbeWithoutAnEnd(t *testing.T) {
	p := probe{}
	p.judge(&providers.Error{Class: providers.ClassTimeout, Err: context.DeadlineExceeded})
	if want := "no answer within 1m0s"; p.Error != want {
		t.Errorf("got %q, want %q", p.Error, want)
	}
}
