package ledger

import (
	"testing"

	"anyproxy/internal/jsonline/jsonlinetest"
)

func checkRow(t *testing.T, seed uint64, text string) {
	t.Helper()
	var r Row
	jsonlinetest.NewFiller(seed, text).Fill(&r)
	jsonlinetest.CheckLine(t, appendRow(nil, &r), r)
}

func TestRowAsEncodingJSON(t *testing.T) {
	for seed := range uint64(3000) {
		checkRow(t, seed, jsonlinetest.Foreign)
	}
}

func FuzzRowAsEncodingJSON(f *testing.F) {
	f.Add(uint64(1), jsonlinetest.Foreign)
	f.Fuzz(checkRow)
}
