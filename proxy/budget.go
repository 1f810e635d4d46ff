package proxy

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"anyproxy/config"
	"anyproxy/metrics"
	"anyproxy/metrics/ledger"
)

// Accounts of the ledger.
const everybody = ledger.Everybody

func providerAccount(name string) string { return ledger.ProviderAccount(name) }
func keyAccount(name string) string      { return ledger.KeyAccount(name) }

// price is what a token of the upstream costs, nil when nobody has said or it
// costs nothing.
func (rt *Runtime) price(provider, model string) *config.Price {
	if up, ok := rt.providers[provider]; !ok || up.config.Billing == config.BillingSubscription {
		return nil
	}
	for i := range rt.Config.Models {
		m := &rt.Config.Models[i]
		if m.Provider == provider && (m.Name == model || m.Name == "") && m.Price != nil {
			return m.Price
		}
	}
	return nil
}

// priceOf is how an attempt is priced, nil where it costs nothing.
func (rt *Runtime) priceOf(provider, model string) func(metrics.Tokens) (float64, bool) {
	if up, ok := rt.providers[provider]; !ok || up.config.Billing == config.BillingSubscription {
		return nil
	}
	p := rt.price(provider, model)
	return func(t metrics.Tokens) (float64, bool) {
		if p == nil {
			return 0, t.Input+t.Output+t.CacheRead+t.CacheWrite > 0
		}
		return cost(p, t), false
	}
}

func cost(p *config.Price, t metrics.Tokens) float64 {
	const perMillion = 1e6
	return (float64(t.Input)*p.Input + float64(t.Output)*p.Output +
		float64(t.CacheRead)*p.CacheRead + float64(t.CacheWrite)*p.CacheWrite) / perMillion
}

// charge books what an attempt has cost, and tells when a limit is near or reached.
func (x *exchange) charge(provider, model string, t metrics.Tokens) {
	p := x.rt.price(provider, model)
	if p == nil {
		return
	}
	accounts := []string{everybody, providerAccount(provider)}
	if x.key != nil {
		accounts = append(accounts, keyAccount(x.key.name))
	}
	usd := cost(p, t)
	if x.rec != nil {
		x.rec.Charge(usd)
	}
	x.s.ledger.Add(usd, accounts...)
	x.s.warnOfLimit(everybody, x.rt.Config.Budget.Daily, x.rt.Config.Budget.AlertAt)
	x.s.warnOfLimit(providerAccount(provider), x.rt.providers[provider].config.DailyBudget, x.rt.Config.Budget.AlertAt)
	if x.key != nil {
		x.s.warnOfLimit(keyAccount(x.key.name), x.key.dailyBudget, x.rt.Config.Budget.AlertAt)
	}
}

// showSpend fills the money into a Snapshot, where anything has a price.
func (s *Server) showSpend(rt *Runtime, snap *metrics.Snapshot) {
	if !rt.priced() {
		return
	}
	spend := &metrics.Spend{Today: s.ledger.Spent(everybody), Limit: rt.Config.Budget.Daily,
		ResetsAt: snap.At.Add(s.ledger.UntilMidnight()), PerHour: s.ledger.PerHour(everybody)}
	if left := spend.Limit - spend.Today; spend.PerHour > 0 && left > 0 {
		hours := left / spend.PerHour
		if at := snap.At.Add(time.Duration(min(hours, 48) * float64(time.Hour))); at.Before(spend.ResetsAt) {
			spend.LimitAt = at
		}
	}
	snap.Spend = spend
	for i := range snap.Providers {
		p := &snap.Providers[i]
		p.Spent = s.ledger.Spent(providerAccount(p.Name))
		if up, ok := rt.providers[p.Name]; ok {
			p.DailyBudget = up.config.DailyBudget
		}
	}
}

// priced reports whether anything that is served costs something.
func (rt *Runtime) priced() bool {
	for i := range rt.Config.Models {
		m := &rt.Config.Models[i]
		if up, ok := rt.providers[m.Provider]; ok && m.Price != nil && up.config.Billing != config.BillingSubscription {
			return true
		}
	}
	return false
}

func (s *Server) warnOfLimit(account string, limit, alertAt float64) {
	for _, part := range []float64{1, alertAt / 100} {
		if s.ledger.Crossed(account, limit, part) {
			s.event(metrics.Event{Kind: metrics.EventBudget,
				Text: fmt.Sprintf("%s: %.0f %% of the daily $%.2f is spent", account, part*100, limit)})
			return
		}
	}
}

// spent reports whether the account has used up its limit; 0 is no limit.
func (s *Server) spent(account string, limit float64) bool {
	return limit > 0 && s.ledger.Spent(account) >= limit
}

// overBudget refuses a request when what it would be charged to is used up.
func (x *exchange) overBudget() *refusal {
	b := x.rt.Config.Budget
	switch {
	case b.OnExceeded == config.BudgetBlock && x.s.spent(everybody, b.Daily):
		return x.s.spentRefusal(fmt.Sprintf("the daily budget of $%.2f is spent", b.Daily))
	case x.key != nil && x.s.spent(keyAccount(x.key.name), x.key.dailyBudget):
		return x.s.spentRefusal(fmt.Sprintf("the daily budget of $%.2f of this client key is spent", x.key.dailyBudget))
	}
	return nil
}

// skip says why a provider must not be asked now, "" when it may be.
func (x *exchange) skip(provider string) string {
	if x.s.held.has(provider) {
		return skipHeld
	}
	if limit := x.rt.providers[provider].config.DailyBudget; limit > 0 && x.s.spent(providerAccount(provider), limit) {
		return "budget spent"
	}
	return ""
}

// spentRefusal tells that nothing is left for today. The wait is longer than
// clients obey: they shall give up at once instead of asking again.
func (s *Server) spentRefusal(message string) *refusal {
	e := refuse(http.StatusTooManyRequests, message)
	e.retryAfter = strconv.Itoa(int(math.Ceil(s.ledger.UntilMidnight().Round(time.Millisecond).Seconds())))
	return e
}
