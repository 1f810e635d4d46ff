package tui

import (
	"fmt"
	"math"
	"math/rand/v2"
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
	o := Options{
		Source: src,
		Getenv: func(k string) string { return env[k] },
		Now:    func() time.Time { return noon },
	}
	m := newModel(o.withDefaults())
	m.resize(w, h)
	m.Init()
	return m
}

func press(m *model, keys ...string) (cmd tea.Cmd) {
	for _, k := range keys {
		cmd = m.Update(keyMsg(k))
	}
	return cmd
}

func keyMsg(name string) tea.KeyMsg {
	types := map[string]tea.KeyType{
		"up": tea.KeyUp, "down": tea.KeyDown, "tab": tea.KeyTab, "shift+tab": tea.KeyShiftTab,
		"esc": tea.KeyEsc, "ctrl+c": tea.KeyCtrlC, "ctrl+z": tea.KeyCtrlZ,
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

func request(id, model string, phase metrics.Phase, before, took time.Duration, tps float64, in, out int64, attempts ...metrics.AttemptRecord) metrics.RequestRecord {
	r := metrics.RequestRecord{
		ID: id, Model: model, Phase: phase, Time: ago(before), Duration: took, TPS: tps, Stream: true,
		Tokens: metrics.Tokens{Input: in, Output: out, Estimated: phase == metrics.PhaseStreaming},
	}
	r.Decision.Attempts = attempts
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
	return metrics.Snapshot{
		At: noon, Started: ago(3*time.Hour + 12*time.Minute), Version: "1.0.0",
		Listen: "127.0.0.1:8080", Config: "config.yaml", Generation: 7,
		TPS: 301.2, InFlight: 7, OK: 1284, Failed: 9, Canceled: 3, Saved: 14,
		Providers: []metrics.ProviderView{
			{Name: "anthropic", State: metrics.StateReady, TPS: 191, History: history(0, 150, 0), TTFTp50: 820 * ms, TTFTp95: 1900 * ms, InFlight: 3, OK: 642, Failed: 2, Weight: 5, Share: 0.52},
			{Name: "zai", State: metrics.StateCooling, RetryAt: noon.Add(18 * s), History: history(1, 70, 30), TTFTp50: 410 * ms, TTFTp95: 1100 * ms, OK: 318, Failed: 6, Weight: 3, Share: 0},
			{Name: "openrouter", State: metrics.StateReady, TPS: 61.8, History: history(2, 62, 0), TTFTp50: 1100 * ms, TTFTp95: 2600 * ms, InFlight: 2, OK: 207, Failed: 1, Weight: 3, Share: 0.31},
			{Name: "bedrock-usw2", State: metrics.StateHalfOpen, TPS: 38.4, History: history(3, 40, 0), TTFTp50: 1340 * ms, TTFTp95: 3200 * ms, InFlight: 1, OK: 96, Weight: 2, Share: 0.12},
			{Name: "local-ollama", State: metrics.StateReady, TPS: 9.6, History: history(4, 22, 0), TTFTp50: 2950 * ms, TTFTp95: 6800 * ms, InFlight: 1, OK: 21, Weight: 1, Share: 0.05},
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
}

// nastyNames are what a terminal and a width function like least.
var nastyNames = []string{
	"", "a", "日本語のモデル", "한국어모델이름", "👩‍👩‍👧‍👦 family", "🇩🇪🇫🇷🇯🇵", "e\u0301e\u0301e\u0301", "\u0301leading",
	"עברית עם טקסט", "العربية", "\x1b[31mred\x1b[0m", "\x1b]52;c;aGk=\x07", "\u202eevil\u202c", "tab\there", "new\nline",
	"❤️‼️", "bad\xff\xfeutf8", "\x00\x07\x9b31m", "한글", "กำ", "नमस्ते", "\u200d\u200d", "A\u0308\u0308\u0308\u0308", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "\u00ad\u00ad",
	long("x"), long("語"), long("👍🏽"),
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
	states := []metrics.State{metrics.StateReady, metrics.StateCooling, metrics.StatePartly, metrics.StateHalfOpen, metrics.StateAuth, metrics.StateOff, "?"}
	kinds := []metrics.EventKind{metrics.EventFallback, metrics.EventCooldown, metrics.EventReturn, metrics.EventCredential, metrics.EventConfig, "\x1b"}
	outcomes := []string{"", "ok", "canceled", "rate_limited", "timeout", "\x1b[2J"}
	s := metrics.Snapshot{
		At: noon.Add(drift()), Started: noon.Add(-dur()), Listen: name(), Config: name(), Generation: r.Uint64(),
		TPS: r.Float64() * float64(num()), InFlight: r.IntN(20), OK: num(), Failed: num(), Canceled: num(), Saved: num(),
		Draining: r.IntN(8) == 0, LogDropped: num() * int64(r.IntN(2)),
	}
	for range r.IntN(13) {
		p := metrics.ProviderView{
			Name: name(), State: states[r.IntN(len(states))], TPS: r.Float64() * 1e4, TTFTp50: dur(), TTFTp95: dur(),
			InFlight: r.IntN(2000), OK: num(), Failed: num(), Weight: r.Float64() * 100, Share: r.Float64()*3 - 1,
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
		}
		for range r.IntN(4) {
			q.Decision.Attempts = append(q.Decision.Attempts, attempt(name(), outcomes[r.IntN(len(outcomes))], r.IntN(600), dur()))
		}
		s.Requests = append(s.Requests, q)
	}
	for i := range r.IntN(40) {
		s.Events = append(s.Events, metrics.Event{
			Seq: uint64(i + 1), Time: s.At, Kind: kinds[r.IntN(len(kinds))], Provider: name(), To: name(), Text: name(),
		})
	}
	return s
}
