package requestlog

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"anyproxy/internal/redact"
)

// filler sets fields at random, so that one which is new in Entry or below it,
// and which the encoder does not know, is found.
type filler struct {
	*rand.Rand
	text string
}

func (f filler) fill(v reflect.Value) {
	if f.IntN(4) == 0 {
		v.SetZero()
		return
	}
	if t, ok := v.Addr().Interface().(*time.Time); ok {
		*t = time.Unix(f.Int64N(1e10), f.Int64N(1e9)).In(time.FixedZone("", f.IntN(86400)-43200))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			f.fill(v.Field(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem())
	case reflect.Slice:
		n := f.IntN(3)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			f.fill(v.Index(i))
		}
	case reflect.String:
		v.SetString(f.word())
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(f.Uint64()) >> f.IntN(64))
	case reflect.Float64:
		v.SetFloat((f.Float64() - 0.5) * []float64{1, 1e-9, 1e25, 1000}[f.IntN(4)])
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Map: // the headers, which stand beside an Entry
	default:
		panic(v.Kind())
	}
}

func (f filler) word() string {
	from := f.IntN(len(f.text) + 1)
	return f.text[from : from+f.IntN(len(f.text)-from+1)]
}

// checkLine compares a line with what encoding/json makes of the same Entry.
func checkLine(t *testing.T, seed uint64, text string) {
	t.Helper()
	f := filler{rand.New(rand.NewPCG(seed, 0)), text}
	var e Entry
	f.fill(reflect.ValueOf(&e).Elem())
	header := make(http.Header)
	for _, name := range []string{"Content-Type", "User-Agent", "X-Api-Key", "x-lower", "Cookie", f.word()}[:f.IntN(7)] {
		header[name] = []string{f.word(), f.word()}[:f.IntN(3)]
	}
	var got line
	got.append(&e, header, []byte(e.Body))

	e.Headers = make(map[string]string)
	for name, values := range header {
		if e.Headers[name] = redact.Dots; redact.HeaderShown(name) {
			e.Headers[name] = strings.Join(values, ", ")
		}
	}
	var want bytes.Buffer
	enc := json.NewEncoder(&want)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.text, want.Bytes()) {
		t.Fatalf("seed %d\ngot  %.3000q\nwant %.3000q", seed, got.text, want.Bytes())
	}
}

const foreign = "claude-sonnet \"quoted\\\"\n<a&b>\x00\x1f é日本🎉\u2028\xff{\"type\":\"text\"}"

func TestLineAsEncodingJSON(t *testing.T) {
	for seed := range uint64(3000) {
		checkLine(t, seed, foreign)
	}
}

func FuzzLineAsEncodingJSON(f *testing.F) {
	f.Add(uint64(1), foreign)
	f.Add(uint64(2), strings.Repeat(`data: {"index":0}`, 20))
	f.Fuzz(checkLine)
}

func TestEncodingAllocatesNothing(t *testing.T) {
	f := filler{rand.New(rand.NewPCG(7, 7)), foreign}
	var e Entry
	for e.Decision == nil || len(e.Decision.Attempts) == 0 || len(e.Decision.Candidates) == 0 {
		f.fill(reflect.ValueOf(&e).Elem())
	}
	header := http.Header{"Content-Type": {"application/json"}, "User-Agent": {"claude-cli/2"}, "X-Api-Key": {"k"}}
	body := []byte(strings.Repeat(foreign, 10))
	l := line{text: make([]byte, 0, 64<<10)}
	if n := testing.AllocsPerRun(100, func() {
		l.text = l.text[:0]
		l.append(&e, header, body)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
