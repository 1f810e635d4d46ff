package cli

import (
	"context"
	"fmt"

	"anyproxy/config"
	"anyproxy/metrics"
	"anyproxy/metrics/alert"
	"anyproxy/providers/credential"
)

// alertRules are what a configuration says about alerts. A webhook that can be
// looked at without asking anybody is checked.
func (b *built) alertRules(ctx context.Context, c config.Alerts) (alert.Rules, error) {
	rules := alert.Rules{FallbackRate: c.FallbackRate, P95: c.P95Latency}
	if c.Webhook.Kind == config.SecretNone {
		return rules, nil
	}
	source, err := b.vault.Resolve(c.Webhook, "alerts")
	if err != nil {
		return rules, err
	}
	b.webhook = source
	rules.URL = func(ctx context.Context) (string, error) {
		secret, err := source.Secret(ctx)
		return secret.Reveal(), err
	}
	if credential.Pending(source) {
		return rules, nil
	}
	webhook, err := rules.URL(ctx)
	if err == nil {
		err = alert.CheckURL(webhook)
	}
	if err != nil {
		return rules, fmt.Errorf("from %s: %w", c.Webhook, err)
	}
	return rules, nil
}

// openAlerts makes what tells a person.
func (p *program) openAlerts() {
	p.alerts = alert.New(alert.Options{Rules: p.built.alerts, Redact: p.redact.String, Logger: p.logger, Post: alert.NewPoster(p.logger),
		Snapshot: func() metrics.Snapshot { return p.proxy.Snapshot(^uint64(0)) }})
	p.rec.Observe(p.alerts)
}
