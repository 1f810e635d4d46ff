//go:build e2e && unix

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"anyproxy/internal/simulator"
)

// turn is one thing to ask Claude Code, and what must come of it.
type turn struct {
	prompt string
	files  map[string]string // what the tools must have written
	result string            // how the last answer begins
	asks   int               // model requests that one run makes
}

var turns = map[string]turn{
	"plain": {prompt: "say hi", result: "You said: say hi", asks: 1},
	"tool": {prompt: `RUN-TOOL Bash {"command":"printf 'grün\n' > one.txt","description":"Write a file"}`,
		files: map[string]string{"one.txt": "grün\n"}, result: "The tool said: ", asks: 2},
	"thinking": {prompt: `THINK RUN-TOOL Bash {"command":"printf thought > one.txt","description":"Write a file"}`,
		files: map[string]string{"one.txt": "thought"}, result: "The tool said: ", asks: 2},
	"parallel": {prompt: `PARALLEL Bash {"command":"printf 1 > one.txt","description":"Write one"} Bash {"command":"printf 2 > two.txt","description":"Write two"}`,
		files: map[string]string{"one.txt": "1", "two.txt": "2"}, result: "The tool said: ", asks: 2},
}

// check runs a turn through the proxy at base.
func (c turn) check(t *testing.T, cl *client) {
	t.Helper()
	got := cl.claude(c.prompt)
	if got.IsError || got.Subtype != "success" || !strings.HasPrefix(got.Result, c.result) {
		t.Errorf("got %+v, want a result that begins with %q", got, c.result)
	}
	for name, want := range c.files {
		data, err := os.ReadFile(filepath.Join(cl.workdir, name))
		if err != nil || string(data) != want {
			t.Errorf("%s holds %q (%v), want %q", name, data, err, want)
		}
	}
}

func TestClaudeCode(t *testing.T) {
	for name, c := range turns {
		t.Run(name, func(t *testing.T) {
			needClients(t)
			first := startUpstream(t, simulator.Conversation(simulator.Answer{}))
			second := startUpstream(t, simulator.Conversation(simulator.Answer{}))
			c.check(t, newClient(t, startProxy(t, first.URL(), second.URL())))
			checkRequests(t, "first", first, c.asks, c.asks)
			checkRequests(t, "second", second, 0, 0)
		})
	}
}

func TestClaudeCodeShowsItsKeyAsBearer(t *testing.T) {
	needClients(t)
	first := startUpstream(t, simulator.Conversation(simulator.Answer{}))
	c := newClient(t, startProxy(t, first.URL(), first.URL()))
	c.bearer = true
	turns["plain"].check(t, c)
	checkRequests(t, "first", first, 1, 1)
}

// A thinking block goes back with the signature that it came with, or the real
// API refuses the next turn.
func TestClaudeCodeReturnsThinking(t *testing.T) {
	needClients(t)
	thought := simulator.HiddenThinking("It wants a file.")
	first := startUpstream(t, func(_ int, r *simulator.Received) simulator.Answer {
		if len(r.Ask().Results) > 0 {
			return simulator.Answer{Blocks: []simulator.Block{simulator.Text("Done.")}}
		}
		return simulator.Answer{Blocks: []simulator.Block{thought, simulator.ToolUse("Bash", `{"command":"true","description":"Nothing"}`)}}
	})
	c := newClient(t, startProxy(t, first.URL(), first.URL()))
	if got := c.claude("go"); got.Result != "Done." {
		t.Errorf("got %+v, want the result Done.", got)
	}
	last := checkRequests(t, "first", first, 2, 2)
	if !strings.Contains(string(last.Body), `"signature":"`+thought.Signature()+`"`) {
		t.Error("the second turn does not hold the signature of the first")
	}
}

// failures are the ways in which a first provider is down before content.
var failures = map[string]simulator.Fault{
	"429":                            simulator.RateLimited(0),
	"429 for a minute":               simulator.RateLimited(time.Minute),
	"401":                            simulator.Unauthorized(),
	"500":                            simulator.ServerError(),
	"529":                            simulator.Overloaded(),
	"HTML 502":                       simulator.HTML(502),
	"HTML 200":                       simulator.HTML(200),
	"empty 200":                      simulator.Empty(),
	"reset before headers":           {Kind: simulator.Reset, At: simulator.BeforeHeaders},
	"reset after message_start":      {Kind: simulator.Reset, At: simulator.Events(1)},
	"cut after message_start":        {Kind: simulator.Cut, At: simulator.Events(1)},
	"error event first":              simulator.ErrorAt(simulator.Events(0), 529, "Overloaded"),
	"error event after start":        simulator.ErrorAt(simulator.Events(1), 529, "Overloaded"),
	"error event after ping":         simulator.ErrorAt(simulator.Events(2), 500, "Internal server error"),
	"error event after block start":  simulator.ErrorAt(simulator.Events(3), 529, "Overloaded"),
	"an event that is not an answer": {Kind: simulator.Garbage, At: simulator.Events(1)},
}

// The client has no retries of its own here: the answer must come from the
// second provider within the first request.
func TestClaudeCodeNeverSeesAFirstProviderDown(t *testing.T) {
	for name, fault := range failures {
		for _, ask := range []string{"plain", "tool"} {
			t.Run(name+"/"+ask, func(t *testing.T) {
				needClients(t)
				t.Parallel()
				first := startUpstream(t, simulator.Conversation(simulator.Answer{Faults: []simulator.Fault{fault}}))
				second := startUpstream(t, simulator.Conversation(simulator.Answer{}))
				turns[ask].check(t, newClient(t, startProxy(t, first.URL(), second.URL())))
				checkRequests(t, "first", first, 1, turns[ask].asks) // whether it is tried again is a matter of routing
				checkRequests(t, "second", second, turns[ask].asks, turns[ask].asks)
			})
		}
	}
}

// Content that went out is never followed by another provider's. The client is
// told, and asks once more, without streaming.
func TestClaudeCodeRepairsAnAnswerThatBrokeAfterContent(t *testing.T) {
	needClients(t)
	fault := simulator.Fault{Kind: simulator.Reset, At: simulator.Deltas(2)}
	first := startUpstream(t, simulator.Conversation(simulator.Answer{Faults: []simulator.Fault{fault}}))
	second := startUpstream(t, simulator.Conversation(simulator.Answer{}))
	turns["plain"].check(t, newClient(t, startProxy(t, first.URL(), second.URL())))
	checkRequests(t, "first", first, 1, 2)
	if again := checkRequests(t, "second", second, 1, 1); again.Ask().Stream {
		t.Error("the second request streams")
	}
}

// Minutes of thinking that shows nothing are no content: when the provider dies
// in them, the turn goes on with the next one. Meanwhile the client is kept
// waiting by pings.
func TestClaudeCodeSurvivesADeathInHiddenThinking(t *testing.T) {
	needClients(t)
	t.Parallel()
	thinks := simulator.Answer{
		Blocks: []simulator.Block{simulator.HiddenThinking(strings.Repeat("so it goes ", 200)), simulator.Text("Never said.")},
		Rate:   5, PingEvery: 5 * time.Second,
		// Behind message_start, ping and the block's start come eight pings: 40 s.
		Faults: []simulator.Fault{{Kind: simulator.Reset, At: simulator.Events(11)}},
	}
	first := startUpstream(t, simulator.Always(thinks))
	second := startUpstream(t, simulator.Conversation(simulator.Answer{}))
	began := time.Now()
	turns["plain"].check(t, newClient(t, startProxy(t, first.URL(), second.URL())))
	if took := time.Since(began); took < 40*time.Second {
		t.Errorf("it took %v, the first provider should have thought for 40 s", took)
	}
	checkRequests(t, "first", first, 1, 1)
	checkRequests(t, "second", second, 1, 1)
}

// When nobody answers, the client reads why, in the upstream's words, and waits
// as long as it is told before it asks again.
func TestClaudeCodeIsToldThatAllAreDown(t *testing.T) {
	needClients(t)
	t.Parallel()
	limited := simulator.Answer{Faults: []simulator.Fault{simulator.RateLimited(4 * time.Second)}}
	first := startUpstream(t, simulator.Always(limited))
	second := startUpstream(t, simulator.Always(limited))
	c := newClient(t, startProxy(t, first.URL(), second.URL()))
	c.retries = 1
	got := c.claude("say hi")
	if !got.IsError || !strings.Contains(got.Result, "429") || !strings.Contains(got.Result, "rate limit") {
		t.Errorf("got %+v, want the upstream's words", got)
	}
	requests := append(first.Requests(), second.Requests()...)
	var earliest, latest time.Time
	for _, r := range requests {
		if earliest.IsZero() || r.Time.Before(earliest) {
			earliest = r.Time
		}
		if r.Time.After(latest) {
			latest = r.Time
		}
	}
	if gap := latest.Sub(earliest); gap < 4*time.Second {
		t.Errorf("the client asked again after %v, it was told to wait 4 s", gap)
	}
}

func TestSDK(t *testing.T) {
	needClients(t)
	first := startUpstream(t, simulator.Conversation(simulator.Answer{}))
	c := newClient(t, startProxy(t, first.URL(), first.URL()))
	got := c.finalMessage(`PARALLEL Read {"file_path":"a","limit":12345678901} Bash {"command":"printf '\u00e9'"}`)
	if got.Error != nil {
		t.Fatalf("got error %+v", got.Error)
	}
	m := got.Message
	if m.StopReason != "tool_use" || m.Usage.Output == 0 || len(m.Content) != 2 {
		t.Fatalf("got %+v, want two tool calls with usage", m)
	}
	if in := string(m.Content[0].Input); m.Content[0].Name != "Read" || in != `{"file_path":"a","limit":12345678901}` {
		t.Errorf("the first call is %s %s", m.Content[0].Name, in)
	}
	if in := string(m.Content[1].Input); m.Content[1].Name != "Bash" || in != `{"command":"printf 'é'"}` {
		t.Errorf("the second call is %s %s", m.Content[1].Name, in)
	}
}

func TestSDKNeverSeesAFirstProviderDown(t *testing.T) {
	for name, fault := range failures {
		t.Run(name, func(t *testing.T) {
			needClients(t)
			t.Parallel()
			first := startUpstream(t, simulator.Conversation(simulator.Answer{Faults: []simulator.Fault{fault}}))
			second := startUpstream(t, simulator.Conversation(simulator.Answer{}))
			got := newClient(t, startProxy(t, first.URL(), second.URL())).finalMessage("say hi")
			if got.Error != nil {
				t.Fatalf("got error %+v", got.Error)
			}
			if m := got.Message; len(m.Content) != 1 || m.Content[0].Text != "You said: say hi" || strings.Join(got.Texts, "") != m.Content[0].Text {
				t.Errorf("got %+v with the texts %q", m, got.Texts)
			}
			checkRequests(t, "first", first, 1, 1)
			checkRequests(t, "second", second, 1, 1)
		})
	}
}

// What the SDK makes of a failure after content is an error of the API, with
// the text until then, not a broken parse or a silent end.
func TestSDKIsToldOfAFailureAfterContent(t *testing.T) {
	needClients(t)
	fault := simulator.Fault{Kind: simulator.Reset, At: simulator.Deltas(2)}
	first := startUpstream(t, simulator.Conversation(simulator.Answer{Faults: []simulator.Fault{fault}}))
	second := startUpstream(t, simulator.Conversation(simulator.Answer{}))
	got := newClient(t, startProxy(t, first.URL(), second.URL())).finalMessage("say hi")
	if got.Error == nil || !strings.Contains(got.Error.Message, "_error") {
		t.Errorf("got %+v, want an error of the API", got)
	}
	if text := strings.Join(got.Texts, ""); text == "" || !strings.HasPrefix("You said: say hi", text) {
		t.Errorf("got the text %q, want the beginning of the first provider's", text)
	}
	checkRequests(t, "second", second, 0, 0)
}

// checkRequests counts the model requests that reached an upstream, and sees
// that each carries the provider's key and not the client's. It returns the last one.
func checkRequests(t *testing.T, provider string, u *simulator.Upstream, least, most int) *simulator.Received {
	t.Helper()
	var last *simulator.Received
	n := 0
	for _, r := range u.Requests() {
		if r.Path != "/v1/messages" {
			t.Errorf("%s got %s %s", provider, r.Method, r.Path)
			continue
		}
		n++
		last = r
		if r.Header.Get("X-Api-Key") != upstreamKey(provider) {
			t.Errorf("%s was not shown its own key", provider)
		}
		if all, _ := json.Marshal(r.Header); strings.Contains(string(all), clientKey) {
			t.Errorf("%s was shown the client's key", provider)
		}
	}
	if n < least || n > most {
		t.Errorf("%s got %d model requests, want %d to %d", provider, n, least, most)
	}
	return last
}
