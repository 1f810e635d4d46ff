package logging_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"anyproxy/internal/logging"
	"anyproxy/internal/redact"
)

const key = `local-upstream-"key"-0001`

func TestLevels(t *testing.T) {
	for _, c := range []struct {
		level string
		want  string // the levels that come through, by first letter
		warns bool
	}{
		{"", "IWE", false}, {"debug", "DIWE", false}, {"Info", "IWE", false},
		{"WARN", "WE", false}, {"eRRor", "E", false},
		{"verbose", "IWE", true}, {"INFO+1", "IWE", true}, {"warning", "IWE", true},
	} {
		t.Run(c.level, func(t *testing.T) {
			var buf bytes.Buffer
			log, warning := logging.New(&buf, c.level, "", redact.New())
			log.Debug("D")
			log.Info("I")
			log.Warn("W")
			log.Error("E")
			got := ""
			for _, m := range regexp.MustCompile(`msg=(.)`).FindAllStringSubmatch(buf.String(), -1) {
				got += m[1]
			}
			if got != c.want {
				t.Errorf("%s came through, want %s", got, c.want)
			}
			if (warning != "") != c.warns || c.warns && !strings.Contains(warning, c.level) {
				t.Errorf("warning %q", warning)
			}
		})
	}
}

func TestFormats(t *testing.T) {
	for format, c := range map[string]struct{ json, warns bool }{
		"": {}, "text": {}, "TEXT": {}, "json": {json: true}, "Json": {json: true}, "xml": {warns: true},
	} {
		var buf bytes.Buffer
		log, warning := logging.New(&buf, "", format, redact.New())
		log.Info("hello")
		if json.Valid(buf.Bytes()) != c.json || (warning != "") != c.warns {
			t.Errorf("%q: warning %q, %s", format, warning, buf.Bytes())
		}
	}
	_, warning := logging.New(&bytes.Buffer{}, "loud", "\x1b[31mxml", redact.New())
	if !strings.Contains(warning, "LOG_LEVEL") || !strings.Contains(warning, "LOG_FORMAT") || strings.Contains(warning, "\x1b") {
		t.Errorf("%q", warning)
	}
}

func TestTextLine(t *testing.T) {
	var buf bytes.Buffer
	log, _ := logging.New(&buf, "", "text", redact.New())
	log.Warn("upstream failed", "provider", "zai", "attempt", 2, "error", errors.New("no such host"))
	want := regexp.MustCompile(`^time=\d\d:\d\d:\d\d\.\d{3} level=WARN msg="upstream failed" provider=zai attempt=2 error="no such host"\n$`)
	if !want.MatchString(buf.String()) {
		t.Errorf("%q", buf.String())
	}
}

// hostile is what foreign text may hold: a forged line, a terminal's commands
// in 7 and 8 bits, text that is shown backwards, bytes that are no UTF-8.
const hostile = "x\ntime=00:00:00 level=ERROR msg=forged\r\x1b[2J\x00\x07\x7f\u009b31m\u202e\u2066\u200f\xff\x9b\t\""

func TestForeignTextCannotForgeOrSteer(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		var buf bytes.Buffer
		log, _ := logging.New(&buf, "", format, redact.New())
		log.Info(hostile, "k"+hostile, hostile, slog.Group("g"+hostile, "err", errors.New(hostile)))
		line := buf.String()
		if n := strings.Count(line, "\n"); n != 1 || !strings.HasSuffix(line, "\n") {
			t.Errorf("%s: %d lines: %q", format, n, line)
		}
		for _, r := range strings.TrimSuffix(line, "\n") {
			if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
				t.Errorf("%s: %U came through", format, r)
			}
		}
		if format == "json" {
			var got map[string]any
			if err := json.Unmarshal(buf.Bytes(), &got); err != nil || got["msg"] != strings.ToValidUTF8(hostile, "\ufffd\ufffd") {
				t.Errorf("%v: %q", err, got["msg"])
			}
		}
	}
}

func TestSecretsAreRedacted(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		var buf bytes.Buffer
		log, _ := logging.New(&buf, "", format, redact.New(key))
		log.With("auth", key).Info("got "+key, "body", fmt.Sprintf(`{"key":%q}`, key), slog.Group("g", "err", errors.New(key)))
		if strings.Contains(buf.String(), "0001") || strings.Count(buf.String(), redact.Dots) != 4 {
			t.Errorf("%s: %s", format, buf.String())
		}
	}
}

func TestSwitchMovesALiveLogger(t *testing.T) {
	var before, after bytes.Buffer
	s := logging.NewSwitch(&before)
	log, _ := logging.New(s, "", "", redact.New())
	log.Info("one")
	s.Set(&after)
	log.Info("two")
	if !strings.Contains(before.String(), "one") || strings.Contains(before.String(), "two") || !strings.Contains(after.String(), "two") {
		t.Errorf("%q, %q", before.String(), after.String())
	}
}

func TestConcurrentUse(t *testing.T) {
	var targets [2]lineCounter
	s := logging.NewSwitch(&targets[0])
	a := logging.NewAsync(s)
	log, _ := logging.New(a, "", "", redact.New())
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 100 {
				log.Info("line", "g", g)
				s.Set(&targets[i%2])
			}
		})
	}
	wg.Wait()
	a.Close(time.Minute)
	if n := targets[0].n.Load() + targets[1].n.Load(); n != 400 {
		t.Errorf("%d lines", n)
	}
}

type lineCounter struct{ n atomic.Int64 }

func (c *lineCounter) Write(p []byte) (int, error) {
	c.n.Add(int64(bytes.Count(p, []byte("\n"))))
	return len(p), nil
}

// stuck is a writer that hangs until it is let go.
type stuck struct {
	release chan struct{}
	mu      sync.Mutex
	got     strings.Builder
}

func (s *stuck) Write(p []byte) (int, error) {
	<-s.release
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got.Write(p)
}

func TestAsyncNeverBlocks(t *testing.T) {
	w := &stuck{release: make(chan struct{})}
	a := logging.NewAsync(w)
	const n = 4 * logging.AsyncLines
	for range n { // with a writer that hangs
		if _, err := a.Write([]byte("line\n")); err != nil {
			t.Fatal(err)
		}
	}
	dropped := a.Dropped()
	// Besides those in the queue, what has been taken for the write that hangs is
	// kept: nothing, one line, or a queue full.
	if dropped < n-2*logging.AsyncLines-1 || dropped > n-logging.AsyncLines {
		t.Errorf("%d of %d lines dropped, the queue holds %d", dropped, n, logging.AsyncLines)
	}
	a.Close(0) // gives up
	close(w.release)
	a.Close(time.Minute)
	if got := int64(strings.Count(w.got.String(), "line\n")); got != n-dropped {
		t.Errorf("%d lines written, want %d", got, n-dropped)
	}
	if _, err := a.Write([]byte("late\n")); err != nil || a.Dropped() != dropped+1 {
		t.Errorf("a late line: %v, %d dropped", err, a.Dropped())
	}
}

// breaks is a writer that panics the first time.
type breaks struct {
	lineCounter
	times int
}

func (b *breaks) Write(p []byte) (int, error) {
	if b.times++; b.times == 1 {
		panic("at a loss")
	}
	return b.lineCounter.Write(p)
}

func TestAPanicOfAWriterCostsItsLines(t *testing.T) {
	w := &breaks{}
	a := logging.NewAsync(w)
	const n = 100
	for range n {
		if _, err := a.Write([]byte("line\n")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Microsecond)
	}
	a.Close(time.Minute)
	if a.Dropped() == 0 || a.Dropped()+w.n.Load() != n {
		t.Errorf("%d dropped, %d written of %d", a.Dropped(), w.n.Load(), n)
	}
}

// FuzzClean writes any bytes to a terminal: what is left is text, and cleaning
// it again changes nothing.
func FuzzClean(f *testing.F) {
	f.Add([]byte(hostile))
	f.Add([]byte("plain\ttext\n"))
	f.Add([]byte("cut \xe2\x80"))
	f.Fuzz(func(t *testing.T, text []byte) {
		cleaned := func(p []byte) []byte {
			var b bytes.Buffer
			if n, err := logging.Clean(&b).Write(p); err != nil || n != len(p) {
				t.Fatalf("%d of %d bytes: %v", n, len(p), err)
			}
			return b.Bytes()
		}
		got := cleaned(text)
		if !utf8.Valid(got) {
			t.Errorf("%q is no UTF-8", got)
		}
		for _, r := range string(got) {
			if unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r) {
				t.Errorf("%q keeps %U", got, r)
			}
		}
		if again := cleaned(got); !bytes.Equal(again, got) {
			t.Errorf("%q is cleaned again, to %q", got, again)
		}
	})
}
