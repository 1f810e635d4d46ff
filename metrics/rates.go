package metrics

// Rates are what tokens cost, in dollars per million.
type Rates struct {
	Input, Output float64
	CacheRead     float64
	CacheWrite    float64 // kept for five minutes
	CacheWrite1h  float64
	// Search is dollars per thousand web searches that the provider's own tool makes.
	Search float64
	// Long are the rates of a whole request whose prompt, caches included, has
	// more than LongFrom tokens; nil = the same. They may have longer ones themselves.
	Long     *Rates
	LongFrom int64
}

// Cost is what t costs, in dollars. Thinking is part of the output, and costs
// as much.
func (r *Rates) Cost(t Tokens) float64 {
	for r.Long != nil && t.Prompt() > r.LongFrom {
		r = r.Long
	}
	const perMillion, perThousand = 1e6, 1e3
	hour := min(t.CacheWrite1h, t.CacheWrite)
	return (float64(t.Input)*r.Input+float64(t.Output)*r.Output+float64(t.CacheRead)*r.CacheRead+
		float64(t.CacheWrite-hour)*r.CacheWrite+float64(hour)*r.CacheWrite1h)/perMillion +
		float64(t.Searches)*r.Search/perThousand
}

// Times returns the rates of tokens multiplied by x.
func (r Rates) Times(x float64) *Rates {
	for _, rate := range []*float64{&r.Input, &r.Output, &r.CacheRead, &r.CacheWrite, &r.CacheWrite1h} {
		*rate *= x
	}
	if r.Long != nil {
		r.Long = r.Long.Times(x)
	}
	return &r
}

// Prompt is all that was sent, also what caches had.
func (t Tokens) Prompt() int64 { return t.Input + t.CacheRead + t.CacheWrite }

// Any reports whether there are tokens at all.
func (t Tokens) Any() bool { return t.Prompt()+t.Output > 0 }
