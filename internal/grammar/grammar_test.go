package grammar

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// The events that the tests put streams together from.
const (
	start = "event: message_start\ndata: " + `{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant",` +
		`"model":"claude-x","content":[],"stop_reason":null,"usage":{"input_tokens":7,"cache_read_input_tokens":5,"output_tokens":1}}}` + "\n\n"
	ping       = "event: ping\ndata: {\"type\": \"ping\"}\n\n"
	text0      = "event: content_block_start\ndata: " + `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}` + "\n\n"
	hello      = "event: content_block_delta\ndata: " + `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"héllo"}}` + "\n\n"
	stop0      = "event: content_block_stop\ndata: " + `{"type":"content_block_stop","index":0}` + "\n\n"
	tool1      = "event: content_block_start\ndata: " + `{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"Bash","input":{}}}` + "\n\n"
	piece      = "event: content_block_delta\ndata: " + `{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"a\":"}}` + "\n\n"
	lastPiece  = "event: content_block_delta\ndata: " + `{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"1}"}}` + "\n\n"
	stop1      = "event: content_block_stop\ndata: " + `{"type":"content_block_stop","index":1}` + "\n\n"
	endTurn    = "event: message_delta\ndata: " + `{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":9}}` + "\n\n"
	toolTurn   = "event: message_delta\ndata: " + `{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":9}}` + "\n\n"
	stop       = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
	overloaded = "event: error\ndata: " + `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}` + "\n\n"
	thinking0  = "event: content_block_start\ndata: " + `{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}` + "\n\n"
	thought    = "event: content_block_delta\ndata: " + `{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}` + "\n\n"
	signature  = "event: content_block_delta\ndata: " + `{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2ln"}}` + "\n\n"
)

const plain = start + ping + text0 + hello + stop0 + endTurn + stop

func TestCheckPutsTheMessageTogether(t *testing.T) {
	m, err := Check([]byte(start + ping + thinking0 + thought + signature + stop0 + tool1 + piece + lastPiece + stop1 + toolTurn + stop))
	if err != nil {
		t.Fatal(err)
	}
	want := &Message{
		ID: "msg_1", Model: "claude-x", StopReason: "tool_use", End: Complete, Events: 12, Pings: 1,
		Usage: Usage{Input: 7, Output: 9, CacheRead: 5},
		Blocks: []Block{
			{Type: "thinking", Text: "hm", Signature: "c2ln", Whole: true},
			{Type: "tool_use", ID: "toolu_1", Name: "Bash", Input: []byte(`{"a":1}`), Whole: true},
		},
	}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("got  %+v\nwant %+v", m, want)
	}
	if m.Thinking() != "hm" || m.Text() != "" || len(m.Tools()) != 1 {
		t.Errorf("thinking %q, text %q, %d tools", m.Thinking(), m.Text(), len(m.Tools()))
	}
}

func TestCheckAccepts(t *testing.T) {
	for name, c := range map[string]struct {
		stream string
		end    End
		text   string
	}{
		"plain":               {plain, Complete, "héllo"},
		"ping first":          {ping + plain, Complete, "héllo"},
		"ping before stop":    {start + text0 + hello + stop0 + endTurn + ping + stop, Complete, "héllo"},
		"no block":            {start + endTurn + stop, Complete, ""},
		"comment":             {": hello\n\n" + plain, Complete, "héllo"},
		"CRLF":                {strings.ReplaceAll(plain, "\n", "\r\n"), Complete, "héllo"},
		"tool without pieces": {start + text0 + stop0 + tool1 + stop1 + toolTurn + stop, Complete, ""},
		"tool cut at a limit": {start + text0 + stop0 + tool1 + piece + stop1 + strings.Replace(toolTurn, "tool_use", "max_tokens", 1) + stop, Complete, ""},
		"error alone":         {overloaded, Failed, ""},
		"error after ping":    {ping + overloaded, Failed, ""},
		"error after start":   {start + overloaded, Failed, ""},
		"error inside text":   {start + text0 + hello + overloaded, Failed, "héllo"},
		"error inside tool":   {start + text0 + stop0 + tool1 + piece + overloaded, Failed, ""},
		"error before stop":   {start + text0 + hello + stop0 + endTurn + overloaded, Failed, "héllo"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := Check([]byte(c.stream))
			if err != nil {
				t.Fatal(err)
			}
			if m.End != c.end || m.Text() != c.text {
				t.Errorf("end %s, text %q; want %s, %q", m.End, m.Text(), c.end, c.text)
			}
			if c.end == Failed && m.ErrorType != "overloaded_error" {
				t.Errorf("error type %q", m.ErrorType)
			}
		})
	}
}

func TestCheckRefuses(t *testing.T) {
	for name, c := range map[string]struct{ stream, want string }{
		"nothing":                 {"", "ends without message_stop"},
		"no stop":                 {start + text0 + hello + stop0 + endTurn, "ends without message_stop"},
		"cut in an event":         {plain[:len(plain)-20], "cut inside the event"},
		"last blank line missing": {plain[:len(plain)-1], "cut inside the event"},
		"no event line":           {"data: {\"type\":\"ping\"}\n\n" + plain, "no event: line"},
		"no data":                 {"event: ping\n\n" + plain, "without data"},
		"two data lines":          {"event: ping\ndata: {\ndata: \"type\":\"ping\"}\n\n" + plain, "unexpected line"},
		"two event lines":         {"event: ping\nevent: ping\ndata: {\"type\":\"ping\"}\n\n", "unexpected line"},
		"unknown field":           {"id: 1\n" + plain, "unexpected line"},
		"HTML":                    {"<html>\n</html>\n", "unexpected line"},
		"no JSON":                 {start + "event: ping\ndata: {\"type\":\n\n", "unexpected end of JSON"},
		"other type":              {"event: ping\ndata: {\"type\":\"message_stop\"}\n\n", `carries the type "message_stop"`},
		"unknown event":           {start + "event: hi\ndata: {\"type\":\"hi\"}\n\n", "unknown event"},
		"no message_start":        {text0 + hello + stop0 + endTurn + stop, "before message_start"},
		"two message_starts":      {start + start, "a second one"},
		"start without id":        {strings.Replace(plain, "msg_1", "", 1), `id ""`},
		"start without usage":     {strings.Replace(plain, `,"usage":{"input_tokens":7,"cache_read_input_tokens":5,"output_tokens":1}`, "", 1), "no usage"},
		"start with content":      {strings.Replace(plain, `"content":[]`, `"content":[{}]`, 1), "content is not []"},
		"start with stop_reason":  {strings.Replace(plain, `"stop_reason":null`, `"stop_reason":"x"`, 1), "want null"},
		"two open blocks":         {start + text0 + tool1, "while block 0 is open"},
		"block index skipped":     {start + tool1, "index 1, want 0"},
		"block index repeated":    {start + text0 + stop0 + text0, "index 0, want 1"},
		"block without index":     {start + strings.Replace(text0, `"index":0,`, "", 1), "index missing"},
		"tool without id":         {start + text0 + stop0 + strings.Replace(tool1, "toolu_1", "", 1), `tool_use with id ""`},
		"delta without block":     {start + hello, "no block is open"},
		"delta for a closed one":  {start + text0 + hello + stop0 + hello, "no block is open"},
		"delta for another block": {start + text0 + hello + stop0 + tool1 + hello, "block 1 is open"},
		"delta of another kind":   {start + thinking0 + hello, `"text_delta" in a thinking block`},
		"delta without value":     {start + text0 + strings.Replace(hello, `,"text":"héllo"`, "", 1), "without its value"},
		"stop twice":              {start + text0 + stop0 + stop0, "no block is open"},
		"input no JSON":           {start + text0 + stop0 + tool1 + piece + stop1 + toolTurn + stop, "input of tool Bash"},
		"input no object":         {start + text0 + stop0 + tool1 + strings.Replace(lastPiece, "1}", "1", 1) + stop1 + toolTurn + stop, "input of tool Bash"},
		"cut input, then a block": {start + text0 + stop0 + tool1 + piece + stop1 + strings.Replace(text0, `"index":0`, `"index":2`, 1), "input of tool Bash"},
		"cut input, then error":   {start + text0 + stop0 + tool1 + piece + stop1 + overloaded, "input of tool Bash"},
		"end inside a block":      {start + text0 + hello + endTurn, "while block 0 is open"},
		"end without reason":      {start + strings.Replace(endTurn, `"end_turn"`, "null", 1), "no delta.stop_reason"},
		"end without usage":       {start + strings.Replace(endTurn, `,"usage":{"output_tokens":9}`, "", 1), "no usage"},
		"tools but end_turn":      {start + text0 + stop0 + tool1 + stop1 + endTurn + stop, "with 1 tool calls"},
		"tool_use without tools":  {start + toolTurn + stop, "with 0 tool calls"},
		"two message_deltas":      {start + endTurn + endTurn, "behind message_delta"},
		"stop without delta":      {start + stop, "without message_delta"},
		"block behind the end":    {start + endTurn + text0, "behind message_delta"},
		"ping behind the stop":    {plain + ping, "behind the end"},
		"error behind the stop":   {plain + overloaded, "behind the end"},
		"two errors":              {start + overloaded + overloaded, "behind the end"},
		"text behind the error":   {start + text0 + overloaded + hello, "behind the end"},
		"error without type":      {strings.Replace(overloaded, "overloaded_error", "", 1), "no error.type"},
		"two answers":             {plain + plain, "behind the end"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Check([]byte(c.stream)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestPrefixIsWholeEvents(t *testing.T) {
	for i := range len(plain) + 1 {
		m, err := CheckPrefix([]byte(plain[:i]))
		whole := i == 0 || strings.HasSuffix(plain[:i], "\n\n")
		if whole != (err == nil) {
			t.Fatalf("cut at %d, behind %q: %v", i, plain[max(0, i-20):i], err)
		}
		if whole && (m.End == Complete) != (i == len(plain)) {
			t.Errorf("cut at %d: end %s", i, m.End)
		}
	}
}

func TestCheckWhole(t *testing.T) {
	const whole = `{"id":"msg_1","type":"message","role":"assistant","model":"claude-x","content":[{"type":"text","text":"hi"},` +
		`{"type":"tool_use","id":"toolu_1","name":"Bash","input":{"a":1}}],"stop_reason":"tool_use","usage":{"input_tokens":3,"output_tokens":4}}`
	m, err := CheckWhole([]byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	if m.Text() != "hi" || string(m.Tools()[0].Input) != `{"a":1}` || m.Usage.Output != 4 || m.End != Complete {
		t.Errorf("got %+v", m)
	}
	for name, bad := range map[string]string{
		"cut":         whole[:len(whole)/2],
		"error":       `{"type":"error","error":{"type":"api_error","message":"x"}}`,
		"no usage":    strings.Replace(whole, `"usage"`, `"use"`, 1),
		"no input":    strings.Replace(whole, `"input":{"a":1}`, `"input":[]`, 1),
		"stop_reason": strings.Replace(whole, `"tool_use","usage"`, `"end_turn","usage"`, 1),
	} {
		if _, err := CheckWhole([]byte(bad)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzCheck(f *testing.F) {
	f.Add([]byte(plain))
	f.Add([]byte(start + text0 + hello + overloaded))
	f.Add([]byte(start + text0 + stop0 + tool1 + piece + lastPiece + stop1 + toolTurn + stop))
	f.Fuzz(func(t *testing.T, stream []byte) {
		m, err := Check(stream)
		if m == nil {
			t.Fatal("no message")
		}
		if err != nil {
			return
		}
		if _, err := CheckPrefix(stream); err != nil {
			t.Errorf("whole, but no prefix: %v", err)
		}
		if _, err := Check(slices.Concat(stream, []byte(ping))); err == nil {
			t.Error("accepted an event behind the end")
		}
		for _, b := range m.Blocks {
			if m.End == Complete && !b.Whole {
				t.Errorf("complete with an open block: %+v", b)
			}
		}
	})
}
