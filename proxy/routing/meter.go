package routing

import (
	"math"
	"time"
)

// What the averages weigh. The times are those in which evidence fades to a
// third; priors count like that much evidence of their own.
const (
	speedTau   = time.Minute      // of the speed and the wait that decide
	failureTau = 30 * time.Second // of failures and attempts
	slowTau    = 2 * time.Hour    // of what is usual for an upstream
	outputTau  = 2 * time.Hour    // of how long the answers of an alias are

	priorSeconds = 2.0  // of generation, for what is usual against what is now
	aliasSeconds = 30.0 // of generation, for the alias's mean against what is usual
	priorTTFTs   = 4.0  // samples, for either
	priorOutputs = 4.0  // answers
	// usualSeconds is how much generation the slow average holds at most: an
	// upstream that has been fast for hours must not need hours to be known as
	// slow, once so few requests reach it that only this average tells.
	usualSeconds = 60.0
	usualTTFTs   = 30.0

	unknownTPS    = 60.0  // where nothing is known at all
	unknownTTFT   = 1.0   // seconds
	unknownOutput = 300.0 // tokens of an answer

	leastLost = 0.2 // seconds that a failure costs at least
)

// left is the part of evidence that is left after d: exp(−d/tau).
func left(d, tau time.Duration) float64 {
	x := float64(d) / float64(tau)
	if x < 0.01 {
		return 1 - x + x*x/2 // right to 2e-7, and several times faster
	}
	return math.Exp(-x)
}

// average holds sums that fade together.
type average struct {
	at              time.Time
	tokens, seconds float64 // of generation
	lnTTFT, ttfts   float64 // sum of ln(seconds), and how many
}

// fade lets the sums fade until now. A clock that was set back fades nothing.
func (a *average) fade(now time.Time, tau time.Duration) {
	d := now.Sub(a.at)
	if d <= 0 {
		return
	}
	f := left(d, tau)
	a.tokens, a.seconds, a.lnTTFT, a.ttfts, a.at = a.tokens*f, a.seconds*f, a.lnTTFT*f, a.ttfts*f, now
}

func (a *average) generated(tokens, seconds float64) {
	a.tokens = max(a.tokens+tokens, 0) // a correction may take back more than has not faded
	a.seconds = max(a.seconds+seconds, 0)
}

func (a *average) waited(lnTTFT float64) {
	a.lnTTFT += lnTTFT
	a.ttfts++
}

// cap keeps at most as much evidence as is asked for.
func (a *average) cap(seconds, ttfts float64) {
	if a.seconds > seconds {
		a.tokens *= seconds / a.seconds
		a.seconds = seconds
	}
	if a.ttfts > ttfts {
		a.lnTTFT *= ttfts / a.ttfts
		a.ttfts = ttfts
	}
}

// failures counts them among the attempts, with the time that they cost.
type failures struct {
	at                     time.Time
	failed, attempts, lost float64
	last                   time.Time // of the last failure
}

func (f *failures) fade(now time.Time) {
	d := now.Sub(f.at)
	if d <= 0 {
		return
	}
	k := left(d, failureTau)
	f.failed, f.attempts, f.lost, f.at = f.failed*k, f.attempts*k, f.lost*k, now
}

// meter is what has been measured of an upstream. Its upstream's mutex guards it.
type meter struct {
	fast, slow average
	failures   failures
	known      time.Time // since when there is the meter
	asked      time.Time // when an attempt was sent last
	sampled    time.Time // when a speed was measured last, zero = never
	shortfall  float64   // how much its last turns fell short of the others, see finished
	below      bool      // under the threshold
}

func (m *meter) fade(now time.Time) {
	m.fast.fade(now, speedTau)
	m.slow.fade(now, slowTau)
	m.failures.fade(now)
}

// generated adds generation. It takes about 60 ns.
func (m *meter) generated(now time.Time, tokens, seconds float64) {
	m.fast.fade(now, speedTau)
	m.slow.fade(now, slowTau)
	m.fast.generated(tokens, seconds)
	m.slow.generated(tokens, seconds)
	m.slow.cap(usualSeconds, usualTTFTs)
	m.sampled = now
}

func (m *meter) waited(now time.Time, ttft time.Duration) {
	m.fast.fade(now, speedTau)
	m.slow.fade(now, slowTau)
	ln := lnSeconds(ttft)
	m.fast.waited(ln)
	m.slow.waited(ln)
	m.slow.cap(usualSeconds, usualTTFTs)
}

// ended counts an attempt that was answered or has failed, after lost.
func (m *meter) ended(now time.Time, failed bool, lost time.Duration) {
	m.failures.fade(now)
	m.failures.attempts++
	if failed {
		m.failures.failed++
		m.failures.lost += lost.Seconds()
		m.failures.last = now
	}
}

func lnSeconds(d time.Duration) float64 { return math.Log(max(d.Seconds(), 0.001)) }

// evidence is a meter at one moment, with what is known of attempts that run.
type evidence struct {
	fast, slow average
	stalled    float64 // seconds of silence in streams that should speak
	waits      float64 // sum of ln(age) of those that have waited for longer than is usual
	waiting    float64 // how many they are
	failing    float64 // part of the attempts that fail
	lost       float64 // seconds that a failure costs
	known      time.Time
	asked      time.Time
	sampled    time.Time
	lastFailed time.Time
	shortfall  float64
}

func (f *failures) rate() (failing, lost float64) {
	failing = f.failed / (f.attempts + 2)
	if f.failed > 0 {
		lost = f.lost / f.failed
	}
	return failing, max(lost, leastLost)
}

// common is what the targets of an alias have in common: what is taken for
// true of a target of which nothing is known.
type common struct {
	tps    float64
	lnTTFT float64
	output float64 // tokens of an answer
}

// commonOf is the mean of what is usual for each. One that has said much counts
// no more than one that has said aliasSeconds' worth.
func commonOf(all []evidence) common {
	tps, tpsWeight := unknownTPS, 1.0
	ttft, ttftWeight := math.Log(unknownTTFT), 0.2
	for i := range all {
		if s := &all[i].slow; s.seconds > 0 {
			w := min(s.seconds, aliasSeconds)
			tps += w * s.tokens / s.seconds
			tpsWeight += w
		}
		if s := &all[i].slow; s.ttfts > 0 {
			w := min(s.ttfts, priorTTFTs)
			ttft += w * s.lnTTFT / s.ttfts
			ttftWeight += w
		}
	}
	return common{tps: tps / tpsWeight, lnTTFT: ttft / ttftWeight}
}

// estimate is how fast an upstream is taken to be.
type estimate struct {
	tps      float64 // tokens per second
	own      float64 // the same without what others of an alias are like
	ttft     float64 // seconds
	speed    float64 // tokens per second as a user feels them
	measured float64 // the same by what was measured lately alone, 0 = too little
	evidence float64 // seconds of generation measured lately
}

// measuredSeconds is how much generation it takes to say that an upstream is
// slow without help from what is usual.
const measuredSeconds = 5

func (e *evidence) estimate(c common) estimate {
	usual := (e.slow.tokens + aliasSeconds*c.tps) / (e.slow.seconds + aliasSeconds)
	usualLn := (e.slow.lnTTFT + priorTTFTs*c.lnTTFT) / (e.slow.ttfts + priorTTFTs)
	seconds := e.fast.seconds + e.stalled
	out := estimate{
		tps:      (e.fast.tokens + priorSeconds*usual) / (seconds + priorSeconds),
		ttft:     math.Exp((e.fast.lnTTFT + priorTTFTs*usualLn + e.waits) / (e.fast.ttfts + priorTTFTs + e.waiting)),
		evidence: seconds,
	}
	out.own = out.tps
	if e.slow.seconds > 0 {
		out.own = (e.fast.tokens + priorSeconds*e.slow.tokens/e.slow.seconds) / (seconds + priorSeconds)
	}
	odds := e.failing / (1 - e.failing)
	out.speed = c.output / (out.ttft + c.output/out.tps + odds*e.lost)
	if seconds >= measuredSeconds && e.fast.tokens > 0 {
		out.measured = effective(c.output, out.ttft, e.fast.tokens/seconds)
	}
	return out
}

// effective is the speed of an answer of the given tokens as its reader feels it.
func effective(tokens, ttft, tps float64) float64 {
	return tokens / (ttft + tokens/tps)
}
