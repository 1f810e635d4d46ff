package simulator

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"math"
	"sync"
	"time"
)

// Day is a set of upstreams whose fortunes change with time, the same way for
// the same seed: speeds drift, limits are met, answers break. What happens
// repeats every two minutes, with other speeds.
type Day struct {
	Providers []DayProvider
	upstreams []*Upstream
}

// DayProvider is what a configuration needs to know of one upstream.
type DayProvider struct {
	Name   string
	Type   string // of a provider, in a configuration
	URL    string
	Weight float64
	Tier   int
}

// DayOptions of a Day.
type DayOptions struct {
	Seed uint64
	Now  func() time.Time // default time.Now
}

// StartDay begins a day now; it runs until Close is called or ctx ends.
func StartDay(ctx context.Context, o DayOptions) (*Day, error) {
	now := o.Now
	if now == nil {
		now = time.Now
	}
	d, began := &Day{}, now()
	for _, c := range characters {
		l := &life{character: c, seed: o.Seed, struck: map[int]int{}}
		script := func(n int, r *Received) Answer { return l.answer(now().Sub(began), n, r.Ask()) }
		u, err := Start(ctx, Options{Script: script, Keep: -1, OpenAI: c.dialect})
		if err != nil {
			d.Close()
			return nil, fmt.Errorf("start provider %s: %w", c.name, err)
		}
		d.upstreams = append(d.upstreams, u)
		d.Providers = append(d.Providers, DayProvider{Name: c.name, Type: cmp.Or(c.speaks, "anthropic"), URL: u.URL(), Weight: c.weight, Tier: c.tier})
	}
	return d, nil
}

// Close ends all upstreams.
func (d *Day) Close() {
	for _, u := range d.upstreams {
		u.Close()
	}
}

// character is how an upstream behaves.
type character struct {
	name     string
	speaks   string // a provider's type; "" = anthropic
	weight   float64
	tier     int
	rate     float64       // tokens per second, around which it drifts
	drift    time.Duration // of one swing
	ttft     time.Duration // shortest; up to twice as long
	episodes []episode
	dialect  *Dialect // of a provider of type openai
}

// episode is a stretch of a cycle in which something happens.
type episode struct {
	from, to time.Duration
	times    int     // how many answers of one stretch are struck; 0 = all
	slow     float64 // divides the rate and multiplies the TTFT; 0 = neither
	fault    func(l *life, elapsed time.Duration) Fault
}

const cycle = 2 * time.Minute

var characters = []character{
	{
		name: "anthropic", weight: 5, tier: 1, rate: 75, drift: 47 * time.Second, ttft: 350 * time.Millisecond,
		episodes: []episode{{from: 80 * time.Second, to: 92 * time.Second, fault: fixed(Overloaded())}},
	},
	{
		name: "zai", weight: 3, tier: 1, rate: 90, drift: 31 * time.Second, ttft: 500 * time.Millisecond,
		episodes: []episode{
			{from: 4 * time.Second, to: 14 * time.Second, fault: limited},
			{from: 62 * time.Second, to: 72 * time.Second, fault: limited},
		},
	},
	{
		name: "openrouter", speaks: "openai", weight: 2, tier: 1, rate: 60, drift: 61 * time.Second, ttft: 700 * time.Millisecond,
		dialect: &Dialect{Comments: true, Reasoning: true},
		episodes: []episode{
			{from: 25 * time.Second, to: 40 * time.Second, times: 1, fault: fixed(ErrorAt(Events(1), 529, "Overloaded"))},
			{from: 100 * time.Second, to: 118 * time.Second, times: 1, fault: fixed(Fault{Kind: Break, At: Deltas(3)})},
		},
	},
	{
		name: "bedrock", speaks: "bedrock", weight: 2, tier: 1, rate: 45, drift: 53 * time.Second, ttft: 900 * time.Millisecond,
		episodes: []episode{{from: 15 * time.Second, to: 24 * time.Second, fault: fixed(RateLimited(0))}},
	},
	{
		name: "local", weight: 1, tier: 1, rate: 38, drift: 73 * time.Second, ttft: 250 * time.Millisecond,
		episodes: []episode{{from: 45 * time.Second, to: 70 * time.Second, slow: 4}},
	},
}

func fixed(f Fault) func(*life, time.Duration) Fault {
	return func(*life, time.Duration) Fault { return f }
}

// limited is a 429 that asks for 15 to 20 seconds.
func limited(l *life, elapsed time.Duration) Fault {
	seconds := 15 + int(l.chance("retry", uint64(elapsed/cycle))*6)
	return RateLimited(time.Duration(seconds) * time.Second)
}

// life is a character under way.
type life struct {
	character
	seed uint64

	mu     sync.Mutex
	struck map[int]int // by episode: how many answers, as if every earlier cycle had had its share
}

// answer is what the upstream says at a time of the day. It depends on the
// seed, the time and the number of earlier answers, and nothing else.
func (l *life) answer(elapsed time.Duration, n int, ask Ask) Answer {
	a := Answer{
		Rate:        l.speed(elapsed),
		DeltaTokens: 3, // about what the API sends
		TTFT:        time.Duration(float64(l.ttft) * (1 + l.chance("ttft", uint64(n)))),
	}
	tokens := 60 + int(400*math.Pow(l.chance("length", uint64(n)), 2))
	a.Blocks = converse(ask, prose(l.hash("prose", uint64(n)), tokens))
	if ask.Thinking != NoThinking && a.Blocks[0].Kind != ThinkingBlock && l.chance("think", uint64(n)) < 0.15 {
		a.Blocks = append([]Block{think(ask, prose(l.hash("thought", uint64(n)), 80))}, a.Blocks...)
	}
	for i, e := range l.episodes {
		if at := elapsed % cycle; at < e.from || at >= e.to || !l.strikes(i, e, elapsed) {
			continue
		}
		if e.slow > 0 {
			a.Rate, a.TTFT = a.Rate/e.slow, time.Duration(float64(a.TTFT)*e.slow)
		}
		if e.fault != nil {
			a.Faults = append(a.Faults, e.fault(l, elapsed))
		}
	}
	return a
}

// strikes counts the answers that an episode strikes and tells whether this is one.
func (l *life) strikes(i int, e episode, elapsed time.Duration) bool {
	if e.times == 0 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	before := int(elapsed/cycle) * e.times
	l.struck[i] = max(l.struck[i], before)
	if l.struck[i] >= before+e.times {
		return false
	}
	l.struck[i]++
	return true
}

// speed is the rate at a time: a slow swing of 15 % and a noise of 10 %.
func (l *life) speed(elapsed time.Duration) float64 {
	phase := l.chance("phase", 0)
	swing := math.Sin(2 * math.Pi * (elapsed.Seconds()/l.drift.Seconds() + phase))
	return l.rate * (1 + 0.15*swing + 0.10*l.noise(elapsed))
}

// noise is between -1 and 1 and changes smoothly within seconds.
func (l *life) noise(elapsed time.Duration) float64 {
	const step = 5 * time.Second
	i := uint64(elapsed / step)
	t := float64(elapsed%step) / float64(step)
	from, to := l.chance("noise", i), l.chance("noise", i+1)
	return 2*(from+(to-from)*t*t*(3-2*t)) - 1
}

// chance is between 0 and 1, the same for the same seed, upstream, subject and n.
func (l *life) chance(subject string, n uint64) float64 {
	return float64(l.hash(subject, n)>>11) / (1 << 53)
}

func (l *life) hash(subject string, n uint64) uint64 {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%d %s %s %d", l.seed, l.name, subject, n)
	return mix(h.Sum64())
}

// mix spreads FNV's weak low bits (the finalizer of SplitMix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
