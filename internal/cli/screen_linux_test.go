package cli

import (
	"context"
	"io"
	"maps"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"anyproxy/internal/noprobe/ptytest"
	"anyproxy/internal/simulator"
)

// onScreen is a program whose dashboard is on a terminal.
type onScreen struct {
	t             *testing.T
	base          string
	master, slave *os.File
	screen, errw  safeBuffer
	exit          chan int
	stop          context.CancelFunc
	seen          int // bytes of the screen's text that wait has passed
}

func startOnScreen(t *testing.T, file string, more map[string]string) *onScreen {
	t.Helper()
	env := map[string]string{"TERM": "xterm-256color", "LANG": "C.UTF-8"}
	maps.Copy(env, more)
	return startOnScreenIn(t, func(k string) string { return env[k] }, "-tui", "-config", file)
}

func startOnScreenIn(t *testing.T, getenv func(string) string, args ...string) *onScreen {
	t.Helper()
	port := freePort(t)
	p := &onScreen{t: t, base: "http://127.0.0.1:" + port, exit: make(chan int, 1)}
	p.master, p.slave = ptytest.Open(t, 120, 36)
	read := p.reading()
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	go func() {
		p.exit <- Run(ctx, append(args, "-listen", "127.0.0.1:"+port), getenv, p.slave, p.slave, &p.errw)
	}()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		stop()
		<-p.exit
		_ = p.slave.Close()
		<-read
	})
	p.wait("Providers")
	return p
}

// reading keeps what the terminal is sent, until it is closed.
func (p *onScreen) reading() (ended <-chan struct{}) {
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(&p.screen, p.master)
	}()
	return read
}

// wait returns when the terminal has been sent the text since the last wait.
func (p *onScreen) wait(text string) {
	p.t.Helper()
	eventually(p.t, text, func() bool {
		all := ansi.Strip(p.screen.String()) // whole: a part might begin inside of a sequence
		i := strings.Index(all[min(p.seen, len(all)):], text)
		if i >= 0 {
			p.seen = len(all)
		}
		return i >= 0
	})
}

// show presses keys, wherever the dashboard is, until they have brought a text.
// An escape that arrives together with the key behind it is another key, so all
// are repeated.
func (p *onScreen) show(text string, keys ...string) {
	p.t.Helper()
	before := len(ansi.Strip(p.screen.String()))
	eventually(p.t, text, func() bool {
		for _, key := range append([]string{"\x1b"}, keys...) {
			p.press(key)
			time.Sleep(50 * time.Millisecond)
		}
		return strings.Contains(ansi.Strip(p.screen.String())[before:], text)
	})
}

func (p *onScreen) press(keys string) {
	p.t.Helper()
	if _, err := io.WriteString(p.master, keys); err != nil {
		p.t.Fatal(err)
	}
}

// full is whether the program has the alternate screen now.
func (p *onScreen) full() bool {
	out := p.screen.String()
	return strings.LastIndex(out, "\x1b[?1049h") > strings.LastIndex(out, "\x1b[?1049l")
}

func (p *onScreen) ends(code int) {
	p.t.Helper()
	got := <-p.exit
	p.exit <- got
	if got != code {
		p.t.Errorf("exit code %d, want %d: %s", got, code, p.errw.String())
	}
	if p.full() {
		p.t.Error("the alternate screen is left on")
	}
}

// answers asks for an answer through the proxy.
func (p *onScreen) answers() {
	p.t.Helper()
	res, err := http.Post(p.base+"/v1/messages", "application/json", strings.NewReader(ask(true)))
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusOK {
		p.t.Errorf("%d, %v", res.StatusCode, err)
	}
}

func TestTheDashboardIsLeftAndComesBackWhileTheProxyServes(t *testing.T) {
	p := startOnScreen(t, configFile(t, "", upstream(t, simulator.Always(good))), nil)
	leave := map[string]func(){
		"D":                        func() { p.press("D") },
		"ctrl+z":                   func() { p.press("\x1a") },
		"a stop from another side": func() { _ = syscall.Kill(os.Getpid(), syscall.SIGTSTP) },
	}
	for how, do := range leave {
		do()
		p.wait("Enter brings the dashboard back")
		if p.full() {
			t.Errorf("%s: the screen is not given back", how)
		}
		p.answers()
		p.press("\r")
		p.wait("Providers")
		if !p.full() {
			t.Errorf("%s: the dashboard has not come back", how)
		}
	}
	p.press("q")
	p.ends(0)
}

func TestQuittingWaitsForRequestsWithTheScreenOn(t *testing.T) {
	a := upstream(t, simulator.Always(faulty(simulator.Fault{Kind: simulator.Hang, At: simulator.Deltas(3)})))
	p := startOnScreen(t, configFile(t, "", a), nil)
	res, err := http.Post(p.base+"/v1/messages", "application/json", strings.NewReader(ask(true)))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	p.wait("1 in flight")
	p.press("q")
	p.wait("1 running:")
	p.press("w")
	p.wait("draining, 1 left")
	p.press("\x03\x03") // ctrl+c twice: at once
	body, _ := io.ReadAll(res.Body)
	if !strings.Contains(string(body), "overloaded_error") {
		t.Errorf("the client is told %s", body)
	}
	p.ends(0)
}

func TestTheDashboardActsOnTheProxy(t *testing.T) {
	a, b := upstream(t, simulator.Always(good)), upstream(t, simulator.Always(good))
	file := configFile(t, "", a, b)
	p := startOnScreen(t, file, nil)
	p.press("Hy")
	p.wait("a is held")
	res, err := http.Post(p.base+"/v1/messages", "application/json", strings.NewReader(ask(true)))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	if got := res.Header.Get("X-Anyproxy-Provider"); got != "b" {
		t.Errorf("%q answers while a is held", got)
	}
	p.press("Hy")
	p.wait("a takes requests again")
	edit(t, file, "tier: 2", "tier: 1")
	p.wait("c review")
	p.press("c")
	p.wait("tier")
	eventually(t, "the answer to count", func() bool {
		p.press("y")
		return strings.Contains(ansi.Strip(p.screen.String()), "applied")
	})
	p.press("q")
	p.ends(0)
}

// TestTheEditorGetsTheTerminalAndItsFileAReview: the editor is a script that
// does to its last argument what a person might.
func TestTheEditorGetsTheTerminalAndItsFileAReview(t *testing.T) {
	a, b := upstream(t, simulator.Always(good)), upstream(t, simulator.Always(good))
	editor := writeFile(t, "editor.sh", "#!/bin/sh\necho editing \"$@\"\nsed -i 's/tier: 2/tier: 1/' \"$1\"\n")
	if err := os.Chmod(editor, 0o700); err != nil {
		t.Fatal(err)
	}
	file := configFile(t, "", a, b)
	p := startOnScreen(t, file, map[string]string{"EDITOR": editor})
	eventually(t, "the file to be watched", func() bool { return strings.Contains(ansi.Strip(p.screen.String()), "watched") })
	p.press("5e")
	p.wait("editing " + file)
	p.wait("1 change, saved")
	if !p.full() {
		t.Error("the dashboard has not come back")
	}
	p.press("q")
	p.ends(0)
}

func TestWithoutATerminalTheDashboardIsOneLine(t *testing.T) {
	p := start(t, nil, "-tui", "-config", configFile(t, "", upstream(t, simulator.Always(good))))
	if n := strings.Count(p.errw.String(), "no terminal"); n != 1 {
		t.Errorf("said %d times: %s", n, p.errw.String())
	}
	if res, _ := p.post(t, ask(true)); res.StatusCode != http.StatusOK {
		t.Errorf("%d", res.StatusCode)
	}
}

func TestPlainTellsWhatHappens(t *testing.T) {
	bad := upstream(t, simulator.Always(faulty(simulator.Overloaded())))
	p := start(t, nil, "-tui=plain", "-config", configFile(t, "", bad, upstream(t, simulator.Always(good))))
	if res, _ := p.post(t, ask(true)); res.StatusCode != http.StatusOK {
		t.Fatalf("%d", res.StatusCode)
	}
	eventually(t, "the fallback", func() bool {
		return strings.Contains(p.out.String(), "fallback a to b: 529") && strings.Contains(p.out.String(), "a is cooling")
	})
	if strings.Contains(p.out.String(), "\x1b") {
		t.Errorf("it steers the terminal: %q", p.out.String())
	}
}
