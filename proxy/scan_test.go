package proxy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestSession(t *testing.T) {
	for _, c := range []struct{ header, userID, want string }{
		{"abc-1", `{"session_id":"other"}`, "abc-1"},
		{"", `{"device_id":"d","account_uuid":"","session_id":"s-1"}`, "s-1"},
		{"", "user_1_session_2", "user_1_session_2"},
		{"", `{"device_id":"d"}`, ""},
		{"", "", ""},
		{strings.Repeat("x", 500), "", strings.Repeat("x", 128)},
	} {
		h := map[string][]string{}
		if c.header != "" {
			h["X-Claude-Code-Session-Id"] = []string{c.header}
		}
		if got := session(h, c.userID); got != c.want {
			t.Errorf("session(%q, %q) = %q, want %q", c.header, c.userID, got, c.want)
		}
	}
}

// TestConversationKeepsItsName holds that a client that names no session has the
// same one while its conversation grows, and another one has another.
func TestConversationKeepsItsName(t *testing.T) {
	name := func(body string) string {
		s, bad := scanBody([]byte(body), outlook{})
		if bad != nil {
			t.Fatal(bad)
		}
		n, _ := s.affinity(session(nil, s.userID), nil, []byte(body))
		return n
	}
	const system = `"model":"m","system":[{"type":"text","text":"be good","cache_control":{"type":"ephemeral"}}],`
	first := name(`{` + system + `"messages":[{"role":"user","content":[{"type":"text","text":"hi","cache_control":{"type":"ephemeral"}}]}]}`)
	for what, c := range map[string]struct {
		body string
		same bool
	}{
		"grown":                             {`{` + system + `"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]},{"role":"assistant","content":"yes?"},{"role":"user","content":"go"}]}`, true},
		"the system prompt's cache_control": {`{"model":"m","system":[{"type":"text","text":"be good"}],"messages":[{"role":"user","content":[{"text":"hi","type":"text"}]}]}`, true},
		"other words":                       {`{` + system + `"messages":[{"role":"user","content":[{"type":"text","text":"ho"}]}]}`, false},
		"another system prompt":             {`{"model":"m","system":"be bad","messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]}`, false},
	} {
		if got := name(c.body); (got == first) != c.same {
			t.Errorf("%s: %s, the first was %s", what, got, first)
		}
	}
	if name(`{"model":"m","messages":[{"role":"user","content":"a"}]}`) == name(`{"model":"m","messages":[{"role":"user","content":"b"}]}`) {
		t.Error("plain texts are not told apart")
	}
}

func TestFresh(t *testing.T) {
	for body, want := range map[string]bool{
		`{"model":"m","messages":[{"role":"user","content":"go"}]}`:                                                                           true,
		`{"model":"m","messages":[{"role":"user","content":[{"type":"tool_result"}]}]}`:                                                       false,
		`{"model":"m","messages":[{"content":[{"tool_use_id":"x","type":"tool_result"}],"role":"user"}]}`:                                     false,
		`{"model":"m","messages":[{"role":"user","content":[{"type":"tool_result"},{"type":"text","text":"and"}]}]}`:                          false,
		`{"model":"m","messages":[{"role":"user","content":[{"type":"tool_result"}]},{"role":"assistant"},{"role":"user","content":"next"}]}`: true,
		`{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"{\"type\":\"tool_result\"}"}]}]}`:                          true,
		`{"model":"m"}`: true,
	} {
		s, bad := scanBody([]byte(body), outlook{})
		if bad != nil {
			t.Fatal(bad)
		}
		if got := s.look([]byte(body)).Fresh; got != want {
			t.Errorf("%s: fresh = %v", body, got)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	for _, c := range []struct {
		own, ready time.Duration
		want       int
	}{
		{0, 0, 0},
		{1, 0, 1},
		{1500 * time.Millisecond, 0, 2},
		{30 * time.Second, 4 * time.Second, 4},
		{3 * time.Second, time.Minute, 3},
		{0, 10 * time.Second, 10},
		{time.Hour, 0, 60},
		{time.Hour, 2 * time.Hour, 60},
	} {
		if got := retryAfter(c.own, c.ready); got != c.want {
			t.Errorf("retryAfter(%v, %v) = %d, want %d", c.own, c.ready, got, c.want)
		}
	}
}

// Wherever a body is cut on its way, what is made of it is the same.
func TestBodyIsScannedWhileItComes(t *testing.T) {
	whole := string(bodyOf(2_000))
	for _, body := range []string{whole, whole[:1_000], strings.Replace(whole, `"},{"`, `"},{`, 2), strings.Replace(whole, `{"messages"`, `{"messages":[{"content":[1,2]}],"messages"`, 1),
		`{"system":[{"messages":[1]}],"messages":[{"content":[{"type":"text"}]},17,{"content":[2,3]},"x"  ],"model":"m"}`, `{"messages": 12345,"model":"m"}`, `{"messages":[ ],"model":"m"}`} {
		want, wantBad := scanBody([]byte(body), outlook{})
		for cut := range len(body) {
			var l outlook
			l.advance([]byte(body[:cut]))
			l.advance([]byte(body[:cut+(len(body)-cut)/2]))
			got, bad := scanBody([]byte(body), l)
			if got != want || (bad == nil) != (wantBad == nil) || bad != nil && *bad != *wantBad {
				t.Fatalf("%s cut at %d: %+v, %+v; whole: %+v, %+v", body, cut, got, bad, want, wantBad)
			}
		}
	}
}

// What has come of a body is looked at a few times, not with every read, however
// much of it is one message.
func TestLooksAtABodyAreFew(t *testing.T) {
	for what, message := range map[string]int{"short": 1_000, "one long": 8 << 20} {
		body := []byte(`{"messages":[` + strings.Repeat(`{"content":"`+strings.Repeat("x", message)+`"},`, 8<<20/message))
		var l outlook
		scanned, at := 0, 0
		for n := 0; n < len(body); n += 4 << 10 {
			before := l.next
			if l.look(body[:n]); l.next != before {
				scanned += n - at
				at = l.messages.Advance(nil)
			}
		}
		if scanned > 3*len(body) {
			t.Errorf("%s messages: %d bytes scanned of %d", what, scanned, len(body))
		}
	}
}

// FuzzScanBody holds that whatever is taken is a JSON object whose model is
// where the scan says, so that replacing those bytes changes the model alone.
func FuzzScanBody(f *testing.F) {
	for _, s := range []string{
		`{"model":"claude-x","stream":true}`,
		`{"x":{"model":"no"},"mod\u0065l":"y","metadata":{"user_id":"{\"session_id\":\"s\"}"},"stream":null}`,
		`{"model":"a","model":"b"}`, `{}`, `[]`, ``, `{"model":""}`, `{"model":"\ud800"}`, " {\"model\" :\t\"x\"} \n",
		`{"stream":true,"stream":false,"model":"x"}`, `{"model":"x","Model":"y"}`,
		`{"messages":[{"role":"user","content":[{"type":"text"},1,[]]},{"content":"x"},5,{"content":{}}],"model":"x"}`,
		`{"system":[{"type":"text","text":"s"}],"thinking":{"type":"adaptive"},"tools":[{}],"model":"x","messages":[{"content":[{"type":"tool_result","content":[{"type":"image"}]}]}]}`,
		`{"messages":[{"content":[{]}],"model":"x"}`, `{"messages":{"a":[}},"model":"x"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		s, bad := scanBody(body, outlook{})
		var l outlook
		l.advance(body[:len(body)/3])
		l.advance(body[:len(body)/3*2])
		if ahead, no := scanBody(body, l); ahead != s || (no == nil) != (bad == nil) || no != nil && *no != *bad {
			t.Fatalf("scanned while it came: %+v, %+v; whole: %+v, %+v", ahead, no, s, bad)
		}
		if bad != nil {
			if bad.status != 400 || bad.message == "" {
				t.Fatalf("refused with %d %q", bad.status, bad.message)
			}
			return
		}
		if look := s.look(body); look.Need.Tokens < 0 {
			t.Fatalf("%d tokens", look.Need.Tokens)
		}
		if name, _ := s.affinity(session(nil, s.userID), nil, body); name == "" {
			t.Fatal("no session")
		}
		var before, after map[string]json.RawMessage
		if err := json.Unmarshal(body, &before); err != nil {
			t.Fatalf("taken, but %v", err)
		}
		edited := bytes.Join([][]byte{body[:s.modelAt.Start], []byte(`"other"`), body[s.modelAt.End:]}, nil)
		if err := json.Unmarshal(edited, &after); err != nil {
			t.Fatalf("edited: %v", err)
		}
		if string(after["model"]) != `"other"` || len(after) != len(before) {
			t.Fatalf("model is %s, %d keys became %d", after["model"], len(before), len(after))
		}
		for k, v := range before {
			if k != "model" && !bytes.Equal(v, after[k]) {
				t.Fatalf("%s changed", k)
			}
		}
		var model string
		if err := json.Unmarshal(before["model"], &model); err != nil || model != s.model {
			t.Fatalf("model read as %q, it is %q", s.model, model)
		}
	})
}

func bodyOf(size int) []byte {
	var b strings.Builder
	b.WriteString(`{"messages":[`)
	for i := 0; b.Len() < size; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"role":"user","content":[{"type":"text","text":"%s \"quoted\" line\n"}]}`, strings.Repeat("some words of code ", 20))
	}
	b.WriteString(`],"metadata":{"user_id":"{\"session_id\":\"s\"}"},"model":"claude-sonnet-4-5","max_tokens":32000,"stream":true}`)
	return []byte(b.String())
}

func BenchmarkScanBody(b *testing.B) {
	for name, size := range map[string]int{"2KB": 2 << 10, "100KB": 100 << 10, "1MB": 1 << 20} {
		body := bodyOf(size)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, bad := scanBody(body, outlook{}); bad != nil {
					b.Fatal(bad)
				}
			}
		})
	}
}
