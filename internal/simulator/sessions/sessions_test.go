package sessions

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"anyproxy/internal/simulator"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// run lets sessions work against script until enough requests have come.
func run(t *testing.T, script simulator.Script, enough int) (Tally, []*simulator.Received) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	counted := func(n int, r *simulator.Received) simulator.Answer {
		if n >= enough {
			cancel()
		}
		return script(n, r)
	}
	u, err := simulator.Start(t.Context(), simulator.Options{Script: counted})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	tally := Run(ctx, Options{
		BaseURL: u.URL(), APIKey: "sk-test", Sessions: 4, Think: time.Millisecond, Backoff: time.Millisecond, Rand: rand.New(rand.NewPCG(1, 2)),
	})
	return tally, u.Requests()
}

type request struct {
	Model    string `json:"model"`
	Stream   bool   `json:"stream"`
	Messages []struct {
		Role    string `json:"role"`
		Content []struct {
			Type      string `json:"type"`
			ID        string `json:"id"`
			ToolUseID string `json:"tool_use_id"`
		} `json:"content"`
	} `json:"messages"`
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestSessionsBehaveLikeClaudeCode(t *testing.T) {
	tally, requests := run(t, simulator.Conversation(simulator.Answer{}), 400)
	if tally.Failed != 0 || tally.Corrupt != 0 || tally.OK < 300 {
		t.Errorf("tally %+v", tally)
	}
	lengths, models, results, whole := map[string]int{}, map[string]bool{}, 0, 0
	for _, r := range requests {
		var body request
		if err := json.Unmarshal(r.Body, &body); err != nil {
			t.Fatal(err)
		}
		session := r.Header.Get("X-Claude-Code-Session-Id")
		if !uuid.MatchString(session) || r.Header.Get("X-Api-Key") != "sk-test" || r.Header.Get("Anthropic-Version") == "" || r.Query != "beta=true" {
			t.Fatalf("request %s?%s with %v", r.Path, r.Query, r.Header)
		}
		if before := lengths[session]; len(body.Messages) != 1 && len(body.Messages) != before+2 {
			t.Errorf("history of %s went from %d to %d messages", session, before, len(body.Messages))
		}
		lengths[session] = len(body.Messages)
		models[body.Model] = true
		if !body.Stream {
			whole++
		}
		results += checkResults(t, body)
	}
	if len(lengths) < 10 || len(models) != 3 || results < 20 || whole == 0 || whole > len(requests)/4 {
		t.Errorf("%d sessions, models %v, %d tool results, %d of %d whole", len(lengths), models, results, whole, len(requests))
	}
}

// checkResults verifies that tool results answer the calls of the turn before, and counts them.
func checkResults(t *testing.T, body request) int {
	t.Helper()
	calls, results := map[string]bool{}, 0
	for i, m := range body.Messages {
		if want := [...]string{"user", "assistant"}[i%2]; m.Role != want {
			t.Errorf("message %d is by %s", i, m.Role)
		}
		for _, b := range m.Content {
			switch b.Type {
			case "tool_use":
				calls[b.ID] = true
			case "tool_result":
				if !calls[b.ToolUseID] {
					t.Errorf("result for %q, which nobody called", b.ToolUseID)
				}
				delete(calls, b.ToolUseID)
				results++
			}
		}
	}
	if len(calls) > 0 {
		t.Errorf("calls without result: %v", calls)
	}
	return results
}

func TestHistoryIsBounded(t *testing.T) {
	long := simulator.Always(simulator.Answer{Blocks: []simulator.Block{simulator.Text(strings.Repeat("long text ", 2000))}, DeltaTokens: 1000})
	_, requests := run(t, long, 100)
	for _, r := range requests {
		if len(r.Body) > 2*maxHistory {
			t.Fatalf("a request of %d bytes", len(r.Body))
		}
	}
}

func TestFailuresAreCountedAndEndured(t *testing.T) {
	fine := simulator.Answer{Blocks: []simulator.Block{simulator.Text("fine, thank you")}}
	with := func(f simulator.Fault) simulator.Answer { a := fine; a.Faults = []simulator.Fault{f}; return a }
	for name, c := range map[string]struct {
		fault   simulator.Fault
		corrupt bool
	}{
		"529":             {simulator.Overloaded(), false},
		"reset":           {simulator.Fault{Kind: simulator.Reset}, false},
		"broken":          {simulator.Fault{Kind: simulator.Break, At: simulator.Bytes(20)}, false},
		"error event":     {simulator.ErrorAt(simulator.Deltas(1), 529, "Overloaded"), false},
		"cut":             {simulator.Fault{Kind: simulator.Cut, At: simulator.Bytes(100)}, true},
		"HTML":            {simulator.HTML(http.StatusOK), true},
		"wrong type":      {simulator.Fault{Kind: simulator.WrongType}, true},
		"garbage":         {simulator.Fault{Kind: simulator.Garbage, At: simulator.Bytes(50)}, true},
		"empty":           {simulator.Empty(), true},
		"429, then a bit": {simulator.RateLimited(0), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tally, _ := run(t, func(n int, _ *simulator.Received) simulator.Answer {
				if n%3 == 0 {
					return with(c.fault)
				}
				return fine
			}, 60)
			if tally.OK < 20 || (tally.Corrupt > 0) != c.corrupt || (tally.Failed > 0) == c.corrupt {
				t.Errorf("tally %+v", tally)
			}
		})
	}
}

// A person waits as long as Retry-After says: one request is all that comes.
func TestRetryAfterIsHonoured(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
		time.AfterFunc(50*time.Millisecond, cancel)
	}))
	defer s.Close()
	tally := Run(ctx, Options{BaseURL: s.URL, Sessions: 1, Think: time.Millisecond, Backoff: time.Microsecond})
	if asked.Load() != 1 || tally != (Tally{Failed: 1}) {
		t.Errorf("asked %d times, tally %+v", asked.Load(), tally)
	}
}

// Run ends at once, however long the answers and the pauses are.
func TestRunEndsWithItsContext(t *testing.T) {
	script := simulator.Always(simulator.Answer{Blocks: []simulator.Block{simulator.Text("never")}, TTFT: time.Hour})
	if tally, requests := run(t, script, 1); tally != (Tally{}) || len(requests) == 0 {
		t.Errorf("tally %+v after %d requests", tally, len(requests))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if tally := Run(ctx, Options{BaseURL: "http://127.0.0.1:1", Think: time.Hour}); tally != (Tally{}) {
		t.Errorf("tally %+v of a run that never began", tally)
	}
}
