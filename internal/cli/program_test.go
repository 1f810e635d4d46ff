package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"anyproxy/internal/simulator"
)

// None of the developer's own AWS settings may be seen by a test.
func TestMain(m *testing.M) {
	if act := os.Getenv(childsTask); act != "" {
		os.Exit(beChild(act))
	}
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") {
			os.Unsetenv(name)
		}
	}
	os.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	os.Setenv("AWS_CONFIG_FILE", os.DevNull)
	os.Setenv("AWS_SHARED_CREDENTIALS_FILE", "testdata/aws-credentials")
	os.Setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1") // nobody answers
	testscript.Main(leakless{m}, scriptPrograms)
}

// leakless are tests that leave no goroutine behind.
type leakless struct{ m *testing.M }

func (l leakless) Run() int {
	code := l.m.Run()
	if code != 0 {
		return code
	}
	// The signal package's own goroutine stays for the life of the process.
	if err := goleak.Find(goleak.IgnoreTopFunction("os/signal.signal_recv"), goleak.IgnoreTopFunction("os/signal.loop"),
		goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait")); err != nil {
		fmt.Fprintln(os.Stderr, "goroutines are left:", err)
		return 1
	}
	return 0
}

// safeBuffer can be read while it is written.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// running is a whole program started in this process.
type running struct {
	base      string // its URL
	out, errw safeBuffer
	stop      context.CancelFunc
	exit      chan int
}

// patience is how long a test waits for what must come; only a hang is cut off.
const patience = time.Minute

func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

var served = regexp.MustCompile(`serves (https?://\S+)`)

// start runs the program on a free port until the test ends.
func start(t testing.TB, env map[string]string, args ...string) *running {
	t.Helper()
	return startIn(t, func(k string) string { return env[k] }, args...)
}

func startIn(t testing.TB, getenv func(string) string, args ...string) *running {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	r := &running{stop: stop, exit: make(chan int, 1)}
	args = append([]string{"-listen", "127.0.0.1:0"}, args...)
	go func() {
		r.exit <- Run(ctx, args, getenv, strings.NewReader(""), &r.out, &r.errw)
	}()
	t.Cleanup(func() { r.end(t) })
	eventually(t, "the program to serve", func() bool {
		select {
		case code := <-r.exit:
			r.exit <- code
			t.Fatalf("it ended with %d: %s%s", code, r.out.String(), r.errw.String())
		default:
		}
		m := served.FindStringSubmatch(r.out.String())
		if m != nil {
			r.base = m[1]
		}
		return m != nil
	})
	return r
}

// end stops the program and returns its exit code.
func (r *running) end(t testing.TB) int {
	t.Helper()
	http.DefaultClient.CloseIdleConnections()
	r.stop()
	select {
	case code := <-r.exit:
		r.exit <- code
		return code
	case <-time.After(patience):
		t.Fatal("the program does not end")
		return 0
	}
}

func (r *running) post(t testing.TB, body string, header ...string) (res *http.Response, got []byte) {
	t.Helper()
	req, err := http.NewRequest("POST", r.base+"/v1/messages?beta=true", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err = http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err = io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, got
}

// none is an empty environment.
func none(string) string { return "" }

func ask(stream bool) string {
	return fmt.Sprintf(`{"model":"claude-sonnet-4-5","max_tokens":1000,"stream":%v,"messages":[{"role":"user","content":"say hi"}]}`, stream)
}

func upstream(t testing.TB, script simulator.Script) *simulator.Upstream {
	t.Helper()
	u, err := simulator.Start(context.Background(), simulator.Options{Script: script})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.Close)
	return u
}

// configFile writes a configuration of providers a, b, … in tiers 1, 2, ….
func configFile(t testing.TB, extra string, ups ...*simulator.Upstream) string {
	t.Helper()
	var providers, models strings.Builder
	for i, u := range ups {
		name := string(rune('a' + i))
		fmt.Fprintf(&providers, "  %s: {endpoint: %q, apiKey: upstream-key-of-%s, timeouts: {firstByte: 2s, idle: 2s}}\n", name, u.URL(), name)
		fmt.Fprintf(&models, "  - {alias: \"claude-*\", provider: %s, tier: %d}\n", name, i+1)
	}
	return writeFile(t, "config.yaml", "providers:\n"+providers.String()+"models:\n"+models.String()+extra)
}

func writeFile(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// edit replaces texts of a file, each of which must be there. Nobody sees it
// half written.
func edit(t testing.TB, path string, oldNew ...string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for i := 0; i < len(oldNew); i += 2 {
		if !strings.Contains(text, oldNew[i]) {
			t.Fatalf("%s does not hold %q", path, oldNew[i])
		}
		text = strings.ReplaceAll(text, oldNew[i], oldNew[i+1])
	}
	save(t, path, text)
}

// save puts a new file in the place of an old one.
func save(t testing.TB, path, text string) {
	t.Helper()
	if err := errors.Join(os.WriteFile(path+".new", []byte(text), 0o600), os.Rename(path+".new", path)); err != nil {
		t.Fatal(err)
	}
}

// logLines reads a request log.
func logLines(t testing.TB, path string) (lines []map[string]any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		lines = append(lines, m)
	}
	return lines
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := listeners("127.0.0.1:0", "test")
	if err != nil {
		t.Fatal(err)
	}
	defer l[0].Close()
	addr := l[0].Addr().String()
	return addr[strings.LastIndex(addr, ":")+1:]
}

// theProgram builds anyproxy as it is shipped.
func theProgram(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "anyproxy")
	build := exec.Command("go", "build", "-o", bin, ".")
	build.Dir = repository
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}
