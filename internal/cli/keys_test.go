package cli

import (
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"anyproxy/config"
	"anyproxy/internal/grammar"
	"anyproxy/internal/simulator"
	"anyproxy/metrics"
)

// A keyCase changes one key on a running proxy. The base is provider a in tier
// 1 and provider b, which always answers, in tier 2; c waits.
type keyCase struct {
	a      simulator.Answer // default good
	base   []string         // how the file differs from the base, as edit takes it
	change []string         // what is then changed
	see    func(w *keyWorld) string
	was    string             // what is seen before
	is     string             // and after
	oldTLS bool               // the upstream that is reached by TLS has nothing newer than 1.2
	whole  func(t *testing.T) // instead of all that
}

// keyWorld is a running proxy and the upstreams around it.
type keyWorld struct {
	*testing.T
	*reloading
	a, b, c *simulator.Upstream
	secure  *httptest.Server // a again, by TLS
	proto   atomic.Value     // of the newest request to secure
}

const keyBase = `listen: 127.0.0.1:0
providers:
  a: {endpoint: A, apiKey: upstream-key-of-a}
  b: {endpoint: B, apiKey: upstream-key-of-b}
  c: {endpoint: C, apiKey: upstream-key-of-c}
models:
  - {alias: "claude-*", provider: a}
  - {alias: "claude-*", provider: b, tier: 2}
retry: {cooldown: 0s}
`

// request asks once and says who answered at which attempt, or the status.
func (w *keyWorld) request(stream bool, header ...string) (by string, attempts string) {
	w.Helper()
	res := w.ask(w.T, stream, header...)
	if res.StatusCode != http.StatusOK {
		return fmt.Sprint(res.StatusCode), ""
	}
	return res.Header.Get("X-Anyproxy-Provider"), res.Header.Get("X-Anyproxy-Attempts")
}

// by sees who answers, or the status.
func by(w *keyWorld) string { who, _ := w.request(true); return who }

// tried sees who answers at which attempt.
func tried(stream bool) func(w *keyWorld) string {
	return func(w *keyWorld) string {
		who, n := w.request(stream)
		return strings.TrimSpace(who + " " + n)
	}
}

// twice sees who answers two requests.
func twice(w *keyWorld) string { return by(w) + " " + by(w) }

// with sees who answers a request with a header.
func with(header ...string) func(w *keyWorld) string {
	return func(w *keyWorld) string { who, _ := w.request(true, header...); return who }
}

// receives sees a header that a is sent.
func receives(name string) func(w *keyWorld) string {
	return func(w *keyWorld) string {
		return lastOfA(w).Header.Get(name)
	}
}

// lastOfA is the newest request that reached a, after one more.
func lastOfA(w *keyWorld) *simulator.Received {
	by(w)
	all := w.a.Requests()
	return all[len(all)-1]
}

// limitOfA sees how many tokens a is asked for.
func limitOfA(w *keyWorld) string {
	var body struct {
		Limit int `json:"max_tokens"`
	}
	_ = json.Unmarshal(lastOfA(w).Body, &body) // no limit is seen
	return strconv.Itoa(body.Limit)
}

// needsRestart sees whether the log names a key that needs a restart.
func needsRestart(key string) func(w *keyWorld) string {
	return func(w *keyWorld) string {
		return fmt.Sprint(strings.Contains(w.log.String(), "takes effect at the next start\" key="+key+"\n"))
	}
}

// stateOfA sees how a stands after a request of a new session.
func stateOfA(w *keyWorld) string {
	w.request(true, sessionHeader, strconv.FormatUint(rand.Uint64(), 36))
	return string(w.proxy.Snapshot(0).Providers[0].State)
}

// budgetEvents sees how often a limit was told of.
func budgetEvents(w *keyWorld) string {
	by(w)
	n := 0
	for _, e := range w.proxy.Snapshot(0).Events {
		if e.Kind == metrics.EventBudget {
			n++
		}
	}
	return fmt.Sprint(n)
}

func hang(at simulator.Point) simulator.Answer {
	return simulator.Answer{Faults: []simulator.Fault{{Kind: simulator.Hang, At: at}}}
}

// edits of the base that several cases begin with.
var (
	priced   = []string{`provider: a}`, `provider: a, price: {input: 1000, output: 1000}}`}
	oneKey   = []string{"retry:", "apiKeys: [{name: one, key: client-key-one, dailyBudget: 100}]\nretry:"}
	patient  = []string{"retry: {cooldown: 0s}", "retry: {cooldown: 0s}\nrouting: {deadline: 3s}"}
	byTLS    = []string{"endpoint: A,", "endpoint: SECURE, tls: {ca: CA},"}
	keyOfOne = with("X-Api-Key", "client-key-one")
)

// keyCases has a case for each key, by its path in the types.
var keyCases = map[string]keyCase{
	"listen": {change: []string{"127.0.0.1:0", "127.0.0.1:1"}, see: needsRestart("listen"), was: "false", is: "true"},

	"tls.cert":       {change: []string{"retry:", "tls: {cert: c.pem, key: k.pem}\nretry:"}, see: needsRestart("tls.cert"), was: "false", is: "true"},
	"tls.key":        {change: []string{"retry:", "tls: {cert: c.pem, key: k.pem}\nretry:"}, see: needsRestart("tls.key"), was: "false", is: "true"},
	"tls.minVersion": {change: []string{"retry:", "tls: {minVersion: \"1.2\"}\nretry:"}, see: needsRestart("tls.minVersion"), was: "false", is: "true"},

	"apiKeys[].name": {base: oneKey, change: []string{"name: one", "name: two"}, was: "one", is: "two", see: func(w *keyWorld) string {
		keyOfOne(w)
		return w.proxy.Snapshot(0).Requests[0].Key
	}},
	"apiKeys[].key":         {base: oneKey, change: []string{"client-key-one", "client-key-two"}, see: keyOfOne, was: "a", is: "401"},
	"apiKeys[].models":      {base: oneKey, change: []string{"name: one", "name: one, models: [gpt-*]"}, see: keyOfOne, was: "a", is: "403"},
	"apiKeys[].dailyBudget": {a: costly, base: append(priced, oneKey...), change: []string{"dailyBudget: 100", "dailyBudget: 1"}, see: keyOfOne, was: "a", is: "429"},

	"providers.*.type": {change: []string{"endpoint: A,", "type: openai, endpoint: A,"}, see: by, was: "a", is: "b"},
	"providers.*.apiVersion": {base: []string{"endpoint: A,", "type: openai, endpoint: A,"}, change: []string{"type: openai,", "type: openai, apiVersion: 2024-10-21,"},
		see: func(w *keyWorld) string { r := lastOfA(w); return r.Path + "?" + r.Query },
		was: "/v1/chat/completions?", is: "/openai/deployments/claude-sonnet-4-5/chat/completions?api-version=2024-10-21"},
	"models[].maxOutput": {base: []string{"endpoint: A,", "type: openai, endpoint: A,"}, change: []string{"provider: a}", "provider: a, maxOutput: 10}"},
		see: limitOfA, was: "1000", is: "10"},
	"providers.*.apiKey":             {change: []string{"upstream-key-of-a", "another-key-of-a"}, see: receives("X-Api-Key"), was: "upstream-key-of-a", is: "another-key-of-a"},
	"providers.*.auth":               {change: []string{"endpoint: A,", "auth: bearer, endpoint: A,"}, see: receives("Authorization"), was: "", is: "Bearer upstream-key-of-a"},
	"providers.*.headers":            {change: []string{"endpoint: A,", "headers: {X-Team: red}, endpoint: A,"}, see: receives("X-Team"), was: "", is: "red"},
	"providers.*.timeouts.connect":   {change: []string{"endpoint: A,", "timeouts: {connect: 1ns}, endpoint: A,"}, see: tried(true), was: "a 1", is: "b 2"},
	"providers.*.timeouts.firstByte": {a: hang(simulator.Point{}), base: patient, change: []string{"endpoint: A,", "timeouts: {firstByte: 50ms}, endpoint: A,"}, see: tried(true), was: "504", is: "b 2"},
	"providers.*.timeouts.idle":      {a: hang(simulator.Events(1)), base: patient, change: []string{"endpoint: A,", "timeouts: {idle: 50ms}, endpoint: A,"}, see: tried(true), was: "504", is: "b 2"},
	"providers.*.timeouts.total":     {a: hang(simulator.Point{}), base: patient, change: []string{"endpoint: A,", "timeouts: {total: 50ms}, endpoint: A,"}, see: tried(false), was: "504", is: "b 2"},
	"providers.*.dailyBudget":        {a: costly, base: priced, change: []string{"endpoint: A,", "dailyBudget: 1, endpoint: A,"}, see: by, was: "a", is: "b"},
	"providers.*.billing": {a: costly, base: append(priced, "retry:", "budget: {daily: 1}\nretry:", "endpoint: A,", "billing: subscription, endpoint: A,"),
		change: []string{"billing: subscription", "billing: tokens"}, see: twice, was: "a a", is: "a 429"},
	"providers.*.endpoint": {change: []string{"endpoint: A,", "endpoint: C,"}, was: "1 0", is: "1 1", see: func(w *keyWorld) string {
		by(w)
		return fmt.Sprint(len(w.a.Requests()), len(w.c.Requests()))
	}},
	"providers.*.http2": {base: byTLS, change: []string{"tls:", "http2: true, tls:"}, was: "HTTP/1.1", is: "HTTP/2.0", see: func(w *keyWorld) string {
		by(w)
		return w.proto.Load().(string)
	}},
	"providers.*.tls.minVersion": {oldTLS: true, base: append(byTLS, "tls: {", "tls: {minVersion: '1.2', "), change: []string{"'1.2'", "'1.3'"}, see: tried(true), was: "a 1", is: "b 2"},
	"providers.*.tls.ca":         {base: byTLS, change: []string{"tls: {ca: CA}", "tls: {}"}, see: tried(true), was: "a 1", is: "b 2"},
	"providers.*.tls.pins": {base: byTLS, change: []string{"tls: {", `tls: {pins: ["sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="], `},
		see: tried(true), was: "a 1", is: "b 2"},

	"models[].alias":    {change: []string{`{alias: "claude-*", provider: a`, `{alias: other, provider: a`}, see: by, was: "a", is: "b"},
	"models[].provider": {change: []string{"provider: a", "provider: c"}, see: by, was: "a", is: "c"},
	"models[].tier":     {change: []string{"provider: a", "provider: a, tier: 3"}, see: by, was: "a", is: "b"},
	"models[].weight": {base: []string{"provider: a", "provider: a, weight: 2", "tier: 2", "tier: 1", "retry:", "routing: {policy: priority}\nretry:"},
		change: []string{"weight: 2", "weight: 0.5"}, see: by, was: "a", is: "b"},
	"models[].name": {change: []string{"provider: a", "provider: a, name: glm-4.6"}, was: "claude-sonnet-4-5", is: "glm-4.6", see: func(w *keyWorld) string {
		by(w)
		all := w.a.Requests()
		return all[len(all)-1].Ask().Model
	}},
	"models[].context": {base: []string{`{alias: "claude-*", provider: a`, `{alias: claude-sonnet-4-5, provider: a, context: 1000`}, change: []string{"context: 1000", "context: 2000"},
		was: "1000", is: "2000", see: func(w *keyWorld) string {
			res, err := w.Client().Get(w.URL + "/v1/models/claude-sonnet-4-5")
			if err != nil {
				w.Fatal(err)
			}
			defer res.Body.Close()
			var model map[string]any
			if err := json.NewDecoder(res.Body).Decode(&model); err != nil {
				w.Fatal(err)
			}
			return fmt.Sprint(model["context_window"])
		}},
	"models[].price.input":        priceCase("input"),
	"models[].price.output":       priceCase("output"),
	"models[].price.cacheRead":    priceCase("cacheRead"),
	"models[].price.cacheWrite":   priceCase("cacheWrite"),
	"models[].price.cacheWrite1h": priceCase("cacheWrite1h"),

	"routing.policy": {base: equals, change: []string{"retry:", "routing: {policy: priority}\nretry:"}, see: everybody, was: "a b", is: "a"},
	"routing.deadline": {a: hang(simulator.Point{}), base: []string{"endpoint: A,", "timeouts: {firstByte: 50ms}, endpoint: A,"},
		change: []string{"retry:", "routing: {deadline: 1ns}\nretry:"}, see: by, was: "b", is: "504"},
	"retry.cooldown":      {a: simulator.Answer{Faults: []simulator.Fault{simulator.Overloaded()}}, change: []string{"cooldown: 0s", "cooldown: 1h"}, see: stateOfA, was: "half-open", is: "cooling"},
	"retry.maxRetryAfter": {a: simulator.Answer{Faults: []simulator.Fault{simulator.RateLimited(time.Hour)}}, base: []string{"cooldown: 0s", "cooldown: 0s, maxRetryAfter: 0s"}, change: []string{"maxRetryAfter: 0s", "maxRetryAfter: 1h"}, see: stateOfA, was: "half-open", is: "cooling"},

	"budget.daily":      {a: costly, base: priced, change: []string{"retry:", "budget: {daily: 1}\nretry:"}, see: by, was: "a", is: "429"},
	"budget.alertAt":    {a: costly, base: append(priced, "retry:", "budget: {daily: 100, alertAt: 80}\nretry:"), change: []string{"alertAt: 80", "alertAt: 1"}, see: budgetEvents, was: "0", is: "1"},
	"budget.onExceeded": {a: costly, base: append(priced, "retry:", "budget: {daily: 1, onExceeded: block}\nretry:"), change: []string{"block", "warn"}, see: twice, was: "a 429", is: "a a"},

	"alerts.webhook":      {whole: webhookIsTaken},
	"alerts.fallbackRate": {whole: alertIsTaken("fallbackRate: 0", "fallbackRate: 0.01", "fell over to another provider")},
	"alerts.p95Latency":   {whole: alertIsTaken("p95Latency: 0s", "p95Latency: 1us", "waits")},

	"allowedHosts": {change: []string{"retry:", "allowedHosts: [proxy.internal]\nretry:"}, see: with("Host", "proxy.internal"), was: "403", is: "a"},
	"drainTimeout": {whole: drainTimeoutIsTaken},
	"log.file":     {change: []string{"retry:", "log: {file: requests.jsonl}\nretry:"}, see: needsRestart("log.file"), was: "false", is: "true"},
	"log.bodies":   {change: []string{"retry:", "log: {bodies: none}\nretry:"}, see: needsRestart("log.bodies"), was: "false", is: "true"},
	"log.maxSize":  {change: []string{"retry:", "log: {maxSize: 1MB}\nretry:"}, see: needsRestart("log.maxSize"), was: "false", is: "true"},
	"log.keep":     {change: []string{"retry:", "log: {keep: 1}\nretry:"}, see: needsRestart("log.keep"), was: "false", is: "true"},
}

// priceCase spends the day's budget by one kind of token.
func priceCase(key string) keyCase {
	return keyCase{
		a:      simulator.Answer{Blocks: good.Blocks, Usage: simulator.Usage{Input: 1000, Output: 1000, CacheRead: 1000, CacheWrite: 2000, CacheWrite1h: 1000}},
		base:   []string{"provider: a}", "provider: a, price: {" + key + ": 0}}", "retry:", "budget: {daily: 1}\nretry:"},
		change: []string{key + ": 0", key + ": 1000"}, see: twice, was: "a a", is: "a 429",
	}
}

// TestEveryKeyTakesEffect changes each key once on a running proxy and looks at
// what it then does.
func TestEveryKeyTakesEffect(t *testing.T) {
	for _, key := range keyPaths("", reflect.TypeFor[config.Config]()) {
		c, ok := keyCases[key]
		if !ok {
			t.Errorf("%s: no case changes it", key)
			continue
		}
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			c.run(t)
		})
	}
}

// keyPaths lists the keys that hold a value.
func keyPaths(path string, typ reflect.Type) (all []string) {
	for i := range typ.NumField() {
		f := typ.Field(i)
		name := f.Tag.Get("yaml")
		if name == "" || name == "-" {
			continue
		}
		key, inner := strings.TrimPrefix(path+"."+name, "."), f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		switch inner {
		case reflect.TypeFor[[]config.Provider]():
			key, inner = key+".*", inner.Elem()
		case reflect.TypeFor[[]config.Model](), reflect.TypeFor[[]config.ClientKey]():
			key, inner = key+"[]", inner.Elem()
		}
		if inner.Kind() != reflect.Struct || inner == reflect.TypeFor[config.SecretRef]() {
			all = append(all, key)
		} else {
			all = append(all, keyPaths(key, inner)...)
		}
	}
	return all
}

// drainTimeoutIsTaken ends a program whose stream would go on for ever.
func drainTimeoutIsTaken(t *testing.T) {
	file := configFile(t, "drainTimeout: 1h\n", upstream(t, simulator.Always(faulty(simulator.Fault{Kind: simulator.Hang, At: simulator.Deltas(3)}))))
	edit(t, file, "idle: 2s", "idle: 1h")
	p := start(t, nil, "-config", file, "-watch", "-yes")
	res, err := http.Post(p.base+"/v1/messages", "application/json", strings.NewReader(ask(true)))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	edit(t, file, "drainTimeout: 1h", "drainTimeout: 100ms")
	eventually(t, "the reload", func() bool { return strings.Contains(p.errw.String(), "configuration applied") })
	p.stop()
	body, err := io.ReadAll(res.Body)
	if m, bad := grammar.Check(body); err != nil || bad != nil || m.ErrorType != "overloaded_error" {
		t.Errorf("%v %v: %s", err, bad, body)
	}
}

func (c keyCase) run(t *testing.T) {
	if c.whole != nil {
		c.whole(t)
		return
	}
	if reflect.DeepEqual(c.a, simulator.Answer{}) {
		c.a = good
	}
	w := &keyWorld{T: t, a: upstream(t, simulator.Always(c.a)), b: upstream(t, simulator.Always(good)), c: upstream(t, simulator.Always(good))}
	w.secure = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.proto.Store(r.Proto)
		w.a.ServeHTTP(rw, r)
	}))
	w.secure.EnableHTTP2 = true
	w.secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	if c.oldTLS {
		w.secure.TLS = &tls.Config{MaxVersion: tls.VersionTLS12}
	}
	w.secure.StartTLS()
	t.Cleanup(w.secure.Close)
	ca := writeFile(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.secure.Certificate().Raw})))
	real := strings.NewReplacer("endpoint: A", "endpoint: "+w.a.URL(), "endpoint: B", "endpoint: "+w.b.URL(), "endpoint: C", "endpoint: "+w.c.URL(),
		"endpoint: SECURE", "endpoint: "+w.secure.URL, "ca: CA", "ca: "+ca)
	change := func(text string, edits []string) string {
		for i := 0; i < len(edits); i += 2 {
			if !strings.Contains(text, edits[i]) {
				t.Fatalf("%q is not in:\n%s", edits[i], text)
			}
			text = strings.ReplaceAll(text, edits[i], edits[i+1])
		}
		return text
	}
	base := change(keyBase, c.base)
	file := writeFile(t, "config.yaml", real.Replace(base))
	w.reloading = live(t, "-config", file)
	if got := c.see(w); got != c.was {
		t.Fatalf("before: %q, want %q\n%s", got, c.was, w.log.String())
	}
	save(t, file, real.Replace(change(base, c.change)))
	w.hangUp()
	w.said(t, "configuration applied")
	eventually(t, "the reload", func() bool { return w.reloads().Applied == 1 })
	_ = w.Reject("") // answered when the reload is over
	if got := c.see(w); got != c.is {
		t.Errorf("after: %q, want %q\n%s", got, c.is, w.log.String())
	}
}
