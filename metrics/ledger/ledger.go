// Package ledger counts what has been spent today, in dollars, by account. A
// day ends at local midnight; the wall clock decides, as it does for whoever
// pays. It is kept in memory.
//
// A Ledger is safe for concurrent use.
package ledger

import (
	"math"
	"sync"
	"time"
)

// paceTau is the decay time of a pace: long enough to see past the pauses of a
// person, short enough to follow a change of work.
const paceTau = 15 * time.Minute

// Ledger counts spend by account.
type Ledger struct {
	now func() time.Time

	mu    sync.Mutex
	day   time.Time // its midnight
	spent map[string]float64
	told  map[string]float64 // the highest share of a limit that Crossed has told of
	paces map[string]pace    // goes on over midnight
}

// pace is a sum of spend that fades with paceTau.
type pace struct {
	sum       float64
	at, since time.Time
}

// later returns the pace as it is at now.
func (p pace) later(now time.Time) pace {
	p.sum *= math.Exp(-float64(now.Sub(p.at)) / float64(paceTau))
	p.at = now
	return p
}

// New returns an empty Ledger on the given wall clock.
func New(now func() time.Time) *Ledger {
	return &Ledger{now: now, spent: map[string]float64{}, told: map[string]float64{}, paces: map[string]pace{}}
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
	now := l.now()
	for _, a := range accounts {
		l.spent[a] += usd
		p, known := l.paces[a]
		if !known {
			p.at, p.since = now, now
		}
		p = p.later(now)
		p.sum += usd
		l.paces[a] = p
	}
}

// PerHour is the pace at which the account has been charged lately, in dollars
// an hour. In its first minute an account has none.
func (l *Ledger) PerHour(account string) float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, known := l.paces[account]
	now := l.now()
	age := now.Sub(p.since)
	if !known || age < time.Minute {
		return 0
	}
	// What has faded of a steady stream since the first charge is made up for.
	seen := 1 - math.Exp(-float64(age)/float64(paceTau))
	return p.later(now).sum / seen / paceTau.Hours()
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
