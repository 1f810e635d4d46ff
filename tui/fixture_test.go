package tui

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"anyproxy/metrics"

	tea "github.com/charmbracelet/bubbletea"
)

// noon is the moment of every fixed snapshot.
var noon = time.Date(2026, 11, 21, 14, 32, 8, 0, time.UTC)

// fakeSource hands out what it is given.
type fakeSource struct {
	next func(since uint64) metrics.Snapshot
}

func (f fakeSource) Snapshot(since uint64) metrics.Snapshot { return f.next(since) }

// steady returns the same snapshot every time, with the events asked for.
func steady(s metrics.Snapshot) fakeSource {
	return fakeSource{func(since uint64) metrics.Snapshot {
		c := s
		c.Providers = append([]metrics.ProviderView(nil), s.Providers...)
		c.Requests = append([]metrics.RequestRecord(nil), s.Requests...)
		c.Events = nil
		for _, e := range s.Events {
			if e.Seq > since {
				c.Events = append(c.Events, e)
			}
		}
		return c
	}}
}

// testModel shows a source on a screen of its own.
func testModel(src Source, w, h int, env map[string]string) *model {
	return modelOf(Options{Source: src, Logs: quietLog, Actions: &recorder{}}, w, h, env)
}

func modelOf(o Options, w, h int, env map[string]string) *model {
	o.Getenv = func(k string) string { return env[k] }
	o.Now = func() time.Time { return noon }
	o.Folder = filepath.Join(os.TempDir(), "no", "such", "folder") // tests that write name their own
	m := newModel(o.withDefaults())
	m.terminal = &clip{}
	m.resize(w, h)
	m.Init()
	return m
}

// clip is a clipboard.
type clip struct{ got []string }

func (c *clip) Escape(seq string) error {
	c.got = append(c.got, seq)
	return nil
}

// recorder takes note of what the screen asks for. The fuzz tests answer every
// question, so it must be quick.
type recorder struct {
	mu    sync.Mutex
	asked []string
	err   error
}

func (r *recorder) note(what string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, what)
	return r.err
}

func (r *recorder) all() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.asked, ", ")
}

func (r *recorder) Hold(p string) error   { return r.note("hold " + p) }
func (r *recorder) Return(p string) error { return r.note("return " + p) }
func (r *recorder) Probe(_ context.Context, p string) (time.Duration, error) {
	return 410 * time.Millisecond, r.note("probe " + p)
}
func (r *recorder) Reset(p string) error   { return r.note("reset " + p) }
func (r *recorder) Apply(id string) error  { return r.note("apply " + id) }
func (r *recorder) Reject(id string) error { return r.note("reject " + id) }
func (r *recorder) Drain(now bool)         { _ = r.note(fmt.Sprint("drain ", now)) }

// lines is a log that has been written.
type lines []metrics.LogLine

func (l lines) Lines(since uint64) []metrics.LogLine {
	var out []metrics.LogLine
	for _, line := range l {
		if line.Seq > since {
			out = append(out, line)
		}
	}
	return out
}

var quietLog = func() lines {
	var l lines
	add := func(before time.Duration, level, text string) {
		l = append(l, metrics.LogLine{Seq: uint64(len(l) + 1), Time: ago(before), Level: level, Text: text})
	}
	add(4*time.Minute, "INFO", "configuration applied file=config.yaml")
	for i := range 30 {
		add(time.Duration(200-4*i)*time.Second, "DEBUG", fmt.Sprintf("request id=req_%08x model=claude-sonnet-4-5 provider=anthropic status=200 seconds=%d.4 tokens=%d", i*7919, i%9+1, 100+i*37))
	}
	add(17*time.Second, "WARN", `fallback provider=anthropic to=bedrock-usw2 request=req_00000009 why="529 overloaded"`)
	add(9*time.Second, "WARN", `fallback provider=zai to=anthropic request=req_00000012 why="no first byte in 8.0s"`)
	add(6*time.Second, "ERROR", `aborted provider=local-ollama request=req_00000013 why="connection reset after content"`)
	add(time.Second, "WARN", `cooldown provider=zai for=30s request=req_00000020 why="429 rate limited, retry after 30s: Number of request tokens has exceeded your per-minute rate limit"`)
	return l
}()

func press(m *model, keys ...string) (cmd tea.Cmd) {
	for _, k := range keys {
		cmd = m.Update(keyMsg(k))
	}
	return cmd
}

func keyMsg(name string) tea.KeyMsg {
	types := map[string]tea.KeyType{
		"up": tea.KeyUp, "down": tea.KeyDown, "tab": tea.KeyTab, "shift+tab": tea.KeyShiftTab,
		"esc": tea.KeyEsc, "ctrl+c": tea.KeyCtrlC, "ctrl+z": tea.KeyCtrlZ, "enter": tea.KeyEnter,
		"left": tea.KeyLeft, "right": tea.KeyRight, "home": tea.KeyHome, "end": tea.KeyEnd, "backspace": tea.KeyBackspace,
		"pgup": tea.KeyPgUp, "pgdown": tea.KeyPgDown, "ctrl+u": tea.KeyCtrlU, "ctrl+d": tea.KeyCtrlD, "ctrl+w": tea.KeyCtrlW, "f1": tea.KeyF1,
	}
	if t, ok := types[name]; ok {
		return tea.KeyMsg{Type: t}
	}
	if name == " " {
		return tea.KeyMsg{Type: tea.KeySpace, Runes: []rune{' '}}
	}
	return tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(name)}
}

var trueColorEnv = map[string]string{"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "en_US.UTF-8"}

// history is a smooth wave of its own per provider.
func history(i int, base float64, end int) []float32 {
	h := make([]float32, metrics.HistoryLen)
	for t := range h {
		x := float64(t)
		v := base * (1 + 0.3*math.Sin(x/19+float64(i)*1.7) + 0.18*math.Sin(x/7.3+float64(i)*0.6))
		if end > 0 && t > metrics.HistoryLen-end {
			v *= math.Max(0, 1-float64(t-(metrics.HistoryLen-end))/6)
		}
		h[t] = float32(math.Max(0, v))
	}
	return h
}

func ago(d time.Duration) time.Time { return noon.Add(-d) }

func attempt(provider, outcome string, status int, took time.Duration) metrics.AttemptRecord {
	return metrics.AttemptRecord{Provider: provider, Outcome: outcome, Status: status, Duration: took}
}

// request is one whose last attempt has brought what came of it.
func request(id, model string, phase metrics.Phase, before, took time.Duration, tps float64, in, out int64, attempts ...metrics.AttemptRecord) metrics.RequestRecord {
	r := metrics.RequestRecord{
		Model: model, Phase: phase, Time: ago(before), Duration: took, TPS: tps, Stream: true,
		Tokens: metrics.Tokens{Input: in, Output: out, Estimated: phase == metrics.PhaseStreaming},
	}
	r.ID = "req_" + strings.Repeat("0", 8-len(id)) + id
	r.Method, r.Path, r.Key, r.Session = "POST", "/v1/messages", "laptop", "3f2a9c1e-77d0-4d7b-9f6e-0c1d2e3f4a5b"
	r.TTFT = 820 * time.Millisecond
	if tps == 0 {
		r.TTFT = 0
	}
	r.Decision.Alias = "claude-*"
	start := r.Time.Add(2 * time.Millisecond)
	for i := range attempts {
		a := &attempts[i]
		a.Start, a.Model = start, model
		if i == len(attempts)-1 {
			a.Duration = r.Time.Add(took).Sub(start)
			if tps > 0 {
				a.TTFT = min(r.TTFT, a.Duration)
			}
			a.TPS, a.Tokens = tps, r.Tokens
		}
		if a.Outcome != "" && a.Outcome != "ok" {
			a.Reason = strings.ReplaceAll(a.Outcome, "_", " ")
			if a.Status == 429 {
				a.Reason = "429 rate limited, retry after 30s: Number of request tokens has exceeded your per-minute rate limit"
			}
		}
		start = start.Add(a.Duration)
		r.Decision.Candidates = append(r.Decision.Candidates, metrics.Candidate{Provider: a.Provider, Model: model, Tier: 1, Weight: 3,
			W: 2.58, Factors: metrics.Factors{Speed: 1, Price: 1, Load: 0.86, Return: 1, Limit: 1, Slow: 1}, TPS: 74.1, TTFT: 810 * time.Millisecond, Breaker: metrics.BreakerClosed})
	}
	r.Decision.Candidates = append(r.Decision.Candidates,
		metrics.Candidate{Provider: "bedrock-usw2", Model: "us.anthropic." + model, Tier: 1, Weight: 2, W: 0.22, TPS: 40.2, TTFT: 1340 * time.Millisecond,
			Factors: metrics.Factors{Speed: 0.43, Price: 1, Load: 1, Return: 0.25, Limit: 1, Slow: 1}, Breaker: metrics.BreakerHalfOpen},
		metrics.Candidate{Provider: "local-ollama", Model: "qwen3-coder", Tier: 2, Weight: 1, Skipped: "context too small"})
	r.Decision.Session = metrics.Binding{Kind: metrics.BindingKept, Provider: attempts[0].Provider, Model: model}
	r.Decision.Attempts = attempts
	if phase == metrics.PhaseOK || phase == metrics.PhaseStreaming {
		r.Status = 200
		r.Cost = float64(in)*3e-6 + float64(out)*15e-6
		last := &r.Decision.Attempts[len(r.Decision.Attempts)-1]
		if r.Unpriced = last.Provider == "local-ollama"; r.Unpriced {
			r.Cost = 0
		}
		last.Cost, last.Unpriced = r.Cost, r.Unpriced
	}
	if phase == metrics.PhaseFailed {
		r.Status, r.Error = 400, "provider anthropic answered 400: messages.3: tool_use ids were found without tool_result blocks"
	}
	return r
}

// busyDay is a proxy with five providers at work, one of them cooling.
func busyDay() metrics.Snapshot {
	const s = time.Second
	ms := time.Millisecond
	ok, run := "ok", ""
	z429 := attempt("zai", "rate_limited", 429, 312*ms)
	one := func(p, outcome string) metrics.AttemptRecord { return attempt(p, outcome, 200, s) }
	sonnet, opus, haiku := "claude-sonnet-4-5-20250929", "claude-opus-4-1-20250805", "claude-haiku-4-5"
	day := metrics.Snapshot{
		At: noon, Started: ago(3*time.Hour + 12*time.Minute), Version: "1.0.0",
		Listen: "127.0.0.1:8080", Config: "config.yaml", Generation: 7,
		TPS: 301.2, InFlight: 7, OK: 1284, Failed: 9, Canceled: 3, Saved: 14, Watching: true, ConfigAt: ago(12 * time.Minute),
		Spend: &metrics.Spend{Today: 12.74, Limit: 20, ResetsAt: noon.Add(9*time.Hour + 28*time.Minute), Month: 205.10, MonthLimit: 500,
			PerHour: 2.10, Unpriced: 21, LimitAt: noon.Add(3*time.Hour + 28*time.Minute), Input: 4_800_000, Output: 212_000, Cached: 3_408_000},
		Providers: []metrics.ProviderView{
			{Name: "anthropic", Type: "anthropic", Endpoint: "https://api.anthropic.com", Tier: 1, Spent: 8.41, State: metrics.StateReady, TPS: 191, History: history(0, 150, 0), TTFTp50: 820 * ms, TTFTp95: 1900 * ms, InFlight: 3, OK: 642, Failed: 2, Weight: 5, Share: 0.52},
			{Name: "zai", Type: "anthropic", Endpoint: "https://api.z.ai/api/anthropic", Tier: 1, Spent: 0.62, State: metrics.StateCooling, RetryAt: noon.Add(18 * s), History: history(1, 70, 30), TTFTp50: 410 * ms, TTFTp95: 1100 * ms, OK: 318, Failed: 6, Weight: 3, Share: 0, LastError: "429 rate limited, retry after 30s: Number of request tokens has exceeded your per-minute rate limit", LastErrorAt: ago(s), DailyBudget: 5},
			{Name: "openrouter", Type: "openai", Endpoint: "https://openrouter.ai/api/v1", Tier: 1, Spent: 2.13, State: metrics.StateReady, TPS: 61.8, History: history(2, 62, 0), TTFTp50: 1100 * ms, TTFTp95: 2600 * ms, InFlight: 2, OK: 207, Failed: 1, Weight: 3, Share: 0.31},
			{Name: "bedrock-usw2", Type: "bedrock", Endpoint: "https://bedrock-runtime.us-west-2.amazonaws.com", Tier: 1, Spent: 1.58, State: metrics.StateReady, TPS: 38.4, History: history(3, 40, 0), TTFTp50: 1340 * ms, TTFTp95: 3200 * ms, InFlight: 1, OK: 96, Weight: 2, Share: 0.12},
			{Name: "local-ollama", Type: "openai", Endpoint: "http://127.0.0.1:11434/v1", Tier: 1, Spent: 0, State: metrics.StateReady, Unpriced: 21, TPS: 9.6, History: history(4, 22, 0), TTFTp50: 2950 * ms, TTFTp95: 6800 * ms, InFlight: 1, OK: 21, Weight: 1, Share: 0.05},
		},
		Requests: []metrics.RequestRecord{
			request("r20", sonnet, metrics.PhaseStreaming, s, 6800*ms, 71.4, 18200, 512, z429, one("anthropic", run)),
			request("r19", sonnet, metrics.PhaseStreaming, 3*s, 9100*ms, 68.9, 42000, 1210, one("anthropic", run)),
			request("r18", opus, metrics.PhaseStreaming, 4*s, 9900*ms, 41.2, 9100, 377, one("anthropic", run)),
			request("r17", "gpt-4o", metrics.PhaseStreaming, 6*s, 11800*ms, 61.8, 6000, 688, one("openrouter", run)),
			request("r16", "gpt-4o", metrics.PhaseWaiting, 7*s, 900*ms, 0, 0, 0, attempt("openrouter", run, 0, 900*ms)),
			request("r15", haiku, metrics.PhaseStreaming, 10*s, 15400*ms, 38.4, 2200, 245, one("bedrock-usw2", run)),
			request("r14", "qwen3-coder", metrics.PhaseStreaming, 11*s, 16200*ms, 9.6, 3300, 96, one("local-ollama", run)),
			request("r13", sonnet, metrics.PhaseOK, 5*s, 4400*ms, 70.2, 15000, 240, attempt("zai", "rate_limited", 429, 210*ms), one("anthropic", ok)),
			request("r12", sonnet, metrics.PhaseOK, 9*s, 21*s, 66, 22900, 810, attempt("zai", "timeout", 0, 8*s), one("anthropic", ok)),
			request("r11", "gpt-4o", metrics.PhaseOK, 9*s, 7400*ms, 63.5, 5100, 402, one("openrouter", ok)),
			request("r10", haiku, metrics.PhaseOK, 10*s, 4600*ms, 40.1, 1800, 133, one("bedrock-usw2", ok)),
			request("r09", opus, metrics.PhaseOK, 17*s, 55100*ms, 36.8, 30100, 1900, attempt("anthropic", "overloaded", 529, 900*ms), one("bedrock-usw2", ok)),
			request("r08", sonnet, metrics.PhaseFailed, 19*s, 200*ms, 0, 0, 0, attempt("anthropic", "invalid_request", 400, 200*ms)),
			request("r07", sonnet, metrics.PhaseOK, 24*s, 7800*ms, 88.3, 8100, 620, one("zai", ok)),
			request("r06", sonnet, metrics.PhaseOK, 28*s, 4500*ms, 91, 7700, 355, one("zai", ok)),
			request("r05", haiku, metrics.PhaseCanceled, 30*s, 3400*ms, 39.2, 1300, 88, attempt("bedrock-usw2", "canceled", 200, 3*s)),
			request("r04", "gpt-4o", metrics.PhaseOK, 35*s, 18*s, 60.9, 9400, 1020, one("openrouter", ok)),
		},
		Events: []metrics.Event{
			{Seq: 1, Time: ago(4 * time.Minute), Kind: metrics.EventConfig, Text: "config.yaml loaded"},
			{Seq: 2, Time: ago(98 * s), Kind: metrics.EventCooldown, Provider: "bedrock-usw2", For: 30 * s, Text: "out for 30s after 503"},
			{Seq: 3, Time: ago(40 * s), Kind: metrics.EventReturn, Provider: "bedrock-usw2", Text: "asked again"},
			{Seq: 4, Time: ago(17 * s), Kind: metrics.EventFallback, Provider: "anthropic", To: "bedrock-usw2", Text: "529 overloaded"},
			{Seq: 5, Time: ago(9 * s), Kind: metrics.EventFallback, Provider: "zai", To: "anthropic", Text: "no first byte in 8.0s"},
			{Seq: 6, Time: ago(6 * s), Kind: metrics.EventAborted, Provider: "local-ollama", Text: "connection reset after content"},
			{Seq: 7, Time: ago(5 * s), Kind: metrics.EventFallback, Provider: "zai", To: "anthropic", Text: "429 rate limit"},
			{Seq: 8, Time: ago(3 * s), Kind: metrics.EventFallback, Provider: "zai", To: "anthropic", Text: "429 rate limit"},
			{Seq: 9, Time: ago(s), Kind: metrics.EventFallback, Provider: "zai", To: "anthropic", Text: "429 retry after 30s"},
			{Seq: 10, Time: ago(s), Kind: metrics.EventCooldown, Provider: "zai", For: 30 * s, Text: "out for 30s"},
		},
	}
	p := day.Providers
	measured(&p[0], 71.2, 1, 0.64, false, metrics.BreakerClosed, "claude-sonnet-4-5", "claude-opus-4-1")
	measured(&p[1], 88.3, 1, 0.02, false, metrics.BreakerOpen, "glm-4.6")
	measured(&p[2], 61.8, 1, 1, false, metrics.BreakerClosed, "openai/gpt-4o")
	measured(&p[3], 38.4, 0.25, 1, false, metrics.BreakerClosed, "us.anthropic.claude-haiku-4-5")
	measured(&p[4], 9.6, 1, 1, true, metrics.BreakerClosed, "qwen3-coder")
	return day
}

// changed is a usable file that waits for an answer.
func changed() *metrics.Review {
	return &metrics.Review{
		Hash: "9c1e", File: "config.yaml", At: ago(12 * time.Second),
		Changes: []metrics.Change{
			{Kind: metrics.ChangeChanged, Path: "providers.zai.apiKey", Secret: true},
			{Kind: metrics.ChangeChanged, Path: "models[zai/glm-4.6].weight", Old: "5", New: "3"},
			{Kind: metrics.ChangeAdded, Path: "providers.groq", New: "openai, https://api.groq.example/v1"},
			{Kind: metrics.ChangeRemoved, Path: "models[gpt-4o-mini]", Old: "alias claude-haiku*, provider openrouter"},
			{Kind: metrics.ChangeReordered, Path: "models"},
		},
		Effect: metrics.Effect{
			Aliases: []metrics.AliasEffect{
				{Alias: "claude-sonnet*", Shares: []metrics.ShareChange{{Provider: "anthropic", Old: .62, New: .73}, {Provider: "zai", Model: "glm-4.6", Old: .38, New: .27}}},
				{Alias: "claude-haiku*", Loses: []string{"openrouter"}, Shares: []metrics.ShareChange{{Provider: "bedrock-usw2", Old: .6, New: 1}, {Provider: "openrouter", Model: "gpt-4o-mini", Old: .4, New: 0}}},
			},
			Finishing: 2,
			Warnings:  []string{"claude-haiku* now has one provider only (bedrock-usw2)"},
		},
		Text: []metrics.TextLine{
			{Old: 4, New: 4, Text: "providers:"}, {Old: 5, New: 5, Text: "  zai:"},
			{Old: 6, Text: "    apiKey: ····"}, {New: 6, Text: "    apiKey: ····"},
			{New: 7, Text: "  groq: {type: openai, endpoint: https://api.groq.example/v1}"},
			{Old: 20, New: 21, Text: "models:"},
			{Old: 21, Text: "  - {name: gpt-4o-mini, alias: claude-haiku*, provider: openrouter}"},
			{Old: 22, Text: "  - {name: glm-4.6, provider: zai, weight: 5}"},
			{New: 22, Text: "  - {name: glm-4.6, provider: zai, weight: 3}"},
		},
	}
}

// broken is a file that cannot be applied.
func broken() *metrics.Review {
	return &metrics.Review{
		Hash: "ffff", File: "config.yaml", At: ago(12 * time.Second),
		Problems: []metrics.Problem{
			{Line: 17, Col: 15, Text: `config.yaml:17:15: models[1].provider: unknown provider "zia"; did you mean "zai"?`, Key: "models[1].provider", Reason: `unknown provider "zia"; did you mean "zai"?`, Excerpt: "    provider: zia\n              ^"},
			{Line: 31, Col: 13, Text: `config.yaml:31:13: retry.maxDelay: "5" has no unit; write 5s`, Key: "retry.maxDelay", Reason: `"5" has no unit; write 5s`},
		},
	}
}

// measured fills in what the choice of upstreams knows.
func measured(p *metrics.ProviderView, tps, returning, headroom float64, slow bool, b metrics.Breaker, models ...string) {
	p.DecodeTPS, p.TTFT, p.Speed, p.Returning, p.Headroom, p.Slow, p.Breaker = tps, p.TTFTp50, tps*0.8, returning, headroom, slow, b
	for _, model := range models {
		t := metrics.TargetView{Model: model, Tier: 1, Weight: p.Weight, DecodeTPS: tps, TTFT: p.TTFTp50, Speed: tps * 0.8, Breaker: b,
			RetryAt: p.RetryAt, Returning: returning, Slow: slow, Headroom: headroom, Measured: ago(3 * time.Second),
			Factors: metrics.Factors{Speed: min(1, tps/70), Price: 1, Load: 1, Return: returning, Limit: 1, Slow: 1}}
		if slow {
			t.Factors.Slow = 0.001
		}
		p.Targets = append(p.Targets, t)
	}
}

// nastyNames are what a terminal and a width function like least.
var nastyNames = []string{
	"", "a", "日本語のモデル", "한국어모델이름", "👩‍👩‍👧‍👦 family", "🇩🇪🇫🇷🇯🇵", "e\u0301e\u0301e\u0301", "\u0301leading",
	"עברית עם טקסט", "العربية", "\x1b[31mred\x1b[0m", "\x1b]52;c;aGk=\x07", "\u202eevil\u202c", "tab\there", "new\nline",
	"❤️‼️", "bad\xff\xfeutf8", "\x00\x07\x9b31m", "한글", "กำ", "नमस्ते", "\u200d\u200d", "A\u0308\u0308\u0308\u0308", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "\u00ad\u00ad",
	long("x"), long("語"), long("👍🏽"),
}

func randomReview(r *rand.Rand, name func() string, at time.Time) *metrics.Review {
	v := &metrics.Review{Hash: fmt.Sprint(r.IntN(3)), File: name(), At: at}
	kinds := []metrics.ChangeKind{metrics.ChangeAdded, metrics.ChangeRemoved, metrics.ChangeChanged, metrics.ChangeReordered, "\x1b"}
	for range r.IntN(20) {
		v.Changes = append(v.Changes, metrics.Change{Kind: kinds[r.IntN(len(kinds))], Path: name(), Old: name(), New: name()})
		v.Text = append(v.Text, metrics.TextLine{Old: r.IntN(2) * r.IntN(1e6), New: r.IntN(2) * r.IntN(1e6), Text: name()})
		v.Effect.Warnings, v.Effect.Restart = append(v.Effect.Warnings, name()), append(v.Effect.Restart, name())
	}
	for range r.IntN(4) {
		a := metrics.AliasEffect{Alias: name(), Gains: []string{name()}, Loses: []string{name()}}
		for range r.IntN(9) {
			a.Shares = append(a.Shares, metrics.ShareChange{Provider: name(), Model: name(), Old: r.Float64(), New: r.Float64()})
		}
		v.Effect.Aliases = append(v.Effect.Aliases, a)
	}
	for range r.IntN(3) * r.IntN(3) {
		v.Problems = append(v.Problems, metrics.Problem{Line: r.IntN(1e5), Col: r.IntN(300), Key: name(), Reason: name(), Excerpt: name() + "\n   ^"})
	}
	return v
}

func randomLog(r *rand.Rand) lines {
	var l lines
	levels := []string{"DEBUG", "INFO", "WARN", "ERROR", "\x1b"}
	for i := range r.IntN(60) {
		l = append(l, metrics.LogLine{Seq: uint64(i + 1), Time: noon, Level: levels[r.IntN(len(levels))],
			Text: nastyNames[r.IntN(len(nastyNames))] + " a=" + nastyNames[r.IntN(len(nastyNames))]})
	}
	return l
}

func long(s string) string {
	out := ""
	for range 300 {
		out += s
	}
	return out
}

// randomSnapshot is any state at all, and some that cannot be.
func randomSnapshot(r *rand.Rand) metrics.Snapshot {
	name := func() string { return nastyNames[r.IntN(len(nastyNames))] }
	dur := func() time.Duration { return time.Duration(r.Int64N(int64(200*time.Hour))) >> r.IntN(30) }
	drift := func() time.Duration { // either way
		forth, back := dur(), dur()
		return forth - back
	}
	num := func() int64 { return r.Int64() >> r.IntN(63) }
	phases := []metrics.Phase{metrics.PhaseWaiting, metrics.PhaseStreaming, metrics.PhaseOK, metrics.PhaseFailed, metrics.PhaseCanceled, "?"}
	states := []metrics.State{metrics.StateReady, metrics.StateCooling, metrics.StatePartly, metrics.StateHalfOpen, metrics.StateAuth, "?"}
	kinds := []metrics.EventKind{metrics.EventFallback, metrics.EventCooldown, metrics.EventReturn, metrics.EventCredential, metrics.EventConfig, "\x1b"}
	outcomes := []string{"", "ok", "canceled", "rate_limited", "timeout", "\x1b[2J"}
	s := metrics.Snapshot{
		At: noon.Add(drift()), Started: noon.Add(-dur()), Listen: name(), Config: name(), Generation: r.Uint64(),
		TPS: r.Float64() * float64(num()), InFlight: r.IntN(20), OK: num(), Failed: num(), Canceled: num(), Saved: num(),
		Draining: r.IntN(8) == 0, LogDropped: num() * int64(r.IntN(2)),
	}
	for i := range r.IntN(13) {
		p := metrics.ProviderView{
			Name: fmt.Sprint(i, name()), State: states[r.IntN(len(states))], TPS: r.Float64() * 1e4, TTFTp50: dur(), TTFTp95: dur(),
			InFlight: r.IntN(2000), OK: num(), Failed: num(), Weight: r.Float64() * 100, Share: r.Float64()*3 - 1,
		}
		for range r.IntN(3) {
			p.Include(metrics.TargetView{Model: name(), Tier: r.IntN(9), Weight: r.Float64() * 9, DecodeTPS: r.Float64() * 1e4, TTFT: dur(), Breaker: metrics.Breaker(name()),
				RetryAt: s.At.Add(drift()), Returning: r.Float64(), Slow: r.IntN(2) == 0, Headroom: r.Float64(), Measured: s.At.Add(drift()), Factors: metrics.Factors{Speed: r.Float64(), Slow: r.Float64()}})
		}
		if r.IntN(2) == 0 {
			p.RetryAt = s.At.Add(drift())
		}
		if r.IntN(5) > 0 {
			p.History = make([]float32, metrics.HistoryLen)
			for t := range p.History {
				p.History[t] = float32(math.Pow(10, r.Float64()*7-3))
			}
		}
		s.Providers = append(s.Providers, p)
	}
	for i := range r.IntN(60) {
		q := metrics.RequestRecord{
			ID: fmt.Sprint(i), Time: s.At.Add(-dur()), Model: name(), Phase: phases[r.IntN(len(phases))], Duration: dur(),
			TPS: r.Float64() * 1e5, Error: name(), Tokens: metrics.Tokens{Input: num(), Output: num(), Estimated: r.IntN(2) == 0},
			Cost: r.Float64() * float64(num()), Unpriced: r.IntN(2) == 0, Included: r.IntN(2) == 0,
		}
		for range r.IntN(4) {
			q.Decision.Attempts = append(q.Decision.Attempts, attempt(name(), outcomes[r.IntN(len(outcomes))], r.IntN(600), dur()))
		}
		s.Requests = append(s.Requests, q)
	}
	if r.IntN(3) == 0 {
		s.Spend = &metrics.Spend{Today: r.Float64() * float64(num()), Limit: r.Float64() * 100, Month: r.Float64() * 1e6, PerHour: r.Float64(),
			ResetsAt: s.At.Add(drift()), LimitAt: s.At.Add(drift()), Input: num(), Output: num(), Cached: num(),
			Unpriced: num(), ByMidnight: r.Float64() * float64(num())}
		if r.IntN(2) == 0 {
			s.Spend.LimitAt = time.Time{}
		}
	}
	if r.IntN(3) == 0 {
		s.Review = randomReview(r, name, s.At.Add(-dur()))
	}
	for i := range r.IntN(40) {
		s.Events = append(s.Events, metrics.Event{
			Seq: uint64(i + 1), Time: s.At, Kind: kinds[r.IntN(len(kinds))], Provider: name(), To: name(), Text: name(),
		})
	}
	return s
}
