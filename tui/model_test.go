package tui

import (
	"context"
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
		name  string
		snap  metrics.Snapshot
		keys  []string
		quits bool
		asked string // of the proxy
	}{
		{"idle", idle(), []string{"q"}, true, ""},
		{"idle, ctrl+c", idle(), []string{"ctrl+c"}, true, ""},
		{"busy", busyDay(), []string{"q"}, false, ""},
		{"busy, wait", busyDay(), []string{"q", "w"}, false, "drain false"},
		{"busy, q again", busyDay(), []string{"q", "q"}, false, "drain false"},
		{"busy, now", busyDay(), []string{"q", "n"}, false, "drain true"},
		{"busy, ctrl+c twice", busyDay(), []string{"ctrl+c", "ctrl+c"}, false, "drain true"},
		{"busy, detach", busyDay(), []string{"q", "d"}, true, ""},
		{"busy, escaped", busyDay(), []string{"q", "esc"}, false, ""},
		{"busy, escaped and asked again", busyDay(), []string{"q", "esc", "q"}, false, ""},
		{"busy, another key between", busyDay(), []string{"q", "down", "q"}, false, ""},
		{"typed fast", busyDay(), []string{"qw"}, false, "drain false"},
		{"from the help", busyDay(), []string{"?", "ctrl+c", "n"}, false, "drain true"},
		{"from the filter", busyDay(), []string{"/", "q", "ctrl+c", "n"}, false, "drain true"},
		{"other keys", idle(), []string{"x", "1", "esc", "?", "tab"}, false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			did := &recorder{}
			m := modelOf(Options{Source: steady(tt.snap), Actions: did}, 120, 36, trueColorEnv)
			msg := do(press(m, tt.keys...))
			if _, quits := msg.(tea.QuitMsg); quits != tt.quits || did.all() != tt.asked {
				t.Errorf("quits: %v, asked the proxy for %q; want %v, %q", quits, did.all(), tt.quits, tt.asked)
			}
		})
	}
}

// do runs a command as Bubble Tea would.
func do(cmd tea.Cmd) tea.Msg {
	if cmd == nil {
		return nil
	}
	return cmd()
}

func TestPastedTextIsNoCommand(t *testing.T) {
	m := testModel(steady(idle()), 120, 36, trueColorEnv)
	if quits(m.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("q"), Paste: true})) {
		t.Error("a pasted q quits")
	}
}

func TestHintsFade(t *testing.T) {
	now := noon
	m := testModel(steady(idle()), 120, 36, looks["none"])
	m.now = func() time.Time { return now }
	press(m, "t")
	if !strings.Contains(text(m), "colour is off") {
		t.Error("no hint")
	}
	now = now.Add(hintTime)
	m.Update(tickMsg{})
	if strings.Contains(text(m), "colour is off") {
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
	if got := m.listings[paneRequests].id; got != "req_00000r18" {
		t.Fatalf("selected %q, want req_00000r18", got)
	}
	s.Requests = append([]metrics.RequestRecord{{ID: "r21", Time: noon}, {ID: "r22", Time: noon}}, s.Requests...)
	s.Generation++
	m.Update(tickMsg{})
	if m.listings[paneRequests].id != "req_00000r18" || m.list(paneRequests).index != 4 {
		t.Errorf("selected %q at %d, want req_00000r18 at 4", m.listings[paneRequests].id, m.list(paneRequests).index)
	}
	s.Requests = s.Requests[:3]
	s.Generation++
	m.Update(tickMsg{})
	if m.list(paneRequests).index != 4 {
		t.Errorf("its row is gone: selected index %d, want the same place, 4", m.list(paneRequests).index)
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
	if !strings.Contains(text(m), "zai 429 → anthropic") {
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

// places are all that m.place can return.
var places = []place{atOverview, atProviders, atProvider, atRequests, atRequest, atEvents, atConfig, atLogs}

func TestHelpAndFooterNameEveryKey(t *testing.T) {
	for _, g := range []*glyphs{&unicodeGlyphs, &asciiGlyphs} {
		for _, at := range places {
			help := map[string]string{}
			own, everywhere := helpLines(at, false, g)
			for _, l := range append(own, everywhere...) {
				help[l.text] += " " + l.keys + " "
			}
			taken := map[string]string{}
			for _, b := range keymap {
				if b.at&at == 0 {
					continue
				}
				for _, k := range b.keys {
					if before := taken[k]; before != "" && actionOf(k, at) != b.action && b.at != anywhere {
						t.Errorf("place %b: %q is taken for %q and %q", at, k, before, b.help)
					}
					taken[k] += b.help
					if name := g.key(k); !strings.Contains(help[b.help], " "+name+" ") && len(b.keys) <= 4 {
						t.Errorf("place %b: the help does not name %q for %q", at, name, b.help)
					}
				}
			}
		}
	}
	m := testModel(steady(busyDay()), 160, 60, trueColorEnv)
	press(m, "?")
	own, everywhere := helpLines(atOverview, false, m.theme.glyphs)
	for _, l := range append(own, everywhere...) {
		if !strings.Contains(text(m), l.keys) || !strings.Contains(text(m), l.text) {
			t.Errorf("the help on screen lacks %q %q", l.keys, l.text)
		}
	}
}

func TestReadOnlyScreensNameNoActions(t *testing.T) {
	for _, at := range places {
		for _, l := range footerLines(at, true, &unicodeGlyphs) {
			for _, b := range keymap {
				if b.acts && b.footer == l.text {
					t.Errorf("place %b: the footer offers %q", at, l.text)
				}
			}
		}
	}
}

func TestTickIsFastOnlyWhileARequestRuns(t *testing.T) {
	over, stop := context.WithCancel(t.Context())
	stop()
	for _, inFlight := range []int{0, 3} {
		s := busyDay()
		s.InFlight = inFlight
		m := testModel(steady(s), 80, 24, trueColorEnv)
		m.ctx = over
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
			do(press(m, pressable[r.IntN(len(pressable))]))
		}
		partial := m.view
		m.canvas = newCanvas(m.canvas.w, m.canvas.h, m.theme)
		m.soil()
		m.paint()
		if !m.frozen && partial != m.view {
			parts, once := strings.Split(partial, "\n"), strings.Split(m.view, "\n")
			for y := range min(len(parts), len(once)) {
				if parts[y] != once[y] {
					t.Errorf("row %d painted in parts: %q\nat once: %q", y, parts[y], once[y])
				}
			}
		}
	}
}

// pressable are the keys of the table but those that leave, and some letters.
var pressable = func() []string {
	keys := []string{"a", "z", "7", "!", ">", "backspace", "é"}
	for _, b := range keymap {
		if b.action != actQuit && b.action != actDetach && b.action != actExport {
			keys = append(keys, b.keys...)
		}
	}
	return keys
}()

// FuzzUpdate plays any sequence of keys, sizes, ticks and snapshots. Nothing is
// asked of the proxy but as the answer to a question or on the review.
func FuzzUpdate(f *testing.F) {
	f.Add(uint64(1), []byte("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c"))
	f.Add(uint64(2), []byte("qqqq????\t\t\t\t    jjjjkkkk"))
	f.Add(uint64(3), []byte("the quick brown fox jumps over the lazy dog"))
	f.Fuzz(func(t *testing.T, seed uint64, moves []byte) {
		r := rand.New(rand.NewPCG(seed, 1))
		s := randomSnapshot(r)
		did := &recorder{}
		m := modelOf(Options{Source: fakeSource{func(uint64) metrics.Snapshot { return s }}, Logs: randomLog(r), Actions: did},
			20+r.IntN(200), 5+r.IntN(60), trueColorEnv)
		if len(moves) > 80 {
			moves = moves[:80]
		}
		for _, b := range moves {
			var cmd tea.Cmd
			before, was, at := did.all(), m.mode, m.place()
			switch n := r.IntN(16); n {
			case 0:
				m.Update(tea.WindowSizeMsg{Width: r.IntN(260), Height: r.IntN(90)})
			case 1:
				m.Update(tea.BlurMsg{})
			case 2:
				m.Update(tea.FocusMsg{})
			case 3:
				s = randomSnapshot(r)
				m.Update(tickMsg{})
			default:
				cmd = m.Update(keyMsg(pressable[(int(b)+n)%len(pressable)]))
			}
			if cmd != nil {
				if msg := cmd(); msg != nil {
					if _, quits := msg.(tea.QuitMsg); !quits {
						m.Update(msg)
					}
				}
			}
			if did.all() != before && was != asking && at != atConfig {
				t.Fatalf("%s without a question", did.all())
			}
			checkFrame(t, m.view, m.canvas.w, max(1, m.canvas.h))
			for _, p := range []pane{paneProviders, paneRequests, paneEvents, paneLogs} {
				l := m.list(p)
				if _, n, _ := m.rows(p); l.index < 0 || l.index > max(0, n-1) {
					t.Fatalf("pane %d: row %d of %d selected", p, l.index, n)
				}
			}
		}
	})
}
