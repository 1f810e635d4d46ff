package cli

import (
	"context"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"anyproxy/internal/grammar"
	"anyproxy/internal/logging"
	"anyproxy/internal/simulator"
	"anyproxy/metrics"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// reloading is a program whose configuration is reloaded, without its listeners'
// server: requests go to a handler.
type reloading struct {
	*reloader
	*httptest.Server
	log safeBuffer
}

// anyPort lets a listener take whichever is free.
const anyPort = "-listen=127.0.0.1:0"

// live prepares a program and reloads its configuration until the test ends.
func live(t *testing.T, args ...string) *reloading {
	t.Helper()
	v := &reloading{}
	f, err := parseFlags(args, none)
	if err != nil {
		t.Fatal(err)
	}
	errw := newStderr(&v.log, none)
	p := &program{now: time.Now, flags: f, out: io.Discard, errw: errw, getenv: none, redact: errw.redact}
	p.logger, _ = logging.New(&v.log, "", "", p.redact)
	if err := p.prepare(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	p.closeListeners()
	v.reloader, v.Server = newReloader(p, strings.NewReader("y\n")), httptest.NewServer(p.proxy)
	ctx, stop := context.WithCancel(context.Background())
	var ran sync.WaitGroup
	ran.Go(func() { v.run(ctx) })
	t.Cleanup(func() {
		v.Server.Close()
		stop()
		ran.Wait()
		p.close()
	})
	return v
}

// provider is who answers a request.
func (v *reloading) provider(t *testing.T, header ...string) string {
	t.Helper()
	return v.ask(t, true, header...).Header.Get("X-Anyproxy-Provider")
}

// ask sends a request and returns its answer, whose body has been read.
func (v *reloading) ask(t *testing.T, stream bool, header ...string) *http.Response {
	t.Helper()
	return v.send(t, ask(stream), header...)
}

// send is ask with a body.
func (v *reloading) send(t *testing.T, body string, header ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequest("POST", v.URL+"/v1/messages", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	req.Host = req.Header.Get("Host")
	res, err := v.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res
}

// review returns the review that is shown, once it is another than the last.
func (v *reloading) review(t *testing.T, last *metrics.Review) (r *metrics.Review) {
	t.Helper()
	eventually(t, "a review", func() bool {
		r = v.proxy.Snapshot(0).Review
		return r != nil && r != last
	})
	return r
}

func (v *reloading) reloads() metrics.Reloads { return v.proxy.Snapshot(0).Reloads }

// said waits for a text in the log.
func (v *reloading) said(t *testing.T, text string) {
	t.Helper()
	eventually(t, text, func() bool { return strings.Contains(v.log.String(), text) })
}

func TestAChangeWaitsForItsApproval(t *testing.T) {
	a, b := upstream(t, simulator.Always(good)), upstream(t, simulator.Always(good))
	file := configFile(t, "", a, b)
	v := live(t, anyPort, "-config", file, "-watch")
	eventually(t, "the watch", func() bool { return v.proxy.Snapshot(0).Watching })

	edit(t, file, "tier: 1", "tier: 3")
	first := v.review(t, nil)
	if got := v.provider(t); got != "a" || !first.Usable() {
		t.Fatalf("before the approval served by %s; problems %v", got, first.Problems)
	}
	edit(t, file, "tier: 3", "tier: 4")
	second := v.review(t, first)
	if err := v.Apply(first.Hash); !errors.Is(err, errSuperseded) {
		t.Errorf("an older review is applied: %v", err)
	}
	if err := v.Reject(first.Hash); !errors.Is(err, errSuperseded) {
		t.Errorf("an older review is rejected: %v", err)
	}
	edit(t, file, "tier: 4", "teir: 4")
	broken := v.review(t, second)
	if broken.Usable() || !strings.Contains(broken.Problems[0].Text, "did you mean tier?") || !strings.Contains(broken.Problems[0].Excerpt, "^") {
		t.Errorf("a broken file: %+v", broken.Problems)
	}
	for _, hash := range []string{second.Hash, broken.Hash} {
		if err := v.Apply(hash); !errors.Is(err, errSuperseded) {
			t.Errorf("with a broken file on the disk something is applied: %v", err)
		}
	}
	edit(t, file, "teir: 4", "tier: 4")
	third := v.review(t, broken)
	if third.Hash != second.Hash {
		t.Errorf("the same bytes have the hashes %s and %s", second.Hash, third.Hash)
	}
	if err := v.Apply(third.Hash); err != nil {
		t.Fatal(err)
	}
	s := v.proxy.Snapshot(0)
	if got := v.provider(t); got != "b" || s.Review != nil || s.Reloads != (metrics.Reloads{Applied: 1, Invalid: 1}) || !s.ConfigAt.After(third.At) {
		t.Errorf("after the approval served by %s, review %v, %+v", got, s.Review, s.Reloads)
	}
	if err := v.Apply(third.Hash); !errors.Is(err, errSuperseded) {
		t.Errorf("applied twice: %v", err)
	}
	if !slices.ContainsFunc(s.Events, func(e metrics.Event) bool {
		return e.Kind == metrics.EventConfig && strings.HasSuffix(e.Text, ": applied, 1 change")
	}) {
		t.Errorf("no event of it: %v", s.Events)
	}
}

func TestWhatIsAppliedIsWhatWasShown(t *testing.T) {
	a, b := upstream(t, simulator.Always(good)), upstream(t, simulator.Always(good))
	file := configFile(t, "", a, b)
	v := live(t, anyPort, "-config", file, "-watch")
	edit(t, file, "tier: 1", "tier: 3")
	shown := v.review(t, nil)
	edit(t, file, "tier: 2", "tier: 9") // nobody has seen this
	want := "b"
	if err := v.Apply(shown.Hash); errors.Is(err, errSuperseded) {
		want = "a" // the new save came first: the review has begun again
	} else if err != nil {
		t.Fatal(err)
	}
	if got := v.provider(t); got != want {
		t.Errorf("served by %q, want %s", got, want)
	}
}

func TestRejectedAndTakenBack(t *testing.T) {
	a, b := upstream(t, simulator.Always(good)), upstream(t, simulator.Always(good))
	file := configFile(t, "", a, b)
	v := live(t, anyPort, "-config", file, "-watch")
	edit(t, file, "tier: 1", "tier: 3")
	r := v.review(t, nil)
	if err := v.Reject(r.Hash); err != nil {
		t.Fatal(err)
	}
	if s := v.proxy.Snapshot(0); s.Review != nil || s.Reloads != (metrics.Reloads{Rejected: 1}) || v.provider(t) != "a" {
		t.Errorf("rejected: %+v", s.Reloads)
	}
	edit(t, file, "tier: 3", "tier: 4")
	r = v.review(t, r)
	edit(t, file, "tier: 4", "tier: 1") // as it runs
	eventually(t, "the review's end", func() bool { return v.proxy.Snapshot(0).Review == nil })
	edit(t, file, "tier: 1", "tier: 5")
	r = v.review(t, r)
	if err := os.Rename(file, file+"~"); err != nil {
		t.Fatal(err)
	}
	v.said(t, "is gone")
	if v.proxy.Snapshot(0).Review != nil {
		t.Error("the review of a file that is gone waits on")
	}
	if err := os.Rename(file+"~", file); err != nil {
		t.Fatal(err)
	}
	v.review(t, r)
	if v.provider(t) != "a" || v.reloads() != (metrics.Reloads{Rejected: 1}) {
		t.Errorf("in the end served by %s, %+v", v.provider(t), v.reloads())
	}
}

// TestWithoutATerminalAChangeWaits: standard input has a y, which nobody reads.
func TestWithoutATerminalAChangeWaits(t *testing.T) {
	a, b := upstream(t, simulator.Always(good)), upstream(t, simulator.Always(good))
	file := configFile(t, "", a, b)
	v := live(t, anyPort, "-config", file, "-watch")
	edit(t, file, "tier: 1", "tier: 3")
	v.said(t, "SIGHUP applies the file as it then stands")
	edit(t, file, "tier: 3", "tier: 4") // the signal means this one
	v.hangUp()
	v.said(t, "configuration applied")
	if got := v.provider(t); got != "b" || v.proxy.Snapshot(0).Review != nil || v.reloads().Applied != 1 {
		t.Errorf("served by %s, %+v", got, v.reloads())
	}
	if n := strings.Count(v.log.String(), "waits, the running one stays"); n > 2 {
		t.Errorf("said %d times of two saves:\n%s", n, v.log.String())
	}
}

func TestARejectedChangeIsAskedAboutWhenItIsSavedAgain(t *testing.T) {
	file := configFile(t, "", upstream(t, simulator.Always(good)), upstream(t, simulator.Always(good)))
	v := live(t, "-config", file, "-watch", anyPort)
	edit(t, file, "tier: 1", "tier: 3")
	r := v.review(t, nil)
	if err := v.Reject(r.Hash); err != nil {
		t.Fatal(err)
	}
	edit(t, file, "tier: 3", "tier: 3")
	if again := v.review(t, r); again.Hash != r.Hash {
		t.Errorf("another file is asked about: %+v", again)
	}
}

// TestPlainLinesTellOfAChange looks at the lines, for which the log is silent.
func TestPlainLinesTellOfAChange(t *testing.T) {
	file := configFile(t, "", upstream(t, simulator.Always(good)), upstream(t, simulator.Always(good)))
	p := start(t, nil, "-config", file, "-watch", "-tui=plain")
	edit(t, file, "tier: 1", "tier: 3")
	for _, want := range []string{"~ models[a].tier  1 → 3", "new traffic of claude-*: a 100% → 0%", "the changed configuration waits"} {
		eventually(t, want, func() bool { return strings.Contains(p.out.String(), want) })
	}
}

func TestAFailedDashboardLeavesTheChangeToTheLog(t *testing.T) {
	a, b := upstream(t, simulator.Always(good)), upstream(t, simulator.Always(good))
	file := configFile(t, "", a, b)
	v := live(t, "-config", file, "-tui", anyPort)
	edit(t, file, "tier: 1", "tier: 3")
	v.review(t, nil)
	v.screenFailed()
	v.said(t, "the changed configuration waits, the running one stays")
	edit(t, file, "tier: 3", "tier: 4")
	v.said(t, "1 → 4")
}

func TestSignalWithoutWatch(t *testing.T) {
	a, b := upstream(t, simulator.Always(good)), upstream(t, simulator.Always(good))
	file := configFile(t, "", a, b)
	v := live(t, anyPort, "-config", file)
	edit(t, file, "tier: 1", "tear: 3")
	v.hangUp()
	v.said(t, "reload refused")
	edit(t, file, "tear: 3", "tier: 3")
	v.hangUp()
	v.said(t, "configuration applied")
	if got := v.provider(t); got != "b" || v.reloads() != (metrics.Reloads{Applied: 1, Invalid: 1}) {
		t.Errorf("served by %s, %+v", got, v.reloads())
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	v.hangUp()
	v.said(t, "no such file")
	if err := os.Mkdir(file, 0o700); err != nil {
		t.Fatal(err)
	}
	v.hangUp()
	v.said(t, "is no regular file")
	if got := v.provider(t); got != "b" || v.reloads() != (metrics.Reloads{Applied: 1, Invalid: 3}) {
		t.Errorf("served by %s, %+v", got, v.reloads())
	}
}

func TestSignalWithoutAFile(t *testing.T) {
	v := live(t, anyPort)
	v.hangUp()
	v.said(t, "no configuration file to read again")
}

// TestWhatCannotBeServedIsRefused has files that are sound and still cannot
// take over.
func TestWhatCannotBeServedIsRefused(t *testing.T) {
	a := upstream(t, simulator.Always(good))
	file := configFile(t, "", a)
	v := live(t, anyPort, "-config", file, "-watch")
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	own := v.listen[0].Addr().String()
	var last *metrics.Review
	for name, c := range map[string]struct{ old, now, says string }{
		"itself as a provider": {a.URL(), "http://" + own, "its endpoint is where anyproxy itself listens"},
		"a secret that is not": {"apiKey: upstream-key-of-a", "apiKey: 'file:" + file + ".none'", "no such file"},
		"a CA that is not":     {"apiKey: upstream-key-of-a", "apiKey: upstream-key-of-a, tls: {ca: " + file + ".none}", "tls: ca: open"},
	} {
		save(t, file, strings.Replace(string(before), c.old, c.now, 1))
		last = v.review(t, last)
		if last.Usable() || !strings.Contains(last.Problems[0].Text, c.says) {
			t.Errorf("%s: %+v", name, last)
		}
		if err := v.Apply(last.Hash); !errors.Is(err, errSuperseded) {
			t.Errorf("%s: applied: %v", name, err)
		}
	}
	if v.provider(t) != "a" {
		t.Error("the running configuration does not serve")
	}
}

// TestAnOpenListenerKeepsItsKeys: the address stays until the next start, so a
// file that closes it and drops the keys must not be served on it.
func TestAnOpenListenerKeepsItsKeys(t *testing.T) {
	a := upstream(t, simulator.Always(good))
	file := configFile(t, "apiKeys: [a-client-key-of-somebody]\nlisten: 0.0.0.0:0\n", a)
	errw := newStderr(io.Discard, none)
	p := &program{now: time.Now, flags: flags{config: file}, out: io.Discard, errw: errw, getenv: none, redact: errw.redact}
	p.logger, _ = logging.New(io.Discard, "", "", p.redact)
	if err := p.prepare(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	defer p.close()
	p.closeListeners()
	edit(t, file, "apiKeys: [a-client-key-of-somebody]\nlisten: 0.0.0.0:0\n", "")
	l := newReloader(p, nil)
	doc, err := l.read()
	if err != nil {
		t.Fatal(err)
	}
	if _, problems := p.review(context.Background(), doc, nil); problems == nil || !strings.Contains(problems.Problems[0].Text, "no client key is configured") {
		t.Errorf("reviewed as %+v", problems)
	}
}

// counted is an upstream that tells its connections apart.
func counted(t *testing.T, script simulator.Script) (url string, connections func() []string) {
	t.Helper()
	u := upstream(t, script)
	var mu sync.Mutex
	var seen []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = union(seen, []string{r.RemoteAddr})
		mu.Unlock()
		u.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(seen)
	}
}

func TestAnUnchangedProviderLivesOn(t *testing.T) {
	limited := simulator.Answer{Faults: []simulator.Fault{simulator.RateLimited(time.Hour)}}
	kept, keptConnections := counted(t, simulator.Always(good))
	changed, changedConnections := counted(t, simulator.Always(good))
	cooling, _ := counted(t, simulator.Sequence(limited, good))
	file := writeFile(t, "config.yaml", fmt.Sprintf(`apiKeys: [$RANDOM_KEY]
providers:
  cooling: {endpoint: %q, apiKey: upstream-key, auth: x-api-key}
  kept: {endpoint: %q, apiKey: upstream-key}
  changed: {endpoint: %q, apiKey: upstream-key}
models:
  - {alias: "claude-*", provider: cooling}
  - {alias: "claude-*", provider: kept, tier: 2}
  - {alias: "claude-*", provider: changed, tier: 3}
`, cooling, kept, changed))
	v := live(t, anyPort, "-config", file, "-watch", "-yes")
	key := v.built.random["key-1"].Reveal()
	from := func(provider string) string {
		return v.provider(t, "X-Api-Key", key, "X-Anyproxy-Provider", provider)
	}
	if got := from(""); got != "kept" || from("changed") != "changed" {
		t.Fatalf("served by %q", got)
	}
	before := v.proxy.Snapshot(0).Providers
	if before[0].State != metrics.StateCooling || before[1].OK != 1 {
		t.Fatalf("%+v", before)
	}
	edit(t, file, "auth: x-api-key", "auth: both", "tier: 3", "tier: 4", changed+`", apiKey: upstream-key`, changed+`", apiKey: another-key`)
	v.said(t, "configuration applied")
	for i, p := range v.proxy.Snapshot(0).Providers {
		if was := before[i]; p.OK != was.OK || p.Failed != was.Failed || p.State != was.State || !p.RetryAt.Equal(was.RetryAt) || p.TTFTp50 != was.TTFTp50 {
			t.Errorf("what was known of %s: %+v, is %+v", p.Name, was, p)
		}
	}
	if got := from(""); got != "kept" {
		t.Errorf("the fresh key or the pause is forgotten: served by %q", got)
	}
	from("changed")
	if n := keptConnections(); len(n) != 1 {
		t.Errorf("an unchanged provider has used the connections %v", n)
	}
	if n := changedConnections(); len(n) != 2 {
		t.Errorf("a changed provider has used the connections %v", n)
	}
	if strings.Contains(v.log.String(), key) {
		t.Error("the client key of the start is told again")
	}
}

func TestAChangedCertificateIsReadAgain(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	cert := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	ca := writeFile(t, "ca.pem", cert)
	file := writeFile(t, "config.yaml", fmt.Sprintf("providers: {a: {endpoint: %q, auth: none, tls: {ca: %q}}}\nmodels: [{alias: m, provider: a}]\n", server.URL, ca))
	v := live(t, anyPort, "-config", file)
	first := v.built.instances["a"]
	apply := func(n int64) *instance {
		v.hangUp()
		eventually(t, "the reload", func() bool { return v.reloads().Applied == n })
		_ = v.Reject("") // answered only when the reload is over
		return v.built.instances["a"]
	}
	if apply(1) != first {
		t.Error("an unchanged certificate makes a new provider")
	}
	save(t, ca, cert+"\n")
	if apply(2) == first {
		t.Error("a changed certificate is not read again")
	}
}

func TestAFreshKeyOfAReloadIsTold(t *testing.T) {
	file := configFile(t, "apiKeys: [{name: one, key: $RANDOM_KEY}]\n", upstream(t, simulator.Always(good)))
	v := live(t, anyPort, "-config", file, "-watch", "-yes")
	one := v.built.random["one"].Reveal()
	edit(t, file, "[{", "[{name: two, key: $RANDOM_KEY}, {")
	v.said(t, "client key two: ak-")
	key := regexp.MustCompile(`client key two: (ak-[0-9a-f]{40})`).FindStringSubmatch(v.log.String())
	if key == nil || v.provider(t, "X-Api-Key", key[1]) != "a" || v.provider(t, "X-Api-Key", one) != "a" {
		t.Errorf("key %v is not taken, or the old one is not", key)
	}
	if v.provider(t, "X-Api-Key", "something else") != "" {
		t.Error("any key is taken")
	}
}

// TestReloadUnderLoad has streams that begin before the first reload and end
// after the last one: each must come whole.
func TestReloadUnderLoad(t *testing.T) {
	const streams, reloads = 200, 50
	over := make(chan struct{})
	var begun sync.WaitGroup
	begun.Add(streams)
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		flush := http.NewResponseController(w)
		send := func(event, data string) {
			fmt.Fprintf(w, "event: %s\ndata: {\"type\":%q%s}\n\n", event, event, data)
			_ = flush.Flush() // a client that has gone ends the request
		}
		delta := func(text string) {
			send("content_block_delta", `,"index":0,"delta":{"type":"text_delta","text":"`+text+`"}`)
		}
		send("message_start", `,"message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}`)
		send("content_block_start", `,"index":0,"content_block":{"type":"text","text":""}`)
		delta("begun ")
		begun.Done()
		for n := 0; ; n++ {
			select {
			case <-over:
				delta("over")
				send("content_block_stop", `,"index":0`)
				send("message_delta", `,"delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":9}`)
				send("message_stop", "")
				return
			case <-r.Context().Done():
				return
			case <-time.After(20 * time.Millisecond):
				delta("on ")
			}
		}
	}))
	defer slow.Close()
	file := writeFile(t, "config.yaml", fmt.Sprintf(`providers:
  kept: {endpoint: %q, apiKey: upstream-key}
  changed: {endpoint: %q, apiKey: upstream-key}
  removed: {endpoint: %q, apiKey: upstream-key}
models:
  - {alias: kept, provider: kept}
  - {alias: changed, provider: changed, weight: 1}
  - {alias: removed, provider: removed}
`, slow.URL, slow.URL, slow.URL))
	v := live(t, anyPort, "-config", file)
	texts := make([]string, streams)
	var ended sync.WaitGroup
	for i := range streams {
		ended.Go(func() {
			model := []string{"kept", "changed", "removed"}[i%3]
			body := strings.Replace(ask(true), "claude-sonnet-4-5", model, 1)
			res, err := v.Client().Post(v.URL+"/v1/messages", "application/json", strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			got, err := io.ReadAll(res.Body)
			m, bad := grammar.Check(got)
			if err != nil || bad != nil || m.End != grammar.Complete {
				t.Errorf("%s: %v %v: %s", model, err, bad, got)
				return
			}
			texts[i] = m.Text()
		})
	}
	begun.Wait()
	edit(t, file, "  removed: {", "  other: {", "provider: removed", "provider: other")
	for n := range reloads {
		old, now := fmt.Sprintf("weight: %d}", n+1), fmt.Sprintf("weight: %d}", n+2)
		edit(t, file, old, now)
		edit(t, file, "apiKey: upstream-key}\n  other", fmt.Sprintf("apiKey: upstream-key, headers: {X-N: n%d}}\n  other", n))
		v.hangUp()
		eventually(t, "the reload", func() bool { return v.reloads().Applied == int64(n+1) })
		edit(t, file, fmt.Sprintf(", headers: {X-N: n%d}", n), "")
	}
	close(over)
	ended.Wait()
	for i, text := range texts {
		if !strings.HasPrefix(text, "begun ") || !strings.HasSuffix(text, "over") {
			t.Errorf("stream %d reads %q", i, text)
		}
	}
	s := v.proxy.Snapshot(0)
	if s.OK != streams || s.Failed != 0 || s.Canceled != 0 || s.Reloads.Applied != reloads {
		t.Errorf("%d ok, %d failed, %d cancelled, %+v", s.OK, s.Failed, s.Canceled, s.Reloads)
	}
}
