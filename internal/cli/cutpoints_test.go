package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"anyproxy/internal/grammar"
)

// ending is how an upstream ends an answer that it has cut.
type ending string

const (
	ended  ending = "end"   // as HTTP asks for
	closed ending = "close" // the connection is closed
	reset  ending = "reset" // a RST, which may also destroy what was not read yet
)

var endings = []ending{ended, closed, reset}

// cut is one way to break a recorded stream off.
type cut struct {
	file string
	n    int // bytes that are sent
	end  ending
	// alone: no second provider stands by.
	alone bool
}

func (c cut) String() string {
	return fmt.Sprintf("%s %d %s alone=%v", c.file, c.n, c.end, c.alone)
}

// cutHeader tells the upstream which cut to make. Headers of its kind pass the proxy.
const cutHeader = "X-Stainless-Cut"

// cutter serves recordings as far as the request asks for.
type cutter map[string][]byte

func (recordings cutter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var c cut
	if _, err := fmt.Sscanf(r.Header.Get(cutHeader), "%s %d %s", &c.file, &c.n, &c.end); err != nil {
		http.Error(w, err.Error(), http.StatusTeapot)
		return
	}
	rc := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = w.Write(recordings[c.file][:c.n])
	_ = rc.Flush()
	if c.end == ended {
		return
	}
	conn, _, err := rc.Hijack()
	if err != nil {
		return
	}
	if tcp, ok := conn.(interface{ SetLinger(int) error }); ok && c.end == reset {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// recordings are the streams that the provider's own tests use.
func recordings(t *testing.T) cutter {
	t.Helper()
	names, err := filepath.Glob("../../providers/anthropic/testdata/*.sse")
	if err != nil || len(names) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	all := cutter{}
	for _, name := range names {
		stream, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := grammar.Check(plain(stream)); err != nil || m.End != grammar.Complete {
			t.Fatalf("%s: %v", name, err)
		}
		all[filepath.Base(name)] = stream
	}
	return all
}

// plain rewrites what the format of event streams allows and the strict oracle
// does not: lines that end in CR, data on two lines, a type that it does not know.
func plain(b []byte) []byte {
	for _, r := range [][2]string{{"\r\n", "\n"}, {"\r", "\n"},
		{"data:{\"type\":\ndata: \"ping\"}", `data: {"type":"ping"}`},
		{"event: vendor_note\ndata: {\"type\":\"vendor_note\",\"x\":[1]}\n\n", ""}} {
		b = bytes.ReplaceAll(b, []byte(r[0]), []byte(r[1]))
	}
	return b
}

// wholeEvents is the part of what is sent that is made of whole events: up to
// its last blank line. At the end of a body that line may end in a lone CR.
func (c cut) wholeEvents(recording []byte) []byte {
	b := recording[:c.n]
	if c.end == ended && bytes.HasSuffix(b, []byte("\n\r")) {
		return b
	}
	lf, crlf := []byte("\n\n"), []byte("\n\r\n")
	if i, j := bytes.LastIndex(b, lf), bytes.LastIndex(b, crlf); i > j {
		return b[:i+len(lf)]
	} else if j >= 0 {
		return b[:j+len(crlf)]
	}
	return nil
}

// contentDelta is a delta that brings something.
var contentDelta = regexp.MustCompile(`"type":"content_block_delta".*"(text|thinking|partial_json|signature)":"[^"]`)

// judge says what is wrong with what a client got of a cut, nil = nothing.
func (c cut) judge(recording, second []byte, res *http.Response, body []byte) error {
	by := res.Header.Get("X-Anyproxy-Provider")
	whole := c.wholeEvents(recording)
	content := contentDelta.Match(whole)
	switch {
	case by == "b": // nothing of a may have been seen
		if content && c.end != reset {
			return fmt.Errorf("a second provider answered behind content")
		}
		if c.alone || res.StatusCode != 200 || !bytes.Equal(body, second) {
			return fmt.Errorf("not the second provider's answer")
		}
		return nil
	case res.StatusCode != 200:
		return c.judgeStatus(content, res, body)
	case !content:
		return fmt.Errorf("committed without content")
	}
	return c.judgeStream(recording, whole, body)
}

// judgeStatus judges an answer that is an error with a status: only where
// nobody else could answer.
func (c cut) judgeStatus(content bool, res *http.Response, body []byte) error {
	var told struct {
		Type  string
		Error struct{ Type, Message string }
	}
	if content && c.end != reset || !c.alone {
		return fmt.Errorf("a status")
	}
	if err := json.Unmarshal(body, &told); err != nil || res.StatusCode != 502 || told.Type != "error" || told.Error.Type != "api_error" || told.Error.Message == "" {
		return fmt.Errorf("not an error of the API, %v", err)
	}
	return nil
}

// judgeStream judges an answer of which the client has seen content: a prefix of
// the recording, made of whole events, and one end.
func (c cut) judgeStream(recording, whole, body []byte) error {
	m, err := grammar.Check(plain(body))
	if err != nil {
		return err
	}
	before := body
	if m.End == grammar.Failed {
		before, _ = split(body)
		if m.ErrorType != "api_error" {
			return fmt.Errorf("told %s", m.ErrorType)
		}
	}
	if _, err := grammar.CheckPrefix(plain(before)); err != nil {
		return fmt.Errorf("before the error: %w", err)
	}
	switch {
	case !bytes.HasPrefix(recording[:c.n], before):
		return fmt.Errorf("not what was sent")
	case c.end != reset && len(before) < len(whole):
		return fmt.Errorf("%d bytes of whole events were sent, %d came", len(whole), len(before))
	case m.End == grammar.Complete && !bytes.Contains(before, []byte("event: message_stop")):
		return fmt.Errorf("complete without message_stop")
	}
	return nil
}

// raceDetector reports whether the tests run with it: five times slower.
func raceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return false
	}
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}

// allWays, set in the environment, makes every cut in every way.
const allWays = "ANYPROXY_TEST_ALL_CUTS"

// cuts has every place of every recording, with one of the ways to cut there,
// which differs from run to run; or a sample of the places.
func cuts(t *testing.T, all cutter) (out []cut) {
	seed, sample := uint64(time.Now().UnixNano()), 1
	if s := os.Getenv("ANYPROXY_TEST_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	if testing.Short() || raceDetector() {
		sample = 10
	}
	t.Logf("one of %d places, ANYPROXY_TEST_SEED=%d", sample, seed)
	draw := rand.New(rand.NewPCG(seed, 0))
	ways := len(endings) * 2
	for _, file := range slices.Sorted(maps.Keys(all)) {
		for n := range len(all[file]) + 1 {
			first, count := draw.IntN(ways), 1
			if os.Getenv(allWays) != "" {
				count = ways
			} else if draw.IntN(sample) > 0 {
				continue
			}
			for i := range count {
				way := (first + i) % ways
				out = append(out, cut{file, n, endings[way/2], way%2 == 0})
			}
		}
	}
	return out
}

// TestEveryCut cuts recorded streams at every byte, ended in one of three ways,
// with or without a second provider: a client sees the second one's answer, an error's
// status, or a valid beginning of what was sent and exactly one end.
func TestEveryCut(t *testing.T) {
	all := recordings(t)
	second := all["tool.sse"]
	a := httptest.NewServer(all)
	defer a.Close()
	b := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = w.Write(second)
	}))
	defer b.Close()
	// Each request asks for a model of its own: no breaker knows it.
	p := start(t, map[string]string{"LOG_LEVEL": "ERROR"}, "-config", writeFile(t, "config.yaml", fmt.Sprintf(`
providers:
  a: {endpoint: %q, apiKey: upstream-key-of-a}
  b: {endpoint: %q, apiKey: upstream-key-of-b}
models:
  - {alias: "alone-*", provider: a}
  - {alias: "two-*", provider: a, tier: 1}
  - {alias: "two-*", provider: b, tier: 2}
`, a.URL, b.URL)))

	todo := cuts(t, all)
	var next, wrong atomic.Int64
	outcomes := map[string]int{}
	var mu sync.Mutex
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(todo) || wrong.Load() >= 10 {
					return
				}
				c := todo[i]
				model := fmt.Sprintf("two-%d", i)
				if c.alone {
					model = fmt.Sprintf("alone-%d", i)
				}
				res, body := p.post(t, strings.Replace(ask(true), "claude-sonnet-4-5", model, 1), cutHeader, c.String())
				if err := c.judge(all[c.file], second, res, body); err != nil {
					wrong.Add(1)
					t.Errorf("%s: %v: %d by %q: %.3000q", c, err, res.StatusCode, res.Header.Get("X-Anyproxy-Provider"), body)
				}
				mu.Lock()
				outcomes[fmt.Sprintf("%d by %s, failed %v", res.StatusCode, res.Header.Get("X-Anyproxy-Provider"), bytes.Contains(body, []byte("event: error\n")))]++
				mu.Unlock()
			}
		})
	}
	clients.Wait()
	t.Logf("%d cuts: %v", len(todo), outcomes)
	for _, way := range []string{"200 by a, failed true", "200 by b, failed false", "502 by a, failed false"} {
		if outcomes[way] == 0 {
			t.Errorf("no cut ended as %q", way)
		}
	}
}
