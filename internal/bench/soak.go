package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

// samples is how often a soak looks at what anyproxy holds.
const samples = 40

// sample is what it holds at a moment.
type sample struct {
	at        time.Duration
	resident  float64 // bytes
	openFiles float64
}

// soak keeps o.rate requests per second on anyproxy for o.soak: most of them
// short, some streams. A lost or wrong answer is an error.
func soak(ctx context.Context, o options, out, errw io.Writer) error {
	return withBench(ctx, o, errw, func(ctx context.Context, b *bench) error { return b.soak(ctx, out) })
}

func (b *bench) soak(ctx context.Context, out io.Writer) (err error) {
	if b.binary, err = build(ctx, b.dir); err != nil {
		return err
	}
	t, err := b.target(ctx, anyproxy)
	if err != nil {
		return err
	}
	load, end := context.WithTimeout(ctx, b.options.soak)
	defer end()
	var workers sync.WaitGroup
	for i := range b.rate {
		name := [...]string{"small", "small", "burst40", "paced"}[i%4]
		start := time.Duration(i) * time.Second / time.Duration(b.rate)
		workers.Go(func() { t.everySecond(load, b.plans[name], start) })
	}
	taken, err := t.watch(load, b.options.soak/samples, out)
	workers.Wait()
	if err != nil {
		return err
	}
	taken = taken[len(taken)/3:] // by then it has all the connections and buffers that it needs
	fmt.Fprintf(out, "\n%d answers as sent, %d lost or wrong\n", t.good.Load(), t.wrong.Load())
	fmt.Fprintf(out, "slope over the last two thirds: %+.1f kB of memory and %+.2f descriptors a minute\n",
		slope(taken, func(s sample) float64 { return s.resident })/1e3, slope(taken, func(s sample) float64 { return s.openFiles }))
	return t.wrongly()
}

// everySecond makes an exchange a second, beginning after start. One that takes
// longer delays the next.
func (t *target) everySecond(ctx context.Context, p *plan, start time.Duration) {
	c := newClient(t.addr, p)
	defer c.close()
	next := time.Now().Add(start)
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(next)):
		}
		_, err := c.do()
		t.count(err)
		next = next.Add(time.Second)
	}
}

// watch samples until ctx ends.
func (t *target) watch(ctx context.Context, every time.Duration, out io.Writer) (taken []sample, err error) {
	began := time.Now()
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return taken, nil
		case <-ticks.C:
		}
		rss, err := resident(t.pid())
		if err != nil {
			return nil, err
		}
		files, err := descriptors(t.pid())
		if err != nil {
			return nil, err
		}
		s := sample{time.Since(began), float64(rss), float64(files)}
		taken = append(taken, s)
		fmt.Fprintf(out, "%6s  %6.1f MB  %4.0f descriptors  %d answers\n", s.at.Round(time.Second), s.resident/1e6, s.openFiles, t.good.Load())
	}
}

// slope is the change per minute of a line through the samples by least squares.
func slope(taken []sample, of func(sample) float64) float64 {
	var n, x, y, xx, xy float64
	for _, s := range taken {
		m, v := s.at.Minutes(), of(s)
		n, x, y, xx, xy = n+1, x+m, y+v, xx+m*m, xy+m*v
	}
	if d := n*xx - x*x; d != 0 {
		return (n*xy - x*y) / d
	}
	return 0
}
