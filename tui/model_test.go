package tui

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"anyproxy/metrics"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
)

// text is what the screen says.
func text(m *model) string { return ansi.Strip(m.view) }

func quits(cmd tea.Cmd) bool {
	if cmd == nil {
		return false
	}
	_, ok := cmd().(tea.QuitMsg)
	return ok
}

func idle() metrics.Snapshot {
	s := busyDay()
	s.InFlight = 0
	s.Requests = s.Requests[7:]
	return s
}

func TestQuitAsksOnlyWhileRequestsRun(t *testing.T) {
	tests := []struct {
		name string
		snap metrics.Snapshot
		keys []string
		want bool
	}{
		{"idle", idle(), []string{"q"}, true},
		{"idle, ctrl+c", idle(), []string{"ctrl+c"}, true},
		{"busy", busyDay(), []string{"q"}, false},
		{"busy, twice", busyDay(), []string{"q", "q"}, true},
		{"busy, ctrl+c twice", busyDay(), []string{"ctrl+c", "ctrl+c"}, true},
		{"busy, escaped", busyDay(), []string{"q", "esc"}, false},
		{"busy, escaped and asked again", busyDay(), []string{"q", "esc", "q"}, false},
		{"busy, another key between", busyDay(), []string{"q", "down", "q"}, false},
		{"typed fast", busyDay(), []string{"qq"}, true},
		{"other keys", idle(), []string{"x", "1", "ctrl+z", "esc", "?", "tab"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := testModel(steady(tt.snap), 120, 36, trueColorEnv)
			if got := quits(press(m, tt.keys...)); got != tt.want {
				t.Errorf("quits: %v, want %v", got, tt.want)
			}
		})
	}
}

func TestPastedTextIsNoCommand(t *testing.T) {
	m := testModel(steady(idle()), 120, 36, trueColorEnv)
	if quits(m.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("q"), Paste: true})) {
		t.Error("a pasted q quits")
	}
}

func TestSuspendIsExplainedAndNotDone(t *testing.T) {
	now := noon
	m := testModel(steady(idle()), 120, 36, trueColorEnv)
	m.now = func() time.Time { return now }
	if cmd := press(m, "ctrl+z"); cmd != nil {
		t.Fatalf("ctrl+z does %T", cmd())
	}
	if !strings.Contains(text(m), "ctrl+z would stop the proxy") {
		t.Error("no hint")
	}
	now = now.Add(hintTime)
	m.Update(tickMsg{})
	if strings.Contains(text(m), "ctrl+z") {
		t.Error("the hint stays")
	}
}

func TestFreezeHoldsFiguresAndCountsWhatIsNewer(t *testing.T) {
	s := busyDay()
	m := testModel(fakeSource{func(since uint64) metrics.Snapshot { return steady(s).Snapshot(since) }}, 160, 45, trueColorEnv)
	press(m, " ")
	s.At, s.Generation, s.OK = noon.Add(2*time.Second), 8, 5555
	s.Requests = append([]metrics.RequestRecord{{ID: "new", Time: noon.Add(time.Second), Model: "brand-new", Phase: metrics.PhaseWaiting}}, s.Requests...)
	s.Events = append(s.Events, metrics.Event{Seq: 11, Time: s.At, Kind: metrics.EventConfig, Text: "a later event"})
	m.Update(tickMsg{})
	for _, unwanted := range []string{"5 555", "brand-new", "a later event"} {
		if strings.Contains(text(m), unwanted) {
			t.Errorf("frozen, but shows %q", unwanted)
		}
	}
	if want := "FROZEN 14:32:08, 1 newer"; !strings.Contains(text(m), want) {
		t.Errorf("does not say %q", want)
	}
	press(m, " ")
	for _, wanted := range []string{"5 555", "brand-new", "a later event"} {
		if !strings.Contains(text(m), wanted) {
			t.Errorf("thawed, but does not show %q", wanted)
		}
	}
}

func TestEventsAreAskedForOnce(t *testing.T) {
	var asked []uint64
	src := steady(busyDay())
	m := testModel(fakeSource{func(since uint64) metrics.Snapshot {
		asked = append(asked, since)
		return src.Snapshot(since)
	}}, 160, 45, trueColorEnv)
	m.Update(tickMsg{})
	m.Update(tickMsg{})
	if got, want := fmt.Sprint(asked), "[0 10 10]"; got != want {
		t.Errorf("asked since %s, want %s", got, want)
	}
	if len(m.events) != 10 {
		t.Errorf("%d events, want 10", len(m.events))
	}
}

func TestSelectionStaysWithItsRow(t *testing.T) {
	s := busyDay()
	m := testModel(fakeSource{func(since uint64) metrics.Snapshot { return steady(s).Snapshot(since) }}, 160, 45, trueColorEnv)
	press(m, "tab", "down", "j", "down", "k")
	if got := m.requests.id; got != "r18" {
		t.Fatalf("selected %q, want r18", got)
	}
	s.Requests = append([]metrics.RequestRecord{{ID: "r21", Time: noon}, {ID: "r22", Time: noon}}, s.Requests...)
	s.Generation++
	m.Update(tickMsg{})
	if m.requests.id != "r18" || m.requests.index != 4 {
		t.Errorf("selected %q at %d, want r18 at 4", m.requests.id, m.requests.index)
	}
	s.Requests = s.Requests[:3]
	s.Generation++
	m.Update(tickMsg{})
	if m.requests.index != 2 {
		t.Errorf("its row is gone: selected index %d, want the last, 2", m.requests.index)
	}
}

func TestListScrollsToTheSelection(t *testing.T) {
	m := testModel(steady(busyDay()), 80, 24, trueColorEnv)
	press(m, "tab")
	for range 40 {
		press(m, "down")
	}
	if !strings.Contains(text(m), "14:31:33") {
		t.Errorf("the last request is selected but not to be seen:\n%s", text(m))
	}
	for range 40 {
		press(m, "up")
	}
	if !strings.Contains(text(m), "zai 429 0.3s → anthropic") {
		t.Errorf("the first request is selected but not to be seen:\n%s", text(m))
	}
}

func TestFocusGoesRoundThePanesOnScreen(t *testing.T) {
	tests := []struct {
		w, h int
		want []pane
	}{
		{160, 45, []pane{paneRequests, paneEvents, paneProviders, paneRequests}},
		{40, 4, []pane{paneEvents, paneProviders, paneEvents, paneProviders}},
	}
	for _, tt := range tests {
		m := testModel(steady(busyDay()), tt.w, tt.h, trueColorEnv)
		for i, want := range tt.want {
			if press(m, "tab"); m.focus != want {
				t.Errorf("%dx%d: after %d tabs pane %d, want %d", tt.w, tt.h, i+1, m.focus, want)
			}
		}
		before := m.focus
		press(m, "tab", "shift+tab")
		if m.focus != before {
			t.Errorf("%dx%d: shift+tab does not undo tab", tt.w, tt.h)
		}
	}
}

func TestHelpAndFooterNameEveryKey(t *testing.T) {
	for _, g := range []*glyphs{&unicodeGlyphs, &asciiGlyphs} {
		help := map[string][]string{}
		for _, l := range helpLines(g) {
			help[l.text] = strings.Fields(l.keys)
		}
		footer := map[string]string{}
		for _, l := range footerLines(g) {
			footer[l.text] = l.keys
		}
		for _, b := range keymap {
			for i, k := range b.keys {
				if actionOf(k) != b.action {
					t.Errorf("%q does action %d, the table says %d", k, actionOf(k), b.action)
				}
				if !contains(help[b.help], g.key(k)) {
					t.Errorf("the help does not name %q for %q", g.key(k), b.help)
				}
				if b.footer != "" && (i == 0 || !b.first) && !strings.Contains(footer[b.footer], g.key(k)) {
					t.Errorf("the footer does not name %q for %q", g.key(k), b.footer)
				}
			}
		}
	}
	m := testModel(steady(busyDay()), 100, 30, trueColorEnv)
	press(m, "?")
	for _, l := range helpLines(m.theme.glyphs) {
		if !strings.Contains(text(m), l.keys) || !strings.Contains(text(m), l.text) {
			t.Errorf("the help on screen lacks %q %q", l.keys, l.text)
		}
	}
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func TestTickIsFastOnlyWhileARequestRuns(t *testing.T) {
	stopped := make(chan struct{})
	close(stopped)
	for _, inFlight := range []int{0, 3} {
		s := busyDay()
		s.InFlight = inFlight
		m := testModel(steady(s), 80, 24, trueColorEnv)
		m.stopped = stopped
		want := idleTick
		if inFlight > 0 {
			want = busyTick
		}
		if got := m.interval(); got != want {
			t.Errorf("%d in flight: looks every %s, want %s", inFlight, got, want)
		}
		if msg := m.tick()(); msg != nil {
			t.Errorf("a tick after the end: %v", msg)
		}
	}
}

func TestNothingIsPaintedWhenNothingChanged(t *testing.T) {
	s := idle()
	m := testModel(fakeSource{func(since uint64) metrics.Snapshot { return steady(s).Snapshot(since) }}, 120, 36, trueColorEnv)
	m.Update(tea.BlurMsg{})
	before := m.view
	s.At = s.At.Add(time.Hour) // the clock alone, and nobody looks
	m.Update(tickMsg{})
	if m.view != before {
		t.Error("painted for nobody")
	}
	m.Update(tea.FocusMsg{})
	m.Update(tickMsg{})
	if !strings.Contains(text(m), "up 4h12m") {
		t.Error("not up to date with the focus back")
	}
}

func TestCooldownCountsDown(t *testing.T) {
	s := busyDay()
	m := testModel(fakeSource{func(since uint64) metrics.Snapshot { return steady(s).Snapshot(since) }}, 120, 36, trueColorEnv)
	for _, want := range []string{"cooling 18s", "cooling 17s", "cooling 16s"} {
		if !strings.Contains(text(m), want) {
			t.Errorf("does not say %q", want)
		}
		s.At = s.At.Add(time.Second)
		m.Update(tickMsg{})
	}
}

func TestPartialPaintingEqualsPaintingAll(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 60 {
		s := randomSnapshot(r)
		m := testModel(fakeSource{func(uint64) metrics.Snapshot { return s }}, 20+r.IntN(180), 5+r.IntN(50), trueColorEnv)
		for range 5 {
			s = randomSnapshot(r)
			s.At = noon.Add(time.Duration(r.IntN(1e6)) * time.Second)
			m.Update(tickMsg{})
			press(m, keymap[r.IntN(len(keymap)-1)].keys[0])
		}
		partial := m.view
		m.canvas = newCanvas(m.canvas.w, m.canvas.h, m.theme)
		m.soil()
		m.paint()
		if !m.frozen && partial != m.view && !m.help {
			t.Fatalf("painted in parts:\n%s\nat once:\n%s", ansi.Strip(partial), ansi.Strip(m.view))
		}
	}
}

func FuzzUpdate(f *testing.F) {
	f.Add(uint64(1), []byte("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c"))
	f.Add(uint64(2), []byte("qqqq????\t\t\t\t    jjjjkkkk"))
	f.Fuzz(func(t *testing.T, seed uint64, moves []byte) {
		r := rand.New(rand.NewPCG(seed, 1))
		s := randomSnapshot(r)
		m := testModel(fakeSource{func(uint64) metrics.Snapshot { return s }}, 20+r.IntN(200), 5+r.IntN(60), trueColorEnv)
		if len(moves) > 60 {
			moves = moves[:60]
		}
		for _, b := range moves {
			var cmd tea.Cmd
			asked := m.asking
			switch n := int(b) % 16; {
			case n < len(keymap):
				cmd = m.Update(keyMsg(keymap[n].keys[int(b)/16%len(keymap[n].keys)]))
			case n == 12:
				m.Update(tea.WindowSizeMsg{Width: r.IntN(260), Height: r.IntN(90)})
			case n == 13:
				m.Update(tea.BlurMsg{})
			case n == 14:
				m.Update(tea.FocusMsg{})
			default:
				s = randomSnapshot(r)
				m.Update(tickMsg{})
			}
			if cmd != nil && !asked && m.latest.InFlight > 0 {
				t.Fatal("quits without asking")
			}
			checkFrame(t, m.view, m.canvas.w, max(1, m.canvas.h))
			for _, p := range focusOrder {
				m.syncSelection(p)
				if l, n, _ := m.rows(p); l.index < 0 || l.index > max(0, n-1) {
					t.Fatalf("pane %d: row %d of %d selected", p, l.index, n)
				}
			}
		}
	})
}
