package cli

import (
	"context"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"anyproxy/internal/noprobe/ptytest"
	"anyproxy/internal/simulator"
)

// typist is a person at the terminal of a running program.
type typist struct {
	t      *testing.T
	master *os.File
	screen *safeBuffer
	seen   int // how much of the screen was read before
}

// atTerminal runs a program whose input and output are a terminal.
func atTerminal(t *testing.T, args ...string) (p *running, who *typist) {
	t.Helper()
	master, slave := ptytest.Open(t, 200, 50)
	who = &typist{t: t, master: master, screen: &safeBuffer{}}
	var copied sync.WaitGroup
	copied.Go(func() { _, _ = io.Copy(who.screen, master) }) // ends when the terminal does
	ctx, stop := context.WithCancel(context.Background())
	p = &running{stop: stop, exit: make(chan int, 1)}
	go func() {
		p.exit <- Run(ctx, append([]string{"-listen", "127.0.0.1:0"}, args...), func(string) string { return "" }, slave, slave, &p.errw)
	}()
	t.Cleanup(func() {
		p.end(t)
		slave.Close()
		copied.Wait()
	})
	p.base = served.FindStringSubmatch(who.reads("curl -N"))[1]
	return p, who
}

// reads waits until the screen shows the text behind what was read before, and
// returns all up to it.
func (w *typist) reads(text string) (shown string) {
	w.t.Helper()
	eventually(w.t, text, func() bool {
		shown = w.screen.String()[w.seen:]
		return strings.Contains(shown, text)
	})
	shown = shown[:strings.Index(shown, text)+len(text)]
	w.seen += len(shown)
	return shown
}

func (w *typist) types(line string) {
	w.t.Helper()
	if _, err := io.WriteString(w.master, line+"\n"); err != nil {
		w.t.Fatal(err)
	}
}

// answers a question once it has stood long enough to be read.
func (w *typist) answers(line string) {
	w.t.Helper()
	w.reads(question)
	time.Sleep(readingTime)
	w.types(line)
}

func TestTheTerminalIsAsked(t *testing.T) {
	a, b := upstream(t, simulator.Always(good)), upstream(t, simulator.Always(good))
	file := configFile(t, "", a, b)
	p, who := atTerminal(t, "-config", file, "-watch")
	provider := func() string {
		res, _ := p.post(t, ask(true))
		return res.Header.Get("X-Anyproxy-Provider")
	}

	edit(t, file, "tier: 1", "tier: 3", "upstream-key-of-b", "other-key-of-b")
	shown := who.reads("new traffic of claude-*: a 100% → 0%, b 0% → 100%")
	for _, want := range []string{"2 changes", "~ providers.b.apiKey  changed", "~ models[a].tier  1 → 3"} {
		if !strings.Contains(shown, want) {
			t.Errorf("%q is not in:\n%s", want, shown)
		}
	}
	who.answers("what?")
	who.answers("d")
	if shown = who.reads("+   - {alias: … provider: a, tier: 3}"); !strings.Contains(shown, "-   - {alias: … provider: a, tier: 1}") || strings.Contains(shown, "other-key") {
		t.Errorf("the details:\n%s", shown)
	}
	if got := provider(); got != "a" {
		t.Errorf("before the answer served by %s", got)
	}
	who.answers("Y")
	eventually(t, "the new configuration", func() bool { return provider() == "b" })

	edit(t, file, "tier: 3", "tier: 4")
	who.answers("n")
	eventually(t, "the rejection", func() bool { return strings.Contains(p.errw.String(), "configuration rejected") })

	edit(t, file, "tier: 4", "tier: 5") // asked about, and then saved again
	who.reads("tier  3 → 5")
	edit(t, file, "tier: 5", "tier: 1")
	who.reads("tier  3 → 1")
	edit(t, file, "tier: 1", "teir: 1") // a mistake ends the question
	who.reads("did you mean tier?")
	who.types("y")
	edit(t, file, "teir: 1", "tier: 1")
	who.reads("tier  3 → 1")
	if got := provider(); got != "b" {
		t.Errorf("without an answer served by %s", got)
	}
	who.answers("yes")
	eventually(t, "the old configuration", func() bool { return provider() == "a" })
	if strings.Contains(who.screen.String(), "key-of-b") {
		t.Error("a secret is on the screen")
	}
}

// TestAStoppedTerminalDoesNotKeepTheProgram stops it before it would show that
// the file has changed.
func TestAStoppedTerminalDoesNotKeepTheProgram(t *testing.T) {
	for name, tier := range map[string]string{"a question": "tier: 3", "a refusal": "teir: 3"} {
		t.Run(name, func(t *testing.T) {
			file := configFile(t, "", upstream(t, simulator.Always(good)), upstream(t, simulator.Always(good)))
			p, who := atTerminal(t, "-config", file, "-watch")
			who.types("\x13") // ctrl+s
			edit(t, file, "tier: 1", tier)
			time.Sleep(500 * time.Millisecond) // until it is shown in vain
			p.stop()
			select {
			case code := <-p.exit:
				p.exit <- code
			case <-time.After(5 * time.Second):
				t.Error("it does not end")
			}
			who.types("\x11") // ctrl+q
			who.reads("has changed")
		})
	}
}

// TestTheTerminalObeysNoAlias shows one that would turn the direction of text.
func TestTheTerminalObeysNoAlias(t *testing.T) {
	a, b := upstream(t, simulator.Always(good)), upstream(t, simulator.Always(good))
	file := configFile(t, "", a, b)
	_, who := atTerminal(t, "-config", file, "-watch")
	edit(t, file, "models:\n", "models:\n  - {alias: \"x\\u202ey\", provider: a}\n")
	if shown := who.reads(question); strings.Contains(shown, "\u202e") || !strings.Contains(shown, `new traffic of x\u202ey`) {
		t.Errorf("%q", shown)
	}
}

// TestWithYesTheTerminalIsNotAsked reads nothing from it.
func TestWithYesTheTerminalIsNotAsked(t *testing.T) {
	a, b := upstream(t, simulator.Always(good)), upstream(t, simulator.Always(good))
	file := configFile(t, "", a, b)
	p, who := atTerminal(t, "-config", file, "-watch", "-yes")
	edit(t, file, "tier: 1", "tier: 3")
	eventually(t, "the new configuration", func() bool { return strings.Contains(p.errw.String(), "configuration applied") })
	if res, _ := p.post(t, ask(true)); res.Header.Get("X-Anyproxy-Provider") != "b" {
		t.Error("it is not served")
	}
	if strings.Contains(who.screen.String(), question) {
		t.Error("it asks")
	}
}
