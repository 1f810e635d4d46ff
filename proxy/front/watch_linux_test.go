package front_test

import (
	"os"
	"testing"
	"time"

	"anyproxy/internal/quiet"
	"anyproxy/proxy/front"
)

// TestNothingIsLeft of thousands of connections: no descriptor, no memory of them.
func TestNothingIsLeft(t *testing.T) {
	s := over(t, quiet.Conn, stormy(t))
	storm(t, s, 0, 50) // what is there once is there
	before := 0
	settles(t, func() bool { before = descriptors(t); return front.Watched(s.Server) == 0 })
	storm(t, s, 50, 2000)
	settles(t, func() bool { return front.Watched(s.Server) == 0 && descriptors(t) <= before })
	if n := descriptors(t); n > before {
		t.Errorf("%d descriptors, %d before", n, before)
	}
	if n := front.Watched(s.Server); n > 0 {
		t.Errorf("%d connections are watched", n)
	}
}

// settles waits until is holds.
func settles(t *testing.T, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Error("it does not settle")
			return
		}
	}
}

func descriptors(t *testing.T) int {
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// TestWatchedNoMore: neither what is net/http's is, nor what has ended.
func TestWatchedNoMore(t *testing.T) {
	s := serve(t, echo)
	one, two := ring(t, s), ring(t, s)
	for _, c := range []caller{one, two} {
		c.send(get)
		c.answer()
	}
	if n := front.Watched(s.Server); n != 2 {
		t.Errorf("%d connections are watched", n)
	}
	one.send(odd)
	one.answer()
	if n := front.Watched(s.Server); n != 1 {
		t.Errorf("%d connections are watched", n)
	}
	_ = two.Close()
	settles(t, func() bool { return front.Watched(s.Server) == 0 })
}
