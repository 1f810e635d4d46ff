package shapes

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

func TestScrubKeepsFormAndTakesWords(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"order, blanks and numbers", `{ "stream" :true, "model":"claude-x", "max_tokens":12345678901234567890,"n":1.50e+3 }`,
			`{ "stream" :true, "model":"claude-x", "max_tokens":12345678901234567890,"n":1.50e+3 }`},
		{"a text", `{"content":"Fix Bob's build 42!"}`, `{"content":"Xxx Xxx'x xxxxx 00!"}`},
		{"a duplicate key", `{"a":"one","a":"two"}`, `{"a":"xxx","a":"xxx"}`},
		{"escapes", `{"text":"a\n\"b\" \\c \u001b\u00e4\/"}`, `{"text":"x\n\"x\" \\x \u001b\u00e9\/"}`},
		{"surrogates", `{"text":"hi \ud83e\udd16 🤖"}`, `{"text":"xx \ud83e\udd16 🤖"}`},
		{"letters keep their length", `{"text":"straße 東京 — ok"}`, `{"text":"xxxxéx 語語 — xx"}`},
		{"the API's vocabulary", `{"role":"user","content":[{"type":"text","text":"hi","cache_control":{"type":"ephemeral"}}]}`,
			`{"role":"user","content":[{"type":"text","text":"xx","cache_control":{"type":"ephemeral"}}]}`},
		{"tool arguments", `{"type":"tool_use","id":"toolu_1","name":"Write","input":{"name":"secret","args":[{"type":"mine"}]}}`,
			`{"type":"tool_use","id":"toolu_1","name":"Write","input":{"name":"xxxxxx","args":[{"type":"xxxx"}]}}`},
		{"behind the arguments", `[{"input":{"a":"b"},"type":"tool_use"},{"type":"text"}]`, `[{"input":{"a":"x"},"type":"tool_use"},{"type":"text"}]`},
		{"a schema", `{"properties":{"name":{"type":"string","enum":["red"]}},"required":["name"]}`,
			`{"properties":{"name":{"type":"string","enum":["xxx"]}},"required":["name"]}`},
		{"user id", `{"user_id":"{\"device_id\":\"4b8a\",\"account_uuid\":\"\",\"session_id\":\"39de5a1d\"}"}`,
			`{"user_id":"{\"device_id\":\"0x0x\",\"account_uuid\":\"\",\"session_id\":\"` + SessionID + `\"}"}`},
		{"a plain user id", `{"user_id":"bob"}`, `{"user_id":"xxx"}`},
		{"a long description", `{"description":"` + strings.Repeat("ab ", 40) + `"}`, `{"description":"` + strings.Repeat("xx ", 20) + `"}`},
		{"an escape at the cut", `{"description":"` + strings.Repeat("a", 59) + `\ud83e\udd16 b"}`, `{"description":"` + strings.Repeat("x", 59) + `\ud83e\udd16"}`},
		{"a long text", `{"text":"` + strings.Repeat("ab ", 40) + `"}`, `{"text":"` + strings.Repeat("xx ", 40) + `"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Scrub(Shape{Body: []byte(c.in)})
			if err != nil {
				t.Fatal(err)
			}
			if string(got.Body) != c.want {
				t.Errorf("scrubbed\n got %s\nwant %s", got.Body, c.want)
			}
			if !json.Valid(got.Body) {
				t.Error("the scrubbed body is no JSON")
			}
		})
	}
}

func TestScrubRefusesWhatItCannotRead(t *testing.T) {
	for _, body := range []string{`{"a":`, `{"user_id":"{broken"}`} {
		if _, err := Scrub(Shape{Body: []byte(body)}); err == nil {
			t.Errorf("Scrub accepted %s", body)
		}
	}
}

func TestScrubTakesCredentialsFromHeaders(t *testing.T) {
	got, err := Scrub(Shape{Header: http.Header{
		"X-Api-Key":                {"sk-ant-real"},
		"Authorization":            {"Bearer sk-ant-real"},
		"X-Claude-Code-Session-Id": {"39de5a1d"},
		"X-Team":                   {"Blue 7"},
		"Anthropic-Version":        {"2023-06-01"},
		"X-Stainless-Lang":         {"js"},
		"Content-Length":           {"9"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"X-Api-Key": ClientKey, "Authorization": "Bearer " + ClientKey, "X-Claude-Code-Session-Id": SessionID,
		"X-Team": "Xxxx 0", "Anthropic-Version": "2023-06-01", "X-Stainless-Lang": "js",
	}
	for name, v := range want {
		if got.Header.Get(name) != v {
			t.Errorf("%s: got %q, want %q", name, got.Header.Get(name), v)
		}
	}
	if len(got.Header) != len(want) {
		t.Errorf("got %d headers, want %d: %v", len(got.Header), len(want), got.Header)
	}
}

func TestMarshalParseRoundTrip(t *testing.T) {
	in := Shape{Name: "x", Method: "POST", Path: "/v1/messages?beta=true",
		Header: http.Header{"X-App": {"cli"}, "Content-Type": {"application/json"}}, Body: []byte("{\"a\": \"\\u00e9\"}\r\n\n")}
	out, err := Parse("x", in.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	if out.Method != in.Method || out.Path != in.Path || !bytes.Equal(out.Body, in.Body) || len(out.Header) != len(in.Header) {
		t.Errorf("got %+v, want %+v", out, in)
	}
}

// FuzzScrub: what comes out is JSON of the same structure, and scrubbing it
// again changes nothing.
func FuzzScrub(f *testing.F) {
	f.Add(`{"model":"m","messages":[{"role":"user","content":"a\nb"}],"metadata":{"user_id":"{\"session_id\":\"s\"}"}}`)
	f.Add(`[{"input":{"type":"x"}},"\ud83e\udd16",1e9,null,{}]`)
	f.Add(`{"description":"` + strings.Repeat(`\u00e9`, 30) + `"}`)
	f.Fuzz(func(t *testing.T, doc string) {
		if !json.Valid([]byte(doc)) {
			return
		}
		once, err := scrubJSON([]byte(doc))
		if err != nil {
			return // a user_id that only looks like JSON
		}
		if !json.Valid(once) {
			t.Fatalf("no JSON any more: %s", once)
		}
		twice, err := scrubJSON(once)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("not stable (%v):\n%s\n%s", err, once, twice)
		}
	})
}
