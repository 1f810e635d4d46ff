package proxy

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"anyproxy/config"
	"anyproxy/metrics"
	"anyproxy/metrics/ledger"
	"anyproxy/metrics/price"
)

// Accounts of the ledger.
const everybody = ledger.Everybody

func providerAccount(name string) string { return ledger.ProviderAccount(name) }
func keyAccount(name string) string      { return ledger.KeyAccount(name) }

// rates are what an attempt's tokens cost, nil = not known. included says that
// they cost nothing: a subscription pays for them. billed is the model's name at
// the upstream.
func (x *exchange) rates(provider, model, billed string) (rates *metrics.Rates, included bool) {
	return x.rt.Rates(provider, model, billed, strings.HasPrefix(bearer(x.req.Auth.Authorization), claudeLogin))
}

// Rates are what a provider's model costs, as rates does; login says that the
// client has shown a Claude subscription's login.
func (rt *Runtime) Rates(provider, model, billed string, login bool) (rates *metrics.Rates, included bool) {
	up, ok := rt.providers[provider]
	switch {
	case !ok:
		return nil, false
	case up.config.Billing == config.BillingSubscription, up.config.Billing == "" && login:
		return nil, true
	}
	return rt.rates(provider, model, billed), false
}

// claudeLogin is how the tokens of a Claude subscription begin.
const claudeLogin = "sk-ant-oat"

// rates are what the configuration says that tokens cost, else what is usual.
// They are looked up once for each model, but for models whose names clients
// make up without end.
func (rt *Runtime) rates(provider, model, billed string) *metrics.Rates {
	key := [3]string{provider, model, billed}
	if known, ok := rt.priced.Load(key); ok {
		return known.(*metrics.Rates)
	}
	rates := Rates(rt.Config, provider, model, billed)
	if rt.pricedModels.Add(1) <= maxPriced {
		rt.priced.Store(key, rates)
	}
	return rates
}

// maxPriced bounds what is kept of prices.
const maxPriced = 1000

// Rates are what the configuration says that the tokens of a provider's model
// cost, else what is usual; nil = not known. billed is the model's name at the
// upstream. Who pays by subscription is not asked.
func Rates(c *config.Config, provider, model, billed string) *metrics.Rates {
	for i := range c.Models {
		m := &c.Models[i]
		if m.Provider == provider && (m.Name == model || m.Name == "") && m.Price != nil {
			p := m.Price
			rates := &metrics.Rates{Input: p.Input, Output: p.Output, CacheRead: p.CacheRead, CacheWrite: p.CacheWrite, CacheWrite1h: p.CacheWrite1h}
			if usual := price.Of(billed); usual != nil {
				rates.Search = usual.Search
			}
			return rates
		}
	}
	p := c.Provider(provider)
	if p == nil || p.Auth == config.AuthNone { // one's own server
		return nil
	}
	return price.At(p.Endpoint, billed)
}

// charge books what an attempt has cost, and tells when a limit is near or reached.
func (x *exchange) charge(a *metrics.AttemptRecord) {
	if !a.Tokens.Any() {
		return
	}
	key := ""
	if x.key != nil {
		key = x.key.name
	}
	x.s.ledger.Count(a.Tokens)
	accounts := ledger.Accounts(a.Provider, key)
	if a.Unpriced {
		x.s.ledger.CountUnpriced(accounts...)
	}
	if a.Cost == 0 {
		return
	}
	x.s.ledger.Add(a.Cost, accounts...)
	alertAt := x.rt.Config.Budget.AlertAt
	x.s.warnOfLimit(everybody, x.rt.Config.Budget.Daily, alertAt)
	x.s.warnOfLimit(providerAccount(a.Provider), x.rt.providers[a.Provider].config.DailyBudget, alertAt)
	if x.key != nil {
		x.s.warnOfLimit(keyAccount(key), x.key.dailyBudget, alertAt)
	}
}

// showSpend fills the money into a Snapshot, where anything has a price.
func (s *Server) showSpend(rt *Runtime, snap *metrics.Snapshot) {
	if !rt.sells() {
		return
	}
	spend := &metrics.Spend{Today: s.ledger.Spent(everybody), Limit: rt.Config.Budget.Daily,
		ResetsAt: snap.At.Add(s.ledger.UntilMidnight()), PerHour: s.ledger.PerHour(everybody), Month: s.ledger.Month(everybody)}
	spend.Unpriced = s.ledger.Unpriced(everybody)
	if spend.PerHour > 0 {
		spend.ByMidnight = spend.Today + spend.PerHour*spend.ResetsAt.Sub(snap.At).Hours()
	}
	t := s.ledger.Tokens()
	spend.Input, spend.Output, spend.Cached = t.Input+t.CacheRead+t.CacheWrite, t.Output, t.CacheRead
	if left := spend.Limit - spend.Today; spend.PerHour > 0 && left > 0 {
		hours := left / spend.PerHour
		if at := snap.At.Add(time.Duration(min(hours, 48) * float64(time.Hour))); at.Before(spend.ResetsAt) {
			spend.LimitAt = at
		}
	}
	snap.Spend = spend
	for i := range snap.Providers {
		p := &snap.Providers[i]
		p.Spent, p.Unpriced = s.ledger.Spent(providerAccount(p.Name)), s.ledger.Unpriced(providerAccount(p.Name))
		if up, ok := rt.providers[p.Name]; ok {
			p.DailyBudget, p.Included = up.config.DailyBudget, up.config.Billing == config.BillingSubscription
		}
	}
}

// sells reports whether anything that is served may cost something: one's own
// servers and subscriptions do not.
func (rt *Runtime) sells() bool {
	for i := range rt.Config.Models {
		m := &rt.Config.Models[i]
		up, ok := rt.providers[m.Provider]
		if ok && up.config.Billing != config.BillingSubscription && (m.Price != nil || up.config.Auth != config.AuthNone) {
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
	case b.OnExceeded != config.BudgetBlock:
	case x.s.spent(everybody, b.Daily):
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
	if limit := x.rt.providers[provider].config.DailyBudget; x.rt.Config.Budget.OnExceeded == config.BudgetBlock && x.s.spent(providerAccount(provider), limit) {
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
