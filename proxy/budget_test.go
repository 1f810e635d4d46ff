package proxy_test

import (
	"bufio"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	_ "time/tzdata" // whatever the machine has

	"anyproxy/metrics"
	"anyproxy/metrics/ledger"
)

// wallClock is a time of day that moves only when told.
type wallClock struct{ now atomic.Pointer[time.Time] }

func wallClockAt(t time.Time) *wallClock {
	c := &wallClock{}
	c.now.Store(&t)
	return c
}

func (c *wallClock) ledger() *ledger.Ledger {
	return ledger.New(func() time.Time { return *c.now.Load() })
}

func (c *wallClock) advance(d time.Duration) {
	t := c.now.Load().Add(d)
	c.now.Store(&t)
}

// dear makes a healthy answer, of 27 tokens of output, cost $2.70.
const dear = "price: {output: 100000}"

// budgets are configurations in which the second request is one too many.
var budgets = map[string]struct {
	yaml, key, message string
}{
	"of everybody": {"budget: {daily: 2}\nproviders: {a: {endpoint: \"a_URL\", apiKey: upstream-secret}}\n", "",
		"the daily budget of $2.00 is spent"},
	"of a provider": {"providers: {a: {endpoint: \"a_URL\", apiKey: upstream-secret, dailyBudget: 2.5}}\n", "",
		"the daily budget of every provider for this model is spent: a ($2.50)"},
	"of a client key": {"apiKeys: [{name: ci, key: client-key-of-ci, dailyBudget: 1}, {name: other, key: another-client-key}]\nproviders: {a: {endpoint: \"a_URL\", apiKey: upstream-secret}}\n", "client-key-of-ci",
		"the daily budget of $1.00 of this client key is spent"},
}

// A spent budget holds to the midnight of the clock on the wall, wherever that
// hangs and however long the day is.
func TestBudgetsEndAtLocalMidnight(t *testing.T) {
	up := newUpstream(t, healthy)
	for _, tt := range []struct {
		zone, at string
		left     time.Duration
	}{
		{"UTC", "2026-06-30T23:00:00", time.Hour},
		{"Asia/Kathmandu", "2026-06-30T12:30:00", 11*time.Hour + 30*time.Minute},
		{"Pacific/Auckland", "2026-12-31T00:00:00", 24 * time.Hour},
		{"Europe/Berlin", "2026-03-29T00:30:00", 22*time.Hour + 30*time.Minute}, // clocks go on an hour
		{"Europe/Berlin", "2026-10-25T00:30:00", 24*time.Hour + 30*time.Minute}, // and back
		{"America/Los_Angeles", "2026-11-01T12:00:00", 12 * time.Hour},
		{"America/Havana", "2026-03-07T23:30:00", 30 * time.Minute}, // the next day begins at one
	} {
		zone, err := time.LoadLocation(tt.zone)
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.ParseInLocation("2006-01-02T15:04:05", tt.at, zone)
		if err != nil {
			t.Fatal(err)
		}
		for name, b := range budgets {
			t.Run(fmt.Sprint(tt.zone, " ", tt.at, " ", name), func(t *testing.T) {
				clock := wallClockAt(at)
				p := newHarnessWith(t, b.yaml+"models: [{alias: \"claude-*\", provider: a, "+dear+"}]\n", map[string]*upstream{"a": up}, clock.ledger())
				key := []string{"X-Api-Key", b.key}
				refused := func(left time.Duration) {
					t.Helper()
					got := p.ask(t, key...)
					kind, message := got.errorType()
					if got.status != http.StatusTooManyRequests || kind != "rate_limit_error" || message != b.message {
						t.Errorf("%d %s: %q, want %q", got.status, kind, message, b.message)
					}
					if wait := got.header.Get("Retry-After"); wait != strconv.Itoa(int(math.Ceil(left.Seconds()))) {
						t.Errorf("retry after %q, want %v", wait, left)
					}
				}
				if got := p.ask(t, key...); got.status != 200 {
					t.Fatalf("%d %s", got.status, got.body)
				}
				refused(tt.left)
				clock.advance(tt.left - 1500*time.Millisecond)
				refused(1500 * time.Millisecond)
				if s := p.snapshot(t); s.Spend.ResetsAt.Sub(s.At) != 1500*time.Millisecond {
					t.Errorf("the screen counts down %v", s.Spend.ResetsAt.Sub(s.At))
				}
				clock.advance(1500 * time.Millisecond)
				if got := p.ask(t, key...); got.status != 200 {
					t.Errorf("the next day: %d %s", got.status, got.body)
				}
			})
		}
	}
}

// Another client's key has a budget of its own.
func TestABudgetOfAKeyIsNobodyElses(t *testing.T) {
	b := budgets["of a client key"]
	p := newHarness(t, b.yaml+"models: [{alias: \"claude-*\", provider: a, "+dear+"}]\n", map[string]*upstream{"a": newUpstream(t, healthy)})
	for _, want := range []struct {
		key    string
		status int
	}{{b.key, 200}, {b.key, 429}, {"another-client-key", 200}, {"another-client-key", 200}} {
		if got := p.ask(t, "X-Api-Key", want.key); got.status != want.status {
			t.Errorf("%s: %d %s", want.key, got.status, got.body)
		}
	}
}

func TestProvidersWithoutBudgetLeft(t *testing.T) {
	const both = `
providers:
  a: {endpoint: "a_URL", apiKey: upstream-secret, dailyBudget: 2}
  b: {endpoint: "b_URL", apiKey: upstream-secret, dailyBudget: 5}
models:
  - {alias: "claude-*", provider: a, ` + dear + `}
  - {alias: "claude-*", provider: b, tier: 2, ` + dear + `}
`
	p := newHarness(t, both, map[string]*upstream{"a": newUpstream(t, healthy), "b": newUpstream(t, healthy)})
	for i, want := range []string{"a", "b", "b"} {
		if got := p.ask(t); got.header.Get("X-Anyproxy-Provider") != want {
			t.Errorf("request %d is answered by %q, want %s: %s", i+1, got.header.Get("X-Anyproxy-Provider"), want, got.body)
		}
	}
	got := p.ask(t)
	if _, message := got.errorType(); got.status != 429 || message != "the daily budget of every provider for this model is spent: a ($2.00), b ($5.00)" {
		t.Errorf("with both spent: %d %s", got.status, got.body)
	}
	got = p.ask(t, "X-Anyproxy-Provider", "b")
	if _, message := got.errorType(); got.status != 429 || message != "the daily budget of every provider for this model is spent: b ($5.00)" {
		t.Errorf("with the one spent that is asked for: %d %s", got.status, got.body)
	}
	if err := p.proxy.Hold("a"); err != nil {
		t.Fatal(err)
	}
	got = p.ask(t)
	if kind, message := got.errorType(); got.status != 529 || kind != "overloaded_error" || !strings.Contains(message, "held by the operator or has spent its daily budget") {
		t.Errorf("with one held and one spent: %d %s", got.status, got.body)
	}
}

// What runs when a budget is spent runs to its end.
func TestABudgetEndsNothingThatRuns(t *testing.T) {
	goOn := make(chan struct{})
	up := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Anthropic-Beta") != "slow" {
			healthy(w, r)
			return
		}
		sendSSE(w, sseText[:4]...)
		<-goOn
		sendSSE(w, sseText[4:]...)
	})
	p := newHarness(t, budgets["of everybody"].yaml+"models: [{alias: \"claude-*\", provider: a, "+dear+"}]\n", map[string]*upstream{"a": up})
	r, err := http.NewRequest("POST", p.URL+"/v1/messages", strings.NewReader(streamRequest))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Anthropic-Beta", "slow")
	running, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer running.Body.Close()
	if got := p.ask(t); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if got := p.ask(t); got.status != 429 {
		t.Errorf("with the budget spent: %d %s", got.status, got.body)
	}
	close(goOn)
	events := bufio.NewReader(running.Body)
	last := ""
	for {
		e, err := readEvent(events)
		if err != nil {
			break
		}
		last = e
	}
	if running.StatusCode != 200 || !strings.Contains(last, "message_stop") {
		t.Errorf("what ran: %d, ends with %q", running.StatusCode, last)
	}
	if s := p.snapshot(t); math.Abs(s.Spend.Today-5.4) > 1e-9 {
		t.Errorf("spent $%v, want what both have cost, $5.40", s.Spend.Today)
	}
}

// Each limit is told of once at its threshold, once when it is reached, and anew
// on the next day; with warn nothing else happens.
func TestBudgetEvents(t *testing.T) {
	clock := wallClockAt(time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC))
	p := newHarnessWith(t, `
budget: {daily: 10, alertAt: 50, onExceeded: warn}
apiKeys: [{name: ci, key: client-key-of-ci, dailyBudget: 2}]
providers: {a: {endpoint: "a_URL", apiKey: upstream-secret, dailyBudget: 4}}
models: [{alias: "claude-*", provider: a, `+dear+`}]
`, map[string]*upstream{"a": newUpstream(t, healthy)}, clock.ledger())
	seen := uint64(0)
	for i, want := range [][]string{
		{"key ci: 100 % of the daily $2.00 is spent", "provider a: 50 % of the daily $4.00 is spent"},     // $2.70
		{"everybody: 50 % of the daily $10.00 is spent", "provider a: 100 % of the daily $4.00 is spent"}, // $5.40
		nil, // $8.10
		{"everybody: 100 % of the daily $10.00 is spent"}, // $10.80
		nil,
	} {
		told(t, p, i, &seen, want)
	}
	clock.advance(12 * time.Hour)
	told(t, p, 5, &seen, []string{"key ci: 100 % of the daily $2.00 is spent", "provider a: 50 % of the daily $4.00 is spent"})
}

// told makes a request and sees which limits are told of.
func told(t *testing.T, p *harness, i int, seen *uint64, want []string) {
	t.Helper()
	if got := p.ask(t, "X-Api-Key", "client-key-of-ci"); got.status != 200 {
		t.Errorf("request %d: %d %s", i, got.status, got.body)
	}
	got := map[string]bool{}
	for _, e := range p.proxy.Snapshot(*seen).Events {
		*seen = e.Seq
		if e.Kind == metrics.EventBudget {
			got[e.Text] = true
		}
	}
	for _, text := range want {
		if !got[text] {
			t.Errorf("request %d: not told %q", i, text)
		}
		delete(got, text)
	}
	for text := range got {
		t.Errorf("request %d: told %q", i, text)
	}
}

// What nobody knows the price of counts against no budget.
func TestUnknownPricesCountAgainstNothing(t *testing.T) {
	p := newHarness(t, "budget: {daily: 0.000001}\n"+one, map[string]*upstream{"a": newUpstream(t, healthy)})
	for range 2 {
		if got := p.ask(t); got.status != 200 {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	if s := p.snapshot(t); s.Spend.Today != 0 || s.Spend.Unpriced != 2 {
		t.Errorf("%+v", s.Spend)
	}
}
