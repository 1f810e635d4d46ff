package ledger

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"anyproxy/metrics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// book is a Recorder whose Observer is a Journal, and what its log says.
type book struct {
	*metrics.Recorder
	journal  *Journal
	accounts *Ledger
	log      said
	n        int
}

// said is a log that can be read while it is written.
type said struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// opened opens a journal in dir on the clock of now; o is what else is wanted.
func opened(t testing.TB, dir string, now func() time.Time, o Options) *book {
	t.Helper()
	b := &book{Recorder: metrics.New(now), accounts: New(now)}
	o.Folder, o.Now, o.Accounts = Folder(dir), now, b.accounts
	o.Logger = slog.New(slog.NewTextHandler(&b.log, nil))
	b.journal = Open(o)
	b.Observe(b.journal)
	return b
}

// A row over which the writer breaks is lost with those of its batch behind it,
// counted and told; later rows are written.
func TestAPanicCostsRowsAndNotTheLedger(t *testing.T) {
	dir := t.TempDir()
	b := opened(t, dir, time.Now, Options{Redact: func(s string) string {
		if s == "odd" {
			panic("at a loss")
		}
		return s
	}})
	b.journal.Note(Row{Kind: KindOperator, Text: "odd"})
	for deadline := time.Now().Add(time.Minute); b.journal.Dropped() == 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	b.journal.Note(Row{Kind: KindOperator, Text: "fine"})
	b.close(t)
	data, err := os.ReadFile(filepath.Join(dir, dayOf(time.Now())+rowsSuffix))
	if err != nil || !strings.Contains(string(data), `"fine"`) || b.journal.Dropped() != 1 || !strings.Contains(b.log.String(), `part=ledger panic="at a loss"`) {
		t.Errorf("%v, %d dropped, the log says %s and the ledger %s", err, b.journal.Dropped(), b.log.String(), data)
	}
}

func (b *book) close(t testing.TB) {
	t.Helper()
	if err := b.journal.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// attempt records a request of one attempt that took a second and cost usd.
func (b *book) attempt(provider, key string, usd float64) {
	b.n++
	r := metrics.RequestRecord{ID: fmt.Sprintf("req_%d", b.n), Key: key}
	a := metrics.AttemptRecord{Provider: provider, Model: "m", Start: b.journal.o.Now().Add(-time.Second), Duration: time.Second,
		Outcome: metrics.OutcomeOK, Status: 200, Cost: usd, Tokens: metrics.Tokens{Input: 10, Output: 5, CacheRead: 85}}
	b.journal.AttemptEnded(&r, 1, &a)
	b.accounts.Add(usd, Accounts(provider, key)...)
	r.Time, r.Duration, r.Phase = a.Start, a.Duration, metrics.PhaseOK
	r.Decision.Attempts = []metrics.AttemptRecord{a}
	b.journal.RequestEnded(&r)
}

func text(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(1, a, b) }

// TestRows holds the row format, which is a contract: docs/usage.md.
func TestRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, zone := t.TempDir(), time.FixedZone("", 3600)
		b := opened(t, dir, func() time.Time { return time.Now().In(zone) }, Options{
			Redact: func(s string) string { return strings.ReplaceAll(s, "sk-secret", "…") }})
		b.journal.SetLabels(Labels{Keys: map[string]string{"ci": "0a1b2c3d"}})
		b.journal.Note(Row{Kind: KindStart, Version: "1.0", File: "config.yaml", SHA256: "ab"})
		time.Sleep(time.Second)
		q := b.Begin(metrics.RequestRecord{ID: "req_1", Method: "POST", Path: "/v1/messages", Model: "claude-sk-secret", Session: "s", Key: "ci", Stream: true})
		a := q.Attempt("plan", "glm")
		a.Price(nil, true)
		time.Sleep(1500 * time.Millisecond)
		a.Progress(metrics.Progress{At: time.Now(), Usage: &metrics.Tokens{Input: 7}})
		a.End(metrics.Result{Outcome: "overloaded", Status: 529, Reason: "the words of an upstream"})
		a = q.Attempt("b", "claude")
		a.Price(&metrics.Rates{}, false)
		time.Sleep(250 * time.Millisecond)
		a.Progress(metrics.Progress{At: time.Now(), Content: true, Generating: true, Text: 4})
		time.Sleep(250 * time.Millisecond)
		a.Progress(metrics.Progress{At: time.Now(), Final: true, Usage: &metrics.Tokens{Input: 1, Output: 2, CacheRead: 3, CacheWrite: 9, CacheWrite1h: 4, Reasoning: 1}})
		a.End(metrics.Result{Outcome: metrics.OutcomeOK, Status: 200})
		q.Commit(200)
		q.End(metrics.PhaseOK, 200, "")
		b.Event(metrics.Event{Kind: metrics.EventCredential, Provider: "b", Request: "req_1", Text: "the words of an upstream"})
		b.Event(metrics.Event{Kind: metrics.EventCredential, Provider: "b", Text: "oauth at host: the words of an endpoint"})
		b.Event(metrics.Event{Kind: metrics.EventOperator, Provider: "b", Text: "held: no new requests"})
		b.Event(metrics.Event{Kind: metrics.EventFallback, Provider: "b", Text: "the words of an upstream"})
		b.journal.Note(Row{Kind: KindConfig, Outcome: "applied", SHA256: "cd", By: "signal", Text: strings.Repeat("x", 300)})
		b.close(t)
		want := `{"v":1,"kind":"start","time":"2000-01-01T01:00:00+01:00","version":"1.0","file":"config.yaml","sha256":"ab"}
{"v":1,"kind":"attempt","time":"2000-01-01T01:00:02.5+01:00","request_id":"req_1","attempt":1,"session":"s","key":"ci","key_sha256":"0a1b2c3d","method":"POST","path":"/v1/messages","asked":"claude-…","provider":"plan","model":"glm","outcome":"overloaded","status_code":529,"is_streaming":true,"duration_seconds":1.5,"input_tokens":7,"subscription":true}
{"v":1,"kind":"attempt","time":"2000-01-01T01:00:03+01:00","request_id":"req_1","attempt":2,"session":"s","key":"ci","key_sha256":"0a1b2c3d","method":"POST","path":"/v1/messages","asked":"claude-…","provider":"b","model":"claude","outcome":"ok","status_code":200,"is_streaming":true,"duration_seconds":0.5,"ttft_seconds":0.25,"input_tokens":1,"output_tokens":2,"cache_read_tokens":3,"cache_write_tokens":9,"cache_write_1h_tokens":4,"reasoning_tokens":1}
{"v":1,"kind":"request","time":"2000-01-01T01:00:03+01:00","request_id":"req_1","attempts":2,"session":"s","key":"ci","key_sha256":"0a1b2c3d","method":"POST","path":"/v1/messages","asked":"claude-…","provider":"b","model":"claude","outcome":"ok","status_code":200,"is_streaming":true,"duration_seconds":2,"ttft_seconds":1.75}
{"v":1,"kind":"credential","time":"2000-01-01T01:00:03+01:00","request_id":"req_1","provider":"b","outcome":"refused"}
{"v":1,"kind":"operator","time":"2000-01-01T01:00:03+01:00","provider":"b","text":"held: no new requests"}
{"v":1,"kind":"config","time":"2000-01-01T01:00:03+01:00","outcome":"applied","sha256":"cd","by":"signal","text":"` + strings.Repeat("x", 256) + `"}
`
		if got := text(t, filepath.Join(dir, "2000-01-01.jsonl")); got != want {
			t.Errorf("got:\n%swant:\n%s", got, want)
		}
		for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "2000-01-01.jsonl"): 0o600, filepath.Join(dir, "2000-01-01.sum.json"): 0o600} {
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
				t.Errorf("%s: %v, %v", path, info.Mode(), err)
			}
		}
		if b.log.String() != "" {
			t.Error(b.log.String())
		}
	})
}

// TestAKillCostsLittle: what is older than 200 ms stands in the file.
func TestAKillCostsLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		b := opened(t, dir, time.Now, Options{})
		defer b.close(t)
		for i := range 50 {
			b.attempt("a", "", 1)
			time.Sleep(37 * time.Millisecond)
			missing := 2*(i+1) - strings.Count(text(t, filepath.Join(dir, "2000-01-01.jsonl")), "\n")
			if most := 2 * (200 / 37); missing > most {
				t.Fatalf("%d rows are not written", missing)
			}
		}
	})
}

func TestSpendGoesOnAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		time.Sleep(14*24*time.Hour + 12*time.Hour)
		b := opened(t, dir, time.Now, Options{KeepDays: 30})
		for day := range 2 {
			for i := range 30 {
				b.attempt("a", "ci", 0.25)
				b.attempt("b", "", 0.5)
				if time.Sleep(time.Minute); i == 15 && day == 1 { // in the middle of everything
					b.close(t)
					b = opened(t, dir, time.Now, Options{KeepDays: 30})
				}
			}
			if day == 0 {
				time.Sleep(24 * time.Hour)
			}
		}
		before := b.accounts
		b.close(t)
		after := opened(t, dir, time.Now, Options{KeepDays: 30})
		defer after.close(t)
		synctest.Wait() // the month
		for account, want := range map[string]float64{Everybody: 22.5, ProviderAccount("a"): 7.5, ProviderAccount("b"): 15, KeyAccount("ci"): 7.5} {
			l := after.accounts
			if l.Spent(account) != want || l.Month(account) != 2*want || before.Spent(account) != want || before.Month(account) != 2*want {
				t.Errorf("%s: %v today, %v this month; without a restart %v and %v; want %v and %v", account,
					l.Spent(account), l.Month(account), before.Spent(account), before.Month(account), want, 2*want)
			}
			if p, q := before.PerHour(account), l.PerHour(account); !near(p, q) || p == 0 {
				t.Errorf("%s: the pace was %v and is %v", account, p, q)
			}
		}
	})
}

func TestWhatIsNotKnownGoesOnAfterARestart(t *testing.T) {
	dir := t.TempDir()
	b := opened(t, dir, atNoon, Options{KeepDays: 30})
	r := metrics.RequestRecord{ID: "req_1"}
	b.journal.AttemptEnded(&r, 1, &metrics.AttemptRecord{Provider: "a", Model: "m", Start: noon, Outcome: metrics.OutcomeOK, Unpriced: true})
	b.attempt("a", "", 0.25)
	b.close(t)
	after := opened(t, dir, atNoon, Options{KeepDays: 30})
	defer after.close(t)
	l := after.accounts
	if l.Unpriced(Everybody) != 1 || l.Unpriced(ProviderAccount("a")) != 1 || l.Spent(Everybody) != 0.25 {
		t.Errorf("%d and %d unpriced, $%v", l.Unpriced(Everybody), l.Unpriced(ProviderAccount("a")), l.Spent(Everybody))
	}
}

// TestMidnightOfRows: a row stands in the file of the day of its end, where the
// clock hangs.
func TestMidnightOfRows(t *testing.T) {
	for _, name := range []string{"UTC", "America/Los_Angeles", "Asia/Kathmandu", "Pacific/Auckland", "Europe/Berlin"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				now := func() time.Time { return time.Now().In(zone) }
				time.Sleep(time.Until(time.Date(2000, 3, 26, 0, 0, 0, 0, zone)) - time.Second) // in Europe that day has 23 hours
				b := opened(t, dir, now, Options{KeepDays: 30})
				for range 50 {
					b.attempt("a", "", 1)
					time.Sleep(time.Hour)
				}
				if spent := b.accounts.Spent(Everybody); spent > 4 {
					t.Errorf("spent today: %v", spent)
				}
				b.close(t)
				total := 0
				for day := 25; day <= 28; day++ {
					rows := map[string]int{}
					path := filepath.Join(dir, fmt.Sprintf("2000-03-%02d.jsonl", day))
					for line := range strings.Lines(text(t, path)) {
						row, err := parseRow([]byte(line))
						if err != nil {
							t.Fatal(err)
						}
						rows[row.Time.Format(time.DateOnly)]++
						total++
					}
					if len(rows) != 1 || rows[fmt.Sprintf("2000-03-%02d", day)] == 0 {
						t.Errorf("%s holds rows of %v", path, rows)
					}
				}
				if total != 100 {
					t.Errorf("%d rows, want 100", total)
				}
			})
		})
	}
}

func TestAClockThatIsSetBack(t *testing.T) {
	dir := t.TempDir()
	var set atomic.Int64 // by how much
	clock := func() time.Time { return noon.Add(time.Duration(set.Load())) }
	b := opened(t, dir, clock, Options{KeepDays: 30})
	b.attempt("a", "", 1)
	set.Store(int64(-48 * time.Hour))
	b.attempt("a", "", 2)
	set.Store(int64(-2 * time.Hour))
	b.attempt("a", "", 4)
	if p := b.accounts.PerHour(Everybody); math.IsInf(p, 0) || math.IsNaN(p) || p > 100 {
		t.Errorf("the pace is %v", p)
	}
	b.close(t)
	r, err := Folder(dir).ReadReport(ByDay, 7, clock(), nil)
	if err != nil || len(r.Rows) != 2 || r.Rows[0].Cost != 2 || r.Rows[1].Cost != 5 {
		t.Errorf("%+v, %v", r, err)
	}
	after := opened(t, dir, clock, Options{KeepDays: 30})
	defer after.close(t)
	if got := after.accounts.Spent(Everybody); got != 5 {
		t.Errorf("%v is spent after a restart", got)
	}
	if p := after.accounts.PerHour(Everybody); math.IsInf(p, 0) || math.IsNaN(p) || p > 100 {
		t.Errorf("the pace is %v after a restart", p)
	}
}

// TestSeveralPrograms append to the same file: all rows stay whole, and each
// knows at its start what all have spent.
func TestSeveralPrograms(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	const programs, each = 3, 2000
	for p := range programs {
		owns := func() bool { return p == 0 }
		b := opened(t, dir, time.Now, Options{Owns: owns, KeepDays: 30})
		wg.Go(func() {
			defer b.close(t)
			for i := range each {
				if b.attempt("a", "", 0.5); i%100 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	wg.Wait()
	s, _, err := Folder(dir).load(dayOf(time.Now()), nil)
	if err != nil || s.skipped > 0 || s.spent()[Everybody] != programs*each/2 {
		t.Errorf("%v, %d lines are torn, %v is spent", err, s.skipped, s.spent()[Everybody])
	}
	after := opened(t, dir, time.Now, Options{KeepDays: 30})
	defer after.close(t)
	if got := after.accounts.Spent(Everybody); got != programs*each/2 {
		t.Errorf("after a restart %v is spent", got)
	}
}

func TestTooManyRowsAreDroppedAndTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := opened(t, t.TempDir(), time.Now, Options{})
		for range maxQueued + 10 {
			b.journal.Note(Row{Kind: KindOperator})
		}
		time.Sleep(time.Second)
		if b.journal.Dropped() != 10 || strings.Count(b.log.String(), "rows of the ledger are lost") != 1 {
			t.Errorf("%d dropped: %s", b.journal.Dropped(), b.log.String())
		}
		b.close(t)
		b.journal.Note(Row{Kind: KindOperator}) // after the end
		if b.journal.Dropped() != 11 {
			t.Errorf("%d dropped", b.journal.Dropped())
		}
	})
}

func TestNoJournal(t *testing.T) {
	var j *Journal
	j.Note(Row{})
	j.SetLabels(Labels{})
	if j.Dropped() != 0 || j.Close(t.Context()) != nil {
		t.Error("it does something")
	}
}

// BenchmarkAttemptEnded is what a row costs the goroutine that serves the request.
func BenchmarkAttemptEnded(b *testing.B) {
	k := opened(b, b.TempDir(), time.Now, Options{})
	defer k.close(b)
	k.journal.SetLabels(Labels{Keys: map[string]string{"ci": "0a1b2c3d"}})
	r := metrics.RequestRecord{ID: "req_0123456789abcdef", Key: "ci", Session: "0123456789abcdef", Model: "claude-sonnet-4-5", Method: "POST", Path: "/v1/messages"}
	a := metrics.AttemptRecord{Provider: "anthropic", Model: "claude-sonnet-4-5", Start: time.Now(), Duration: time.Second, Outcome: "ok", Status: 200, Cost: 0.01}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		k.journal.AttemptEnded(&r, 1, &a)
		if i%1000 == 999 { // 10,000 a second, as the writer is made for
			b.StopTimer()
			time.Sleep(100 * time.Millisecond)
			b.StartTimer()
		}
	}
	b.ReportMetric(float64(k.journal.Dropped()), "dropped")
}
