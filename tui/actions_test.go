package tui

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"anyproxy/metrics"
)

func TestProviderActionsAreAskedFor(t *testing.T) {
	held := busyDay()
	held.Providers[1].State = metrics.StateHeld
	tests := []struct {
		name  string
		snap  metrics.Snapshot
		keys  []string
		asked string
		told  string
	}{
		{"hold", busyDay(), []string{"down", "H", "y"}, "hold zai", "zai is held"},
		{"return", held, []string{"down", "H", "y"}, "return zai", "zai takes requests again"},
		{"probe", busyDay(), []string{"2", "p", "y"}, "probe anthropic", "anthropic answered in 0.41s"},
		{"reset in a detail", busyDay(), []string{"2", "down", "enter", "R", "y"}, "reset zai", "zai starts afresh"},
		{"the selected one of a sorted table", busyDay(), []string{"s", "down", "H", "y"}, "hold openrouter", "openrouter is held"},
		{"no", busyDay(), []string{"H", "n"}, "", ""},
		{"escaped", busyDay(), []string{"H", "esc", "y"}, "", ""},
		{"another key", busyDay(), []string{"H", "down", "y"}, "", ""},
		{"masked", busyDay(), []string{"m", "down", "H", "y"}, "hold zai", "prov 2 is held"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			did := &recorder{}
			m := modelOf(Options{Source: steady(tt.snap), Actions: did}, 120, 36, trueColorEnv)
			if msg := do(press(m, tt.keys...)); msg != nil {
				m.Update(msg)
			}
			if did.all() != tt.asked || !strings.Contains(text(m), tt.told) {
				t.Errorf("asked for %q, want %q; the footer says %q", did.all(), tt.asked, m.hint)
			}
		})
	}
	m := modelOf(Options{Source: steady(busyDay()), Actions: &recorder{err: errors.New("no \x1b[2Jsuch")}}, 120, 36, trueColorEnv)
	m.Update(do(press(m, "H", "y")))
	if !strings.Contains(text(m), `anthropic: no \x1b[2Jsuch`) {
		t.Errorf("an error is not told: %q", m.hint)
	}
}

func TestReadOnlyScreensDoNothing(t *testing.T) {
	did := &recorder{}
	m := modelOf(Options{Source: steady(waiting(changed)()), Actions: did, ReadOnly: true}, 120, 36, trueColorEnv)
	m.now = func() time.Time { return noon.Add(time.Hour) }
	for _, keys := range [][]string{{"H", "y"}, {"p", "y"}, {"R", "y"}, {"c", "y"}, {"n"}} {
		if cmd := press(m, keys...); cmd != nil {
			cmd()
		}
	}
	if did.all() != "" {
		t.Errorf("asked for %s", did.all())
	}
	if strings.Contains(text(m), "apply") {
		t.Error("offers to apply")
	}
	do(press(m, "q", "w"))
	if did.all() != "drain false" {
		t.Errorf("quitting asks for %q", did.all())
	}
}

// TestReviewCannotBeAnsweredByTypingOn: y counts only after the review has been
// there for a while, and a newer save begins anew.
func TestReviewCannotBeAnsweredByTypingOn(t *testing.T) {
	s, now, did := waiting(changed)(), noon, &recorder{}
	m := modelOf(Options{Source: fakeSource{func(since uint64) metrics.Snapshot { return steady(s).Snapshot(since) }}, Actions: did}, 120, 36, trueColorEnv)
	m.now = func() time.Time { return now }
	if press(m, "y") != nil && did.all() != "" {
		t.Error("y applies from the overview")
	}
	if !strings.Contains(text(m), "c review") || strings.Contains(text(m), "models[zai/glm-4.6].weight") {
		t.Error("the review opens by itself, or is not announced")
	}
	press(m, "esc", "c")
	answer := func(key string) {
		if cmd := press(m, key); cmd != nil {
			m.Update(cmd())
		}
	}
	now = now.Add(reviewGuard - time.Millisecond)
	if answer("y"); did.all() != "" {
		t.Fatalf("answered too early: %s", did.all())
	}
	s.Review = changed()
	s.Review.Hash, s.Review.Changes = "a newer one", s.Review.Changes[:1]
	m.Update(tickMsg{})
	if !strings.Contains(text(m), "saved again") || strings.Contains(text(m), "models[zai/glm-4.6].weight") {
		t.Error("the newer save is not shown")
	}
	now = now.Add(time.Millisecond)
	if answer("y"); did.all() != "" {
		t.Fatalf("the newer save is answered at once: %s", did.all())
	}
	now = now.Add(reviewGuard)
	if answer("y"); did.all() != "apply a newer one" || !strings.Contains(text(m), "applied") {
		t.Errorf("asked for %q", did.all())
	}
	if answer("n"); did.all() != "apply a newer one, reject a newer one" {
		t.Errorf("asked for %q", did.all())
	}
	s.Review = broken()
	m.Update(tickMsg{})
	now = now.Add(time.Minute)
	if answer("y"); strings.Contains(did.all(), "ffff") || !strings.Contains(text(m), "cannot be applied") {
		t.Errorf("a file with problems: asked for %q", did.all())
	}
}

// TestFrozenReviewsAreAnsweredAsShown: what is applied is what stands there,
// also where a newer save has come that the frozen screen does not show.
func TestFrozenReviewsAreAnsweredAsShown(t *testing.T) {
	s, did := waiting(changed)(), &recorder{}
	m := modelOf(Options{Source: fakeSource{func(since uint64) metrics.Snapshot { return steady(s).Snapshot(since) }}, Actions: did}, 120, 36, trueColorEnv)
	press(m, "c", " ")
	s.Review = changed()
	s.Review.Hash = "newer"
	m.Update(tickMsg{})
	m.now = func() time.Time { return noon.Add(time.Second) }
	do(press(m, "y"))
	if did.all() != "apply 9c1e" {
		t.Errorf("asked for %q", did.all())
	}
}

func TestCopy(t *testing.T) {
	tests := []struct {
		keys []string
		want *regexp.Regexp
	}{
		{[]string{"3", "y", "i"}, regexp.MustCompile(`^req_00000r20$`)},
		{[]string{"3", "down", "enter", "y", "enter"}, regexp.MustCompile(`^req_00000r19$`)},
		{[]string{"3", "y", "c"}, regexp.MustCompile(`(?s)^curl -N http://127.0.0.1:8080/v1/messages .*x-api-key: \$ANTHROPIC_API_KEY.*-d '\{.*"model":"claude-sonnet-4-5-20250929".*\}'$`)},
		{[]string{"3", "y", "r"}, regexp.MustCompile(`^2026-11-21T14:32:07Z req_00000r20 claude-sonnet-4-5-20250929 zai 429 0.3s -> anthropic, streaming, 18200 in, 512 out, 6.8s$`)},
		{[]string{"3", "y", "j"}, regexp.MustCompile(`(?s)^\{.*"id": "req_00000r20",.*\}$`)},
		{[]string{"2", "y", "e"}, regexp.MustCompile(`^https://api.anthropic.com$`)},
		{[]string{"4", "down", "y", "r"}, regexp.MustCompile(`^2026-11-21T14:32:07Z fallback zai -> anthropic 429 retry after 30s$`)},
		{[]string{"6", "y", "r"}, regexp.MustCompile(`^WARN cooldown provider=zai .*per-minute rate limit"$`)},
	}
	for _, tt := range tests {
		c := &clip{}
		m := testModel(steady(busyDay()), 120, 36, trueColorEnv)
		m.terminal = c
		m.Update(do(press(m, tt.keys...)))
		if len(c.got) != 1 || !tt.want.MatchString(clipText(t, c.got[0])) {
			t.Errorf("%v copies %q", tt.keys, c.got)
		}
		if !strings.Contains(text(m), "copied") {
			t.Errorf("%v: the footer says %q", tt.keys, m.hint)
		}
	}
}

// clipText is what an OSC 52 sequence carries.
func clipText(t *testing.T, seq string) string {
	t.Helper()
	payload, ok := strings.CutPrefix(seq, "\x1b]52;c;")
	payload, end := strings.CutSuffix(payload, "\a")
	text, err := base64.StdEncoding.DecodeString(payload)
	if !ok || !end || err != nil {
		t.Fatalf("%q is no clipboard sequence: %v", seq, err)
	}
	return string(text)
}

func TestCopyThroughTmux(t *testing.T) {
	got := osc52("hi", func(k string) string { return map[string]string{"TMUX": "x"}[k] })
	if want := "\x1b]52;c;aGk=\a\x1bPtmux;\x1b\x1b]52;c;aGk=\a\x1b\\"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestWhatIsTooLongForTheClipboardGoesIntoAFile(t *testing.T) {
	c, folder := &clip{}, t.TempDir()
	m := testModel(steady(busyDay()), 120, 36, trueColorEnv)
	m.terminal, m.folder = c, folder
	long := strings.Repeat("x", maxClip)
	m.Update(do(m.copyText("row", long)))
	files, err := filepath.Glob(filepath.Join(folder, "anyproxy-*.txt"))
	if err != nil || len(files) != 1 || len(c.got) != 0 || !strings.Contains(text(m), "too long for the clipboard") {
		t.Fatalf("files %v, clipboard %d, footer %q", files, len(c.got), m.hint)
	}
	if got, err := os.ReadFile(files[0]); err != nil || string(got) != long+"\n" {
		t.Errorf("%d bytes written, %v", len(got), err)
	}
}

func TestExportWritesTheFilteredList(t *testing.T) {
	folder := t.TempDir()
	m := testModel(steady(busyDay()), 120, 36, trueColorEnv)
	m.folder = folder
	m.Update(do(press(m, "3", "/", "4", "2", "9", "enter", "E")))
	path := filepath.Join(folder, "anyproxy-20261121-143208.000.jsonl")
	if !strings.Contains(m.hint, path) {
		t.Errorf("the footer says %q", m.hint)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var ids []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var r metrics.RequestRecord
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, r.ID)
	}
	if got := strings.Join(ids, " "); got != "req_00000r20 req_00000r13" {
		t.Errorf("exported %s", got)
	}
	m.Update(do(press(m, "E"))) // in the same moment
	if !strings.Contains(m.hint, "exists") {
		t.Errorf("a file is written over: %q", m.hint)
	}
}

// TestMaskedScreensShowNoNames looks at every screen, detail and popup.
func TestMaskedScreensShowNoNames(t *testing.T) {
	s := waiting(changed)()
	for i := range s.Events {
		s.Events[i].Request = "req_00000r20"
	}
	harmless := regexp.MustCompile(`us\.anthropic\.claude|format +(anthropic|bedrock)`) // a model's name, a format
	secret := regexp.MustCompile(`anthropic\b|\bzai\b|openrouter|bedrock|ollama|groq|https?://[a-z]|r\d\d\b|laptop|3f2a9|config\.yaml|127\.0`)
	for _, size := range [][2]int{{160, 45}, {80, 24}, {60, 20}} {
		for _, view := range views {
			if view.name == "help" {
				continue
			}
			m := testModel(steady(s), size[0], size[1], trueColorEnv)
			press(m, "m")
			press(m, view.keys...)
			m.hint = ""
			m.soil()
			m.paint()
			if found := secret.FindString(harmless.ReplaceAllString(text(m), "")); found != "" {
				t.Errorf("%s at %v shows %q:\n%s", view.name, size, found, text(m))
			}
			press(m, "m")
			if view.name == "overview" && !strings.Contains(text(m), "zai") {
				t.Error("m does not take the mask off")
			}
		}
	}
}

func TestEventsLeadToTheirRequestOrProvider(t *testing.T) {
	s := busyDay()
	s.Events[9].Request = "req_00000r20"
	m := testModel(steady(s), 160, 45, trueColorEnv)
	press(m, "4", "enter")
	if m.place() != atRequest || !strings.Contains(text(m), "Request 00000r20") {
		t.Error("the newest event does not lead to its request")
	}
	press(m, "4", "down", "down", "down", "enter")
	if m.place() != atProvider || !strings.Contains(text(m), "2 Providers › local-ollama") {
		t.Errorf("the fourth event does not lead to its provider:\n%s", text(m))
	}
	press(m, "esc", "esc")
	if m.place() != atProviders {
		t.Errorf("esc leads to place %b", m.place())
	}
}

func TestNextProblem(t *testing.T) {
	m := testModel(steady(busyDay()), 160, 45, trueColorEnv)
	var got []string
	press(m, "3")
	for range 6 {
		press(m, "o")
		got = append(got, shortID(m.shown.Requests[m.selected(paneRequests)].ID))
	}
	if s := strings.Join(got, " "); s != "00000r13 00000r12 00000r09 00000r08 00000r20 00000r13" {
		t.Errorf("goes to %s", s)
	}
}

func TestLogsFollowUntilScrolled(t *testing.T) {
	l := append(lines(nil), quietLog...)
	m := modelOf(Options{Source: steady(busyDay()), Logs: &l}, 100, 20, trueColorEnv)
	add := func(text string) {
		l = append(l, metrics.LogLine{Seq: uint64(len(l) + 1), Time: noon, Level: "INFO", Text: text})
		m.Update(tickMsg{})
	}
	press(m, "6")
	if add("first news"); !strings.Contains(text(m), "first news") {
		t.Error("does not follow")
	}
	press(m, "up", "up")
	if add("second news"); strings.Contains(text(m), "second news") && !strings.Contains(text(m), "does not follow") {
		t.Error("follows although scrolled")
	}
	for range 40 {
		add("more news")
	}
	if !strings.Contains(text(m), "first news") {
		t.Errorf("what was being read has gone:\n%s", text(m))
	}
	if press(m, "f"); strings.Contains(text(m), "first news") || !strings.Contains(text(m), "more news") {
		t.Error("f does not follow again")
	}
	press(m, "l", "l")
	if strings.Contains(text(m), "more news") || !strings.Contains(text(m), "aborted") {
		t.Error("the level is not chosen")
	}
	press(m, "right")
	if strings.Contains(text(m), "aborted") {
		t.Error("the lines do not move")
	}
}

func TestThemeTurns(t *testing.T) {
	m := testModel(steady(busyDay()), 100, 30, trueColorEnv)
	dark := m.view
	press(m, "t")
	light := m.view
	press(m, "t")
	if dark == light || m.view != dark {
		t.Error("t does not go to light and back")
	}
}

// TestThawedReviewsAreNotAnsweredAtOnce: what comes before the eyes when the
// screen catches up is as new as what has just been opened.
func TestThawedReviewsAreNotAnsweredAtOnce(t *testing.T) {
	s, now, did := waiting(changed)(), noon, &recorder{}
	m := modelOf(Options{Source: fakeSource{func(since uint64) metrics.Snapshot { return steady(s).Snapshot(since) }}, Actions: did}, 120, 36, trueColorEnv)
	m.now = func() time.Time { return now }
	press(m, "c", " ")
	s.Review = changed()
	s.Review.Hash = "newer"
	m.Update(tickMsg{})
	now = now.Add(time.Minute)
	if do(press(m, " ", "y")); did.all() != "" {
		t.Fatalf("answered at once: %s", did.all())
	}
	now = now.Add(reviewGuard)
	if do(press(m, "y")); did.all() != "apply newer" {
		t.Errorf("asked for %q", did.all())
	}
}

// TestFrozenScreensActOnTheProviderShown: another configuration may have other
// providers in the same places.
func TestFrozenScreensActOnTheProviderShown(t *testing.T) {
	s, did := busyDay(), &recorder{}
	m := modelOf(Options{Source: fakeSource{func(since uint64) metrics.Snapshot { return steady(s).Snapshot(since) }}, Actions: did}, 120, 36, trueColorEnv)
	press(m, " ", "down")
	s.Providers = s.Providers[1:]
	m.Update(tickMsg{})
	if do(press(m, "H", "y")); did.all() != "hold zai" {
		t.Errorf("asked for %q", did.all())
	}
}

// TestDetailsScrollByPages also where the list has no place beside them.
func TestDetailsScrollByPages(t *testing.T) {
	m := testModel(steady(busyDay()), 80, 16, trueColorEnv)
	press(m, "3", "enter", "pgdown")
	if want := m.layout.at[paneDetail].h - tableOverhead; m.scroll != want {
		t.Errorf("a page is %d rows, want %d", m.scroll, want)
	}
}

// TestDetailsStayWithTheirRequest: one that the filter no longer lets through is
// still the one that was opened.
func TestDetailsStayWithTheirRequest(t *testing.T) {
	s := busyDay()
	m := testModel(fakeSource{func(since uint64) metrics.Snapshot { return steady(s).Snapshot(since) }}, 160, 45, trueColorEnv)
	press(m, "3", "/", "s", "t", "r", "e", "a", "m", "i", "n", "g", "enter", "down", "down", "enter")
	id := m.requestName(m.shown.Requests[m.selected(paneRequests)].ID)
	s.Generation++
	s.Requests[2].Phase = metrics.PhaseOK
	m.Update(tickMsg{})
	if got := m.requestName(m.shown.Requests[m.selected(paneRequests)].ID); got != id {
		t.Errorf("shows %s instead of %s", got, id)
	}
}

// TestCopyKeepsTheRow: what came first when the popup opened is copied, whatever
// has come since.
func TestCopyKeepsTheRow(t *testing.T) {
	s := busyDay()
	m := testModel(fakeSource{func(since uint64) metrics.Snapshot { return steady(s).Snapshot(since) }}, 160, 45, trueColorEnv)
	press(m, "3", "y")
	s.Generation++
	s.Requests = append([]metrics.RequestRecord{request("r99", "new", metrics.PhaseWaiting, 0, 0, 0, 0, 0, attempt("zai", "", 0, 0))}, s.Requests...)
	m.Update(tickMsg{})
	do(press(m, "i"))
	if got := clipText(t, m.terminal.(*clip).got[0]); got != "req_00000r20" {
		t.Errorf("copied %q", got)
	}
}

func TestCtrlZDetachesFromEverywhere(t *testing.T) {
	for _, before := range []string{"/", "?", "y", "q"} {
		m := testModel(steady(busyDay()), 120, 36, trueColorEnv)
		if press(m, before); !quits(press(m, "ctrl+z")) || !m.detached {
			t.Errorf("not after %s", before)
		}
	}
}

// TestAReviewIsCalledForFromAFrozenScreen and shown then, though it came later.
func TestAReviewIsCalledForFromAFrozenScreen(t *testing.T) {
	s := busyDay()
	m := testModel(fakeSource{func(since uint64) metrics.Snapshot { return steady(s).Snapshot(since) }}, 120, 36, trueColorEnv)
	press(m, " ")
	s.Review = changed()
	m.Update(tickMsg{})
	press(m, "c")
	if !strings.Contains(text(m), "models[zai/glm-4.6].weight") {
		t.Error("the review is not shown")
	}
}

// TestMaskingLeavesOtherWordsAlone where a provider has a short name.
func TestMaskingLeavesOtherWordsAlone(t *testing.T) {
	replace := disguiser(&metrics.Snapshot{Providers: []metrics.ProviderView{{Name: "a"}, {Name: "a-b"}, {Name: "日本"}}})
	const text, want = `provider=a to=a-b why="429 rate limited by a" 日本: 日本語`, `provider=prov 1 to=prov 2 why="429 rate limited by prov 1" prov 3: 日本語`
	if got := replace(text); got != want {
		t.Errorf("got %q", got)
	}
}
