package bedrock

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"anyproxy/internal/jsonscan"
	"anyproxy/providers/upstream"
)

// FuzzConvert holds the editing of bodies against encoding/json: what is cut is
// gone, all else says the same.
func FuzzConvert(f *testing.F) {
	f.Add(smallBody, "context-management-2099-01-01")
	f.Add(`{"model":1,"model":[],"stream":{},"context_management":{"a":[1,{"b":null}]},"x":{}}`, "effort-2025-11-24,a,b")
	f.Add(`{"tools":[{"defer_loading":true,"cache_control":{"scope":1,"ttl":"1h"}},1,[],"x"],"system":[{"cache_control":{"scope":{}}}],"thinking":{"display":1}}`, "advanced-tool-use-2099-01-01")
	f.Add(`{"m\u006fdel":"a","messages":[{"content":[{"content":[{"cache_control":{"scope":[]}}]}]}],"anthropic_beta":["x",1]}`, "")
	f.Fuzz(func(t *testing.T, body, betas string) {
		body = strings.TrimSpace(body)
		if jsonscan.Valid([]byte(body), upstream.MaxDepth) != nil || body[0] != '{' {
			return
		}
		var k knowledge
		k.ofLocked("m").refused["thinking.display"] = time.Now()
		c := &call{model: "m", req: request(t, body, true)}
		c.plan = k.plan("m", http.Header{"Anthropic-Beta": {betas}}, []byte(body))
		c.convert([]byte(body), nil)
		if err := jsonscan.Valid(c.body, upstream.MaxDepth); err != nil {
			t.Fatalf("%s: %s: %v", body, c.body, err)
		}
		var before, after map[string]any
		if json.Unmarshal([]byte(body), &before) != nil || json.Unmarshal(c.body, &after) != nil {
			t.Fatalf("%s: %s", body, c.body)
		}
		if after["anthropic_version"] != "bedrock-2023-05-31" {
			t.Fatalf("%s: %s", body, c.body)
		}
		delete(after, "anthropic_version")
		delete(after, "anthropic_beta")
		for _, path := range c.plan.cut {
			remove(before, strings.Split(path, "."))
		}
		if !reflect.DeepEqual(before, after) {
			t.Fatalf("%s became %s", body, c.body)
		}
	})
}

// remove takes what a path names out of a decoded value.
func remove(v any, path []string) {
	switch v := v.(type) {
	case map[string]any:
		if len(path) == 1 {
			delete(v, path[0])
		} else {
			remove(v[path[0]], path[1:])
		}
	case []any:
		if path[0] == "*" && len(path) > 1 {
			for _, e := range v {
				remove(e, path[1:])
			}
		}
	}
}
