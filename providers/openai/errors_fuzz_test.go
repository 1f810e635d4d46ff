package openai

import (
	"encoding/json"
	"testing"
	"unicode/utf8"
)

// FuzzComplaint reads any error of an upstream: it stands for an error's status,
// and its message can be told in the API's shape.
func FuzzComplaint(f *testing.F) {
	for _, text := range []string{
		`{"error":{"message":"no","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}`,
		`[{"error":{"code":429,"message":"quota","status":"RESOURCE_EXHAUSTED"}}]`, `{"error":"model not found"}`,
		`{"object":"error","message":"maximum context length is 8 tokens. However, your messages resulted in 9 tokens","code":40303}`,
		`{"detail":[{"loc":["body","messages",0],"msg":"field required"}]}`, `{"error":{"message":"x","metadata":{"raw":"{\"error\":\"y\"}"},"code":502}}`,
		`{"error":{"error":{"error":"\ud800"}}}`, `[[[`, "\xff", ``,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c := complaintOf(body)
		if s := c.status(); s < 400 || s > 599 {
			t.Errorf("%q stands for the status %d", body, s)
		}
		message := c.message
		if over, ok := overflow(&c, &target{}); ok {
			message = over
		}
		var e struct {
			Error struct{ Type, Message string }
		}
		if out := errorBody(400, message); json.Unmarshal(out, &e) != nil || e.Error.Type != "invalid_request_error" || !utf8.Valid(out) {
			t.Errorf("%q is told as %q", body, out)
		}
	})
}
