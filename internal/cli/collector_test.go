package cli

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
)

func TestGrowthOfTheHeap(t *testing.T) {
	for _, c := range []struct{ live, want uint64 }{
		{0, mostGrowth}, {1 << 20, mostGrowth}, {smallHeap / 2, 100}, {smallHeap - 1, largeGrowth}, {smallHeap, largeGrowth}, {1 << 40, largeGrowth},
	} {
		if got := growthFor(c.live); got != c.want {
			t.Errorf("%d bytes alive: %d %%, want %d %%", c.live, got, c.want)
		}
	}
	for live := uint64(0); live < 2*smallHeap; live += 1 << 16 {
		if growthFor(live) < growthFor(live+1<<16) {
			t.Fatalf("more growth for %d bytes than for less", live+1<<16)
		}
	}
}

func TestCollectorIsPacedAfterItsRuns(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	paceCollector()
	kept := make([]byte, 2*smallHeap)
	for percent() != largeGrowth {
		runtime.GC()
		runtime.Gosched() // to the goroutine that finalizes
	}
	runtime.KeepAlive(kept)
}

func percent() uint64 {
	sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
