package jsonline_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"anyproxy/internal/jsonline"
	"anyproxy/internal/jsonline/jsonlinetest"
)

// row has a member of each kind.
type row struct {
	Time  time.Time `json:"time"`
	Text  string    `json:"text"`
	Count int64     `json:"count"`
	Share float64   `json:"share"`
	Yes   bool      `json:"yes"`
	Inner struct {
		Text  string  `json:"text,omitempty"`
		Count int64   `json:"count,omitempty"`
		Share float64 `json:"share,omitempty"`
		Yes   bool    `json:"yes,omitempty"`
	} `json:"inner"`
	List []struct {
		N int64 `json:"n"`
	} `json:"list"`
}

func (r *row) append(l *jsonline.Line) {
	l.Open('{')
	l.Time("time", r.Time)
	l.String("text", r.Text)
	l.Int("count", r.Count)
	l.Float("share", r.Share)
	l.Bool("yes", r.Yes)
	l.Name("inner")
	l.Open('{')
	l.OptString("text", r.Inner.Text)
	l.OptInt("count", r.Inner.Count)
	l.OptFloat("share", r.Inner.Share)
	l.OptBool("yes", r.Inner.Yes)
	l.Close('}')
	if r.List == nil {
		l.Null("list")
	} else {
		l.Name("list")
		l.Open('[')
		for _, e := range r.List {
			l.Open('{')
			l.Int("n", e.N)
			l.Close('}')
		}
		l.Close(']')
	}
	l.Close('}')
}

func checkRow(t *testing.T, r row) {
	t.Helper()
	got := jsonline.Line("earlier\n")
	r.append(&got)
	want, err := jsonlinetest.Encoded(r)
	if err != nil { // its time is none of RFC 3339
		if !bytes.HasPrefix(got, []byte("earlier\n{\"time\":null,")) {
			t.Fatalf("%.60q, encoding/json says %v", got, err)
		}
		return
	}
	jsonlinetest.CheckSame(t, got, append([]byte("earlier\n"), want...))
}

var texts = []string{
	"", "a", "1234567", "12345678", "123456789", `"`, `\`, `"\"\"\"\\\\`, "line\nline\r\n\ttab\b\f", "\x00\x01\x1f\x7f\x80", "<a href='x'>&amp;</a>",
	"\u2028\u2029\u2027\u202a", "é日本語🎉", "日本\xe6\x97", "\xff\xfe\xfd", "\xed\xa0\x80", "\xc0\xaf", "a\xf4\x90\x80\x80b", "\ufffd",
	"1234567\"", "12345678\"", "123456\x00\x00", "!\"\x1f !", "\x21\x5b\x5d\x23", strings.Repeat("x", 4000), strings.Repeat("\"", 4000), strings.Repeat("\x01", 4000),
	strings.Repeat(`{"type":"text","text":"func main() {\n"},`, 50), strings.Repeat("日本語 ", 300),
}

var numbers = []float64{
	0, math.Copysign(0, -1), 1, -1, 0.1, 1.5, 1e-6, 9.99e-7, 1e-7, 1e-9, 1e-10, 1e-100, 1e20, 1e21, 1.5e21, -1e21, 1e22, 1e100, 123456789.125,
	math.MaxFloat64, math.SmallestNonzeroFloat64, math.Pi, 1.0 / 3, 42, -7, math.MaxInt32, math.MaxInt32 + 1, math.MinInt32, math.MinInt32 - 1,
}

func TestWritesAsEncodingJSON(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)
	times := []time.Time{{}, at, at.Truncate(time.Second), at.In(time.FixedZone("", -3*3600-1800)), at.In(time.FixedZone("", 1)),
		time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)}
	for i := range max(len(texts), len(numbers), len(times)) {
		r := row{Time: times[i%len(times)], Text: texts[i%len(texts)], Count: int64(i) - 5, Share: numbers[i%len(numbers)], Yes: i%2 == 0}
		if i%3 > 0 {
			r.Inner.Text, r.Inner.Count, r.Inner.Share, r.Inner.Yes = r.Text, math.MinInt64, r.Share, r.Yes
			r.List = make([]struct {
				N int64 `json:"n"`
			}, i%4)
		}
		t.Run(fmt.Sprint(i), func(t *testing.T) { checkRow(t, r) })
	}
}

// TestTextAsEncodingJSON: whatever stands next to what, on whichever side of the
// borders of the words that are looked at.
func TestTextAsEncodingJSON(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"a", "the stream ", `"`, `\`, "\n", "\x00", "\x1f", " ", "!", "é", "日", "🎉", "\xff", "\u2028", "\xe2\x80", "12345678"}
	for range 20_000 {
		var b strings.Builder
		for range rnd.IntN(20) {
			b.WriteString(pieces[rnd.IntN(len(pieces))])
		}
		checkText(t, b.String())
	}
	for _, s := range texts {
		checkText(t, s)
	}
}

// TestEveryByteEverywhere puts each byte, and each pair with a quote, at each
// place of a block.
func TestEveryByteEverywhere(t *testing.T) {
	for c := range 256 {
		for at := range 40 {
			text := bytes.Repeat([]byte("x"), 48)
			text[at] = byte(c)
			checkText(t, string(text))
			checkText(t, string(text[:at+1]))
			text[at+1] = '"'
			checkText(t, string(text))
		}
	}
}

func checkText(t *testing.T, s string) {
	t.Helper()
	want, err := jsonlinetest.Encoded(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, room := range []int{0, len(s), 2 * len(want)} {
		jsonlinetest.CheckSame(t, jsonline.AppendText(make([]byte, 0, room), []byte(s)), want)
		jsonlinetest.CheckSame(t, jsonline.AppendWithoutVectors(make([]byte, 0, room), []byte(s)), want)
	}
	jsonlinetest.CheckSame(t, jsonline.AppendString(nil, s), want)
}

func TestNumberThatJSONLacks(t *testing.T) {
	for _, f := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		var l jsonline.Line
		l.Float("x", f)
		if l.OptFloat("y", f); string(l) != `"x":0` {
			t.Errorf("%v became %s", f, l)
		}
	}
}

func TestForeignNamesAndMembers(t *testing.T) {
	var l jsonline.Line
	l.Open('{')
	for _, name := range []string{"plain", "", "a\"b\n", "\xff"} {
		l.Key(name)
		l.Open('[')
		l.Close(']')
	}
	var members jsonline.Line
	members.Int("n", 1)
	l.Members(members)
	members = members[:0]
	members.Name("m")
	l.Members(members)
	l.Open('{')
	l.Close('}')
	if l.Close('}'); string(l) != `{"plain":[],"":[],"a\"b\n":[],"\ufffd":[],"n":1,"m":{}}` {
		t.Errorf("%s", l)
	}
}

func FuzzWrite(f *testing.F) {
	for i, s := range texts {
		f.Add(s, int64(i), numbers[i%len(numbers)], i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, s string, n int64, x float64, yes bool) {
		checkText(t, s)
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return // encoding/json refuses it
		}
		r := row{Time: time.Unix(n%1e12, n), Text: s, Count: n, Share: x, Yes: yes}
		r.Inner.Text, r.Inner.Count, r.Inner.Share, r.Inner.Yes = s, n, x, yes
		checkRow(t, r)
	})
}

func TestWritingAllocatesNothing(t *testing.T) {
	r := row{Time: time.Now(), Text: strings.Repeat(`{"text":"é\n"}`, 100), Count: 12, Share: 0.25}
	l := make(jsonline.Line, 0, 64<<10)
	if n := testing.AllocsPerRun(100, func() {
		l = l[:0]
		r.append(&l)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkText(b *testing.B) {
	for name, text := range map[string]string{
		"prose":  "what was asked, what was answered and why it went where it went, as JSON Lines. ",
		"json":   `{"type":"text","text":"func main() {}\n"},`,
		"stream": "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"of the \"}   }\n\n",
		"cjk":    "質問と回答を記録する。",
	} {
		text := bytes.Repeat([]byte(text), 8<<10/len(text))
		out := make([]byte, 0, 32<<10)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				out = jsonline.AppendText(out[:0], text)
			}
		})
		b.Run(name+"/encoding", func(b *testing.B) {
			s := string(text)
			var buf bytes.Buffer
			enc := json.NewEncoder(&buf)
			enc.SetEscapeHTML(false)
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				buf.Reset()
				if err := enc.Encode(s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
