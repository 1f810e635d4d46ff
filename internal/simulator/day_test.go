package simulator

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"reflect"
	"sync/atomic"
	"testing"
	"time"
)

// lives are the characters under way with the given seed, by name.
func lives(seed uint64) map[string]*life {
	all := map[string]*life{}
	for _, c := range characters {
		all[c.name] = &life{character: c, seed: seed, struck: map[int]int{}}
	}
	return all
}

// fate is what happens to a request a second over some time.
func fate(l *life, from, to time.Duration) []Answer {
	var answers []Answer
	for at, n := from, 0; at < to; at, n = at+time.Second, n+1 {
		answers = append(answers, l.answer(at, n, Ask{Text: "hi", Thinking: ShownThinking}))
	}
	return answers
}

func TestDayIsTheSameForTheSameSeed(t *testing.T) {
	a, b, other := lives(7), lives(7), lives(8)
	for name := range a {
		first := fate(a[name], 0, 2*cycle)
		if !reflect.DeepEqual(first, fate(b[name], 0, 2*cycle)) {
			t.Errorf("%s: two days with one seed differ", name)
		}
		if reflect.DeepEqual(first, fate(other[name], 0, 2*cycle)) {
			t.Errorf("%s: two seeds make one day", name)
		}
	}
}

// Everything that the day is for happens in its first two minutes, and again
// in the next two.
func TestDayHasItsFaults(t *testing.T) {
	for seed := range uint64(20) {
		all := lives(seed)
		limits := 0
		for _, a := range fate(all["zai"], 0, 15*time.Second) {
			for _, f := range a.Faults {
				limits++
				after := f.Reply.Header.Get("Retry-After")
				if f.Reply.Status != http.StatusTooManyRequests || after < "15" || after > "20" {
					t.Errorf("seed %d: zai: %+v", seed, f)
				}
			}
		}
		if limits == 0 {
			t.Errorf("seed %d: no 429 within 15 seconds", seed)
		}
		for round := range 2 {
			from := time.Duration(round) * cycle
			kinds := map[FaultKind]int{}
			for _, a := range fate(all["openrouter"], from, from+cycle) {
				for _, f := range a.Faults {
					kinds[f.Kind]++
				}
			}
			if want := map[FaultKind]int{ErrorEvent: 1, Break: 1}; !reflect.DeepEqual(kinds, want) {
				t.Errorf("seed %d, round %d: openrouter: %v", seed, round, kinds)
			}
			spell := 0
			for _, a := range fate(all["anthropic"], from, from+cycle) {
				for _, f := range a.Faults {
					if f.Reply.Status == 529 {
						spell++
					}
				}
			}
			if spell != 12 {
				t.Errorf("seed %d, round %d: 529 for %d seconds", seed, round, spell)
			}
		}
	}
}

// Speeds stay near what each provider is known for, and change smoothly.
func TestSpeedsDrift(t *testing.T) {
	for name, l := range lives(3) {
		low, high := l.speed(0), l.speed(0)
		for at := time.Second; at < 10*time.Minute; at += time.Second {
			v, before := l.speed(at), l.speed(at-time.Second)
			if v < l.rate*0.75 || v > l.rate*1.25 || v-before > l.rate*0.12 || before-v > l.rate*0.12 {
				t.Fatalf("%s: %.1f tok/s at %v, %.1f a second before; about %.0f", name, v, at, before, l.rate)
			}
			low, high = min(low, v), max(high, v)
		}
		if high-low < l.rate*0.2 {
			t.Errorf("%s: between %.1f and %.1f", name, low, high)
		}
	}
	local := lives(3)["local"]
	usual, slow := fate(local, 0, time.Second)[0], fate(local, 50*time.Second, 51*time.Second)[0]
	if slow.Rate > usual.Rate/2 || slow.TTFT < usual.TTFT {
		t.Errorf("slow episode: %.1f tok/s, TTFT %v", slow.Rate, slow.TTFT)
	}
}

func TestDayServes(t *testing.T) {
	began := time.Date(2025, 11, 3, 9, 0, 0, 0, time.UTC)
	var elapsed atomic.Int64
	d, err := StartDay(t.Context(), DayOptions{Seed: 1, Now: func() time.Time { return began.Add(time.Duration(elapsed.Load())) }})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if len(d.Providers) != len(characters) {
		t.Fatalf("providers %+v", d.Providers)
	}
	for _, p := range d.Providers {
		if p.Name == "" || p.Type == "" || p.Weight <= 0 || p.Tier < 1 {
			t.Errorf("provider %+v", p)
		}
		method, path := "HEAD", "/"
		if p.Type == "openai" {
			method, path = "POST", "/v1/chat/completions"
		}
		if res, _, err := ask(t, method, p.URL+path, unstreamed); err != nil || res.StatusCode != http.StatusOK {
			t.Errorf("%s: %v, %v", p.Name, res, err)
		}
	}
	elapsed.Store(int64(10 * time.Second))
	if res, _, err := ask(t, "POST", d.Providers[1].URL+"/v1/messages", streamed); err != nil || res.StatusCode != http.StatusTooManyRequests {
		t.Errorf("zai after 10 s: %v, %v", res, err)
	}
	elapsed.Store(int64(105 * time.Second))
	_, body, err := ask(t, "POST", d.Providers[2].URL+"/v1/chat/completions", streamed)
	if !errors.Is(err, io.ErrUnexpectedEOF) || !bytes.Contains(body, []byte(`"delta":{"content":`)) || bytes.Contains(body, []byte("[DONE]")) {
		t.Errorf("openrouter after 105 s: %v, %s", err, body)
	}
}
