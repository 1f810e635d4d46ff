package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// tally counts one target's answers.
type tally struct {
	good, wrong atomic.Int64

	mu    sync.Mutex
	first string // what was wrong with the first wrong one
}

func (t *tally) count(err error) bool {
	if err == nil {
		t.good.Add(1)
		return true
	}
	t.wrong.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.first == "" {
		t.first = err.Error()
	}
	return false
}

// wrongly is an error when answers were lost or wrong.
func (t *tally) wrongly() error {
	if n := t.wrong.Load(); n > 0 {
		return fmt.Errorf("%d answers lost or wrong, the first: %s", n, t.first)
	}
	return nil
}

// A target is a server under load, with what it is billed for.
type target struct {
	*child
	tally
}

// usage is what a load has brought and cost.
type usage struct {
	answers int
	took    time.Duration
	cpu     time.Duration // of the target's process
	first   time.Duration // median time to the first content
}

func (u usage) perAnswer() float64 { return u.cpu.Seconds() / float64(max(u.answers, 1)) }

// warm connects the clients and makes one exchange with each, so that pools
// and buffers are what they are in a running proxy.
func (t *target) warm(clients []*client) error {
	var group sync.WaitGroup
	for _, c := range clients {
		group.Go(func() {
			_, err := c.do()
			t.count(err)
		})
	}
	group.Wait()
	if t.good.Load() == 0 {
		return fmt.Errorf("%s gives no answer: %s", t.name, t.first)
	}
	return nil
}

// turns is how often the targets of one measurement take turns.
const turns = 8

// saturate has n clients of each target make the exchanges of its plan without a
// pause, one target at a time, for d in all. The turns are short and in the order A B B A,
// so that what else the machine does, and its drift, meets all of them alike.
func saturate(ctx context.Context, plans []*plan, targets []*target, n int, d time.Duration) ([]usage, error) {
	clients := make([][]*client, len(targets))
	for i, t := range targets {
		for range n {
			c := newClient(t.addr, plans[i])
			defer c.close()
			clients[i] = append(clients[i], c)
		}
		if err := t.warm(clients[i]); err != nil {
			return nil, err
		}
	}
	out := make([]usage, len(targets))
	for turn := range turns {
		for i := range targets {
			if turn%2 == 1 {
				i = len(targets) - 1 - i
			}
			u, err := targets[i].bill(func() []timing {
				end := time.Now().Add(d / turns)
				return targets[i].each(clients[i], func(int, int) bool { return time.Now().Before(end) && ctx.Err() == nil })
			})
			if err != nil {
				return nil, err
			}
			out[i] = usage{out[i].answers + u.answers, out[i].took + u.took, out[i].cpu + u.cpu, u.first}
		}
	}
	return out, nil
}

// pace has n clients make the given number of exchanges each, which pace
// themselves. They start at different times within the given span.
func (t *target) pace(ctx context.Context, p *plan, n, each int, span time.Duration) (usage, error) {
	clients := make([]*client, n)
	for i := range clients {
		clients[i] = newClient(t.addr, p)
		defer clients[i].close()
	}
	return t.bill(func() []timing {
		return t.each(clients, func(i, done int) bool {
			if done == 0 {
				time.Sleep(span * time.Duration(i) / time.Duration(n))
			}
			return done < each && ctx.Err() == nil
		})
	})
}

// each runs the clients side by side, each for as long as more says so of its
// index and of the exchanges it has made.
func (t *target) each(clients []*client, more func(i, done int) bool) []timing {
	all := make([][]timing, len(clients))
	var group sync.WaitGroup
	for i, c := range clients {
		group.Go(func() {
			for done := 0; more(i, done); done++ {
				timing, err := c.do()
				if t.count(err) {
					all[i] = append(all[i], timing)
				}
			}
		})
	}
	group.Wait()
	return slices.Concat(all...)
}

// bill measures what a load costs its target.
func (t *target) bill(load func() []timing) (u usage, err error) {
	before, err := cpuTime(t.pid())
	if err != nil {
		return u, err
	}
	began := time.Now()
	timings := load()
	u.took, u.answers = time.Since(began), len(timings)
	after, err := cpuTime(t.pid())
	u.cpu = after - before
	first := make([]time.Duration, len(timings))
	for i, t := range timings {
		first[i] = t.first
	}
	u.first = median(first)
	return u, err
}

// latencies gives the median time of an answer of each target, asked one at a
// time and in turn, so that all meet the same disturbances.
func latencies(ctx context.Context, p *plan, targets []*target, n int) ([]time.Duration, error) {
	clients := make([]*client, len(targets))
	for i, t := range targets {
		clients[i] = newClient(t.addr, p)
		defer clients[i].close()
		if err := t.warm(clients[i : i+1]); err != nil {
			return nil, err
		}
	}
	all := make([][]time.Duration, len(targets))
	for round := 0; round < n && ctx.Err() == nil; round++ {
		for i := range targets {
			i = (i + round) % len(targets)
			timing, err := clients[i].do()
			if targets[i].count(err) {
				all[i] = append(all[i], timing.whole)
			}
		}
	}
	out := make([]time.Duration, len(targets))
	for i := range all {
		out[i] = median(all[i])
	}
	return out, nil
}

// median of values, 0 for none.
func median[T ~int64 | ~float64](values []T) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
