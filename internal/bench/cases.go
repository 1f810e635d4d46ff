package main

import (
	"context"
	"errors"
	"sync"
	"time"
)

// A bench's targets, by name.
const (
	direct     = "direct" // the upstream itself
	bare       = "bare"
	anyproxy   = "anyproxy"
	logged     = "logged"     // anyproxy with a request log
	healthy    = "healthy"    // anyproxy with two tiers, the first of which answers
	frugal     = "frugal"     // anyproxy that keeps nothing: no ledger, no budgets, no alerts
	everything = "everything" // anyproxy with all three
	failing    = "failing"    // the same, but the first one answers 429
	converting = "converting" // anyproxy with providers of the OpenAI format
)

// cases in the order in which a round makes them.
var cases = []struct {
	name   string
	rounds int // at most; 0 = no limit
	run    func(context.Context, *bench) error
}{
	{"nonstream", 0, nonstream},
	{"paced", 0, pacedStreams},
	{"burst40", 0, burst("burst40")},
	{"burst400", 0, burst("burst400")},
	{"body100k", 0, body("body100k")},
	{"body1m", 0, body("body1m")},
	{"failover", 0, failover},
	{"convert", 0, conversion("small")},
	{"convertpaced", 0, pacedConversion},
	{"convertburst40", 0, conversion("burst40")},
	{"convertburst400", 0, conversion("burst400")},
	{"log", 0, requestLog},
	{"money", 0, money},
	{"memory1000", 3, memory("1000", 1000)},
	{"memory5000", 3, memory("5000", mostStreams)},
}

func caseNames() (names []string) {
	for _, c := range cases {
		names = append(names, c.name)
	}
	return names
}

// Sizes of the cases. A slice is one turn of one target.
const (
	mostStreams  = 5000
	slice        = 2 * time.Second // of load for each target
	clients      = 32              // that saturate
	bigClients   = 8               // with large bodies
	pacedClients = 32              // of each target
	pacedEach    = 3
	probes       = 300 // exchanges for a latency
	bigProbes    = 60
)

// specs are the rows of the table. What must hold and what to aim at are
// ratios to the bare ReverseProxy in the same round where ratio is set, else
// in the row's unit.
var specs = []spec{
	{id: "nonstream cpu", text: "non-stream 2 KB: CPU per request", unit: "µs", ratio: true, must: 1.05, aim: 0.92},
	{id: "nonstream rate", text: "non-stream 2 KB: saturated requests/s", unit: "/s", ratio: true, more: true, must: 0.95, aim: 1.08},
	{id: "nonstream p50", text: "non-stream 2 KB: added p50", unit: "µs", ratio: true, must: 1.1, aim: 0.8},
	{id: "paced cpu", text: "paced stream, 50 events/s: CPU per stream", unit: "µs", ratio: true, must: 1.05, aim: 0.95},
	{id: "paced event", text: "paced stream, 50 events/s: CPU per event", unit: "µs", ratio: true},
	{id: "paced ttft", text: "paced stream: time to first token, added p50", unit: "ms", must: 0.6, aim: 0.4},
	{id: "paced ttft ratio", text: "paced stream: the same as a ratio", unit: "ms", ratio: true, must: 1.1, aim: 1.1},
	{id: "burst40 cpu", text: "burst of 40 events: CPU per stream", unit: "µs", ratio: true, must: 1.00, aim: 0.85},
	{id: "burst400 cpu", text: "burst of 400 events: CPU per stream", unit: "µs", ratio: true, must: 1.05, aim: 0.95},
	{id: "burst400 event", text: "burst of 400 events: CPU per event", unit: "µs", ratio: true},
	{id: "body100k cpu", text: "100 KB request: CPU per request", unit: "µs", ratio: true, must: 1.15, aim: 1.00},
	{id: "body1m cpu", text: "1 MB request: CPU per request", unit: "µs", ratio: true, must: 1.20, aim: 1.00},
	{id: "body1m p50", text: "1 MB request: added p50", unit: "µs", ratio: true, must: 1.1, aim: 0.8},
	{id: "failover p50", text: "failover on 429: added p50", unit: "ms", must: 0.6, aim: 0.4},
	{id: "failover cpu", text: "failover on 429: CPU with ÷ without", unit: "µs", ratio: true, must: 1.7, aim: 1.5},
	{id: "convert small", text: "convert to OpenAI, non-stream 2 KB: CPU per request", unit: "µs", ratio: true, must: 1.4, aim: 1.15},
	{id: "convert paced", text: "convert to OpenAI, paced stream: CPU per stream", unit: "µs", ratio: true, must: 1.20, aim: 1.05},
	{id: "convert burst40", text: "convert to OpenAI, burst of 40 events: CPU per stream", unit: "µs", ratio: true, must: 2.5, aim: 1.6},
	{id: "convert burst400", text: "convert to OpenAI, burst of 400 events: CPU per stream", unit: "µs", ratio: true, must: 2.5, aim: 1.6},
	{id: "log paced", text: "request log on ÷ off: CPU, paced stream", unit: "µs", ratio: true, must: 1.10, aim: 1.03},
	{id: "log small", text: "request log on ÷ off: CPU, non-stream 2 KB", unit: "µs", ratio: true, must: 1.10, aim: 1.03},
	{id: "log burst40", text: "request log on ÷ off: CPU, burst of 40", unit: "µs", ratio: true, must: 1.10, aim: 1.03},
	{id: "money paced", text: "ledger, budgets, alerts on ÷ off: CPU, paced stream", unit: "µs", ratio: true, must: 1.03, aim: 1.01},
	{id: "money small", text: "ledger, budgets, alerts on ÷ off: CPU, non-stream 2 KB", unit: "µs", ratio: true, must: 1.10, aim: 1.03},
	{id: "money burst40", text: "ledger, budgets, alerts on ÷ off: CPU, burst of 40", unit: "µs", ratio: true, must: 1.10, aim: 1.03},
	{id: "money burst400", text: "ledger, budgets, alerts on ÷ off: CPU, burst of 400", unit: "µs", ratio: true, must: 1.03, aim: 1.01},
	{id: "start memory", text: "resident at the start", unit: "MB", must: 25, aim: 18},
	{id: "memory 1000", text: "resident per stream, 1000 slow streams", unit: "kB", must: 60, aim: 45},
	{id: "memory 5000", text: "resident per stream, 5000 slow streams", unit: "kB", must: 60, aim: 45},
	{id: "fds 1000", text: "descriptors per stream, 1000 slow streams", unit: "", must: 2.01, aim: 2.01},
	{id: "fds 5000", text: "descriptors per stream, 5000 slow streams", unit: "", must: 2.01, aim: 2.01},
	{id: "left 5000", text: "descriptors left behind by 5000 streams", unit: "", must: idlePool, aim: idlePool},
}

// idlePool is how many connections to one upstream a proxy may keep for later.
const idlePool = 64

// A side is what a target is asked for.
type side struct{ plan, target string }

// alike asks all targets for the same.
func alike(plan string, targets ...string) (sides []side) {
	for _, t := range targets {
		sides = append(sides, side{plan, t})
	}
	return sides
}

// bothFormats is an exchange in the OpenAI format at the bare ReverseProxy, and
// its conversion at anyproxy.
func bothFormats(name string) []side {
	return []side{{chatPrefix + name, bare}, {convertPrefix + name, converting}}
}

// named gives targets, starting those that do not run yet.
func (b *bench) named(ctx context.Context, names []string) ([]*target, error) {
	targets := make([]*target, len(names))
	for i, name := range names {
		t, err := b.target(ctx, name)
		if err != nil {
			return nil, err
		}
		targets[i] = t
	}
	return targets, nil
}

// saturated gives what a plan's exchanges cost the named targets.
func (b *bench) saturated(ctx context.Context, plan string, n int, names ...string) ([]usage, error) {
	return b.saturatedBy(ctx, n, alike(plan, names...)...)
}

func (b *bench) saturatedBy(ctx context.Context, n int, sides ...side) ([]usage, error) {
	plans, targets, err := b.sides(ctx, sides)
	if err != nil {
		return nil, err
	}
	return saturate(ctx, plans, targets, n, b.short(slice))
}

func (b *bench) sides(ctx context.Context, sides []side) (plans []*plan, targets []*target, err error) {
	var names []string
	for _, s := range sides {
		plans, names = append(plans, b.plans[s.plan]), append(names, s.target)
	}
	targets, err = b.named(ctx, names)
	return plans, targets, err
}

// added gives the median times of the named targets less the first one's, in seconds.
func (b *bench) added(ctx context.Context, plan string, n int, names ...string) ([]float64, error) {
	targets, err := b.named(ctx, names)
	if err != nil {
		return nil, err
	}
	times, err := latencies(ctx, b.plans[plan], targets, b.few(n))
	if err != nil {
		return nil, err
	}
	out := make([]float64, len(times))
	for i := range times {
		out[i] = (times[i] - times[0]).Seconds()
	}
	return out, nil
}

func nonstream(ctx context.Context, b *bench) error {
	use, err := b.saturated(ctx, "small", clients, bare, anyproxy)
	if err != nil {
		return err
	}
	b.add("nonstream cpu", use[0].perAnswer()*1e6, use[1].perAnswer()*1e6)
	b.add("nonstream rate", float64(use[0].answers)/use[0].took.Seconds(), float64(use[1].answers)/use[1].took.Seconds())
	added, err := b.added(ctx, "small", probes, direct, bare, anyproxy)
	if err != nil {
		return err
	}
	b.add("nonstream p50", added[1]*1e6, added[2]*1e6)
	return nil
}

// pacedAlike has targets serve paced streams side by side: they are no load for
// each other, and see the same machine.
func (b *bench) pacedAlike(ctx context.Context, sides ...side) ([]usage, error) {
	plans, targets, err := b.sides(ctx, sides)
	if err != nil {
		return nil, err
	}
	out, errs := make([]usage, len(sides)), make([]error, len(sides))
	var group sync.WaitGroup
	for i, t := range targets {
		group.Go(func() {
			out[i], errs[i] = t.pace(ctx, plans[i], b.few(pacedClients), pacedEach, paced*pace)
		})
	}
	group.Wait()
	return out, errors.Join(errs...)
}

func pacedStreams(ctx context.Context, b *bench) error {
	use, err := b.pacedAlike(ctx, alike("paced", direct, bare, anyproxy)...)
	if err != nil {
		return err
	}
	events := float64(b.plans["paced"].events)
	b.add("paced cpu", use[1].perAnswer()*1e6, use[2].perAnswer()*1e6)
	b.add("paced event", use[1].perAnswer()*1e6/events, use[2].perAnswer()*1e6/events)
	ttft := func(u usage) float64 { return (u.first - use[0].first).Seconds() * 1e3 }
	b.add("paced ttft", ttft(use[1]), ttft(use[2]))
	b.add("paced ttft ratio", ttft(use[1]), ttft(use[2]))
	return nil
}

func burst(plan string) func(context.Context, *bench) error {
	return func(ctx context.Context, b *bench) error {
		use, err := b.saturated(ctx, plan, clients, bare, anyproxy)
		if err != nil {
			return err
		}
		events := float64(b.plans[plan].events)
		b.add(plan+" cpu", use[0].perAnswer()*1e6, use[1].perAnswer()*1e6)
		b.add(plan+" event", use[0].perAnswer()*1e6/events, use[1].perAnswer()*1e6/events)
		return nil
	}
}

func body(plan string) func(context.Context, *bench) error {
	return func(ctx context.Context, b *bench) error {
		use, err := b.saturated(ctx, plan, bigClients, bare, anyproxy)
		if err != nil {
			return err
		}
		b.add(plan+" cpu", use[0].perAnswer()*1e6, use[1].perAnswer()*1e6)
		added, err := b.added(ctx, plan, bigProbes, direct, bare, anyproxy)
		if err != nil {
			return err
		}
		b.add(plan+" p50", added[1]*1e6, added[2]*1e6)
		return nil
	}
}

// failover asks for a new model with each request: an upstream is a provider
// with a model, so each request meets the failing one for the first time. A
// known one would be cooling and cost nothing.
func failover(ctx context.Context, b *bench) error {
	use, err := b.saturated(ctx, "anymodel", clients, healthy, failing)
	if err != nil {
		return err
	}
	b.add("failover cpu", use[0].perAnswer()*1e6, use[1].perAnswer()*1e6)
	added, err := b.added(ctx, "anymodel", probes, healthy, failing)
	if err != nil {
		return err
	}
	b.add("failover p50", 0, added[1]*1e3)
	return nil
}

func conversion(name string) func(context.Context, *bench) error {
	return func(ctx context.Context, b *bench) error {
		use, err := b.saturatedBy(ctx, clients, bothFormats(name)...)
		if err != nil {
			return err
		}
		b.add("convert "+name, use[0].perAnswer()*1e6, use[1].perAnswer()*1e6)
		return nil
	}
}

func pacedConversion(ctx context.Context, b *bench) error {
	use, err := b.pacedAlike(ctx, bothFormats("paced")...)
	if err != nil {
		return err
	}
	b.add("convert paced", use[0].perAnswer()*1e6, use[1].perAnswer()*1e6)
	return nil
}

func requestLog(ctx context.Context, b *bench) error {
	return b.onOff(ctx, "log", anyproxy, logged, "small", "burst40")
}

func money(ctx context.Context, b *bench) error {
	return b.onOff(ctx, "money", frugal, everything, "small", "burst40", "burst400")
}

// onOff compares an anyproxy with a feature to one without: paced streams, and
// more plans under load.
func (b *bench) onOff(ctx context.Context, feature, off, on string, plans ...string) error {
	use, err := b.pacedAlike(ctx, alike("paced", off, on)...)
	if err != nil {
		return err
	}
	b.add(feature+" paced", use[0].perAnswer()*1e6, use[1].perAnswer()*1e6)
	for _, plan := range plans {
		use, err := b.saturated(ctx, plan, clients, off, on)
		if err != nil {
			return err
		}
		b.add(feature+" "+plan, use[0].perAnswer()*1e6, use[1].perAnswer()*1e6)
	}
	return nil
}

// memory opens n slow streams through fresh processes.
func memory(size string, n int) func(context.Context, *bench) error {
	return func(ctx context.Context, b *bench) error {
		with := make([]footprint, 2)
		for i, name := range []string{bare, anyproxy} {
			var err error
			if with[i], err = b.footprint(ctx, name, b.few(n)); err != nil {
				return err
			}
		}
		b.add("start memory", with[0].start/1e6, with[1].start/1e6)
		b.add("memory "+size, with[0].perStream/1e3, with[1].perStream/1e3)
		b.add("fds "+size, with[0].descriptors, with[1].descriptors)
		b.add("left "+size, with[0].left, with[1].left)
		return nil
	}
}
