package ledger

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Totals are sums over rows.
type Totals struct {
	Requests     int64   `json:"requests"`     // ended; those of a provider are the ones that it had the last attempt of
	Failed       int64   `json:"failed"`       // of them
	Attempts     int64   `json:"attempts"`     // ended
	Subscription int64   `json:"subscription"` // attempts that are paid otherwise
	Unpriced     int64   `json:"unpriced"`     // attempts whose cost is not known, or only in part
	Estimated    int64   `json:"estimated"`    // attempts whose output is counted from bytes
	Input        int64   `json:"input_tokens"` // without those of caches
	Output       int64   `json:"output_tokens"`
	CacheRead    int64   `json:"cache_read_tokens"`
	CacheWrite   int64   `json:"cache_write_tokens"`
	CacheWrite1h int64   `json:"cache_write_1h_tokens"`
	Reasoning    int64   `json:"reasoning_tokens"`
	Cost         float64 `json:"cost_usd"` // of the attempts whose cost is known
}

// Prompt is all that was sent, also what caches had.
func (t *Totals) Prompt() int64 { return t.Input + t.CacheRead + t.CacheWrite }

// row counts r and reports whether there was anything to count.
func (t *Totals) row(r *Row) bool {
	switch r.Kind {
	case KindRequest:
		t.Requests++
		if r.Outcome == "failed" {
			t.Failed++
		}
		return true
	case KindAttempt:
	default:
		return false
	}
	t.Attempts++
	t.Input += r.Input
	t.Output += r.Output
	t.CacheRead += r.CacheRead
	t.CacheWrite += r.CacheWrite
	t.CacheWrite1h += r.CacheWrite1h
	t.Reasoning += r.Reasoning
	t.Cost += r.Cost
	t.Subscription += one(r.Subscription)
	t.Unpriced += one(r.Unpriced)
	t.Estimated += one(r.Estimated)
	return true
}

func one(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}

func (t *Totals) add(o *Totals) {
	t.Requests += o.Requests
	t.Failed += o.Failed
	t.Attempts += o.Attempts
	t.Subscription += o.Subscription
	t.Unpriced += o.Unpriced
	t.Estimated += o.Estimated
	t.Input += o.Input
	t.Output += o.Output
	t.CacheRead += o.CacheRead
	t.CacheWrite += o.CacheWrite
	t.CacheWrite1h += o.CacheWrite1h
	t.Reasoning += o.Reasoning
	t.Cost += o.Cost
}

// group is what sums are kept apart by.
type group struct {
	Provider string `json:"provider,omitempty"`
	Model    string `json:"model,omitempty"`
	Key      string `json:"key,omitempty"`
}

// maxGroups bounds a day's groups: an alias that is a pattern lets clients make
// up names of models.
const maxGroups = 2000

// others stands for the models that are too many.
const others = "other"

// sum is what the first bytes of a day file come to. It is the roll-up of a day
// that has ended, and of today the point from which a start reads on.
type sum struct {
	bytes   int64 // of the file
	skipped int64 // lines in them that are no rows
	groups  map[group]*Totals
	paces   map[string]pace // by account
}

func newSum() *sum { return &sum{groups: map[group]*Totals{}, paces: map[string]pace{}} }

// row adds r.
func (s *sum) row(r *Row) {
	if r.Kind != KindAttempt && r.Kind != KindRequest {
		return
	}
	at := group{r.Provider, r.Model, r.Key}
	if s.groups[at] == nil && len(s.groups) >= maxGroups {
		at.Model = others
	}
	t := s.groups[at]
	if t == nil {
		t = &Totals{}
		s.groups[at] = t
	}
	t.row(r)
	if r.Kind == KindAttempt && r.Cost > 0 {
		for _, account := range Accounts(r.Provider, r.Key) {
			s.paces[account] = s.paces[account].charged(r.Cost, r.Time)
		}
	}
}

// spent is what each account was charged.
func (s *sum) spent() map[string]float64 {
	spent := map[string]float64{}
	for at, t := range s.groups {
		for _, account := range Accounts(at.Provider, at.Key) {
			spent[account] += t.Cost
		}
	}
	return spent
}

// savedSum is the file of a sum.
type savedSum struct {
	V       int                  `json:"v"`
	Day     string               `json:"day"`
	Bytes   int64                `json:"bytes"`
	Skipped int64                `json:"skipped_lines"`
	Groups  []savedGroup         `json:"groups"`
	Paces   map[string]savedPace `json:"paces,omitempty"`
}

type savedGroup struct {
	group
	Totals
}

func (s *sum) encode(day string) ([]byte, error) {
	saved := savedSum{V: version, Day: day, Bytes: s.bytes, Skipped: s.skipped, Groups: []savedGroup{}, Paces: map[string]savedPace{}}
	for at, t := range s.groups {
		saved.Groups = append(saved.Groups, savedGroup{at, *t})
	}
	slices.SortFunc(saved.Groups, func(a, b savedGroup) int {
		return cmp.Or(cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.Model, b.Model), cmp.Compare(a.Key, b.Key))
	})
	for account, p := range s.paces {
		saved.Paces[account] = savedPace{p.sum, p.at, p.since}
	}
	return json.Marshal(saved)
}

// decodeSum reads a file of a sum. One that is damaged is an error, and made again.
func decodeSum(day string, data []byte) (*sum, error) {
	var saved savedSum
	if err := json.Unmarshal(data, &saved); err != nil {
		return nil, err
	}
	if saved.V != version || saved.Day != day || saved.Bytes < 0 {
		return nil, fmt.Errorf("it is of version %d, of %q", saved.V, saved.Day)
	}
	s := newSum()
	s.bytes, s.skipped = saved.Bytes, saved.Skipped
	for i := range saved.Groups {
		g := &saved.Groups[i]
		if s.groups[g.group] != nil || !g.possible() {
			return nil, errors.New("it holds what cannot be")
		}
		s.groups[g.group] = &g.Totals
	}
	for account, p := range saved.Paces {
		s.paces[account] = pace{finite(p.Sum), p.At, p.Since}
	}
	return s, nil
}

// mostCounted bounds what a group's day can have of anything: what every reader
// of JSON takes for a whole number, and more than a million requests of a
// billion tokens.
const mostCounted = 1 << 53

// possible reports whether rows can have come to these totals.
func (t *Totals) possible() bool {
	counts := []int64{t.Requests, t.Attempts, t.Input, t.Output, t.CacheRead, t.CacheWrite}
	return slices.Min(counts) >= 0 && slices.Max(counts) <= mostCounted && t.Cost >= 0 && t.Cost <= maxCost*float64(t.Attempts)
}

// followed is s with the paces of the day before it, where it has none of its own.
func (s *sum) followed(before *sum) {
	mine := maps.Clone(s.paces)
	maps.Copy(s.paces, before.paces)
	for account, p := range mine {
		if old, ok := before.paces[account]; ok {
			p.sum += old.later(p.at).sum
			p.since = old.since
		}
		s.paces[account] = p
	}
}
