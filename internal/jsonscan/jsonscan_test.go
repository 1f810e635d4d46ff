package jsonscan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
)

// jsonDepth is the deepest nesting that encoding/json takes.
const jsonDepth = 10000

var texts = []string{
	``, ` `, `null`, `nul`, `nulL`, `true `, `tru`, `false`, `falsey`, "\ttrue\r\n", "\vtrue", "\u00a0true",
	`0`, `-0`, `-`, `01`, `1.`, `.5`, `1.5`, `1e`, `1e+`, `1E-9`, `1e5.5`, `123456789012345678901234567890`, `+1`, `0x1`, `-a`, `1 2`,
	`""`, `"`, `"a`, `"\`, `"\"`, `"\\"`, `"\u12"`, `"\u12G4"`, `"\u00e9\ud83d\ude00"`, `"\x"`, "\"\n\"", "\"\x00\"", "\"\x7f\"", "\"\xff\xfe\"",
	"\"12345678\x1f\"", `"1234567\n8901234\"67890123\\"`, `"12345678901234567890"`, "\"1234567\x1f", `"é日本語日本語日本語"`,
	`{}`, `{ }`, `{"a":1}`, `{"a":1,}`, `{,}`, `{"a"}`, `{"a":}`, `{"a" : 1 , "b":[ ] }`, `{a:1}`, `{"a":1 "b":2}`, `{"a":1`, `{"a"`, `{"a":`, `{`, `}`, `{"a":1}}`, `{1:1}`,
	`[]`, `[ ]`, `[1]`, `[1,]`, `[,1]`, `[1 2]`, `[[[]]]`, `[`, `]`, `[1`, `[1,`, `[}`, `{]`, `[1}`, `[{"a":[{"b":null}]},"x"]`,
	strings.Repeat("[", jsonDepth) + strings.Repeat("]", jsonDepth),
	strings.Repeat("[", jsonDepth+1) + strings.Repeat("]", jsonDepth+1),
}

func TestValidAgreesWithEncodingJSON(t *testing.T) {
	for _, s := range texts {
		checkValid(t, []byte(s))
		checkFollowed(t, []byte(s))
	}
}

func FuzzValid(f *testing.F) {
	for _, s := range texts {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		checkValid(t, b)
		checkFollowed(t, b)
	})
}

func checkValid(t *testing.T, b []byte) {
	t.Helper()
	err := Valid(b, jsonDepth)
	if want := json.Valid(b); (err == nil) != want {
		t.Fatalf("Valid(%.80q) = %v, encoding/json says %v", b, err, want)
	}
	if err == nil {
		return
	}
	var e *Error
	if !errors.As(err, &e) || e.Offset < 0 || e.Offset > len(b) {
		t.Fatalf("Valid(%.80q) = %v: no Error with an offset inside", b, err)
	}
}

// How much text follows, and with it the way strings are scanned, changes nothing.
func checkFollowed(t *testing.T, b []byte) {
	t.Helper()
	end, err := Value(b, 0, jsonDepth)
	if errors.Is(err, ErrTruncated) || end == len(b) {
		return // what follows is part of it
	}
	long := append(bytes.Clone(b), strings.Repeat(" ", 200)...)
	if again, wrong := Value(long, 0, jsonDepth); again != end || fmt.Sprint(wrong) != fmt.Sprint(err) {
		t.Fatalf("Value(%.80q) = %d, %v; with blanks behind it %d, %v", b, end, err, again, wrong)
	}
}

// One byte of a sound text is changed, wherever the windows of the scanner fall.
func TestChangedTextsAgree(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		text := conversation(300+rnd.IntN(700), 20+rnd.IntN(200))
		checkValid(t, text)
		const bytes = "\"\"\\{}[]:,0a \n\x00\x1f\x7f\xff"
		text[rnd.IntN(len(text))] = bytes[rnd.IntN(len(bytes))]
		checkValid(t, text)
	}
}

func TestStopsAgree(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for n := range 20_000 {
		var block [windowSize]byte
		var want uint64
		for k := range block {
			c := byte(rnd.Uint32())
			if n%2 == 0 {
				c = "\x1f !\"#[\\]\x7f\x80\x9f\xa0\xa2\xdc\x00\xff"[c%16]
			}
			if block[k] = c; c < ' ' || c == '"' || c == '\\' {
				want |= 1 << k
			}
		}
		if got := stopsWords(&block); got != want {
			t.Fatalf("stopsWords(%q) = %064b, want %064b", block, got, want)
		}
		if vectors {
			if got := stopsVector(&block); got != want {
				t.Fatalf("stopsVector(%q) = %064b, want %064b", block, got, want)
			}
		}
	}
}

// Whatever a long string is made of, and wherever its escapes fall on the
// borders of blocks and words, all ways to scan it say the same.
func TestLongStringsAgree(t *testing.T) {
	pieces := []string{`a`, `the stream `, `\\`, `\\\\\\`, `\"`, `\n`, `\u00e9`, `\u00g9`, `\x`, `\`, "\t", "\x00", "é", "\xff", `"`, strings.Repeat("b", 63), strings.Repeat(`\\`, 33)}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		text := []byte(`"`)
		for range rnd.IntN(12) {
			piece := pieces[rnd.IntN(len(pieces))]
			if rnd.IntN(8) > 0 {
				piece = pieces[rnd.IntN(6)] // a sound one, so that strings get long
			}
			text = append(text, piece...)
		}
		text = append(text, `"`...)
		text = append(text, strings.Repeat(" ", rnd.IntN(130))...)
		end, f := strWords(text, 1)
		if i, g := str(text, 1); i != end || g != f {
			t.Fatalf("str(%q) = %d, %v, want %d, %v", text, i, g, end, f)
		}
		if vectors {
			if i, g := strVector(text, 1); i != end || g != f {
				t.Fatalf("strVector(%q) = %d, %v, want %d, %v", text, i, g, end, f)
			}
		}
		checkValid(t, text)
	}
}

// Every text that is a beginning of a sound one breaks off, and says so.
func TestTruncationIsToldFromSyntax(t *testing.T) {
	whole := []byte(`{"a\u00e9":[1.5e-3,true,null,"x\n"],"b":{"c":-0}}`)
	for n := range len(whole) {
		if err := Valid(whole[:n], 8); !errors.Is(err, ErrTruncated) {
			t.Errorf("Valid(%q) = %v, want ErrTruncated", whole[:n], err)
		}
	}
}

func TestDepthCountsContainers(t *testing.T) {
	for _, tt := range []struct {
		text  string
		depth int
		want  error
	}{
		{`1`, 0, nil}, {`[]`, 0, ErrDepth}, {`[]`, 1, nil}, {`{"a":[]}`, 1, ErrDepth}, {`{"a":[]}`, 2, nil}, {`[[],[],[]]`, 2, nil},
	} {
		if err := Valid([]byte(tt.text), tt.depth); !errors.Is(err, tt.want) {
			t.Errorf("Valid(%s, %d) = %v, want %v", tt.text, tt.depth, err, tt.want)
		}
		if tt.text[0] == '{' {
			o, err := OpenObject([]byte(tt.text), 0, tt.depth)
			for err == nil && o.Next() {
			}
			if err = errors.Join(err, o.Err()); !errors.Is(err, tt.want) {
				t.Errorf("iterating %s to depth %d: %v, want %v", tt.text, tt.depth, err, tt.want)
			}
		}
	}
}

func TestErrorsNameAnOffsetAndQuoteNothing(t *testing.T) {
	err := Valid([]byte(`{"password":hunter2}`), 8)
	if got, want := fmt.Sprint(err), "not JSON (offset 12)"; got != want {
		t.Errorf("error %q, want %q", got, want)
	}
}

func TestValueEndsBehindTheValue(t *testing.T) {
	for _, tt := range []struct {
		text   string
		i, end int
	}{{`  [1] ,2`, 0, 5}, {`{"a":"b"}`, 5, 8}, {`12,`, 0, 2}, {`"a" x`, 0, 3}} {
		if end, err := Value([]byte(tt.text), tt.i, 4); err != nil || end != tt.end {
			t.Errorf("Value(%q, %d) = %d, %v; want %d", tt.text, tt.i, end, err, tt.end)
		}
	}
}

func TestObjectGivesMembersInOrder(t *testing.T) {
	b := []byte(` { "model" : "a" , "n":[1,{"model":2}],"mod\u0065l":"b","model":null } tail`)
	o, err := OpenObject(b, 0, 4)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for o.Next() {
		got = append(got, string(o.Key)+"="+string(o.Raw())+"="+string(b[o.Val.Start:o.Val.End]))
	}
	want := []string{`model="a"="a"`, `n=[1,{"model":2}]=[1,{"model":2}]`, `mod\u0065l="b"="b"`, `model=null=null`}
	if fmt.Sprint(got) != fmt.Sprint(want) || o.Err() != nil {
		t.Errorf("members %v, err %v; want %v", got, o.Err(), want)
	}
	if rest := string(b[o.End():]); rest != " tail" {
		t.Errorf("behind the object stands %q, want %q", rest, " tail")
	}
	if o.Next() {
		t.Error("Next behind the end = true")
	}
}

func TestNextKeyLeavesTheValueToTheCaller(t *testing.T) {
	b := []byte(`{"a":[1,2],"b":{"c":3},"d":"x"}`)
	o, err := OpenObject(b, 0, 4)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for o.NextKey() {
		switch string(o.Key) {
		case "a":
			a, err := OpenArray(b, o.Val.Start, 3)
			if err != nil {
				t.Fatal(err)
			}
			for a.Next() {
				got = append(got, string(a.Raw()))
			}
			o.Skip(a.End())
			got = append(got, string(o.Raw()))
		case "d":
			o.Finish()
			got = append(got, string(o.Raw()))
		}
	}
	if want := `[1 2 [1,2] "x"]`; fmt.Sprint(got) != want || o.Err() != nil || o.End() != len(b) {
		t.Errorf("got %v, err %v, end %d; want %s", got, o.Err(), o.End(), want)
	}
}

func TestOpenRefusesOtherValues(t *testing.T) {
	for _, s := range []string{``, ` `, `[]`, `"x"`, `1`} {
		if _, err := OpenObject([]byte(s), 0, 4); err == nil {
			t.Errorf("OpenObject(%q) = nil error", s)
		}
	}
	if _, err := OpenArray([]byte(`{}`), 0, 4); !errors.Is(err, ErrSyntax) {
		t.Errorf("OpenArray({}) = %v, want ErrSyntax", err)
	}
}

// The iterators accept what encoding/json accepts and see the same values.
func FuzzIterate(f *testing.F) {
	for _, s := range texts {
		f.Add([]byte(s))
	}
	f.Add([]byte(` {"a":1,"b":[2],"a":{"c":"\n"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if o, err := OpenObject(b, 0, jsonDepth); err == nil {
			got := map[string]string{}
			for o.Next() {
				name, ok := Unquote(o.Key)
				if !ok || !Is(o.Key, name) && bytes.IndexByte(o.Key, '\\') >= 0 {
					t.Fatalf("key %q: unquoted %q, %v", o.Key, name, ok)
				}
				got[name] = string(o.Raw())
			}
			whole := o.Err() == nil && skipSpace(b, o.End()) == len(b)
			var want map[string]json.RawMessage
			if err := json.Unmarshal(b, &want); (err == nil) != whole {
				t.Fatalf("%.80q: whole %v (%v), encoding/json says %v", b, whole, o.Err(), err)
			}
			if whole && !maps.EqualFunc(got, want, func(a string, b json.RawMessage) bool { return a == string(b) }) {
				t.Fatalf("%.80q: members %v, encoding/json has %v", b, got, want)
			}
		}
		if a, err := OpenArray(b, 0, jsonDepth); err == nil {
			var got []string
			for a.Next() {
				got = append(got, string(a.Raw()))
			}
			whole := a.Err() == nil && skipSpace(b, a.End()) == len(b)
			var want []json.RawMessage
			if err := json.Unmarshal(b, &want); (err == nil) != whole {
				t.Fatalf("%.80q: whole %v (%v), encoding/json says %v", b, whole, a.Err(), err)
			}
			if whole && len(got) != len(want) {
				t.Fatalf("%.80q: %d elements, encoding/json has %d", b, len(got), len(want))
			}
		}
	})
}

// TestElements: wherever a text is cut while it comes, what is made of it is the same.
func TestElements(t *testing.T) {
	for _, s := range elementTexts {
		for cut := range len(s) + 1 {
			checkElements(t, []byte(s), cut, cut+(len(s)-cut)/2)
		}
	}
}

func FuzzElements(f *testing.F) {
	for _, s := range append(elementTexts, texts...) {
		f.Add([]byte(s), uint(len(s)/3), uint(len(s)/2))
	}
	f.Fuzz(func(t *testing.T, b []byte, first, second uint) {
		n := uint(len(b)) + 1
		checkElements(t, b, int(min(first%n, second%n)), int(max(first%n, second%n)))
	})
}

var elementTexts = []string{
	` [{"c":[1,2],"d":[3]},{"c":"x"},{"c":{}}, 17 ,"s",[4],{"c":[]},{"c":[{"c":[5]}],"c":[6], "\u0063" : [7,8]}] `, `[ ]`, `[]x`, `12345`, `"text"`, `{"c":[1]}`, `[12 , -1.5e3, true,null]`,
	`[{"c":[1]},]`, `[{"c":[1]}{"c":[2]}]`, `[{"c":[1,}]`, `[{"c":[1]},{"c":[1,[[]]]}]`, `[{"c":[[[[]]]]}]`, `[{"a":1,"c":[1,2`, `[1,2}`, `[{"c":[1]} ,` + strings.Repeat(" ", 100) + `{"c":["` + strings.Repeat("long ", 40) + `\n"]}]`,
}

// checkElements compares Elements, which has seen b up to first and up to second
// before, with Value and with what the iterators count.
func checkElements(t *testing.T, b []byte, first, second int) {
	t.Helper()
	const depth = 4
	cut := Elements{MaxDepth: depth, Name: "c"}
	whole := cut
	for _, n := range []int{first, second} {
		if at := cut.Advance(bytes.Clone(b[:n])); at > n {
			t.Fatalf("%q: of %d bytes %d are done with", b, n, at)
		}
	}
	end, n, err := cut.Finish(b)
	if e, k, again := whole.Finish(b); e != end || k != n || fmt.Sprint(again) != fmt.Sprint(err) {
		t.Fatalf("%q cut at %d and %d: %d, %d, %v; whole: %d, %d, %v", b, first, second, end, n, err, e, k, again)
	}
	if e, wrong := Value(b, 0, depth); e != end || fmt.Sprint(wrong) != fmt.Sprint(err) {
		t.Fatalf("%q: %d, %v; Value says %d, %v", b, end, err, e, wrong)
	}
	if want := counted(b, depth); err == nil && n != want {
		t.Fatalf("%q: %d elements counted, there are %d", b, n, want)
	}
}

// counted is how many elements are in the arrays named c of a sound array's objects.
func counted(b []byte, depth int) (n int) {
	list, _ := OpenArray(b, 0, depth)
	for list.b != nil && list.Next() {
		o, _ := OpenObject(list.Raw(), 0, depth)
		for o.b != nil && o.Next() {
			c, _ := OpenArray(o.Raw(), 0, depth)
			for c.b != nil && Is(o.Key, "c") && c.Next() {
				n++
			}
		}
	}
	return n
}

func TestUnquote(t *testing.T) {
	for _, tt := range []struct {
		raw, want string
		ok        bool
	}{
		{`abc`, "abc", true}, {`"abc"`, "abc", true}, {``, "", true}, {`""`, "", true},
		{`a\n\u00e9\ud83d\ude00\/`, "a\né😀/", true}, {`"\ud83d"`, "\ufffd", true}, {"a\xffb", "a\ufffdb", true},
		{`"abc`, "", false}, {`abc"`, "", false}, {`a"b`, "", false}, {`a\`, "", false}, {`a\x`, "", false}, {"a\nb", "", false}, {`"a"b"`, "", false},
	} {
		if got, ok := Unquote([]byte(tt.raw)); got != tt.want || ok != tt.ok {
			t.Errorf("Unquote(%q) = %q, %v; want %q, %v", tt.raw, got, ok, tt.want, tt.ok)
		}
	}
}

func TestIs(t *testing.T) {
	for _, tt := range []struct {
		raw, s string
		want   bool
	}{
		{`model`, "model", true}, {`"model"`, "model", true}, {`mod\u0065l`, "model", true}, {`modeI`, "model", false},
		{`mode`, "model", false}, {`models`, "model", false}, {``, "", true}, {`""`, "", true}, {`\n`, `\n`, false}, {`\\n`, `\n`, true},
		{`\u006dodem`, "model", false}, {`a\"b`, `a"b`, true},
	} {
		if got := Is([]byte(tt.raw), tt.s); got != tt.want {
			t.Errorf("Is(%s, %q) = %v", tt.raw, tt.s, got)
		}
	}
}

func FuzzUnquote(f *testing.F) {
	for _, s := range []string{`abc`, `a\n\u00e9\ud83d`, "\xff", `"`, `\`, ``} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > 0 && raw[0] == '"' {
			return
		}
		got, ok := Unquote(raw)
		var want string
		if err := json.Unmarshal([]byte(`"`+string(raw)+`"`), &want); (err == nil) != ok || got != want {
			t.Fatalf("Unquote(%q) = %q, %v; encoding/json: %q, %v", raw, got, ok, want, err)
		}
		if !ok {
			return
		}
		if quoted, ok := Unquote([]byte(`"` + string(raw) + `"`)); !ok || quoted != got {
			t.Fatalf("with quotes: %q, %v; without: %q", quoted, ok, got)
		}
		if bytes.IndexByte(raw, '\\') >= 0 && !Is(raw, got) {
			t.Fatalf("Is(%q, %q) = false", raw, got)
		}
	})
}

func TestInt(t *testing.T) {
	for _, tt := range []struct {
		raw  string
		want int64
		ok   bool
	}{
		{"0", 0, true}, {"42", 42, true}, {"-7", -7, true}, {"999999999999999999", 999999999999999999, true},
		{"9999999999999999999", 0, false}, {"1.0", 0, false}, {"1e3", 0, false}, {"", 0, false}, {"-", 0, false}, {`"1"`, 0, false}, {"null", 0, false},
	} {
		if got, ok := Int([]byte(tt.raw)); got != tt.want || ok != tt.ok {
			t.Errorf("Int(%s) = %d, %v; want %d, %v", tt.raw, got, ok, tt.want, tt.ok)
		}
	}
}

// body is a request of about n bytes in which, as in real ones, source code
// with a newline escape every forty bytes makes up most of the text.
func body(n int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"model":"claude-sonnet-4-5","max_tokens":32000,"stream":true,"messages":[{"role":"user","content":"hi"}`)
	for b.Len() < n {
		text := strings.Repeat(`\tif err := run(ctx, args); err != nil {\n\t\treturn fmt.Errorf(\"run: %w\", err)\n\t}\n`, min(40, max(0, n-b.Len())/90))
		fmt.Fprintf(&b, `,{"role":"user","content":[{"type":"text","text":"%s"}]}`, text)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

func TestScanningAllocatesNothing(t *testing.T) {
	b := body(10_000)
	if n := testing.AllocsPerRun(10, func() {
		o, err := OpenObject(b, 0, 16)
		for err == nil && o.Next() {
			Is(o.Key, "model")
		}
		if err != nil || o.Err() != nil {
			t.Fatal(err, o.Err())
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkValue(b *testing.B) {
	for _, n := range []int{200, 2_000, 100_000, 1_000_000} {
		text := body(n)
		b.Run(fmt.Sprintf("code/%d", n), func(b *testing.B) { benchmarkValue(b, text) })
	}
	prose := []byte(`{"text":"` + strings.Repeat("The quick brown fox. ", 5_000) + `"}`)
	b.Run("prose/100000", func(b *testing.B) { benchmarkValue(b, prose) })
	numbers := []byte("[" + strings.Repeat("12.5,{\"a\":true},", 6_000) + "0]")
	b.Run("structure/100000", func(b *testing.B) { benchmarkValue(b, numbers) })
}

func benchmarkValue(b *testing.B, text []byte) {
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Value(text, 0, 64); err != nil {
			b.Fatal(err)
		}
	}
}

// conversation is the messages of a coding client, n bytes of them: calls of tools
// and what came of them. code is how long the longest result is; each is different
// in length, like the calls, so that no branch can be learned by heart.
func conversation(n, code int) []byte {
	const line = "the client \"reads\" each event of\nthe stream and adds its words to what is there, "
	tools := []string{"Read", "Bash", "Grep", "TodoWrite", "mcp__browser__take_screenshot"}
	text := strings.Repeat(line, code/len(line)+1)
	rnd := rand.New(rand.NewPCG(1, 2))
	type object map[string]any
	var messages []object
	for size := 0; size < n; {
		id := fmt.Sprintf("toolu_%0*d", 3+rnd.IntN(22), rnd.Uint32())
		path := "/src" + strings.Repeat("/internal", rnd.IntN(5)) + "/main.go"
		result := text[:code-rnd.IntN(code/4)]
		messages = append(messages,
			object{"role": "assistant", "content": []object{{"type": "tool_use", "id": id, "name": tools[rnd.IntN(len(tools))], "input": object{"file_path": path}}}},
			object{"role": "user", "content": []object{{"type": "tool_result", "tool_use_id": id, "content": result}}})
		size += 230 + len(result)
	}
	b, _ := json.Marshal(messages) // strings always marshal
	return b
}

func BenchmarkElements(b *testing.B) {
	for _, tt := range []struct {
		name string
		text []byte
	}{
		{"conversation/1MB", conversation(1_000_000, 3<<10)},
		{"structure/100KB", conversation(100_000, 20)},
	} {
		b.Run(tt.name, func(b *testing.B) {
			b.SetBytes(int64(len(tt.text)))
			b.ReportAllocs()
			for b.Loop() {
				e := Elements{MaxDepth: 64, Name: "content"}
				if _, _, err := e.Finish(tt.text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
