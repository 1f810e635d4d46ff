package cli

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"anyproxy/internal/grammar"
	"anyproxy/internal/shapes"
	"anyproxy/internal/simulator"
)

// good is an answer with everything in it.
var good = simulator.Answer{Blocks: []simulator.Block{
	{Kind: simulator.ThinkingBlock, Text: "Let me see what is asked here."},
	{Kind: simulator.TextBlock, Text: "Here is ünïcode text, and two calls."},
	{Kind: simulator.ToolBlock, ID: "toolu_1", Name: "Bash", Input: `{"command":"ls -la"}`, Pieces: 3},
	{Kind: simulator.ToolBlock, ID: "toolu_2", Name: "Read", Input: `{"path":"/tmp/x"}`, Pieces: 1},
}}

func faulty(f simulator.Fault) simulator.Answer {
	a := good
	a.Faults = []simulator.Fault{f}
	return a
}

// earlyFaults strike before the first content.
var earlyFaults = map[string]simulator.Fault{
	"429":                       simulator.RateLimited(30e9),
	"500":                       simulator.ServerError(),
	"529":                       simulator.Overloaded(),
	"401":                       simulator.Unauthorized(),
	"HTML 502":                  simulator.HTML(502),
	"HTML 200":                  simulator.HTML(200),
	"empty 200":                 simulator.Empty(),
	"redirect":                  simulator.Redirect("http://127.0.0.1:1/"),
	"reset":                     {Kind: simulator.Reset},
	"reset after message_start": {Kind: simulator.Reset, At: simulator.Events(1)},
	"break after block start":   {Kind: simulator.Break, At: simulator.Events(3)},
	"cut after message_start":   {Kind: simulator.Cut, At: simulator.Events(1)},
	"cut in an event":           {Kind: simulator.Cut, At: simulator.Bytes(70)},
	"hang before headers":       {Kind: simulator.Hang},
	"hang after message_start":  {Kind: simulator.Hang, At: simulator.Events(1)},
	"garbage":                   {Kind: simulator.Garbage},
	"garbage event":             {Kind: simulator.Garbage, At: simulator.Events(1)},
	"error event first":         simulator.ErrorAt(simulator.Events(0), 529, "Overloaded"),
	"error event later":         simulator.ErrorAt(simulator.Events(3), 500, "Internal server error"),
	"wrong type":                {Kind: simulator.WrongType},
	"big header":                {Kind: simulator.BigHeader},
}

func TestTheNextProviderAnswers(t *testing.T) {
	for name, f := range earlyFaults {
		for _, stream := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, stream %v", name, stream), func(t *testing.T) {
				a, b := upstream(t, simulator.Always(faulty(f))), upstream(t, simulator.Always(good))
				file := configFile(t, "", a, b)
				if !stream && f.Kind == simulator.Hang { // only the limit of the whole attempt ends that
					edit(t, file, "apiKey: upstream-key-of-a, timeouts: {", "apiKey: upstream-key-of-a, timeouts: {total: 2s, ")
				}
				p := start(t, nil, "-config", file)
				res, body := p.post(t, ask(stream))
				if res.StatusCode != 200 || res.Header.Get("X-Anyproxy-Provider") != "b" || res.Header.Get("X-Anyproxy-Attempts") != "2" {
					t.Fatalf("%d %v %s", res.StatusCode, res.Header, body)
				}
				m, err := check(stream, body)
				if err != nil || m.End != grammar.Complete || len(m.Tools()) != 2 || m.StopReason != "tool_use" {
					t.Fatalf("%v: %s", err, body)
				}
			})
		}
	}
}

func check(stream bool, body []byte) (*grammar.Message, error) {
	if stream {
		return grammar.Check(body)
	}
	return grammar.CheckWhole(body)
}

func TestFailureAfterContentIsTold(t *testing.T) {
	for name, f := range map[string]simulator.Fault{
		"reset":        {Kind: simulator.Reset, At: simulator.Deltas(3)},
		"break":        {Kind: simulator.Break, At: simulator.Deltas(3)},
		"cut":          {Kind: simulator.Cut, At: simulator.Deltas(3)},
		"hang":         {Kind: simulator.Hang, At: simulator.Deltas(3)},
		"garbage":      {Kind: simulator.Garbage, At: simulator.Deltas(3)},
		"error event":  simulator.ErrorAt(simulator.Deltas(3), 529, "Overloaded"),
		"closed delta": {Kind: simulator.ClosedDelta},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := upstream(t, simulator.Always(faulty(f))), upstream(t, simulator.Always(good))
			toldAfterContent(t, start(t, nil, "-config", configFile(t, "", a, b)), b)
		})
	}
}

// toldAfterContent asks a program whose first provider fails after content: the
// failure must be told, and the second provider b left alone.
func toldAfterContent(t *testing.T, p *running, b *simulator.Upstream) {
	t.Helper()
	res, body := p.post(t, ask(true))
	m, err := grammar.Check(body)
	if err != nil || res.StatusCode != 200 || m.End != grammar.Failed || m.Thinking() == "" {
		t.Fatalf("%d %v %s", res.StatusCode, err, body)
	}
	if n := len(b.Requests()); n != 0 {
		t.Errorf("the second provider was asked %d times", n)
	}
}

func TestHarmlessOdditiesPass(t *testing.T) {
	for name, f := range map[string]simulator.Fault{
		"gzip":            {Kind: simulator.Gzip},
		"drip":            {Kind: simulator.Drip},
		"HTTP/1.0":        {Kind: simulator.HTTP10},
		"duplicate start": {Kind: simulator.DuplicateStart, At: simulator.Events(1)},
	} {
		for _, stream := range []bool{true, false} {
			a, b := upstream(t, simulator.Always(faulty(f))), upstream(t, simulator.Always(good))
			p := start(t, nil, "-config", configFile(t, "", a, b))
			res, body := p.post(t, ask(stream), "Accept-Encoding", "identity")
			m, err := check(stream, body)
			if err != nil || m.End != grammar.Complete || res.Header.Get("X-Anyproxy-Provider") != "a" || res.Header.Get("Content-Encoding") != "" {
				t.Errorf("%s, stream %v: %d by %s, %v: %.200s", name, stream, res.StatusCode, res.Header.Get("X-Anyproxy-Provider"), err, body)
			}
		}
	}
}

// replay sends what a real client sent.
func (r *running) replay(t *testing.T, s shapes.Shape) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequest(s.Method, r.base+s.Path, bytes.NewReader(s.Body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = s.Header.Clone()
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(res.Body); err != nil {
		t.Fatal(err)
	}
	return res, body.Bytes()
}

// TestRecordedClients replays what real clients send.
func TestRecordedClients(t *testing.T) {
	a := upstream(t, simulator.Always(faulty(simulator.RateLimited(60e9))))
	b := upstream(t, simulator.Conversation(simulator.Answer{}))
	p := start(t, nil, "-config", configFile(t, "apiKeys: ["+shapes.ClientKey+"]\n", a, b))
	for _, s := range shapes.All() {
		t.Run(s.Name, func(t *testing.T) {
			res, body := p.replay(t, s)
			if s.Method == "HEAD" {
				return // a probe; any answer will do
			}
			if m, err := grammar.Check(body); err != nil || m.End != grammar.Complete {
				t.Fatalf("%d %v %.300s", res.StatusCode, err, body)
			}
			all := b.Requests()
			got := all[len(all)-1]
			if !bytes.Equal(got.Body, s.Body) {
				t.Error("the body is not what the client sent")
			}
			_, query, _ := strings.Cut(s.Path, "?")
			if got.Query != query {
				t.Errorf("query %q, the client sent %q", got.Query, query)
			}
			for name, values := range s.Header {
				switch name {
				case "Authorization", "X-Api-Key", "Connection", "Accept-Encoding", "Accept-Language", "Sec-Fetch-Mode":
				default:
					if strings.Join(got.Header[name], "\n") != strings.Join(values, "\n") {
						t.Errorf("%s arrived as %q, the client sent %q", name, got.Header[name], values)
					}
				}
			}
			if k := got.Header.Get("X-Api-Key"); k != "upstream-key-of-b" || got.Header.Get("Authorization") != "" {
				t.Errorf("the upstream was shown %q and %q", k, got.Header.Get("Authorization"))
			}
		})
	}
}

func TestBigBodyArrivesByteForByte(t *testing.T) {
	a := upstream(t, simulator.Always(good))
	p := start(t, nil, "-config", configFile(t, "", a))
	var b strings.Builder
	b.WriteString(` {"zzz":[1.0,1e5,-0,123456789012345678901234567890],"stream" : true,` + "\n\t" + `"messages":[`)
	for i := 0; b.Len() < 600<<10; i++ {
		fmt.Fprintf(&b, `{"role":"user","content":"\"model\":\"claude-%d\" ünï 漢字 \ud83d\ude00 \u0000 \/ %s"},`, i, strings.Repeat("x", i%50))
	}
	b.WriteString(`{"role":"user","content":[{"type":"text","text":"last","model":"inner"}]}],"tools":[{"model":{"model":null}}],"model":"claude-sonnet-4-5","max_tokens":1 } `)
	res, body := p.post(t, b.String())
	if res.StatusCode != 200 {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	if got := a.Requests()[0].Body; string(got) != b.String() {
		t.Errorf("%d bytes arrived, %d were sent, and they differ", len(got), b.Len())
	}
}

func TestRequestLogTellsTheSameStory(t *testing.T) {
	a, b := upstream(t, simulator.Always(faulty(simulator.RateLimited(30e9)))), upstream(t, simulator.Always(good))
	path := t.TempDir() + "/logs/requests.jsonl"
	p := start(t, nil, "-config", configFile(t, "apiKeys: [the-client-key]\n", a, b), "-log-file", path)
	res, _ := p.post(t, ask(true), "X-Api-Key", "the-client-key", "X-Claude-Code-Session-Id", "session-1")
	if code := p.end(t); code != 0 {
		t.Errorf("exit code %d: %s", code, p.errw.String())
	}
	lines := logLines(t, path)
	if len(lines) != 3 {
		t.Fatalf("%d lines, want two attempts and one request", len(lines))
	}
	want := []map[string]any{
		{"direction": "response", "provider": "a", "attempt_number": 1.0, "status_code": 429.0, "success": false},
		{"direction": "response", "provider": "b", "attempt_number": 2.0, "status_code": 200.0, "success": true},
		{"direction": "request", "method": "POST", "path": "/v1/messages", "status_code": 200.0, "success": true, "session": "session-1"},
	}
	for i, fields := range want {
		for k, v := range fields {
			if lines[i][k] != v {
				t.Errorf("line %d: %s = %v, want %v", i+1, k, lines[i][k], v)
			}
		}
		if lines[i]["request_id"] != res.Header.Get("X-Anyproxy-Request-Id") {
			t.Errorf("line %d: request_id %v", i+1, lines[i]["request_id"])
		}
	}
	data, _ := os.ReadFile(path)
	for _, secret := range []string{"the-client-key", "upstream-key-of-a", "upstream-key-of-b"} {
		if bytes.Contains(data, []byte(secret)) || strings.Contains(p.errw.String()+p.out.String(), secret) {
			t.Errorf("%s is in the output", secret)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}
