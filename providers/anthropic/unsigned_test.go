package anthropic

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"anyproxy/config"
)

const (
	thought   = `{"type":"thinking","thinking":"hm","signature":""}`
	spaced    = `{"type": "thinking", "thinking": "hm", "signature": ""}` // as Python's json writes it
	signed    = `{"type":"thinking","thinking":"hm","signature":"EqQB"}`
	said      = `{"type":"text","text":"\"signature\":\"\""}`
	userSaid  = `{"role":"user","content":"a"}`
	emptyArgs = `{"type":"tool_use","id":"t","name":"A","input":{"signature":"","type":"thinking"}}`
)

func TestThinkingOfOtherProvidersIsLeftOut(t *testing.T) {
	up := newEcho(t)
	p := newProvider(t, config.Provider{Endpoint: up.URL}, testKey)
	p.Mixed = true
	model := func(blocks string) string { return `{"role":"assistant","content":[` + blocks + `]}` }
	for _, tt := range []struct{ messages, want string }{
		{userSaid + "," + model(thought+","+said) + "," + userSaid, userSaid + "," + model(said) + "," + userSaid},
		{userSaid + "," + model(said+" , "+thought), userSaid + "," + model(said)},
		{userSaid + "," + model(thought+","+thought+","+said+","+thought+","+emptyArgs), userSaid + "," + model(said+","+emptyArgs)},
		{userSaid + "," + model(signed+","+said+","+thought), userSaid + "," + model(signed+","+said)},
		{userSaid + "," + model(thought) + "," + userSaid, userSaid + "," + userSaid},
		{model(thought) + "," + userSaid, userSaid},
		{model(thought) + "," + model(thought) + "," + userSaid + "," + model(thought), userSaid},
		{userSaid + "," + model(spaced+","+said), userSaid + "," + model(said)},
		{userSaid + "," + model(signed+","+said) + "," + model(emptyArgs), userSaid + "," + model(signed+","+said) + "," + model(emptyArgs)},
	} {
		for _, format := range []string{`{"model":"claude-a","messages":[%s],"x":1}`, `{"messages":[%s],"model":"claude-a"}`} {
			for _, name := range []string{"claude-a", "another"} {
				_, got := send(t, p, newRequest(t, fmt.Sprintf(format, tt.messages), name, false))
				want := strings.Replace(fmt.Sprintf(format, tt.want), `"claude-a"`, `"`+name+`"`, 1)
				if body := up.body(); got.err != nil || string(body) != want || !json.Valid(body) {
					t.Errorf("got\n%s\nwant\n%s\n%v", body, want, got.err)
				}
			}
		}
	}
}

func TestUnsignedThinkingGoesBackToItsMaker(t *testing.T) {
	var mu sync.Mutex
	var body []byte
	unsigned := events(started, `{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}`,
		`{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}`, stop0, finished, stopped)
	answer := fixture(t, "thinking") // of one that signs
	p := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		body, _ = io.ReadAll(r.Body)
		streamed(answer)(w, r)
	})
	p.Mixed = true
	history := `{"model":"m","messages":[` + userSaid + `,{"role":"assistant","content":[` + thought + `,` + said + `]},` + userSaid + `]}`
	ask := func() string {
		t.Helper()
		if _, got := send(t, p, newRequest(t, history, "m", true)); got.err != nil {
			t.Fatal(got.err)
		}
		mu.Lock()
		defer mu.Unlock()
		return string(body)
	}
	ask()
	if got := ask(); strings.Contains(got, thought) {
		t.Errorf("one that signs gets back %s", got)
	}
	mu.Lock()
	answer = unsigned
	mu.Unlock()
	ask()
	if got := ask(); !strings.Contains(got, thought) {
		t.Errorf("one that does not sign gets back %s", got)
	}
}
