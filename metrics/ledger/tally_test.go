package ledger

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// TestSumsWithoutReading holds that the sum which is kept while rows are written
// is the one that reading the file gives, whatever else happens to the file.
func TestSumsWithoutReading(t *testing.T) {
	path := func(dir string) string { return filepath.Join(dir, day+rowsSuffix) }
	add := func(t *testing.T, dir, s string) {
		t.Helper()
		f, err := os.OpenFile(path(dir), os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(s); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		between func(t *testing.T, dir string)
		read    bool // the next sum must come from the file
	}{
		"nothing":        {func(*testing.T, string) {}, false},
		"another writes": {func(t *testing.T, dir string) { add(t, dir, rowsOf(3)) }, true},
		"garbage":        {func(t *testing.T, dir string) { add(t, dir, "no row\n") }, true},
		"a torn line":    {func(t *testing.T, dir string) { add(t, dir, "{") }, true},
		"it is cut": {func(t *testing.T, dir string) {
			if err := os.Truncate(path(dir), 0); err != nil {
				t.Fatal(err)
			}
		}, true},
		"another file": {func(t *testing.T, dir string) {
			if err := os.Remove(path(dir)); err != nil {
				t.Fatal(err)
			}
			write(t, dir, day+rowsSuffix, rowsOf(2))
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Until(atNoon()))
				dir := t.TempDir()
				write(t, dir, day+rowsSuffix, rowsOf(5))
				j := Open(Options{Folder: Folder(dir), KeepDays: 30, Accounts: New(time.Now)})
				defer func() { _ = j.Close(t.Context()) }()
				covered := func() bool {
					j.tally.mu.Lock()
					defer j.tally.mu.Unlock()
					return j.tally.covers(j.o.Folder, day)
				}
				rows := func(n int) {
					for i := range n {
						j.push(Row{Kind: KindAttempt, Time: time.Now(), Provider: fmt.Sprint("p", i%3), Model: "m", Outcome: "ok", Cost: 0.25, Output: 7})
					}
					time.Sleep(time.Second)
				}
				for round := range 3 {
					rows(10)
					if round == 1 {
						c.between(t, dir)
						rows(4)
						if got := !covered(); got != c.read {
							t.Errorf("the file must be read: %v, want %v", got, c.read)
						}
					}
					time.Sleep(sumEvery)
					if !covered() {
						t.Errorf("round %d: the tally does not go on", round)
					}
					whole := newSum()
					if err := j.o.Folder.readOn(day, whole, nil); err != nil {
						t.Fatal(err)
					}
					want, err := whole.encode(day)
					if err != nil {
						t.Fatal(err)
					}
					if got := text(t, filepath.Join(dir, day+sumSuffix)); !bytes.Equal([]byte(got), want) {
						t.Errorf("round %d: the sum is\n%s, and the file comes to\n%s", round, got, want)
					}
				}
			})
		})
	}
}

// BenchmarkSumUp is what a sum costs after 10,000 rows: read is without the tally.
func BenchmarkSumUp(b *testing.B) {
	dir := b.TempDir()
	write(b, dir, day+rowsSuffix, rowsOf(10_000))
	var kept tally
	if err := kept.save(Folder(dir), day, true); err != nil {
		b.Fatal(err)
	}
	b.Run("kept", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := kept.save(Folder(dir), day, true); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := Folder(dir).readOn(day, newSum(), nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkWriter is what the writer does for a row, without the disk.
func BenchmarkWriter(b *testing.B) {
	j := Open(Options{Folder: Folder(b.TempDir()), KeepDays: 30, Now: atNoon})
	if err := j.Close(b.Context()); err != nil { // its writer has ended
		b.Fatal(err)
	}
	r := Row{Kind: KindAttempt, Time: atNoon(), RequestID: "req_01234567", Attempt: 1, Session: "0f8fad5b-d9cb-469f-a165-70867728950e", Key: "laptop",
		KeySHA256: "0123abcd", Method: "POST", Path: "/v1/messages", Asked: "claude-sonnet-4-5", Provider: "anthropic", Model: "claude-sonnet-4-5",
		Outcome: "ok", StatusCode: 200, Stream: true, Duration: 1.25, TTFT: 0.5, Input: 1200, Output: 900, CacheRead: 91_000, CacheWrite: 2500, Cost: 0.0537}
	b.ReportAllocs()
	for b.Loop() {
		again := r
		j.encodeRow(&again)
		j.pending, j.size = j.pending[:1], 0
		j.pending[0].text = j.pending[0].text[:0]
	}
}
