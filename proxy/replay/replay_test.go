package replay_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"anyproxy/metrics"
	"anyproxy/proxy/replay"
	"anyproxy/proxy/routing"
)

// TestTheSameConfigurationGivesTheSame: where there is one upstream, nothing is
// left to chance, and what would have been is what happened.
func TestTheSameConfigurationGivesTheSame(t *testing.T) {
	r := play(t, setup("a"), every(10*time.Second, 40, func(i int) asked {
		one := good("a")
		one.ttft += time.Duration(i) * 10 * time.Millisecond
		one.tokens.Output += int64(i)
		one.cost = (1000 + 10*float64(one.tokens.Output)) / 1e6
		if i == 20 {
			return asked{tries: []try{bad("a", "server_error")}}
		}
		return asked{session: "s", tries: []try{one}}
	}))
	h, w := r.Happened, r.Would
	if h.Requests != 40 || h.Answered != 39 || h.Failed != 1 || h.Attempts != 40 || h.Moves != 0 || h.Output != 39*100+780-20 {
		t.Errorf("happened: %+v", h)
	}
	if math.Abs(h.TTFT.P50-w.TTFT.P50) > 0.002 || math.Abs(h.Duration.P95-w.Duration.P95) > 0.002 || math.Abs(h.Cost-w.Cost) > 1e-6 {
		t.Errorf("happened %+v\nwould    %+v", h, w)
	}
	h.TTFT, h.Duration, h.Cost = w.TTFT, w.Duration, w.Cost
	if h != w {
		t.Errorf("happened %+v\nwould    %+v", h, w)
	}
	if len(r.Models) != 1 || r.Models[0].Elsewhere != 0 || r.Models[0].Requests != 40 {
		t.Errorf("models: %+v", r.Models)
	}
}

// TestFailuresAreWhereTheLogHasThem: b, which has served all, is down for five
// minutes of the log; a replay that asks it at that time meets that, and at
// others does not.
func TestFailuresAreWhereTheLogHasThem(t *testing.T) {
	log := every(5*time.Second, 300, func(i int) asked {
		if at := time.Duration(i) * 5 * time.Second; at >= 600*time.Second && at < 900*time.Second && i%4 == 0 {
			return asked{tries: []try{bad("b", "server_error"), good("a")}}
		} else if at >= 600*time.Second && at < 900*time.Second {
			return asked{tries: []try{good("a")}}
		}
		return asked{tries: []try{good("b")}}
	})
	r := play(t, setup("b", "a"), log)
	if r.Would.Failed != 0 || r.Would.Fallbacks == 0 || r.Would.Fallbacks > 15 {
		t.Errorf("%+v", r.Would)
	}
	if a := would(r, "a"); a < 50 || a > 75 {
		t.Errorf("a answers %d, want about the 60 of the outage", a)
	}
	alone := play(t, setup("b"), log)
	if alone.Would.Failed < 50 || alone.Would.Failed > 62 {
		t.Errorf("without another: %d fail, want about the 60 of the outage", alone.Would.Failed)
	}
}

// TestAProviderThatCannotBeReachedFailsWhole: also a model of it that was not
// asked at that time, and one that was never asked.
func TestAProviderThatCannotBeReachedFailsWhole(t *testing.T) {
	log := every(5*time.Second, 100, func(i int) asked {
		return asked{tries: []try{bad("p", "connect"), good("a")}}
	})
	s := setup("p", "a")
	s.Targets[0].Model = "never-asked"
	r := play(t, s, log)
	if would(r, "p") != 0 || would(r, "a") != 100 {
		t.Errorf("%+v", r.Upstreams)
	}
	log = every(5*time.Second, 100, func(i int) asked {
		return asked{tries: []try{bad("p", "server_error"), good("a")}}
	})
	if r = play(t, s, log); would(r, "p") != 100 {
		t.Errorf("another model's errors are taken for its own: %+v", r.Upstreams)
	}
}

func TestAStatedPauseIsKept(t *testing.T) {
	log := every(time.Second, 120, func(i int) asked {
		if i == 0 {
			limited := bad("a", "rate_limited")
			limited.reason = "429 rate limited, retry after 1m0s: slow down: please"
			return asked{tries: []try{limited, good("b")}}
		}
		return asked{tries: []try{good("b")}}
	})
	r := play(t, setup("a", "b"), log)
	// The one half-open request fails again, with the same pause: the log has no better word of it.
	if r.Would.Fallbacks < 1 || r.Would.Fallbacks > 2 {
		t.Errorf("%d requests asked a, want the first and the one after its pause", r.Would.Fallbacks)
	}
}

// TestUnknownUpstreamsAreAssumed and told of.
func TestUnknownUpstreamsAreAssumed(t *testing.T) {
	log := every(10*time.Second, 50, func(int) asked { return asked{tries: []try{good("a")}} })
	s := setup("new")
	r := play(t, s, log)
	if a := r.Assumed; a.Requests != 50 || len(a.Upstreams) != 1 || a.Upstreams[0] != (replay.Upstream{Provider: "new", Model: "m"}) || a.TPS != 60 || a.TTFT != 1 {
		t.Errorf("%+v", a)
	}
	if w := r.Would; w.TTFT.P50 != 1 || math.Abs(w.Duration.P50-(1+100./60)) > 0.002 {
		t.Errorf("%+v", w)
	}
	if r.Models[0].Elsewhere != 50 || r.Upstreams[0].Assumed == r.Upstreams[1].Assumed {
		t.Errorf("%+v %+v", r.Models, r.Upstreams)
	}
	data, err := json.Marshal(r)
	if err != nil || !json.Valid(data) {
		t.Error(err)
	}
}

// TestFasterTargetGetsMore: the router's own choice, by what the log has measured.
func TestFasterTargetGetsMore(t *testing.T) {
	log := every(10*time.Second, 400, func(i int) asked {
		one := good([]string{"slow", "fast"}[i%2])
		if i%2 == 0 {
			one.tps = 10
		}
		return asked{tries: []try{one}}
	})
	r := play(t, level(setup("slow", "fast")), log)
	if fast := would(r, "fast"); fast < 340 {
		t.Errorf("the five times faster one answers %d of 400", fast)
	}
	if r.Would.Duration.P95 >= r.Happened.Duration.P95 {
		t.Errorf("%v, before %v", r.Would.Duration, r.Happened.Duration)
	}
}

func TestTheSameSeedGivesTheSame(t *testing.T) {
	trace := read(t, write(t, every(3*time.Second, 400, func(i int) asked {
		return asked{session: string(rune('a' + i%20)), tries: []try{good([]string{"a", "b", "c"}[i%3])}}
	})))
	report := func(seed uint64) string {
		s := level(setup("a", "b", "c"))
		s.Seed = seed
		r, err := trace.Replay(context.Background(), s, nil)
		if err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	first, again, other := report(7), report(7), report(8)
	if first != again {
		t.Error("the same seed gives another report")
	}
	if first == other {
		t.Error("another seed gives the same report")
	}
}

// TestOwnFaultFailsEverywhere: what was refused for its own fault would be
// refused by others, too, and is held against nobody.
func TestOwnFaultFailsEverywhere(t *testing.T) {
	log := every(time.Second, 60, func(i int) asked {
		if i%2 == 0 {
			return asked{tries: []try{bad("a", "invalid_request")}}
		}
		return asked{tries: []try{good("a")}}
	})
	r := play(t, setup("b", "a"), log)
	if r.Would.Failed != 30 || r.Would.Fallbacks != 0 || would(r, "b") != 30 {
		t.Errorf("%+v %+v", r.Would, r.Upstreams)
	}
}

// TestConversionsRefusalGoesToTheNativeOne, as in the log.
func TestConversionsRefusalGoesToTheNativeOne(t *testing.T) {
	log := every(time.Second, 10, func(int) asked { return asked{tries: []try{bad("conv", "invalid_request"), good("native")}} })
	s := setup("conv", "native")
	s.Targets[0].Native = false
	s.Providers["conv"] = replay.Provider{FirstByte: time.Minute, Total: time.Minute}
	if r := play(t, s, log); r.Would.Fallbacks != 10 || would(r, "native") != 10 {
		t.Errorf("%+v", r.Would)
	}
}

// TestBrokenAnswersStayBroken: content has reached the client, so that nobody
// else can be asked.
func TestBrokenAnswersStayBroken(t *testing.T) {
	broken := try{provider: "a", outcome: "broken", ttft: time.Second, tps: 50, took: 2 * time.Second, tokens: metrics.Tokens{Input: 1000, Output: 50}}
	log := every(time.Hour, 3, func(int) asked { return asked{tries: []try{broken}} })
	r := play(t, setup("a", "b"), log)
	if r.Would.Failed != 3 || r.Would.Fallbacks != 0 || r.Would.Cost == 0 {
		t.Errorf("%+v", r.Would)
	}
	// One that fails before there is any is not seen by the client.
	log = every(time.Hour, 3, func(int) asked { return asked{tries: []try{broken, good("b")}} })
	if r = play(t, setup("a", "b"), log); r.Would.Answered != 3 || r.Would.Fallbacks != 3 {
		t.Errorf("%+v", r.Would)
	}
}

// TestLeftRequestsAreLeft when the log's client left, whoever is asked.
func TestLeftRequestsAreLeft(t *testing.T) {
	left := try{provider: "a", outcome: "canceled", took: 30 * time.Second}
	log := every(time.Minute, 3, func(int) asked { return asked{status: metrics.PhaseCanceled, tries: []try{left}} })
	r := play(t, setup("b"), log)
	if r.Would.Canceled != 3 || r.Would.Answered != 0 || r.Would.Cost != 0 {
		t.Errorf("%+v", r.Would)
	}
	if r.Guessed != 0 {
		t.Errorf("%d are guessed", r.Guessed)
	}
}

// TestMovesPayForTheCache: a session that is bound to a provider reads its
// prompt from the cache there; one that the replay moves writes it once more.
func TestMovesPayForTheCache(t *testing.T) {
	turn := func(provider string, i int) try {
		one := good(provider)
		one.tokens = metrics.Tokens{Input: 10, CacheRead: 50_000, CacheWrite: 1000, Output: 100}
		if i == 0 {
			one.tokens.CacheRead, one.tokens.CacheWrite = 0, 51_000
		}
		one.cost = (10 + .1*float64(one.tokens.CacheRead) + 1.25*float64(one.tokens.CacheWrite) + 1000) / 1e6
		return one
	}
	steady := every(time.Minute, 20, func(i int) asked { return asked{session: "s", tries: []try{turn("a", i)}} })
	r := play(t, setup("a"), steady)
	if r.Would.Moves != 0 || r.Would.Cached != r.Happened.Cached || math.Abs(r.Would.Cost-r.Happened.Cost) > 1e-6 {
		t.Errorf("the same: %+v\n%+v", r.Happened, r.Would)
	}
	// b is new to the session: the first turn is written there, as it was at a.
	r = play(t, setup("b"), steady)
	if r.Would.Cached < 19*50_000 || r.Would.Moves != 0 {
		t.Errorf("elsewhere: %d read from caches, before %d", r.Would.Cached, r.Happened.Cached)
	}
	// In the log the session wanders, and pays each time.
	wandering := every(time.Minute, 20, func(i int) asked { return asked{session: "s", tries: []try{turn([]string{"a", "b"}[i%2], 0)}} })
	r = play(t, setup("a"), wandering)
	if r.Happened.Moves != 19 || r.Would.Moves != 0 || r.Would.Cost > r.Happened.Cost/3 || r.Would.Cached < 19*50_000 {
		t.Errorf("wandering: %+v\n%+v", r.Happened, r.Would)
	}
	// A cache that is not used for too long is gone.
	for i := range wandering {
		wandering[i].at = time.Duration(i) * 10 * time.Minute
	}
	if r = play(t, setup("a"), wandering); r.Would.Cached != 0 {
		t.Errorf("%d read from caches that are gone", r.Would.Cached)
	}
}

func TestBudgetsAreKept(t *testing.T) {
	log := every(time.Minute, 100, func(int) asked { return asked{tries: []try{good("a")}} })
	s := setup("a", "b") // a request is $0.002
	s.Providers["a"] = replay.Provider{FirstByte: time.Minute, Total: time.Minute, Native: true, Daily: 0.0199}
	if r := play(t, s, log); would(r, "a") != 10 || would(r, "b") != 90 {
		t.Errorf("%+v", r.Upstreams)
	}
	s = setup("a")
	s.Daily = 0.0199
	if r := play(t, s, log); r.Would.Answered != 10 || r.Would.Failed != 90 {
		t.Errorf("%+v", r.Would)
	}
}

// TestTokensThatAreNotInTheLog are taken to be as usual.
func TestTokensThatAreNotInTheLog(t *testing.T) {
	log := every(time.Minute, 11, func(i int) asked {
		if i == 10 {
			return asked{tries: []try{bad("a", "server_error")}}
		}
		return asked{tries: []try{good("a")}}
	})
	r := play(t, setup("b"), log)
	if r.Guessed != 1 || r.Would.Answered != 11 || r.Would.Input != 11_000 || r.Would.Output != 1100 {
		t.Errorf("%+v, %d guessed", r.Would, r.Guessed)
	}
}

func TestPaidBySubscription(t *testing.T) {
	one := good("a")
	one.included = true
	s := setup("a")
	s.Rates = func(_, _ string, login bool) (*metrics.Rates, bool) { return nil, login }
	if r := play(t, s, []asked{{tries: []try{one}}}); r.Happened.Included != 1 || r.Would.Included != 1 || r.Would.Unpriced != 0 {
		t.Errorf("%+v", r.Would)
	}
	s = setup("b")
	s.Rates = func(_, _ string, login bool) (*metrics.Rates, bool) { return nil, login }
	if r := play(t, s, []asked{{tries: []try{one}}}); r.Would.Included != 0 || r.Would.Unpriced != 1 {
		t.Errorf("%+v", r.Would)
	}
}

func TestForcedAndUnroutable(t *testing.T) {
	s := setup("a", "b")
	s.Targets = append(s.Targets, routing.Target{Provider: "b", Model: "only", Weight: 1, Tier: 1, Native: true})
	s.Targets[0].Aliases, s.Targets[1].Aliases = []string{"m*"}, []string{"m*"}
	r := play(t, s, []asked{
		{forced: "b", tries: []try{good("a")}},
		{at: time.Minute, forced: "gone", tries: []try{good("a")}},
		{at: 2 * time.Minute, model: "other", tries: []try{good("a")}},
		{at: 3 * time.Minute, model: "other", tries: nil},
	})
	if would(r, "b") != 1 || r.Would.Failed != 3 || r.Happened.Failed != 1 {
		t.Errorf("%+v %+v", r.Would, r.Upstreams)
	}
}

func TestReplayEndsWithItsContext(t *testing.T) {
	trace := read(t, write(t, every(time.Second, 10, func(int) asked { return asked{tries: []try{good("a")}} })))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := trace.Replay(ctx, setup("a"), nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestModelsMostChangedFirst: where most requests go elsewhere.
func TestModelsMostChangedFirst(t *testing.T) {
	log := every(time.Second, 60, func(i int) asked {
		one := good("a")
		if one.model = "small"; i%3 == 0 {
			one.model = "big"
		}
		return asked{model: one.model, tries: []try{one}}
	})
	s := setup("b", "a")
	s.Targets[0].Aliases, s.Targets[1].Aliases = []string{"big"}, []string{"small"}
	r := play(t, s, log)
	var order []string
	for _, m := range r.Models {
		order = append(order, m.Asked)
	}
	if !slices.Equal(order, []string{"big", "small"}) || r.Models[0].Elsewhere != 20 || r.Models[1].Elsewhere != 0 {
		t.Errorf("%+v", r.Models)
	}
}

func BenchmarkReplay(b *testing.B) {
	trace := read(b, write(b, every(time.Second, 2000, func(i int) asked {
		return asked{session: string(rune('a' + i%20)), tries: []try{good([]string{"a", "b", "c"}[i%3])}}
	})))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := trace.Replay(context.Background(), level(setup("a", "b", "c")), nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/2000, "ns/request")
}
