// Package jsonlinetest holds encoders that are written by hand to encoding/json:
// it fills values at random, every field of them, so that one which is new and
// which the encoder does not know is found.
package jsonlinetest

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

// Foreign is text with all that has to be escaped, and some that has not.
const Foreign = "claude-sonnet \"quoted\\\"\n<a&b>\x00\x1f é日本🎉\u2028\xff{\"type\":\"text\"}"

// Filler fills values at random.
type Filler struct {
	*rand.Rand
	text string
}

// NewFiller returns a Filler that does the same for the same seed, with parts of
// text in the strings.
func NewFiller(seed uint64, text string) Filler {
	return Filler{rand.New(rand.NewPCG(seed, 0)), text}
}

// Fill sets what v points to. A quarter of all fields, and maps, are left empty.
func (f Filler) Fill(v any) { f.fill(reflect.ValueOf(v).Elem()) }

func (f Filler) fill(v reflect.Value) {
	if t, ok := v.Addr().Interface().(*time.Time); ok {
		*t = time.Unix(f.Int64N(1e10), f.Int64N(1e9)).In(time.FixedZone("", f.IntN(86400)-43200))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f.IntN(4) > 0 {
				f.fill(v.Field(i))
			}
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
		v.SetString(f.Part())
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(f.Uint64()) >> f.IntN(64))
	case reflect.Float64:
		v.SetFloat((f.Float64() - 0.5) * []float64{1, 1e-9, 1e25, 1000}[f.IntN(4)])
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Map:
	default:
		panic("jsonlinetest: a field of kind " + v.Kind().String())
	}
}

// Part is a part of the text.
func (f Filler) Part() string {
	from := f.IntN(len(f.text) + 1)
	return f.text[from : from+f.IntN(len(f.text)-from+1)]
}

// Encoded is what encoding/json makes of v, without the newline.
func Encoded(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), err
}

// CheckLine compares a line with what encoding/json makes of v.
func CheckLine(t *testing.T, line []byte, v any) {
	t.Helper()
	want, err := Encoded(v)
	if err != nil {
		t.Fatal(err)
	}
	CheckSame(t, line, append(want, '\n'))
}

// CheckSame shows where the first difference is.
func CheckSame(t *testing.T, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	from := max(0, at-20)
	t.Fatalf("at %d: %.60q, want %.60q", at, got[from:], want[from:])
}
