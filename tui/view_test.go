package tui

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"anyproxy/metrics"

	"github.com/charmbracelet/x/ansi"
)

var (
	update   = flag.Bool("update", false, "rewrite the golden files")
	every    = flag.Bool("every", false, "draw every size, not one in four")
	pictures = flag.String("pictures", "", "write an SVG of each coloured golden frame to this `folder`")
)

// looks are the environments of the golden views.
var looks = map[string]map[string]string{
	"dark":  trueColorEnv,
	"light": {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "en_US.UTF-8", "COLORFGBG": "0;15"},
	"none":  {"TERM": "xterm-256color", "NO_COLOR": "1", "LANG": "en_US.UTF-8"},
	"ascii": {"TERM": "dumb"},
}

// views are the keys that lead to each screen, from the overview.
var views = []struct {
	name string
	keys []string
	snap func() metrics.Snapshot
}{
	{"overview", nil, busyDay},
	{"providers", []string{"2"}, busyDay},
	{"provider", []string{"2", "down", "enter"}, busyDay},
	{"requests", []string{"3"}, busyDay},
	{"request", []string{"3", "enter"}, busyDay},
	{"events", []string{"4"}, busyDay},
	{"review", []string{"c"}, waiting(changed)},
	{"review-lines", []string{"c", "d"}, waiting(changed)},
	{"review-invalid", []string{"c"}, waiting(broken)},
	{"config", []string{"5"}, busyDay},
	{"logs", []string{"6"}, busyDay},
	{"help", []string{"?"}, busyDay},
}

// waiting is a busy day on which a changed file waits.
func waiting(review func() *metrics.Review) func() metrics.Snapshot {
	return func() metrics.Snapshot {
		s := busyDay()
		s.Review = review()
		return s
	}
}

func TestGoldenViews(t *testing.T) {
	sizes := []struct{ w, h int }{{160, 45}, {120, 36}, {80, 24}, {60, 20}, {40, 10}, {20, 5}}
	for _, view := range views {
		for _, size := range sizes {
			for look, env := range looks {
				if look != "dark" && look != "ascii" && size.w != 120 {
					continue
				}
				name := fmt.Sprintf("%s-%dx%d-%s", view.name, size.w, size.h, look)
				t.Run(name, func(t *testing.T) {
					m := testModel(steady(view.snap()), size.w, size.h, env)
					press(m, view.keys...)
					checkFrame(t, m.view, size.w, size.h)
					if look != "light" { // the same text as dark
						golden(t, name+".txt", ansi.Strip(m.view)+"\n")
					}
					if size.w == 120 && look != "ascii" {
						golden(t, name+".ansi", strings.ReplaceAll(m.view, "\x1b", "␛")+"\n")
					}
					if (look == "dark" || look == "light") && *pictures != "" {
						on := &darkPaper
						if look == "light" {
							on = &lightPaper
						}
						picture(t, name, m.view, size.w, size.h, on)
					}
				})
			}
		}
	}
}

func TestGoldenStates(t *testing.T) {
	out := busyDay()
	for i := range out.Providers {
		out.Providers[i].State = "cooling"
		out.Providers[i].RetryAt = noon.Add(30e9)
	}
	quiet := busyDay()
	quiet.Requests, quiet.Events, quiet.InFlight, quiet.TPS, quiet.Spend = nil, nil, 0, 0, nil
	for i := range quiet.Providers {
		clear(quiet.Providers[i].History)
	}
	tests := []struct {
		name string
		keys []string
		src  Source
	}{
		{"asking", []string{"q"}, steady(busyDay())},
		{"hold", []string{"down", "H"}, steady(busyDay())},
		{"frozen", []string{"tab", "down", "down", " "}, steady(busyDay())},
		{"filter", []string{"3", "/", "z", "a", "i", " ", ">", "5", "s"}, steady(busyDay())},
		{"no-match", []string{"3", "/", "n", "o", "n", "e", "enter"}, steady(busyDay())},
		{"sorted", []string{"s", "tab", "s", "s"}, steady(busyDay())},
		{"zoomed", []string{"tab", "z"}, steady(busyDay())},
		{"copy", []string{"tab", "y"}, steady(busyDay())},
		{"masked", []string{"m"}, steady(busyDay())},
		{"search", []string{"?", "h", "o", "l", "d"}, steady(busyDay())},
		{"wrapped", []string{"6", "w", "l", "l"}, steady(busyDay())},
		{"all-out", nil, steady(out)},
		{"no-traffic", nil, steady(quiet)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := testModel(tt.src, 100, 30, trueColorEnv)
			press(m, tt.keys...)
			checkFrame(t, m.view, 100, 30)
			golden(t, "state-"+tt.name+".txt", ansi.Strip(m.view)+"\n")
			if *pictures != "" {
				picture(t, "state-"+tt.name, m.view, 100, 30, &darkPaper)
			}
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (-update rewrites it); got\n%s", path, got)
	}
}

func picture(t *testing.T, name, frame string, w, h int, on *paper) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(*pictures, name+".svg"), []byte(svg(frame, w, h, on)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// checkFrame holds what every frame owes to a terminal of w by h.
func checkFrame(t *testing.T, frame string, w, h int) {
	t.Helper()
	lines := strings.Split(frame, "\n")
	if len(lines) > h {
		t.Fatalf("%dx%d: %d lines", w, h, len(lines))
	}
	for y, line := range lines {
		if got := ansi.StringWidth(line); got > w {
			t.Fatalf("%dx%d: line %d is %d wide: %q", w, h, y, got, line)
		}
		if i := strings.LastIndex(line, "\x1b["); i >= 0 && !strings.HasPrefix(line[i:], "\x1b[m") {
			t.Fatalf("%dx%d: line %d leaves a style open: %q", w, h, y, line)
		}
		for rest := line; ; {
			i := strings.IndexFunc(rest, func(r rune) bool { return r < 0x20 || r >= 0x7f && r < 0xa0 })
			if i < 0 {
				break
			}
			end := strings.IndexByte(rest[i:], 'm')
			if !strings.HasPrefix(rest[i:], "\x1b[") || end < 0 || strings.Trim(rest[i+2:i+end], "0123456789;") != "" {
				t.Fatalf("%dx%d: line %d has a control that is no SGR: %q", w, h, y, rest[i:])
			}
			rest = rest[i+end:]
		}
	}
}

// TestEverySizeFits draws a random state at a part of all sizes, another part
// each time; all of them with -every.
func TestEverySizeFits(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	envs := []map[string]string{trueColorEnv, looks["none"], looks["ascii"]}
	part := uint64(4)
	switch {
	case *every:
		part = 1
	case testing.Short() || raceDetector:
		part = 50
	}
	n := seed % part
	for w := 20; w <= 250; w++ {
		for h := 5; h <= 80; h++ {
			if n++; n%part != 0 {
				continue
			}
			r := rand.New(rand.NewPCG(seed, uint64(w*1000+h)))
			m := modelOf(Options{Source: steady(randomSnapshot(r)), Logs: randomLog(r), Actions: &recorder{}}, w, h, envs[r.IntN(len(envs))])
			for range r.IntN(4) {
				do(press(m, pressable[r.IntN(len(pressable))]))
			}
			checkFrame(t, m.view, w, h)
			if strings.TrimSpace(ansi.Strip(m.view)) == "" {
				t.Fatalf("%dx%d is blank", w, h)
			}
		}
	}
}

// TestTinySizesShowSomething goes down to nothing.
func TestTinySizesShowSomething(t *testing.T) {
	for w := range 24 {
		for h := range 6 {
			m := testModel(steady(busyDay()), w, h, trueColorEnv)
			press(m, "?", "tab", "down", "?", "tab", "up")
			checkFrame(t, m.view, w, max(1, h))
			if w >= 20 && h >= 1 && !strings.Contains(ansi.Strip(m.view), "301 tok/s") {
				t.Errorf("%dx%d does not tell the speed:\n%s", w, h, ansi.Strip(m.view))
			}
		}
	}
}

func BenchmarkView160x45(b *testing.B) {
	for _, mode := range []string{"dirty", "fast panes", "clean"} {
		b.Run(mode, func(b *testing.B) {
			m := testModel(steady(busyDay()), 160, 45, trueColorEnv)
			b.ReportAllocs()
			for b.Loop() {
				switch mode {
				case "dirty":
					m.soil()
				case "fast panes":
					m.step++
					m.soil(paneHeader, paneRequests)
				}
				m.paint()
				_ = m.view
			}
		})
	}
}

// TestSmallReviewsBeginWithWhatFollows: what is warned of cannot be applied
// unseen because it stands last.
func TestSmallReviewsBeginWithWhatFollows(t *testing.T) {
	m := testModel(steady(waiting(changed)()), 60, 16, trueColorEnv)
	press(m, "c")
	if !strings.Contains(text(m), "Warning  claude-haiku* now has one provider") || !strings.Contains(text(m), "Effect") {
		t.Error(text(m))
	}
}

// TestFailedAttemptsLookFailedWithoutColour: their bars are not those of a stream.
func TestFailedAttemptsLookFailedWithoutColour(t *testing.T) {
	m := testModel(steady(busyDay()), 160, 45, looks["none"])
	press(m, "3", "enter")
	if !strings.Contains(text(m), "1 zai        ✕") && !strings.Contains(text(m), "✕✕") {
		t.Error(text(m))
	}
}

func TestFooterOffersOnlyAnswersThereAre(t *testing.T) {
	footer := func(snap metrics.Snapshot) string {
		m := testModel(steady(snap), 120, 36, trueColorEnv)
		press(m, "c")
		rows := strings.Split(text(m), "\n")
		return rows[len(rows)-1]
	}
	for _, tt := range []struct {
		snap    metrics.Snapshot
		y, n, d bool
	}{{busyDay(), false, false, false}, {waiting(broken)(), false, true, false}, {waiting(changed)(), true, true, true}} {
		got := footer(tt.snap)
		if strings.Contains(got, "apply") != tt.y || strings.Contains(got, "reject") != tt.n || strings.Contains(got, "details") != tt.d {
			t.Errorf("offers %q", got)
		}
	}
}
