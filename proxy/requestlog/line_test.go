package requestlog

import (
	"net/http"
	"strings"
	"testing"

	"anyproxy/internal/jsonline/jsonlinetest"
	"anyproxy/internal/redact"
)

// checkLine compares a line with what encoding/json makes of the same Entry.
func checkLine(t *testing.T, seed uint64, text string) {
	t.Helper()
	f := jsonlinetest.NewFiller(seed, text)
	var e Entry
	f.Fill(&e)
	header := make(http.Header)
	for _, name := range []string{"Content-Type", "User-Agent", "X-Api-Key", "x-lower", "Cookie", f.Part()}[:f.IntN(7)] {
		header[name] = []string{f.Part(), f.Part()}[:f.IntN(3)]
	}
	var got line
	got.append(&e, header, []byte(e.Body))

	e.Headers = make(map[string]string)
	for name, values := range header {
		if e.Headers[name] = redact.Dots; redact.HeaderShown(name) {
			e.Headers[name] = strings.Join(values, ", ")
		}
	}
	jsonlinetest.CheckLine(t, got.text, e)
}

func TestLineAsEncodingJSON(t *testing.T) {
	for seed := range uint64(3000) {
		checkLine(t, seed, jsonlinetest.Foreign)
	}
}

func FuzzLineAsEncodingJSON(f *testing.F) {
	f.Add(uint64(1), jsonlinetest.Foreign)
	f.Add(uint64(2), strings.Repeat(`data: {"index":0}`, 20))
	f.Fuzz(checkLine)
}

func TestEncodingAllocatesNothing(t *testing.T) {
	f := jsonlinetest.NewFiller(7, jsonlinetest.Foreign)
	var e Entry
	for e.Decision == nil || len(e.Decision.Attempts) == 0 || len(e.Decision.Candidates) == 0 {
		f.Fill(&e)
	}
	header := http.Header{"Content-Type": {"application/json"}, "User-Agent": {"claude-cli/2"}, "X-Api-Key": {"k"}}
	body := []byte(strings.Repeat(jsonlinetest.Foreign, 10))
	l := line{text: make([]byte, 0, 64<<10)}
	if n := testing.AllocsPerRun(100, func() {
		l.text = l.text[:0]
		l.append(&e, header, body)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
