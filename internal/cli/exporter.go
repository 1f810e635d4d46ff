package cli

import (
	"slices"

	"anyproxy/config"
	"anyproxy/metrics"
	"anyproxy/metrics/price"
	"anyproxy/metrics/prom"
)

// openExporter makes what answers /metrics.
func (p *program) openExporter() *prom.Exporter {
	e := prom.New(prom.Options{Version: Version(), Model: price.Name,
		Snapshot: func() metrics.Snapshot { return p.proxy.Snapshot(^uint64(0)) }}) // without events
	e.SetTargets(exported(p.doc.Config))
	p.rec.Observe(e)
	p.exporter = e
	return e
}

// exported are the targets that a configuration names.
func exported(c *config.Config) (all []prom.Target) {
	for _, m := range c.Models {
		aliases := m.Alias
		if m.Name != "" {
			aliases = append(slices.Clip(aliases), m.Name)
		}
		all = append(all, prom.Target{Provider: m.Provider, Model: m.Name, Aliases: aliases})
	}
	return all
}
