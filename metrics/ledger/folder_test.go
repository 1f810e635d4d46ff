package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

const day = "2026-11-26"

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func atNoon() time.Time { return noon }

// rowsOf is n whole rows of an attempt each, of a dollar.
func rowsOf(n int) string {
	return strings.Repeat(`{"v":1,"kind":"attempt","time":"2026-11-26T11:00:00Z","provider":"a","model":"m","outcome":"ok","input_tokens":10,"cost_usd":1}`+"\n", n)
}

func write(t testing.TB, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDamagedDayFiles(t *testing.T) {
	row := strings.TrimSuffix(rowsOf(1), "\n")
	for name, c := range map[string]struct {
		text    string
		spent   float64
		skipped int
	}{
		"whole":                   {rowsOf(3), 3, 0},
		"empty":                   {"", 0, 0},
		"a torn last line":        {rowsOf(3) + row[:40], 3, 1},
		"only its newline torn":   {rowsOf(2) + row, 3, 0},
		"two programs in a line":  {row[:40] + rowsOf(2), 1, 1},
		"garbage":                 {"\x00\xff{\n" + rowsOf(2) + "null\n[]\n17\n", 2, 4},
		"empty lines":             {"\n\n" + rowsOf(2) + "\n \n", 2, 0},
		"a line without an end":   {rowsOf(1) + strings.Repeat("x", 3*maxLine) + "\n" + rowsOf(1), 2, 1},
		"another version":         {strings.Replace(rowsOf(1), `"v":1`, `"v":2`, 1) + rowsOf(1), 1, 1},
		"numbers that cannot be":  {strings.Replace(rowsOf(1), `:10`, `:-10`, 1) + strings.Replace(rowsOf(1), `usd":1`, `usd":-1`, 1) + strings.Replace(rowsOf(1), `usd":1`, `usd":1e300`, 1) + rowsOf(1), 1, 3},
		"a kind of a later day":   {`{"v":1,"kind":"news","time":"2026-11-26T11:00:00Z","provider":"a","cost_usd":5}` + "\n" + rowsOf(1), 1, 0},
		"a field of a later day":  {strings.ReplaceAll(rowsOf(1), `"v":1`, `"v":1,"new":{"a":[1]}`), 1, 0},
		"carriage returns in it":  {strings.ReplaceAll(rowsOf(2), "\n", "\r\n"), 2, 0},
		"a byte order mark first": {"\ufeff" + rowsOf(2), 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, day+rowsSuffix, c.text)
			for run := range 3 { // the second goes on from the sum of the first
				b := opened(t, dir, atNoon, Options{KeepDays: 30})
				want := c.spent + float64(run)
				if got := b.accounts.Spent(Everybody); got != want {
					t.Errorf("run %d: %v spent, want %v", run, got, want)
				}
				if told := strings.Contains(b.log.String(), "damaged"); told != (c.skipped > 0) {
					t.Errorf("run %d: %s", run, b.log.String())
				}
				b.attempt("a", "", 1)
				b.close(t)
			}
			r, err := Folder(dir).ReadReport(ByDay, 1, noon, nil)
			if err != nil || r.Total.Cost != c.spent+3 || r.Skipped != int64(c.skipped) {
				t.Errorf("%+v, %v", r, err)
			}
			if got := text(t, filepath.Join(dir, day+rowsSuffix)); !strings.HasPrefix(got, c.text) {
				t.Error("something is cut off")
			}
		})
	}
}

// TestSumsAreOnlyAShortcut: whatever stands in a sum's place, rows are the truth.
func TestSumsAreOnlyAShortcut(t *testing.T) {
	good := func() string {
		dir := t.TempDir()
		write(t, dir, day+rowsSuffix, rowsOf(5))
		opened(t, dir, atNoon, Options{KeepDays: 30}).close(t)
		return text(t, filepath.Join(dir, day+sumSuffix))
	}()
	if !strings.Contains(good, `"cost_usd":5`) {
		t.Fatal(good)
	}
	for name, sum := range map[string]string{
		"missing":            "",
		"good":               good,
		"cut off":            good[:len(good)/2],
		"garbage":            "\x00\x01",
		"of another day":     strings.ReplaceAll(good, day, "2026-11-25"),
		"of another version": strings.Replace(good, `"v":1`, `"v":2`, 1),
		"beyond the end":     strings.Replace(good, `"bytes":`, `"bytes":9`, 1),
		"negative":           strings.Replace(good, `"cost_usd":5`, `"cost_usd":-5`, 1),
		"twice the same":     strings.Replace(good, `"groups":[`, `"groups":[{"provider":"a","model":"m","cost_usd":3},`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, day+rowsSuffix, rowsOf(5))
			if sum != "" {
				write(t, dir, day+sumSuffix, sum)
			}
			b := opened(t, dir, atNoon, Options{KeepDays: 30})
			b.close(t)
			if got := b.accounts.Spent(Everybody); got != 5 {
				t.Errorf("%v spent, want 5", got)
			}
			if got := text(t, filepath.Join(dir, day+sumSuffix)); got != good {
				t.Errorf("the sum is now %s", got)
			}
		})
	}
}

func TestRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		time.Sleep(time.Until(noon))
		for back := range 500 {
			write(t, dir, dayOf(noon.AddDate(0, 0, -back))+rowsSuffix, rowsOf(1))
		}
		for _, other := range []string{"notes.txt", "2026-13-45.jsonl", "latest.jsonl"} {
			write(t, dir, other, "mine")
		}
		var owner atomic.Bool
		b := opened(t, dir, time.Now, Options{KeepDays: 3, Owns: owner.Load})
		defer b.close(t)
		kept := func(suffix string) (first string, n int) {
			days, err := Folder(dir).days(suffix)
			if err != nil || len(days) == 0 {
				t.Fatal(days, err)
			}
			return days[0], len(days)
		}
		synctest.Wait()
		if _, n := kept(rowsSuffix); n != 500 {
			t.Errorf("one that does not own the folder has left %d files", n)
		}
		owner.Store(true)
		time.Sleep(sumEvery)
		synctest.Wait()
		if first, n := kept(rowsSuffix); first != "2026-11-24" || n != 3 {
			t.Errorf("%d day files from %s on", n, first)
		}
		if first, n := kept(sumSuffix); first != dayOf(noon.AddDate(0, 0, 1-keepSums)) || n != keepSums {
			t.Errorf("%d sums from %s on", n, first)
		}
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if first, _ := kept(rowsSuffix); first != "2026-11-25" {
			t.Errorf("the next day there are day files from %s on", first)
		}
		for _, other := range []string{"notes.txt", "2026-13-45.jsonl", "latest.jsonl"} {
			if text(t, filepath.Join(dir, other)) != "mine" {
				t.Error(other)
			}
		}
		r, err := Folder(dir).ReadReport(ByDay, 30, noon, nil)
		if err != nil || r.Total.Cost != 30 || len(r.Rows) != 30 {
			t.Errorf("the sums of 30 days: %+v %v", r.Total, err)
		}
		r, err = Folder(dir).ReadReport(BySession, 5, noon, nil)
		if err != nil || len(r.Gone) != 3 {
			t.Errorf("days without rows: %v, %v", r.Gone, err)
		}
	})
}

// TestADiskThatTakesNothing: it is told once, nothing else stops, and what was
// kept in memory is written when that is possible again.
func TestADiskThatTakesNothing(t *testing.T) {
	block := func(t *testing.T, path string) {
		t.Helper()
		if err := errors.Join(os.RemoveAll(path), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for name, blocked := range map[string]bool{"from the start": true, "later": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "ledger")
				if blocked {
					block(t, dir)
				}
				b := opened(t, dir, time.Now, Options{KeepDays: 30})
				b.attempt("a", "", 1)
				time.Sleep(3 * time.Second / 2) // between two tries of the writer, which would make the folder anew
				block(t, dir)
				for range 100 {
					b.attempt("a", "", 1)
					time.Sleep(time.Second)
				}
				if n := strings.Count(b.log.String(), "kept in memory only"); n != 1 || strings.Contains(b.log.String(), "again") {
					t.Errorf("told %d times: %s", n, b.log.String())
				}
				if b.accounts.Spent(Everybody) != 101 || b.journal.Dropped() != 0 {
					t.Errorf("%v spent, %d rows dropped", b.accounts.Spent(Everybody), b.journal.Dropped())
				}
				if err := os.Remove(dir); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Second)
				b.close(t)
				if !strings.Contains(b.log.String(), "the ledger is written again") {
					t.Errorf("not told: %s", b.log.String())
				}
				want := 2 * 100
				if blocked {
					want += 2
				}
				if got := strings.Count(text(t, filepath.Join(dir, "2000-01-01.jsonl")), "\n"); got != want {
					t.Errorf("%d rows are written, want %d", got, want)
				}
			})
		})
	}
	t.Run("to the end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "ledger")
			block(t, dir)
			b := opened(t, dir, time.Now, Options{KeepDays: 30})
			b.attempt("a", "", 1)
			b.close(t)
			if b.journal.Dropped() != 2 || !strings.Contains(b.log.String(), "lost") {
				t.Errorf("%d rows lost: %s", b.journal.Dropped(), b.log.String())
			}
		})
	})
}

func TestAFolderThatVanishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "state", "ledger")
		b := opened(t, dir, time.Now, Options{KeepDays: 30})
		b.attempt("a", "", 1)
		time.Sleep(time.Second)
		if err := os.RemoveAll(filepath.Dir(dir)); err != nil {
			t.Fatal(err)
		}
		b.attempt("a", "", 2)
		b.close(t)
		after := opened(t, dir, time.Now, Options{KeepDays: 30})
		defer after.close(t)
		if got := after.accounts.Spent(Everybody); got != 2 {
			t.Errorf("%v in the new folder", got)
		}
		if b.log.String() != "" {
			t.Error(b.log.String())
		}
	})
}

func TestWhatIsNoDayFileIsNotWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		secret := filepath.Join(t.TempDir(), "elsewhere")
		write(t, filepath.Dir(secret), "elsewhere", "untouched\n")
		if err := os.Symlink(secret, filepath.Join(dir, "2000-01-01.jsonl")); err != nil {
			t.Skip("NOT TESTED: symbolic links, as there are none: ", err)
		}
		b := opened(t, dir, time.Now, Options{KeepDays: 30})
		b.attempt("a", "", 1)
		b.close(t)
		if got := text(t, secret); got != "untouched\n" {
			t.Errorf("a link was followed: %q", got)
		}
		if !strings.Contains(b.log.String(), "a symbolic link is not followed") {
			t.Error(b.log.String())
		}
	})
}

func TestReports(t *testing.T) {
	dir := t.TempDir()
	at := func(day, kind, rest string) string {
		return fmt.Sprintf(`{"v":1,"kind":%q,"time":"%sT11:00:00Z",%s}`+"\n", kind, day, rest)
	}
	write(t, dir, "2026-11-19"+rowsSuffix, at("2026-11-19", "attempt", `"provider":"old","cost_usd":100`))
	write(t, dir, "2026-11-25"+rowsSuffix,
		at("2026-11-25", "attempt", `"session":"s1","key":"ci","provider":"a","model":"x","outcome":"overloaded"`)+
			at("2026-11-25", "attempt", `"session":"s1","key":"ci","provider":"b","model":"y","outcome":"ok","input_tokens":10,"cache_read_tokens":80,"cache_write_tokens":10,"output_tokens":7,"reasoning_tokens":3,"cost_usd":2.5`)+
			at("2026-11-25", "request", `"session":"s1","key":"ci","provider":"b","model":"y","outcome":"ok"`))
	write(t, dir, "2026-11-26"+rowsSuffix,
		at("2026-11-26", "attempt", `"session":"s2","provider":"a","model":"x","outcome":"ok","output_tokens":7,"subscription":true`)+
			at("2026-11-26", "attempt", `"session":"s2","provider":"c","model":"z","outcome":"broken","output_tokens":7,"unpriced":true,"estimated":true`)+
			at("2026-11-26", "request", `"session":"s2","outcome":"failed","provider":"c","model":"z"`)+
			at("2026-11-26", "request", `"outcome":"failed"`)+
			at("2026-11-26", "start", `"version":"1"`))
	for by, want := range map[By]string{
		ByDay:      "2026-11-25 1/0/2 $2.5 100in 7out, 2026-11-26 2/2/2 $0 0in 14out 1incl 1unpriced",
		ByProvider: "b 1/0/1 $2.5 100in 7out, a 0/0/2 $0 0in 7out 1incl, c 1/1/1 $0 0in 7out 1unpriced,  1/1/0 $0 0in 0out",
		ByModel:    "y 1/0/1 $2.5 100in 7out, x 0/0/2 $0 0in 7out 1incl, z 1/1/1 $0 0in 7out 1unpriced,  1/1/0 $0 0in 0out",
		ByKey:      "ci 1/0/2 $2.5 100in 7out,  2/2/2 $0 0in 14out 1incl 1unpriced",
		BySession:  "s1 1/0/2 $2.5 100in 7out, s2 1/1/2 $0 0in 14out 1incl 1unpriced,  1/1/0 $0 0in 0out",
	} {
		var last, total int64
		r, err := Folder(dir).ReadReport(by, 7, noon, func(d, n int64) { last, total = d, n })
		if err != nil {
			t.Fatal(err)
		}
		var rows []string
		for _, u := range r.Rows {
			s := fmt.Sprintf("%s %d/%d/%d $%g %din %dout", u.Name, u.Requests, u.Failed, u.Attempts, u.Cost, u.Prompt(), u.Output)
			if u.Subscription > 0 {
				s += fmt.Sprintf(" %dincl", u.Subscription)
			}
			if u.Unpriced > 0 {
				s += fmt.Sprintf(" %dunpriced", u.Unpriced)
			}
			rows = append(rows, s)
		}
		if got := strings.Join(rows, ", "); got != want {
			t.Errorf("by %s:\n%s, want\n%s", by, got, want)
		}
		if r.From != "2026-11-20" || r.To != day || r.Total.Cost != 2.5 || r.Total.Requests != 3 || r.Total.Reasoning != 3 || r.Total.Estimated != 1 {
			t.Errorf("%+v", r)
		}
		if last != total || total == 0 {
			t.Errorf("%d of %d bytes were told of", last, total)
		}
	}
	if r, err := Folder(filepath.Join(dir, "nowhere")).ReadReport(ByDay, 7, noon, nil); err != nil || len(r.Rows) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestGroupsAreBounded(t *testing.T) {
	s := newSum()
	for i := range 2 * maxGroups {
		s.row(&Row{Kind: KindAttempt, Provider: "a", Model: fmt.Sprint(i), Cost: 1})
	}
	if len(s.groups) != maxGroups+1 || s.spent()[ProviderAccount("a")] != 2*maxGroups {
		t.Errorf("%d groups, %v spent", len(s.groups), s.spent())
	}
}

// FuzzRows reads any text as a day file: sums stay finite, and reading on from
// any of its lines, with the sum saved in between, comes to the same.
func FuzzRows(f *testing.F) {
	f.Add(rowsOf(2), 1)
	f.Add("{\"v\":1,\"kind\":\"attempt\",\"cost_usd\":1e9,\"input_tokens\":1099511627776}\n\n\x00\n{", 2)
	f.Fuzz(func(t *testing.T, data string, cut int) {
		read := func(s *sum, text string) *sum {
			n, skipped, err := readRows(strings.NewReader(text), s.row)
			if err != nil {
				t.Fatal(err)
			}
			s.bytes += n
			s.skipped += skipped
			return s
		}
		whole := read(newSum(), data)
		for account, usd := range whole.spent() {
			if !(usd >= 0 && usd <= maxCost*float64(len(data))) {
				t.Errorf("%s: %v", account, usd)
			}
		}
		lines := slices.Collect(strings.Lines(data))
		part := read(newSum(), strings.Join(lines[:min(max(cut, 0), len(lines))], ""))
		saved, err := part.encode(day)
		if err == nil {
			part, err = decodeSum(day, saved)
		}
		if err != nil {
			t.Fatal(err)
		}
		again := read(part, data[part.bytes:])
		if again.bytes != whole.bytes || again.skipped != whole.skipped || len(again.groups) != len(whole.groups) || !near(again.spent()[Everybody], whole.spent()[Everybody]) {
			t.Errorf("read on: %+v, read at once: %+v", again, whole)
		}
	})
}

// FuzzSum reads any text as the sum of a day: what is taken is finite, and the
// same when it has been written and read again.
func FuzzSum(f *testing.F) {
	s := newSum()
	s.row(&Row{Kind: KindAttempt, Provider: "a", Model: "m", Key: "ci", Cost: 1.5, Input: 10})
	if data, err := s.encode(day); err != nil {
		f.Fatal(err)
	} else {
		f.Add(string(data))
	}
	f.Add(`{"v":1,"day":"` + day + `","bytes":-1}`)
	f.Add(`{"v":1,"day":"` + day + `","groups":[{"cost_usd":1e308},{"provider":"b","cost_usd":1e308}],"paces":{"":{"sum":1e308}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := decodeSum(day, []byte(text))
		if err != nil {
			return
		}
		saved, err := s.encode(day)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeSum(day, saved)
		if err != nil {
			t.Fatalf("%v: %s", err, saved)
		}
		if len(again.groups) != len(s.groups) || again.bytes != s.bytes || !near(again.spent()[Everybody], s.spent()[Everybody]) {
			t.Errorf("%+v, read again %+v", s, again)
		}
		for account, usd := range s.spent() {
			if !(usd >= 0) || usd > math.MaxFloat64 {
				t.Errorf("%s: %v", account, usd)
			}
		}
	})
}

// BenchmarkStart reads a day file of 200 MB, with a sum of all but its last
// minute and without one.
func BenchmarkStart(b *testing.B) {
	row := `{"v":1,"kind":"attempt","time":"2026-11-26T09:00:00.123456789+01:00","request_id":"req_0123456789abcdef","attempt":1,"session":"01234567-89ab-cdef-0123-456789abcdef","key":"ci","key_sha256":"0a1b2c3d","method":"POST","path":"/v1/messages","asked":"claude-sonnet-4-5","provider":"anthropic","model":"claude-sonnet-4-5","outcome":"ok","status_code":200,"is_streaming":true,"duration_seconds":12.345,"ttft_seconds":0.789,"input_tokens":1234,"output_tokens":567,"cache_read_tokens":89012,"cache_write_tokens":345,"cost_usd":0.0421}` + "\n"
	for _, summed := range []bool{true, false} {
		b.Run(fmt.Sprintf("sum=%v", summed), func(b *testing.B) {
			dir := b.TempDir()
			f := Folder(dir)
			all := strings.Repeat(row, (200<<20)/len(row))
			write(b, dir, day+rowsSuffix, all[:len(all)-6000*len(row)]) // 100 a second
			if summed {
				s, _, err := f.load(day, nil)
				if err = errors.Join(err, f.save(day, s)); err != nil {
					b.Fatal(err)
				}
			}
			write(b, dir, day+rowsSuffix, all)
			for b.Loop() {
				if _, _, err := f.load(day, nil); err != nil && !errors.Is(err, fs.ErrNotExist) {
					b.Fatal(err)
				}
			}
		})
	}
}
