package simulator

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// timetable writes steps as "kind@milliseconds text".
func timetable(a Answer) []string {
	names := map[StepKind]string{
		StepStart: "start", StepPing: "ping", StepBlockStart: "open", StepText: "text", StepThinking: "thinking",
		StepSignature: "signature", StepInput: "input", StepBlockStop: "close", StepFinish: "finish", StepStop: "stop",
	}
	var lines []string
	for s := range a.Steps() {
		line := fmt.Sprintf("%s@%d", names[s.Kind], s.At.Milliseconds())
		if s.delta() {
			line += " " + s.Text
		}
		lines = append(lines, line)
	}
	return lines
}

func TestStepsFollowTheRate(t *testing.T) {
	for name, c := range map[string]struct {
		answer Answer
		want   string
	}{
		"nothing": {Answer{}, "start@0,ping@0,finish@0,stop@0"},
		"at once": {Answer{Blocks: []Block{Text("abcdefgh")}}, "start@0,ping@0,open@0,text@0 abcd,text@0 efgh,close@0,finish@0,stop@0"},
		"text": {
			Answer{Blocks: []Block{Text("abcdefghi")}, TTFT: time.Second, Rate: 10},
			"start@0,ping@0,open@1000,text@1000 abcd,text@1100 efgh,text@1200 i,close@1300,finish@1300,stop@1300",
		},
		"two tokens a delta": {
			Answer{Blocks: []Block{Text("abcdefghi")}, Rate: 10, DeltaTokens: 2},
			"start@0,ping@0,open@0,text@0 abcdefgh,text@200 i,close@300,finish@300,stop@300",
		},
		"no letter is cut": {
			Answer{Blocks: []Block{Text("abcädefg")}, Rate: 10},
			"start@0,ping@0,open@0,text@0 abcä,text@100 defg,close@200,finish@200,stop@200",
		},
		"hidden thinking takes its time": {
			Answer{Blocks: []Block{HiddenThinking("12345678"), Text("abcd")}, Rate: 10},
			"start@0,ping@0,open@0,signature@200,close@200,open@200,text@200 abcd,close@300,finish@300,stop@300",
		},
		"shown thinking": {
			Answer{Blocks: []Block{Thinking("12345678")}, Rate: 10},
			"start@0,ping@0,open@0,thinking@0 1234,thinking@100 5678,signature@200,close@200,finish@200,stop@200",
		},
		"tool input comes when it is there": {
			Answer{Blocks: []Block{{Kind: ToolBlock, Name: "T", Input: `{"a":123}`, Pieces: 2}}, Rate: 10},
			`start@0,ping@0,open@0,input@0,input@150 {"a",input@300 :123},close@300,finish@300,stop@300`,
		},
		"buffered tool input": {
			Answer{Blocks: []Block{{Kind: ToolBlock, Name: "T", Input: `{"a":123}`, Pieces: 1}}, Rate: 10},
			`start@0,ping@0,open@0,input@0,input@300 {"a":123},close@300,finish@300,stop@300`,
		},
		"tool without input": {
			Answer{Blocks: []Block{ToolUse("T", "")}, Rate: 10},
			`start@0,ping@0,open@0,input@0,close@100,finish@100,stop@100`,
		},
		"pings": {
			Answer{Blocks: []Block{Text("abcdefgh")}, TTFT: 2500 * time.Millisecond, Rate: 1, PingEvery: time.Second, EarlyPing: true},
			"ping@0,start@0,ping@0,ping@1000,ping@2000,open@2500,text@2500 abcd,ping@3000,text@3500 efgh,ping@4000,close@4500,finish@4500,stop@4500",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := strings.Join(timetable(c.answer), ","); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// No rounding may add up: the last token of a long answer is where the rate puts it.
func TestRateDoesNotDrift(t *testing.T) {
	a := Answer{Blocks: []Block{Text(strings.Repeat("word", 60_000))}, Rate: 70}
	var last Step
	for s := range a.Steps() {
		if s.Kind == StepText {
			last = s
		}
	}
	want := 59_999 * time.Second / 70
	if d := last.At - want; d.Abs() > time.Microsecond {
		t.Errorf("token 59999 at %v, want %v", last.At, want)
	}
}

func TestPiecesMakeTheInputWhole(t *testing.T) {
	input := `{"text":"Straße, 東京, ` + strings.Repeat("x", 40) + `"}`
	for n := range 80 {
		b := ToolUse("T", input)
		b.Pieces = n
		a := Answer{Blocks: []Block{b}}
		var pieces []string
		for s := range a.Steps() {
			if s.delta() {
				pieces = append(pieces, s.Text)
			}
		}
		if strings.Join(pieces, "") != input {
			t.Fatalf("%d pieces: %q", n, pieces)
		}
		if n > 0 && n < 20 && len(pieces) != n {
			t.Errorf("%d pieces, want %d", len(pieces), n)
		}
		if slices.ContainsFunc(pieces, func(p string) bool { return strings.ToValidUTF8(p, "?") != p }) {
			t.Errorf("a letter is cut: %q", pieces)
		}
	}
}

func TestTokens(t *testing.T) {
	for s, want := range map[string]int{"": 0, "a": 1, "abcd": 1, "abcde": 2, "äöü": 2, "東京東京": 2, "\xff\xbf\xbf\xbf\xbf\xbf": 1} {
		if got := Tokens(s); got != want {
			t.Errorf("Tokens(%q) = %d, want %d", s, got, want)
		}
	}
}
