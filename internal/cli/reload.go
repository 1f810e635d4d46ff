package cli

import (
	"context"

	"anyproxy/metrics"
)

// reload reads the configuration file again and, if it is sound, serves by it
// from the next request on. Requests in flight keep what they began with, and
// what is known about upstreams stays. A file that is not sound changes nothing.
func (p *program) reload(ctx context.Context) {
	if p.flags.demo || p.flags.config == "" {
		p.logger.Warn("SIGHUP: there is no configuration file to read again")
		return
	}
	c, warnings, name, err := loadConfig(p.flags, p.getenv)
	if err != nil {
		p.refuseReload(err)
		return
	}
	b, err := build(ctx, c, p.state, p.getenv, p.now)
	if err != nil {
		p.refuseReload(err)
		return
	}
	for _, w := range warnings {
		p.logger.Warn(w.String())
	}
	for _, w := range b.warnings {
		p.logger.Warn(w)
	}
	if c.Listen != p.config.Listen || c.Log != p.config.Log || c.State != p.config.State {
		p.logger.Warn("listen, log and state take effect at the next start")
	}
	p.redact.Set(append(b.secrets, p.built.secrets...)...) // running requests may still tell of the old ones
	p.proxy.Apply(b.runtime)
	p.built.close()
	p.config, p.built = c, b
	p.rec.Event(metrics.Event{Kind: metrics.EventConfig, Text: name + " applied"})
	p.logger.Info("configuration applied", "file", name)
}

func (p *program) refuseReload(err error) {
	p.rec.Event(metrics.Event{Kind: metrics.EventConfig, Text: "reload refused, the running configuration stays: " + p.redact.String(err.Error())})
	p.logger.Error("reload refused, the running configuration stays", "error", err)
}
