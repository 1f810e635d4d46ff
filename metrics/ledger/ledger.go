// Package ledger counts what has been spent, in dollars, by account, and keeps
// of every attempt what it was and what it cost.
//
// A Ledger is what budgets ask: today's spend, in memory. A day ends at local
// midnight; the wall clock decides, as it does for whoever pays. A Journal is
// what outlives the program: a Folder of day files with a row for each attempt,
// each request and whatever else an audit asks for, from which a Ledger goes on
// after a restart and a Report is made. Rows are the truth; what is summed up of
// them only saves reading them again.
//
// Ledgers and Journals are safe for concurrent use.
package ledger

import (
	"math"
	"strings"
	"sync"
	"time"

	"anyproxy/metrics"
)

// paceTau is the decay time of a pace: long enough to see past the pauses of a
// person, short enough to follow a change of work.
const paceTau = 15 * time.Minute

// Ledger counts spend by account.
type Ledger struct {
	now func() time.Time

	mu     sync.Mutex
	day    time.Time // its midnight
	spent  map[string]float64
	month  time.Time          // its first midnight
	soFar  map[string]float64 // spent this month
	tokens metrics.Tokens     // of today
	// unknown counts today's attempts whose cost is not known, by account.
	unknown map[string]int64
	told    map[string]float64 // the highest share of a limit that Crossed has told of
	paces   map[string]pace    // goes on over midnight
}

// pace is a sum of spend that fades with paceTau.
type pace struct {
	sum       float64
	at, since time.Time
}

// later returns the pace as it is at now. A clock that was set back lets nothing
// fade, and nothing grow.
func (p pace) later(now time.Time) pace {
	p.sum *= math.Exp(-float64(max(now.Sub(p.at), 0)) / float64(paceTau))
	p.at = now
	return p
}

// charged returns the pace with a charge of usd at now.
func (p pace) charged(usd float64, now time.Time) pace {
	if p.since.IsZero() {
		p.at, p.since = now, now
	}
	p = p.later(now)
	p.sum += usd
	return p
}

// savedPace is a pace in a file.
type savedPace struct {
	Sum   float64   `json:"usd"`
	At    time.Time `json:"at"`
	Since time.Time `json:"since"`
}

// Accounts of a Ledger.
const Everybody = "everybody"

// ProviderAccount is the account of a provider.
func ProviderAccount(name string) string { return "provider " + name }

// KeyAccount is the account of a client key, by its name.
func KeyAccount(name string) string { return "key " + name }

// Accounts are those that an attempt is charged to; key is "" without one.
func Accounts(provider, key string) []string {
	if key == "" {
		return []string{Everybody, ProviderAccount(provider)}
	}
	return []string{Everybody, ProviderAccount(provider), KeyAccount(key)}
}

// New returns an empty Ledger on the given wall clock.
func New(now func() time.Time) *Ledger {
	return &Ledger{now: now, spent: map[string]float64{}, soFar: map[string]float64{}, unknown: map[string]int64{}, told: map[string]float64{}, paces: map[string]pace{}}
}

// midnight is the beginning of t's day.
func midnight(t time.Time) time.Time {
	y, m, d := t.Date()
	begin := time.Date(y, m, d, 0, 0, 0, 0, t.Location())
	if begin.Day() != d { // clocks skip it: the day begins where they go on
		_, begin = begin.ZoneBounds()
	}
	return begin
}

// todayLocked forgets what was before today.
func (l *Ledger) todayLocked() {
	if today := midnight(l.now()); !today.Equal(l.day) {
		l.day = today
		clear(l.spent)
		clear(l.told)
		clear(l.unknown)
		l.tokens = metrics.Tokens{}
		if first := midnight(time.Date(today.Year(), today.Month(), 1, 12, 0, 0, 0, today.Location())); !first.Equal(l.month) {
			l.month = first
			clear(l.soFar)
		}
	}
}

// goOn books what was spent today before this run began, and at which pace.
func (l *Ledger) goOn(today *sum) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.todayLocked()
	for account, usd := range today.spent() {
		l.spent[account] += usd
		l.soFar[account] += usd
	}
	for account, p := range today.paces {
		l.paces[account] = p
	}
	for at, t := range today.groups {
		for _, a := range Accounts(at.Provider, at.Key) {
			l.unknown[a] += t.Unpriced
		}
		l.countLocked(metrics.Tokens{Input: t.Input, Output: t.Output, CacheRead: t.CacheRead, CacheWrite: t.CacheWrite})
	}
}

// goOnWithMonth books what was spent on another day of the month.
func (l *Ledger) goOnWithMonth(day string, s *sum) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.todayLocked()
	if !inMonth(day, l.month) {
		return
	}
	for account, usd := range s.spent() {
		l.soFar[account] += usd
	}
}

// inMonth reports whether a day is in the month of t.
func inMonth(day string, t time.Time) bool { return strings.HasPrefix(day, t.Format("2006-01-")) }

// Count adds the tokens of an attempt to today's.
func (l *Ledger) Count(t metrics.Tokens) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.todayLocked()
	l.countLocked(t)
}

func (l *Ledger) countLocked(t metrics.Tokens) {
	l.tokens.Input += t.Input
	l.tokens.Output += t.Output
	l.tokens.CacheRead += t.CacheRead
	l.tokens.CacheWrite += t.CacheWrite
}

// CountUnpriced notes on each of the accounts an attempt whose cost is not known.
func (l *Ledger) CountUnpriced(accounts ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.todayLocked()
	for _, a := range accounts {
		l.unknown[a]++
	}
}

// Unpriced is how many attempts of today are missing in what the account has
// spent, because their cost is not known.
func (l *Ledger) Unpriced(account string) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.todayLocked()
	return l.unknown[account]
}

// Tokens are today's.
func (l *Ledger) Tokens() metrics.Tokens {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.todayLocked()
	return l.tokens
}

// Add books usd on each of the accounts.
func (l *Ledger) Add(usd float64, accounts ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.todayLocked()
	now := l.now()
	for _, a := range accounts {
		l.spent[a] += usd
		l.soFar[a] += usd
		l.paces[a] = l.paces[a].charged(usd, now)
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

// Month is what the account has spent this month.
func (l *Ledger) Month(account string) float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.todayLocked()
	return l.soFar[account]
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
