package metrics

import "time"

// Spend is what has been spent, in dollars. What is zero is not known.
type Spend struct {
	Today    float64   `json:"today"`
	Limit    float64   `json:"limit,omitempty"` // of a day
	ResetsAt time.Time `json:"resets_at,omitzero"`
	Month    float64   `json:"month,omitempty"`
	// MonthLimit is the limit of a month, where there is one.
	MonthLimit float64 `json:"month_limit,omitempty"`
	PerHour    float64 `json:"per_hour,omitempty"` // at the pace of the last minutes
	// LimitAt is when Limit is reached at that pace, zero when not today.
	LimitAt time.Time `json:"limit_at,omitzero"`
	// ByMidnight is what Today comes to at that pace when the day ends.
	ByMidnight float64 `json:"by_midnight,omitempty"`
	// Unpriced counts the attempts of today whose cost is not known: it is missing
	// in Today and Month.
	Unpriced int64 `json:"unpriced,omitempty"`
	Input    int64 `json:"input,omitempty"` // tokens today, those from caches included
	Output   int64 `json:"output,omitempty"`
	Cached   int64 `json:"cached,omitempty"` // of Input, read from caches
}
