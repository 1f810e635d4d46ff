package simulator

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"anyproxy/internal/grammar"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// begin starts an upstream for one test.
func begin(t *testing.T, script Script) *Upstream {
	t.Helper()
	u, err := Start(t.Context(), Options{Script: script})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.Close)
	return u
}

const (
	streamed   = `{"model":"claude-x","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]}`
	unstreamed = `{"model":"claude-x","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}`
)

// ask sends a request and returns the response with its body read, as far as it went.
func ask(t *testing.T, method, url, body string) (*http.Response, []byte, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept-Encoding", "identity")
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       time.Minute,
	}
	res, err := client.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	return res, data, err
}

// everyKind has each kind of block, and letters that a careless encoder would change.
var everyKind = Answer{
	Blocks: []Block{
		Thinking("Let me see."), HiddenThinking("Not for you."), Text("Grüße <b>&\n\"東京\""),
		{Kind: ToolBlock, Name: "Bash", Input: `{"command":"ls <x>","n":1e3}`, Pieces: 2}, ToolUse("Noop", ""),
	},
	DeltaTokens: 3,
	Usage:       Usage{Input: 11, CacheRead: 22, CacheWrite: 33},
}

// ids and the reset times are new in every answer.
var fresh = regexp.MustCompile(`(msg|req|toolu)_01[A-Za-z0-9]{22}`)

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	got = fresh.ReplaceAll(got, []byte("${1}_ID"))
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; got\n%s", file, got)
	}
}

func TestStreamInTheShapeOfTheAPI(t *testing.T) {
	u := begin(t, Always(everyKind))
	res, body, err := ask(t, "POST", u.URL()+"/v1/messages?beta=true", streamed)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "stream.sse", body)
	if got := res.Header.Get("Content-Type"); got != "text/event-stream; charset=utf-8" {
		t.Errorf("content type %q", got)
	}
	if !fresh.MatchString(res.Header.Get("Request-Id")) || res.Header.Get("Anthropic-Ratelimit-Tokens-Remaining") == "" {
		t.Errorf("headers %v", res.Header)
	}
	if _, err := time.Parse(time.RFC3339, res.Header.Get("Anthropic-Ratelimit-Requests-Reset")); err != nil {
		t.Error(err)
	}
	m, err := grammar.Check(body)
	if err != nil {
		t.Fatal(err)
	}
	checkEveryKind(t, m)
}

func TestWholeAnswerInTheShapeOfTheAPI(t *testing.T) {
	u := begin(t, Always(everyKind))
	res, body, err := ask(t, "POST", u.URL()+"/v1/messages", unstreamed)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "whole.json", body)
	if got := res.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("content type %q", got)
	}
	m, err := grammar.CheckWhole(body)
	if err != nil {
		t.Fatal(err)
	}
	checkEveryKind(t, m)
}

func checkEveryKind(t *testing.T, m *grammar.Message) {
	t.Helper()
	if m.Model != "claude-x" || m.Text() != everyKind.Blocks[2].Text || m.Thinking() != "Let me see." || m.StopReason != "tool_use" {
		t.Errorf("got %+v", m)
	}
	if calls := m.Tools(); len(calls) != 2 || string(calls[0].Input) != everyKind.Blocks[3].Input || calls[0].ID == calls[1].ID {
		t.Errorf("tool calls %+v", m.Tools())
	}
	if m.Blocks[1].Text != "" || m.Blocks[1].Signature == "" {
		t.Errorf("hidden thinking %+v", m.Blocks[1])
	}
	want := grammar.Usage{Input: 11, CacheRead: 22, CacheWrite: 33, Output: everyKind.Tokens()}
	if m.Usage != want {
		t.Errorf("usage %+v, want %+v", m.Usage, want)
	}
}

func TestOtherPaths(t *testing.T) {
	u := begin(t, Always(Answer{}))
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		want               string
	}{
		"count":         {"POST", "/v1/messages/count_tokens", strings.Repeat("x", 400), 200, `{"input_tokens":100}`},
		"models":        {"GET", "/v1/models?limit=1000", "", 200, `{"type":"model","id":"claude-haiku-4-5",`},
		"probe":         {"HEAD", "/", "", 200, ""},
		"newer probe":   {"HEAD", "/api/hello", "", 200, ""},
		"not found":     {"GET", "/v1/nothing", "", 404, `"not_found_error"`},
		"wrong method":  {"GET", "/v1/messages", "", 405, `"invalid_request_error"`},
		"no JSON":       {"POST", "/v1/messages", "{", 400, `not valid JSON`},
		"no model":      {"POST", "/v1/messages", `{"max_tokens":1,"messages":[]}`, 400, `model: Field required`},
		"no max_tokens": {"POST", "/v1/messages", `{"model":"m","messages":[]}`, 400, `max_tokens: Field required`},
		"no messages":   {"POST", "/v1/messages", `{"model":"m","max_tokens":1}`, 400, `messages: Field required`},
		"too large":     {"POST", "/v1/messages", strings.Repeat(" ", maxBody+1), 413, `"request_too_large"`},
	} {
		t.Run(name, func(t *testing.T) {
			res, body, err := ask(t, c.method, u.URL()+c.path, c.body)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != c.status || !strings.Contains(string(body), c.want) {
				t.Errorf("%d %s, want %d with %s", res.StatusCode, body, c.status, c.want)
			}
		})
	}
}

func TestAsk(t *testing.T) {
	const prompt = `{"role":"user","content":[{"type":"text","text":"<system-reminder>RUN-TOOL\nx</system-reminder>"},{"type":"text","text":"do it"}]}`
	for name, c := range map[string]struct {
		messages, text string
		results        string
	}{
		"string":           {`{"role":"user","content":"hi"}`, "hi", ""},
		"reminder before":  {prompt, "do it", ""},
		"system behind":    {prompt + `,{"role":"system","content":"THINK"}`, "do it", ""},
		"reminder message": {prompt + `,{"role":"user","content":"<system-reminder>y</system-reminder>"}`, "do it", ""},
		"earlier turn":     {prompt + `,{"role":"assistant","content":"ok"},{"role":"user","content":"more"}`, "more", ""},
		"results": {
			prompt + `,{"role":"assistant","content":[]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":"one<system-reminder>z</system-reminder>"},` +
				`{"type":"tool_result","tool_use_id":"b","content":[{"type":"text","text":"two"}]},{"type":"text","text":"<system-reminder>t</system-reminder>"}]}`,
			"", "one,two",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := readAsk([]byte(`{"model":"m","stream":true,"thinking":{"type":"adaptive","display":"omitted"},"messages":[` + c.messages + `]}`))
			if got.Text != c.text || strings.Join(got.Results, ",") != c.results {
				t.Errorf("text %q, results %q", got.Text, got.Results)
			}
			if got.Model != "m" || !got.Stream || got.Thinking != OmittedThinking {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func FuzzAsk(f *testing.F) {
	f.Add([]byte(streamed))
	f.Add([]byte(`{"messages":[{"role":"user","content":[{"type":"tool_result","content":[{"type":"text","text":"RUN-TOOL a {}"}]}]}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, b := range converse(readAsk(body), "plain") {
			if b.Kind == ToolBlock && !json.Valid([]byte(b.Input)) {
				t.Errorf("tool input %q", b.Input)
			}
		}
	})
}
