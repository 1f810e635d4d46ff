package requestlog

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"anyproxy/metrics"
)

// FuzzEntry holds the line against encoding/json: the same fields in the same
// order, and the same values when it is read back.
func FuzzEntry(f *testing.F) {
	f.Add("claude", "body \"\\\n\x00\xff\u2028 with 16 bytes and more", 0.25, int64(7), true)
	f.Add("", "", 0.0, int64(0), false)
	f.Add("\x7f\u009b\u202e", strings.Repeat("é", 9), 1e-9, int64(math.MinInt64), true)
	f.Add("1234567\"", "12345678\n", 1e30, int64(1), false)
	f.Fuzz(func(t *testing.T, s, body string, x float64, n int64, flag bool) {
		e := Entry{
			Timestamp: time.Unix(n%1e9, n%1e9).UTC(), Direction: s, Provider: body, Model: s, AttemptNumber: int(n), Method: s, Path: s,
			Body: body, StatusCode: int(n), Duration: x, TokenCount: n, Success: flag, Error: s, IsStreaming: !flag,
			RequestID: s, Session: s, TTFT: x, TPS: x, InputTokens: n, OutputTokens: n, CacheReadTokens: n, CacheWriteTokens: n, Reason: s,
		}
		if flag {
			e.Headers = map[string]string{"B": s, "A" + s: body}
			e.CostUSD = &x
			e.Decision = &metrics.Decision{Alias: s, Attempts: []metrics.AttemptRecord{{Reason: body}}}
		}
		want, err := json.Marshal(e)
		if err != nil {
			t.Skip() // not a number
		}
		line := e.appendLine(nil)
		if bytes.Count(line, []byte("\n")) != 1 || line[len(line)-1] != '\n' {
			t.Fatalf("not one line: %q", line)
		}
		var fromLine, fromJSON Entry
		if err := json.Unmarshal(line, &fromLine); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		if err := json.Unmarshal(want, &fromJSON); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(fromLine, fromJSON) {
			t.Errorf("%q\nis not\n%q", line, want)
		}
		if got, want := names(t, line), names(t, want); !reflect.DeepEqual(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

// names lists the fields of a JSON object in their order.
func names(t *testing.T, object []byte) []string {
	d := json.NewDecoder(bytes.NewReader(object))
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	var out []string
	for d.More() {
		name, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, name.(string))
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestNumbersThatAreNone(t *testing.T) {
	inf := math.Inf(1)
	e := Entry{Duration: math.NaN(), TPS: inf, CostUSD: &inf, Reason: "r", Decision: &metrics.Decision{Candidates: []metrics.Candidate{{Weight: inf}}}}
	var got Entry
	if err := json.Unmarshal(e.appendLine(nil), &got); err != nil || got.Reason != "r" || got.TPS != 0 || got.CostUSD != nil {
		t.Errorf("%v: %s", err, e.appendLine(nil))
	}
}
