package routing_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
)

// seeds is how many runs a figure is the mean of.
func seeds() int {
	if raceDetector {
		return 3
	}
	return 20
}

// each runs f for every seed, two at a time, and gives the results in order.
func each[T any](f func(seed uint64) T) []T {
	out := make([]T, seeds())
	var wg sync.WaitGroup
	slots := make(chan struct{}, 2)
	for i := range out {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			out[i] = f(uint64(i + 1))
		})
	}
	wg.Wait()
	return out
}

// row is one property with the figure that is measured for it.
type row struct {
	id, what  string
	got       float64
	least     bool    // bound is the least that is allowed, not the most
	bound     float64 // NaN = shown only
	unit      string
	published []float64 // the same figure of the published formulas
}

func (r row) holds() bool {
	if math.IsNaN(r.bound) {
		return true
	}
	if r.least {
		return r.got >= r.bound
	}
	return r.got <= r.bound
}

// table prints the rows and fails for those that do not hold.
func table(t *testing.T, title string, rows []row) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%s, mean of %d runs\n\n", title, seeds())
	fmt.Fprintf(&b, "| # | property | ours | bound | latency EWMA argmin | P2C on peak EWMA |\n|---|---|--:|--:|--:|--:|\n")
	for _, r := range rows {
		bound := "–"
		if !math.IsNaN(r.bound) {
			bound = "≤ " + figure(r.bound, r.unit)
			if r.least {
				bound = "≥ " + figure(r.bound, r.unit)
			}
		}
		others := [2]string{"–", "–"}
		for i, v := range r.published {
			others[i] = figure(v, r.unit)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", r.id, r.what, figure(r.got, r.unit), bound, others[0], others[1])
		if !r.holds() {
			t.Errorf("%s %s: %s, bound %s", r.id, r.what, figure(r.got, r.unit), bound)
		}
	}
	t.Log("\n" + b.String())
}

func figure(v float64, unit string) string {
	switch {
	case unit == "%":
		return fmt.Sprintf("%.1f %%", 100*v)
	case v != 0 && math.Abs(v) < 0.1:
		return strings.TrimSpace(fmt.Sprintf("%.3f %s", v, unit))
	case math.Abs(v) < 2:
		return strings.TrimSpace(fmt.Sprintf("%.3g %s", v, unit))
	}
	return strings.TrimSpace(fmt.Sprintf("%.1f %s", v, unit))
}

func mean(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += v
	}
	return s / float64(len(x))
}

// quantile of x, which it sorts.
func quantile(x []float64, q float64) float64 {
	slices.Sort(x)
	return x[min(int(q*float64(len(x))), len(x)-1)]
}
