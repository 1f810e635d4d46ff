package cli

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// The garbage collector runs, by default, when the heap has doubled, from 4 MB
// on. A proxy with few requests at a time has next to nothing alive and would
// collect dozens of times a second; one with thousands of streams has so much
// alive that doubling it is what its memory is made of.
const (
	// smallHeap is how far a heap may grow before it is collected, in bytes.
	smallHeap = 16 << 20
	// largeGrowth is how much a larger one may grow, in percent of what is alive.
	largeGrowth = 40
	// mostGrowth is for a heap that is almost empty: the runtime scales its own
	// least size of 4 MB by the percentage.
	mostGrowth = 200
)

// paceCollector sets the collector's pace after each of its runs, unless the
// user has set it (GOGC). It is the process's: the first call starts it.
var paceCollector = sync.OnceFunc(func() {
	runtime.SetFinalizer(new(mark), afterCollection)
})

// A mark is garbage at once: that it is finalized tells of a collection.
type mark struct{ _ [16]byte }

func afterCollection(m *mark) {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/gogc:percent"}}
	metrics.Read(sample)
	now, want := sample[1].Value.Uint64(), growthFor(sample[0].Value.Uint64())
	if want > now+now/8 || want < now-now/8 { // a change stops the world for a moment
		debug.SetGCPercent(int(want))
	}
	runtime.SetFinalizer(m, afterCollection)
}

// growthFor is the percentage for a heap of which so many bytes are alive.
func growthFor(live uint64) uint64 {
	if live >= smallHeap {
		return largeGrowth
	}
	return max(largeGrowth, min(mostGrowth, 100*smallHeap/max(live, 1)-100))
}
