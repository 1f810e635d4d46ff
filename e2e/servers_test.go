//go:build e2e && unix

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"anyproxy/internal/grammar"
)

// The servers are started by servers/run, which says where they are.
const (
	litellmURL = "ANYPROXY_LITELLM"
	llamaURL   = "ANYPROXY_LLAMA"
)

// serverProxy runs anyproxy before the server that the variable names.
func serverProxy(t *testing.T, variable string) string {
	t.Helper()
	url := os.Getenv(variable)
	if url == "" {
		t.Skipf("NOT TESTED: this server, as %s is not set; servers/run sets it", variable)
	}
	return startConfigured(t, fmt.Sprintf("providers:\n  server: {type: openai, endpoint: %q, auth: none}\nmodels:\n  - {alias: \"*\", provider: server}\n", url))
}

// message asks for a message and has the oracle judge it.
func message(t *testing.T, base, model string, stream bool, over string) *grammar.Message {
	t.Helper()
	status, body := post(t, base, model, stream, over)
	check := grammar.CheckWhole
	if stream {
		check = grammar.Check
	}
	m, err := check(body)
	if err != nil || status != 200 || m.End != grammar.Complete {
		t.Fatalf("%d, %v: %.2000s", status, err, body)
	}
	return m
}

func post(t *testing.T, base, model string, stream bool, over string) (int, []byte) {
	t.Helper()
	res := open(t, base, model, stream, over)
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body) // what came of it is judged
	return res.StatusCode, body
}

// open sends a request and leaves the answer to be read.
func open(t *testing.T, base, model string, stream bool, over string) *http.Response {
	t.Helper()
	fields := map[string]any{"model": model, "max_tokens": 40, "stream": stream, "temperature": 0,
		"system": "Be brief.", "messages": []any{map[string]string{"role": "user", "content": "What is the weather?"}}}
	if over != "" {
		if err := json.Unmarshal([]byte(over), &fields); err != nil {
			t.Fatal(err)
		}
	}
	body, _ := json.Marshal(fields)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/v1/messages", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Api-Key", clientKey)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestServersLiteLLM(t *testing.T) {
	base := serverProxy(t, litellmURL)
	for _, stream := range []bool{false, true} {
		m := message(t, base, "text", stream, "")
		if m.Text() != `It is "sunny" and 20 °C 🌞.` || m.StopReason != "end_turn" || m.Usage.Input == 0 || m.Usage.Output == 0 {
			t.Errorf("stream %v: %+v", stream, m)
		}
	}
	const tools = `{"tools":[{"name":"weather","input_schema":{"type":"object","properties":{"city":{"type":"string"}}}}],"tool_choice":{"type":"any"}}`
	m := message(t, base, "tool", false, tools)
	if calls := m.Tools(); len(calls) != 1 || calls[0].ID != "call_mock" || calls[0].Name != "weather" || string(calls[0].Input) != `{"city": "Zürich"}` || m.StopReason != "tool_use" {
		t.Errorf("got %+v", m)
	}
	message(t, base, "tool", true, tools) // its mock streams no calls; what it streams is in order
	if status, body := post(t, base, "missing", true, ""); status < 400 || !strings.Contains(string(body), `"type":"error"`) {
		t.Errorf("no such model: %d %s", status, body)
	}
}

func TestServersLlama(t *testing.T) {
	base := serverProxy(t, llamaURL)
	whole := message(t, base, "tiny", false, "")
	streamed := message(t, base, "tiny", true, "")
	if whole.StopReason != "max_tokens" || whole.Usage.Input == 0 || whole.Usage.Output != 40 || whole.Text() == "" {
		t.Errorf("whole: %+v", whole)
	}
	// The server itself may make other characters of broken UTF-8 in a stream.
	if streamed.StopReason != "max_tokens" || streamed.Text() == "" {
		t.Errorf("streamed: %+v, whole: %+v", streamed, whole)
	}
	stop := string([]rune(streamed.Text())[3:5])
	over, _ := json.Marshal(map[string]any{"stop_sequences": []string{stop}})
	for _, stream := range []bool{false, true} {
		if m := message(t, base, "tiny", stream, string(over)); m.StopReason != "end_turn" || strings.Contains(m.Text(), stop) {
			t.Errorf("stream %v, stop at %q: %+v", stream, stop, m)
		}
	}
	// Asked for a stream, this server says nothing about it.
	status, body := post(t, base, "tiny", false, `{"messages":[{"role":"user","content":"`+strings.Repeat("far too long ", 100)+`"}]}`)
	if status != 400 || !strings.Contains(string(body), "prompt is too long: ") || !strings.Contains(string(body), " tokens > 512 maximum") {
		t.Errorf("too long a prompt: %d %s", status, body)
	}
	// A client that leaves takes its generation with it: the server has one slot.
	res := open(t, base, "tiny", true, `{"max_tokens":400}`)
	if _, err := io.ReadFull(res.Body, make([]byte, 500)); err != nil {
		t.Error(err)
	}
	res.Body.Close()
	message(t, base, "tiny", true, "")
}
