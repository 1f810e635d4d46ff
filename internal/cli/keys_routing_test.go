package cli

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"anyproxy/internal/simulator"
)

const sessionHeader = "X-Claude-Code-Session-Id"

var (
	// equals puts a and b into one tier.
	equals = []string{"tier: 2", "tier: 1"}
	// alone leaves a as the only one, which then has no breaker.
	alone = []string{`"claude-*", provider: b`, `other, provider: b`}

	failing = simulator.Answer{Faults: []simulator.Fault{simulator.ServerError()}}
	// slow takes two seconds, long enough to say how fast it is.
	slow = simulator.Answer{Blocks: []simulator.Block{simulator.Text(strings.Repeat("word ", 20))}, Rate: 10}
)

// retries has a asked again when it fails, in no more than a second.
func retries(keys string) []string {
	return append(alone, "retry: {cooldown: 0s}", "retry: {retrySameProvider: true, "+keys+"}\nrouting: {deadline: 1s}")
}

// among sees who answers 60 requests, each of a session of its own.
func among(w *keyWorld) []string {
	var all []string
	for range 60 {
		who, _ := w.request(true, sessionHeader, strconv.FormatUint(rand.Uint64(), 36))
		all = append(all, who)
	}
	return all
}

// everybody sees who answers at all.
func everybody(w *keyWorld) string {
	all := among(w)
	slices.Sort(all)
	return strings.Join(slices.Compact(all), " ")
}

// mostly sees whether b answers nearly all.
func mostly(w *keyWorld) string {
	n := 0
	for _, who := range among(w) {
		if who == "b" {
			n++
		}
	}
	return fmt.Sprint(n > 50)
}

// oneSession sees how many providers serve a session.
func oneSession(w *keyWorld) string {
	seen := map[string]bool{}
	for range 40 {
		seen[with(sessionHeader, "the-one")(w)] = true
	}
	return fmt.Sprint(len(seen))
}

// secondTurn sees who answers a session's second turn at which attempt.
func secondTurn(w *keyWorld) string {
	w.request(true, sessionHeader, "the-one")
	who, n := w.request(true, sessionHeader, "the-one")
	return who + " " + n
}

// attempts sees how often an upstream is asked.
func attempts(w *keyWorld) string {
	return w.ask(w.T, true).Header.Get("X-Anyproxy-Attempts")
}

// measured sees who is asked once it is known how fast a is.
func measured(w *keyWorld) string {
	w.request(true, "X-Anyproxy-Provider", "a")
	return by(w)
}

// besides sees who is asked while a is busy with an answer that never comes.
func besides(w *keyWorld) string {
	if len(w.a.Requests()) == 0 {
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan struct{})
		w.Cleanup(func() { stop(); <-done })
		req, err := http.NewRequestWithContext(ctx, "POST", w.URL+"/v1/messages", strings.NewReader(ask(false)))
		if err != nil {
			w.Fatal(err)
		}
		go func() {
			defer close(done)
			if res, err := w.Client().Do(req); err == nil {
				res.Body.Close()
			}
		}()
		eventually(w.T, "a request to a", func() bool { return len(w.a.Requests()) > 0 })
	}
	return tried(true)(w)
}

// asking sees who answers a request of other words.
func asking(parts string) func(w *keyWorld) string {
	return func(w *keyWorld) string {
		return w.send(w.T, `{"model":"claude-sonnet-4-5","max_tokens":9000,"stream":true,`+parts+`}`).Header.Get("X-Anyproxy-Provider")
	}
}

// capability takes from a what a request needs.
func capability(key, parts string) keyCase {
	return keyCase{change: []string{"provider: a}", "provider: a, capabilities: {" + key + ": false}}"}, see: asking(parts), was: "a", is: "b"}
}

const (
	sayHi = `"messages":[{"role":"user","content":"say hi"}]`
	media = `"messages":[{"role":"user","content":[{"type":%q,"source":{"type":"base64","media_type":%q,"data":"AAAA"}},{"type":"text","text":"what is it?"}]}]`
)

func init() {
	for key, c := range map[string]keyCase{
		"providers.*.maxConcurrent": {a: hang(simulator.Point{}), base: []string{"endpoint: A,", "timeouts: {firstByte: 50ms}, endpoint: A,"},
			change: []string{"timeouts:", "maxConcurrent: 1, timeouts:"}, see: besides, was: "b 2", is: "b 1"},
		"models[].capabilities.images":   capability("images", fmt.Sprintf(media, "image", "image/png")),
		"models[].capabilities.pdf":      capability("pdf", fmt.Sprintf(media, "document", "application/pdf")),
		"models[].capabilities.thinking": capability("thinking", `"thinking":{"type":"enabled","budget_tokens":1024},`+sayHi),
		"models[].thinking": {change: []string{"provider: a}", "provider: a, thinking: false}"}, see: asking(`"thinking":{"type":"enabled","budget_tokens":1024},` + sayHi),
			was: "a", is: "b"},
		"models[].capabilities.tools": capability("tools", `"tools":[{"name":"t","input_schema":{"type":"object"}}],`+sayHi),

		"routing.prefer": {base: append(equals, "provider: a}", "provider: a, price: {output: 100}}", "provider: b,", "provider: b, price: {output: 1},"),
			change: []string{"retry:", "routing: {prefer: cost}\nretry:"}, see: mostly, was: "false", is: "true"},
		"routing.tpsThreshold": {a: slow, base: append(equals, "provider: a}", "provider: a, weight: 2}", "retry:", "routing: {policy: priority, tpsThreshold: 5}\nretry:"),
			change: []string{"tpsThreshold: 5", "tpsThreshold: 40"}, see: measured, was: "a", is: "b"},
		"routing.affinity": {base: equals, change: []string{"retry:", "routing: {affinity: 1ns}\nretry:"}, see: oneSession, was: "1", is: "2"},
		"routing.switchback": {a: simulator.Answer{Faults: []simulator.Fault{simulator.Overloaded()}},
			change: []string{"retry:", "routing: {switchback: 1ns}\nretry:"}, see: secondTurn, was: "b 1", is: "b 2"},

		"retry.retrySameProvider": {a: failing, base: retries("initialDelay: 1ms"), change: []string{"retrySameProvider: true", "retrySameProvider: false"}, see: attempts, was: "4", is: "1"},
		"retry.maxRetries":        {a: failing, base: retries("initialDelay: 1ms, maxRetries: 1"), change: []string{"maxRetries: 1", "maxRetries: 2"}, see: attempts, was: "2", is: "3"},
		"retry.initialDelay":      {a: failing, base: retries("initialDelay: 1ms, maxRetries: 1, maxDelay: 1h"), change: []string{"1ms", "1h"}, see: attempts, was: "2", is: "1"},
		"retry.maxDelay": {a: failing, base: retries("initialDelay: 1ms, maxRetries: 2, backoffMultiplier: 1000000000, maxDelay: 1ms"),
			change: []string{"maxDelay: 1ms", "maxDelay: 1h"}, see: attempts, was: "3", is: "2"},
		"retry.backoffMultiplier": {a: failing, base: retries("initialDelay: 1ms, maxRetries: 2, maxDelay: 1h, backoffMultiplier: 1"),
			change: []string{"backoffMultiplier: 1", "backoffMultiplier: 1000000000"}, see: attempts, was: "3", is: "2"},

		"state.keepDays": {change: []string{"retry:", "state: {keepDays: 3}\nretry:"}, see: needsRestart("state.keepDays"), was: "false", is: "true"},
		"state.path":     {change: []string{"retry:", "state: {path: none}\nretry:"}, see: needsRestart("state.path"), was: "false", is: "true"},
	} {
		keyCases[key] = c
	}
}
