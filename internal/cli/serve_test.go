package cli

import (
	"bufio"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"anyproxy/internal/grammar"
	"anyproxy/internal/simulator"
)

func TestRunningStreamsEndBeforeTheProgramDoes(t *testing.T) {
	slow := simulator.Answer{Blocks: []simulator.Block{simulator.Text(strings.Repeat("word ", 60))}, Rate: 100}
	a := upstream(t, simulator.Always(slow))
	p := start(t, nil, "-config", configFile(t, "", a))
	res, err := http.Post(p.base+"/v1/messages", "application/json", strings.NewReader(ask(true)))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	p.stop() // the answer has begun
	var body strings.Builder
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		body.WriteString(lines.Text() + "\n")
	}
	if m, err := grammar.Check([]byte(body.String())); err != nil || m.End != grammar.Complete {
		t.Errorf("%v: %s", err, body.String())
	}
	if code := p.end(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if _, err := http.Post(p.base+"/v1/messages", "application/json", strings.NewReader(ask(true))); err == nil {
		t.Error("a new request is taken after the end")
	}
}

func TestStreamsThatOutlastTheDrainAreTold(t *testing.T) {
	endless := faulty(simulator.Fault{Kind: simulator.Hang, At: simulator.Deltas(3)})
	a := upstream(t, simulator.Always(endless))
	p := start(t, nil, "-config", configFile(t, "drainTimeout: 1200ms\n", a))
	res, err := http.Post(p.base+"/v1/messages", "application/json", strings.NewReader(ask(true)))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	p.stop()
	var body strings.Builder
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		body.WriteString(lines.Text() + "\n")
	}
	if m, err := grammar.Check([]byte(body.String())); err != nil || m.End != grammar.Failed || m.ErrorType != "overloaded_error" {
		t.Errorf("%v: %s", err, body.String())
	}
	if code := p.end(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestRandomKeyIsToldOnce(t *testing.T) {
	a := upstream(t, simulator.Always(good))
	p := start(t, nil, "-config", configFile(t, "apiKeys: [$RANDOM_KEY]\n", a))
	m := regexp.MustCompile(`client key \S+: (ak-[0-9a-f]{40})`).FindStringSubmatch(p.errw.String())
	if m == nil {
		t.Fatalf("no key is told: %s", p.errw.String())
	}
	if res, _ := p.post(t, ask(true), "X-Api-Key", "something"); res.StatusCode != 401 {
		t.Errorf("another key: %d", res.StatusCode)
	}
	if res, body := p.post(t, ask(true), "Authorization", "Bearer "+m[1]); res.StatusCode != 200 {
		t.Errorf("the key: %d %s", res.StatusCode, body)
	}
	if n := strings.Count(p.errw.String()+p.out.String(), m[1]); n != 1 {
		t.Errorf("the key is in the output %d times", n)
	}
}

func TestKeysWithoutEffectAreNamed(t *testing.T) {
	file := configFile(t, "", upstream(t, nil))
	edit(t, file, "tier: 1}", "tier: 1, maxOutput: 900}")
	p := start(t, nil, "-config", file)
	eventually(t, "the warning", func() bool {
		return strings.Contains(p.errw.String(), "models[].maxOutput has an effect at providers of type openai only")
	})
}

func TestDemoNeedsNothing(t *testing.T) {
	t.Chdir(t.TempDir())
	p := start(t, map[string]string{"CONFIG_PATH": "does-not-exist.yaml", "LOG_LEVEL": "debug"}, "-demo")
	eventually(t, "how to connect", func() bool {
		out := p.out.String()
		return strings.Contains(out, "ANTHROPIC_BASE_URL="+p.base) && strings.Contains(out, "curl -N "+p.base)
	})
	res, body := p.post(t, ask(true), "X-Api-Key", "any-value")
	if m, err := grammar.Check(body); err != nil || res.StatusCode != 200 || m.Text() == "" {
		t.Errorf("%d %v %s", res.StatusCode, err, body)
	}
	eventually(t, "the simulated clients' requests", func() bool { return strings.Count(p.errw.String(), "msg=request") > 3 })
	if code := p.end(t); code != 0 {
		t.Errorf("exit code %d: %s", code, p.errw.String())
	}
}

func TestDemoStandsInForAFile(t *testing.T) {
	file := writeFile(t, "c.yaml", fmt.Sprintf("providers: {mine: {endpoint: %q, apiKey: env.MINE}}\nmodels: [{name: claude-sonnet-4-5, provider: mine}]\n",
		"https://never.asked.example"))
	p := start(t, nil, "-demo", "-config", file)
	res, body := p.post(t, ask(true))
	if m, err := grammar.Check(body); err != nil || m.End != grammar.Complete || res.Header.Get("X-Anyproxy-Provider") != "mine" {
		t.Errorf("%d %v %s", res.StatusCode, err, body)
	}
}

func TestTheStartTableShowsWhoCanServe(t *testing.T) {
	p := start(t, map[string]string{"OPENAI_API_KEY": "o-key-of-nobody", "AWS_REGION": "eu-west-1", "ZAI_API_KEY": "z-key-of-nobody",
		"HTTPS_PROXY": "http://me:proxy-password@127.0.0.1:9"})
	for _, want := range []string{"claude-*  ", "→ anthropic (tier 1", "→ bedrock (tier 2", "glm-*  ", "→ openai (tier 1"} {
		// It is written behind the address, for which start has waited.
		eventually(t, "the table to show "+want, func() bool { return strings.Contains(p.out.String(), want) })
	}
	eventually(t, "the proxy's address", func() bool { return strings.Contains(p.errw.String(), "HTTPS_PROXY=http://127.0.0.1:9") })
	if strings.Contains(p.errw.String(), "proxy-password") {
		t.Error("the proxy's password is in the log")
	}
}
