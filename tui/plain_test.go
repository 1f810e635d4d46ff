package tui

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"anyproxy/metrics"
)

// TestPlainTellsOnlyWhatIsNew runs three minutes of virtual time.
func TestPlainTellsOnlyWhatIsNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var mu sync.Mutex
		s := busyDay()
		src := fakeSource{func(since uint64) metrics.Snapshot {
			mu.Lock()
			defer mu.Unlock()
			s.At = noon.Add(time.Since(began))
			return steady(s).Snapshot(since)
		}}
		var out bytes.Buffer
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			done <- Plain(ctx, Options{Source: src, Out: &out, Now: func() time.Time { return noon }, Getenv: func(string) string { return "" }})
		}()
		step := func(change func()) {
			time.Sleep(500 * time.Millisecond)
			synctest.Wait()
			mu.Lock()
			change()
			mu.Unlock()
			time.Sleep(plainTick)
			synctest.Wait()
		}
		step(func() { s.Providers[1].State, s.Providers[1].RetryAt = metrics.StateReady, time.Time{} })
		step(func() {
			s.Events = append(s.Events, metrics.Event{Seq: 11, Time: s.At, Kind: metrics.EventFallback, Provider: "zai", To: "anthropic", Text: "429 \x1b[31mrate limit"})
		})
		step(func() { s.Review = changed() })
		step(func() { s.Review = broken() })
		step(func() { s.OK = 1300 })
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		step(func() { s.Draining = true })
		stop()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		golden(t, "plain.txt", out.String())
	})
}

func TestPlainEndsWhenNobodyReads(t *testing.T) {
	r, w := io.Pipe()
	r.Close()
	err := Plain(t.Context(), Options{Source: steady(busyDay()), Out: w})
	if !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
}
