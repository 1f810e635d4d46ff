package openai

import (
	"math"
	"net/http"
	"strconv"
	"sync/atomic"

	"anyproxy/providers"
	"anyproxy/providers/tokens"
)

// A correction is how many tokens a model counts where the estimate has one. It
// is learnt from the usage of answers. The zero value is 1.
type correction struct{ bits atomic.Uint64 }

const (
	// leastPrompt is the smallest prompt that says something about the ratio: in
	// a shorter one what a provider adds to it weighs too much.
	leastPrompt = 1_000
	// weight is the share of the newest answer in the correction.
	weight                    = 0.2
	leastRatio, greatestRatio = 0.5, 2
)

// ratio is the correction.
func (c *correction) ratio() float64 {
	if bits := c.bits.Load(); bits != 0 {
		return math.Float64frombits(bits)
	}
	return 1
}

// observable is the estimate of a request of which something can be learnt, else 0.
func (c *correction) observable(body []byte) int64 {
	if len(body) < leastPrompt {
		return 0
	}
	return tokens.Count(body).Estimate()
}

// observe learns from an answer to a prompt of which estimate is known. Two at a
// time may lose one: the next says the same.
func (c *correction) observe(estimate int64, u providers.Usage) {
	prompt := u.Input + u.CacheRead + u.CacheWrite
	if prompt <= leastPrompt || estimate <= 0 {
		return
	}
	seen := min(max(float64(prompt)/float64(estimate), leastRatio), greatestRatio)
	now := seen
	if c.bits.Load() != 0 {
		now = (1-weight)*c.ratio() + weight*seen
	}
	c.bits.Store(math.Float64bits(now))
}

// estimate is how many tokens a request has.
func (c *correction) estimate(body []byte) int64 {
	return int64(math.Round(float64(tokens.Count(body).Estimate()) * c.ratio()))
}

// Corrections tells, by model, how many tokens it counts for one that is
// estimated: of those that have answered.
func (p *Provider) Corrections() map[string]float64 {
	out := map[string]float64{}
	p.targets.Range(func(model, t any) bool {
		if c := &t.(*target).correction; c.bits.Load() != 0 {
			out[model.(string)] = math.Round(c.ratio()*100) / 100
		}
		return true
	})
	return out
}

// counted is the answer to count_tokens, without any upstream.
func counted(n int64, lost []string) *providers.Stream {
	return &providers.Stream{
		Status: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Degraded: lost,
		Frames: &single{append(strconv.AppendInt([]byte(`{"input_tokens":`), n, 10), '}')},
	}
}
