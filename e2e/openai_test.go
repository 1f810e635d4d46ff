//go:build e2e && unix

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"anyproxy/internal/simulator"
)

// dialects are ways of speaking the OpenAI format, each with many habits.
var dialects = map[string]simulator.Dialect{
	"OpenAI":     {},
	"Azure":      {EmptyFirst: true, CRLF: true, Interleaved: true},
	"Groq":       {Repeated: true, WholeCalls: true, Reasoning: true, Usage: simulator.UsageGroq},
	"OpenRouter": {Comments: true, Reasoning: true, WithFinish: true, Usage: simulator.UsageFinish},
	"Gemini":     {NoRole: true, NoIndex: true, NoIDs: true, WholeCalls: true, FinishStop: true, NoDone: true, Usage: simulator.UsageRunning},
	"Ollama":     {IndexZero: true, WholeCalls: true, FinishStop: true, Usage: simulator.UsageNever},
	"Mistral":    {Parts: true, Refuse: []string{"stream_options", "user"}},
}

func startOpenAI(t *testing.T, d simulator.Dialect, script simulator.Script) *simulator.Upstream {
	t.Helper()
	u, err := simulator.Start(context.Background(), simulator.Options{Script: script, OpenAI: &d})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.Close)
	return u
}

// startConverting runs anyproxy with a first provider of the OpenAI format, which
// has a model that thinks, and a second one of Anthropic's, "" for none.
func startConverting(t *testing.T, first, second string) string {
	t.Helper()
	text := fmt.Sprintf("providers:\n  first: {type: openai, endpoint: %q, apiKey: %s}\n", first, upstreamKey("first"))
	models := "models:\n  - {name: gpt-5.1, alias: \"claude-*\", provider: first, maxOutput: 16384}\n"
	if second != "" {
		text += fmt.Sprintf("  second: {endpoint: %q, apiKey: %s}\n", second, upstreamKey("second"))
		models += "  - {alias: \"claude-*\", provider: second, tier: 2}\n"
	}
	return startConfigured(t, text+models)
}

func TestClaudeCodeThroughAConversion(t *testing.T) {
	for dialect, d := range dialects {
		for name, c := range turns {
			t.Run(dialect+"/"+name, func(t *testing.T) {
				needClients(t)
				t.Parallel()
				up := startOpenAI(t, d, simulator.Conversation(simulator.Answer{}))
				c.check(t, newClient(t, startConverting(t, up.URL(), "")))
				checkConverted(t, up, c.asks, c.asks+len(d.Refuse))
			})
		}
	}
}

// checkConverted counts the requests that reached an upstream of the OpenAI
// format, and sees that nothing of the client's own is in them.
func checkConverted(t *testing.T, u *simulator.Upstream, least, most int) []*simulator.Received {
	t.Helper()
	all := u.Requests()
	for _, r := range all {
		if r.Path != "/v1/chat/completions" || r.Header.Get("Authorization") != "Bearer "+upstreamKey("first") {
			t.Errorf("got %s with %v", r.Path, r.Header)
		}
		text, _ := json.Marshal(r.Header)
		for _, word := range []string{clientKey, "Anthropic", "Stainless"} {
			if strings.Contains(string(text), word) {
				t.Errorf("%s is in the header %s", word, text)
			}
		}
		if body := string(r.Body); strings.Contains(body, "x-anthropic-billing-header") || !strings.Contains(body, `"max_completion_tokens":16384`) {
			t.Errorf("got the body %.300s…", body)
		}
	}
	if len(all) < least || len(all) > most {
		t.Errorf("got %d requests, want %d to %d", len(all), least, most)
	}
	return all
}

// What Claude Code reads of a picture goes to the model as a picture.
func TestClaudeCodeShowsAnImageThroughAConversion(t *testing.T) {
	needClients(t)
	c := newClient(t, "")
	picture := image.NewRGBA(image.Rect(0, 0, 40, 30))
	picture.Set(1, 1, color.RGBA{R: 255, A: 255})
	f, err := os.Create(filepath.Join(c.workdir, "red.png"))
	if err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(f, picture); err != nil {
		t.Fatal(err)
	}
	f.Close()
	input, _ := json.Marshal(map[string]string{"file_path": f.Name()})
	up := startOpenAI(t, simulator.Dialect{}, func(_ int, r *simulator.Received) simulator.Answer {
		if len(r.Ask().Results) > 0 {
			return simulator.Answer{Blocks: []simulator.Block{simulator.Text("Seen.")}}
		}
		return simulator.Answer{Blocks: []simulator.Block{simulator.ToolUse("Read", string(input))}}
	})
	c.base = startConverting(t, up.URL(), "")
	if got := c.claude("look at it"); got.Result != "Seen." {
		t.Errorf("got %+v", got)
	}
	all := checkConverted(t, up, 2, 2)
	if last := string(all[len(all)-1].Body); !strings.Contains(last, `{"type":"image_url","image_url":{"url":"data:image/png;base64,`) {
		t.Error("the second request has no picture")
	}
}

func TestClaudeCodeWorksLongThroughAConversion(t *testing.T) {
	needClients(t)
	const rounds = 30
	up := startOpenAI(t, simulator.Dialect{}, func(n int, _ *simulator.Received) simulator.Answer {
		if n >= rounds {
			return simulator.Answer{Blocks: []simulator.Block{simulator.Text("Done at last.")}}
		}
		input := fmt.Sprintf(`{"command":"printf '%%s\\n' %d >> lines.txt","description":"Write line %d"}`, n, n)
		return simulator.Answer{Blocks: []simulator.Block{simulator.Thinking("Next."), simulator.ToolUse("Bash", input)}}
	})
	c := newClient(t, startConverting(t, up.URL(), ""))
	if got := c.claude("write thirty lines"); got.Result != "Done at last." {
		t.Errorf("got %+v", got)
	}
	data, err := os.ReadFile(filepath.Join(c.workdir, "lines.txt"))
	if err != nil || strings.Count(string(data), "\n") != rounds || !strings.HasSuffix(string(data), "\n29\n") {
		t.Errorf("%q, %v; want %d lines", data, err, rounds)
	}
	checkConverted(t, up, rounds+1, rounds+1)
}

// A session whose first turn an OpenAI upstream has answered goes on with an
// Anthropic one: thinking that no signature vouches for does not go there.
func TestClaudeCodeMovesFromOneFormatToTheOther(t *testing.T) {
	needClients(t)
	first := startOpenAI(t, simulator.Dialect{}, simulator.Sequence(
		simulator.Answer{Blocks: []simulator.Block{simulator.Thinking("It wants a file."), simulator.ToolUse("Bash", `{"command":"true","description":"Nothing"}`)}},
		simulator.Answer{Faults: []simulator.Fault{simulator.Overloaded()}}))
	second := startUpstream(t, simulator.Always(simulator.Answer{Blocks: []simulator.Block{simulator.Text("Done.")}}))
	c := newClient(t, startConverting(t, first.URL(), second.URL()))
	if got := c.claude("go"); got.Result != "Done." {
		t.Errorf("got %+v", got)
	}
	last := checkRequests(t, "second", second, 1, 1)
	if body := string(last.Body); strings.Contains(body, "It wants a file.") || !strings.Contains(body, `"type":"tool_result"`) {
		t.Errorf("the second provider got %s", body)
	}
}

func TestSDKThroughAConversion(t *testing.T) {
	for dialect, d := range dialects {
		t.Run(dialect, func(t *testing.T) {
			needClients(t)
			t.Parallel()
			up := startOpenAI(t, d, simulator.Conversation(simulator.Answer{}))
			got := newClient(t, startConverting(t, up.URL(), "")).finalMessage(`THINK PARALLEL Read {"file_path":"a","limit":12345678901} Bash {"command":"printf '\u00e9'"}`)
			if got.Error != nil {
				t.Fatalf("got error %+v", got.Error)
			}
			var calls []string
			for _, b := range got.Message.Content {
				if b.Name != "" {
					calls = append(calls, b.Name+" "+string(b.Input))
				}
			}
			if got.Message.StopReason != "tool_use" || strings.Join(calls, "; ") != `Read {"file_path":"a","limit":12345678901}; Bash {"command":"printf 'é'"}` {
				t.Errorf("got %+v", got.Message)
			}
		})
	}
}
