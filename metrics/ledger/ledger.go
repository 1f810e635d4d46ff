// Package ledger counts what has been spent today, in dollars, by account. A
// day ends at local midnight; the wall clock decides, as it does for whoever
// pays. It is kept in memory.
//
// A Ledger is safe for concurrent use.
package ledger

import (
	"sync"
	"time"
)

// Ledger counts spend by account.
type Ledger struct {
	now func() time.Time

	mu    sync.Mutex
	day   time.Time // its midnight
	spent map[string]float64
	told  map[string]float64 // the highest share of a limit that Crossed has told of
}

// New returns an empty Ledger on the given wall clock.
func New(now func() time.Time) *Ledger {
	return &Ledger{now: now, spent: map[string]float64{}, told: map[string]float64{}}
}

func midnight(t time.Time) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, t.Location())
}

// todayLocked forgets what was before today.
func (l *Ledger) todayLocked() {
	if today := midnight(l.now()); !today.Equal(l.day) {
		l.day = today
		clear(l.spent)
		clear(l.told)
	}
}

// Add books usd on each of the accounts.
func (l *Ledger) Add(usd float64, accounts ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.todayLocked()
	for _, a := range accounts {
		l.spent[a] += usd
	}
}

// Spent is what the account has spent today.
func (l *Ledger) Spent(account string) float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.todayLocked()
	return l.spent[account]
}

// Crossed reports whether the account has reached the given part of its limit,
// once a day for each part, the highest first.
func (l *Ledger) Crossed(account string, limit, part float64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.todayLocked()
	if limit <= 0 || l.spent[account] < limit*part || l.told[account] >= part {
		return false
	}
	l.told[account] = part
	return true
}

// UntilMidnight is how long today still lasts.
func (l *Ledger) UntilMidnight() time.Duration {
	now := l.now()
	return midnight(midnight(now).Add(36 * time.Hour)).Sub(now) // 36 h later is tomorrow, also when clocks change
}
